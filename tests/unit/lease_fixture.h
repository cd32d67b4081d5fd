/* The lease core, driven as a server does: outputs are taken after every event. */
#ifndef CAIRN_TESTS_LEASE_FIXTURE_H
#define CAIRN_TESTS_LEASE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/error.h"
#include "server/lease.h"

enum { FIXTURE_LEASE_MS = 1010, FIXTURE_HOST_MS = 990, FIXTURE_START_MS = 5000 };
#define UNBOUND UINT64_MAX

static inline int fixture_lease_setup(void **state)
{
    const struct lease_options options = {.lease_ms = FIXTURE_LEASE_MS};

    *state = lease_create(&options, FIXTURE_START_MS);
    return *state == NULL ? -1 : 0;
}

static inline int fixture_lease_teardown(void **state)
{
    lease_free(*state);
    return 0;
}

#define lease_test(test)                                                                           \
    cmocka_unit_test_setup_teardown(test, fixture_lease_setup, fixture_lease_teardown)

static inline void must_open(struct lease *lease, uint64_t session, uint64_t now_ms)
{
    uint64_t granted_ms;

    assert_int_equal(lease_open(lease, session, now_ms, UNBOUND, &granted_ms), 0);
    assert_int_equal(granted_ms, FIXTURE_HOST_MS);
}

static inline void must_be_silent(struct lease *lease)
{
    struct lease_output output;

    assert_false(lease_next_output(lease, &output));
    assert_null(lease_next_ready(lease));
}

static inline void must_send(struct lease *lease, uint64_t session, uint64_t number, uint32_t count,
                             uint32_t first)
{
    struct lease_output output;

    assert_true(lease_next_output(lease, &output));
    assert_int_equal(output.kind, LEASE_BATCH);
    assert_int_equal(output.session, session);
    assert_int_equal(output.number, number);
    assert_false(output.all);
    assert_int_equal(output.count, count);
    assert_int_equal(output.buckets[0], first);
}

static inline void must_send_all(struct lease *lease, uint64_t session, uint64_t number)
{
    struct lease_output output;

    assert_true(lease_next_output(lease, &output));
    assert_int_equal(output.kind, LEASE_BATCH);
    assert_int_equal(output.session, session);
    assert_int_equal(output.number, number);
    assert_true(output.all);
    assert_int_equal(output.count, 0);
}

static inline void must_renew(struct lease *lease, uint64_t session, uint64_t granted_ms)
{
    struct lease_output output;

    assert_true(lease_next_output(lease, &output));
    assert_int_equal(output.kind, LEASE_GRANTED);
    assert_int_equal(output.session, session);
    assert_int_equal(output.granted_ms, granted_ms);
}

static inline void must_be_over(struct lease *lease, uint64_t session)
{
    struct lease_output output;

    assert_true(lease_next_output(lease, &output));
    assert_int_equal(output.kind, LEASE_OVER);
    assert_int_equal(output.session, session);
}

static inline void must_grant(struct lease *lease, uint64_t session, uint32_t bucket,
                              uint64_t now_ms)
{
    assert_true(lease_grant(lease, session, bucket, now_ms, UNBOUND));
}

static inline void must_refuse(struct lease *lease, uint64_t session, uint32_t bucket,
                               uint64_t now_ms)
{
    assert_false(lease_grant(lease, session, bucket, now_ms, UNBOUND));
}

/* A write from proposal to application. */
static inline void write_all(struct lease *lease, uint32_t bucket, uint64_t now_ms)
{
    lease_write_begins(lease, bucket, now_ms);
    lease_write_ends(lease, bucket);
}

#endif
