/* What hosts may cache of a server's keys, over real connections: what is granted (C2), that
 * nothing contradicts what hosts read (C3), and how their leases run (C5). */
#include "tests/unit/hosts_fixture.h"

/* Replies are static: calls that still wait are ended when the test is torn down. */

static int setup(void **state)
{
    *state = side_open(LONG_MS);
    return 0;
}

static int teardown(void **state)
{
    side_close(*state);
    return 0;
}

/* A session that holds `key`, whose value is "old"; its listener waits. */
static void hold_key(struct side *side, const char *key, struct reply *listener)
{
    assert_int_equal(open_session(side, CLUSTER, SESSION).code, CACHE_OK);
    assert_int_equal(put_now(side, key, "old").code, SERVER_OK);
    assert_int_equal(get_now(side, key, SESSION).granted, SESSION);
    hear(side, SESSION, 0, listener);
    turns(side);
    assert_false(listener->done);
}

/* --- sessions and grants -----------------------------------------------------------------------
 */

static void only_live_sessions_are_granted_anything_C2(void **state)
{
    struct side *side = *state;
    static struct reply got;

    assert_int_equal(put_now(side, "k", "v").code, SERVER_OK);
    assert_int_equal(get_now(side, "k", SESSION).granted, 0);
    assert_int_equal(open_session(side, CLUSTER, SESSION).code, CACHE_OK);
    got = get_now(side, "k", SESSION);
    assert_string_equal(got.value, "v");
    assert_int_equal(got.granted, SESSION);
    assert_int_equal(get_now(side, "k", OTHER).granted, 0);
    assert_int_equal(get_now(side, "k", 0).granted, 0);
    got = get_now(side, "absent", SESSION);
    assert_int_equal(got.code, SERVER_NOT_FOUND);
    assert_int_equal(close_session(side, SESSION).code, CACHE_OK);
    assert_int_equal(get_now(side, "k", SESSION).granted, 0);
    assert_int_equal(close_session(side, SESSION).code, CACHE_CLOSED);
}

static void a_session_is_opened_for_this_cluster_and_under_a_new_number(void **state)
{
    struct side *side = *state;
    struct reply opened = open_session(side, CLUSTER, SESSION);

    /* C5: the host counts less than the server waits. */
    assert_true(opened.granted_ms > LONG_MS / 2 && opened.granted_ms < LONG_MS);
    assert_int_equal(open_session(side, CLUSTER, SESSION).code, CACHE_CLOSED);
    assert_int_equal(open_session(side, CLUSTER, 0).code, CACHE_CLOSED);
    assert_int_equal(open_session(side, CLUSTER + 1, OTHER).code, CACHE_WRONG_CLUSTER);
    assert_int_equal(open_session(side, 0, OTHER).code, CACHE_OK);
}

static void a_server_may_grant_nothing_at_all(void **state)
{
    struct side *side = side_open(0);

    (void)state;
    assert_int_equal(open_session(side, CLUSTER, SESSION).code, CACHE_OFF);
    assert_int_equal(side->node.hosts_record.longest_ms, 0);
    side_close(side);
}

static void more_sessions_than_there_is_room_for_are_refused(void **state)
{
    struct side *side = *state;

    for (uint64_t i = 0; i < LEASE_SESSIONS_LIMIT; i++)
        assert_int_equal(open_session(side, CLUSTER, 100 + i).code, CACHE_OK);
    assert_int_equal(open_session(side, CLUSTER, SESSION).code, CACHE_FULL);
    assert_int_equal(close_session(side, 100).code, CACHE_OK);
    assert_int_equal(open_session(side, CLUSTER, SESSION).code, CACHE_OK);
}

/* --- revocations -------------------------------------------------------------------------------
 */

static void all_that_tells_of_a_write_waits_for_its_holders_C3(void **state)
{
    struct side *side = *state;
    static struct reply listener, written, again, read, page, next;
    struct hosts_stats stats;

    hold_key(side, "k", &listener);
    put(side, "k", "new", &written);
    TURN_UNTIL(side, listener.done);
    assert_int_equal(listener.code, CACHE_OK);
    assert_false(listener.all);
    assert_int_equal(listener.count, 1);
    assert_int_equal(listener.buckets[0], bucket_of((const uint8_t *)"k", 1));
    put_again(side, "k", "new", side->number, &again);
    get(side, "k", SESSION, &read);
    scan(side, &page);
    turns(side);
    assert_false(written.done || again.done || read.done || page.done);
    hosts_stats(&side->node, &stats);
    assert_int_equal(stats.held, 4);
    /* Other buckets go on. */
    assert_int_equal(put_now(side, "x", "v").code, SERVER_OK);
    assert_int_equal(get_now(side, "x", SESSION).granted, SESSION);
    hear(side, SESSION, listener.number, &next);
    TURN_UNTIL(side, written.done && again.done && read.done && page.done);
    assert_true(written.code == SERVER_OK && again.code == SERVER_OK);
    assert_int_equal(page.code, SERVER_OK);
    assert_string_equal(read.value, "new");
    assert_int_equal(read.granted, 0); /* C2: not while the bucket is being revoked */
    assert_int_equal(get_now(side, "k", SESSION).granted, SESSION);
    assert_false(next.done);
}

static void absence_and_refusals_of_a_condition_wait_too_C3(void **state)
{
    struct side *side = *state;
    static struct reply listener, removed, read, refused, next;

    hold_key(side, "k", &listener);
    delete_key(side, "k", &removed);
    TURN_UNTIL(side, listener.done);
    turns(side);
    get(side, "k", 0, &read);
    put_if(side, "k", 1, &refused);
    turns(side);
    assert_false(removed.done || read.done || refused.done);
    hear(side, SESSION, listener.number, &next);
    TURN_UNTIL(side, removed.done && read.done && refused.done);
    assert_int_equal(removed.code, SERVER_OK);
    assert_int_equal(read.code, SERVER_NOT_FOUND);
    assert_int_equal(refused.code, SERVER_VERSION_MISMATCH);
}

static void hosts_hear_of_a_write_before_it_is_durable(void **state)
{
    struct side *side = *state;
    static struct reply listener, written, read, next;

    hold_key(side, "k", &listener);
    side->stalled = true;
    put(side, "k", "new", &written);
    TURN_UNTIL(side, listener.done);
    hear(side, SESSION, listener.number, &next);
    turns(side);
    /* Revoked, and the write is pending: what was there may be read, but not cached (C2). */
    get(side, "k", SESSION, &read);
    TURN_UNTIL(side, read.done);
    assert_string_equal(read.value, "old");
    assert_int_equal(read.granted, 0);
    assert_false(written.done);
    side->stalled = false;
    TURN_UNTIL(side, written.done);
    assert_int_equal(get_now(side, "k", SESSION).granted, SESSION);
}

static void a_broken_connection_is_no_answer_C3(void **state)
{
    struct side *side = *state;
    static struct reply listener, written, again, next;

    hold_key(side, "k", &listener);
    hang_up(side, side->agent); /* its LISTEN waits here still */
    side->agent = connect_to(side);
    put(side, "k", "new", &written);
    turns(side);
    assert_false(written.done);
    hear(side, SESSION, 0, &again);
    TURN_UNTIL(side, again.done);
    assert_int_equal(again.count, 1);
    assert_false(written.done);
    hear(side, SESSION, again.number, &next);
    TURN_UNTIL(side, written.done);
}

static void a_session_that_ran_out_holds_nothing_up(void **state)
{
    struct side *side = *state;
    static struct reply listener, written, renewed;

    hold_key(side, "k", &listener);
    put(side, "k", "new", &written);
    TURN_UNTIL(side, listener.done);
    turns(side);
    assert_false(written.done);
    hosts_tick(&side->node, clock_now_ms() + LONG_MS);
    TURN_UNTIL(side, written.done);
    assert_int_equal(written.code, SERVER_OK);
    renew(side, SESSION, &renewed);
    hear(side, SESSION, listener.number, &listener);
    TURN_UNTIL(side, renewed.done && listener.done);
    assert_int_equal(renewed.code, CACHE_CLOSED); /* for ever (C5) */
    assert_int_equal(listener.code, CACHE_CLOSED);
}

static void what_waits_ends_with_the_session(void **state)
{
    struct side *side = *state;
    static struct reply listener, written;

    hold_key(side, "k", &listener);
    side->stalled = true;
    put(side, "k", "new", &written);
    turns(side);
    assert_true(listener.done);
    hear(side, SESSION, 0, &listener); /* the batch comes again */
    TURN_UNTIL(side, listener.done);
    assert_int_equal(listener.number, 1);
    side->stalled = false;
    turns(side);
    assert_false(written.done);
    assert_int_equal(close_session(side, SESSION).code, CACHE_OK);
    TURN_UNTIL(side, written.done);
}

static void replies_that_wait_when_the_server_stops_are_freed(void **state)
{
    struct side *side = *state;
    static struct reply listener, written, read, renewed;

    hold_key(side, "k", &listener);
    put(side, "k", "new", &written);
    turns(side);
    get(side, "k", 0, &read);
    renew(side, SESSION, &renewed);
    turns(side);
    assert_false(written.done || read.done || renewed.done);
}

/* --- renewals and listeners --------------------------------------------------------------------
 */

static void a_renewal_waits_for_what_began_before_it_C5(void **state)
{
    struct side *side = *state;
    static struct reply listener, written, first, second, next;

    hold_key(side, "k", &listener);
    renew(side, SESSION, &first);
    TURN_UNTIL(side, first.done);
    assert_true(first.code == CACHE_OK && first.granted_ms > 0);
    put(side, "k", "new", &written);
    TURN_UNTIL(side, listener.done);
    renew(side, SESSION, &first);
    turns(side);
    assert_false(first.done);
    renew(side, SESSION, &second);
    TURN_UNTIL(side, first.done);
    assert_true(first.code == CACHE_OK && first.granted_ms == 0);
    turns(side);
    assert_false(second.done);
    hear(side, SESSION, listener.number, &next);
    TURN_UNTIL(side, second.done);
    assert_true(second.code == CACHE_OK && second.granted_ms > LONG_MS / 2);
}

static void a_listener_is_answered_when_another_comes_or_nothing_happens(void **state)
{
    struct side *side = *state;
    static struct reply first, second, written;

    hold_key(side, "k", &first);
    hear(side, SESSION, 0, &second);
    TURN_UNTIL(side, first.done);
    assert_true(first.code == CACHE_OK && first.number == 0 && first.count == 0 && !first.all);
    turns(side);
    assert_false(second.done);
    hosts_tick(&side->node, clock_now_ms() + 15000);
    turns(side);
    assert_false(second.done);
    hosts_tick(&side->node, clock_now_ms() + 20000);
    TURN_UNTIL(side, second.done);
    assert_true(second.code == CACHE_OK && second.number == 0 && second.count == 0);
    /* Nobody listens: that is no answer to what comes now (C3). */
    put(side, "k", "new", &written);
    turns(side);
    assert_false(written.done);
    hear(side, SESSION, 0, &first);
    TURN_UNTIL(side, first.done);
    assert_int_equal(first.count, 1);
    hear(side, SESSION, first.number, &second);
    TURN_UNTIL(side, written.done);
}

static void nobody_listens_or_renews_without_a_session(void **state)
{
    struct side *side = *state;
    static struct reply listener, renewed;

    hear(side, SESSION, 0, &listener);
    renew(side, SESSION, &renewed);
    TURN_UNTIL(side, listener.done && renewed.done);
    assert_int_equal(listener.code, CACHE_CLOSED);
    assert_int_equal(renewed.code, CACHE_CLOSED);
    hear(side, 0, 0, &listener);
    renew(side, 0, &renewed);
    TURN_UNTIL(side, listener.done && renewed.done);
    assert_int_equal(listener.code, CACHE_CLOSED);
    assert_int_equal(renewed.code, CACHE_CLOSED);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(only_live_sessions_are_granted_anything_C2),
        TEST(a_session_is_opened_for_this_cluster_and_under_a_new_number),
        cmocka_unit_test(a_server_may_grant_nothing_at_all),
        TEST(more_sessions_than_there_is_room_for_are_refused),
        TEST(all_that_tells_of_a_write_waits_for_its_holders_C3),
        TEST(absence_and_refusals_of_a_condition_wait_too_C3),
        TEST(hosts_hear_of_a_write_before_it_is_durable),
        TEST(a_broken_connection_is_no_answer_C3),
        TEST(a_session_that_ran_out_holds_nothing_up),
        TEST(what_waits_ends_with_the_session),
        TEST(replies_that_wait_when_the_server_stops_are_freed),
        TEST(a_renewal_waits_for_what_began_before_it_C5),
        TEST(a_listener_is_answered_when_another_comes_or_nothing_happens),
        TEST(nobody_listens_or_renews_without_a_session),
    };

    return cmocka_run_group_tests_name("server_hosts", tests, NULL, NULL);
}
