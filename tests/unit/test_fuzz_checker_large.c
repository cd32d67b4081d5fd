/* The checker on long generated histories of many processes: valid ones pass, spoilt ones do not.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/random.h"
#include "fuzz/checker.h"

enum { PROCESSES_MAX = 64, GHOSTS_MAX = 32, KEYS_MAX = 64, NOBODY = -1 };

struct plan {
    size_t operations;
    uint32_t processes, keys;
    uint32_t lost_per_mille; /* outcomes that stay unknown */
    bool deletes, versions;
    uint64_t seed;
};

enum step { IDLE, STARTED, EFFECTIVE };

/* A run of real concurrent processes, one step of one of them at a time. */
struct run {
    struct plan plan;
    struct random random;
    struct operation *operations;
    size_t count;
    uint64_t now_ns, next_value;
    uint64_t value[KEYS_MAX], version[KEYS_MAX];
    enum step steps[PROCESSES_MAX];
    size_t current[PROCESSES_MAX];
    size_t ghosts[GHOSTS_MAX]; /* operations given up, that may still take effect */
    size_t ghost_count;
};

static void apply_write(struct run *run, struct operation *operation)
{
    run->value[operation->key] = operation->value;
    run->version[operation->key]++;
}

static void take_effect(struct run *run, struct operation *operation)
{
    uint64_t before = run->value[operation->key];
    operation->result = before != 0 ? RESULT_FOUND : RESULT_NOT_FOUND;
    if (operation->kind == OPERATION_GET || operation->kind == OPERATION_SWAP)
        operation->result = before;
    if (operation->kind == OPERATION_PUT || operation->kind == OPERATION_SWAP) {
        apply_write(run, operation);
    } else if (operation->kind == OPERATION_DELETE) {
        run->value[operation->key] = run->version[operation->key] = 0;
    } else if (operation->kind == OPERATION_PUT_IF) {
        if (run->version[operation->key] == operation->if_version)
            apply_write(run, operation);
        else
            operation->result = RESULT_MISMATCH;
    }
    if (run->plan.versions)
        operation->version = run->version[operation->key];
}

static enum operation_kind pick_kind(struct run *run)
{
    uint64_t dice = random_below(&run->random, 100);
    if (dice < 40)
        return OPERATION_GET;
    if (dice < 65)
        return OPERATION_PUT;
    if (run->plan.deletes && dice < 72)
        return OPERATION_DELETE;
    if (run->plan.versions && dice < 82)
        return OPERATION_PUT_IF;
    return OPERATION_SWAP;
}

static void start(struct run *run, uint32_t process)
{
    struct operation *operation = &run->operations[run->count];
    *operation = (struct operation){.kind = pick_kind(run),
                                    .process = process,
                                    .key = random_below(&run->random, run->plan.keys),
                                    .version = OPERATION_NO_VERSION,
                                    .start_ns = run->now_ns,
                                    .end_ns = OPERATION_OPEN};
    if (operation->kind != OPERATION_GET && operation->kind != OPERATION_DELETE)
        operation->value = run->next_value++;
    operation->if_version = run->version[operation->key];
    run->steps[process] = STARTED;
    run->current[process] = run->count++;
}

/* The process learns nothing; the request may still be under way. */
static void give_up(struct run *run, uint32_t process)
{
    if (run->steps[process] == STARTED && run->ghost_count < GHOSTS_MAX)
        run->ghosts[run->ghost_count++] = run->current[process];
    run->steps[process] = IDLE;
}

static void advance_ghost(struct run *run)
{
    if (run->ghost_count == 0 || random_below(&run->random, 50) != 0)
        return;
    size_t ghost = random_below(&run->random, run->ghost_count);
    if (random_below(&run->random, 3) != 0)
        take_effect(run, &run->operations[run->ghosts[ghost]]);
    run->ghosts[ghost] = run->ghosts[--run->ghost_count];
}

static void advance(struct run *run, uint32_t process)
{
    struct operation *operation = &run->operations[run->current[process]];
    run->now_ns++;
    if (run->steps[process] == IDLE) {
        if (run->count < run->plan.operations)
            start(run, process);
    } else if (random_below(&run->random, 2000) < run->plan.lost_per_mille) {
        give_up(run, process);
    } else if (run->steps[process] == STARTED) {
        take_effect(run, operation);
        run->steps[process] = EFFECTIVE;
    } else {
        operation->end_ns = run->now_ns;
        run->steps[process] = IDLE;
    }
}

/* The operations are the caller's to free. */
static struct operation *generate(const struct plan *plan)
{
    struct run run = {.plan = *plan, .next_value = 1};
    random_seed(&run.random, plan->seed);
    run.operations = calloc(plan->operations, sizeof(struct operation));
    assert_non_null(run.operations);
    bool busy = true;
    while (run.count < plan->operations || busy) {
        advance(&run, (uint32_t)random_below(&run.random, plan->processes));
        advance_ghost(&run);
        busy = false;
        for (uint32_t i = 0; i < plan->processes; i++)
            busy |= run.steps[i] != IDLE;
    }
    return run.operations;
}

static enum verdict verdict_of(const struct operation *operations, size_t count,
                               struct check_report *report)
{
    assert_int_equal(history_check(operations, count, NULL, report, NULL), 0);
    return report->verdict;
}

static void assert_valid(struct plan plan)
{
    struct check_report report;
    struct operation *operations = generate(&plan);
    enum verdict verdict = verdict_of(operations, plan.operations, &report);
    if (verdict != VERDICT_LINEARIZABLE)
        fail_msg("seed %llu: %s: %s", (unsigned long long)plan.seed, verdict_text(verdict),
                 report.reason);
    if (getenv("CHECKER_STATISTICS"))
        fprintf(stderr, "seed %llu configurations %llu\n", (unsigned long long)plan.seed,
                (unsigned long long)report.configurations);
    free(operations);
}

/* The last write to the key that took effect for certain and ended before `before_ns`, at least
 * `skip` such writes ago; NOBODY if there is none. */
static long earlier_write(const struct operation *operations, size_t count, uint64_t key,
                          uint64_t before_ns, int skip)
{
    for (size_t i = count; i-- > 0;) {
        const struct operation *operation = &operations[i];
        bool writes = operation->kind == OPERATION_PUT || operation->kind == OPERATION_SWAP;
        if (writes && operation->key == key && operation->end_ns < before_ns && skip-- == 0)
            return (long)i;
    }
    return NOBODY;
}

/* Each of these makes a valid history invalid, or returns false if it does not fit the operation at
 * `at`. Values are unique. */
typedef bool (*spoil_function)(struct operation *operations, size_t count, size_t at);

/* Reads what was overwritten before the read began: a write that ended before another write began
 * that ended before the read. */
static bool read_stale(struct operation *operations, size_t count, size_t at)
{
    struct operation *read = &operations[at];
    if (read->kind != OPERATION_GET || read->end_ns == OPERATION_OPEN)
        return false;
    long newer = earlier_write(operations, at, read->key, read->start_ns, 0);
    if (newer == NOBODY)
        return false;
    long older = earlier_write(operations, (size_t)newer, read->key, operations[newer].start_ns, 0);
    if (older == NOBODY)
        return false;
    (void)count;
    read->result = operations[older].value;
    return true;
}

static bool read_future(struct operation *operations, size_t count, size_t at)
{
    struct operation *read = &operations[at];
    if (read->kind != OPERATION_GET || read->end_ns == OPERATION_OPEN)
        return false;
    for (size_t i = at + 1; i < count; i++) {
        if (operations[i].kind == OPERATION_PUT && operations[i].key == read->key &&
            operations[i].start_ns > read->end_ns) {
            read->result = operations[i].value;
            return true;
        }
    }
    return false;
}

/* Two swaps take the same value. */
static bool swap_twice(struct operation *operations, size_t count, size_t at)
{
    struct operation *swap = &operations[at];
    if (swap->kind != OPERATION_SWAP || swap->end_ns == OPERATION_OPEN)
        return false;
    for (size_t i = at + 1; i < count; i++) {
        const struct operation *other = &operations[i];
        if (other->kind == OPERATION_SWAP && other->key == swap->key &&
            other->end_ns != OPERATION_OPEN && other->result != 0 &&
            other->result != swap->result) {
            swap->result = other->result;
            return true;
        }
    }
    return false;
}

/* A swap that reports its own value: it ran twice. */
static bool swap_itself(struct operation *operations, size_t count, size_t at)
{
    struct operation *swap = &operations[at];
    (void)count;
    if (swap->kind != OPERATION_SWAP || swap->end_ns == OPERATION_OPEN)
        return false;
    swap->result = swap->value;
    return true;
}

/* An acknowledged write that somebody saw is gone from the history. */
static bool lose_write(struct operation *operations, size_t count, size_t at)
{
    struct operation *write = &operations[at];
    if (write->kind != OPERATION_PUT)
        return false;
    for (size_t i = 0; i < count; i++) {
        const struct operation *reader = &operations[i];
        if ((reader->kind == OPERATION_GET || reader->kind == OPERATION_SWAP) &&
            reader->end_ns != OPERATION_OPEN && reader->result == write->value) {
            *write = (struct operation){.kind = OPERATION_GET,
                                        .key = write->key,
                                        .version = OPERATION_NO_VERSION,
                                        .start_ns = write->start_ns,
                                        .end_ns = OPERATION_OPEN};
            return true;
        }
    }
    return false;
}

/* A read that must see some value says the key is absent; only without deletes. */
static bool read_absent(struct operation *operations, size_t count, size_t at)
{
    struct operation *read = &operations[at];
    (void)count;
    if (read->kind != OPERATION_GET || read->end_ns == OPERATION_OPEN ||
        earlier_write(operations, at, read->key, read->start_ns, 0) == NOBODY)
        return false;
    read->result = 0;
    return true;
}

static void assert_spoilt_is_found(struct plan plan, spoil_function spoil, size_t times)
{
    struct random random;
    struct operation *original = generate(&plan);
    struct operation *spoilt = calloc(plan.operations, sizeof(struct operation));
    assert_non_null(spoilt);
    random_seed(&random, plan.seed + 1000);
    while (times > 0) {
        struct check_report report;
        size_t at = random_below(&random, plan.operations);
        memcpy(spoilt, original, plan.operations * sizeof(struct operation));
        if (!spoil(spoilt, plan.operations, at))
            continue;
        times--;
        if (verdict_of(spoilt, plan.operations, &report) != VERDICT_VIOLATION)
            fail_msg("seed %llu, operation %zu: %s", (unsigned long long)plan.seed, at,
                     verdict_text(report.verdict));
        assert_int_equal(report.failed_keys, 1);
        assert_int_equal(report.key, spoilt[at].key);
    }
    free(original);
    free(spoilt);
}

static void a_hundred_thousand_operations_on_few_keys(void **state)
{
    (void)state;
    assert_valid((struct plan){100000, 30, 5, 0, false, false, 1});
    assert_valid((struct plan){100000, 30, 1, 0, false, false, 2});
    assert_valid((struct plan){100000, 30, 1, 0, true, false, 3});
    assert_valid((struct plan){100000, 60, 40, 0, true, false, 4});
    assert_valid((struct plan){100000, 30, 1, 0, true, true, 5});
}

static void many_unknown_outcomes(void **state)
{
    (void)state;
    assert_valid((struct plan){100000, 30, 5, 5, false, false, 11});
    assert_valid((struct plan){100000, 10, 5, 5, true, false, 12});
    assert_valid((struct plan){100000, 30, 64, 5, true, false, 13});
    assert_valid((struct plan){20000, 10, 5, 5, true, true, 14});
    for (uint64_t seed = 20; seed < 40; seed++)
        assert_valid((struct plan){2000, 12, 3, 20, true, false, seed});
}

static void every_spoilt_history_is_found(void **state)
{
    (void)state;
    const spoil_function spoils[] = {read_stale,  read_future, swap_twice,
                                     swap_itself, lose_write,  read_absent};
    for (size_t i = 0; i < sizeof(spoils) / sizeof(spoils[0]); i++) {
        assert_spoilt_is_found((struct plan){2000, 8, 4, 0, false, false, 50 + i}, spoils[i], 50);
        assert_spoilt_is_found((struct plan){2000, 20, 2, 3, false, false, 60 + i}, spoils[i], 50);
        assert_spoilt_is_found((struct plan){100000, 30, 5, 1, false, false, 70 + i}, spoils[i], 1);
    }
}

static void spoilt_histories_with_deletes_are_found(void **state)
{
    (void)state;
    const spoil_function spoils[] = {read_future, swap_twice, swap_itself, lose_write, read_stale};
    for (size_t i = 0; i < sizeof(spoils) / sizeof(spoils[0]); i++) {
        assert_spoilt_is_found((struct plan){2000, 8, 4, 0, true, false, 80 + i}, spoils[i], 50);
        assert_spoilt_is_found((struct plan){2000, 8, 4, 3, true, false, 90 + i}, spoils[i], 50);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_hundred_thousand_operations_on_few_keys),
        cmocka_unit_test(many_unknown_outcomes),
        cmocka_unit_test(every_spoilt_history_is_found),
        cmocka_unit_test(spoilt_histories_with_deletes_are_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
