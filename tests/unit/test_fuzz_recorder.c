/* What calls tell the checker: every answer counts, what is unknown stays open, what was not
 * applied is no part of the history, and a value that nobody wrote is a violation. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "fuzz/checker.h"
#include "fuzz/recorder.h"

enum { CLIENT = 3, KEY = 11 };

static struct lane_entry make(enum call_kind kind, uint64_t value, enum call_outcome outcome,
                              uint64_t result)
{
    return (struct lane_entry){
        .call = {.kind = kind, .key = KEY, .keys = 1, .value = value},
        .answer = {.outcome = outcome, .result = result, .version = OPERATION_NO_VERSION},
        .start_ns = 10,
        .end_ns = 20};
}

static size_t take(const struct lane_entry *entry, struct operation out[PLAN_SCAN_KEYS])
{
    memset(out, 0xff, PLAN_SCAN_KEYS * sizeof(*out));
    return recorder_operations(entry, CLIENT, out);
}

static void an_answer_is_told_as_it_was(void **state)
{
    (void)state;
    static const struct {
        enum call_kind call;
        enum operation_kind operation;
    } KINDS[] = {{CALL_GET, OPERATION_GET},
                 {CALL_PUT, OPERATION_PUT},
                 {CALL_SWAP, OPERATION_SWAP},
                 {CALL_DELETE, OPERATION_DELETE},
                 {CALL_PUT_IF, OPERATION_PUT_IF}};
    for (size_t i = 0; i < sizeof(KINDS) / sizeof(*KINDS); i++) {
        struct operation out[PLAN_SCAN_KEYS];
        struct lane_entry entry = make(KINDS[i].call, 7, OUTCOME_ANSWERED, 1);
        entry.call.if_version = 4;
        entry.answer.version = 5;
        assert_int_equal(take(&entry, out), 1);
        assert_int_equal(out[0].kind, KINDS[i].operation);
        assert_int_equal(out[0].process, CLIENT);
        assert_int_equal(out[0].key, KEY);
        assert_int_equal(out[0].value, 7);
        assert_int_equal(out[0].result, 1);
        assert_int_equal(out[0].if_version, 4);
        assert_int_equal(out[0].version, 5);
        assert_int_equal(out[0].start_ns, 10);
        assert_int_equal(out[0].end_ns, 20);
    }
}

static void a_mutation_without_an_outcome_stays_open(void **state)
{
    (void)state;
    static const enum call_kind KINDS[] = {CALL_PUT, CALL_PUT_IF, CALL_SWAP, CALL_DELETE};
    struct operation out[PLAN_SCAN_KEYS];
    for (size_t i = 0; i < sizeof(KINDS) / sizeof(*KINDS); i++) {
        const struct lane_entry entry = make(KINDS[i], 7, OUTCOME_OPEN, 0);
        assert_int_equal(take(&entry, out), 1);
        assert_true(out[0].end_ns == OPERATION_OPEN);
    }
    const struct lane_entry get = make(CALL_GET, 0, OUTCOME_OPEN, 0);
    assert_int_equal(take(&get, out), 0);
    const struct lane_entry scan = make(CALL_SCAN, 0, OUTCOME_OPEN, 0);
    assert_int_equal(take(&scan, out), 0);
}

static void what_was_not_applied_is_left_out(void **state)
{
    (void)state;
    struct operation out[PLAN_SCAN_KEYS];
    for (enum call_kind kind = CALL_GET; kind <= CALL_SCAN; kind++) {
        const struct lane_entry entry = make(kind, 7, OUTCOME_NOT_APPLIED, 0);
        assert_int_equal(take(&entry, out), 0);
    }
}

static void a_scan_is_a_get_of_each_key_that_it_covers(void **state)
{
    (void)state;
    struct operation out[PLAN_SCAN_KEYS];
    struct lane_entry scan = make(CALL_SCAN, 0, OUTCOME_ANSWERED, 0);
    scan.call.keys = 3;
    scan.answer.values[0] = 8;
    scan.answer.values[2] = 9;
    assert_int_equal(take(&scan, out), 3);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(out[i].kind, OPERATION_GET);
        assert_int_equal(out[i].key, KEY + i);
        assert_int_equal(out[i].result, i == 0 ? 8 : i == 1 ? 0 : 9); /* missing: absent */
        assert_int_equal(out[i].start_ns, 10);
        assert_int_equal(out[i].end_ns, 20);
    }
}

static enum verdict verdict_of(const struct lane_entry *entry)
{
    struct operation out[PLAN_SCAN_KEYS];
    struct check_report report;
    size_t count = take(entry, out);
    assert_int_equal(history_check(out, count, NULL, &report, NULL), 0);
    return report.verdict;
}

/* Shown by a get, a swap or a scan. */
static void a_value_that_nobody_wrote_is_a_violation(void **state)
{
    (void)state;
    const struct lane_entry get = make(CALL_GET, 0, OUTCOME_ANSWERED, PLAN_VALUE_FOREIGN);
    assert_int_equal(verdict_of(&get), VERDICT_VIOLATION);
    const struct lane_entry swap = make(CALL_SWAP, 7, OUTCOME_ANSWERED, PLAN_VALUE_FOREIGN);
    assert_int_equal(verdict_of(&swap), VERDICT_VIOLATION);
    struct lane_entry scan = make(CALL_SCAN, 0, OUTCOME_ANSWERED, 0);
    assert_int_equal(verdict_of(&scan), VERDICT_LINEARIZABLE);
    scan.answer.values[0] = PLAN_VALUE_FOREIGN;
    assert_int_equal(verdict_of(&scan), VERDICT_VIOLATION);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_is_told_as_it_was),
        cmocka_unit_test(a_mutation_without_an_outcome_stays_open),
        cmocka_unit_test(what_was_not_applied_is_left_out),
        cmocka_unit_test(a_scan_is_a_get_of_each_key_that_it_covers),
        cmocka_unit_test(a_value_that_nobody_wrote_is_a_violation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
