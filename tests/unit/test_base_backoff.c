/* Delays double up to the limit, jittered within the upper half of the ceiling. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/backoff.h"

static void delays_stay_in_their_half(void **state)
{
    static const uint64_t ceilings[] = {10, 20, 40, 80, 100, 100, 100};
    struct random random;

    (void)state;
    random_seed(&random, 1);
    for (int round = 0; round < 200; round++) {
        struct backoff backoff;

        backoff_init(&backoff, 10, 100);
        for (size_t i = 0; i < sizeof ceilings / sizeof ceilings[0]; i++)
            assert_in_range(backoff_next_ms(&backoff, &random), ceilings[i] / 2, ceilings[i]);
        backoff_reset(&backoff);
        assert_in_range(backoff_next_ms(&backoff, &random), 5, 10);
    }
}

static void both_ends_are_reached(void **state)
{
    struct backoff backoff;
    struct random random;
    int low = 0, high = 0;

    (void)state;
    random_seed(&random, 2);
    backoff_init(&backoff, 4, 4);
    for (int i = 0; i < 300; i++) {
        const uint64_t delay = backoff_next_ms(&backoff, &random);

        low += delay == 2;
        high += delay == 4;
    }
    assert_true(low > 0 && high > 0);
}

static void extreme_limits_do_not_overflow(void **state)
{
    struct backoff backoff;
    struct random random;

    (void)state;
    random_seed(&random, 3);
    backoff_init(&backoff, 1, UINT64_MAX);
    for (int i = 0; i < 200; i++)
        (void)backoff_next_ms(&backoff, &random);
    assert_true(backoff.ceiling_ms == UINT64_MAX);
    assert_true(backoff_next_ms(&backoff, &random) >= UINT64_MAX / 2);
    backoff_init(&backoff, 1, 1);
    for (int i = 0; i < 50; i++)
        assert_in_range(backoff_next_ms(&backoff, &random), 0, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(delays_stay_in_their_half),
        cmocka_unit_test(both_ends_are_reached),
        cmocka_unit_test(extreme_limits_do_not_overflow),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
