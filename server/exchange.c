/* See exchange.h: who speaks to whom, and the builder of Appends. */
#include "server/exchange.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "server/exchange_internal.h"
#include "server/node_internal.h"

enum { BUILDER_BYTES_LIMIT = 8 << 20 };

_Static_assert((int)BUILDER_BYTES_LIMIT + APPEND_RUNS_LIMIT * 128 < (int)CAIRN_RECORD_LIMIT,
               "an Append fits an RPC record");
_Static_assert((int)APPEND_BYTES_TARGET + (int)CAIRN_RECORDS_LIMIT <= (int)BUILDER_BYTES_LIMIT,
               "a run of any size fits an Append that is not closed");

/* --- who speaks to whom -------------------------------------------------------------------------
 */

uint64_t exchange_store_of(const struct node *node, uint32_t server)
{
    const struct map_server *found =
        node->map.servers == NULL ? NULL : cluster_map_server(&node->map, server);

    return found == NULL ? 0 : found->store;
}

bool exchange_knows(const struct node *node, const replica_sender *from)
{
    return from->cluster == node->identity.cluster && from->to_store == node->identity.store &&
           from->server < CAIRN_SERVERS_LIMIT && from->server != node->identity.server &&
           from->store != 0 && from->store != node->identity.store;
}

replica_sender exchange_sender(const struct node *node, uint32_t to_server)
{
    return (replica_sender){
        .cluster = node->identity.cluster,
        .server = node->identity.server,
        .store = node->identity.store,
        .incarnation = node->identity.incarnation,
        .to_store = exchange_store_of(node, to_server),
    };
}

bool exchange_has_follower(const struct node *node, uint32_t server)
{
    return node_next_bit(node, node->outboxes[server].copies, 0) < node->partition_count;
}

bool exchange_find_follower(const struct partition *partition, uint32_t server, uint64_t store,
                            uint32_t *follower)
{
    const struct replica *replica = &partition->replica;

    for (uint32_t i = 0; replica->barrier_index != 0 && i < replica->follower_count; i++)
        if (replica->followers[i].id.server == server && replica->followers[i].id.store == store) {
            *follower = i;
            return true;
        }
    return false;
}

/* --- the builder --------------------------------------------------------------------------------
 */

int append_builder_init(struct append_builder *builder)
{
    memset(builder, 0, sizeof *builder);
    buffer_init(&builder->records, BUILDER_BYTES_LIMIT);
    builder->runs = calloc(APPEND_RUNS_LIMIT, sizeof *builder->runs);
    builder->sent = calloc(APPEND_RUNS_LIMIT, sizeof *builder->sent);
    if (builder->runs != NULL && builder->sent != NULL &&
        buffer_reserve(&builder->records, APPEND_BYTES_TARGET) == CAIRN_OK)
        return CAIRN_OK;
    append_builder_free(builder);
    return CAIRN_ENOMEM;
}

void append_builder_free(struct append_builder *builder)
{
    free(builder->runs);
    free(builder->sent);
    buffer_free(&builder->records);
    memset(builder, 0, sizeof *builder);
}

void append_builder_reset(struct append_builder *builder, const struct node *node, uint32_t server)
{
    builder->args = (append_args){.from = exchange_sender(node, server)};
    builder->args.runs.runs_val = builder->runs;
    buffer_clear(&builder->records);
}

bool append_builder_is_full(const struct append_builder *builder)
{
    return builder->args.runs.runs_len == APPEND_RUNS_LIMIT ||
           builder->records.length >= APPEND_BYTES_TARGET;
}

/* The buffer moved: the runs lie one behind the other in it. */
static void point_again(struct append_builder *builder)
{
    const uint8_t *at = builder->records.data;

    for (uint32_t i = 0; i < builder->args.runs.runs_len; i++) {
        builder->runs[i].records.data = at;
        at += builder->runs[i].records.length;
    }
}

void append_builder_end_run(struct append_builder *builder, const struct replica *replica,
                            const struct replica_position *previous, uint32_t count, size_t start)
{
    uint32_t number = builder->args.runs.runs_len++;
    struct append_run *run = &builder->runs[number];

    CHECK(number < APPEND_RUNS_LIMIT && start <= builder->records.length);
    *run = (struct append_run){
        .partition = replica->partition,
        .history = replica->configuration.history,
        .epoch = replica->configuration.epoch,
        .previous_epoch = previous->epoch,
        .previous_index = previous->index,
        .commit_index = replica->commit_index,
        .count = count,
        .records = {.data = builder->records.data + start,
                    .length = (uint32_t)(builder->records.length - start)},
    };
    builder->sent[number] = (struct append_sent){.partition = replica->partition,
                                                 .epoch = replica->configuration.epoch};
    if (builder->runs[0].records.data != builder->records.data)
        point_again(builder);
}

bool append_builder_add(struct append_builder *builder, const struct replica *replica,
                        const struct replica_position *previous, uint32_t count,
                        const uint8_t *records, size_t length)
{
    size_t start = builder->records.length;

    CHECK(length <= CAIRN_RECORDS_LIMIT);
    if (append_builder_is_full(builder) ||
        (length > 0 && buffer_append(&builder->records, records, length) != CAIRN_OK))
        return false;
    append_builder_end_run(builder, replica, previous, count, start);
    return true;
}
