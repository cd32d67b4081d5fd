/* Builds a search problem from one key's operations. */
#include "fuzz/problem.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/error.h"

/* What building needs besides the result. */
struct build {
    struct problem *problem;
    const struct key_history *history;
    uint64_t *values; /* sorted, distinct, without 0 */
    uint32_t value_count;
    uint64_t *first_seen_ns; /* per value: the earliest end of an operation that observed it */
    uint32_t *takers;        /* per value: SWAPs that must have observed it */
};

static int compare_u64(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    return (a > b) - (a < b);
}

static int compare_start(const void *left, const void *right)
{
    const struct step *a = left, *b = right;
    if (a->start_ns != b->start_ns)
        return a->start_ns < b->start_ns ? -1 : 1;
    return (a->deadline_ns > b->deadline_ns) - (a->deadline_ns < b->deadline_ns);
}

static int compare_class(const struct step *a, const struct step *b)
{
    if (a->effect != b->effect)
        return a->effect < b->effect ? -1 : 1;
    if (a->rule != b->rule)
        return a->rule < b->rule ? -1 : 1;
    if (a->writes != b->writes)
        return a->writes < b->writes ? -1 : 1;
    return (a->if_version > b->if_version) - (a->if_version < b->if_version);
}

static int compare_optional(const void *left, const void *right)
{
    int order = compare_class(left, right);
    return order != 0 ? order : compare_start(left, right);
}

static bool kind_writes(enum operation_kind kind)
{
    return kind == OPERATION_PUT || kind == OPERATION_PUT_IF || kind == OPERATION_SWAP;
}

static bool kind_observes_value(enum operation_kind kind)
{
    return kind == OPERATION_GET || kind == OPERATION_SWAP;
}

static uint32_t value_number(const struct build *build, uint64_t value)
{
    if (value == 0)
        return VALUE_ABSENT;
    const uint64_t *found =
        bsearch(&value, build->values, build->value_count, sizeof(value), compare_u64);
    CHECK(found != NULL);
    return (uint32_t)(found - build->values) + VALUE_FIRST;
}

/* Whether the answer, if there is one, tells anything. */
static bool tells(const struct operation *operation)
{
    return operation->end_ns != OPERATION_OPEN && operation->result != OPERATION_NO_RESULT;
}

/* All values that are written or shown, with repetitions; returns how many. */
static uint32_t gather_values(const struct key_history *history, uint64_t *values)
{
    uint32_t gathered = 0;
    if (history->initial.value != 0)
        values[gathered++] = history->initial.value;
    for (uint32_t i = 0; i < history->count; i++) {
        const struct operation *operation = &history->operations[history->which[i]];
        if (kind_writes(operation->kind))
            values[gathered++] = operation->value;
        if (kind_observes_value(operation->kind) && tells(operation) && operation->result != 0)
            values[gathered++] = operation->result;
    }
    return gathered;
}

static int build_values(struct build *build)
{
    build->values = calloc((size_t)build->history->count * 2 + 2, sizeof(uint64_t));
    if (build->values == NULL)
        return CAIRN_ENOMEM;
    uint32_t gathered = gather_values(build->history, build->values);
    qsort(build->values, gathered, sizeof(uint64_t), compare_u64);
    for (uint32_t i = 0; i < gathered; i++)
        if (i == 0 || build->values[i] != build->values[i - 1])
            build->values[build->value_count++] = build->values[i];
    uint32_t total = build->value_count + VALUE_FIRST;
    build->problem->value_count = total;
    build->problem->producers = calloc(total, sizeof(uint32_t));
    build->problem->observers = calloc(total, sizeof(uint32_t));
    build->first_seen_ns = malloc(total * sizeof(uint64_t));
    build->takers = calloc(total, sizeof(uint32_t));
    if (build->problem->producers == NULL || build->problem->observers == NULL ||
        build->first_seen_ns == NULL || build->takers == NULL)
        return CAIRN_ENOMEM;
    memset(build->first_seen_ns, 0xff, total * sizeof(uint64_t));
    build->problem->initial = value_number(build, build->history->initial.value);
    return 0;
}

/* Notes what the answers show: which values, how often, from when on. */
static void note_observation(struct build *build, const struct operation *operation)
{
    if (!kind_observes_value(operation->kind) || !tells(operation))
        return;
    uint32_t value = value_number(build, operation->result);
    build->problem->observers[value]++;
    if (operation->kind == OPERATION_SWAP)
        build->takers[value]++;
    if (operation->end_ns < build->first_seen_ns[value])
        build->first_seen_ns[value] = operation->end_ns;
}

static void expect_presence(struct step *step, uint64_t result)
{
    if (result == RESULT_FOUND)
        step->needs_present = true;
    else
        step->observes = VALUE_ABSENT;
}

static void set_put_if(struct step *step, const struct operation *operation, bool open)
{
    step->if_version = operation->if_version;
    step->effect = EFFECT_WRITE;
    step->rule = VERSION_EQUALS;
    if (open || operation->result == OPERATION_NO_RESULT)
        return;
    if (operation->result == RESULT_MISMATCH) {
        step->effect = EFFECT_NONE;
        step->rule = VERSION_DIFFERS;
    } else {
        expect_presence(step, operation->result);
    }
}

/* What the operation does and what its answer, if there is one, demands. */
static void set_effect(const struct build *build, struct step *step,
                       const struct operation *operation, bool open)
{
    bool told = !open && operation->result != OPERATION_NO_RESULT;
    switch (operation->kind) {
    case OPERATION_PUT:
        step->effect = EFFECT_WRITE;
        if (told)
            expect_presence(step, operation->result);
        break;
    case OPERATION_PUT_IF:
        set_put_if(step, operation, open);
        break;
    case OPERATION_SWAP:
        step->effect = EFFECT_WRITE;
        if (told)
            step->observes = value_number(build, operation->result);
        break;
    case OPERATION_GET:
        if (told)
            step->observes = value_number(build, operation->result);
        break;
    case OPERATION_DELETE:
        step->effect = !told || operation->result == RESULT_FOUND ? EFFECT_REMOVE : EFFECT_NONE;
        if (told || open)
            expect_presence(step, open ? RESULT_FOUND : operation->result);
        break;
    }
}

/* Whether the value comes about once. */
static bool is_only_producer(const struct build *build, uint32_t value)
{
    return build->problem->producers[value] == 1 && build->problem->initial != value;
}

static struct step make_step(const struct build *build, const struct operation *operation,
                             bool open)
{
    struct step step = {
        .start_ns = operation->start_ns,
        .deadline_ns = open ? OPERATION_OPEN : operation->end_ns,
        .version_after = open ? OPERATION_NO_VERSION : operation->version,
        .observes = VALUE_ANY,
    };
    set_effect(build, &step, operation, open);
    if (step.effect == EFFECT_WRITE) {
        uint32_t value = value_number(build, operation->value);
        step.writes = build->problem->observers[value] > 0 ? value : VALUE_DEAD;
        /* Whoever saw the value did so after it was written. */
        if (step.writes == value && is_only_producer(build, value) &&
            build->first_seen_ns[value] < step.deadline_ns)
            step.deadline_ns = build->first_seen_ns[value];
    }
    return step;
}

/* An open operation may be left out, unless only it explains what others saw. */
static bool step_is_optional(const struct build *build, const struct step *step, bool open)
{
    return open && !(step->effect == EFFECT_WRITE && step->writes != VALUE_DEAD &&
                     is_only_producer(build, step->writes));
}

static void add_step(struct build *build, const struct operation *operation, bool open)
{
    struct problem *problem = build->problem;
    if (open && operation->kind == OPERATION_GET)
        return;
    struct step step = make_step(build, operation, open);
    if (step_is_optional(build, &step, open))
        problem->optional[problem->optional_count++] = step;
    else
        problem->steps[problem->step_count++] = step;
    if (step.start_ns > step.deadline_ns)
        problem->impossible = "a value was seen before its write began";
}

/* Observers of absence and producers of it, which are no values that note_observation knows. */
static void count_absence(struct problem *problem)
{
    problem->observers[VALUE_ABSENT] = 0;
    for (uint32_t i = 0; i < problem->step_count; i++) {
        problem->observers[VALUE_ABSENT] += problem->steps[i].observes == VALUE_ABSENT;
        problem->producers[VALUE_ABSENT] += problem->steps[i].effect == EFFECT_REMOVE;
    }
    for (uint32_t i = 0; i < problem->optional_count; i++)
        problem->producers[VALUE_ABSENT] += problem->optional[i].effect == EFFECT_REMOVE;
}

static void find_impossible(const struct build *build)
{
    struct problem *problem = build->problem;
    for (uint32_t v = VALUE_FIRST; v < problem->value_count; v++) {
        uint32_t times = problem->producers[v] + (problem->initial == v);
        if (problem->observers[v] > 0 && times == 0)
            problem->impossible = "a value was seen that nobody wrote";
        if (times == 1 && build->takers[v] > 1)
            problem->impossible = "two swaps replaced the same value";
    }
}

/* Classes are runs of steps that differ by their start only. */
static int build_classes(struct problem *problem)
{
    problem->class_begin = calloc((size_t)problem->optional_count + 1, sizeof(uint32_t));
    if (problem->class_begin == NULL)
        return CAIRN_ENOMEM;
    qsort(problem->optional, problem->optional_count, sizeof(struct step), compare_optional);
    for (uint32_t i = 0; i < problem->optional_count; i++) {
        const struct step *step = &problem->optional[i];
        if (i == 0 || compare_class(step - 1, step) != 0)
            problem->class_begin[problem->class_count++] = i;
    }
    problem->class_begin[problem->class_count] = problem->optional_count;
    return 0;
}

struct deadline {
    uint64_t deadline_ns;
    uint32_t step;
};

static int compare_deadline(const void *left, const void *right)
{
    const struct deadline *a = left, *b = right;
    if (a->deadline_ns != b->deadline_ns)
        return a->deadline_ns < b->deadline_ns ? -1 : 1;
    return (a->step > b->step) - (a->step < b->step);
}

static int build_order(struct problem *problem)
{
    qsort(problem->steps, problem->step_count, sizeof(struct step), compare_start);
    struct deadline *order = calloc((size_t)problem->step_count + 1, sizeof(*order));
    problem->by_deadline = calloc((size_t)problem->step_count + 1, sizeof(uint32_t));
    if (order == NULL || problem->by_deadline == NULL) {
        free(order);
        return CAIRN_ENOMEM;
    }
    for (uint32_t i = 0; i < problem->step_count; i++)
        order[i] = (struct deadline){problem->steps[i].deadline_ns, i};
    qsort(order, problem->step_count, sizeof(*order), compare_deadline);
    for (uint32_t i = 0; i < problem->step_count; i++)
        problem->by_deadline[i] = order[i].step;
    free(order);
    return 0;
}

static bool is_open(const struct operation *operation, uint64_t until_ns)
{
    return operation->end_ns == OPERATION_OPEN || operation->end_ns > until_ns;
}

/* The first pass: what is seen and who could have brought it about. */
static void note_operation(struct build *build, const struct operation *operation, bool open)
{
    bool refused =
        !open && operation->kind == OPERATION_PUT_IF && operation->result == RESULT_MISMATCH;
    if (!open)
        note_observation(build, operation);
    if (kind_writes(operation->kind) && !refused)
        build->problem->producers[value_number(build, operation->value)]++;
    if (operation->kind == OPERATION_PUT_IF ||
        (!open && operation->version != OPERATION_NO_VERSION))
        build->problem->versioned = true;
}

static int build_steps(struct build *build, uint64_t until_ns)
{
    struct problem *problem = build->problem;
    const struct operation *operations = build->history->operations;
    const uint32_t *which = build->history->which, count = build->history->count;
    problem->steps = calloc((size_t)count + 1, sizeof(struct step));
    problem->optional = calloc((size_t)count + 1, sizeof(struct step));
    if (problem->steps == NULL || problem->optional == NULL)
        return CAIRN_ENOMEM;
    for (uint32_t i = 0; i < count; i++)
        if (operations[which[i]].start_ns <= until_ns)
            note_operation(build, &operations[which[i]], is_open(&operations[which[i]], until_ns));
    for (uint32_t i = 0; i < count; i++)
        if (operations[which[i]].start_ns <= until_ns)
            add_step(build, &operations[which[i]], is_open(&operations[which[i]], until_ns));
    return 0;
}

int problem_build(struct problem *problem, const struct key_history *history, uint64_t until_ns)
{
    memset(problem, 0, sizeof(*problem));
    struct build build = {.problem = problem, .history = history};
    int status = build_values(&build);
    if (status == 0)
        status = build_steps(&build, until_ns);
    if (problem->versioned)
        problem->initial_version = history->initial.version;
    if (status == 0)
        status = build_order(problem);
    if (status == 0)
        status = build_classes(problem);
    if (status == 0) {
        count_absence(problem);
        find_impossible(&build);
    }
    free(build.values);
    free(build.first_seen_ns);
    free(build.takers);
    return status;
}

void problem_free(struct problem *problem)
{
    free(problem->steps);
    free(problem->by_deadline);
    free(problem->optional);
    free(problem->class_begin);
    free(problem->producers);
    free(problem->observers);
    memset(problem, 0, sizeof(*problem));
}
