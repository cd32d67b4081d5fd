/* Sessions of hosts at a server: how long they last, and that those that ended are dead (C5, C7).
 */
#include "lease_fixture.h"

enum { NOW = FIXTURE_START_MS, BUCKET = 7 };

static void test_a_host_counts_less_than_the_server_waits_whatever_their_clocks_C5(void **state)
{
    (void)state;
    assert_int_equal(lease_host_ms(1010), 990);
    assert_int_equal(lease_server_ms(990), 1010);
    assert_int_equal(lease_host_ms(1), 0);
    assert_int_equal(lease_server_ms(0), 0);
    assert_int_equal(lease_server_ms(1), 2);
    for (uint64_t ms = 0; ms < 20000; ms++) {
        /* host / (1 - drift) <= server / (1 + drift), as whole numbers */
        assert_true(lease_host_ms(ms) * 1010 <= ms * 990);
        assert_true((lease_host_ms(ms) + 1) * 1010 > ms * 990);
        assert_true(lease_server_ms(ms) * 990 >= ms * 1010);
        assert_true(lease_server_ms(lease_host_ms(ms)) <= ms);
    }
    assert_true(lease_host_ms(UINT64_MAX) < UINT64_MAX);
    assert_true(lease_server_ms(UINT64_MAX) == UINT64_MAX);
    assert_true(lease_server_ms(UINT64_MAX / 1010 * 990) == UINT64_MAX);
}

static void test_a_restarted_server_is_quiet_until_the_longest_lease_is_over_C7(void **state)
{
    const struct lease_options options = {.lease_ms = 100, .longest_ms = 9900};
    struct lease *lease = lease_create(&options, NOW);

    assert_non_null(lease);
    assert_int_equal(lease_quiet_until_ms(lease), NOW + 10100);
    assert_int_equal(lease_quiet_until_ms(*state), 0);
    lease_free(lease);
}

static void test_a_number_is_not_zero_and_not_in_use(void **state)
{
    uint64_t granted_ms = 1;

    assert_int_equal(lease_open(*state, 0, NOW, UNBOUND, &granted_ms), CAIRN_EINVAL);
    assert_int_equal(granted_ms, 0);
    must_open(*state, 9, NOW);
    assert_int_equal(lease_open(*state, 9, NOW, UNBOUND, &granted_ms), CAIRN_EINVAL);
    must_open(*state, 9 + LEASE_SESSIONS_LIMIT, NOW);
    must_be_silent(*state);
}

static void test_it_is_known_when_a_host_that_says_nothing_runs_out(void **state)
{
    must_open(*state, 9, NOW);
    must_open(*state, 10, NOW + 50);
    assert_true(lease_next_lapse_ms(*state) == UINT64_MAX); /* nobody waits for them */
    must_grant(*state, 10, BUCKET, NOW + 60);
    lease_write_begins(*state, BUCKET, NOW + 60);
    assert_int_equal(lease_next_lapse_ms(*state), NOW + 50 + FIXTURE_LEASE_MS);
    lease_tick(*state, NOW + 50 + FIXTURE_LEASE_MS);
    assert_true(lease_next_lapse_ms(*state) == UINT64_MAX);
    lease_write_ends(*state, BUCKET);
}

static void test_a_session_that_is_to_end_is_waited_for_C6(void **state)
{
    must_open(*state, 9, NOW);
    (void)lease_end_all(*state);
    assert_int_equal(lease_next_lapse_ms(*state), NOW + FIXTURE_LEASE_MS);
}

static void test_a_session_that_ran_out_is_dead_C5(void **state)
{
    struct lease_stats stats;
    const uint64_t end_ms = NOW + FIXTURE_LEASE_MS;

    must_open(*state, 9, NOW);
    must_grant(*state, 9, BUCKET, end_ms - 1);
    lease_tick(*state, end_ms - 1);
    must_be_silent(*state);
    lease_tick(*state, end_ms);
    must_be_over(*state, 9);
    must_be_silent(*state);
    assert_false(lease_renew(*state, 9, end_ms, UNBOUND));
    assert_false(lease_listen(*state, 9, 0, end_ms));
    must_refuse(*state, 9, BUCKET, end_ms);
    lease_stats(*state, &stats);
    assert_int_equal(stats.lapses, 1);
    assert_int_equal(stats.sessions, 0);
}

static void test_no_tick_is_needed_for_a_session_to_run_out_C5(void **state)
{
    const uint64_t end_ms = NOW + FIXTURE_LEASE_MS;

    for (uint64_t s = 1; s <= 4; s++)
        must_open(*state, s, NOW);
    must_grant(*state, 4, BUCKET, NOW);
    must_refuse(*state, 1, BUCKET, end_ms);
    assert_false(lease_renew(*state, 2, end_ms, UNBOUND));
    assert_false(lease_listen(*state, 3, 0, end_ms));
    lease_write_begins(*state, BUCKET, end_ms);
    assert_false(lease_is_revoking(*state, BUCKET));
    for (uint64_t s = 1; s <= 4; s++)
        must_be_over(*state, s);
    must_be_silent(*state);
}

static void test_a_renewal_counts_from_its_arrival_and_never_shortens_C5(void **state)
{
    must_open(*state, 9, NOW);
    assert_true(lease_renew(*state, 9, NOW + 500, UNBOUND));
    must_renew(*state, 9, FIXTURE_HOST_MS);
    assert_true(lease_renew(*state, 9, NOW + 1000, NOW + 1200)); /* an earlier bound than before */
    must_renew(*state, 9, lease_host_ms(510));
    lease_tick(*state, NOW + 1509);
    must_be_silent(*state);
    lease_tick(*state, NOW + 1510);
    must_be_over(*state, 9);
}

static void test_no_lease_outlives_the_leases_of_peers_C5(void **state)
{
    uint64_t granted_ms;

    assert_int_equal(lease_open(*state, 9, NOW, NOW + 505, &granted_ms), 0);
    assert_int_equal(granted_ms, 495);
    assert_true(lease_grant(*state, 9, BUCKET, NOW, NOW + 505));
    assert_false(lease_grant(*state, 9, BUCKET, NOW, NOW + 504));
    assert_true(lease_renew(*state, 9, NOW + 404, NOW + 606));
    must_renew(*state, 9, lease_host_ms(202));
    lease_tick(*state, NOW + 606);
    must_be_over(*state, 9);
}

static void test_no_session_opens_that_would_be_of_no_use(void **state)
{
    uint64_t granted_ms;

    assert_int_equal(lease_open(*state, 9, NOW, NOW, &granted_ms), CAIRN_EBUSY);
    assert_int_equal(lease_open(*state, 9, NOW, NOW - 1, &granted_ms), CAIRN_EBUSY);
    assert_int_equal(lease_open(*state, 9, NOW, NOW + 1, &granted_ms), CAIRN_EBUSY);
    assert_int_equal(lease_open(*state, 9, NOW, NOW + 2, &granted_ms), 0);
    assert_int_equal(granted_ms, 1);
}

static void test_a_renewal_waits_for_what_was_begun_before_it_C5(void **state)
{
    must_open(*state, 9, NOW);
    must_grant(*state, 9, BUCKET, NOW);
    must_grant(*state, 9, BUCKET + 1, NOW);
    write_all(*state, BUCKET, NOW);
    assert_true(lease_renew(*state, 9, NOW + 100, UNBOUND));
    must_be_silent(*state);
    assert_true(lease_listen(*state, 9, 0, NOW + 110));
    must_send(*state, 9, 1, 1, BUCKET);
    write_all(*state, BUCKET + 1, NOW + 120); /* begun after it came: it need not wait for that */
    must_be_silent(*state);
    assert_true(lease_listen(*state, 9, 1, NOW + 200));
    must_renew(*state, 9, FIXTURE_HOST_MS);
    must_send(*state, 9, 2, 1, BUCKET + 1);
    must_be_silent(*state);
    lease_tick(*state, NOW + 100 + FIXTURE_LEASE_MS - 1);
    must_be_silent(*state);
    lease_tick(*state, NOW + 100 + FIXTURE_LEASE_MS);
    must_be_over(*state, 9);
}

static void test_what_is_not_answered_is_not_renewed_C5(void **state)
{
    must_open(*state, 9, NOW);
    must_grant(*state, 9, BUCKET, NOW);
    write_all(*state, BUCKET, NOW);
    assert_true(lease_renew(*state, 9, NOW + 500, UNBOUND));
    lease_tick(*state, NOW + FIXTURE_LEASE_MS);
    must_be_over(*state, 9); /* answers the renewal, too */
    must_be_silent(*state);
    assert_false(lease_is_revoking(*state, BUCKET));
}

static void test_a_renewal_granted_too_late_is_granted_nothing_C5(void **state)
{
    must_open(*state, 9, NOW);
    must_grant(*state, 9, BUCKET, NOW);
    assert_true(lease_listen(*state, 9, 0, NOW));
    write_all(*state, BUCKET, NOW);
    must_send(*state, 9, 1, 1, BUCKET);
    assert_true(lease_renew(*state, 9, NOW + 10, NOW + 20));
    assert_true(lease_listen(*state, 9, 1, NOW + 900));
    /* The bound is over, what the session has is not. */
    must_renew(*state, 9, lease_host_ms(FIXTURE_LEASE_MS - 10));
    must_be_silent(*state);
}

static void test_a_later_renewal_supersedes_one_that_waits(void **state)
{
    must_open(*state, 9, NOW);
    must_grant(*state, 9, BUCKET, NOW);
    write_all(*state, BUCKET, NOW);
    assert_true(lease_renew(*state, 9, NOW + 100, UNBOUND));
    must_be_silent(*state);
    assert_true(lease_renew(*state, 9, NOW + 200, UNBOUND));
    must_renew(*state, 9, 0);
    must_be_silent(*state);
    assert_true(lease_listen(*state, 9, 0, NOW + 300));
    must_send(*state, 9, 1, 1, BUCKET);
    assert_true(lease_listen(*state, 9, 1, NOW + 300));
    must_renew(*state, 9, FIXTURE_HOST_MS);
    lease_tick(*state, NOW + 200 + FIXTURE_LEASE_MS - 1);
    must_be_silent(*state);
}

static void test_closing_ends_a_session_at_once_C6(void **state)
{
    must_open(*state, 9, NOW);
    must_grant(*state, 9, BUCKET, NOW);
    write_all(*state, BUCKET, NOW);
    assert_true(lease_is_revoking(*state, BUCKET));
    lease_close(*state, 9);
    assert_false(lease_is_revoking(*state, BUCKET));
    must_be_over(*state, 9);
    lease_close(*state, 9);
    lease_unlisten(*state, 9);
    must_be_silent(*state);
}

static void test_sessions_are_limited(void **state)
{
    uint64_t granted_ms;
    struct lease_stats stats;

    for (uint64_t s = 1; s <= LEASE_SESSIONS_LIMIT; s++)
        must_open(*state, s, NOW);
    assert_int_equal(lease_open(*state, 1000, NOW, UNBOUND, &granted_ms), CAIRN_EFULL);
    lease_stats(*state, &stats);
    assert_int_equal(stats.sessions, LEASE_SESSIONS_LIMIT);
    lease_close(*state, 77);
    must_be_over(*state, 77);
    must_open(*state, 1000, NOW);
}

static void test_a_slot_forgets_what_its_earlier_sessions_held_C2(void **state)
{
    for (uint64_t s = 1; s <= 3 * LEASE_SESSIONS_LIMIT; s++) {
        must_open(*state, s, NOW);
        if (s <= LEASE_SESSIONS_LIMIT)
            must_grant(*state, s, BUCKET, NOW);
        lease_close(*state, s);
        must_be_over(*state, s);
    }
    for (uint64_t s = 1; s <= LEASE_SESSIONS_LIMIT; s++)
        must_open(*state, 1000 + s, NOW);
    write_all(*state, BUCKET, NOW);
    assert_false(lease_is_revoking(*state, BUCKET));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        lease_test(test_a_host_counts_less_than_the_server_waits_whatever_their_clocks_C5),
        lease_test(test_a_restarted_server_is_quiet_until_the_longest_lease_is_over_C7),
        lease_test(test_a_number_is_not_zero_and_not_in_use),
        lease_test(test_it_is_known_when_a_host_that_says_nothing_runs_out),
        lease_test(test_a_session_that_is_to_end_is_waited_for_C6),
        lease_test(test_a_session_that_ran_out_is_dead_C5),
        lease_test(test_no_tick_is_needed_for_a_session_to_run_out_C5),
        lease_test(test_a_renewal_counts_from_its_arrival_and_never_shortens_C5),
        lease_test(test_no_lease_outlives_the_leases_of_peers_C5),
        lease_test(test_no_session_opens_that_would_be_of_no_use),
        lease_test(test_a_renewal_waits_for_what_was_begun_before_it_C5),
        lease_test(test_what_is_not_answered_is_not_renewed_C5),
        lease_test(test_a_renewal_granted_too_late_is_granted_nothing_C5),
        lease_test(test_a_later_renewal_supersedes_one_that_waits),
        lease_test(test_closing_ends_a_session_at_once_C6),
        lease_test(test_sessions_are_limited),
        lease_test(test_a_slot_forgets_what_its_earlier_sessions_held_C2),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
