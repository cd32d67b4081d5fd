/* The checker on small histories whose verdict is known. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "fuzz/checker.h"

#define NO_VERSION OPERATION_NO_VERSION
#define OPEN       OPERATION_OPEN

static struct operation make(enum operation_kind kind, uint64_t value, uint64_t result,
                             uint64_t start_ns, uint64_t end_ns)
{
    return (struct operation){.kind = kind,
                              .key = 7,
                              .value = value,
                              .result = result,
                              .version = NO_VERSION,
                              .start_ns = start_ns,
                              .end_ns = end_ns};
}

static struct operation put(uint64_t value, uint64_t existed, uint64_t start, uint64_t end)
{
    return make(OPERATION_PUT, value, existed, start, end);
}

static struct operation get(uint64_t result, uint64_t start, uint64_t end)
{
    return make(OPERATION_GET, 0, result, start, end);
}

static struct operation swap(uint64_t value, uint64_t old, uint64_t start, uint64_t end)
{
    return make(OPERATION_SWAP, value, old, start, end);
}

static struct operation drop(uint64_t existed, uint64_t start, uint64_t end)
{
    return make(OPERATION_DELETE, 0, existed, start, end);
}

static struct operation put_if(uint64_t value, uint64_t if_version, uint64_t result,
                               uint64_t version, uint64_t start, uint64_t end)
{
    struct operation operation = make(OPERATION_PUT_IF, value, result, start, end);
    operation.if_version = if_version;
    operation.version = version;
    return operation;
}

static struct check_report check(const struct operation *operations, size_t count)
{
    struct check_report report;
    struct error error = {0};
    assert_int_equal(history_check(operations, count, NULL, &report, &error), 0);
    return report;
}

#define ASSERT_GOOD(...)                                                                           \
    do {                                                                                           \
        const struct operation history[] = {__VA_ARGS__};                                          \
        struct check_report report = check(history, sizeof(history) / sizeof(history[0]));         \
        assert_int_equal(report.verdict, VERDICT_LINEARIZABLE);                                    \
    } while (0)
#define ASSERT_BAD(...)                                                                            \
    do {                                                                                           \
        const struct operation history[] = {__VA_ARGS__};                                          \
        struct check_report report = check(history, sizeof(history) / sizeof(history[0]));         \
        assert_int_equal(report.verdict, VERDICT_VIOLATION);                                       \
    } while (0)

static void empty_history_is_linearizable(void **state)
{
    (void)state;
    struct check_report report = check(NULL, 0);
    assert_int_equal(report.verdict, VERDICT_LINEARIZABLE);
}

static void sequential_answers(void **state)
{
    (void)state;
    ASSERT_GOOD(get(0, 0, 1), put(1, 0, 2, 3), get(1, 4, 5), put(2, 1, 6, 7), swap(3, 2, 8, 9),
                drop(1, 10, 11), drop(0, 12, 13), swap(4, 0, 14, 15), get(4, 16, 17));
    ASSERT_BAD(put(1, 1, 0, 1));
    ASSERT_BAD(put(1, 0, 0, 1), put(2, 0, 2, 3));
    ASSERT_BAD(put(1, 0, 0, 1), drop(0, 2, 3));
    ASSERT_BAD(drop(1, 0, 1));
    ASSERT_BAD(get(1, 0, 1));
}

static void stale_read(void **state)
{
    (void)state;
    ASSERT_BAD(put(1, 0, 0, 1), put(2, 1, 2, 3), get(1, 4, 5));
    ASSERT_GOOD(put(1, 0, 0, 1), put(2, 1, 2, 5), get(1, 4, 6));
    /* Once one reader saw the new value, no later one may see the old. */
    ASSERT_BAD(put(1, 0, 0, 1), put(2, 1, 2, 20), get(2, 4, 5), get(1, 6, 7));
}

static void lost_write(void **state)
{
    (void)state;
    ASSERT_BAD(put(1, 0, 0, 1), get(0, 2, 3));
    ASSERT_BAD(put(1, 0, 0, 1), put(2, 1, 2, 3), swap(3, 1, 4, 5));
    /* Nobody read 2, but it lies between. */
    ASSERT_BAD(put(1, 0, 0, 1), get(1, 2, 3), put(2, 1, 4, 5), get(1, 6, 7));
    ASSERT_BAD(put(1, 0, 0, 1), swap(2, 1, 2, 3), get(1, 4, 5));
}

static void double_execution(void **state)
{
    (void)state;
    /* A retried swap that ran twice reports its own value. */
    ASSERT_BAD(put(1, 0, 0, 1), swap(2, 2, 2, 3));
    ASSERT_BAD(put(1, 0, 0, 1), swap(2, 1, 2, 9), swap(3, 1, 3, 8));
    /* The write came back after it was overwritten. */
    ASSERT_BAD(put(1, 0, 0, 1), put(2, 1, 2, OPEN), get(2, 3, 4), put(3, 1, 5, 6), get(2, 7, 8));
    ASSERT_BAD(put(1, 0, 0, 1), drop(1, 2, 9), drop(1, 3, 8));
}

static void reordered(void **state)
{
    (void)state;
    ASSERT_BAD(put(1, 0, 0, 1), put(2, 1, 2, 9), put(3, 1, 3, 8), get(2, 10, 11), get(3, 12, 13));
    ASSERT_GOOD(put(1, 0, 0, 1), put(2, 1, 2, 9), put(3, 1, 3, 8), get(2, 4, 5), get(3, 10, 11));
    ASSERT_BAD(get(5, 0, 1), put(5, 0, 2, 3));
    /* Two readers disagree on the order of two writes. */
    ASSERT_BAD(put(1, 0, 0, 1), put(2, 1, 2, 30), put(3, 1, 2, 30), get(2, 3, 4), get(3, 5, 6),
               get(2, 7, 8));
}

static void equal_times_do_not_order(void **state)
{
    (void)state;
    ASSERT_GOOD(put(1, 0, 0, 5), get(0, 5, 6));
    ASSERT_BAD(put(1, 0, 0, 4), get(0, 5, 6));
}

static void unknown_outcomes(void **state)
{
    (void)state;
    /* It may never happen, happen, or happen late. */
    ASSERT_GOOD(put(1, 0, 0, OPEN), get(0, 5, 6), get(0, 50, 51));
    ASSERT_GOOD(put(1, 0, 0, OPEN), get(1, 5, 6));
    ASSERT_GOOD(put(1, 0, 0, OPEN), get(0, 5, 6), get(1, 7, 8));
    /* But not before it began, nor twice, nor be undone. */
    ASSERT_BAD(get(1, 0, 1), put(1, 0, 2, OPEN));
    ASSERT_BAD(put(1, 0, 0, OPEN), get(1, 5, 6), get(0, 7, 8));
    ASSERT_BAD(put(1, 0, 0, OPEN), get(1, 5, 6), drop(1, 7, 8), get(1, 9, 10));
    /* Nobody saw its value, only that something was there. */
    ASSERT_GOOD(put(1, 0, 0, OPEN), put(2, 1, 5, 6), get(2, 7, 8));
    ASSERT_GOOD(put(9, 0, 0, 1), drop(1, 2, OPEN), drop(0, 5, 6));
    ASSERT_GOOD(put(9, 0, 0, 1), drop(1, 2, OPEN), get(9, 5, 6), put(2, 0, 7, 8));
    ASSERT_BAD(put(9, 0, 0, 1), drop(1, 2, OPEN), get(0, 5, 6), drop(1, 7, 8));
    ASSERT_BAD(drop(1, 2, OPEN), put(9, 0, 0, 1), get(0, 5, 6), put(8, 0, 7, 8), get(0, 9, 10));
    ASSERT_GOOD(put(9, 0, 0, 1), drop(1, 2, OPEN), drop(1, 3, OPEN), get(0, 5, 6), put(8, 0, 7, 8),
                get(0, 9, 10));
    ASSERT_GOOD(put(1, 0, 0, 1), swap(2, 0, 2, OPEN), swap(3, 2, 3, 4), get(3, 5, 6));
    ASSERT_BAD(put(1, 0, 0, 1), swap(2, 0, 2, OPEN), swap(3, 2, 3, 4), get(1, 5, 6));
    /* An open GET says nothing. */
    ASSERT_GOOD(get(77, 0, OPEN), put(1, 0, 1, 2));
}

static void equal_values_written_twice(void **state)
{
    (void)state;
    ASSERT_GOOD(put(1, 0, 0, 1), put(2, 1, 2, 3), put(1, 1, 4, 5), get(1, 6, 7));
    ASSERT_GOOD(put(1, 0, 0, 1), put(1, 1, 1, 9), put(2, 1, 2, 3), get(2, 4, 5), get(1, 6, 7));
    ASSERT_BAD(put(1, 0, 0, 1), put(1, 1, 2, 3), put(2, 1, 4, 5), get(1, 6, 7));
    ASSERT_GOOD(put(1, 0, 0, 1), swap(1, 1, 2, 3), swap(2, 1, 4, 5), get(2, 6, 7));
}

static void versions(void **state)
{
    (void)state;
    ASSERT_GOOD(put_if(1, 0, RESULT_NOT_FOUND, 1, 0, 1), put_if(2, 1, RESULT_FOUND, 2, 2, 3),
                put_if(3, 1, RESULT_MISMATCH, 2, 4, 5), get(2, 6, 7));
    ASSERT_BAD(put_if(1, 0, RESULT_NOT_FOUND, 1, 0, 1), put_if(2, 0, RESULT_NOT_FOUND, 1, 2, 3));
    /* Of two with the same condition, one applies. */
    ASSERT_BAD(put(1, 0, 0, 1), put_if(2, 1, RESULT_FOUND, 2, 2, 9),
               put_if(3, 1, RESULT_FOUND, 2, 3, 8));
    ASSERT_GOOD(put(1, 0, 0, 1), put_if(2, 1, RESULT_FOUND, 2, 2, 9),
                put_if(3, 1, RESULT_MISMATCH, 2, 3, 8));
    ASSERT_BAD(put(1, 0, 0, 1), put_if(2, 1, RESULT_MISMATCH, NO_VERSION, 2, 3));
    ASSERT_BAD(put(1, 0, 0, 1), put(2, 1, 2, 3), put_if(3, 2, RESULT_FOUND, 4, 4, 5));
    /* A delete starts versions anew. */
    ASSERT_GOOD(put(1, 0, 0, 1), put(2, 1, 2, 3), drop(1, 4, 5),
                put_if(3, 0, RESULT_NOT_FOUND, 1, 6, 7));
    ASSERT_BAD(put(1, 0, 0, 1), put(2, 1, 2, 3), drop(1, 4, 5),
               put_if(3, 2, RESULT_FOUND, 3, 6, 7));
    /* Unknown outcomes of conditional writes. */
    ASSERT_GOOD(put(1, 0, 0, 1), put_if(2, 1, 0, NO_VERSION, 2, OPEN), get(2, 3, 4));
    ASSERT_BAD(put(1, 0, 0, 1), put_if(2, 7, 0, NO_VERSION, 2, OPEN), get(2, 3, 4));
    ASSERT_GOOD(put(1, 0, 0, 1), put_if(2, 1, 0, NO_VERSION, 2, OPEN),
                put_if(3, 2, RESULT_FOUND, 3, 3, 4));
    ASSERT_BAD(put(1, 0, 0, 1), put_if(2, 7, 0, NO_VERSION, 2, OPEN),
               put_if(3, 2, RESULT_FOUND, 3, 3, 4));
}

static struct operation told(struct operation operation, uint64_t version)
{
    operation.version = version;
    return operation;
}

static void versions_that_answers_tell(void **state)
{
    (void)state;
    ASSERT_GOOD(told(get(0, 0, 1), 0), told(put(1, 0, 2, 3), 1), told(get(1, 4, 5), 1),
                told(put(2, 1, 6, 7), 2), drop(1, 8, 9), told(put(3, 0, 10, 11), 1));
    ASSERT_BAD(told(put(1, 0, 0, 1), 2));
    ASSERT_BAD(put(1, 0, 0, 1), told(get(1, 2, 3), 2));
    ASSERT_BAD(told(put(1, 0, 0, 1), 1), told(put(2, 1, 2, 3), 1));
    ASSERT_BAD(put(1, 0, 0, 1), drop(1, 2, 3), told(put(2, 0, 4, 5), 2));
    ASSERT_BAD(put(1, 0, 0, 1), put_if(2, 5, RESULT_MISMATCH, 2, 2, 3));
    /* An unknown write that nobody saw shows in the version alone, once. */
    ASSERT_GOOD(put(1, 0, 0, 1), put(2, 0, 2, OPEN), told(put(3, 1, 4, 5), 3));
    ASSERT_BAD(put(1, 0, 0, 1), put(2, 0, 2, OPEN), told(put(3, 1, 4, 5), 4));
    ASSERT_BAD(put(1, 0, 0, 1), put(2, 0, 6, OPEN), told(put(3, 1, 4, 5), 3));
    /* So does an unknown delete. */
    ASSERT_GOOD(put(1, 0, 0, 1), put(2, 1, 2, 3), drop(0, 4, OPEN), told(put(3, 0, 6, 7), 1));
    ASSERT_BAD(put(1, 0, 0, 1), put(2, 1, 2, 3), drop(0, 4, OPEN), told(put(3, 1, 6, 7), 1));
}

static void keys_are_apart_and_the_smallest_failure_is_named(void **state)
{
    (void)state;
    struct operation history[] = {put(1, 0, 0, 1), get(1, 2, 3),   put(2, 0, 0, 1),
                                  get(0, 2, 3),    get(0, 4, 5),   put(3, 0, 0, 1),
                                  get(0, 20, 30),  put(4, 1, 0, 1)};
    const uint64_t keys[] = {1, 1, 2, 2, 2, 3, 3, 1};
    for (size_t i = 0; i < 8; i++)
        history[i].key = keys[i];
    history[7].start_ns = 2;
    history[7].end_ns = 6;
    struct check_report report = check(history, 8);
    assert_int_equal(report.verdict, VERDICT_VIOLATION);
    assert_int_equal(report.keys, 3);
    assert_int_equal(report.failed_keys, 2);
    assert_int_equal(report.key, 3);
    assert_int_equal(report.key_operations, 2);
    assert_int_equal(report.until_ns, 30);
}

static void the_break_is_placed_in_time(void **state)
{
    (void)state;
    const struct operation history[] = {put(1, 0, 0, 1), put(2, 1, 2, 3), get(2, 4, 5),
                                        get(1, 6, 7),    put(3, 1, 8, 9), get(3, 10, 11)};
    assert_int_equal(check(history, 6).until_ns, 7);
}

static void a_spent_budget_is_no_verdict(void **state)
{
    (void)state;
    enum { MANY = 24 };
    struct operation history[MANY * 2 + 2];
    size_t count = 0;
    /* All overlap, and each value is taken by a swap: many orders to try, and none fits. */
    for (uint64_t i = 0; i < MANY; i++)
        history[count++] = put(i + 1, i % 2, 0, 1000);
    for (uint64_t i = 0; i < MANY; i++)
        history[count++] = drop(i % 2, 0, 1000);
    history[count++] = get(0, 1001, 1002);
    history[count++] = drop(1, 1003, 1004);
    struct check_limits limits = {.configurations = 3};
    struct check_report report;
    assert_int_equal(history_check(history, count, &limits, &report, NULL), 0);
    assert_int_equal(report.verdict, VERDICT_UNKNOWN);
    assert_int_equal(report.failed_keys, 1);
    limits = (struct check_limits){.memory_bytes = 1000};
    assert_int_equal(history_check(history, count, &limits, &report, NULL), 0);
    assert_int_equal(report.verdict, VERDICT_UNKNOWN);
}

static void invalid_operations_are_refused(void **state)
{
    (void)state;
    struct check_report report;
    struct error error = {0};
    const struct operation backwards[] = {get(0, 5, 4)};
    assert_int_equal(history_check(backwards, 1, NULL, &report, &error), CAIRN_EINVAL);
    assert_non_null(strstr(error.message, "operation 0"));
    const struct operation nothing[] = {get(0, 1, 2), put(0, 0, 4, 4)};
    assert_int_equal(history_check(nothing, 2, NULL, &report, &error), CAIRN_EINVAL);
    const struct operation result[] = {put(1, 2, 4, 4)};
    assert_int_equal(history_check(result, 1, NULL, &report, &error), CAIRN_EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(empty_history_is_linearizable),
        cmocka_unit_test(sequential_answers),
        cmocka_unit_test(stale_read),
        cmocka_unit_test(lost_write),
        cmocka_unit_test(double_execution),
        cmocka_unit_test(reordered),
        cmocka_unit_test(equal_times_do_not_order),
        cmocka_unit_test(unknown_outcomes),
        cmocka_unit_test(equal_values_written_twice),
        cmocka_unit_test(versions),
        cmocka_unit_test(versions_that_answers_tell),
        cmocka_unit_test(keys_are_apart_and_the_smallest_failure_is_named),
        cmocka_unit_test(the_break_is_placed_in_time),
        cmocka_unit_test(a_spent_budget_is_no_verdict),
        cmocka_unit_test(invalid_operations_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
