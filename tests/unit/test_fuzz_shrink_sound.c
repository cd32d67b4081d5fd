/* Shrinking a history makes no fault of what is none, keeps a fault that is one, and leaves no
 * operation in that could be left out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fuzz/checker.h"
#include "fuzz/shrink.h"
#include "tests/unit/fuzz_fixture.h"

enum { HISTORIES = 1500, FAULTS = 120 };

static bool is_explained(const struct operation *operations, size_t count, struct key_state initial)
{
    struct check_report report;
    assert_int_equal(history_check_key(operations, count, initial, NULL, &report, NULL), 0);
    return report.verdict == VERDICT_LINEARIZABLE;
}

static void parts_of_good_histories_are_good(void **state)
{
    (void)state;
    static struct operation all[MADE_MAX], part[MADE_MAX];
    static bool keeps[MADE_MAX];
    struct random random;
    random_seed(&random, 7);
    for (uint64_t n = 0; n < HISTORIES; n++) {
        const struct made_options options = {.count = 5 + n % 60,
                                             .keys = 1,
                                             .clients = 2 + (unsigned)(n % 5),
                                             .versions = n % 2 == 0,
                                             .lost_in_100 = n % 3 == 0 ? 5 : 0};
        size_t count = made_history(&options, n, all);
        uint64_t kept_in_8 = 1 + random_below(&random, 7);
        for (size_t i = 0; i < count; i++)
            keeps[i] = random_below(&random, 8) < kept_in_8;
        size_t left;
        assert_int_equal(shrink_project(all, count, keeps, part, &left), 0);
        if (!is_explained(part, left, (struct key_state){0, 0}))
            fail_msg("history %llu: a part of it became a fault", (unsigned long long)n);
    }
}

static void is_minimal(const struct finding *finding)
{
    static struct operation part[MADE_MAX];
    static bool keeps[MADE_MAX];
    assert_false(is_explained(finding->operations, finding->count, finding->initial));
    for (size_t left_out = 0; left_out < finding->count; left_out++) {
        for (size_t i = 0; i < finding->count; i++)
            keeps[i] = i != left_out;
        size_t left;
        assert_int_equal(shrink_project(finding->operations, finding->count, keeps, part, &left),
                         0);
        assert_true(is_explained(part, left, finding->initial));
    }
}

static void faults_stay_faults_and_become_small(void **state)
{
    (void)state;
    size_t found = 0, small = 0;
    for (uint64_t n = 0; found < FAULTS; n++) {
        const struct made_options options = {.count = 200,
                                             .keys = 1,
                                             .clients = 4,
                                             .versions = n % 2 == 0,
                                             .lost_in_100 = n % 3 == 0 ? 2 : 0,
                                             .wrong = (enum wrong)(1 + n % 3),
                                             .wrong_in_1000 = 10};
        struct finding finding = {.operations = calloc(MADE_MAX, sizeof(struct operation))};
        struct check_report report;
        finding.count = made_history(&options, n, finding.operations);
        assert_int_equal(history_check(finding.operations, finding.count, NULL, &report, NULL), 0);
        finding.verdict = report.verdict;
        finding.until_ns = report.until_ns;
        if (report.verdict == VERDICT_VIOLATION) {
            assert_int_equal(shrink(&finding, NULL), 0);
            is_minimal(&finding);
            found++;
            small += finding.count <= 8;
        }
        finding_free(&finding);
    }
    assert_true(small > FAULTS / 2);
}

static struct operation made(enum operation_kind kind, uint64_t value, uint64_t result,
                             uint64_t start_ns, uint64_t end_ns)
{
    return (struct operation){.kind = kind,
                              .key = 1,
                              .value = value,
                              .result = result,
                              .version = OPERATION_NO_VERSION,
                              .start_ns = start_ns,
                              .end_ns = end_ns};
}

/* A stale read among much else: the write, the one after it, and the read are left. */
static void a_stale_read_becomes_three_operations(void **state)
{
    (void)state;
    struct finding finding = {.verdict = VERDICT_VIOLATION, .until_ns = 2005};
    finding.operations = calloc(200, sizeof(struct operation));
    for (uint64_t n = 1; n <= 90; n++) {
        finding.operations[finding.count++] =
            made(OPERATION_PUT, n, n == 1 ? RESULT_NOT_FOUND : RESULT_FOUND, n * 10, n * 10 + 3);
        finding.operations[finding.count++] = made(OPERATION_GET, 0, n, n * 10 + 4, n * 10 + 6);
    }
    finding.operations[finding.count++] = made(OPERATION_GET, 0, 50, 2000, 2005);
    assert_int_equal(shrink(&finding, NULL), 0);
    assert_int_equal(finding.count, 3);
    assert_int_equal(finding.operations[0].kind, OPERATION_PUT);
    assert_int_equal(finding.operations[0].value, 50);
    assert_int_equal(finding.operations[2].end_ns, 2005);
    assert_int_equal(finding.until_ns, 2005);
    finding_free(&finding);
}

static void a_value_that_nobody_wrote_is_left_alone(void **state)
{
    (void)state;
    struct finding finding = {.verdict = VERDICT_VIOLATION, .until_ns = 45};
    finding.operations = calloc(4, sizeof(struct operation));
    finding.operations[finding.count++] = made(OPERATION_PUT, 1, RESULT_NOT_FOUND, 1, 2);
    finding.operations[finding.count++] = made(OPERATION_SWAP, 2, 1, 10, 20);
    finding.operations[finding.count++] = made(OPERATION_GET, 0, 77, 40, 45);
    assert_int_equal(shrink(&finding, NULL), 0);
    assert_int_equal(finding.count, 1);
    assert_int_equal(finding.operations[0].result, 77);
    finding_free(&finding);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_of_good_histories_are_good),
        cmocka_unit_test(faults_stay_faults_and_become_small),
        cmocka_unit_test(a_stale_read_becomes_three_operations),
        cmocka_unit_test(a_value_that_nobody_wrote_is_left_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
