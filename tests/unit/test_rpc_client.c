/* An RPC client: answers find their calls, every call ends once, and its end says truthfully
 * whether the call may have been executed. */
#include "rpc/client_internal.h"
#include "tests/unit/rpc_fixture.h"

enum { PENDING = 1, LONG_MS = 60000 };

struct outcome {
    int status; /* PENDING until done */
    unsigned times;
    char value[32];
    uint32_t value_length;
    char message[ERROR_MESSAGE_MAX];
    uint64_t done_ms;
};

static void on_done(void *context, int status, const void *result, const struct error *error)
{
    struct outcome *outcome = context;
    outcome->status = status;
    outcome->times++;
    outcome->done_ms = clock_now_ms();
    assert_true((status == 0) == (result != NULL));
    assert_true((status == 0) == (error == NULL));
    if (status == 0) {
        const get_result *got = result;
        const struct view *value = &got->get_result_u.found.value;
        assert_int_equal(got->status, SERVER_OK);
        outcome->value_length = value->length;
        memcpy(outcome->value, value->data, value->length < 32 ? value->length : 32);
    } else {
        (void)snprintf(outcome->message, sizeof outcome->message, "%s", error->message);
    }
}

static int call_get(struct rpc_client *client, const char *key, uint64_t timeout_ms,
                    struct outcome *outcome, uint64_t *id)
{
    get_args args = {.key = view_of_text(key)};
    *outcome = (struct outcome){.status = PENDING};
    int rc = rpc_client_call(client, &program_server, SERVER_GET, &args, timeout_ms, on_done,
                             outcome, id);
    assert_int_equal(outcome->status, PENDING); /* never from within */
    return rc;
}

static struct rpc_client *open_client(struct fixture *fixture, uint16_t port,
                                      const struct rpc_client_options *options)
{
    struct rpc_client *client;
    struct address address = fixture_address(port);
    assert_int_equal(rpc_client_open(&fixture->loop, &address, options, &client), 0);
    return client;
}

static void close_client(struct fixture *fixture, struct rpc_client *client)
{
    fixture->client_closed = false;
    rpc_client_close(client, fixture_on_closed, &fixture->client_closed);
    RUN_UNTIL(fixture, fixture->client_closed);
}

static void expect_got(struct fixture *fixture, struct outcome *outcome, const char *value)
{
    RUN_UNTIL(fixture, outcome->status != PENDING);
    assert_int_equal(outcome->status, 0);
    assert_int_equal(outcome->value_length, strlen(value));
    assert_memory_equal(outcome->value, value, strlen(value));
}

static void expect_failed(struct fixture *fixture, struct outcome *outcome, int status,
                          const char *text)
{
    RUN_UNTIL(fixture, outcome->status != PENDING);
    assert_int_equal(outcome->status, status);
    assert_non_null(strstr(outcome->message, text));
    assert_non_null(strstr(outcome->message, ":")); /* names the server first */
    assert_int_equal(outcome->times, 1);
}

static int setup(void **state)
{
    *state = fixture_open(NULL);
    return 0;
}

static int teardown(void **state)
{
    fixture_close(*state);
    return 0;
}

/* --- answers --------------------------------------------------------------- */

static void a_call_connects_and_is_answered(void **state)
{
    struct fixture *fixture = *state;
    struct outcome outcome;
    struct rpc_client *client = open_client(fixture, fixture->port, NULL);
    assert_false(rpc_client_connected(client));
    for (int i = 0; i < 3; i++) {
        assert_int_equal(call_get(client, "hello", LONG_MS, &outcome, NULL), 0);
        expect_got(fixture, &outcome, "hello");
        assert_true(rpc_client_connected(client));
    }
    assert_int_equal(fixture_stats(fixture).accepted, 1);
    close_client(fixture, client);
}

static void answers_in_any_order_find_their_calls(void **state)
{
    struct fixture *fixture = *state;
    enum { CALLS = 1000 };
    static struct outcome outcomes[CALLS];
    char key[16];
    struct rpc_client *client = open_client(fixture, fixture->port, NULL);
    fixture->behaviour = DEFER;
    for (int i = 0; i < CALLS; i++) {
        (void)snprintf(key, sizeof key, "key%d", i);
        assert_int_equal(call_get(client, key, LONG_MS, &outcomes[i], NULL), 0);
    }
    RUN_UNTIL(fixture, fixture->waiting_count == CALLS);
    for (size_t i = 0; i < CALLS; i++) {
        fixture_answer(fixture, i * 7 % CALLS); /* 7 and 1000 are coprime: each once */
    }
    for (int i = 0; i < CALLS; i++) {
        (void)snprintf(key, sizeof key, "key%d", i);
        expect_got(fixture, &outcomes[i], key);
        assert_int_equal(outcomes[i].times, 1);
    }
    close_client(fixture, client);
}

static void large_results_arrive_whole(void **state)
{
    struct fixture *fixture = *state;
    struct outcome outcome;
    static const uint32_t sizes[] = {0, 1, 65535, 65536, 300001, VALUE_MAX};
    struct rpc_client *client = open_client(fixture, fixture->port, NULL);
    memset(fixture_large, 'x', sizeof fixture_large);
    fixture->behaviour = LARGE;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        fixture->large_size = sizes[i];
        assert_int_equal(call_get(client, "k", LONG_MS, &outcome, NULL), 0);
        RUN_UNTIL(fixture, outcome.status != PENDING);
        assert_int_equal(outcome.status, 0);
        assert_int_equal(outcome.value_length, sizes[i]);
    }
    close_client(fixture, client);
}

static void names_are_resolved(void **state)
{
    struct fixture *fixture = *state;
    struct outcome outcome;
    struct rpc_client *client;
    struct address address = {.host = "localhost", .port = fixture->port};
    assert_int_equal(rpc_client_open(&fixture->loop, &address, NULL, &client), 0);
    assert_int_equal(call_get(client, "name", LONG_MS, &outcome, NULL), 0);
    expect_got(fixture, &outcome, "name"); /* also where ::1 comes first and refuses */
    close_client(fixture, client);
}

static void names_that_do_not_exist_are_unavailable(void **state)
{
    struct fixture *fixture = *state;
    struct outcome outcome;
    struct rpc_client *client;
    struct address address = {.host = "no-such-host.invalid", .port = fixture->port};
    assert_int_equal(rpc_client_open(&fixture->loop, &address, NULL, &client), 0);
    assert_int_equal(call_get(client, "name", LONG_MS, &outcome, NULL), 0);
    expect_failed(fixture, &outcome, CAIRN_EUNAVAILABLE, "no-such-host.invalid");
    assert_int_equal(call_get(client, "name", LONG_MS, &outcome, NULL), 0);
    close_client(fixture, client); /* with a resolution under way */
    assert_int_equal(outcome.status, CAIRN_EUNAVAILABLE);
}

/* --- refusals -------------------------------------------------------------- */

static void expect_call_failure(struct fixture *fixture, struct rpc_client *client,
                                const struct rpc_program *program, uint32_t procedure, int status,
                                const char *text)
{
    struct outcome outcome = {.status = PENDING};
    get_args args = {.key = view_of_text("k")};
    assert_int_equal(
        rpc_client_call(client, program, procedure, &args, LONG_MS, on_done, &outcome, NULL), 0);
    expect_failed(fixture, &outcome, status, text);
}

static void refusals_say_what_was_refused(void **state)
{
    struct fixture *fixture = *state;
    struct rpc_program other = program_server;
    struct rpc_client *client = open_client(fixture, fixture->port, NULL);
    other.version = 9;
    expect_call_failure(fixture, client, &other, SERVER_GET, CAIRN_EVERSION, "another version");
    other.number++;
    expect_call_failure(fixture, client, &other, SERVER_GET, CAIRN_EPROTO, "program");
    expect_call_failure(fixture, client, &program_server, SERVER_STATUS, CAIRN_EPROTO, "procedure");
    fixture->behaviour = FAIL;
    expect_call_failure(fixture, client, &program_server, SERVER_GET, CAIRN_EPROTO, "internal");
    assert_true(rpc_client_connected(client));
    assert_int_equal(fixture_stats(fixture).accepted, 1);
    close_client(fixture, client);
}

static void what_cannot_be_sent_is_refused_at_once(void **state)
{
    struct fixture *fixture = *state;
    struct rpc_client_options options = {.calls_limit = 2, .record_limit = 1000};
    struct outcome outcomes[3];
    static uint8_t big[2000];
    get_args long_key = {.key = {big, 481}};
    put_args large = {.key = view_of_text("k"), .value = {big, sizeof big}};
    struct rpc_client *client = open_client(fixture, fixture->port, &options);
    fixture->behaviour = DEFER;
    assert_int_equal(rpc_client_call(client, &program_server, SERVER_GET, &long_key, LONG_MS,
                                     on_done, NULL, NULL),
                     CAIRN_ETOOBIG);
    assert_int_equal(
        rpc_client_call(client, &program_server, SERVER_PUT, &large, LONG_MS, on_done, NULL, NULL),
        CAIRN_ETOOBIG);
    assert_int_equal(call_get(client, "a", LONG_MS, &outcomes[0], NULL), 0);
    assert_int_equal(call_get(client, "b", LONG_MS, &outcomes[1], NULL), 0);
    assert_int_equal(call_get(client, "c", LONG_MS, &outcomes[2], NULL), CAIRN_EFULL);
    RUN_UNTIL(fixture, fixture->waiting_count == 2);
    fixture_answer(fixture, 1);
    fixture_answer(fixture, 0);
    expect_got(fixture, &outcomes[0], "a");
    expect_got(fixture, &outcomes[1], "b");
    close_client(fixture, client);
}

/* --- time limits and cancelling -------------------------------------------- */

static void a_call_that_was_sent_and_times_out_is_unknown(void **state)
{
    struct fixture *fixture = *state;
    struct outcome slow;
    struct outcome fast;
    struct rpc_client *client = open_client(fixture, fixture->port, NULL);
    fixture->behaviour = DEFER;
    uint64_t start_ms = clock_now_ms();
    assert_int_equal(call_get(client, "slow", LONG_MS, &slow, NULL), 0);
    assert_int_equal(call_get(client, "fast", 60, &fast, NULL), 0);
    BLOCK_UNTIL(fixture, fast.status != PENDING); /* the client's own timer wakes it */
    expect_failed(fixture, &fast, CAIRN_EUNKNOWN, "timed out");
    assert_true(fast.done_ms - start_ms >= 60);
    /* the late answer is dropped, and the other call is not disturbed */
    fixture_answer(fixture, 1);
    fixture_answer(fixture, 0);
    expect_got(fixture, &slow, "slow");
    assert_int_equal(fast.times, 1);
    close_client(fixture, client);
}

static void time_limits_are_kept_in_any_order_of_the_calls(void **state)
{
    struct fixture *fixture = *state;
    static const uint64_t limits[] = {90, 30, 120, 60, 10};
    struct outcome outcomes[5];
    struct rpc_client *client = open_client(fixture, fixture->port, NULL);
    fixture->behaviour = DEFER;
    uint64_t start_ms = clock_now_ms();
    for (int i = 0; i < 5; i++) {
        assert_int_equal(call_get(client, "k", limits[i], &outcomes[i], NULL), 0);
    }
    for (int i = 0; i < 5; i++) {
        expect_failed(fixture, &outcomes[i], CAIRN_EUNKNOWN, "timed out");
        assert_true(outcomes[i].done_ms - start_ms >= limits[i]);
    }
    assert_true(outcomes[4].done_ms <= outcomes[1].done_ms);
    assert_true(outcomes[1].done_ms <= outcomes[3].done_ms);
    assert_true(outcomes[0].done_ms <= outcomes[2].done_ms);
    for (size_t i = 0; i < fixture->waiting_count; i++) {
        fixture_answer(fixture, i);
    }
    close_client(fixture, client);
}

static void a_cancelled_call_ends_once_and_later(void **state)
{
    struct fixture *fixture = *state;
    struct outcome first;
    struct outcome second;
    uint64_t id;
    struct rpc_client *client = open_client(fixture, fixture->port, NULL);
    fixture->behaviour = DEFER;
    /* not connected yet: certainly not executed; the one behind it goes on */
    assert_int_equal(call_get(client, "first", LONG_MS, &first, &id), 0);
    assert_int_equal(call_get(client, "second", LONG_MS, &second, NULL), 0);
    rpc_client_cancel(client, id);
    rpc_client_cancel(client, id);
    rpc_client_cancel(client, id + 12345);
    assert_int_equal(first.status, PENDING);
    expect_failed(fixture, &first, CAIRN_EUNAVAILABLE, "cancelled");
    RUN_UNTIL(fixture, fixture->waiting_count == 1);
    assert_memory_equal(fixture->keys[0], "second", 6);
    /* sent: unknown, and the answer is dropped */
    assert_int_equal(call_get(client, "third", LONG_MS, &first, &id), 0);
    RUN_UNTIL(fixture, fixture->waiting_count == 2);
    rpc_client_cancel(client, id);
    expect_failed(fixture, &first, CAIRN_EUNKNOWN, "cancelled");
    fixture_answer(fixture, 1);
    fixture_answer(fixture, 0);
    expect_got(fixture, &second, "second");
    assert_int_equal(first.times, 1);
    close_client(fixture, client);
}

/* --- broken connections ---------------------------------------------------- */

/* A port that nobody listens on. */
static uint16_t dead_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t size = sizeof address;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    close(fd);
    return ntohs(address.sin_port);
}

static void a_server_that_is_not_there_is_unavailable(void **state)
{
    struct fixture *fixture = *state;
    struct outcome outcomes[3];
    struct rpc_client *client = open_client(fixture, dead_port(), NULL);
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 3; i++) {
            assert_int_equal(call_get(client, "k", LONG_MS, &outcomes[i], NULL), 0);
        }
        for (int i = 0; i < 3; i++) {
            expect_failed(fixture, &outcomes[i], CAIRN_EUNAVAILABLE, "refused");
        }
    }
    close_client(fixture, client);
}

/* A listening socket that never answers by itself. */
struct mute {
    int listener;
    uint16_t port;
};

static struct mute mute_open(int backlog)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t size = sizeof address;
    struct mute mute = {.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(mute.listener, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(mute.listener, backlog), 0);
    assert_int_equal(getsockname(mute.listener, (struct sockaddr *)&address, &size), 0);
    assert_int_equal(fcntl(mute.listener, F_SETFL, O_NONBLOCK), 0);
    mute.port = ntohs(address.sin_port);
    return mute;
}

static int mute_accept(struct fixture *fixture, const struct mute *mute)
{
    int fd = -1;
    RUN_UNTIL(fixture, (fd = accept4(mute->listener, NULL, NULL, SOCK_NONBLOCK)) >= 0);
    return fd;
}

static void calls_on_a_connection_that_breaks_are_unknown_if_sent(void **state)
{
    struct fixture *fixture = *state;
    struct mute mute = mute_open(8);
    struct outcome sent;
    struct outcome again;
    uint8_t record[72];
    struct rpc_client *client = open_client(fixture, mute.port, NULL);
    assert_int_equal(call_get(client, "abcde", LONG_MS, &sent, NULL), 0);
    int fd = mute_accept(fixture, &mute);
    assert_true(raw_receive(fixture, fd, record, sizeof record));
    close(fd);
    expect_failed(fixture, &sent, CAIRN_EUNKNOWN, "closed the connection");
    assert_false(rpc_client_connected(client));
    /* the next call connects anew */
    assert_int_equal(call_get(client, "abcde", LONG_MS, &again, NULL), 0);
    fd = mute_accept(fixture, &mute);
    assert_true(raw_receive(fixture, fd, record, sizeof record));
    struct linger abort_it = {.l_onoff = 1};
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &abort_it, sizeof abort_it), 0);
    close(fd);
    expect_failed(fixture, &again, CAIRN_EUNKNOWN, "broke");
    close_client(fixture, client);
    close(mute.listener);
}

static void calls_that_the_kernel_did_not_take_are_unavailable(void **state)
{
    struct fixture *fixture = *state;
    struct mute mute = mute_open(8);
    enum { CALLS = 40 };
    static struct outcome outcomes[CALLS];
    static uint8_t big[VALUE_MAX];
    put_args args = {.key = view_of_text("k"), .value = {big, sizeof big}};
    struct rpc_client *client = open_client(fixture, mute.port, NULL);
    for (int i = 0; i < CALLS; i++) {
        outcomes[i] = (struct outcome){.status = PENDING};
        assert_int_equal(rpc_client_call(client, &program_server, SERVER_PUT, &args,
                                         i == CALLS - 2 ? 100 : LONG_MS, on_done, &outcomes[i],
                                         NULL),
                         0);
    }
    int fd = mute_accept(fixture, &mute);
    /* one that waits unsent behind others times out: it is taken back, the last one stays */
    expect_failed(fixture, &outcomes[CALLS - 2], CAIRN_EUNAVAILABLE, "timed out");
    struct linger abort_it = {.l_onoff = 1};
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &abort_it, sizeof abort_it), 0);
    close(fd);
    expect_failed(fixture, &outcomes[0], CAIRN_EUNKNOWN, ":");
    expect_failed(fixture, &outcomes[CALLS - 1], CAIRN_EUNAVAILABLE, ":");
    bool unsent = false;
    for (int i = 0; i < CALLS; i++) {
        RUN_UNTIL(fixture, outcomes[i].status != PENDING);
        assert_int_equal(outcomes[i].times, 1);
        assert_true(!unsent || outcomes[i].status == CAIRN_EUNAVAILABLE); /* sent, then unsent */
        unsent = outcomes[i].status == CAIRN_EUNAVAILABLE;
    }
    close_client(fixture, client);
    close(mute.listener);
}

static void a_withdrawn_call_is_never_executed(void **state)
{
    struct fixture *fixture = *state;
    struct outcome outcomes[3];
    uint64_t ids[3];
    struct rpc_client *client = open_client(fixture, fixture->port, NULL);
    for (int withdrawn = 0; withdrawn < 3; withdrawn++) {
        static const char *const keys[3] = {"zero", "one", "two"};
        size_t before = fixture->gets;
        for (int i = 0; i < 3; i++) {
            assert_int_equal(call_get(client, keys[i], LONG_MS, &outcomes[i], &ids[i]), 0);
        }
        rpc_client_cancel(client, ids[withdrawn]); /* the first time before it is connected */
        for (int i = 0; i < 3; i++) {
            if (i == withdrawn) {
                expect_failed(fixture, &outcomes[i], CAIRN_EUNAVAILABLE, "cancelled");
            } else {
                expect_got(fixture, &outcomes[i], keys[i]);
            }
        }
        assert_int_equal(fixture->gets, before + 2);
    }
    close_client(fixture, client);
}

static void connecting_has_a_time_limit(void **state)
{
    struct fixture *fixture = *state;
    struct mute mute = mute_open(0);
    struct rpc_client_options options = {.connect_timeout_ms = 100};
    struct outcome outcome;
    struct outcome short_call;
    int fillers[8];
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(mute.port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    /* a full backlog drops what arrives: connecting hangs */
    for (int i = 0; i < 8; i++) {
        fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        (void)connect(fillers[i], (struct sockaddr *)&address, sizeof address);
    }
    struct rpc_client *client = open_client(fixture, mute.port, &options);
    assert_int_equal(call_get(client, "k", LONG_MS, &outcome, NULL), 0);
    assert_int_equal(call_get(client, "k", 30, &short_call, NULL), 0);
    expect_failed(fixture, &short_call, CAIRN_EUNAVAILABLE, "timed out");
    expect_failed(fixture, &outcome, CAIRN_EUNAVAILABLE, "cannot connect");
    close_client(fixture, client);
    for (int i = 0; i < 8; i++) {
        close(fillers[i]);
    }
    close(mute.listener);
}

static void garbage_instead_of_an_answer_is_unknown(void **state)
{
    struct fixture *fixture = *state;
    static const struct {
        size_t count;
        uint32_t words[8];
    } garbage[] = {
        {2, {0xffffffffU, 1}},                   /* a record of 2 GiB */
        {1, {0x80000000U}},                      /* an empty one */
        {7, {0x80000018U, 1, CALL, 2, 3, 4, 5}}, /* a call */
        {3, {0x80000008U, 1, REPLY}},            /* too short */
    };
    struct mute mute = mute_open(8);
    struct rpc_client *client = open_client(fixture, mute.port, NULL);
    for (size_t i = 0; i < sizeof garbage / sizeof *garbage; i++) {
        struct bytes bytes = {0};
        struct outcome outcome;
        uint8_t record[68];
        assert_int_equal(call_get(client, "k", LONG_MS, &outcome, NULL), 0);
        int fd = mute_accept(fixture, &mute);
        assert_true(raw_receive(fixture, fd, record, sizeof record));
        bytes_words(&bytes, garbage[i].words, garbage[i].count);
        assert_true(raw_send(fixture, fd, bytes.data, bytes.length));
        expect_failed(fixture, &outcome, CAIRN_EUNKNOWN, "no valid reply");
        close(fd);
    }
    close_client(fixture, client);
    close(mute.listener);
}

static void an_answer_that_does_not_decode_is_a_protocol_error(void **state)
{
    struct fixture *fixture = *state;
    struct mute mute = mute_open(8);
    struct rpc_client *client = open_client(fixture, mute.port, NULL);
    struct outcome outcome;
    uint8_t record[68];
    struct bytes reply = {0};
    assert_int_equal(call_get(client, "k", LONG_MS, &outcome, NULL), 0);
    int fd = mute_accept(fixture, &mute);
    assert_true(raw_receive(fixture, fd, record, sizeof record));
    bytes_word(&reply, 0x8000001cU);
    memcpy(reply.data + 4, record + 4, 4); /* its xid */
    reply.length = 8;
    bytes_words(&reply, (const uint32_t[]){REPLY, 0, 0, 0, SUCCESS, SERVER_OK}, 6);
    assert_true(raw_send(fixture, fd, reply.data, reply.length));
    expect_failed(fixture, &outcome, CAIRN_EPROTO, "not valid");
    assert_true(rpc_client_connected(client)); /* other calls go on */
    close(fd);
    close_client(fixture, client);
    close(mute.listener);
}

static void an_idle_connection_that_the_server_closed_is_replaced_in_time(void **state)
{
    struct fixture *fixture = *state;
    struct mute mute = mute_open(8);
    struct rpc_client *client = open_client(fixture, mute.port, NULL);
    struct outcome outcome;
    uint64_t id;
    uint8_t record[68];
    assert_int_equal(call_get(client, "k", LONG_MS, &outcome, &id), 0);
    int fd = mute_accept(fixture, &mute);
    assert_true(raw_receive(fixture, fd, record, sizeof record));
    rpc_client_cancel(client, id);
    expect_failed(fixture, &outcome, CAIRN_EUNKNOWN, "cancelled");
    close(fd);
    clock_sleep_ms(IDLE_CHECK_MS + 50); /* the loop does not run: the client cannot have noticed */
    assert_int_equal(call_get(client, "k", LONG_MS, &outcome, NULL), 0);
    fd = mute_accept(fixture, &mute);
    assert_true(raw_receive(fixture, fd, record, sizeof record)); /* the call came here */
    close(fd);
    close_client(fixture, client);
    close(mute.listener);
}

/* --- the end --------------------------------------------------------------- */

static void closing_ends_all_calls(void **state)
{
    struct fixture *fixture = *state;
    struct outcome sent;
    struct outcome unsent;
    struct rpc_client *client = open_client(fixture, fixture->port, NULL);
    fixture->behaviour = DEFER;
    assert_int_equal(call_get(client, "sent", LONG_MS, &sent, NULL), 0);
    RUN_UNTIL(fixture, fixture->waiting_count == 1);
    assert_int_equal(call_get(client, "unsent", LONG_MS, &unsent, NULL), 0);
    close_client(fixture, client);
    assert_int_equal(sent.status, CAIRN_EUNKNOWN);
    assert_int_equal(unsent.status, CAIRN_EUNAVAILABLE);
    assert_int_equal(sent.times, 1);
    assert_int_equal(unsent.times, 1);
    fixture_answer(fixture, 0);
    /* one that never made a call, and one that is connecting */
    close_client(fixture, open_client(fixture, fixture->port, NULL));
    client = open_client(fixture, fixture->port, NULL);
    assert_int_equal(call_get(client, "k", LONG_MS, &unsent, NULL), 0);
    close_client(fixture, client);
    assert_int_equal(unsent.status, CAIRN_EUNAVAILABLE);
}

static void every_end_wakes_a_loop_that_blocks(void **state)
{
    struct fixture *fixture = *state;
    struct outcome outcome;
    uint64_t id;
    struct rpc_client *client = open_client(fixture, fixture->port, NULL);
    assert_int_equal(call_get(client, "k", LONG_MS, &outcome, NULL), 0);
    BLOCK_UNTIL(fixture, outcome.status != PENDING);
    assert_int_equal(outcome.status, 0);
    fixture->behaviour = DEFER;
    assert_int_equal(call_get(client, "k", LONG_MS, &outcome, &id), 0);
    RUN_UNTIL(fixture, fixture->waiting_count == 1);
    rpc_client_cancel(client, id);
    BLOCK_UNTIL(fixture, outcome.status != PENDING);
    assert_int_equal(outcome.status, CAIRN_EUNKNOWN);
    assert_int_equal(call_get(client, "k", LONG_MS, &outcome, NULL), 0);
    RUN_UNTIL(fixture, fixture->waiting_count == 2);
    fixture_close_server(fixture);
    BLOCK_UNTIL(fixture, outcome.status != PENDING);
    assert_int_equal(outcome.status, CAIRN_EUNKNOWN);
    assert_int_equal(call_get(client, "k", LONG_MS, &outcome, NULL), 0);
    BLOCK_UNTIL(fixture, outcome.status != PENDING);
    assert_int_equal(outcome.status, CAIRN_EUNAVAILABLE);
    fixture_answer(fixture, 0);
    fixture_answer(fixture, 1);
    close_client(fixture, client);
}

struct chain {
    struct rpc_client *client;
    struct fixture *fixture;
    unsigned left;
    bool close_at_end;
};

static void on_chain(void *context, int status, const void *result, const struct error *error)
{
    struct chain *chain = context;
    get_args args = {.key = view_of_text("k")};
    (void)result;
    (void)error;
    assert_int_equal(status, 0);
    if (--chain->left > 0) {
        assert_int_equal(rpc_client_call(chain->client, &program_server, SERVER_GET, &args, LONG_MS,
                                         on_chain, chain, NULL),
                         0);
    } else if (chain->close_at_end) {
        rpc_client_close(chain->client, fixture_on_closed, &chain->fixture->client_closed);
        assert_int_not_equal(rpc_client_call(chain->client, &program_server, SERVER_GET, &args,
                                             LONG_MS, on_chain, chain, NULL),
                             0);
    }
}

static void a_call_or_a_close_may_come_from_within_done(void **state)
{
    struct fixture *fixture = *state;
    struct chain chain = {.fixture = fixture, .left = 100, .close_at_end = true};
    get_args args = {.key = view_of_text("k")};
    chain.client = open_client(fixture, fixture->port, NULL);
    assert_int_equal(rpc_client_call(chain.client, &program_server, SERVER_GET, &args, LONG_MS,
                                     on_chain, &chain, NULL),
                     0);
    RUN_UNTIL(fixture, fixture->client_closed);
    assert_int_equal(chain.left, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_call_connects_and_is_answered),
        TEST(answers_in_any_order_find_their_calls),
        TEST(large_results_arrive_whole),
        TEST(names_are_resolved),
        TEST(names_that_do_not_exist_are_unavailable),
        TEST(refusals_say_what_was_refused),
        TEST(what_cannot_be_sent_is_refused_at_once),
        TEST(a_call_that_was_sent_and_times_out_is_unknown),
        TEST(time_limits_are_kept_in_any_order_of_the_calls),
        TEST(a_cancelled_call_ends_once_and_later),
        TEST(a_server_that_is_not_there_is_unavailable),
        TEST(calls_on_a_connection_that_breaks_are_unknown_if_sent),
        TEST(calls_that_the_kernel_did_not_take_are_unavailable),
        TEST(a_withdrawn_call_is_never_executed),
        TEST(connecting_has_a_time_limit),
        TEST(garbage_instead_of_an_answer_is_unknown),
        TEST(an_answer_that_does_not_decode_is_a_protocol_error),
        TEST(an_idle_connection_that_the_server_closed_is_replaced_in_time),
        TEST(closing_ends_all_calls),
        TEST(every_end_wakes_a_loop_that_blocks),
        TEST(a_call_or_a_close_may_come_from_within_done),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
