/* Several nodes in one process, each over a log and a store of its own, that exchange messages as
 * bytes: encoded and decoded with the procedures that the network uses. Time is the test's. */
#ifndef CAIRN_TESTS_UNIT_EXCHANGE_FIXTURE_H
#define CAIRN_TESTS_UNIT_EXCHANGE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/log.h"
#include "proto/programs.h"
#include "server/exchange.h"
#include "server/node.h"
#include "tests/lib/scratch.h"

enum { SERVERS = 3, PARTITIONS = 4, CLUSTER = 77, MESSAGE_BYTES = 10 << 20, TURNS_LIMIT = 50 };
enum { START_MS = 1000 }; /* long before what the machine's clock says: nobody may look at it */

struct server {
    char directory[SCRATCH_PATH_MAX];
    uint64_t incarnation;
    struct node node;
};

struct cluster {
    struct server servers[SERVERS];
    uint64_t now_ms, map_version, epoch;
    struct append_builder builder;
    char *bytes;
    beacon_pair pairs[CAIRN_PARTITIONS_LIMIT];
};

struct heard {
    struct waiter base;
    bool answered, without_outcome;
    struct outcome outcome;
};

static inline void hear(struct waiter *waiter, const struct entry *entry,
                        const struct outcome *outcome)
{
    struct heard *heard = (struct heard *)waiter;

    (void)entry;
    assert_false(heard->answered);
    heard->answered = true;
    heard->without_outcome = outcome == NULL;
    if (outcome != NULL)
        heard->outcome = *outcome;
}

static inline void ignore_checkpoint(void *context)
{
    (void)context;
}

static inline uint64_t store_of(uint32_t id)
{
    return 1000 + id;
}

static inline int try_to_open_server(struct cluster *cluster, uint32_t id, struct error *error)
{
    struct server *server = &cluster->servers[id];
    struct node_options options = {
        .directory = server->directory,
        .identity = {.role = IDENTITY_SERVER,
                     .cluster = CLUSTER,
                     .server = id,
                     .store = store_of(id),
                     .incarnation = ++server->incarnation,
                     .partitions = PARTITIONS},
        .partitions = PARTITIONS,
        .wal_backend = WAL_BACKEND_INLINE,
        .segment_bytes = 16 << 20,
        .map_bytes = 64 << 20,
        .memtable_limit_bytes = 64 << 20,
        .log_keep_bytes = 64 << 20,
        .host_lease_ms = 1000,
        .checkpoint_done = ignore_checkpoint,
    };

    return node_open(&server->node, &options, cluster->now_ms, error);
}

static inline void open_server(struct cluster *cluster, uint32_t id)
{
    struct error error = {0};

    assert_int_equal(try_to_open_server(cluster, id, &error), CAIRN_OK);
}

/* What the log holds becomes durable, and what follows of it, too. */
static inline void settle(struct cluster *cluster, uint32_t id)
{
    struct node *node = &cluster->servers[id].node;

    do {
        node_end_turn(node, false);
        node_durable(node, wal_complete(node->journal.wal), cluster->now_ms);
    } while (wal_waiting(node->journal.wal));
}

/* --- the manager's word ------------------------------------------------------------------------
 */

static inline struct replica_id copy_of(const struct cluster *cluster, uint32_t id, bool primary)
{
    return (struct replica_id){.server = id,
                               .store = store_of(id),
                               .incarnation = primary ? cluster->servers[id].incarnation : 0};
}

/* One server hears of a configuration: the same for all partitions. `members` and `learners` are
 * texts like "01". */
static inline void tell(struct cluster *cluster, uint32_t to, uint32_t primary, const char *members,
                        const char *learners)
{
    struct cluster_map map = {.cluster = CLUSTER,
                              .version = ++cluster->map_version,
                              .partitions = PARTITIONS,
                              .replicas = 2,
                              .server_count = SERVERS};

    map.servers = calloc(SERVERS, sizeof *map.servers);
    map.configurations = calloc(PARTITIONS, sizeof *map.configurations);
    assert_true(map.servers != NULL && map.configurations != NULL);
    for (uint32_t i = 0; i < SERVERS; i++)
        map.servers[i] = (struct map_server){.id = i, .store = store_of(i)};
    for (uint32_t i = 0; i < PARTITIONS; i++) {
        struct configuration *configuration = &map.configurations[i];

        *configuration = (struct configuration){.partition = i,
                                                .history = 1,
                                                .epoch = cluster->epoch,
                                                .primary = copy_of(cluster, primary, true)};
        for (const char *m = members; *m != '\0'; m++)
            configuration->members[configuration->member_count++] =
                copy_of(cluster, (uint32_t)(*m - '0'), false);
        for (const char *l = learners; *l != '\0'; l++)
            configuration->learners[configuration->learner_count++] =
                copy_of(cluster, (uint32_t)(*l - '0'), false);
    }
    node_hear_map(&cluster->servers[to].node, &map, cluster->now_ms);
    settle(cluster, to);
}

/* A new epoch that all of `to` hear of. */
static inline void configure(struct cluster *cluster, const char *to, uint32_t primary,
                             const char *members, const char *learners)
{
    cluster->epoch++;
    for (const char *t = to; *t != '\0'; t++)
        tell(cluster, (uint32_t)(*t - '0'), primary, members, learners);
}

/* --- messages ----------------------------------------------------------------------------------
 */

static inline u_int encode(struct cluster *cluster, xdrproc_t procedure, const void *message)
{
    XDR xdrs;

    xdrmem_create(&xdrs, cluster->bytes, MESSAGE_BYTES, XDR_ENCODE);
    assert_true(procedure(&xdrs, (void *)(uintptr_t)message));
    return XDR_GETPOS(&xdrs);
}

/* `out` is zeroed and sized by the caller; freed with xdr_free. Views lie in cluster->bytes. */
static inline void decode(struct cluster *cluster, xdrproc_t procedure, u_int length, void *out)
{
    XDR xdrs;

    xdrmem_create(&xdrs, cluster->bytes, length, XDR_DECODE);
    assert_true(procedure(&xdrs, out));
}

/* Brings the Append in the builder to `to`; it is taken, but not answered yet. */
static inline struct append_taken bring(struct cluster *cluster, uint32_t to)
{
    const struct rpc_procedure *procedure = &program_replica.procedures[REPLICA_APPEND];
    append_args args = {0};
    struct append_taken taken;

    decode(cluster, procedure->xdr_args,
           encode(cluster, procedure->xdr_args, &cluster->builder.args), &args);
    assert_int_equal(
        exchange_take_append(&cluster->servers[to].node, &args, cluster->now_ms, &taken), CAIRN_OK);
    xdr_free(procedure->xdr_args, (char *)&args);
    return taken;
}

/* The answer of `to` to what the builder holds arrives at `from`. */
static inline void answer(struct cluster *cluster, uint32_t from, uint32_t to,
                          struct append_taken *taken)
{
    const struct rpc_procedure *procedure = &program_replica.procedures[REPLICA_APPEND];
    append_ack acks[APPEND_RUNS_LIMIT];
    append_result said = {0}, result = {0};

    assert_true(taken->lsn <= wal_durable_lsn(cluster->servers[to].node.journal.wal));
    exchange_answer_append(&cluster->servers[to].node, taken, acks, &said);
    append_taken_free(taken);
    decode(cluster, procedure->xdr_result, encode(cluster, procedure->xdr_result, &said), &result);
    exchange_append_answered(&cluster->servers[from].node, to, cluster->builder.sent,
                             cluster->builder.args.runs.runs_len, &result, cluster->now_ms);
    xdr_free(procedure->xdr_result, (char *)&result);
}

/* One Append from `from` to `to` and its answer; the number of its runs. */
static inline uint32_t send_append(struct cluster *cluster, uint32_t from, uint32_t to, bool idle)
{
    struct append_taken taken;
    uint32_t runs = exchange_build_append(&cluster->servers[from].node, to, idle, cluster->now_ms,
                                          &cluster->builder);

    if (runs == 0)
        return 0;
    taken = bring(cluster, to);
    settle(cluster, to);
    answer(cluster, from, to, &taken);
    settle(cluster, from);
    return runs;
}

/* All that `from` has for `to`, commit indexes included. */
static inline void sync_with(struct cluster *cluster, uint32_t from, uint32_t to)
{
    int turns = 0;

    settle(cluster, from);
    do
        assert_true(turns++ < TURNS_LIMIT);
    while (send_append(cluster, from, to, true) > 0);
}

/* A beacon of `from` reaches `to`; its answer comes back unless `lost`. The pairs granted. */
static inline uint32_t send_beacon(struct cluster *cluster, uint32_t from, uint32_t to, bool lost)
{
    const struct rpc_procedure *procedure = &program_replica.procedures[REPLICA_BEACON];
    beacon_args said = {0}, args = {0};
    beacon_result answered = {0}, result = {0};
    beacon_pair refused[PARTITIONS];
    uint32_t granted, count = exchange_build_beacon(&cluster->servers[from].node, to,
                                                    cluster->now_ms, cluster->pairs, &said);

    if (count == 0)
        return 0;
    decode(cluster, procedure->xdr_args, encode(cluster, procedure->xdr_args, &said), &args);
    exchange_take_beacon(&cluster->servers[to].node, &args, cluster->now_ms, refused, &answered);
    xdr_free(procedure->xdr_args, (char *)&args);
    granted = count - answered.refused.refused_len;
    settle(cluster, to);
    decode(cluster, procedure->xdr_result, encode(cluster, procedure->xdr_result, &answered),
           &result);
    if (!lost)
        exchange_beacon_answered(&cluster->servers[from].node, to, cluster->pairs, count, &result,
                                 cluster->now_ms);
    xdr_free(procedure->xdr_result, (char *)&result);
    settle(cluster, from);
    return granted;
}

/* Time passes in small steps, for all servers that are open. */
static inline void pass(struct cluster *cluster, uint64_t ms)
{
    for (uint64_t end_ms = cluster->now_ms + ms; cluster->now_ms < end_ms;) {
        cluster->now_ms += 50;
        for (uint32_t i = 0; i < SERVERS; i++)
            if (cluster->servers[i].node.partitions != NULL) {
                node_tick(&cluster->servers[i].node, cluster->now_ms);
                settle(cluster, i);
            }
    }
}

/* --- reading and writing -----------------------------------------------------------------------
 */

static inline struct partition *partition_of(struct cluster *cluster, uint32_t id, uint32_t number)
{
    return &cluster->servers[id].node.partitions[number];
}

static inline bool serves(struct cluster *cluster, uint32_t id, uint32_t number)
{
    return replica_serves(&partition_of(cluster, id, number)->replica, cluster->now_ms);
}

static inline int try_to_propose(struct cluster *cluster, uint32_t id, uint32_t number,
                                 const char *key, size_t value_bytes, struct heard *heard)
{
    static uint8_t value[CAIRN_VALUE_LIMIT];
    static uint64_t request;
    struct entry *entry = entry_create();
    int status;

    assert_non_null(entry);
    entry->kind = COMMAND_PUT;
    entry->client = 9;
    entry->number = ++request;
    entry->item =
        item_create((const uint8_t *)key, (uint32_t)strlen(key), value, (uint32_t)value_bytes);
    *heard = (struct heard){.base.answer = hear};
    status = node_propose(&cluster->servers[id].node, partition_of(cluster, id, number), entry,
                          cluster->now_ms);
    if (status == CAIRN_OK)
        partition_add_waiter(entry, &heard->base);
    else
        entry_free(entry);
    return status;
}

static inline void propose(struct cluster *cluster, uint32_t id, uint32_t number, const char *key,
                           struct heard *heard)
{
    assert_int_equal(try_to_propose(cluster, id, number, key, 5, heard), CAIRN_OK);
}

static inline bool holds(struct cluster *cluster, uint32_t id, uint32_t number, const char *key)
{
    struct store *store = cluster->servers[id].node.store;
    struct store_value value;
    int status = store_get(store, number, (const uint8_t *)key, (uint32_t)strlen(key), &value);

    store_end_turn(store);
    return status == CAIRN_OK;
}

/* --- life --------------------------------------------------------------------------------------
 */

static inline int setup(void **state)
{
    struct cluster *cluster = calloc(1, sizeof *cluster);

    assert_non_null(cluster);
    log_set_level(LOG_ERROR);
    cluster->now_ms = START_MS;
    cluster->bytes = malloc(MESSAGE_BYTES);
    assert_non_null(cluster->bytes);
    assert_int_equal(append_builder_init(&cluster->builder), CAIRN_OK);
    for (uint32_t i = 0; i < SERVERS; i++) {
        scratch_create(cluster->servers[i].directory);
        open_server(cluster, i);
    }
    *state = cluster;
    return 0;
}

static inline int teardown(void **state)
{
    struct cluster *cluster = *state;

    for (uint32_t i = 0; i < SERVERS; i++) {
        if (cluster->servers[i].node.partitions != NULL)
            node_close(&cluster->servers[i].node);
        scratch_remove(cluster->servers[i].directory);
    }
    append_builder_free(&cluster->builder);
    free(cluster->bytes);
    free(cluster);
    return 0;
}

/* As kill -9 leaves it, and up again: it hears the newest configuration. */
static inline void restart(struct cluster *cluster, uint32_t id)
{
    node_close(&cluster->servers[id].node);
    open_server(cluster, id);
}

/* Server 0 leads all partitions, 1 is the other member; leases hold and no-ops are committed. */
static inline void start_pair(struct cluster *cluster)
{
    configure(cluster, "01", 0, "01", "");
    sync_with(cluster, 0, 1);
    (void)send_beacon(cluster, 0, 1, false);
    (void)send_beacon(cluster, 0, 1, false);
    assert_true(serves(cluster, 0, 0) && serves(cluster, 0, PARTITIONS - 1));
}

#endif
