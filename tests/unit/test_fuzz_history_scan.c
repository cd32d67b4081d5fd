/* A scan in a history is a get of each key of its range: of those that it shows and of the others.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "fuzz/checker.h"
#include "fuzz/history_file.h"

#define PUT(key, value, times)                                                                     \
    "{\"process\":0,\"op\":\"put\",\"key\":\"" key "\",\"value\":\"" value                         \
    "\",\"result\":\"not_found\"," times "}\n"
#define SCAN(result, times)                                                                        \
    "{\"process\":1,\"op\":\"scan\",\"from\":\"k1\",\"to\":\"k3\",\"result\":" result "," times    \
    "}\n"

static int read_text(struct history *history, const char *text, struct error *error)
{
    FILE *file = fmemopen((void *)(uintptr_t)text, strlen(text), "r");
    assert_non_null(file);
    memset(history, 0, sizeof(*history));
    int status = history_read(history, file, "text", error);
    fclose(file);
    return status;
}

static enum verdict verdict_of(const char *text, size_t operations)
{
    struct history history;
    struct check_report report;
    struct error error = {0};
    assert_int_equal(read_text(&history, text, &error), 0);
    assert_int_equal(history.count, operations);
    assert_int_equal(history_check(history.operations, history.count, NULL, &report, NULL), 0);
    history_free(&history);
    return report.verdict;
}

static void what_a_scan_shows_is_read(void **state)
{
    (void)state;
    /* k4 is out of its range; k3 is first named after it. */
    const char *good = PUT("k1", "a", "\"start\":1,\"end\":2")
        PUT("k4", "d", "\"start\":1,\"end\":2") SCAN("[[\"k1\",\"a\"]]", "\"start\":5,\"end\":9")
            PUT("k3", "c", "\"start\":10,\"end\":11");
    const char *stale = PUT("k1", "a", "\"start\":1,\"end\":2")
        SCAN("[[\"k1\",\"b\"]]", "\"start\":5,\"end\":9") PUT("k2", "b", "\"start\":6,\"end\":7");
    assert_int_equal(verdict_of(good, 5), VERDICT_LINEARIZABLE);
    assert_int_equal(verdict_of(stale, 4), VERDICT_VIOLATION);
}

static void what_a_scan_does_not_show_was_absent(void **state)
{
    (void)state;
    const char *lost = PUT("k2", "a", "\"start\":1,\"end\":2") SCAN("[]", "\"start\":5,\"end\":9");
    const char *before =
        PUT("k2", "a", "\"start\":1,\"end\":6") SCAN("[]", "\"start\":5,\"end\":9");
    const char *open =
        PUT("k2", "a", "\"start\":1,\"end\":2") SCAN("null", "\"start\":5,\"end\":null");
    assert_int_equal(verdict_of(lost, 2), VERDICT_VIOLATION);
    assert_int_equal(verdict_of(before, 2), VERDICT_LINEARIZABLE);
    assert_int_equal(verdict_of(open, 1), VERDICT_LINEARIZABLE);
}

static void scans_that_are_none_are_refused(void **state)
{
    (void)state;
    static const char *const LINES[] = {
        SCAN("7", "\"start\":5,\"end\":9"),
        SCAN("[[\"k1\"]]", "\"start\":5,\"end\":9"),
        SCAN("[[\"k1\",\"a\"],[\"k1\",\"b\"]]", "\"start\":5,\"end\":9"),
        SCAN("[[\"k9\",\"a\"]]", "\"start\":5,\"end\":9"),
        SCAN("[]", "\"start\":5,\"end\":4"),
        SCAN("[]", "\"end\":4"),
        "{\"process\":1,\"op\":\"scan\",\"from\":\"k1\",\"result\":[],\"start\":5,\"end\":9}\n",
    };
    for (size_t i = 0; i < sizeof(LINES) / sizeof(LINES[0]); i++) {
        struct history history;
        struct error error = {0};
        assert_int_equal(read_text(&history, LINES[i], &error), CAIRN_EINVAL);
        assert_non_null(strstr(error.message, "text:1: "));
        history_free(&history);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_scan_shows_is_read),
        cmocka_unit_test(what_a_scan_does_not_show_was_absent),
        cmocka_unit_test(scans_that_are_none_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
