/* Leaves operations out of a history as long as the rest is not explained. */
#include "fuzz/shrink.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz/cut.h"

enum { CHECKS_MAX = 20000 };

/* --- looking at a part --------------------------------------------------------------------------
 */

/* Operations by time, so that one can ask for the latest of those before some time. */
struct timeline {
    uint64_t *at_ns;   /* ascending */
    uint64_t *most_ns; /* the most that was noted with any up to here */
    size_t count;
};

struct instant {
    uint64_t at_ns, noted_ns;
};

/* What is gone, and what surely was there. */
struct gone {
    struct timeline writes, removals; /* ends by start, of those that are gone */
    struct timeline mutations;        /* starts by end, of all that surely happened */
    uint64_t *lost;                   /* values whose writes are gone, sorted */
    size_t lost_count;
};

static int compare_u64(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    return (a > b) - (a < b);
}

static void timeline_free(struct timeline *timeline)
{
    free(timeline->at_ns);
    free(timeline->most_ns);
}

/* Sorts `instants`. CAIRN_ENOMEM. */
static int timeline_init(struct timeline *timeline, struct instant *instants, size_t count)
{
    uint64_t most_ns = 0;
    timeline->at_ns = calloc(count + 1, sizeof(uint64_t));
    timeline->most_ns = calloc(count + 1, sizeof(uint64_t));
    if (timeline->at_ns == NULL || timeline->most_ns == NULL)
        return CAIRN_ENOMEM;
    timeline->count = count;
    qsort(instants, count, sizeof(*instants), compare_u64); /* by their first member */
    for (size_t i = 0; i < count; i++) {
        most_ns = instants[i].noted_ns > most_ns ? instants[i].noted_ns : most_ns;
        timeline->at_ns[i] = instants[i].at_ns;
        timeline->most_ns[i] = most_ns;
    }
    return 0;
}

/* The most that was noted with any up to and with `at_ns`, or 0. */
static uint64_t timeline_most(const struct timeline *timeline, uint64_t at_ns)
{
    size_t low = 0, high = timeline->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (timeline->at_ns[middle] <= at_ns)
            low = middle + 1;
        else
            high = middle;
    }
    return low == 0 ? 0 : timeline->most_ns[low - 1];
}

/* Whether one that is gone may have been the last mutation before the operation: it began before
 * that ended, and no other surely came between the two. */
static bool may_be_last(const struct gone *gone, const struct timeline *list,
                        const struct operation *operation)
{
    uint64_t between_ns =
        operation->start_ns == 0 ? 0 : timeline_most(&gone->mutations, operation->start_ns - 1);
    return list->count > 0 && timeline_most(list, operation->end_ns) >= between_ns &&
           list->at_ns[0] <= operation->end_ns;
}

static bool is_lost(const struct gone *gone, uint64_t value)
{
    return bsearch(&value, gone->lost, gone->lost_count, sizeof(value), compare_u64) != NULL;
}

static void gone_free(struct gone *gone)
{
    timeline_free(&gone->writes);
    timeline_free(&gone->removals);
    timeline_free(&gone->mutations);
    free(gone->lost);
}

/* Gathers those that mutate and are of one sort. */
enum sort { SORT_WRITES, SORT_REMOVALS, SORT_MUTATIONS };
static size_t gather(const struct operation *operations, size_t count, const bool *keeps,
                     enum sort sort, struct instant *instants)
{
    size_t gathered = 0;
    for (size_t i = 0; i < count; i++) {
        const struct operation *operation = &operations[i];
        bool removes = operation->kind == OPERATION_DELETE;
        if (!operation_mutates(operation))
            continue;
        if (sort == SORT_MUTATIONS && operation->end_ns != OPERATION_OPEN)
            instants[gathered++] = (struct instant){operation->end_ns, operation->start_ns};
        else if (sort != SORT_MUTATIONS && !keeps[i] && removes == (sort == SORT_REMOVALS))
            instants[gathered++] = (struct instant){operation->start_ns, operation->end_ns};
    }
    return gathered;
}

/* CAIRN_ENOMEM; free it with gone_free either way. */
static int note_gone(struct gone *gone, const struct operation *operations, size_t count,
                     const bool *keeps)
{
    struct timeline *lists[] = {&gone->writes, &gone->removals, &gone->mutations};
    struct instant *instants = calloc(count + 1, sizeof(*instants));
    gone->lost = calloc(count + 1, sizeof(uint64_t));
    int status = instants == NULL || gone->lost == NULL ? CAIRN_ENOMEM : 0;
    for (enum sort sort = SORT_WRITES; status == 0 && sort <= SORT_MUTATIONS; sort++)
        status =
            timeline_init(lists[sort], instants, gather(operations, count, keeps, sort, instants));
    for (size_t i = 0; status == 0 && i < count; i++)
        if (!keeps[i] && operations[i].value != 0)
            gone->lost[gone->lost_count++] = operations[i].value;
    if (status == 0)
        qsort(gone->lost, gone->lost_count, sizeof(uint64_t), compare_u64);
    free(instants);
    return status;
}

/* The answer "found" or "not found", if it still tells something. */
static uint64_t presence(const struct gone *gone, const struct operation *operation)
{
    const struct timeline *list =
        operation->result == RESULT_FOUND ? &gone->writes : &gone->removals;
    return may_be_last(gone, list, operation) ? OPERATION_NO_RESULT : operation->result;
}

/* The value that was shown, if it still tells something. */
static uint64_t shown(const struct gone *gone, const struct operation *operation)
{
    if (operation->result == 0)
        return may_be_last(gone, &gone->removals, operation) ? OPERATION_NO_RESULT : 0;
    return is_lost(gone, operation->result) ? OPERATION_NO_RESULT : operation->result;
}

/* Takes from the operation's answer what no longer tells anything; false: it tells and does nothing
 * any more. */
static bool weaken(const struct gone *gone, struct operation *operation)
{
    bool changed = gone->writes.count + gone->removals.count > 0;
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
        operation->result = shown(gone, operation);
        return operation->kind == OPERATION_SWAP || operation->result != OPERATION_NO_RESULT;
    }
    bool removed = operation->kind == OPERATION_DELETE && operation->result != RESULT_NOT_FOUND;
    operation->result = presence(gone, operation);
    return operation->kind != OPERATION_DELETE || removed ||
           operation->result != OPERATION_NO_RESULT;
}

int shrink_project(const struct operation *operations, size_t count, const bool *keeps,
                   struct operation *out, size_t *left)
{
    struct gone gone = {0};
    int status = note_gone(&gone, operations, count, keeps);
    *left = 0;
    for (size_t i = 0; status == 0 && i < count; i++) {
        out[*left] = operations[i];
        if (keeps[i] && weaken(&gone, &out[*left]))
            (*left)++;
    }
    gone_free(&gone);
    return status;
}

/* --- shrinking ----------------------------------------------------------------------------------
 */

struct shrinker {
    struct operation *operations; /* as they were */
    size_t count;
    struct key_state initial;
    bool *keeps, *tried;
    struct operation *part; /* what was looked at last */
    size_t left;
    unsigned checks;
    struct check_report report; /* of the last part that is not explained */
};

/* Whether the part is not explained; then the report tells of it. A part that takes the search too
 * long counts as explained. */
static int is_fault(struct shrinker *shrinker, const bool *keeps, bool *fault, struct error *error)
{
    static const struct check_limits LIMITS = {.configurations = 200000};
    struct check_report report;
    int status = shrink_project(shrinker->operations, shrinker->count, keeps, shrinker->part,
                                &shrinker->left);
    if (status != 0)
        return error_set(error, status, "shrink: out of memory");
    status = history_check_key(shrinker->part, shrinker->left, shrinker->initial, &LIMITS, &report,
                               error);
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

static void forget_answer(struct operation *operation)
{
    operation->end_ns = OPERATION_OPEN;
    operation->result = 0;
    operation->version = OPERATION_NO_VERSION;
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
            forget_answer(&operation);
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
    /* What was looked at last is what is left. */
    finding->count = shrinker->left;
    memcpy(finding->operations, shrinker->part, shrinker->left * sizeof(struct operation));
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
