/* Leaves operations out of a history as long as the rest is not explained. */
#include "fuzz/shrink.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz/cut.h"

enum { CHECKS_MAX = 20000 };

/* --- looking at a part --------------------------------------------------------------------------
 */

/* What is gone. */
struct gone {
    bool writes, removals;
    uint64_t *lost; /* values whose writes are gone, sorted */
    size_t lost_count;
};

static int compare_u64(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    return (a > b) - (a < b);
}

static bool is_lost(const struct gone *gone, uint64_t value)
{
    return bsearch(&value, gone->lost, gone->lost_count, sizeof(value), compare_u64) != NULL;
}

static void note_gone(struct gone *gone, const struct operation *operations, size_t count,
                      const bool *keeps)
{
    for (size_t i = 0; i < count; i++) {
        if (keeps[i] || !operation_mutates(&operations[i]))
            continue;
        if (operations[i].kind == OPERATION_DELETE) {
            gone->removals = true;
        } else {
            gone->writes = true;
            gone->lost[gone->lost_count++] = operations[i].value;
        }
    }
    qsort(gone->lost, gone->lost_count, sizeof(uint64_t), compare_u64);
}

/* The answer "found" or "not found", if it still tells something. */
static uint64_t presence(const struct gone *gone, uint64_t result)
{
    if (result == RESULT_FOUND)
        return gone->writes ? OPERATION_NO_RESULT : result;
    return gone->removals ? OPERATION_NO_RESULT : result;
}

/* The value that was shown, if it still tells something. */
static uint64_t shown(const struct gone *gone, uint64_t value)
{
    if (value == 0)
        return gone->removals ? OPERATION_NO_RESULT : 0;
    return is_lost(gone, value) ? OPERATION_NO_RESULT : value;
}

/* Takes from the operation's answer what no longer tells anything; false: it tells and does nothing
 * any more. */
static bool weaken(const struct gone *gone, struct operation *operation)
{
    bool changed = gone->writes || gone->removals;
    bool refused = operation->kind == OPERATION_PUT_IF && operation->end_ns != OPERATION_OPEN &&
                   operation->result == RESULT_MISMATCH;
    if (changed)
        operation->version = OPERATION_NO_VERSION;
    if (refused)
        return !changed;
    if (changed && operation->kind == OPERATION_PUT_IF)
        operation->kind = OPERATION_PUT;
    if (operation->end_ns == OPERATION_OPEN)
        return operation->kind != OPERATION_GET;
    if (operation->kind == OPERATION_GET || operation->kind == OPERATION_SWAP) {
        operation->result = shown(gone, operation->result);
        return operation->kind == OPERATION_SWAP || operation->result != OPERATION_NO_RESULT;
    }
    bool removed = operation->kind == OPERATION_DELETE && operation->result == RESULT_FOUND;
    operation->result = presence(gone, operation->result);
    return operation->kind != OPERATION_DELETE || removed ||
           operation->result != OPERATION_NO_RESULT;
}

size_t shrink_project(const struct operation *operations, size_t count, const bool *keeps,
                      struct operation *out)
{
    struct gone gone = {.lost = calloc(count + 1, sizeof(uint64_t))};
    size_t left = 0;
    if (gone.lost == NULL)
        return 0;
    note_gone(&gone, operations, count, keeps);
    for (size_t i = 0; i < count; i++) {
        out[left] = operations[i];
        if (keeps[i] && weaken(&gone, &out[left]))
            left++;
    }
    free(gone.lost);
    return left;
}

/* --- shrinking ----------------------------------------------------------------------------------
 */

struct shrinker {
    struct operation *operations; /* as they were */
    size_t count;
    struct key_state initial;
    bool *keeps, *tried;
    struct operation *part;
    unsigned checks;
    struct check_report report; /* of the last part that is not explained */
};

/* Whether the part is not explained; then the report tells of it. A part that takes the search too
 * long counts as explained. */
static int is_fault(struct shrinker *shrinker, const bool *keeps, bool *fault, struct error *error)
{
    static const struct check_limits LIMITS = {.configurations = 200000};
    struct check_report report;
    size_t left = shrink_project(shrinker->operations, shrinker->count, keeps, shrinker->part);
    int status =
        history_check_key(shrinker->part, left, shrinker->initial, &LIMITS, &report, error);
    shrinker->checks++;
    *fault = status == 0 && report.verdict == VERDICT_VIOLATION;
    if (*fault)
        shrinker->report = report;
    return status;
}

/* Tries to leave out each run of `size` operations. `*smaller`: some could be. */
static int leave_out_runs(struct shrinker *shrinker, size_t size, bool *smaller,
                          struct error *error)
{
    int status = 0;
    for (size_t end = shrinker->count;
         status == 0 && end > 0 && shrinker->checks<CHECKS_MAX; end = end> size ? end - size : 0) {
        size_t begin = end > size ? end - size : 0, dropped = 0;
        bool fault = false;
        memcpy(shrinker->tried, shrinker->keeps, shrinker->count * sizeof(bool));
        for (size_t i = begin; i < end; i++) {
            dropped += shrinker->tried[i];
            shrinker->tried[i] = false;
        }
        if (dropped > 0)
            status = is_fault(shrinker, shrinker->tried, &fault, error);
        if (status == 0 && fault) {
            memcpy(shrinker->keeps, shrinker->tried, shrinker->count * sizeof(bool));
            *smaller = true;
        }
    }
    return status;
}

static int leave_out(struct shrinker *shrinker, struct error *error)
{
    int status = 0;
    bool smaller = true;
    for (size_t size = shrinker->count / 2; status == 0 && size > 1; size /= 2)
        status = leave_out_runs(shrinker, size, &smaller, error);
    while (status == 0 && smaller && shrinker->checks < CHECKS_MAX) {
        smaller = false;
        status = leave_out_runs(shrinker, 1, &smaller, error);
    }
    return status;
}

/* What happened after the break is of no interest: later ends are unknown. */
static void end_at_break(struct finding *finding)
{
    size_t kept = 0;
    for (size_t i = 0; i < finding->count; i++) {
        struct operation operation = finding->operations[i];
        if (operation.start_ns > finding->until_ns)
            continue;
        if (operation.end_ns > finding->until_ns)
            operation.end_ns = OPERATION_OPEN;
        finding->operations[kept++] = operation;
    }
    finding->count = kept;
}

static int shrink_with(struct shrinker *shrinker, struct finding *finding, struct error *error)
{
    bool fault;
    for (size_t i = 0; i < shrinker->count; i++)
        shrinker->keeps[i] = true;
    int status = is_fault(shrinker, shrinker->keeps, &fault, error);
    if (status != 0 || !fault)
        return status;
    status = leave_out(shrinker, error);
    if (status == 0)
        status = is_fault(shrinker, shrinker->keeps, &fault, error);
    if (status != 0)
        return status;
    finding->count =
        shrink_project(shrinker->operations, shrinker->count, shrinker->keeps, finding->operations);
    finding->until_ns = shrinker->report.until_ns;
    (void)snprintf(finding->reason, sizeof(finding->reason), "%s", shrinker->report.reason);
    return 0;
}

int shrink(struct finding *finding, struct error *error)
{
    if (finding->operations == NULL || finding->verdict != VERDICT_VIOLATION)
        return 0;
    if (finding->until_ns != OPERATION_OPEN)
        end_at_break(finding);
    size_t count = finding->count;
    struct shrinker shrinker = {.operations = calloc(count + 1, sizeof(struct operation)),
                                .count = count,
                                .initial = finding->initial,
                                .keeps = calloc(count + 1, sizeof(bool)),
                                .tried = calloc(count + 1, sizeof(bool)),
                                .part = calloc(count + 1, sizeof(struct operation))};
    int status = CAIRN_ENOMEM;
    if (shrinker.operations == NULL || shrinker.keeps == NULL || shrinker.tried == NULL ||
        shrinker.part == NULL) {
        error_set(error, CAIRN_ENOMEM, "shrink: out of memory");
    } else {
        memcpy(shrinker.operations, finding->operations, count * sizeof(struct operation));
        status = shrink_with(&shrinker, finding, error);
    }
    free(shrinker.operations);
    free(shrinker.keeps);
    free(shrinker.tried);
    free(shrinker.part);
    return status;
}
