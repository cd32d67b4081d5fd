/* The checker agrees with trying every order, on many small random histories. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/random.h"
#include "fuzz/checker.h"

enum { OPERATIONS_MAX = 7, HISTORIES = 20000 };

/* What the store does, written apart from the checker; false if the answer was another. */
static bool execute(const struct operation *operation, struct key_state *key)
{
    bool open = operation->end_ns == OPERATION_OPEN;
    struct key_state before = *key;
    uint64_t existed = before.value != 0 ? RESULT_FOUND : RESULT_NOT_FOUND;
    uint64_t answer = existed;
    switch (operation->kind) {
    case OPERATION_PUT_IF:
        if (before.version != operation->if_version) {
            answer = RESULT_MISMATCH;
            break;
        }
        *key = (struct key_state){operation->value, before.version + 1};
        break;
    case OPERATION_SWAP:
        answer = before.value;
        *key = (struct key_state){operation->value, before.version + 1};
        break;
    case OPERATION_PUT:
        *key = (struct key_state){operation->value, before.version + 1};
        break;
    case OPERATION_GET:
        answer = before.value;
        break;
    case OPERATION_DELETE:
        *key = (struct key_state){0, 0};
        break;
    }
    if (open)
        return true;
    if (operation->result == OPERATION_NO_RESULT) /* it took effect */
        answer = operation->result;
    return answer == operation->result &&
           (operation->version == OPERATION_NO_VERSION || operation->version == key->version);
}

static bool may_be_next(const struct operation *operations, size_t count, uint32_t placed, size_t i)
{
    if ((placed >> i & 1) != 0)
        return false;
    for (size_t j = 0; j < count; j++)
        if (j != i && (placed >> j & 1) == 0 && operations[j].end_ns != OPERATION_OPEN &&
            operations[j].end_ns < operations[i].start_ns)
            return false;
    return true;
}

/* Tries all orders, and all choices of open operations that happen. */
static bool any_order_fits(const struct operation *operations, size_t count, uint32_t placed,
                           struct key_state key)
{
    bool complete = true;
    for (size_t i = 0; i < count; i++)
        complete &= (placed >> i & 1) != 0 || operations[i].end_ns == OPERATION_OPEN;
    if (complete)
        return true;
    for (size_t i = 0; i < count; i++) {
        struct key_state next = key;
        if (may_be_next(operations, count, placed, i) && execute(&operations[i], &next) &&
            any_order_fits(operations, count, placed | UINT32_C(1) << i, next))
            return true;
    }
    return false;
}

struct shape {
    bool versions, unique_values, silent; /* some answers are not looked at */
    uint64_t values;
    struct key_state initial;
};

static struct operation random_operation(struct random *random, const struct shape *shape,
                                         uint64_t number)
{
    struct operation operation = {.key = 1, .version = OPERATION_NO_VERSION};
    operation.kind = (enum operation_kind)random_below(random, 5);
    if (!shape->versions && operation.kind == OPERATION_PUT_IF)
        operation.kind = OPERATION_SWAP;
    operation.value = shape->unique_values ? number + 1 : random_below(random, shape->values) + 1;
    operation.if_version = random_below(random, 3);
    operation.start_ns = random_below(random, 12);
    operation.end_ns = operation.start_ns + random_below(random, 8);
    if (random_below(random, 5) == 0)
        operation.end_ns = OPERATION_OPEN;
    operation.result = random_below(random, 2);
    if (operation.kind == OPERATION_GET || operation.kind == OPERATION_SWAP)
        operation.result = random_below(random, shape->values + 1);
    if (operation.kind == OPERATION_PUT_IF && random_below(random, 3) == 0)
        operation.result = RESULT_MISMATCH;
    if (shape->silent && operation.kind != OPERATION_PUT_IF && random_below(random, 6) == 0)
        operation.result = OPERATION_NO_RESULT;
    if (shape->versions && random_below(random, 4) == 0)
        operation.version = random_below(random, 4);
    return operation;
}

/* Random answers are seldom right: takes them from a run in random order half of the time. */
static void answer_truly(struct random *random, struct operation *operations, size_t count,
                         struct key_state key)
{
    uint32_t placed = 0;
    for (size_t tries = 0; tries < 200; tries++) {
        size_t i = random_below(random, count);
        struct key_state before = key;
        if (!may_be_next(operations, count, placed, i))
            continue;
        placed |= UINT32_C(1) << i;
        struct operation *operation = &operations[i];
        if (operation->result == OPERATION_NO_RESULT) {
            operation->version = OPERATION_NO_VERSION;
            (void)execute(operation, &key);
            continue;
        }
        for (operation->result = 0; operation->result < 20; operation->result++) {
            operation->version = OPERATION_NO_VERSION;
            key = before;
            if (execute(operation, &key))
                break;
        }
    }
}

/* The history as it was at `until_ns`: what ends later is open, what starts later is not there. */
static bool prefix_fits(const struct operation *operations, size_t count, uint64_t until_ns,
                        struct key_state initial)
{
    struct operation prefix[OPERATIONS_MAX];
    size_t left = 0;
    for (size_t i = 0; i < count; i++) {
        if (operations[i].start_ns > until_ns)
            continue;
        prefix[left] = operations[i];
        if (prefix[left].end_ns > until_ns)
            prefix[left].end_ns = OPERATION_OPEN;
        left++;
    }
    return any_order_fits(prefix, left, 0, initial);
}

/* What is said to break the history does, and nothing before it. */
static void breaks_there(const struct operation *operations, size_t count, uint64_t until_ns,
                         struct key_state initial)
{
    assert_false(prefix_fits(operations, count, until_ns, initial));
    for (size_t i = 0; i < count; i++)
        if (operations[i].end_ns < until_ns)
            assert_true(prefix_fits(operations, count, operations[i].end_ns, initial));
}

static void agrees_with_trying_every_order(struct shape shape, uint64_t seed)
{
    struct random random;
    random_seed(&random, seed);
    uint64_t good = 0;
    for (uint64_t n = 0; n < HISTORIES; n++) {
        struct operation operations[OPERATIONS_MAX];
        size_t count = 2 + random_below(&random, OPERATIONS_MAX - 1);
        for (size_t i = 0; i < count; i++)
            operations[i] = random_operation(&random, &shape, i);
        if (n % 2 == 0)
            answer_truly(&random, operations, count, shape.initial);
        if (n % 4 == 0) {
            struct operation *changed = &operations[random_below(&random, count)];
            changed->result = random_below(&random, changed->kind == OPERATION_GET ? 5 : 2);
        }
        bool expected = any_order_fits(operations, count, 0, shape.initial);
        struct check_report report;
        assert_int_equal(history_check_key(operations, count, shape.initial, NULL, &report, NULL),
                         0);
        if ((report.verdict == VERDICT_LINEARIZABLE) != expected)
            fail_msg("seed %llu, history %llu: %s", (unsigned long long)seed, (unsigned long long)n,
                     verdict_text(report.verdict));
        if (!expected)
            breaks_there(operations, count, report.until_ns, shape.initial);
        good += expected;
    }
    /* Both verdicts must have been tried often. */
    assert_in_range(good, HISTORIES / 10, HISTORIES - HISTORIES / 10);
}

static void unique_values(void **state)
{
    (void)state;
    agrees_with_trying_every_order((struct shape){.unique_values = true, .values = OPERATIONS_MAX},
                                   1);
}

static void repeated_values(void **state)
{
    (void)state;
    agrees_with_trying_every_order((struct shape){.values = 3}, 2);
}

static void versions_and_conditions(void **state)
{
    (void)state;
    agrees_with_trying_every_order(
        (struct shape){.versions = true, .unique_values = true, .values = OPERATIONS_MAX}, 3);
    agrees_with_trying_every_order((struct shape){.versions = true, .values = 3}, 4);
}

/* As behind a cut: the key holds a value that an operation may show, or one that comes again. */
static void a_key_that_is_there_at_first(void **state)
{
    (void)state;
    agrees_with_trying_every_order((struct shape){.values = 3, .initial = {2, 0}}, 5);
    agrees_with_trying_every_order(
        (struct shape){.versions = true, .unique_values = true, .values = 9, .initial = {9, 2}}, 6);
}

static void answers_that_are_not_looked_at(void **state)
{
    (void)state;
    agrees_with_trying_every_order((struct shape){.silent = true, .values = 3}, 7);
    agrees_with_trying_every_order((struct shape){.silent = true,
                                                  .versions = true,
                                                  .unique_values = true,
                                                  .values = OPERATIONS_MAX,
                                                  .initial = {7, 1}},
                                   8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unique_values),
        cmocka_unit_test(repeated_values),
        cmocka_unit_test(versions_and_conditions),
        cmocka_unit_test(a_key_that_is_there_at_first),
        cmocka_unit_test(answers_that_are_not_looked_at),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
