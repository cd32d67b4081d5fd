/* A key may have the value acknowledged last, or one submitted later, and no other: what the images
 * of power losses are judged by. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/crash/marks.h"
#include "tests/lib/scratch.h"

struct fixture {
    struct marks marks;
    char directory[SCRATCH_PATH_MAX];
};

/* ab at 10 to 20, cd at 30 to 40, none at 50 to 60, ef at 70 without an answer. */
static const char history[] = "P key ab 4 10 20\n"
                              "P key cd 4 30 40\n"
                              "D key - 0 50 60\n"
                              "P key ef 3 70 0\n";

static int read_history(void **state)
{
    static struct fixture f;
    char path[SCRATCH_PATH_MAX + 16];
    struct error error = {0};
    scratch_create(f.directory);
    snprintf(path, sizeof path, "%s/marks", f.directory);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_true(fputs(history, file) >= 0);
    assert_int_equal(fclose(file), 0);
    int code = marks_open(&f.marks, path, &error);
    scratch_remove(f.directory);
    assert_int_equal(code, CAIRN_OK);
    *state = &f;
    return 0;
}

static int forget_history(void **state)
{
    struct fixture *f = *state;
    marks_free(&f->marks);
    return 0;
}

static bool allows(const struct fixture *f, uint64_t number, const char *value)
{
    const struct mark_key *key = marks_find(&f->marks, (const uint8_t *)"key", 3);
    assert_non_null(key);
    return marks_allow(key, number, (const uint8_t *)value,
                       value == NULL ? 0 : (uint32_t)strlen(value));
}

static void test_before_an_answer_both_are_allowed(void **state)
{
    const struct fixture *f = *state;
    assert_true(allows(f, 9, NULL) && !allows(f, 9, "abab"));
    assert_true(allows(f, 19, NULL) && allows(f, 19, "abab"));
    assert_true(allows(f, 39, "abab") && allows(f, 39, "cdcd") && !allows(f, 39, NULL));
    assert_true(allows(f, 59, "cdcd") && allows(f, 59, NULL) && !allows(f, 59, "abab"));
}

static void test_what_was_acknowledged_must_be_there(void **state)
{
    const struct fixture *f = *state;
    assert_true(allows(f, 20, "abab") && !allows(f, 20, NULL) && !allows(f, 20, "cdcd"));
    assert_true(allows(f, 40, "cdcd") && !allows(f, 40, "abab"));
    assert_true(allows(f, 60, NULL) && !allows(f, 60, "cdcd") && !allows(f, 60, "efe"));
}

static void test_what_never_got_an_answer_may_be_there_for_ever(void **state)
{
    const struct fixture *f = *state;
    assert_true(allows(f, 1000, NULL) && allows(f, 1000, "efe") && !allows(f, 1000, "cdcd"));
}

static void test_a_value_is_right_to_its_last_byte(void **state)
{
    const struct fixture *f = *state;
    assert_true(!allows(f, 20, "aba") && !allows(f, 20, "ababa") && !allows(f, 20, "abaX"));
}

static void test_a_line_that_is_none_is_an_error(void **state)
{
    char path[SCRATCH_PATH_MAX + 16];
    struct fixture f = {0};
    struct error error = {0};
    (void)state;
    scratch_create(f.directory);
    snprintf(path, sizeof path, "%s/marks", f.directory);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_true(fputs("P key ab 4 10\n", file) >= 0);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(marks_open(&f.marks, path, &error), CAIRN_EINVAL);
    scratch_remove(f.directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_before_an_answer_both_are_allowed, read_history,
                                        forget_history),
        cmocka_unit_test_setup_teardown(test_what_was_acknowledged_must_be_there, read_history,
                                        forget_history),
        cmocka_unit_test_setup_teardown(test_what_never_got_an_answer_may_be_there_for_ever,
                                        read_history, forget_history),
        cmocka_unit_test_setup_teardown(test_a_value_is_right_to_its_last_byte, read_history,
                                        forget_history),
        cmocka_unit_test(test_a_line_that_is_none_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
