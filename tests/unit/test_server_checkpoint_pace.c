/* A checkpoint pauses only while nobody needs it: not when it is waited for, and not when the
 * memtables fill faster than it empties them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "server/checkpoint_pace.h"

enum { ROWS = 1000, BYTES = 100000 };

/* The pace asks this only if it may pause otherwise; so much tells whether it did. */
struct asked {
    unsigned times;
    bool waited_for;
};

static bool is_waited_for(void *context)
{
    struct asked *asked = context;

    asked->times++;
    return asked->waited_for;
}

static void begin(struct checkpoint_pace *pace, struct asked *asked)
{
    *asked = (struct asked){.waited_for = true}; /* the pause ends at once */
    *pace = (struct checkpoint_pace){.waited_for = is_waited_for, .context = asked};
    checkpoint_pace_begin(pace, ROWS, BYTES);
}

static bool pauses(struct checkpoint_pace *pace, struct asked *asked)
{
    asked->times = 0;
    pace->slice_began_ns = 0; /* a very long slice */
    checkpoint_pace_rest(pace);
    return asked->times > 0;
}

static void test_pauses_while_nobody_needs_it(void **state)
{
    struct checkpoint_pace pace;
    struct asked asked;

    (void)state;
    begin(&pace, &asked);
    assert_true(pauses(&pace, &asked));
    asked.waited_for = false;
    assert_true(pauses(&pace, &asked)); /* and ends by itself */
}

static void test_rows_come_to_a_pause(void **state)
{
    struct checkpoint_pace pace;
    struct asked asked;

    (void)state;
    begin(&pace, &asked);
    pace.slice_began_ns = 0;
    for (int i = 0; i < ROWS; i++)
        checkpoint_pace_row(&pace);
    assert_int_equal(pace.rows, ROWS);
    assert_true(asked.times > 0);
    assert_true(pace.slice_began_ns > 0); /* another one began */
}

static void test_does_not_pause_in_a_hurry(void **state)
{
    struct checkpoint_pace pace;
    struct asked asked;

    (void)state;
    begin(&pace, &asked);
    atomic_store(&pace.hurry, true);
    assert_false(pauses(&pace, &asked));
    checkpoint_pace_begin(&pace, ROWS, BYTES); /* the hurry was the last one's */
    assert_true(pauses(&pace, &asked));
}

static void test_keeps_up_with_the_memtables(void **state)
{
    struct checkpoint_pace pace;
    struct asked asked;

    (void)state;
    begin(&pace, &asked);
    atomic_store(&pace.live_bytes, BYTES / 2);
    assert_false(pauses(&pace, &asked));
    pace.rows = ROWS / 2; /* all is to be written before as much came */
    assert_false(pauses(&pace, &asked));
    pace.rows = ROWS / 4 * 3;
    assert_true(pauses(&pace, &asked));
    atomic_store(&pace.live_bytes, BYTES);
    pace.rows = ROWS;
    assert_false(pauses(&pace, &asked));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pauses_while_nobody_needs_it),
        cmocka_unit_test(test_rows_come_to_a_pause),
        cmocka_unit_test(test_does_not_pause_in_a_hurry),
        cmocka_unit_test(test_keeps_up_with_the_memtables),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
