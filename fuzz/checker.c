/* Splits a history by key, has each key searched, and finds where the worst key breaks. */
#include "fuzz/checker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz/problem.h"
#include "fuzz/search.h"

enum { CONFIGURATIONS_DEFAULT = 20000000, COUNT_LIMIT = 1 << 30 };
static const uint64_t MEMORY_DEFAULT = UINT64_C(2) << 30;

const char *verdict_text(enum verdict verdict)
{
    switch (verdict) {
    case VERDICT_LINEARIZABLE:
        return "linearizable";
    case VERDICT_VIOLATION:
        return "violation";
    case VERDICT_UNKNOWN:
        break;
    }
    return "unknown";
}

static int check_operation(const struct operation *operation, size_t number, struct error *error)
{
    bool writes = operation->kind != OPERATION_GET && operation->kind != OPERATION_DELETE;
    bool flags = operation->kind != OPERATION_GET && operation->kind != OPERATION_SWAP;
    if (operation->end_ns < operation->start_ns)
        return error_set(error, CAIRN_EINVAL, "operation %zu: ends before it starts", number);
    if (writes && operation->value == 0)
        return error_set(error, CAIRN_EINVAL, "operation %zu: writes the value 0", number);
    if (flags && operation->end_ns != OPERATION_OPEN && operation->result != OPERATION_NO_RESULT &&
        operation->result > (operation->kind == OPERATION_PUT_IF ? RESULT_MISMATCH : RESULT_FOUND))
        return error_set(error, CAIRN_EINVAL, "operation %zu: no such result", number);
    return 0;
}

/* Verdict of the part of a key's history that lies before `until_ns`. */
static int check_part(const struct key_history *group, uint64_t until_ns,
                      const struct check_limits *limits, enum verdict *verdict,
                      uint64_t *configurations, const char **reason)
{
    struct problem problem;
    int status = problem_build(&problem, group, until_ns);
    *reason = problem.impossible;
    if (status == 0 && problem.impossible != NULL)
        *verdict = VERDICT_VIOLATION;
    else if (status == 0)
        status = search_run(&problem, limits, verdict, configurations);
    problem_free(&problem);
    return status;
}

static int compare_u64(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    return (a > b) - (a < b);
}

/* Once a part of the history is contradictory, every longer one is: bisects for the first end of an
 * operation at which it is. */
static int find_break(const struct key_history *group, const struct check_limits *limits,
                      struct check_report *report)
{
    uint64_t *ends = calloc((size_t)group->count + 1, sizeof(uint64_t));
    if (ends == NULL)
        return CAIRN_ENOMEM;
    uint32_t high = 0, low = 0;
    for (uint32_t i = 0; i < group->count; i++)
        if (group->operations[group->which[i]].end_ns != OPERATION_OPEN)
            ends[high++] = group->operations[group->which[i]].end_ns;
    qsort(ends, high, sizeof(uint64_t), compare_u64);
    int status = 0;
    report->until_ns = high > 0 ? ends[high - 1] : OPERATION_OPEN;
    while (status == 0 && low < high) {
        uint32_t middle = low + (high - low) / 2;
        enum verdict verdict = VERDICT_UNKNOWN;
        const char *reason;
        uint64_t visited = 0;
        status = check_part(group, ends[middle], limits, &verdict, &visited, &reason);
        if (verdict == VERDICT_VIOLATION) {
            high = middle;
            report->until_ns = ends[middle];
            if (reason != NULL)
                snprintf(report->reason, sizeof(report->reason), "%s", reason);
        } else {
            low = middle + 1;
        }
    }
    free(ends);
    return status;
}

static bool is_worse(const struct check_report *report, enum verdict verdict, uint32_t count)
{
    if (report->failed_keys == 0)
        return true;
    if (verdict != report->verdict)
        return verdict == VERDICT_VIOLATION;
    return count < report->key_operations;
}

static int check_group(const struct key_history *group, const struct check_limits *limits,
                       struct check_report *report, struct key_history *worst)
{
    enum verdict verdict = VERDICT_UNKNOWN;
    const char *reason = NULL;
    int status =
        check_part(group, OPERATION_OPEN, limits, &verdict, &report->configurations, &reason);
    if (status != 0)
        return status;
    report->keys++;
    if (verdict == VERDICT_LINEARIZABLE)
        return 0;
    if (is_worse(report, verdict, group->count)) {
        report->verdict = verdict;
        report->key = group->operations[group->which[0]].key;
        report->key_operations = group->count;
        snprintf(report->reason, sizeof(report->reason), "%s",
                 verdict == VERDICT_UNKNOWN ? "the search ran out of its budget"
                                            : (reason ? reason : "no order explains the answers"));
        *worst = *group;
    }
    report->failed_keys++;
    return 0;
}

struct keyed {
    uint64_t key;
    uint32_t operation;
};

static int compare_keyed(const void *left, const void *right)
{
    const struct keyed *a = left, *b = right;
    if (a->key != b->key)
        return a->key < b->key ? -1 : 1;
    return (a->operation > b->operation) - (a->operation < b->operation);
}

/* The operations' indices, by key; NULL without memory. Owned by the caller. */
static uint32_t *indices_by_key(const struct operation *operations, uint32_t count)
{
    struct keyed *keyed = calloc((size_t)count + 1, sizeof(*keyed));
    uint32_t *indices = calloc((size_t)count + 1, sizeof(uint32_t));
    if (keyed != NULL && indices != NULL) {
        for (uint32_t i = 0; i < count; i++)
            keyed[i] = (struct keyed){operations[i].key, i};
        qsort(keyed, count, sizeof(*keyed), compare_keyed);
        for (uint32_t i = 0; i < count; i++)
            indices[i] = keyed[i].operation;
    }
    if (keyed == NULL) {
        free(indices);
        indices = NULL;
    }
    free(keyed);
    return indices;
}

static int check_groups(const struct operation *operations, const uint32_t *indices, uint32_t count,
                        const struct check_limits *limits, struct check_report *report)
{
    struct key_history worst = {0};
    int status = 0;
    for (uint32_t begin = 0, end; status == 0 && begin < count; begin = end) {
        for (end = begin; end < count; end++)
            if (operations[indices[end]].key != operations[indices[begin]].key)
                break;
        struct key_history group = {operations, indices + begin, end - begin, {0, 0}};
        status = check_group(&group, limits, report, &worst);
    }
    if (status == 0 && report->verdict == VERDICT_VIOLATION)
        status = find_break(&worst, limits, report);
    return status;
}

/* Fills in defaults and looks at each operation by itself. */
static int begin_check(const struct operation *operations, size_t count,
                       const struct check_limits *limits, struct check_limits *within,
                       struct check_report *report, struct error *error)
{
    *within = (struct check_limits){CONFIGURATIONS_DEFAULT, MEMORY_DEFAULT};
    memset(report, 0, sizeof(*report));
    report->verdict = VERDICT_LINEARIZABLE;
    report->until_ns = OPERATION_OPEN;
    report->operations = count;
    if (limits != NULL && limits->configurations != 0)
        within->configurations = limits->configurations;
    if (limits != NULL && limits->memory_bytes != 0)
        within->memory_bytes = limits->memory_bytes;
    if (count > COUNT_LIMIT)
        return error_set(error, CAIRN_EINVAL, "history: more than %d operations", COUNT_LIMIT);
    for (size_t i = 0; i < count; i++)
        if (check_operation(&operations[i], i, error) != 0)
            return CAIRN_EINVAL;
    return 0;
}

static int end_check(int status, struct check_report *report, struct error *error)
{
    if (status == 0)
        return 0;
    report->verdict = VERDICT_UNKNOWN;
    return error_set(error, status, "history: %s", error_text(status));
}

int history_check(const struct operation *operations, size_t count,
                  const struct check_limits *limits, struct check_report *report,
                  struct error *error)
{
    struct check_limits within;
    if (begin_check(operations, count, limits, &within, report, error) != 0)
        return CAIRN_EINVAL;
    uint32_t *indices = indices_by_key(operations, (uint32_t)count);
    int status = indices == NULL
                     ? CAIRN_ENOMEM
                     : check_groups(operations, indices, (uint32_t)count, &within, report);
    free(indices);
    return end_check(status, report, error);
}

int history_check_key(const struct operation *operations, size_t count, struct key_state initial,
                      const struct check_limits *limits, struct check_report *report,
                      struct error *error)
{
    struct check_limits within;
    struct key_history worst = {0};
    if (begin_check(operations, count, limits, &within, report, error) != 0)
        return CAIRN_EINVAL;
    uint32_t *indices = calloc(count + 1, sizeof(uint32_t));
    int status = indices == NULL ? CAIRN_ENOMEM : 0;
    for (uint32_t i = 0; status == 0 && i < count; i++)
        indices[i] = i;
    const struct key_history group = {operations, indices, (uint32_t)count, initial};
    if (status == 0 && count > 0)
        status = check_group(&group, &within, report, &worst);
    if (status == 0 && report->verdict == VERDICT_VIOLATION)
        status = find_break(&group, &within, report);
    free(indices);
    return end_check(status, report, error);
}
