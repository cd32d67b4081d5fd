/* Reading histories from JSON lines: what is accepted, and what is refused with its line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fuzz/checker.h"
#include "fuzz/history_file.h"

static int read_text(struct history *history, const char *text, struct error *error)
{
    FILE *file = fmemopen((void *)(uintptr_t)text, strlen(text), "r");
    assert_non_null(file);
    memset(history, 0, sizeof(*history));
    int status = history_read(history, file, "text", error);
    fclose(file);
    return status;
}

static void all_kinds_are_read(void **state)
{
    (void)state;
    struct history history;
    struct error error = {0};
    const char *text =
        "{\"process\":1,\"op\":\"put\",\"key\":\"a\",\"value\":\"x\",\"result\":\"not_found\","
        "\"start\":1,\"end\":2}\n"
        "\n"
        "{\"process\":2,\"op\":\"get\",\"key\":\"a\",\"value\":null,\"result\":\"x\",\"version\":6,"
        "\"start\":3,\"end\":4}\n"
        "{\"process\":3,\"op\":\"swap\",\"key\":\"b\",\"value\":\"x\",\"result\":null,\"start\":3,"
        "\"end\":9}\r\n"
        "{\"process\":4,\"op\":\"delete\",\"key\":\"b\",\"result\":null,\"start\":5,\"end\":null}\n"
        "{\"process\":5,\"op\":\"put_if\",\"key\":\"b\",\"value\":\"z\",\"if_version\":3,"
        "\"result\":\"mismatch\",\"version\":1,\"start\":6,\"end\":7,\"more\":[]}";
    assert_int_equal(read_text(&history, text, &error), 0);
    assert_int_equal(history.count, 5);
    const struct operation *operation = history.operations;
    assert_int_equal(operation[0].kind, OPERATION_PUT);
    assert_int_equal(operation[0].result, RESULT_NOT_FOUND);
    assert_int_equal(operation[1].result, operation[0].value);
    assert_int_equal(operation[1].version, 6);
    assert_int_equal(operation[1].key, operation[0].key);
    assert_string_equal(names_text(&history.values, operation[1].result), "x");
    assert_int_equal(operation[2].result, 0);
    assert_int_not_equal(operation[2].key, operation[0].key);
    assert_true(operation[3].end_ns == OPERATION_OPEN);
    assert_int_equal(operation[4].result, RESULT_MISMATCH);
    assert_int_equal(operation[4].if_version, 3);
    assert_int_equal(operation[4].version, 1);
    assert_int_equal(operation[4].process, 5);
    history_free(&history);
}

static void assert_refused(const char *line, const char *why)
{
    struct history history;
    struct error error = {0};
    char text[1024];
    snprintf(text, sizeof(text), "\n%s\n", line);
    assert_int_equal(read_text(&history, text, &error), CAIRN_EINVAL);
    assert_non_null(strstr(error.message, "text:2: "));
    if (strstr(error.message, why) == NULL)
        fail_msg("%s", error.message);
    history_free(&history);
}

static void wrong_lines_are_refused(void **state)
{
    (void)state;
    assert_refused("x", "JSON");
    assert_refused("[1]", "JSON");
    assert_refused("{\"process\":1,\"op\":\"append\",\"key\":\"a\",\"start\":1,\"end\":2}", "op");
    assert_refused("{\"process\":1,\"op\":\"get\",\"start\":1,\"end\":2}", "key");
    assert_refused("{\"op\":\"get\",\"key\":\"a\",\"start\":1,\"end\":2}", "process");
    assert_refused("{\"process\":1,\"op\":\"get\",\"key\":\"a\",\"end\":2}", "start");
    assert_refused("{\"process\":1,\"op\":\"get\",\"key\":\"a\",\"start\":-1,\"end\":2}", "start");
    assert_refused("{\"process\":1,\"op\":\"get\",\"key\":\"a\",\"start\":3,\"end\":2}", "end");
    assert_refused("{\"process\":1,\"op\":\"get\",\"key\":\"a\",\"start\":3}", "end");
    assert_refused("{\"process\":1,\"op\":\"get\",\"key\":\"a\",\"start\":1,\"end\":2}", "result");
    assert_refused("{\"process\":1,\"op\":\"put\",\"key\":\"a\",\"start\":1,\"end\":2,"
                   "\"result\":\"found\"}",
                   "value");
    assert_refused("{\"process\":1,\"op\":\"put\",\"key\":\"a\",\"value\":\"v\",\"start\":1,"
                   "\"end\":2,\"result\":\"mismatch\"}",
                   "result");
    assert_refused("{\"process\":1,\"op\":\"put_if\",\"key\":\"a\",\"value\":\"v\",\"start\":1,"
                   "\"end\":2,\"result\":\"found\"}",
                   "if_version");
}

static void many_names_keep_their_numbers(void **state)
{
    (void)state;
    struct names names = {0};
    char text[32];
    for (uint64_t i = 1; i <= 5000; i++) {
        snprintf(text, sizeof(text), "name-%llu", (unsigned long long)i);
        assert_int_equal(names_number(&names, text), i);
    }
    for (uint64_t i = 1; i <= 5000; i += 77) {
        snprintf(text, sizeof(text), "name-%llu", (unsigned long long)i);
        assert_int_equal(names_number(&names, text), i);
        assert_string_equal(names_text(&names, i), text);
    }
    names_free(&names);
}

static void operations_are_printed_for_people(void **state)
{
    (void)state;
    struct history history;
    struct error error = {0};
    char *printed = NULL;
    size_t size = 0;
    assert_int_equal(read_text(&history,
                               "{\"process\":1,\"op\":\"swap\",\"key\":\"a\",\"value\":\"x\","
                               "\"result\":null,\"start\":1010,\"end\":1020}",
                               &error),
                     0);
    FILE *out = open_memstream(&printed, &size);
    history_print(&history, history.operations, 1000, out);
    fclose(out);
    assert_non_null(strstr(printed, "swap   a x -> null\n"));
    assert_non_null(strstr(printed, "10,"));
    free(printed);
    history_free(&history);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_kinds_are_read),
        cmocka_unit_test(wrong_lines_are_refused),
        cmocka_unit_test(many_names_keep_their_numbers),
        cmocka_unit_test(operations_are_printed_for_people),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
