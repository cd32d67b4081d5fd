/* Checking a history in parts, while it grows, gives the verdict of checking it whole. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "fuzz/checker.h"
#include "fuzz/shrink.h"
#include "fuzz/watch.h"
#include "tests/unit/fuzz_fixture.h"

enum { OPERATIONS = 400, HISTORIES = 400 };

struct tally {
    uint64_t good, bad, cuts;
};

static void advance(struct watch *watch, const struct made *made)
{
    struct pending pending[MADE_CLIENTS];
    size_t count = 0;
    for (unsigned i = 0; i < made->options.clients; i++)
        if (made->clients[i].stage != MADE_IDLE)
            pending[count++] = (struct pending){made->clients[i].operation.key,
                                                made->clients[i].operation.start_ns};
    assert_int_equal(watch_advance(watch, made->now_ns, pending, count, NULL), 0);
}

/* Feeds a history to a watch as it comes about; `all` gets it whole. */
static size_t feed(struct watch *watch, struct made *made, struct operation *all)
{
    size_t count = 0;
    while (!made_over(made)) {
        if (made_step(made, &all[count]))
            assert_int_equal(watch_add(watch, &all[count++], NULL), 0);
        if (random_below(&made->random, 7) == 0)
            advance(watch, made);
    }
    assert_int_equal(watch_finish(watch, 1, MADE_KEYS + 1, NULL), 0);
    return count;
}

static void same_verdict(const struct made_options *options, uint64_t seed, struct tally *tally)
{
    static struct operation all[MADE_MAX];
    struct made made;
    struct watch *watch;
    struct check_report report;
    struct watch_counts counts;
    const struct watch_options how = {.versions = options->versions, .due = 8};
    made_init(&made, options, seed);
    assert_int_equal(watch_create(&how, &watch, NULL), 0);
    size_t count = feed(watch, &made, all);
    assert_int_equal(history_check(all, count, NULL, &report, NULL), 0);
    if ((watch_finding(watch) == NULL) != (report.verdict == VERDICT_LINEARIZABLE))
        fail_msg("seed %llu: whole %s, in parts %s", (unsigned long long)seed,
                 verdict_text(report.verdict), watch_finding(watch) ? "not" : "linearizable");
    watch_counts(watch, &counts);
    tally->cuts += counts.cuts;
    tally->good += report.verdict == VERDICT_LINEARIZABLE;
    tally->bad += report.verdict == VERDICT_VIOLATION;
    if (watch_finding(watch) == NULL)
        assert_int_equal(counts.checked, count);
    watch_free(watch);
}

/* Over all faults, with and without versions and operations that are lost. */
static struct tally same_verdicts(struct made_options options, uint64_t seeds)
{
    struct tally tally = {0};
    for (uint64_t n = 0; n < HISTORIES; n++) {
        options.wrong = (enum wrong)(n % 4);
        options.wrong_in_1000 = options.count < OPERATIONS ? 12 : 3;
        options.clients = 2 + (unsigned)(n % 5);
        same_verdict(&options, seeds + n, &tally);
    }
    /* Both verdicts and cuts must have been tried often. */
    assert_in_range(tally.good, HISTORIES / 5, HISTORIES);
    assert_in_range(tally.bad, HISTORIES / 5, HISTORIES);
    assert_true(tally.cuts > HISTORIES * options.count / 100);
    return tally;
}

static void without_versions(void **state)
{
    (void)state;
    same_verdicts((struct made_options){.count = OPERATIONS, .keys = 3}, 1000);
}

static void with_versions(void **state)
{
    (void)state;
    same_verdicts((struct made_options){.count = OPERATIONS, .keys = 3, .versions = true}, 2000);
}

static void with_unknown_outcomes(void **state)
{
    (void)state;
    same_verdicts((struct made_options){.count = OPERATIONS, .keys = 3, .lost_in_100 = 2}, 3000);
    same_verdicts(
        (struct made_options){.count = OPERATIONS, .keys = 3, .lost_in_100 = 2, .versions = true},
        4000);
}

static void one_key_alone(void **state)
{
    (void)state;
    same_verdicts((struct made_options){.count = 150, .keys = 1, .lost_in_100 = 1}, 5000);
}

/* The value that a key had at a cut counts for what follows. */
static void what_was_forgotten_still_counts(void **state)
{
    (void)state;
    const struct watch_options how = {.due = 4};
    struct watch *watch;
    assert_int_equal(watch_create(&how, &watch, NULL), 0);
    for (uint64_t n = 1; n <= 40; n++) {
        const struct operation put = {.kind = OPERATION_PUT,
                                      .key = 1,
                                      .value = n,
                                      .result = n == 1 ? RESULT_NOT_FOUND : RESULT_FOUND,
                                      .version = OPERATION_NO_VERSION,
                                      .start_ns = n * 10,
                                      .end_ns = n * 10 + 5};
        assert_int_equal(watch_add(watch, &put, NULL), 0);
        assert_int_equal(watch_advance(watch, n * 10 + 6, NULL, 0, NULL), 0);
    }
    struct watch_counts counts;
    watch_counts(watch, &counts);
    assert_true(counts.cuts >= 5 && counts.longest <= 8);
    const struct operation get = {.kind = OPERATION_GET,
                                  .key = 1,
                                  .result = 1,
                                  .version = OPERATION_NO_VERSION,
                                  .start_ns = 1000,
                                  .end_ns = 1005};
    assert_int_equal(watch_add(watch, &get, NULL), 0);
    assert_int_equal(watch_finish(watch, 1, 2, NULL), 0);
    assert_non_null(watch_finding(watch));
    assert_int_equal(watch_finding(watch)->verdict, VERDICT_VIOLATION);
    assert_int_equal(watch_finding(watch)->until_ns, 1005);
    watch_free(watch);
}

/* While a call on the key is under way there is no cut behind its start. */
static void no_cut_across_a_call_under_way(void **state)
{
    (void)state;
    const struct watch_options how = {.due = 1};
    const struct pending pending = {.key = 1, .start_ns = 5};
    const struct operation put = {.kind = OPERATION_PUT,
                                  .key = 1,
                                  .value = 1,
                                  .result = RESULT_NOT_FOUND,
                                  .version = OPERATION_NO_VERSION,
                                  .start_ns = 10,
                                  .end_ns = 20};
    struct watch *watch;
    struct watch_counts counts;
    assert_int_equal(watch_create(&how, &watch, NULL), 0);
    assert_int_equal(watch_add(watch, &put, NULL), 0);
    assert_int_equal(watch_advance(watch, 30, &pending, 1, NULL), 0);
    watch_counts(watch, &counts);
    assert_int_equal(counts.cuts, 0);
    struct operation get = put;
    get.kind = OPERATION_GET;
    get.result = 0;
    get.start_ns = 5; /* it may have been before the put */
    get.end_ns = 40;
    assert_int_equal(watch_add(watch, &get, NULL), 0);
    assert_int_equal(watch_advance(watch, 50, NULL, 0, NULL), 0);
    assert_null(watch_finding(watch));
    assert_int_equal(watch_finish(watch, 1, 2, NULL), 0);
    assert_null(watch_finding(watch));
    watch_free(watch);
}

static void a_finished_key_takes_nothing_more(void **state)
{
    (void)state;
    const struct watch_options how = {0};
    const struct operation get = {.kind = OPERATION_GET, .key = 2, .start_ns = 1, .end_ns = 2};
    struct watch *watch;
    assert_int_equal(watch_create(&how, &watch, NULL), 0);
    assert_int_equal(watch_finish(watch, 1, 3, NULL), 0);
    assert_int_equal(watch_add(watch, &get, NULL), CAIRN_EINVAL);
    watch_free(watch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_versions),
        cmocka_unit_test(with_versions),
        cmocka_unit_test(with_unknown_outcomes),
        cmocka_unit_test(one_key_alone),
        cmocka_unit_test(what_was_forgotten_still_counts),
        cmocka_unit_test(no_cut_across_a_call_under_way),
        cmocka_unit_test(a_finished_key_takes_nothing_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
