/* Appends, the primary's side: what each other server is sent, and what its answers mean (R1, R4).
 *
 * An entry that was proposed in this turn is copied from the log's gathering batch, where it lies
 * packed; an older one is packed again. */
#include <string.h>

#include "base/check.h"
#include "server/exchange_internal.h"
#include "server/node_internal.h"

enum { LENGTH_BYTES = 4 };

/* --- building -----------------------------------------------------------------------------------
 */

static uint32_t packed_length(const struct entry *entry)
{
    return entry->packed_length != 0 ? entry->packed_length : entry_packed_size(entry);
}

static int put_record(const struct node *node, const struct entry *entry, uint32_t length,
                      struct buffer *records)
{
    const uint8_t *packed = journal_packed(&node->journal, entry);
    uint8_t *to;
    int status = buffer_reserve(records, LENGTH_BYTES + (size_t)length);

    if (status != CAIRN_OK)
        return status;
    to = records->data + records->length;
    for (uint32_t i = 0; i < LENGTH_BYTES; i++)
        to[i] = (uint8_t)(length >> (8 * i));
    if (packed != NULL)
        memcpy(to + LENGTH_BYTES, packed, length);
    else
        entry_pack(entry, to + LENGTH_BYTES);
    records->length += LENGTH_BYTES + (size_t)length;
    return CAIRN_OK;
}

/* Puts as many entries from `first` on as fit, at least one. Returns their number. */
static uint32_t put_records(const struct node *node, const struct partition *partition,
                            uint64_t first, struct buffer *records)
{
    uint64_t last = partition_last_index(partition);
    uint32_t count = 0;

    for (uint64_t index = first; index <= last; index++) {
        const struct entry *entry = partition_entry(partition, index);
        uint32_t length = packed_length(entry);

        if (count > 0 && records->length + LENGTH_BYTES + length > APPEND_BYTES_TARGET)
            break;
        if (put_record(node, entry, length, records) != CAIRN_OK)
            break;
        count++;
    }
    return count;
}

/* Adds what the follower is to be sent now. False: there is no memory for it. */
static bool build_run(const struct node *node, struct partition *partition, uint32_t number,
                      uint64_t now_ms, struct append_builder *builder)
{
    struct replica *replica = &partition->replica;
    const struct replica_follower *follower = &replica->followers[number];
    uint64_t first = follower->next_index;
    struct replica_position previous = {.index = first - 1};
    size_t start = builder->records.length;
    uint32_t count = 0;

    CHECK(first > 0 && first <= partition_last_index(partition) + 1);
    if (!partition_find_epoch(partition, previous.index, &previous.epoch))
        previous.epoch = 0; /* applied long ago, so committed: the index tells all */
    if (follower->mode == REPLICA_REPLICATE && first <= partition_last_index(partition)) {
        if (!partition_has_entry(partition, first))
            return true; /* it is served from the disk */
        count = put_records(node, partition, first, &builder->records);
        if (count == 0)
            return false;
    }
    append_builder_end_run(builder, replica, &previous, count, start);
    replica_sent(replica, number, first + count - 1, now_ms);
    return true;
}

static void clear_news(struct outbox *outbox, uint32_t partition)
{
    outbox->news[partition / 64] &= ~(1ULL << (partition % 64));
}

/* Adds a partition's run if it wants one. False: the builder is full, or out of memory, and the
 * partition is not done. */
static bool build_partition(struct node *node, uint32_t server, uint32_t number, bool idle,
                            uint64_t now_ms, struct append_builder *builder)
{
    struct partition *partition = &node->partitions[number];
    const struct replica *replica = &partition->replica;
    uint32_t follower;

    if (exchange_find_follower(partition, server, builder->args.from.to_store, &follower) &&
        replica_may_send(replica) && replica_wants_append(replica, follower, idle, now_ms)) {
        uint64_t next_index = replica->followers[follower].next_index;

        if (append_builder_is_full(builder) ||
            !build_run(node, partition, follower, now_ms, builder))
            return false;
        if (replica->followers[follower].mode == REPLICA_REPLICATE &&
            replica->followers[follower].next_index != next_index &&
            replica_wants_append(replica, follower, false, now_ms))
            return false;
    }
    clear_news(&node->outboxes[server], number);
    return true;
}

uint32_t exchange_build_append(struct node *node, uint32_t server, bool idle, uint64_t now_ms,
                               struct append_builder *builder)
{
    struct outbox *outbox = &node->outboxes[server];
    const uint64_t *wanted = idle ? outbox->copies : outbox->news;
    uint32_t number = 0;

    append_builder_reset(builder, node, server);
    if (!idle && !outbox->any_news)
        return 0;
    while ((number = node_next_bit(node, wanted, number)) < node->partition_count) {
        if (!build_partition(node, server, number, idle, now_ms, builder))
            return builder->args.runs.runs_len;
        number++;
    }
    outbox->any_news = false;
    return builder->args.runs.runs_len;
}

/* --- answers ------------------------------------------------------------------------------------
 */

static void step_lost(struct node *node, uint32_t server, const struct append_sent *sent,
                      uint64_t now_ms)
{
    struct partition *partition = &node->partitions[sent->partition];
    struct replica_event event = {.kind = REPLICA_EVENT_LOST, .now_ms = now_ms};
    uint32_t follower;

    if (!exchange_find_follower(partition, server, exchange_store_of(node, server), &follower))
        return;
    event.member = partition->replica.followers[follower].id;
    node_step(node, partition, &event, NULL);
}

void exchange_append_lost(struct node *node, uint32_t server, const struct append_sent *sent,
                          uint32_t count, uint64_t now_ms)
{
    for (uint32_t i = 0; i < count; i++)
        step_lost(node, server, &sent[i], now_ms);
}

static bool outcome_in(append_outcome from, enum replica_ack_outcome *to)
{
    switch (from) {
    case APPEND_OK:
        *to = REPLICA_ACK_OK;
        return true;
    case APPEND_MISMATCH:
        *to = REPLICA_ACK_MISMATCH;
        return true;
    case APPEND_REFUSED:
        *to = REPLICA_ACK_REFUSED;
        return true;
    case APPEND_BUSY:
        *to = REPLICA_ACK_BUSY;
        return true;
    }
    return false;
}

/* False if the answer says nothing about this run. */
static bool step_ack(struct node *node, uint32_t server, const struct append_sent *sent,
                     const append_result *result, uint32_t number, uint64_t now_ms)
{
    const append_ack *said;
    struct replica_ack ack;
    struct replica_event event = {.kind = REPLICA_EVENT_ACK, .now_ms = now_ms, .ack = &ack};

    if (number >= result->acks.acks_len)
        return false;
    said = &result->acks.acks_val[number];
    ack = (struct replica_ack){
        .from = {.server = server, .store = result->store, .incarnation = result->incarnation},
        .history = said->history,
        .epoch = said->epoch,
        .matched_index = said->matched_index,
        .commit_index = said->commit_index,
        .install = said->install,
        .installing = said->installing != 0,
    };
    if (said->partition != sent->partition || !outcome_in(said->outcome, &ack.outcome))
        return false;
    node_step(node, &node->partitions[sent->partition], &event, NULL);
    return true;
}

void exchange_append_answered(struct node *node, uint32_t server, const struct append_sent *sent,
                              uint32_t count, const append_result *result, uint64_t now_ms)
{
    if (result->stranger) { /* R10: whatever is at that address, it is not the copy */
        exchange_append_lost(node, server, sent, count, now_ms);
        return;
    }
    node->peer_full[server] = result->full != 0;
    for (uint32_t i = 0; i < count; i++)
        if (!step_ack(node, server, &sent[i], result, i, now_ms))
            step_lost(node, server, &sent[i], now_ms);
}

bool exchange_is_behind(const struct node *node, uint32_t server)
{
    const uint64_t *copies = node->outboxes[server].copies;
    uint64_t store = exchange_store_of(node, server);
    uint32_t number = 0;

    for (; (number = node_next_bit(node, copies, number)) < node->partition_count; number++) {
        const struct partition *partition = &node->partitions[number];
        const struct replica_follower *follower;
        uint32_t i;

        if (!exchange_find_follower(partition, server, store, &i))
            continue;
        follower = &partition->replica.followers[i];
        if (follower->mode == REPLICA_REPLICATE &&
            !partition_has_entry(partition, follower->next_index))
            return true;
    }
    return false;
}
