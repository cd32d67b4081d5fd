/* A node that leads all its partitions alone, served over a real connection: clients that read and
 * write, and the agents of hosts that cache. The test turns the loop; the log becomes durable with
 * each turn unless it is stalled. */
#ifndef CAIRN_TESTS_UNIT_HOSTS_FIXTURE_H
#define CAIRN_TESTS_UNIT_HOSTS_FIXTURE_H

#include "base/log.h"
#include "proto/bucket.h"
#include "proto/cache_rpc.h"
#include "server/hosts.h"
#include "server/requests.h"
#include "tests/lib/scratch.h"
#include "tests/unit/rpc_fixture.h"

enum { PARTITIONS = 4, STORE = 4711, CLUSTER = 77, SESSION = 9001, OTHER = 9002, WRITER = 5 };
enum { LONG_MS = 60000, TURNS = 30 };

struct side {
    char directory[SCRATCH_PATH_MAX];
    uv_loop_t loop;
    struct rpc_server *server;
    struct rpc_client *client, *agent;
    struct rpc_service services[2];
    struct node node;
    uint64_t incarnation, epoch, number;
    bool stalled; /* nothing becomes durable */
    uint32_t closing;
};

/* What came back of a call; answers are copied. */
struct reply {
    bool done;
    int status; /* of the call */
    int code;   /* server_status or cache_status */
    uint64_t granted, granted_ms, number;
    bool all;
    uint32_t count; /* of buckets or pairs */
    uint32_t buckets[8];
    char value[32];
};

static inline void ignore_checkpoint(void *context)
{
    (void)context;
}

/* --- the node ----------------------------------------------------------------------------------
 */

static inline int try_to_open_node(struct side *side, uint64_t host_lease_ms, struct error *error)
{
    struct node_options options = {
        .directory = side->directory,
        .identity = {.role = IDENTITY_SERVER,
                     .cluster = CLUSTER,
                     .server = 0,
                     .store = STORE,
                     .incarnation = ++side->incarnation,
                     .partitions = PARTITIONS},
        .partitions = PARTITIONS,
        .wal_backend = WAL_BACKEND_INLINE,
        .segment_bytes = 4 << 20,
        .map_bytes = 64 << 20,
        .memtable_limit_bytes = 64 << 20,
        .host_lease_ms = host_lease_ms,
        .checkpoint_done = ignore_checkpoint,
    };

    return node_open(&side->node, &options, clock_now_ms(), error);
}

static inline void settle(struct side *side)
{
    struct node *node = &side->node;

    do {
        node_end_turn(node, false);
        node_durable(node, wal_complete(node->journal.wal), clock_now_ms());
    } while (wal_waiting(node->journal.wal));
}

static inline void hear_all(struct side *side, uint64_t incarnation)
{
    struct replica_id self = {.server = 0, .store = STORE, .incarnation = incarnation};

    for (uint32_t i = 0; i < PARTITIONS; i++) {
        struct configuration configuration = {.partition = i,
                                              .history = 1,
                                              .epoch = side->epoch,
                                              .primary = self,
                                              .member_count = 1,
                                              .members = {self}};

        configuration.members[0].incarnation = 0;
        node_hear_configuration(&side->node, &configuration, clock_now_ms());
    }
}

/* Opens the node and makes it lead; after a restart in a new epoch (R3). */
static inline void open_node(struct side *side, uint64_t host_lease_ms)
{
    struct error error = {0};

    assert_int_equal(try_to_open_node(side, host_lease_ms, &error), CAIRN_OK);
    assert_int_equal(hosts_open(&side->node), CAIRN_OK);
    if (side->epoch > 0)
        hear_all(side, side->incarnation - 1);
    side->epoch++;
    hear_all(side, side->incarnation);
    settle(side);
}

static inline void close_node(struct side *side)
{
    hosts_close(&side->node);
    node_close(&side->node);
}

/* --- the loop ----------------------------------------------------------------------------------
 */

static inline void turn(struct side *side)
{
    (void)uv_run(&side->loop, UV_RUN_NOWAIT);
    if (side->node.hosts == NULL)
        return;
    if (!side->stalled)
        settle(side);
    hosts_pump(&side->node);
}

/* What can happen has happened. */
static inline void turns(struct side *side)
{
    for (int i = 0; i < TURNS; i++)
        turn(side);
}

#define TURN_UNTIL(side, condition)                                                                \
    do {                                                                                           \
        uint64_t turn_until_end = clock_now_ms() + WAIT_MS;                                        \
        while (!(condition)) {                                                                     \
            assert_true(clock_now_ms() < turn_until_end);                                          \
            turn(side);                                                                            \
        }                                                                                          \
    } while (0)

/* --- calls -------------------------------------------------------------------------------------
 */

static inline struct reply *taken(void *context, int status)
{
    struct reply *reply = context;

    assert_false(reply->done);
    reply->done = true;
    reply->status = status;
    return reply;
}

static inline void on_get(void *context, int status, const void *result, const struct error *error)
{
    struct reply *reply = taken(context, status);
    const get_result *get = result;

    (void)error;
    if (status != 0)
        return;
    reply->code = (int)get->status;
    if (get->status == SERVER_OK) {
        const get_found *found = &get->get_result_u.found;

        assert_true(found->value.length < sizeof reply->value);
        memcpy(reply->value, found->value.data, found->value.length);
        reply->granted = found->granted;
    }
}

static inline void on_put(void *context, int status, const void *result, const struct error *error)
{
    struct reply *reply = taken(context, status);

    (void)error;
    if (status == 0)
        reply->code = (int)((const put_result *)result)->status;
}

static inline void on_delete(void *context, int status, const void *result,
                             const struct error *error)
{
    struct reply *reply = taken(context, status);

    (void)error;
    if (status == 0)
        reply->code = (int)((const delete_result *)result)->status;
}

static inline void on_scan(void *context, int status, const void *result, const struct error *error)
{
    struct reply *reply = taken(context, status);
    const scan_result *scan = result;

    (void)error;
    if (status != 0)
        return;
    reply->code = (int)scan->status;
    if (scan->status == SERVER_OK)
        reply->count = scan->scan_result_u.page.pairs.pairs_len;
}

static inline void on_lease(void *context, int status, const void *result,
                            const struct error *error)
{
    struct reply *reply = taken(context, status);
    const cache_lease *lease = result;

    (void)error;
    if (status != 0)
        return;
    reply->code = (int)lease->status;
    reply->granted_ms = lease->granted_ms;
}

static inline void on_batch(void *context, int status, const void *result,
                            const struct error *error)
{
    struct reply *reply = taken(context, status);
    const cache_batch *batch = result;

    (void)error;
    if (status != 0)
        return;
    reply->code = (int)batch->status;
    reply->number = batch->number;
    reply->all = batch->all;
    reply->count = batch->buckets.buckets_len;
    assert_true(reply->count <= 8);
    for (uint32_t i = 0; i < reply->count; i++)
        reply->buckets[i] = batch->buckets.buckets_val[i];
}

static inline void on_closed_session(void *context, int status, const void *result,
                                     const struct error *error)
{
    struct reply *reply = taken(context, status);

    (void)error;
    if (status == 0)
        reply->code = (int)((const cache_closed *)result)->status;
}

static inline void start(struct rpc_client *client, const struct rpc_program *program,
                         uint32_t procedure, const void *args, rpc_done done, struct reply *reply)
{
    *reply = (struct reply){0};
    assert_int_equal(
        rpc_client_call(client, program, procedure, args, 10 * LONG_MS, done, reply, NULL), 0);
}

static inline cairn_key key_of(const char *key)
{
    return (cairn_key){(const uint8_t *)key, (uint32_t)strlen(key)};
}

static inline void get(struct side *side, const char *key, uint64_t session, struct reply *reply)
{
    get_args args = {.key = key_of(key), .cache_session = session};

    start(side->client, &program_server, SERVER_GET, &args, on_get, reply);
}

static inline void put_again(struct side *side, const char *key, const char *value, uint64_t number,
                             struct reply *reply)
{
    put_args args = {.client = WRITER,
                     .number = number,
                     .key = key_of(key),
                     .value = {(const uint8_t *)value, (uint32_t)strlen(value)}};

    start(side->client, &program_server, SERVER_PUT, &args, on_put, reply);
}

static inline void put(struct side *side, const char *key, const char *value, struct reply *reply)
{
    put_again(side, key, value, ++side->number, reply);
}

static inline void put_if(struct side *side, const char *key, uint64_t version, struct reply *reply)
{
    put_args args = {.client = WRITER,
                     .number = ++side->number,
                     .conditional = true,
                     .if_version = version,
                     .key = key_of(key),
                     .value = {(const uint8_t *)"", 0}};

    start(side->client, &program_server, SERVER_PUT, &args, on_put, reply);
}

static inline void delete_key(struct side *side, const char *key, struct reply *reply)
{
    delete_args args = {.client = WRITER, .number = ++side->number, .key = key_of(key)};

    start(side->client, &program_server, SERVER_DELETE, &args, on_delete, reply);
}

static inline void scan(struct side *side, struct reply *reply)
{
    u_int all[PARTITIONS] = {0, 1, 2, 3};
    scan_args args = {.limit_pairs = 100, .limit_bytes = 100000};

    args.partitions.partitions_len = PARTITIONS;
    args.partitions.partitions_val = all;
    start(side->client, &program_server, SERVER_SCAN, &args, on_scan, reply);
}

static inline void renew(struct side *side, uint64_t session, struct reply *reply)
{
    cache_renew_args args = {.session = session};

    start(side->agent, &program_cache, CACHE_RENEW, &args, on_lease, reply);
}

static inline void hear(struct side *side, uint64_t session, uint64_t answered, struct reply *reply)
{
    cache_listen_args args = {.session = session, .answered = answered};

    start(side->agent, &program_cache, CACHE_LISTEN, &args, on_batch, reply);
}

static inline struct reply open_session(struct side *side, uint64_t cluster, uint64_t session)
{
    cache_open_args args = {.cluster = cluster, .session = session};
    struct reply reply;

    start(side->agent, &program_cache, CACHE_OPEN, &args, on_lease, &reply);
    TURN_UNTIL(side, reply.done);
    return reply;
}

static inline struct reply close_session(struct side *side, uint64_t session)
{
    cache_close_args args = {.session = session};
    struct reply reply;

    start(side->agent, &program_cache, CACHE_CLOSE, &args, on_closed_session, &reply);
    TURN_UNTIL(side, reply.done);
    return reply;
}

static inline struct reply get_now(struct side *side, const char *key, uint64_t session)
{
    struct reply reply;

    get(side, key, session, &reply);
    TURN_UNTIL(side, reply.done);
    return reply;
}

static inline struct reply put_now(struct side *side, const char *key, const char *value)
{
    struct reply reply;

    put(side, key, value, &reply);
    TURN_UNTIL(side, reply.done);
    return reply;
}

/* --- life --------------------------------------------------------------------------------------
 */

static inline struct rpc_client *connect_to(struct side *side)
{
    struct address address = fixture_address(rpc_server_port(side->server));
    struct rpc_client *client;

    assert_int_equal(rpc_client_open(&side->loop, &address, NULL, &client), 0);
    return client;
}

static inline void count_closed(void *context)
{
    ((struct side *)context)->closing--;
}

static inline void hang_up(struct side *side, struct rpc_client *client)
{
    side->closing++;
    rpc_client_close(client, count_closed, side);
    TURN_UNTIL(side, side->closing == 0);
}

static inline struct side *side_open(uint64_t host_lease_ms)
{
    struct side *side = calloc(1, sizeof *side);
    struct address address = fixture_address(0);
    struct error error;

    assert_non_null(side);
    log_set_level(LOG_ERROR);
    scratch_create(side->directory);
    assert_int_equal(uv_loop_init(&side->loop), 0);
    side->services[0] = requests_service(&side->node);
    side->services[1] = hosts_service(&side->node);
    assert_int_equal(
        rpc_server_listen(&side->loop, &address, side->services, 2, NULL, &side->server, &error),
        0);
    side->client = connect_to(side);
    side->agent = connect_to(side);
    open_node(side, host_lease_ms);
    return side;
}

/* The connections go first, as when a server stops: what waits is answered to nobody. */
static inline void side_close(struct side *side)
{
    side->closing = 1;
    rpc_server_close(side->server, count_closed, side);
    TURN_UNTIL(side, side->closing == 0);
    hang_up(side, side->client);
    hang_up(side, side->agent);
    close_node(side);
    TURN_UNTIL(side, !uv_loop_alive(&side->loop));
    assert_int_equal(uv_loop_close(&side->loop), 0);
    scratch_remove(side->directory);
    free(side);
}

#endif
