/* The manager as a process on a real socket and a real directory: three servers (this test is all
 * of them) register, the map appears, proposals are accepted, and kill -9 or a clean stop loses
 * nothing that was answered (ARCHITECTURE.md W1, R10, R11). */
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

#include "base/file.h"
#include "manager/driver.h"
#include "manager/log.h"
#include "proto/identity.h"
#include "proto/programs.h"
#include "rpc/client.h"
#include "tests/unit/manager_fixture.h"

enum { CALL_TIMEOUT_MS = 20000, PIPELINED = 200 };

/* --- the manager's process --- */

struct report {
    int status;
    uint16_t port;
    uint64_t cluster;
    char message[ERROR_MESSAGE_MAX];
};

struct fixture {
    char directory[SCRATCH_PATH_MAX];
    struct address_list servers;
    struct manager_options options;
    pid_t pid;
    struct report report;
    uv_loop_t loop;
    struct rpc_client *client;
};

static void stop_child(uv_signal_t *signal, int number)
{
    (void)number;
    uv_close((uv_handle_t *)signal, NULL);
    manager_stop(signal->data, NULL, NULL);
}

static _Noreturn void run_child(const struct manager_options *options, int out)
{
    struct report report = {0};
    struct error error = {0};
    struct manager *manager;
    uv_loop_t loop;
    uv_signal_t signal;

    if (uv_loop_init(&loop) != 0)
        _exit(3);
    report.status = manager_start(&loop, options, &manager, &error);
    memcpy(report.message, error.message, sizeof report.message);
    if (report.status == 0) {
        report.port = manager_port(manager);
        report.cluster = manager_cluster(manager);
        signal.data = manager;
        if (uv_signal_init(&loop, &signal) != 0 ||
            uv_signal_start(&signal, stop_child, SIGTERM) != 0)
            _exit(3);
    }
    if (write(out, &report, sizeof report) != (ssize_t)sizeof report)
        _exit(3);
    (void)close(out);
    if (report.status == 0)
        (void)uv_run(&loop, UV_RUN_DEFAULT);
    _exit(uv_loop_close(&loop) == 0 ? 0 : 4);
}

/* Starts a manager and reads how that went; with status 0 it runs and a client is open. */
static void start(struct fixture *fixture)
{
    struct address address = {.host = "127.0.0.1"};
    int ends[2];

    assert_int_equal(pipe(ends), 0);
    (void)fflush(NULL);
    fixture->pid = fork();
    assert_true(fixture->pid >= 0);
    if (fixture->pid == 0) {
        (void)close(ends[0]);
        run_child(&fixture->options, ends[1]);
    }
    (void)close(ends[1]);
    assert_int_equal(read(ends[0], &fixture->report, sizeof fixture->report),
                     sizeof fixture->report);
    (void)close(ends[0]);
    if (fixture->report.status != 0) {
        int status;

        assert_int_equal(waitpid(fixture->pid, &status, 0), fixture->pid);
        fixture->pid = 0;
        return;
    }
    address.port = fixture->report.port;
    assert_int_equal(rpc_client_open(&fixture->loop, &address, NULL, &fixture->client), 0);
}

static void stop(struct fixture *fixture, int signal)
{
    int status;

    rpc_client_close(fixture->client, NULL, NULL);
    (void)uv_run(&fixture->loop, UV_RUN_DEFAULT);
    fixture->client = NULL;
    assert_int_equal(kill(fixture->pid, signal), 0);
    assert_int_equal(waitpid(fixture->pid, &status, 0), fixture->pid);
    fixture->pid = 0;
    if (signal == SIGTERM)
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void restart(struct fixture *fixture, int signal)
{
    stop(fixture, signal);
    start(fixture);
    assert_int_equal(fixture->report.status, 0);
}

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);

    assert_non_null(fixture);
    scratch_create(fixture->directory);
    assert_int_equal(
        address_list_parse("127.0.0.1:3777,127.0.0.1:3778,127.0.0.1:3779", &fixture->servers, NULL),
        0);
    (void)snprintf(fixture->options.listen.host, sizeof fixture->options.listen.host, "127.0.0.1");
    fixture->options.servers = &fixture->servers;
    fixture->options.partitions = PARTITIONS;
    fixture->options.replicas = 2;
    fixture->options.data = fixture->directory;
    assert_int_equal(uv_loop_init(&fixture->loop), 0);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;

    if (fixture->client != NULL)
        stop(fixture, SIGKILL);
    assert_int_equal(uv_loop_close(&fixture->loop), 0);
    scratch_remove(fixture->directory);
    free(fixture);
    return 0;
}

/* --- calls --- */

struct answer {
    bool done;
    int status;
    enum manager_status result;
    char message[CAIRN_MESSAGE_LIMIT + 1];
    uint64_t version;
    bool has_map;
    struct cluster_map map;
    uint32_t accepted, refused;
    uint32_t replicas;           /* of a registration */
    uint32_t registered, moving; /* of a status */
    uint32_t wishes;             /* of a heartbeat */
    struct wish wish;            /* the first of them */
    uint32_t server, moves;      /* of an operator's call */
};

static void take_map(struct answer *answer, const struct view *map)
{
    answer->has_map = map->length > 0;
    if (answer->has_map)
        assert_int_equal(cluster_map_unpack(map->data, map->length, &answer->map, NULL), 0);
}

static void take_message(struct answer *answer, const struct view *message)
{
    memcpy(answer->message, message->data, message->length);
}

static void registered(void *context, int status, const void *data, const struct error *error)
{
    const struct register_result *result = data;
    struct answer *answer = context;

    (void)error;
    answer->done = true;
    answer->status = status;
    if (status != 0)
        return;
    answer->result = result->status;
    if (result->status != MANAGER_OK) {
        take_message(answer, &result->register_result_u.message);
        return;
    }
    assert_int_equal(result->register_result_u.done.partitions, PARTITIONS);
    answer->replicas = result->register_result_u.done.replicas;
    take_map(answer, &result->register_result_u.done.map);
}

static void beaten(void *context, int status, const void *data, const struct error *error)
{
    const struct heartbeat_result *result = data;
    struct answer *answer = context;

    (void)error;
    answer->done = true;
    answer->status = status;
    if (status != 0)
        return;
    answer->result = result->status;
    if (result->status != MANAGER_OK) {
        take_message(answer, &result->heartbeat_result_u.message);
        return;
    }
    answer->version = result->heartbeat_result_u.done.map_version;
    answer->wishes = result->heartbeat_result_u.done.wishes.wishes_len;
    if (answer->wishes > 0)
        answer->wish = result->heartbeat_result_u.done.wishes.wishes_val[0];
    take_map(answer, &result->heartbeat_result_u.done.map);
}

static void mapped(void *context, int status, const void *data, const struct error *error)
{
    const struct map_result *result = data;
    struct answer *answer = context;

    (void)error;
    answer->done = true;
    answer->status = status;
    if (status != 0)
        return;
    answer->result = result->status;
    if (result->status != MANAGER_OK) {
        take_message(answer, &result->map_result_u.message);
        return;
    }
    answer->version = result->map_result_u.done.map_version;
    take_map(answer, &result->map_result_u.done.map);
}

static void proposed(void *context, int status, const void *data, const struct error *error)
{
    const struct propose_result *result = data;
    struct answer *answer = context;

    (void)error;
    answer->done = true;
    answer->status = status;
    if (status != 0)
        return;
    answer->result = result->status;
    if (result->status != MANAGER_OK) {
        take_message(answer, &result->propose_result_u.message);
        return;
    }
    answer->version = result->propose_result_u.done.map_version;
    for (uint32_t i = 0; i < result->propose_result_u.done.results.results_len; i++) {
        if (result->propose_result_u.done.results.results_val[i].status == MANAGER_OK)
            answer->accepted++;
        else
            answer->refused++;
    }
}

static void reported(void *context, int status, const void *data, const struct error *error)
{
    const struct manager_status_result *result = data;
    struct answer *answer = context;

    (void)error;
    answer->done = true;
    answer->status = status;
    if (status != 0)
        return;
    answer->result = result->status;
    assert_int_equal(result->status, MANAGER_OK);
    for (uint32_t i = 0; i < result->manager_status_result_u.report.servers.servers_len; i++)
        answer->registered +=
            result->manager_status_result_u.report.servers.servers_val[i].registered != 0;
    answer->moving = result->manager_status_result_u.report.moving.moving_len;
    take_map(answer, &result->manager_status_result_u.report.map);
}

static void operated(void *context, int status, const void *data, const struct error *error)
{
    const struct admin_result *result = data;
    struct answer *answer = context;

    (void)error;
    answer->done = true;
    answer->status = status;
    if (status != 0)
        return;
    answer->result = result->status;
    if (result->status != MANAGER_OK) {
        take_message(answer, &result->admin_result_u.message);
        return;
    }
    take_message(answer, &result->admin_result_u.done.message);
    answer->server = result->admin_result_u.done.server;
    answer->moves = result->admin_result_u.done.moves.moves_len;
}

static void begin_call(struct fixture *fixture, uint32_t procedure, const void *args, rpc_done done,
                       struct answer *answer)
{
    memset(answer, 0, sizeof *answer);
    assert_int_equal(rpc_client_call(fixture->client, &program_manager, procedure, args,
                                     CALL_TIMEOUT_MS, done, answer, NULL),
                     0);
}

static void call(struct fixture *fixture, uint32_t procedure, const void *args, rpc_done done,
                 struct answer *answer)
{
    begin_call(fixture, procedure, args, done, answer);
    while (!answer->done)
        (void)uv_run(&fixture->loop, UV_RUN_ONCE);
    assert_int_equal(answer->status, 0);
}

static enum manager_status register_server(struct fixture *fixture, const struct registration *want,
                                           struct answer *answer)
{
    struct register_args args = {
        .who = identity_of(want->cluster, want->server, want->store, want->incarnation),
        .replace_store = want->replace_store};
    char own[32];

    (void)snprintf(own, sizeof own, "127.0.0.1:%u", FIRST_PORT + want->server);
    args.listen = view_of_text(want->listen != NULL ? want->listen : own);
    call(fixture, MANAGER_REGISTER, &args, registered, answer);
    return answer->result;
}

static void register_all(struct fixture *fixture, uint64_t cluster, uint64_t incarnation)
{
    for (uint32_t i = 0; i < SERVERS; i++) {
        struct answer answer;

        assert_int_equal(register_server(fixture,
                                         &(struct registration){.cluster = cluster,
                                                                .server = i,
                                                                .store = store_of(i),
                                                                .incarnation = incarnation},
                                         &answer),
                         MANAGER_OK);
        cluster_map_free(&answer.map);
    }
}

static void get_map(struct fixture *fixture, struct cluster_map *map)
{
    const struct map_args args = {.cluster = fixture->report.cluster};
    struct answer answer;

    call(fixture, MANAGER_GET_MAP, &args, mapped, &answer);
    assert_int_equal(answer.result, MANAGER_OK);
    assert_true(answer.has_map && answer.version == answer.map.version);
    *map = answer.map;
}

/* Each of the server's partitions gets it as primary in the next epoch, as after its restart. */
struct batch {
    struct buffer bytes;
    struct proposal proposals[PARTITIONS];
    struct propose_args args;
};

static void lead_all(struct batch *batch, const struct cluster_map *map, uint32_t server,
                     uint64_t incarnation)
{
    memset(batch, 0, sizeof *batch);
    batch->args.who = identity_of(map->cluster, server, store_of(server), incarnation);
    batch->args.proposals.proposals_val = batch->proposals;
    buffer_init(&batch->bytes, PARTITIONS * CAIRN_PACKED_LIMIT);
    assert_int_equal(buffer_reserve(&batch->bytes, PARTITIONS * CAIRN_PACKED_LIMIT), 0);
    for (uint32_t i = 0; i < PARTITIONS; i++) {
        struct proposal *wanted = &batch->proposals[batch->args.proposals.proposals_len];
        struct configuration next = map->configurations[i];
        const size_t before = batch->bytes.length;

        if (!configuration_has_member(&next, server, store_of(server)))
            continue;
        wanted->expected_epoch = next.epoch++;
        next.primary = (struct replica_id){server, store_of(server), incarnation};
        assert_int_equal(configuration_pack(&next, &batch->bytes, NULL), 0);
        wanted->configuration.data = batch->bytes.data + before;
        wanted->configuration.length = (uint32_t)(batch->bytes.length - before);
        batch->args.proposals.proposals_len++;
    }
}

static void assert_same_maps(struct cluster_map *left, struct cluster_map *right)
{
    struct buffer a, b;

    buffer_init(&a, CAIRN_MAP_LIMIT);
    buffer_init(&b, CAIRN_MAP_LIMIT);
    assert_int_equal(cluster_map_pack(left, &a, NULL), 0);
    assert_int_equal(cluster_map_pack(right, &b, NULL), 0);
    assert_int_equal(a.length, b.length);
    assert_memory_equal(a.data, b.data, a.length);
    buffer_free(&a);
    buffer_free(&b);
    cluster_map_free(left);
    cluster_map_free(right);
}

/* --- the tests --- */

static void the_map_appears_and_outlives_restarts(void **state)
{
    struct fixture *fixture = *state;
    const struct map_args any = {0};
    struct answer answer;
    struct cluster_map before, after;
    uint64_t cluster;

    start(fixture);
    assert_int_equal(fixture->report.status, 0);
    call(fixture, MANAGER_GET_MAP, &any, mapped, &answer);
    assert_int_equal(answer.result, MANAGER_WAITING);
    assert_non_null(strstr(answer.message, "waiting for 3 of 3"));
    register_all(fixture, 0, 1);
    get_map(fixture, &before);
    cluster = fixture->report.cluster;
    assert_true(before.cluster == cluster && cluster != 0);
    assert_non_null(before.configurations);
    restart(fixture, SIGTERM);
    assert_true(fixture->report.cluster == cluster);
    get_map(fixture, &after);
    assert_same_maps(&before, &after);
    get_map(fixture, &before);
    restart(fixture, SIGKILL);
    assert_true(fixture->report.cluster == cluster);
    get_map(fixture, &after);
    assert_same_maps(&before, &after);
}

static void an_accepted_proposal_survives_kill(void **state)
{
    struct fixture *fixture = *state;

    start(fixture);
    register_all(fixture, 0, 1);
    for (uint64_t round = 2; round < 8; round++) {
        const uint32_t server = (uint32_t)(round % SERVERS);
        const struct registration again = {.cluster = fixture->report.cluster,
                                           .server = server,
                                           .store = store_of(server),
                                           .incarnation = round};
        struct cluster_map before, after;
        struct answer answer;
        struct batch batch;

        assert_int_equal(register_server(fixture, &again, &answer), MANAGER_OK);
        lead_all(&batch, &answer.map, server, round);
        cluster_map_free(&answer.map);
        call(fixture, MANAGER_PROPOSE, &batch.args, proposed, &answer);
        assert_int_equal(answer.result, MANAGER_OK);
        assert_int_equal(answer.accepted, batch.args.proposals.proposals_len);
        restart(fixture, SIGKILL);
        get_map(fixture, &after);
        assert_true(after.version == answer.version);
        for (uint32_t i = 0; i < PARTITIONS; i++)
            if (configuration_has_member(&after.configurations[i], server, store_of(server)))
                assert_true(after.configurations[i].primary.server == server &&
                            after.configurations[i].primary.incarnation == round);
        /* The same proposals once more are at a past epoch. */
        call(fixture, MANAGER_PROPOSE, &batch.args, proposed, &answer);
        assert_int_equal(answer.refused, batch.args.proposals.proposals_len);
        get_map(fixture, &before);
        assert_same_maps(&before, &after);
        buffer_free(&batch.bytes);
    }
}

/* A crash between the last registration and the placement: the next start places. */
static void placement_is_made_up_for(void **state)
{
    struct fixture *fixture = *state;
    struct membership *membership = new_membership(2), *none;
    struct manager_log log;
    struct cluster_map map;
    char wal[80];

    (void)snprintf(wal, sizeof wal, "%s/wal", fixture->directory);
    assert_int_equal(manager_log_open(&log, wal, PARTITIONS, 2, 1000, &none, NULL), 0);
    manager_log_append_map(&log, membership);
    for (uint32_t i = 0; i < SERVERS; i++)
        register_one(membership, i, 1000);
    assert_int_equal(membership->changes[--membership->change_count].kind, CHANGE_PLACED);
    manager_log_append(&log, membership);
    manager_log_flush(&log);
    manager_log_close(&log);
    start(fixture);
    assert_int_equal(fixture->report.status, 0);
    assert_true(fixture->report.cluster == CLUSTER);
    get_map(fixture, &map);
    assert_same_maps(&map, &membership->map);
    membership_free(membership);
}

static void a_restarted_manager_still_knows_every_store(void **state)
{
    struct fixture *fixture = *state;
    struct registration wanted = {.server = 1, .store = store_of(1), .incarnation = 2};
    struct answer answer;

    start(fixture);
    register_all(fixture, 0, 3);
    restart(fixture, SIGKILL);
    wanted.cluster = fixture->report.cluster;
    assert_int_equal(register_server(fixture, &wanted, &answer), MANAGER_STALE);
    wanted.store = 0x777;
    assert_int_equal(register_server(fixture, &wanted, &answer), MANAGER_DUPLICATE_ID);
    wanted.cluster = 0;
    assert_int_equal(register_server(fixture, &wanted, &answer), MANAGER_WIPED_STORE);
    assert_non_null(strstr(answer.message, "0000000000005001"));
    wanted.replace_store = true;
    assert_int_equal(register_server(fixture, &wanted, &answer), MANAGER_OK);
    cluster_map_free(&answer.map);
    restart(fixture, SIGTERM);
    wanted.store = store_of(1);
    wanted.incarnation = 9;
    assert_int_equal(register_server(fixture, &wanted, &answer), MANAGER_DUPLICATE_ID);
    assert_non_null(strstr(answer.message, "replaced"));
    wanted.listen = "127.0.0.1:3779";
    assert_int_equal(register_server(fixture, &wanted, &answer), MANAGER_WRONG_ADDRESS);
}

static void heartbeats_and_status_answer(void **state)
{
    struct fixture *fixture = *state;
    const struct manager_status_args status = {0};
    struct heartbeat_args beat = {0};
    struct answer answer;

    start(fixture);
    call(fixture, MANAGER_STATUS, &status, reported, &answer);
    assert_true(answer.registered == 0 && !answer.has_map);
    register_all(fixture, 0, 1);
    call(fixture, MANAGER_STATUS, &status, reported, &answer);
    assert_true(answer.registered == SERVERS && answer.has_map);
    cluster_map_free(&answer.map);
    beat.who = identity_of(fixture->report.cluster, 2, store_of(2), 1);
    call(fixture, MANAGER_HEARTBEAT, &beat, beaten, &answer);
    assert_true(answer.result == MANAGER_OK && answer.has_map);
    beat.map_version = answer.version;
    cluster_map_free(&answer.map);
    call(fixture, MANAGER_HEARTBEAT, &beat, beaten, &answer);
    assert_true(answer.result == MANAGER_OK && !answer.has_map);
    beat.who.incarnation = 0;
    call(fixture, MANAGER_HEARTBEAT, &beat, beaten, &answer);
    assert_int_equal(answer.result, MANAGER_INVALID);
}

static void beat_as(struct fixture *fixture, uint32_t server, struct answer *answer)
{
    const struct heartbeat_args args = {
        .who = identity_of(fixture->report.cluster, server, store_of(server), 1)};

    call(fixture, MANAGER_HEARTBEAT, &args, beaten, answer);
    assert_int_equal(answer->result, MANAGER_OK);
    cluster_map_free(&answer->map);
}

static enum manager_status operate(struct fixture *fixture, const struct admin_args *args,
                                   struct answer *answer)
{
    call(fixture, MANAGER_ADMIN, args, operated, answer);
    return answer->result;
}

static void what_operators_ask_survives_kill(void **state)
{
    struct fixture *fixture = *state;
    struct admin_args add = {.kind = ADMIN_ADD_SERVER, .address = view_of_text("127.0.0.1:3780")};
    struct admin_args args = {.kind = ADMIN_MOVE, .server = SERVERS};
    struct registration fourth = {.server = SERVERS, .store = store_of(SERVERS), .incarnation = 1};
    const struct manager_status_args status = {0};
    struct cluster_map map;
    struct answer answer;
    uint32_t primary;

    start(fixture);
    register_all(fixture, 0, 1);
    for (int again = 0; again < 2; again++) {
        assert_int_equal(operate(fixture, &add, &answer), MANAGER_OK);
        assert_int_equal(answer.server, SERVERS);
        restart(fixture, SIGKILL);
    }
    assert_int_equal(register_server(fixture, &fourth, &answer), MANAGER_OK);
    primary = answer.map.configurations[0].primary.server;
    cluster_map_free(&answer.map);
    assert_int_equal(operate(fixture, &args, &answer), MANAGER_OK);
    assert_int_equal(answer.moves, 1);
    args.kind = ADMIN_DRAIN;
    args.server = primary == 0 ? 1 : 0;
    assert_int_equal(operate(fixture, &args, &answer), MANAGER_OK);
    restart(fixture, SIGKILL);
    get_map(fixture, &map);
    assert_int_equal(map.targets[0].primary, SERVERS);
    assert_true(map.servers[args.server].draining);
    cluster_map_free(&map);
    call(fixture, MANAGER_STATUS, &status, reported, &answer);
    assert_true(answer.moving > 0);
    cluster_map_free(&answer.map);
    /* R11: the primary is asked for the first step, once the new copy's server is heard. */
    beat_as(fixture, SERVERS, &answer);
    beat_as(fixture, primary, &answer);
    assert_true(answer.wishes > 0);
    assert_int_equal(answer.wish.partition, 0);
    assert_int_equal(answer.wish.kind, WISH_LEARNER);
    assert_int_equal(answer.wish.server, SERVERS);
    assert_true(answer.wish.store == store_of(SERVERS));
    args.kind = ADMIN_REMOVE_SERVER;
    assert_int_equal(operate(fixture, &args, &answer), MANAGER_INVALID);
    assert_non_null(strstr(answer.message, "still holds"));
}

/* The process repairs targets by itself: a server that stays silent is replaced. */
static void a_silent_server_loses_its_copies(void **state)
{
    struct fixture *fixture = *state;
    struct cluster_map map;
    struct answer answer;
    bool left;

    fixture->options.replace_after_ms = 1;
    start(fixture);
    register_all(fixture, 0, 1);
    do {
        left = false;
        beat_as(fixture, 0, &answer);
        beat_as(fixture, 1, &answer);
        get_map(fixture, &map);
        for (uint32_t i = 0; i < PARTITIONS; i++)
            left = left || target_has(&map.targets[i], 2);
        cluster_map_free(&map);
    } while (left);
}

/* Many calls at once: the log takes them in batches, every one is answered, exactly one of those
 * that compete for an epoch wins. */
static void pipelined_proposals_are_all_answered(void **state)
{
    static struct answer answers[PIPELINED];
    struct fixture *fixture = *state;
    struct cluster_map map;
    struct batch batch;
    uint32_t accepted = 0;

    start(fixture);
    register_all(fixture, 0, 1);
    get_map(fixture, &map);
    lead_all(&batch, &map, 0, 1);
    cluster_map_free(&map);
    for (int i = 0; i < PIPELINED; i++)
        begin_call(fixture, MANAGER_PROPOSE, &batch.args, proposed, &answers[i]);
    for (int i = 0; i < PIPELINED; i++) {
        while (!answers[i].done)
            (void)uv_run(&fixture->loop, UV_RUN_ONCE);
        assert_int_equal(answers[i].status, 0);
        assert_int_equal(answers[i].accepted + answers[i].refused,
                         batch.args.proposals.proposals_len);
        accepted += answers[i].accepted;
    }
    assert_int_equal(accepted, batch.args.proposals.proposals_len);
    buffer_free(&batch.bytes);
}

/* --- what must not start --- */

static void expect_failure(struct fixture *fixture, int status, const char *words)
{
    start(fixture);
    assert_int_equal(fixture->report.status, status);
    if (strstr(fixture->report.message, words) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", fixture->report.message, words);
}

static void contradicting_options_are_refused(void **state)
{
    struct fixture *fixture = *state;
    const struct manager_options agreeing = fixture->options;
    struct address_list other = fixture->servers;

    start(fixture);
    stop(fixture, SIGTERM);
    fixture->options.partitions = 16;
    expect_failure(fixture, CAIRN_EINVAL, "--partitions 16 contradicts");
    expect_failure(fixture, CAIRN_EINVAL, "stores --partitions 8");
    fixture->options = agreeing;
    fixture->options.replicas = 1;
    expect_failure(fixture, CAIRN_EINVAL, "--replicas 1 contradicts");
    expect_failure(fixture, CAIRN_EINVAL, "stores --replicas 2");
    fixture->options = agreeing;
    fixture->options.servers = &other;
    other.items[1].port = 9999;
    expect_failure(fixture, CAIRN_EINVAL, "127.0.0.1:9999");
    expect_failure(fixture, CAIRN_EINVAL, "stores --servers 127.0.0.1:3777,127.0.0.1:3778");
    other = fixture->servers;
    other.count = 2;
    expect_failure(fixture, CAIRN_EINVAL, "--servers 127.0.0.1:3777,127.0.0.1:3778 contradicts");
    /* Nothing said, nothing contradicted. */
    fixture->options.servers = NULL;
    fixture->options.partitions = fixture->options.replicas = 0;
    start(fixture);
    assert_int_equal(fixture->report.status, 0);
}

/* Servers were added and removed since: what was said at founding is as good as what is there. */
static void both_lists_of_servers_are_accepted(void **state)
{
    struct fixture *fixture = *state;
    struct admin_args args = {.kind = ADMIN_ADD_SERVER, .address = view_of_text("127.0.0.1:3780")};
    struct address_list present = fixture->servers;
    struct answer answer;

    start(fixture);
    register_all(fixture, 0, 1);
    assert_int_equal(operate(fixture, &args, &answer), MANAGER_OK);
    args.address = view_of_text("127.0.0.1:3781");
    assert_int_equal(operate(fixture, &args, &answer), MANAGER_OK);
    /* Server 3 never came and goes again. */
    args.server = 3;
    args.kind = ADMIN_DRAIN;
    assert_int_equal(operate(fixture, &args, &answer), MANAGER_OK);
    args.kind = ADMIN_REMOVE_SERVER;
    assert_int_equal(operate(fixture, &args, &answer), MANAGER_OK);
    restart(fixture, SIGTERM);
    fixture->options.servers = &present;
    present.items[3] = present.items[0];
    present.items[3].port = 3781;
    present.count = 4;
    restart(fixture, SIGTERM);
    stop(fixture, SIGTERM);
    present.items[3].port = 3780;
    expect_failure(fixture, CAIRN_EINVAL, "127.0.0.1:3780 contradicts");
    expect_failure(fixture, CAIRN_EINVAL, "was founded with 127.0.0.1:3777");
    expect_failure(fixture, CAIRN_EINVAL,
                   "has 127.0.0.1:3777,127.0.0.1:3778,127.0.0.1:3779,127.0.0.1:3781 now");
    present.count = 2;
    expect_failure(fixture, CAIRN_EINVAL, "contradicts");
}

static void founding_decides_how_many_copies(struct fixture *fixture, uint32_t servers,
                                             uint32_t replicas)
{
    struct answer answer = {0};

    fixture->servers.count = servers;
    start(fixture);
    assert_int_equal(fixture->report.status, 0);
    for (uint32_t i = 0; i < servers; i++) {
        const struct registration one = {.server = i, .store = store_of(i), .incarnation = 1};

        cluster_map_free(&answer.map);
        assert_int_equal(register_server(fixture, &one, &answer), MANAGER_OK);
    }
    assert_int_equal(answer.replicas, replicas);
    assert_int_equal(answer.map.replicas, replicas);
    cluster_map_free(&answer.map);
    stop(fixture, SIGTERM);
}

static void copies_default_to_two_where_there_can_be_two(void **state)
{
    struct fixture *fixture = *state;
    char other[80];

    fixture->options.replicas = 0;
    founding_decides_how_many_copies(fixture, 2, 2);
    (void)snprintf(other, sizeof other, "%s/other", fixture->directory);
    fixture->options.data = other;
    founding_decides_how_many_copies(fixture, 1, 1);
}

static void impossible_options_are_refused(void **state)
{
    struct fixture *fixture = *state;
    const struct manager_options possible = fixture->options;
    struct address_list twins = fixture->servers;

    fixture->options.replicas = 4;
    expect_failure(fixture, CAIRN_EINVAL, "--replicas 4: more copies than the 3 servers");
    fixture->options = possible;
    twins.items[2] = twins.items[0];
    fixture->options.servers = &twins;
    expect_failure(fixture, CAIRN_EINVAL, "127.0.0.1:3777 is named twice");
    fixture->options.servers = NULL;
    expect_failure(fixture, CAIRN_EINVAL, "--servers is needed");
}

static void unavailable_resources_are_named(void **state)
{
    struct fixture *fixture = *state;
    struct fixture second;
    char other[80];

    start(fixture);
    second = *fixture;
    expect_failure(&second, CAIRN_EBUSY, fixture->directory);
    (void)snprintf(other, sizeof other, "%s/other", fixture->directory);
    second.options.data = other;
    second.options.listen.port = fixture->report.port;
    expect_failure(&second, CAIRN_EIO, "127.0.0.1:");
    (void)snprintf(other, sizeof other, "%s/LOCK", fixture->directory);
    expect_failure(&second, CAIRN_EIO, "LOCK");
}

static void foreign_directories_are_refused(void **state)
{
    struct fixture *fixture = *state;
    struct identity identity = {
        .role = IDENTITY_SERVER, .cluster = CLUSTER, .store = 5, .incarnation = 1};
    struct buffer file;
    char path[96];

    assert_int_equal(identity_save(fixture->directory, &identity, NULL), 0);
    expect_failure(fixture, CAIRN_ECONFLICT, fixture->directory);
    /* A journal that is gone is not a new cluster (R10). */
    identity.role = IDENTITY_MANAGER;
    assert_int_equal(identity_save(fixture->directory, &identity, NULL), 0);
    expect_failure(fixture, CAIRN_ECORRUPT, "cluster 00000000000000c1");
    /* Bytes 8 and 9 of the file are the format's major version. */
    (void)snprintf(path, sizeof path, "%s/IDENTITY", fixture->directory);
    buffer_init(&file, 65536);
    assert_int_equal(file_read(path, &file, NULL), 0);
    file.data[8]++;
    assert_int_equal(file_replace(path, file.data, file.length, NULL), 0);
    expect_failure(fixture, CAIRN_EVERSION, "IDENTITY");
    buffer_free(&file);
}

static void another_clusters_journal_is_refused(void **state)
{
    struct fixture *fixture = *state;
    struct identity identity;

    start(fixture);
    stop(fixture, SIGTERM);
    assert_int_equal(identity_load(fixture->directory, IDENTITY_MANAGER, &identity, NULL), 0);
    assert_true(identity.cluster == fixture->report.cluster && identity.incarnation == 1);
    identity.cluster ^= 1;
    assert_int_equal(identity_save(fixture->directory, &identity, NULL), 0);
    expect_failure(fixture, CAIRN_ECONFLICT, "IDENTITY");
}

#define SERVICE_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SERVICE_TEST(the_map_appears_and_outlives_restarts),
        SERVICE_TEST(an_accepted_proposal_survives_kill),
        SERVICE_TEST(placement_is_made_up_for),
        SERVICE_TEST(a_restarted_manager_still_knows_every_store),
        SERVICE_TEST(heartbeats_and_status_answer),
        SERVICE_TEST(what_operators_ask_survives_kill),
        SERVICE_TEST(a_silent_server_loses_its_copies),
        SERVICE_TEST(pipelined_proposals_are_all_answered),
        SERVICE_TEST(contradicting_options_are_refused),
        SERVICE_TEST(both_lists_of_servers_are_accepted),
        SERVICE_TEST(copies_default_to_two_where_there_can_be_two),
        SERVICE_TEST(impossible_options_are_refused),
        SERVICE_TEST(unavailable_resources_are_named),
        SERVICE_TEST(foreign_directories_are_refused),
        SERVICE_TEST(another_clusters_journal_is_refused),
    };

    (void)signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
