/* Which partitions have something for which server: so that a turn touches only what has news. */
#include <stdlib.h>

#include "base/check.h"
#include "server/node_internal.h"

enum { WORD_BITS = 64 };

static size_t words_of(const struct node *node)
{
    return (node->partition_count + WORD_BITS - 1) / WORD_BITS;
}

int node_open_outboxes(struct node *node)
{
    size_t words = words_of(node);

    node->outbox_bits = calloc(2 * words * CAIRN_SERVERS_LIMIT, sizeof *node->outbox_bits);
    if (node->outbox_bits == NULL)
        return CAIRN_ENOMEM;
    for (size_t i = 0; i < CAIRN_SERVERS_LIMIT; i++) {
        node->outboxes[i].copies = node->outbox_bits + 2 * words * i;
        node->outboxes[i].news = node->outboxes[i].copies + words;
    }
    return CAIRN_OK;
}

static void set_bit(uint64_t *bits, uint32_t number)
{
    bits[number / WORD_BITS] |= 1ULL << (number % WORD_BITS);
}

static void clear_bit(uint64_t *bits, uint32_t number)
{
    bits[number / WORD_BITS] &= ~(1ULL << (number % WORD_BITS));
}

/* Whether the followers are still on the servers that were noted. */
static bool noted_are_current(const struct partition *partition, uint32_t count)
{
    if (partition->noted_count != count)
        return false;
    for (uint32_t i = 0; i < count; i++)
        if (partition->noted_servers[i] != partition->replica.followers[i].id.server)
            return false;
    return true;
}

void node_note_followers(struct node *node, struct partition *partition)
{
    const struct replica *replica = &partition->replica;
    uint32_t count = replica->barrier_index == 0 ? 0 : replica->follower_count;
    uint32_t noted = 0;

    if (noted_are_current(partition, count))
        return;
    for (uint32_t i = 0; i < partition->noted_count; i++) {
        clear_bit(node->outboxes[partition->noted_servers[i]].copies, replica->partition);
        clear_bit(node->outboxes[partition->noted_servers[i]].news, replica->partition);
    }
    for (uint32_t i = 0; i < count; i++) {
        uint32_t server = replica->followers[i].id.server;

        CHECK(server < CAIRN_SERVERS_LIMIT);
        partition->noted_servers[noted++] = (uint8_t)server;
        set_bit(node->outboxes[server].copies, replica->partition);
    }
    partition->noted_count = (uint8_t)noted;
    node_note_news(node, partition);
}

void node_note_news(struct node *node, const struct partition *partition)
{
    for (uint32_t i = 0; i < partition->noted_count; i++) {
        struct outbox *outbox = &node->outboxes[partition->noted_servers[i]];

        set_bit(outbox->news, partition->replica.partition);
        outbox->any_news = true;
    }
}

uint32_t node_next_bit(const struct node *node, const uint64_t *bits, uint32_t from)
{
    size_t words = words_of(node);

    for (size_t word = from / WORD_BITS; word < words; word++) {
        uint64_t left = bits[word];

        if (word == from / WORD_BITS)
            left &= ~0ULL << (from % WORD_BITS);
        if (left != 0)
            return (uint32_t)(word * WORD_BITS) + (uint32_t)__builtin_ctzll(left);
    }
    return node->partition_count;
}
