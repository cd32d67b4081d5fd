/* Grants and revocations of buckets, the batches that carry them, and who waits (C2, C3, C6). */
#include "lease_fixture.h"

enum { NOW = FIXTURE_START_MS, BUCKET = 7, LAST = CAIRN_BUCKETS - 1 };

static void test_nothing_is_granted_while_a_write_is_pending_C2(void **state)
{
    must_open(*state, 9, NOW);
    lease_write_begins(*state, BUCKET, NOW);
    lease_write_begins(*state, BUCKET, NOW);
    must_refuse(*state, 9, BUCKET, NOW);
    must_grant(*state, 9, BUCKET + 1, NOW);
    lease_write_ends(*state, BUCKET);
    must_refuse(*state, 9, BUCKET, NOW);
    lease_write_ends(*state, BUCKET);
    must_grant(*state, 9, BUCKET, NOW);
}

static void test_a_write_that_began_before_any_session_is_pending_C2(void **state)
{
    lease_write_begins(*state, LAST, NOW);
    must_open(*state, 9, NOW);
    must_refuse(*state, 9, LAST, NOW);
    lease_write_ends(*state, LAST);
    must_grant(*state, 9, LAST, NOW);
}

static void test_nothing_is_granted_while_it_is_being_revoked_C2(void **state)
{
    must_open(*state, 8, NOW);
    must_open(*state, 9, NOW);
    must_grant(*state, 8, BUCKET, NOW);
    write_all(*state, BUCKET, NOW);
    must_refuse(*state, 8, BUCKET, NOW);
    must_refuse(*state, 9, BUCKET, NOW);
    assert_true(lease_listen(*state, 8, 0, NOW));
    must_send(*state, 8, 1, 1, BUCKET);
    must_refuse(*state, 9, BUCKET, NOW);
    assert_true(lease_listen(*state, 8, 1, NOW));
    must_grant(*state, 9, BUCKET, NOW);
}

static void test_only_holders_are_asked_and_all_of_them_C3(void **state)
{
    struct lease_waiter waiter;
    struct lease_stats stats;

    for (uint64_t s = 1; s <= LEASE_SESSIONS_LIMIT; s++) {
        must_open(*state, s, NOW);
        assert_true(lease_listen(*state, s, 0, NOW));
        if (s % 2 == 0)
            must_grant(*state, s, BUCKET, NOW);
    }
    must_be_silent(*state);
    lease_write_begins(*state, BUCKET, NOW);
    lease_wait(*state, BUCKET, &waiter);
    for (uint64_t s = 2; s <= LEASE_SESSIONS_LIMIT; s += 2)
        must_send(*state, s, 1, 1, BUCKET);
    must_be_silent(*state);
    for (uint64_t s = 2; s <= LEASE_SESSIONS_LIMIT; s += 2) {
        assert_true(lease_is_revoking(*state, BUCKET));
        must_be_silent(*state);
        assert_true(lease_listen(*state, s, 1, NOW));
    }
    assert_false(lease_is_revoking(*state, BUCKET));
    assert_ptr_equal(lease_next_ready(*state), &waiter);
    must_be_silent(*state);
    lease_stats(*state, &stats);
    assert_int_equal(stats.grants, LEASE_SESSIONS_LIMIT / 2);
    assert_int_equal(stats.revocations, 1);
    assert_int_equal(stats.revoking, 0);
}

static void test_a_second_write_joins_the_revocation_C3(void **state)
{
    struct lease_waiter first, second;
    struct lease_stats stats;

    must_open(*state, 9, NOW);
    must_grant(*state, 9, BUCKET, NOW);
    lease_write_begins(*state, BUCKET, NOW);
    lease_wait(*state, BUCKET, &first);
    lease_write_begins(*state, BUCKET, NOW);
    lease_wait(*state, BUCKET, &second);
    lease_stats(*state, &stats);
    assert_int_equal(stats.revocations, 1);
    assert_true(lease_listen(*state, 9, 0, NOW));
    must_send(*state, 9, 1, 1, BUCKET);
    assert_true(lease_listen(*state, 9, 1, NOW));
    assert_ptr_equal(lease_next_ready(*state), &first);
    assert_ptr_equal(lease_next_ready(*state), &second);
    must_be_silent(*state);
}

static void test_a_broken_connection_is_no_answer_C3(void **state)
{
    must_open(*state, 9, NOW);
    must_grant(*state, 9, BUCKET, NOW);
    assert_true(lease_listen(*state, 9, 0, NOW));
    lease_unlisten(*state, 9);
    write_all(*state, BUCKET, NOW);
    must_be_silent(*state); /* nobody listens */
    lease_unlisten(*state, 9);
    assert_true(lease_is_revoking(*state, BUCKET));
    lease_tick(*state, NOW + FIXTURE_LEASE_MS);
    assert_false(lease_is_revoking(*state, BUCKET));
}

static void test_a_batch_that_was_not_answered_is_sent_again_unchanged_C3(void **state)
{
    must_open(*state, 9, NOW);
    must_grant(*state, 9, BUCKET, NOW);
    must_grant(*state, 9, LAST, NOW);
    assert_true(lease_listen(*state, 9, 0, NOW));
    write_all(*state, BUCKET, NOW);
    must_send(*state, 9, 1, 1, BUCKET);
    write_all(*state, LAST, NOW);
    must_be_silent(*state); /* one at a time */
    lease_unlisten(*state, 9);
    assert_true(lease_listen(*state, 9, 0, NOW));
    must_send(*state, 9, 1, 1, BUCKET);
    assert_true(lease_is_revoking(*state, BUCKET));
    assert_true(lease_listen(*state, 9, 1, NOW));
    assert_false(lease_is_revoking(*state, BUCKET));
    assert_true(lease_is_revoking(*state, LAST));
    must_send(*state, 9, 2, 1, LAST);
    assert_true(lease_listen(*state, 9, 1, NOW)); /* an old one, late */
    assert_true(lease_is_revoking(*state, LAST));
    must_send(*state, 9, 2, 1, LAST);
    assert_true(lease_listen(*state, 9, 2, NOW));
    assert_false(lease_is_revoking_any(*state));
    must_be_silent(*state);
}

static void test_a_number_that_was_not_sent_is_no_answer_C3(void **state)
{
    must_open(*state, 9, NOW);
    must_grant(*state, 9, BUCKET, NOW);
    write_all(*state, BUCKET, NOW);
    assert_true(lease_listen(*state, 9, 1, NOW)); /* what will be its number */
    assert_true(lease_is_revoking(*state, BUCKET));
    must_send(*state, 9, 1, 1, BUCKET);
    assert_true(lease_listen(*state, 9, UINT64_MAX, NOW));
    assert_true(lease_is_revoking(*state, BUCKET));
    must_send(*state, 9, 1, 1, BUCKET);
    assert_true(lease_listen(*state, 9, 1, NOW));
    assert_false(lease_is_revoking(*state, BUCKET));
}

static void test_batches_are_limited_and_lose_nothing_C3(void **state)
{
    struct lease_output output;
    uint64_t number = 0;
    uint32_t expected = 0;

    must_open(*state, 9, NOW);
    for (uint32_t b = 0; b < CAIRN_BUCKETS; b++) {
        must_grant(*state, 9, b, NOW);
        write_all(*state, b, NOW);
    }
    must_be_silent(*state);
    while (expected < CAIRN_BUCKETS) {
        assert_true(lease_listen(*state, 9, number, NOW));
        assert_true(lease_next_output(*state, &output));
        assert_int_equal(output.number, ++number);
        assert_int_equal(output.count, CAIRN_BATCH_BUCKETS_LIMIT);
        for (uint32_t i = 0; i < output.count; i++)
            assert_int_equal(output.buckets[i], expected++);
    }
    assert_true(lease_is_revoking(*state, LAST));
    assert_false(lease_is_revoking(*state, LAST - CAIRN_BATCH_BUCKETS_LIMIT));
    assert_true(lease_listen(*state, 9, number, NOW));
    assert_false(lease_is_revoking_any(*state));
    must_be_silent(*state);
}

static void test_a_queue_goes_round_and_keeps_its_order_C3(void **state)
{
    struct lease_output output;
    uint64_t number = 0;
    uint32_t told = 0, next = 0;

    must_open(*state, 9, NOW);
    /* It never becomes empty while three times its room goes through it. */
    while (told < 3 * CAIRN_BUCKETS) {
        for (; next < told + CAIRN_BATCH_BUCKETS_LIMIT + 100; next++) {
            must_grant(*state, 9, next % CAIRN_BUCKETS, NOW);
            write_all(*state, next % CAIRN_BUCKETS, NOW);
        }
        assert_true(lease_listen(*state, 9, number, NOW));
        assert_true(lease_next_output(*state, &output));
        number = output.number;
        for (uint32_t i = 0; i < output.count; i++)
            assert_int_equal(output.buckets[i], told++ % CAIRN_BUCKETS);
    }
}

static void test_all_means_what_is_being_revoked_then_and_not_what_comes_later_C3(void **state)
{
    struct lease_waiter all, later;

    must_open(*state, 8, NOW);
    must_open(*state, 9, NOW);
    must_grant(*state, 8, 1, NOW);
    must_grant(*state, 9, 2, NOW);
    must_grant(*state, 9, 3, NOW);
    must_grant(*state, 8, 4, NOW);
    write_all(*state, 1, NOW);
    write_all(*state, 2, NOW);
    lease_wait_all(*state, &all);
    write_all(*state, 3, NOW);
    lease_wait_all(*state, &later);
    must_be_silent(*state);
    assert_true(lease_listen(*state, 9, 0, NOW));
    must_send(*state, 9, 1, 2, 2);
    assert_true(lease_listen(*state, 9, 1, NOW)); /* 2 and 3 are over, 1 is not */
    must_be_silent(*state);
    write_all(*state, 4, NOW);
    assert_true(lease_listen(*state, 8, 0, NOW));
    must_send(*state, 8, 1, 2, 1);
    lease_close(*state, 8);
    must_be_over(*state, 8);
    assert_ptr_equal(lease_next_ready(*state), &all);
    assert_ptr_equal(lease_next_ready(*state), &later);
    must_be_silent(*state);
}

static void test_who_waits_for_all_does_not_wait_for_later_writes_C3(void **state)
{
    struct lease_waiter all;

    must_open(*state, 8, NOW);
    must_open(*state, 9, NOW);
    must_grant(*state, 8, 1, NOW);
    must_grant(*state, 9, 2, NOW);
    write_all(*state, 1, NOW);
    lease_wait_all(*state, &all);
    write_all(*state, 2, NOW);
    lease_close(*state, 8);
    must_be_over(*state, 8);
    assert_ptr_equal(lease_next_ready(*state), &all);
    assert_true(lease_is_revoking_any(*state));
}

static void test_all_waiters_are_given_back_to_a_driver_that_closes(void **state)
{
    struct lease_waiter waiters[4];

    must_open(*state, 9, NOW);
    for (uint32_t b = 0; b < 3; b++) {
        must_grant(*state, 9, b, NOW);
        write_all(*state, b, NOW);
        lease_wait(*state, b, &waiters[b]);
    }
    lease_wait_all(*state, &waiters[3]);
    must_be_silent(*state);
    lease_release_all(*state);
    for (unsigned i = 0; i < 4; i++)
        assert_ptr_equal(lease_next_ready(*state), &waiters[i]);
    lease_close(*state, 9);
    must_be_over(*state, 9);
    must_be_silent(*state);
}

/* --- all sessions end (C6) ---------------------------------------------------------------------
 */

static void test_ending_all_tells_every_host_and_grants_no_more_C6(void **state)
{
    uint64_t granted_ms;

    must_open(*state, 8, NOW);
    must_open(*state, 9, NOW);
    assert_true(lease_listen(*state, 8, 0, NOW));
    const uint64_t ticket = lease_end_all(*state);
    must_send_all(*state, 8, 1);
    must_be_silent(*state);
    must_refuse(*state, 9, BUCKET, NOW);
    assert_true(lease_renew(*state, 9, NOW, UNBOUND));
    must_renew(*state, 9, 0);
    assert_true(lease_listen(*state, 8, 0, NOW)); /* not answered yet */
    must_send_all(*state, 8, 1);
    assert_false(lease_ended(*state, ticket));
    assert_true(lease_listen(*state, 8, 1, NOW));
    must_be_over(*state, 8);
    assert_false(lease_ended(*state, ticket));
    assert_int_equal(lease_open(*state, 10, NOW, UNBOUND, &granted_ms), 0);
    must_grant(*state, 10, BUCKET, NOW);
    lease_close(*state, 9);
    assert_true(lease_ended(*state, ticket)); /* 10 was opened later */
    must_be_over(*state, 9);
    must_be_silent(*state);
}

static void test_an_ending_session_is_still_revoked_from_C3(void **state)
{
    must_open(*state, 9, NOW);
    must_grant(*state, 9, BUCKET, NOW);
    must_grant(*state, 9, LAST, NOW);
    assert_true(lease_listen(*state, 9, 0, NOW));
    write_all(*state, BUCKET, NOW);
    must_send(*state, 9, 1, 1, BUCKET);
    lease_end_all(*state);
    write_all(*state, LAST, NOW);
    must_be_silent(*state);
    assert_true(lease_listen(*state, 9, 0, NOW)); /* batch 1 was lost */
    must_send_all(*state, 9, 2);
    assert_true(lease_listen(*state, 9, 1, NOW)); /* or late */
    assert_false(lease_is_revoking(*state, BUCKET));
    assert_true(lease_is_revoking(*state, LAST));
    must_send_all(*state, 9, 2);
    assert_true(lease_listen(*state, 9, 2, NOW));
    assert_false(lease_is_revoking(*state, LAST));
    must_be_over(*state, 9);
}

static void test_ending_answers_a_renewal_that_waits_C6(void **state)
{
    must_open(*state, 9, NOW);
    must_grant(*state, 9, BUCKET, NOW);
    write_all(*state, BUCKET, NOW);
    assert_true(lease_renew(*state, 9, NOW + 500, UNBOUND));
    const uint64_t ticket = lease_end_all(*state);
    must_renew(*state, 9, 0);
    lease_tick(*state, NOW + FIXTURE_LEASE_MS - 1);
    assert_false(lease_ended(*state, ticket));
    lease_tick(*state, NOW + FIXTURE_LEASE_MS);
    assert_true(lease_ended(*state, ticket));
    must_be_over(*state, 9);
}

static void test_each_end_has_its_own_ticket_C6(void **state)
{
    must_open(*state, 8, NOW);
    const uint64_t first = lease_end_all(*state);
    must_open(*state, 9, NOW);
    const uint64_t second = lease_end_all(*state);
    lease_close(*state, 8);
    assert_true(lease_ended(*state, first));
    assert_false(lease_ended(*state, second));
    lease_close(*state, 9);
    assert_true(lease_ended(*state, second));
    assert_true(lease_ended(*state, lease_end_all(*state))); /* nobody is there */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        lease_test(test_nothing_is_granted_while_a_write_is_pending_C2),
        lease_test(test_a_write_that_began_before_any_session_is_pending_C2),
        lease_test(test_nothing_is_granted_while_it_is_being_revoked_C2),
        lease_test(test_only_holders_are_asked_and_all_of_them_C3),
        lease_test(test_a_second_write_joins_the_revocation_C3),
        lease_test(test_a_broken_connection_is_no_answer_C3),
        lease_test(test_a_batch_that_was_not_answered_is_sent_again_unchanged_C3),
        lease_test(test_a_number_that_was_not_sent_is_no_answer_C3),
        lease_test(test_batches_are_limited_and_lose_nothing_C3),
        lease_test(test_a_queue_goes_round_and_keeps_its_order_C3),
        lease_test(test_all_means_what_is_being_revoked_then_and_not_what_comes_later_C3),
        lease_test(test_who_waits_for_all_does_not_wait_for_later_writes_C3),
        lease_test(test_all_waiters_are_given_back_to_a_driver_that_closes),
        lease_test(test_ending_all_tells_every_host_and_grants_no_more_C6),
        lease_test(test_an_ending_session_is_still_revoked_from_C3),
        lease_test(test_ending_answers_a_renewal_that_waits_C6),
        lease_test(test_each_end_has_its_own_ticket_C6),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
