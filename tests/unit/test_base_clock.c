/* The clock never goes back, agrees with itself, and writes wall time as logs want it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"

static void never_goes_back(void **state)
{
    uint64_t last = clock_now_ns();

    (void)state;
    assert_true(last > 0);
    for (int i = 0; i < 10000; i++) {
        const uint64_t now = clock_now_ns();

        assert_true(now >= last);
        last = now;
    }
}

static void milliseconds_are_the_same_clock(void **state)
{
    const uint64_t before = clock_now_ns() / 1000000;
    const uint64_t now = clock_now_ms();
    const uint64_t after = clock_now_ns() / 1000000;

    (void)state;
    assert_true(before <= now && now <= after);
}

static void sleeping_takes_at_least_as_long(void **state)
{
    const uint64_t before = clock_now_ns();

    (void)state;
    clock_sleep_ms(3);
    assert_true(clock_now_ns() - before >= 3000000);
    clock_sleep_ms(0);
}

static void wall_text_has_its_form(void **state)
{
    static const char form[] = "dddd-dd-ddTdd:dd:dd.dddZ";
    char text[25];

    (void)state;
    memset(text, 'x', sizeof text);
    clock_wall_text(text, sizeof text);
    assert_int_equal(strlen(text), sizeof form - 1);
    for (size_t i = 0; i < sizeof form - 1; i++) {
        if (form[i] == 'd')
            assert_in_range(text[i], '0', '9');
        else
            assert_int_equal(text[i], form[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(never_goes_back),
        cmocka_unit_test(milliseconds_are_the_same_clock),
        cmocka_unit_test(sleeping_takes_at_least_as_long),
        cmocka_unit_test(wall_text_has_its_form),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
