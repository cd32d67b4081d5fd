/* A host's session with one server: what the agent sends when, and what readers see (C4 to C6). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "client/cache_internal.h"
#include "client/host_session.h"
#include "proto/bucket.h"

enum { SERVER = 3, NOW = 10000, LEASE_MS = 4000, FIRST = 71, SECOND = 72 };

struct fixture {
    struct cache cache;
    struct host_session session;
    void *memory;
};

static int setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));

    fixture->memory = aligned_alloc(4096, CACHE_BYTES_MIN);
    memset(fixture->memory, 0, CACHE_BYTES_MIN);
    assert_int_equal(cache_format(fixture->memory, CACHE_BYTES_MIN, 1, 2, 3), 0);
    assert_int_equal(cache_attach(&fixture->cache, fixture->memory, CACHE_BYTES_MIN, 1, 2, 3,
                                  &(struct cache_locks){0}),
                     0);
    (void)cache_raise_generation(&fixture->cache);
    cache_open_entries(&fixture->cache);
    host_session_init(&fixture->session, &fixture->cache, SERVER);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;

    free(fixture->memory);
    free(fixture);
    return 0;
}

/* As it is in the segment: a note would make it begin at a random number. */
static uint64_t counter(const struct fixture *fixture, uint32_t bucket)
{
    return cache_load(&cache_fixed(&fixture->cache)->counters[bucket]);
}

static uint64_t live(const struct fixture *fixture, uint64_t now_ms)
{
    return cache_session(&fixture->cache, SERVER, now_ms);
}

static uint64_t counted(const struct fixture *fixture, enum cache_count what)
{
    struct cache_stat stat;

    cache_stat(&fixture->cache, NOW, &stat);
    return stat.counts[what];
}

static void must_send(struct fixture *fixture, enum host_session_call call, uint64_t number,
                      uint64_t now_ms)
{
    assert_int_equal(host_session_due(&fixture->session, now_ms), call);
    assert_true(host_session_next_ms(&fixture->session) <= now_ms);
    host_session_sent(&fixture->session, call, number, now_ms);
}

static void must_be_idle(const struct fixture *fixture, uint64_t now_ms)
{
    assert_int_equal(host_session_due(&fixture->session, now_ms), HOST_CALL_NONE);
    assert_true(host_session_next_ms(&fixture->session) > now_ms);
}

/* Opens FIRST at NOW, answered 10 ms later; a LISTEN is under way. */
static struct host_session *opened(struct fixture *fixture)
{
    must_send(fixture, HOST_CALL_OPEN, FIRST, NOW);
    must_be_idle(fixture, NOW);
    host_session_granted(&fixture->session, FIRST, CACHE_OK, LEASE_MS, NOW + 10);
    must_send(fixture, HOST_CALL_LISTEN, FIRST, NOW + 10);
    must_be_idle(fixture, NOW + 10);
    return &fixture->session;
}

static void batch(struct fixture *fixture, uint64_t session, uint64_t number, bool all,
                  uint32_t bucket, uint64_t now_ms)
{
    u_int buckets[] = {bucket, 9};
    const cache_batch message = {
        .number = number,
        .all = all,
        .buckets = {.buckets_len = all ? 0 : 2, .buckets_val = buckets},
    };

    host_session_batch(&fixture->session, session, &message, now_ms);
}

static void test_a_lease_counts_from_before_its_call_left_C5(void **state)
{
    struct fixture *fixture = *state;

    must_send(fixture, HOST_CALL_OPEN, FIRST, NOW);
    assert_int_equal(live(fixture, NOW), 0);
    host_session_granted(&fixture->session, FIRST, CACHE_OK, LEASE_MS, NOW + 500);
    assert_int_equal(live(fixture, NOW + LEASE_MS - 1), FIRST);
    assert_int_equal(live(fixture, NOW + LEASE_MS), 0);
}

static void test_a_grant_that_comes_after_its_end_is_closed(void **state)
{
    struct fixture *fixture = *state;

    must_send(fixture, HOST_CALL_OPEN, FIRST, NOW);
    host_session_granted(&fixture->session, FIRST, CACHE_OK, 100, NOW + 100);
    assert_int_equal(live(fixture, 0), 0);
    must_send(fixture, HOST_CALL_CLOSE, FIRST, NOW + 100);
    host_session_closed(&fixture->session, FIRST);
    must_be_idle(fixture, NOW + 100);
    must_send(fixture, HOST_CALL_OPEN, SECOND, NOW + 150);
}

static void test_a_session_is_renewed_long_before_it_ends_C5(void **state)
{
    struct fixture *fixture = *state;
    struct host_session *session = opened(fixture);
    const uint64_t renew_ms = host_session_next_ms(session);

    assert_in_range(renew_ms, NOW + LEASE_MS / 5, NOW + LEASE_MS / 3);
    must_send(fixture, HOST_CALL_RENEW, FIRST, renew_ms);
    must_be_idle(fixture, NOW + LEASE_MS - 1);
    host_session_granted(session, FIRST, CACHE_OK, LEASE_MS, NOW + LEASE_MS - 1);
    assert_int_equal(live(fixture, renew_ms + LEASE_MS - 1), FIRST);
    assert_int_equal(live(fixture, renew_ms + LEASE_MS), 0);
    /* It came late: little is left, and the next one goes out the sooner. */
    assert_in_range(host_session_next_ms(session), NOW + LEASE_MS, NOW + LEASE_MS + LEASE_MS / 4);
}

static void test_a_renewal_never_shortens_and_nothing_granted_is_asked_again_C5(void **state)
{
    struct fixture *fixture = *state;
    struct host_session *session = opened(fixture);
    uint64_t now_ms = host_session_next_ms(session);

    for (uint64_t granted_ms = 0; granted_ms < 200; granted_ms += 100) {
        must_send(fixture, HOST_CALL_RENEW, FIRST, now_ms);
        host_session_granted(session, FIRST, CACHE_OK, granted_ms, now_ms);
        must_be_idle(fixture, now_ms);
        now_ms = host_session_next_ms(session);
        assert_int_equal(live(fixture, NOW + LEASE_MS - 1), FIRST);
    }
    assert_true(now_ms < NOW + LEASE_MS);
}

static void test_a_session_that_ran_out_is_closed_and_its_number_never_used_again_C5(void **state)
{
    struct fixture *fixture = *state;
    struct host_session *session = opened(fixture);
    const uint64_t end_ms = NOW + LEASE_MS;

    must_send(fixture, HOST_CALL_RENEW, FIRST, host_session_next_ms(session));
    assert_int_equal(host_session_next_ms(session), end_ms);
    must_send(fixture, HOST_CALL_CLOSE, FIRST, end_ms);
    assert_int_equal(counted(fixture, CACHE_LAPSES), 1);
    host_session_granted(session, FIRST, CACHE_OK, LEASE_MS, end_ms); /* the renewal, too late */
    batch(fixture, FIRST, 1, false, 5, end_ms);
    assert_int_equal(live(fixture, 0), 0);
    host_session_closed(session, FIRST);
    must_send(fixture, HOST_CALL_OPEN, SECOND, end_ms);
    host_session_granted(session, FIRST, CACHE_OK, LEASE_MS, end_ms);
    assert_int_equal(live(fixture, 0), 0);
    host_session_granted(session, SECOND, CACHE_OK, LEASE_MS, end_ms);
    assert_int_equal(live(fixture, end_ms), SECOND);
    assert_int_equal(session->answered, 0);
}

static void test_a_batch_is_counted_before_it_is_answered_C4(void **state)
{
    struct fixture *fixture = *state;
    struct host_session *session = opened(fixture);

    batch(fixture, FIRST, 1, false, 5, NOW + 20);
    assert_int_equal(counter(fixture, 5), 1);
    assert_int_equal(counter(fixture, 9), 1);
    assert_int_equal(counter(fixture, 6), 0);
    assert_int_equal(session->answered, 1);
    assert_int_equal(counted(fixture, CACHE_INVALIDATIONS), 2);
    must_send(fixture, HOST_CALL_LISTEN, FIRST, NOW + 20);
    must_be_idle(fixture, NOW + 20);
    assert_int_equal(live(fixture, NOW + 20), FIRST);
}

static void test_only_the_next_batch_is_carried_out_C4(void **state)
{
    const uint64_t others[] = {0, 1, 3, UINT64_MAX};
    struct fixture *fixture = *state;
    struct host_session *session = opened(fixture);

    batch(fixture, FIRST, 1, false, 5, NOW + 20);
    for (unsigned i = 0; i < 4; i++) {
        must_send(fixture, HOST_CALL_LISTEN, FIRST, NOW + 20);
        batch(fixture, FIRST, others[i], false, 5, NOW + 20);
        assert_int_equal(counter(fixture, 5), 1);
        assert_int_equal(session->answered, 1);
    }
    must_send(fixture, HOST_CALL_LISTEN, FIRST, NOW + 20);
    batch(fixture, SECOND, 2, false, 5, NOW + 20); /* of another session */
    assert_int_equal(session->answered, 1);
    batch(fixture, FIRST, 2, false, 5, NOW + 20);
    assert_int_equal(counter(fixture, 5), 2);
}

static void test_a_batch_that_no_server_sends_ends_the_session(void **state)
{
    struct fixture *fixture = *state;

    opened(fixture);
    batch(fixture, FIRST, 1, false, CAIRN_BUCKETS, NOW + 20);
    assert_int_equal(live(fixture, NOW + 20), 0);
    must_send(fixture, HOST_CALL_CLOSE, FIRST, NOW + 20);
}

static void test_all_voids_the_session_before_it_is_answered_C6(void **state)
{
    struct fixture *fixture = *state;
    struct host_session *session = opened(fixture);

    batch(fixture, FIRST, 2, true, 0, NOW + 20); /* batch 1 was lost: all the same */
    assert_int_equal(live(fixture, NOW + 20), 0);
    must_send(fixture, HOST_CALL_CLOSE, FIRST, NOW + 20);
    must_be_idle(fixture, NOW + 20);
    host_session_closed(session, FIRST);
    must_send(fixture, HOST_CALL_OPEN, SECOND, NOW + 20);
}

static void test_a_session_that_the_server_does_not_know_is_void_C5(void **state)
{
    struct fixture *fixture = *state;
    struct host_session *session = opened(fixture);
    const cache_batch closed = {.status = CACHE_CLOSED};

    host_session_batch(session, FIRST, &closed, NOW + 100);
    assert_int_equal(live(fixture, NOW + 100), 0);
    must_send(fixture, HOST_CALL_OPEN, SECOND, NOW + 100);
    host_session_granted(session, SECOND, CACHE_OK, LEASE_MS, NOW + 100);
    must_send(fixture, HOST_CALL_LISTEN, SECOND, NOW + 100);
    const uint64_t renew_ms = host_session_next_ms(session);
    must_send(fixture, HOST_CALL_RENEW, SECOND, renew_ms);
    host_session_granted(session, SECOND, CACHE_CLOSED, 0, renew_ms + 60);
    assert_int_equal(live(fixture, renew_ms + 60), 0);
    must_send(fixture, HOST_CALL_OPEN, FIRST + 2, renew_ms + 60);
    assert_int_equal(counted(fixture, CACHE_LAPSES), 0);
}

static void test_a_lost_connection_voids_and_closes_C6(void **state)
{
    struct fixture *fixture = *state;
    struct host_session *session = opened(fixture);

    host_session_lost(session, NOW + 100);
    assert_int_equal(live(fixture, NOW + 100), 0);
    host_session_lost(session, NOW + 100);
    must_send(fixture, HOST_CALL_CLOSE, FIRST, NOW + 100);
    host_session_failed(session, HOST_CALL_CLOSE, FIRST, NOW + 100);
    must_be_idle(fixture, NOW + 100);
    must_send(fixture, HOST_CALL_CLOSE, FIRST, NOW + 150);
    host_session_failed(session, HOST_CALL_CLOSE, FIRST, NOW + LEASE_MS);
    must_send(fixture, HOST_CALL_OPEN, SECOND, NOW + LEASE_MS); /* it ran out meanwhile */
    host_session_lost(session, NOW + LEASE_MS);
    must_be_idle(fixture, NOW + LEASE_MS);
    assert_int_equal(session->state, HOST_SESSION_NONE);
}

static void test_opening_backs_off_and_takes_a_new_number_each_time(void **state)
{
    const uint64_t delays[] = {50, 100, 200, 400, 800, 1000, 1000};
    struct fixture *fixture = *state;
    uint64_t now_ms = NOW;

    for (unsigned i = 0; i < 7; i++) {
        must_send(fixture, HOST_CALL_OPEN, FIRST + i, now_ms);
        if (i % 2 == 0)
            host_session_failed(&fixture->session, HOST_CALL_OPEN, FIRST + i, now_ms);
        else
            host_session_granted(&fixture->session, FIRST + i, CACHE_STARTING, 0, now_ms);
        assert_int_equal(fixture->session.number, 0);
        must_be_idle(fixture, now_ms + delays[i] - 1);
        now_ms += delays[i];
    }
}

static void test_a_server_without_room_is_asked_again_much_later(void **state)
{
    const cache_status statuses[] = {CACHE_FULL, CACHE_OFF, CACHE_WRONG_CLUSTER};
    struct fixture *fixture = *state;

    for (unsigned i = 0; i < 3; i++) {
        must_send(fixture, HOST_CALL_OPEN, FIRST + i, NOW + i * 5000);
        host_session_granted(&fixture->session, FIRST + i, statuses[i], 0, NOW + i * 5000);
        must_be_idle(fixture, NOW + i * 5000 + 4999);
    }
}

static void test_calls_that_fail_are_repeated(void **state)
{
    struct fixture *fixture = *state;
    struct host_session *session = opened(fixture);

    host_session_failed(session, HOST_CALL_LISTEN, SECOND, NOW + 20); /* of another session */
    must_be_idle(fixture, NOW + 20);
    host_session_failed(session, HOST_CALL_LISTEN, FIRST, NOW + 20);
    must_send(fixture, HOST_CALL_LISTEN, FIRST, NOW + 70);
    const uint64_t renew_ms = host_session_next_ms(session);
    must_send(fixture, HOST_CALL_RENEW, FIRST, renew_ms);
    host_session_failed(session, HOST_CALL_RENEW, FIRST, renew_ms);
    must_be_idle(fixture, renew_ms);
    must_send(fixture, HOST_CALL_RENEW, FIRST, renew_ms + 50);
    assert_int_equal(live(fixture, renew_ms), FIRST);
}

static void test_an_ended_session_is_closed_and_no_other_opened_C6(void **state)
{
    struct fixture *fixture = *state;
    struct host_session *session = opened(fixture);

    host_session_end(session, NOW + 20);
    assert_int_equal(live(fixture, NOW + 20), 0);
    must_send(fixture, HOST_CALL_CLOSE, FIRST, NOW + 20);
    host_session_closed(session, FIRST);
    assert_int_equal(session->state, HOST_SESSION_NONE);
    must_be_idle(fixture, NOW + 100000);

    host_session_init(session, &fixture->cache, SERVER);
    must_send(fixture, HOST_CALL_OPEN, SECOND, NOW);
    host_session_end(session, NOW); /* the server may have it */
    must_send(fixture, HOST_CALL_CLOSE, SECOND, NOW);
    host_session_failed(session, HOST_CALL_CLOSE, SECOND, NOW);
    must_be_idle(fixture, NOW + 100000);
}

#define session_test(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        session_test(test_a_lease_counts_from_before_its_call_left_C5),
        session_test(test_a_grant_that_comes_after_its_end_is_closed),
        session_test(test_a_session_is_renewed_long_before_it_ends_C5),
        session_test(test_a_renewal_never_shortens_and_nothing_granted_is_asked_again_C5),
        session_test(test_a_session_that_ran_out_is_closed_and_its_number_never_used_again_C5),
        session_test(test_a_batch_is_counted_before_it_is_answered_C4),
        session_test(test_only_the_next_batch_is_carried_out_C4),
        session_test(test_a_batch_that_no_server_sends_ends_the_session),
        session_test(test_all_voids_the_session_before_it_is_answered_C6),
        session_test(test_a_session_that_the_server_does_not_know_is_void_C5),
        session_test(test_a_lost_connection_voids_and_closes_C6),
        session_test(test_opening_backs_off_and_takes_a_new_number_each_time),
        session_test(test_a_server_without_room_is_asked_again_much_later),
        session_test(test_calls_that_fail_are_repeated),
        session_test(test_an_ended_session_is_closed_and_no_other_opened_C6),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
