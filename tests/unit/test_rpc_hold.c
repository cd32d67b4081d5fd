/* Replies that are made before they may be told: they leave when released, in any order, to nobody
 * if nobody is there any more, and count as what their connection has not read. */
#include "rpc/server_internal.h"
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

/* As fixture_answer, but held; what was encoded may change at once. */
static struct rpc_call *hold(struct fixture *fixture, size_t slot)
{
    struct rpc_call *call = fixture->waiting[slot];
    get_result result = {.status = SERVER_OK};
    result.get_result_u.found =
        (get_found){.key_version = 7, .value = {fixture->keys[slot], fixture->key_lengths[slot]}};
    rpc_reply_hold(call, &result);
    memset(fixture->keys[slot], 0, sizeof fixture->keys[slot]);
    fixture->waiting[slot] = NULL;
    return call;
}

static void hold_large(struct fixture *fixture, size_t slot, uint32_t length)
{
    get_result result = {.status = SERVER_OK};
    result.get_result_u.found.value = (cairn_value){fixture_large, length};
    rpc_reply_hold(fixture->waiting[slot], &result);
}

static int call_and_wait(struct fixture *fixture, uint32_t calls)
{
    struct bytes bytes = {0};
    int fd = raw_connect(fixture->port);
    size_t before = fixture->waiting_count;
    fixture->behaviour = DEFER;
    for (uint32_t xid = 1; xid <= calls; xid++) {
        bytes_get(&bytes, xid, "kkkk");
        bytes.data[bytes.length - 1] = (uint8_t)('0' + xid);
    }
    assert_true(raw_send(fixture, fd, bytes.data, bytes.length));
    RUN_UNTIL(fixture, fixture->waiting_count == before + calls);
    return fd;
}

static void a_held_reply_leaves_when_it_is_released(void **state)
{
    struct fixture *fixture = *state;
    struct bytes others = {0};
    struct bytes held = {0};
    uint8_t byte;
    int fd = call_and_wait(fixture, 3);
    struct rpc_call *first = hold(fixture, 0);
    struct rpc_call *second = hold(fixture, 1);
    for (int i = 0; i < 50; i++) {
        fixture_run(fixture);
    }
    assert_int_equal(recv(fd, &byte, 1, 0), -1); /* nothing left yet */
    fixture_answer(fixture, 2);                  /* others overtake it */
    bytes_got(&others, 3, "kkk3");
    raw_expect(fixture, fd, &others);
    rpc_reply_release(second);
    rpc_reply_release(first);
    bytes_got(&held, 2, "kkk2");
    bytes_got(&held, 1, "kkk1");
    raw_expect(fixture, fd, &held);
    assert_int_equal(fixture_stats(fixture).replies, 3);
    close(fd);
}

static void released_to_nobody_it_is_freed(void **state)
{
    struct fixture *fixture = *state;
    int fd = call_and_wait(fixture, 2);
    struct rpc_call *early = hold(fixture, 0); /* held before the connection ends, */
    struct rpc_call *late;
    close(fd);
    RUN_UNTIL(fixture, fixture_stats(fixture).connections == 0);
    /* However long it is held: who comes again and again must not make the server keep it all. */
    assert_int_equal(fixture->server->memory, 0);
    late = hold(fixture, 1); /* and behind its end */
    rpc_reply_release(early);
    rpc_reply_release(late);
    assert_int_equal(fixture->server->memory, 0);
    assert_true(TAILQ_EMPTY(&fixture->server->gone));
}

static void it_may_outlive_the_server(void **state)
{
    struct fixture *fixture = *state;
    int fd = call_and_wait(fixture, 2);
    struct rpc_call *early = hold(fixture, 0);
    struct rpc_call *late;
    fixture_close_server(fixture);
    late = hold(fixture, 1);
    rpc_reply_release(early);
    rpc_reply_release(late);
    close(fd);
}

static void what_cannot_be_encoded_is_refused_when_released(void **state)
{
    struct fixture *fixture = *state;
    static const uint32_t refusal[] = {0x80000018U, 1, REPLY, MSG_ACCEPTED, 0, 0, SYSTEM_ERR};
    struct bytes expected = {0};
    int fd = call_and_wait(fixture, 1);
    hold_large(fixture, 0, VALUE_MAX + 1);
    rpc_reply_release(fixture->waiting[0]);
    bytes_words(&expected, refusal, sizeof refusal / 4);
    raw_expect(fixture, fd, &expected);
    close(fd);
}

/* --- limits ---------------------------------------------------------------- */

static void held_bytes_stop_the_reading_of_calls(void **state)
{
    struct rpc_server_options options = {.output_limit = 100000};
    struct fixture *fixture = fixture_open(&options);
    struct bytes more = {0};
    (void)state;
    int fd = call_and_wait(fixture, 1);
    hold_large(fixture, 0, 120000);
    bytes_get(&more, 9, "more");
    assert_true(raw_send(fixture, fd, more.data, more.length));
    for (int i = 0; i < 100; i++) {
        fixture_run(fixture);
    }
    assert_int_equal(fixture->waiting_count, 1);
    rpc_reply_release(fixture->waiting[0]);
    RUN_UNTIL(fixture, fixture->waiting_count == 2);
    fixture_answer(fixture, 1);
    close(fd);
    fixture_close(fixture);
}

static void who_makes_the_server_hold_too_much_is_dropped(void **state)
{
    struct rpc_server_options options = {.output_limit = 1000, .record_limit = 1 << 20};
    struct fixture *fixture = fixture_open(&options);
    (void)state;
    int fd = call_and_wait(fixture, 3);
    hold_large(fixture, 0, 1 << 19);
    assert_int_equal(fixture_stats(fixture).dropped, 0);
    hold_large(fixture, 1, 1 << 19);
    hold_large(fixture, 2, 1 << 19);
    assert_int_equal(fixture_stats(fixture).dropped, 1);
    assert_true(raw_is_closed(fixture, fd));
    for (size_t i = 0; i < 3; i++) {
        rpc_reply_release(fixture->waiting[i]);
    }
    close(fd);
    fixture_close(fixture);
}

static void the_memory_of_held_replies_has_an_end(void **state)
{
    struct rpc_server_options options = {.memory_limit = 100000};
    struct fixture *fixture = fixture_open(&options);
    (void)state;
    int first = call_and_wait(fixture, 1);
    int second = call_and_wait(fixture, 1);
    int third = call_and_wait(fixture, 1);
    hold_large(fixture, 0, 120000);
    hold_large(fixture, 1, 40000);
    assert_int_equal(fixture_stats(fixture).dropped, 0);
    hold_large(fixture, 2, 40000);
    assert_int_equal(fixture_stats(fixture).dropped, 1);
    assert_true(raw_is_closed(fixture, third));
    assert_true(fixture->server->memory < 200000);
    for (size_t i = 0; i < 3; i++) {
        rpc_reply_release(fixture->waiting[i]);
    }
    RUN_UNTIL(fixture, fixture_stats(fixture).connections == 2);
    close(first);
    close(second);
    close(third);
    fixture_close(fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_held_reply_leaves_when_it_is_released, setup, teardown),
        cmocka_unit_test_setup_teardown(released_to_nobody_it_is_freed, setup, teardown),
        cmocka_unit_test_setup_teardown(it_may_outlive_the_server, setup, teardown),
        cmocka_unit_test_setup_teardown(what_cannot_be_encoded_is_refused_when_released, setup,
                                        teardown),
        cmocka_unit_test(held_bytes_stop_the_reading_of_calls),
        cmocka_unit_test(who_makes_the_server_hold_too_much_is_dropped),
        cmocka_unit_test(the_memory_of_held_replies_has_an_end),
    };
    return cmocka_run_group_tests_name("rpc_hold", tests, NULL, NULL);
}
