/* Sessions: numbers that only grow, and what may be retired (ARCHITECTURE.md S3, S4). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "client/session.h"

static void test_numbers_only_grow_over_all_partitions(void **state)
{
    static struct session session;
    uint64_t last = 0;

    (void)state;
    session_begin(&session, 42);
    for (uint32_t i = 0; i < 1000; i++) {
        uint64_t number = session_next(&session, i % 7);
        assert_true(number > last);
        last = number;
    }
}

static void test_only_used_and_settled_partitions_are_retired(void **state)
{
    static struct session session;
    const uint32_t last = CAIRN_PARTITIONS_LIMIT - 1;

    (void)state;
    session_begin(&session, 42);
    session_next(&session, 0);
    session_next(&session, 9);
    session_next(&session, last);
    session_unsettle(&session, 9);
    assert_true(session_retirable(&session, 0));
    assert_true(session_retirable(&session, last));
    assert_false(session_retirable(&session, 1));
    assert_false(session_retirable(&session, 8));
    assert_false(session_retirable(&session, 9));
    assert_false(session_retirable(&session, CAIRN_PARTITIONS_LIMIT));
    /* What comes later does not settle it: the lost copy may still arrive. */
    session_next(&session, 9);
    assert_false(session_retirable(&session, 9));
}

static void test_a_new_session_has_nothing_to_retire(void **state)
{
    static struct session session;

    (void)state;
    session_begin(&session, 42);
    session_next(&session, 3);
    session_begin(&session, 43);
    assert_int_equal(session.client, 43);
    assert_false(session_retirable(&session, 3));
    assert_int_equal(session_next(&session, 3), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers_only_grow_over_all_partitions),
        cmocka_unit_test(test_only_used_and_settled_partitions_are_retired),
        cmocka_unit_test(test_a_new_session_has_nothing_to_retire),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
