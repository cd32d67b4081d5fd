/* Peers that are slow, silent, greedy or mad cost an RPC server bounded memory and time, and never
 * keep it from serving the others. */
#include "base/random.h"
#include "rpc/server_internal.h"
#include "tests/unit/rpc_fixture.h"

enum { SHORT_MS = 150 };

static size_t memory_of(const struct fixture *fixture)
{
    return fixture->server->memory;
}

/* Another connection is served as if nothing were. (By the NULL procedure: a handler that answered
 * otherwise for a moment would answer waiting calls of other connections so as well.) */
static void expect_service(struct fixture *fixture)
{
    static const uint32_t null_call[] = {0x80000028U, 77, CALL, 2, CAIRN_SERVER, 1, 0, 0, 0, 0, 0};
    static const uint32_t null_reply[] = {0x80000018U, 77, REPLY, MSG_ACCEPTED, 0, 0, SUCCESS};
    struct bytes call = {0};
    struct bytes reply = {0};
    int fd = raw_connect(fixture->port);
    bytes_words(&call, null_call, sizeof null_call / 4);
    bytes_words(&reply, null_reply, sizeof null_reply / 4);
    assert_true(raw_send(fixture, fd, call.data, call.length));
    raw_expect(fixture, fd, &reply);
    close(fd);
}

static void a_record_that_never_ends_is_dropped(void **state)
{
    struct rpc_server_options options = {.record_timeout_ms = SHORT_MS};
    struct fixture *fixture = fixture_open(&options);
    static const size_t cuts[] = {1, 3, 4, 5, 40, 67};
    struct bytes call = {0};
    (void)state;
    bytes_get(&call, 1, "kkkk");
    for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++) {
        int fd = raw_connect(fixture->port);
        assert_true(raw_send(fixture, fd, call.data, cuts[i]));
        assert_true(raw_is_closed(fixture, fd));
        close(fd);
    }
    assert_int_equal(fixture_stats(fixture).dropped, sizeof cuts / sizeof *cuts);
    fixture_close(fixture);
}

static void one_byte_at_a_time_does_not_extend_the_time(void **state)
{
    struct rpc_server_options options = {.record_timeout_ms = SHORT_MS};
    struct fixture *fixture = fixture_open(&options);
    static const uint8_t mark[4] = {0x80, 0x10, 0, 0};
    int fd = raw_connect(fixture->port);
    uint64_t end_ms = clock_now_ms() + WAIT_MS;
    (void)state;
    assert_true(raw_send(fixture, fd, mark, sizeof mark));
    while (fixture_stats(fixture).dropped == 0) {
        assert_true(clock_now_ms() < end_ms);
        (void)send(fd, "x", 1, MSG_NOSIGNAL);
        fixture_run(fixture);
        clock_sleep_ms(2);
    }
    close(fd);
    fixture_close(fixture);
}

static void an_idle_connection_is_not_dropped(void **state)
{
    struct rpc_server_options options = {.record_timeout_ms = 20, .send_timeout_ms = 20};
    struct fixture *fixture = fixture_open(&options);
    struct bytes call = {0};
    struct bytes reply = {0};
    int fd = raw_connect(fixture->port);
    uint64_t end_ms = clock_now_ms() + SHORT_MS;
    (void)state;
    while (clock_now_ms() < end_ms) {
        fixture_run(fixture);
        clock_sleep_ms(1);
    }
    bytes_get(&call, 1, "kkkk");
    bytes_got(&reply, 1, "kkkk");
    assert_true(raw_send(fixture, fd, call.data, call.length));
    raw_expect(fixture, fd, &reply);
    close(fd);
    fixture_close(fixture);
}

static void marks_that_claim_too_much_or_nothing_end_the_connection(void **state)
{
    struct fixture *fixture = fixture_open(NULL);
    static const uint8_t zeros[4096] = {0};
    (void)state;
    int fd = raw_connect(fixture->port);
    (void)raw_send(fixture, fd, "\xff\xff\xff\xff", 4);
    assert_true(raw_is_closed(fixture, fd));
    close(fd);
    fd = raw_connect(fixture->port);
    (void)raw_send(fixture, fd, zeros, sizeof zeros);
    assert_true(raw_is_closed(fixture, fd));
    close(fd);
    assert_int_equal(fixture_stats(fixture).dropped, 2);
    assert_true(memory_of(fixture) < 4096);
    expect_service(fixture);
    fixture_close(fixture);
}

static void a_claim_costs_no_memory_before_bytes_arrive(void **state)
{
    struct fixture *fixture = fixture_open(NULL);
    enum { PEERS = 50 };
    int fds[PEERS];
    (void)state;
    for (int i = 0; i < PEERS; i++) {
        fds[i] = raw_connect(fixture->port);
        assert_true(raw_send(fixture, fds[i], "\x80\xa0\x00\x00", 4)); /* 10 MiB */
    }
    for (int i = 0; i < 200; i++) {
        fixture_run(fixture);
    }
    assert_true(memory_of(fixture) <= PEERS * 2 * RECORD_KEEP_CAPACITY);
    for (int i = 0; i < PEERS; i++) {
        close(fds[i]);
    }
    RUN_UNTIL(fixture, fixture_stats(fixture).connections == 0);
    assert_int_equal(memory_of(fixture), 0);
    fixture_close(fixture);
}

/* --- back-pressure --------------------------------------------------------- */

/* Sends as many GETs as the server takes; returns how many whole ones. Stops when the socket takes
 * no more for a while. */
static size_t pipeline_until_stuck(struct fixture *fixture, int fd, size_t most)
{
    size_t total = 0;
    struct bytes call = {0};
    size_t at = 0;
    unsigned stuck = 0;
    bytes_get(&call, 0, "kkkk");
    while (total < most && stuck < 300) {
        ssize_t sent = send(fd, call.data + at, call.length - at, MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN) {
            break;
        }
        stuck = sent < 0 ? stuck + 1 : 0;
        at += sent < 0 ? 0 : (size_t)sent;
        if (at == call.length) {
            at = 0;
            total++;
        }
        fixture_run(fixture);
    }
    return total;
}

static void a_peer_that_never_reads_is_dropped_and_costs_bounded_memory(void **state)
{
    struct rpc_server_options options = {.output_limit = 1 << 20, .send_timeout_ms = 500};
    struct fixture *fixture = fixture_open(&options);
    int fd = raw_connect(fixture->port);
    uint64_t end_ms = clock_now_ms() + WAIT_MS;
    size_t most = 0;
    (void)state;
    fixture->behaviour = LARGE;
    fixture->large_size = 100000;
    while (fixture_stats(fixture).dropped == 0) {
        assert_true(clock_now_ms() < end_ms);
        (void)pipeline_until_stuck(fixture, fd, 100);
        most = memory_of(fixture) > most ? memory_of(fixture) : most;
    }
    assert_true(most > 1 << 20);
    assert_true(most < 4 << 20);
    RUN_UNTIL(fixture, fixture_stats(fixture).connections == 0);
    assert_int_equal(memory_of(fixture), 0);
    expect_service(fixture);
    close(fd);
    fixture_close(fixture);
}

static void a_slow_reader_gets_every_reply(void **state)
{
    struct rpc_server_options options = {.output_limit = 256 << 10};
    struct fixture *fixture = fixture_open(&options);
    static uint8_t reply[4 + 68 + 50000];
    int fd = raw_connect(fixture->port);
    enum { CALLS = 600 };
    (void)state;
    fixture->behaviour = LARGE;
    fixture->large_size = 50000;
    size_t sent = pipeline_until_stuck(fixture, fd, CALLS);
    assert_true(fixture->gets < CALLS); /* it did stop reading */
    expect_service(fixture);
    /* now read; the rest of the calls goes on as there is room */
    for (size_t i = 0; i < sent; i++) {
        assert_true(raw_receive(fixture, fd, reply, 68 + 50000));
        assert_int_equal(record_word(reply), 0x80000000U + 64 + 50000);
    }
    assert_true(fixture->gets >= sent);
    assert_true(memory_of(fixture) < 2 << 20);
    close(fd);
    fixture_close(fixture);
}

static void past_the_limit_of_unanswered_calls_reading_stops(void **state)
{
    struct rpc_server_options options = {.calls_limit = 4};
    struct fixture *fixture = fixture_open(&options);
    struct bytes calls = {0};
    int fd = raw_connect(fixture->port);
    enum { CALLS = 50 };
    (void)state;
    fixture->behaviour = DEFER;
    for (uint32_t i = 0; i < CALLS; i++) {
        bytes_get(&calls, i, "kkkk");
    }
    assert_true(raw_send(fixture, fd, calls.data, calls.length));
    for (size_t answered = 0; answered < CALLS; answered++) {
        RUN_UNTIL(fixture, fixture->waiting_count > answered);
        for (int i = 0; i < 5; i++) {
            fixture_run(fixture);
        }
        assert_true(fixture->waiting_count - answered <= 4);
        struct bytes reply = {0};
        bytes_got(&reply, (uint32_t)answered, "kkkk");
        fixture_answer(fixture, answered);
        raw_expect(fixture, fd, &reply);
    }
    close(fd);
    fixture_close(fixture);
}

static void deferred_replies_that_nobody_reads_end_the_connection(void **state)
{
    struct rpc_server_options options = {.output_limit = 1 << 20, .record_limit = 2 << 20};
    struct fixture *fixture = fixture_open(&options);
    struct bytes calls = {0};
    int fd = raw_connect(fixture->port);
    (void)state;
    fixture->behaviour = DEFER;
    for (uint32_t i = 0; i < 50; i++) {
        bytes_get(&calls, i, "kkkk");
    }
    assert_true(raw_send(fixture, fd, calls.data, calls.length));
    RUN_UNTIL(fixture, fixture->waiting_count == 50);
    for (size_t i = 0; i < 50; i++) {
        fixture_reply(fixture->waiting[i], fixture_large, VALUE_MAX);
        assert_true(memory_of(fixture) <= 16 << 20);
    }
    assert_int_equal(fixture_stats(fixture).dropped, 1);
    close(fd);
    fixture_close(fixture);
}

static void a_paused_connection_does_not_spin(void **state)
{
    struct rpc_server_options options = {.output_limit = 2 << 20};
    struct fixture *fixture = fixture_open(&options);
    struct bytes calls = {0};
    int fd = raw_connect(fixture->port);
    (void)state;
    fixture->behaviour = DEFER;
    for (uint32_t i = 0; i < 16; i++) {
        bytes_get(&calls, i, "kkkk");
    }
    assert_true(raw_send(fixture, fd, calls.data, calls.length));
    RUN_UNTIL(fixture, fixture->waiting_count == 16);
    /* Nobody reads these: the first ones fill the socket, the others pass the limit. What arrives
     * now stays where it is. */
    for (size_t i = 0; i < 16; i++) {
        fixture_reply(fixture->waiting[i], fixture_large, VALUE_MAX);
    }
    assert_int_equal(send(fd, calls.data, calls.length, 0), calls.length);
    uint64_t end_ms = clock_now_ms() + 400;
    unsigned turns = 0;
    BLOCK_UNTIL(fixture, (turns++, clock_now_ms() >= end_ms));
    assert_true(turns < 50);
    assert_int_equal(fixture->waiting_count, 16);
    close(fd);
    fixture_close(fixture);
}

static void past_the_memory_limit_those_who_hold_most_are_not_read(void **state)
{
    struct rpc_server_options options = {.memory_limit = 2 << 20, .record_timeout_ms = 1000};
    struct fixture *fixture = fixture_open(&options);
    enum { GREEDY = 10 };
    int fds[GREEDY];
    static uint8_t part[4 << 20];
    size_t at[GREEDY] = {0};
    (void)state;
    memset(part, 0, sizeof part);
    memcpy(part, "\x80\x80\x00\x00", 4); /* 8 MiB, of which 4 come */
    for (int i = 0; i < GREEDY; i++) {
        fds[i] = raw_connect(fixture->port);
    }
    size_t most = 0;
    for (int round = 0; round < 300; round++) {
        for (int i = 0; i < GREEDY; i++) {
            ssize_t sent = send(fds[i], part + at[i], sizeof part - at[i], MSG_NOSIGNAL);
            at[i] += sent > 0 ? (size_t)sent : 0;
            fixture_run(fixture);
            most = memory_of(fixture) > most ? memory_of(fixture) : most;
        }
    }
    assert_true(most > 2 << 20);
    assert_true(most < 8 << 20);
    expect_service(fixture);
    RUN_UNTIL(fixture, fixture_stats(fixture).dropped == GREEDY);
    RUN_UNTIL(fixture, fixture_stats(fixture).connections == 0);
    assert_int_equal(memory_of(fixture), 0);
    for (int i = 0; i < GREEDY; i++) {
        close(fds[i]);
    }
    expect_service(fixture);
    fixture_close(fixture);
}

/* --- madness --------------------------------------------------------------- */

static void mutate(struct random *random, struct bytes *bytes)
{
    uint64_t changes = 1 + random_below(random, 6);
    for (uint64_t i = 0; i < changes; i++) {
        bytes->data[random_below(random, bytes->length)] = (uint8_t)random_next(random);
    }
}

static void random_bytes_never_hurt_the_others(void **state)
{
    struct rpc_server_options options = {.record_timeout_ms = 50, .record_limit = 4 << 20};
    struct fixture *fixture = fixture_open(&options);
    struct random random;
    uint64_t seed = random_id();
    (void)state;
    print_message("seed %llu\n", (unsigned long long)seed);
    random_seed(&random, seed);
    for (int round = 0; round < 300; round++) {
        struct bytes bytes = {0};
        int fd = raw_connect(fixture->port);
        if (round % 2 == 0) {
            for (uint32_t i = 0; i < 10; i++) {
                bytes_get(&bytes, i, "kkkk");
            }
            mutate(&random, &bytes);
        } else {
            bytes.length = 1 + random_below(&random, sizeof bytes.data);
            for (size_t i = 0; i < bytes.length; i++) {
                bytes.data[i] = (uint8_t)random_next(&random);
            }
        }
        (void)raw_send(fixture, fd, bytes.data, bytes.length);
        for (int i = 0; i < 5; i++) {
            fixture_run(fixture);
        }
        close(fd);
        if (round % 50 == 0) {
            expect_service(fixture);
        }
    }
    RUN_UNTIL(fixture, fixture_stats(fixture).connections == 0);
    assert_int_equal(memory_of(fixture), 0);
    expect_service(fixture);
    fixture_close(fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_record_that_never_ends_is_dropped),
        cmocka_unit_test(one_byte_at_a_time_does_not_extend_the_time),
        cmocka_unit_test(an_idle_connection_is_not_dropped),
        cmocka_unit_test(marks_that_claim_too_much_or_nothing_end_the_connection),
        cmocka_unit_test(a_claim_costs_no_memory_before_bytes_arrive),
        cmocka_unit_test(a_peer_that_never_reads_is_dropped_and_costs_bounded_memory),
        cmocka_unit_test(a_slow_reader_gets_every_reply),
        cmocka_unit_test(past_the_limit_of_unanswered_calls_reading_stops),
        cmocka_unit_test(deferred_replies_that_nobody_reads_end_the_connection),
        cmocka_unit_test(a_paused_connection_does_not_spin),
        cmocka_unit_test(past_the_memory_limit_those_who_hold_most_are_not_read),
        cmocka_unit_test(random_bytes_never_hurt_the_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
