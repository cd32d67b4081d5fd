/* An RPC server's connections: calls answered in any order, records in any pieces, many peers, and
 * its end with calls outstanding. */
#include <sys/resource.h>

#include "tests/unit/rpc_fixture.h"

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

static void deferred_calls_are_answered_in_any_order(void **state)
{
    struct fixture *fixture = *state;
    struct bytes calls = {0};
    struct bytes replies = {0};
    int fd = raw_connect(fixture->port);
    fixture->behaviour = DEFER;
    bytes_get(&calls, 1, "aaaa");
    bytes_get(&calls, 2, "bbbb");
    bytes_get(&calls, 3, "cccc");
    assert_true(raw_send(fixture, fd, calls.data, calls.length));
    RUN_UNTIL(fixture, fixture->waiting_count == 3);
    fixture_answer(fixture, 2);
    fixture_answer(fixture, 0);
    fixture_answer(fixture, 1);
    bytes_got(&replies, 3, "cccc");
    bytes_got(&replies, 1, "aaaa");
    bytes_got(&replies, 2, "bbbb");
    raw_expect(fixture, fd, &replies);
    close(fd);
}

static void coalesced_records_are_all_answered(void **state)
{
    struct fixture *fixture = *state;
    struct bytes calls = {0};
    struct bytes replies = {0};
    int fd = raw_connect(fixture->port);
    for (uint32_t xid = 0; xid < 40; xid++) {
        bytes_get(&calls, xid, "kkkk");
        bytes_got(&replies, xid, "kkkk");
    }
    assert_true(raw_send(fixture, fd, calls.data, calls.length));
    raw_expect(fixture, fd, &replies);
    assert_int_equal(fixture_stats(fixture).calls, 40);
    assert_int_equal(fixture_stats(fixture).replies, 40);
    close(fd);
}

static void a_record_may_be_split_anywhere_between_two_sends(void **state)
{
    struct fixture *fixture = *state;
    struct bytes call = {0};
    struct bytes reply = {0};
    int fd = raw_connect(fixture->port);
    bytes_get(&call, 5, "kkkk");
    bytes_got(&reply, 5, "kkkk");
    for (size_t cut = 1; cut < call.length; cut++) {
        assert_true(raw_send(fixture, fd, call.data, cut));
        for (int i = 0; i < 3; i++) {
            fixture_run(fixture);
        }
        assert_true(raw_send(fixture, fd, call.data + cut, call.length - cut));
        raw_expect(fixture, fd, &reply);
    }
    close(fd);
}

static void a_record_may_come_in_any_two_fragments(void **state)
{
    struct fixture *fixture = *state;
    struct bytes call = {0};
    struct bytes reply = {0};
    int fd = raw_connect(fixture->port);
    bytes_get(&call, 6, "kkkk");
    bytes_got(&reply, 6, "kkkk");
    uint32_t size = (uint32_t)call.length - 4;
    for (uint32_t cut = 0; cut <= size; cut++) {
        struct bytes stream = {0};
        bytes_word(&stream, cut);
        memcpy(stream.data + 4, call.data + 4, cut);
        stream.length = 4 + cut;
        bytes_word(&stream, 0x80000000U | (size - cut));
        memcpy(stream.data + stream.length, call.data + 4 + cut, size - cut);
        stream.length += size - cut;
        assert_true(raw_send(fixture, fd, stream.data, stream.length));
        raw_expect(fixture, fd, &reply);
    }
    close(fd);
}

static void large_arguments_arrive_whole(void **state)
{
    struct fixture *fixture = *state;
    static uint8_t body[VALUE_MAX];
    static const uint32_t sizes[] = {16000, 65520, 65536, 70000, 300000, VALUE_MAX};
    int fd = raw_connect(fixture->port);
    for (size_t i = 0; i < sizeof body; i++) {
        body[i] = (uint8_t)(i * 7);
    }
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct bytes head = {0};
        struct bytes reply = {0};
        /* header; then cluster, client, number; conditional; if_version, ttl; key; value's length
         */
        bytes_words(&head,
                    (const uint32_t[]){0x80000000U + 96 + sizes[i], 9, 0, 2, CAIRN_SERVER, 1,
                                       SERVER_PUT, 0, 0, 0, 0},
                    11);
        bytes_words(&head, (const uint32_t[]){0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 1, sizes[i]}, 14);
        /* a second record right behind the first one */
        assert_true(raw_send(fixture, fd, head.data, head.length));
        assert_true(raw_send(fixture, fd, body, sizes[i]));
        head.length = 0;
        bytes_get(&head, 10, "next");
        assert_true(raw_send(fixture, fd, head.data, head.length));
        bytes_words(&reply,
                    (const uint32_t[]){0x80000000U + 24 + 16, 9, 1, 0, 0, 0, 0, SERVER_OK, 0, 0, 0},
                    11);
        bytes_got(&reply, 10, "next");
        raw_expect(fixture, fd, &reply);
        assert_int_equal(fixture->last_value_length, sizes[i]);
    }
    close(fd);
}

static void a_thousand_idle_connections_do_not_matter(void **state)
{
    struct fixture *fixture = *state;
    enum { IDLE = 1000 };
    static int fds[IDLE];
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = limit.rlim_max < 4096 ? limit.rlim_max : 4096;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    for (int i = 0; i < IDLE; i++) {
        fds[i] = raw_connect(fixture->port);
        fixture_run(fixture);
    }
    RUN_UNTIL(fixture, fixture_stats(fixture).connections == IDLE);
    for (int i = 0; i < IDLE; i += 333) {
        struct bytes call = {0};
        struct bytes reply = {0};
        bytes_get(&call, 1, "kkkk");
        bytes_got(&reply, 1, "kkkk");
        assert_true(raw_send(fixture, fds[i], call.data, call.length));
        raw_expect(fixture, fds[i], &reply);
    }
    for (int i = 0; i < IDLE; i++) {
        close(fds[i]);
    }
    RUN_UNTIL(fixture, fixture_stats(fixture).connections == 0);
}

static void connections_past_the_limit_are_closed_at_once(void **state)
{
    struct rpc_server_options options = {.connections_limit = 2};
    struct fixture *fixture = fixture_open(&options);
    int first = raw_connect(fixture->port);
    int second = raw_connect(fixture->port);
    (void)state;
    RUN_UNTIL(fixture, fixture_stats(fixture).connections == 2);
    int third = raw_connect(fixture->port);
    assert_true(raw_is_closed(fixture, third));
    assert_int_equal(fixture_stats(fixture).refused, 1);
    close(first);
    RUN_UNTIL(fixture, fixture_stats(fixture).connections == 1);
    int fourth = raw_connect(fixture->port);
    RUN_UNTIL(fixture, fixture_stats(fixture).connections == 2);
    close(second);
    close(third);
    close(fourth);
    fixture_close(fixture);
}

/* The lowest free descriptor. */
static int next_descriptor(void)
{
    int fd = dup(0);
    assert_true(fd >= 0);
    close(fd);
    return fd;
}

static void without_descriptors_it_waits_and_does_not_spin(void **state)
{
    struct fixture *fixture = *state;
    struct rlimit old;
    int waiting = raw_connect(fixture->port);
    RUN_UNTIL(fixture, fixture_stats(fixture).connections == 1);
    int second = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    struct rlimit none = {.rlim_cur = (rlim_t)next_descriptor(), .rlim_max = old.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);

    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(fixture->port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(connect(second, (struct sockaddr *)&address, sizeof address), 0);
    /* Each turn may block until the next sweep: a spinning server would turn many times. */
    uint64_t end_ms = clock_now_ms() + 600;
    unsigned turns = 0;
    BLOCK_UNTIL(fixture, (turns++, clock_now_ms() >= end_ms));
    assert_true(turns < 50);
    assert_int_equal(fixture_stats(fixture).connections, 1);

    /* With descriptors again, accepting goes on by itself. (Not all tools that run tests keep a
     * connection in the backlog when they refuse the descriptor, so a new one decides.) */
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    int third = raw_connect(fixture->port);
    RUN_UNTIL(fixture, fixture_stats(fixture).connections >= 2);
    close(waiting);
    close(second);
    close(third);
}

static void calls_outlive_their_connection_and_the_server(void **state)
{
    struct fixture *fixture = *state;
    struct bytes calls = {0};
    int first = raw_connect(fixture->port);
    int second = raw_connect(fixture->port);
    fixture->behaviour = DEFER;
    bytes_get(&calls, 1, "aaaa");
    bytes_get(&calls, 2, "bbbb");
    assert_true(raw_send(fixture, first, calls.data, calls.length));
    assert_true(raw_send(fixture, second, calls.data, calls.length));
    RUN_UNTIL(fixture, fixture->waiting_count == 4);
    close(first);
    RUN_UNTIL(fixture, fixture_stats(fixture).connections == 1);
    assert_non_null(strstr(rpc_call_peer(fixture->waiting[0]), "127.0.0.1:"));
    fixture_answer(fixture, 0); /* to nobody */
    fixture_close_server(fixture);
    assert_non_null(strstr(rpc_call_peer(fixture->waiting[2]), "127.0.0.1:"));
    fixture_answer(fixture, 1);
    fixture_answer(fixture, 2);
    rpc_reply_error(fixture->waiting[3], SYSTEM_ERR);
    assert_true(raw_is_closed(fixture, second));
    close(second);
}

static void queued_replies_are_sent_when_the_server_closes(void **state)
{
    struct fixture *fixture = *state;
    struct bytes call = {0};
    struct bytes reply = {0};
    int fd = raw_connect(fixture->port);
    fixture->behaviour = DEFER;
    bytes_get(&call, 1, "aaaa");
    bytes_got(&reply, 1, "aaaa");
    assert_true(raw_send(fixture, fd, call.data, call.length));
    RUN_UNTIL(fixture, fixture->waiting_count == 1);
    fixture_answer(fixture, 0);
    fixture_close_server(fixture);
    raw_expect(fixture, fd, &reply);
    assert_true(raw_is_closed(fixture, fd));
    close(fd);
}

/* A reply made in any phase of the loop leaves although the loop would block for ever after it. */
static void reply_late(struct fixture *fixture)
{
    if (fixture->waiting_count == 1 && fixture->waiting[0] != NULL) {
        fixture_answer(fixture, 0);
    }
}

static void on_prepare(uv_prepare_t *prepare)
{
    reply_late(prepare->data);
}

static void on_check(uv_check_t *check)
{
    reply_late(check->data);
}

static void on_reply_arrived(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    *(bool *)poll->data = true;
}

static void listen_again(struct fixture *fixture)
{
    struct address address = fixture_address(0);
    fixture_close_server(fixture);
    fixture->server_closed = false;
    assert_int_equal(rpc_server_listen(&fixture->loop, &address, &fixture->service, 1, NULL,
                                       &fixture->server, NULL),
                     0);
    fixture->port = rpc_server_port(fixture->server);
}

/* Blocks for the answer to one call: only its arrival may have to wake the loop. */
static void call_blocking(struct fixture *fixture)
{
    uv_poll_t arrival;
    bool arrived = false;
    struct bytes call = {0};
    struct bytes reply = {0};
    int fd = raw_connect(fixture->port);
    fixture->behaviour = DEFER;
    fixture->waiting_count = 0;
    uv_poll_init(&fixture->loop, &arrival, fd);
    arrival.data = &arrived;
    uv_poll_start(&arrival, UV_READABLE, on_reply_arrived);
    bytes_get(&call, 1, "late");
    bytes_got(&reply, 1, "late");
    assert_int_equal(send(fd, call.data, call.length, 0), call.length);
    BLOCK_UNTIL(fixture, arrived);
    uv_close((uv_handle_t *)&arrival, NULL);
    fixture_run(fixture);
    raw_expect(fixture, fd, &reply);
    close(fd);
    RUN_UNTIL(fixture, fixture_stats(fixture).connections == 0);
}

static void replies_made_anywhere_in_a_turn_leave_without_another_event(void **state)
{
    struct fixture *fixture = *state;
    uv_prepare_t prepare;
    uv_check_t check;
    uv_prepare_init(&fixture->loop, &prepare);
    uv_check_init(&fixture->loop, &check);
    prepare.data = fixture;
    check.data = fixture;

    uv_prepare_start(&prepare, on_prepare); /* before the server's own */
    call_blocking(fixture);
    listen_again(fixture);
    call_blocking(fixture); /* after it: libuv runs the handle started last first */
    uv_prepare_stop(&prepare);
    uv_check_start(&check, on_check);
    call_blocking(fixture);

    uv_close((uv_handle_t *)&prepare, NULL);
    uv_close((uv_handle_t *)&check, NULL);
    fixture_run(fixture);
}

static void a_port_that_is_taken_is_a_clear_error(void **state)
{
    struct fixture *fixture = *state;
    struct address address = fixture_address(fixture->port);
    struct rpc_server *server;
    struct error error;
    char text[32];
    assert_int_equal(
        rpc_server_listen(&fixture->loop, &address, &fixture->service, 1, NULL, &server, &error),
        CAIRN_EIO);
    assert_null(server);
    (void)snprintf(text, sizeof text, "127.0.0.1:%u: ", (unsigned)fixture->port);
    assert_non_null(strstr(error.message, text));
    assert_non_null(strstr(error.message, "in use"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(deferred_calls_are_answered_in_any_order, setup, teardown),
        cmocka_unit_test_setup_teardown(coalesced_records_are_all_answered, setup, teardown),
        cmocka_unit_test_setup_teardown(a_record_may_be_split_anywhere_between_two_sends, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_record_may_come_in_any_two_fragments, setup, teardown),
        cmocka_unit_test_setup_teardown(large_arguments_arrive_whole, setup, teardown),
        cmocka_unit_test_setup_teardown(a_thousand_idle_connections_do_not_matter, setup, teardown),
        cmocka_unit_test(connections_past_the_limit_are_closed_at_once),
        cmocka_unit_test_setup_teardown(without_descriptors_it_waits_and_does_not_spin, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(calls_outlive_their_connection_and_the_server, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(queued_replies_are_sent_when_the_server_closes, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(replies_made_anywhere_in_a_turn_leave_without_another_event,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(a_port_that_is_taken_is_a_clear_error, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
