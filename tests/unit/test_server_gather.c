/* A batch of the log waits for those who usually come, never for long, and a single client never.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "server/gather.h"

enum { BYTES = 100 };

/* What one batch after another has, without waiting. */
static void accustom(struct gather *gather, size_t entries)
{
    for (int i = 0; i < 20; i++)
        (void)gather_holds(gather, entries * 2, GATHER_LIMIT_BYTES, 1);
    for (int i = 0; i < 20; i++)
        (void)gather_holds(gather, entries, GATHER_LIMIT_BYTES, 1);
}

static void a_single_client_never_waits(void **state)
{
    (void)state;
    struct gather gather = {0};
    for (uint64_t i = 1; i < 100; i++)
        assert_false(gather_holds(&gather, 1, BYTES, i));
}

static void many_are_waited_for_and_one_more(void **state)
{
    (void)state;
    struct gather gather = {0};
    accustom(&gather, 8);
    assert_true(gather_holds(&gather, 1, BYTES, 1000));
    assert_true(gather_holds(&gather, 8, BYTES, 1001));
    assert_false(gather_holds(&gather, 9, BYTES, 1002));
}

static void not_for_long(void **state)
{
    (void)state;
    struct gather gather = {0};
    accustom(&gather, 8);
    assert_true(gather_holds(&gather, 1, BYTES, 1000));
    assert_true(gather_holds(&gather, 2, BYTES, 999 + GATHER_LIMIT_NS));
    assert_false(gather_holds(&gather, 2, BYTES, 1000 + GATHER_LIMIT_NS));
    /* The next batch has its own time. */
    assert_true(gather_holds(&gather, 1, BYTES, 1000 + GATHER_LIMIT_NS));
}

static void much_does_not_wait(void **state)
{
    (void)state;
    struct gather gather = {0};
    accustom(&gather, 8);
    assert_true(gather_holds(&gather, 1, GATHER_LIMIT_BYTES - 1, 1000));
    assert_false(gather_holds(&gather, 1, GATHER_LIMIT_BYTES, 1001));
}

/* Clients that went away are waited for a few times only. */
static void what_is_usual_changes(void **state)
{
    (void)state;
    struct gather gather = {0};
    accustom(&gather, 64);
    uint64_t now_ns = 1000;
    for (int i = 0; i < 10; i++) {
        (void)gather_holds(&gather, 1, BYTES, now_ns);
        now_ns += GATHER_LIMIT_NS;
        assert_false(gather_holds(&gather, 1, BYTES, now_ns));
    }
    assert_false(gather_holds(&gather, 1, BYTES, now_ns));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_single_client_never_waits),
        cmocka_unit_test(many_are_waited_for_and_one_more),
        cmocka_unit_test(not_for_long),
        cmocka_unit_test(much_does_not_wait),
        cmocka_unit_test(what_is_usual_changes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
