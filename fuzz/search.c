/* Depth-first search of a linearization: Wing and Gong's algorithm with Lowe's memoization.
 *
 * A configuration is the set of steps that took effect and the key's state. A step may be next if
 * no other unplaced step ended before it began, so the candidates are the unplaced steps whose
 * start is not past the earliest unplaced deadline. Configurations that were left without success
 * are never entered again.
 *
 * Three observations keep the search narrow; none excludes an order that would have succeeded:
 * - A step that fits and changes nothing can always be placed at once: whatever order succeeds
 *   later also succeeds with this step moved here. A write that nobody saw, onto a state that
 *   nobody will see, is such a step.
 * - A value may be overwritten only after all who must see it did, unless it can come again.
 * - A value that nobody is left to see is as good as any other such value.
 *
 * A configuration's set is kept as the first unplaced step plus the bits from there to the last
 * placed one, so its size follows the concurrency of the history, not its length. */
#include "fuzz/search.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "fuzz/visited.h"

struct state {
    uint32_t value;
    uint64_t version;
};

/* The unplaced steps in some order, doubly linked; index step_count is the head. */
struct list {
    uint32_t *next, *previous;
};

/* Where a frame's walk through its candidates stands: the most urgent step, then all by start,
 * then the optional classes. */
enum phase { PHASE_URGENT, PHASE_BY_START, PHASE_OPTIONAL, PHASE_DONE };

struct frame {
    struct state state;
    uint32_t trail_length; /* to undo to before the next candidate is tried */
    uint32_t position;
    enum phase phase;
};

/* A placed step, or class `step` if optional. */
struct placed {
    uint32_t step;
    uint32_t end_before; /* search.end before it was placed */
    bool optional;
};

struct candidate {
    const struct step *step;
    uint32_t index; /* of the step or of its class */
    bool optional;
};

struct search {
    const struct problem *problem;
    struct list by_start, by_deadline;
    uint64_t *bits; /* placed steps */
    uint32_t end;   /* one past the last placed step */
    uint32_t *used; /* per class */
    uint32_t *observers_left, *producers_left;
    struct placed *trail;
    uint32_t trail_length;
    struct frame *frames;
    uint32_t depth;
    struct visited visited;
    uint8_t *encoded; /* room for one configuration */
};

static int list_init(struct list *list, uint32_t count, const uint32_t *order)
{
    list->next = calloc((size_t)count + 1, sizeof(uint32_t));
    list->previous = calloc((size_t)count + 1, sizeof(uint32_t));
    if (list->next == NULL || list->previous == NULL)
        return CAIRN_ENOMEM;
    uint32_t last = count;
    for (uint32_t i = 0; i <= count; i++) {
        uint32_t step = i == count ? count : (order != NULL ? order[i] : i);
        list->next[last] = step;
        list->previous[step] = last;
        last = step;
    }
    return 0;
}

static void list_remove(struct list *list, uint32_t step)
{
    list->next[list->previous[step]] = list->next[step];
    list->previous[list->next[step]] = list->previous[step];
}

/* Undoes the last list_remove that was not undone. */
static void list_restore(struct list *list, uint32_t step)
{
    list->next[list->previous[step]] = step;
    list->previous[list->next[step]] = step;
}

static uint64_t earliest_deadline(const struct search *search)
{
    uint32_t count = search->problem->step_count;
    uint32_t first = search->by_deadline.next[count];
    return first == count ? OPERATION_OPEN : search->problem->steps[first].deadline_ns;
}

/* What a step of this effect brings about; VALUE_ANY if nothing. */
static uint32_t produced_value(const struct step *step)
{
    if (step->effect == EFFECT_WRITE)
        return step->writes;
    return step->effect == EFFECT_REMOVE ? (uint32_t)VALUE_ABSENT : VALUE_ANY;
}

static void place_step(struct search *search, uint32_t index)
{
    const struct step *step = &search->problem->steps[index];
    search->trail[search->trail_length++] = (struct placed){index, search->end, false};
    list_remove(&search->by_start, index);
    list_remove(&search->by_deadline, index);
    search->bits[index / 64] |= UINT64_C(1) << (index % 64);
    if (index >= search->end)
        search->end = index + 1;
    if (step->observes != VALUE_ANY)
        search->observers_left[step->observes]--;
    if (produced_value(step) != VALUE_ANY)
        search->producers_left[produced_value(step)]--;
}

static void place_optional(struct search *search, uint32_t class)
{
    const struct step *step = &search->problem->optional[search->problem->class_begin[class]];
    search->trail[search->trail_length++] = (struct placed){class, search->end, true};
    search->used[class]++;
    search->producers_left[produced_value(step)]--;
}

static void undo_step(struct search *search, uint32_t index)
{
    const struct step *step = &search->problem->steps[index];
    list_restore(&search->by_deadline, index);
    list_restore(&search->by_start, index);
    search->bits[index / 64] &= ~(UINT64_C(1) << (index % 64));
    if (step->observes != VALUE_ANY)
        search->observers_left[step->observes]++;
    if (produced_value(step) != VALUE_ANY)
        search->producers_left[produced_value(step)]++;
}

static void undo_to(struct search *search, uint32_t trail_length)
{
    while (search->trail_length > trail_length) {
        struct placed placed = search->trail[--search->trail_length];
        search->end = placed.end_before;
        if (!placed.optional) {
            undo_step(search, placed.step);
            continue;
        }
        const struct problem *problem = search->problem;
        search->used[placed.step]--;
        search->producers_left[produced_value(
            &problem->optional[problem->class_begin[placed.step]])]++;
    }
}

/* Whether the state answers the step as it was answered, up to versions after it. */
static bool expectations_hold(const struct step *step, const struct state *state)
{
    if (step->observes != VALUE_ANY && step->observes != state->value)
        return false;
    if (step->needs_present && state->value == VALUE_ABSENT)
        return false;
    switch (step->rule) {
    case VERSION_EQUALS:
        return state->version == step->if_version;
    case VERSION_DIFFERS:
        return state->version != step->if_version;
    case VERSION_FREE:
        break;
    }
    return true;
}

/* A value that cannot come again must have been seen by all who are to see it. */
static bool may_leave(const struct search *search, const struct step *step,
                      const struct state *state)
{
    uint32_t waiting = search->observers_left[state->value];
    if (step->observes == state->value)
        waiting--;
    return waiting == 0 || search->producers_left[state->value] > 0;
}

/* The state after the step, or false if the step cannot come here. */
static bool apply(const struct search *search, const struct step *step, const struct state *state,
                  struct state *next)
{
    if (!expectations_hold(step, state))
        return false;
    *next = *state;
    if (step->effect != EFFECT_NONE && !may_leave(search, step, state))
        return false;
    if (step->effect == EFFECT_WRITE) {
        next->value = step->writes;
        next->version = search->problem->versioned ? state->version + 1 : 0;
    } else if (step->effect == EFFECT_REMOVE) {
        *next = (struct state){VALUE_ABSENT, 0};
    }
    return step->version_after == OPERATION_NO_VERSION || step->version_after == next->version;
}

static bool changes_nothing(const struct state *before, const struct state *after)
{
    return before->value == after->value && before->version == after->version;
}

static void forget_unseen(const struct search *search, struct state *state)
{
    if (state->value >= VALUE_FIRST && search->observers_left[state->value] == 0)
        state->value = VALUE_DEAD;
}

/* Whether an order that succeeds with this step later also does with it here, where it changes
 * nothing. Not so for writing again a value that others wait to see, nor for a write that does not
 * tell what it found: later it may bring about what was absent. */
static bool may_move_here(const struct step *step)
{
    bool told = step->needs_present || step->observes != VALUE_ANY;
    return step->effect == EFFECT_NONE ||
           (step->effect == EFFECT_WRITE && told &&
            (step->writes == VALUE_DEAD || step->writes == step->observes));
}

/* Places every candidate that fits and changes nothing, until there is none. */
static void place_harmless(struct search *search, struct state *state)
{
    uint32_t count = search->problem->step_count;
    bool again = true;
    while (again) {
        again = false;
        forget_unseen(search, state);
        uint64_t deadline = earliest_deadline(search);
        uint32_t index = search->by_start.next[count];
        while (index != count && search->problem->steps[index].start_ns <= deadline) {
            struct state next;
            uint32_t following = search->by_start.next[index];
            const struct step *step = &search->problem->steps[index];
            if (may_move_here(step) && apply(search, step, state, &next) &&
                changes_nothing(state, &next)) {
                place_step(search, index);
                again = true;
            }
            index = following;
        }
    }
}

/* The configuration as bytes; equal configurations give equal bytes. */
static uint32_t encode(const struct search *search, const struct state *state)
{
    const struct problem *problem = search->problem;
    uint32_t first = search->by_start.next[problem->step_count];
    uint32_t words = search->end > first ? (search->end - 1) / 64 - first / 64 + 1 : 0;
    uint32_t head[4] = {first, words, state->value, 0};
    uint8_t *out = search->encoded;
    memcpy(out, head, sizeof(head));
    out += sizeof(head);
    memcpy(out, &state->version, sizeof(state->version));
    out += sizeof(state->version);
    memcpy(out, search->bits + first / 64, words * sizeof(uint64_t));
    out += words * sizeof(uint64_t);
    memcpy(out, search->used, problem->class_count * sizeof(uint32_t));
    out += problem->class_count * sizeof(uint32_t);
    return (uint32_t)(out - search->encoded);
}

static bool next_optional(struct search *search, struct frame *frame, struct candidate *candidate)
{
    const struct problem *problem = search->problem;
    uint64_t deadline = earliest_deadline(search);
    while (frame->position < problem->class_count) {
        uint32_t class = frame->position++;
        uint32_t index = problem->class_begin[class] + search->used[class];
        if (index < problem->class_begin[class + 1] &&
            problem->optional[index].start_ns <= deadline) {
            *candidate = (struct candidate){&problem->optional[index], class, true};
            return true;
        }
    }
    return false;
}

/* The frame's next candidate, which may or may not fit its state. */
static bool next_candidate(struct search *search, struct frame *frame, struct candidate *candidate)
{
    const struct problem *problem = search->problem;
    uint32_t count = problem->step_count, urgent = search->by_deadline.next[count];
    if (frame->phase == PHASE_URGENT) {
        frame->phase = PHASE_BY_START;
        frame->position = search->by_start.next[count];
        *candidate = (struct candidate){&problem->steps[urgent], urgent, false};
        return true;
    }
    if (frame->phase == PHASE_BY_START) {
        if (frame->position == urgent)
            frame->position = search->by_start.next[urgent];
        uint32_t index = frame->position;
        if (index != count && problem->steps[index].start_ns <= earliest_deadline(search)) {
            frame->position = search->by_start.next[index];
            *candidate = (struct candidate){&problem->steps[index], index, false};
            return true;
        }
        frame->phase = PHASE_OPTIONAL;
        frame->position = 0;
    }
    return next_optional(search, frame, candidate);
}

static bool is_complete(const struct search *search)
{
    return search->by_start.next[search->problem->step_count] == search->problem->step_count;
}

/* Enters the configuration reached, unless it is known. 0 or CAIRN_ENOMEM. */
static int enter(struct search *search, struct state state)
{
    bool is_new;
    place_harmless(search, &state);
    if (is_complete(search))
        return 0;
    int status = visited_add(&search->visited, search->encoded, encode(search, &state), &is_new);
    if (status == 0 && is_new)
        search->frames[search->depth++] =
            (struct frame){state, search->trail_length, 0, PHASE_URGENT};
    return status;
}

static int search_loop(struct search *search, uint64_t limit, enum verdict *verdict)
{
    *verdict = VERDICT_UNKNOWN;
    const struct problem *problem = search->problem;
    int status = enter(search, (struct state){problem->initial, problem->initial_version});
    while (status == 0 && !is_complete(search) && search->depth > 0) {
        struct frame *frame = &search->frames[search->depth - 1];
        struct candidate candidate;
        struct state next;
        undo_to(search, frame->trail_length);
        if (!next_candidate(search, frame, &candidate)) {
            search->depth--;
            continue;
        }
        if (!apply(search, candidate.step, &frame->state, &next) ||
            (candidate.optional && changes_nothing(&frame->state, &next)))
            continue;
        if (search->visited.count >= limit)
            return 0;
        if (candidate.optional)
            place_optional(search, candidate.index);
        else
            place_step(search, candidate.index);
        status = enter(search, next);
    }
    if (status == 0)
        *verdict = is_complete(search) ? VERDICT_LINEARIZABLE : VERDICT_VIOLATION;
    return 0; /* a full table of configurations is a budget that ran out */
}

static uint32_t *copy_numbers(const uint32_t *numbers, uint32_t count)
{
    uint32_t *copy = calloc((size_t)count + 1, sizeof(uint32_t));
    if (copy != NULL)
        memcpy(copy, numbers, count * sizeof(uint32_t));
    return copy;
}

static int search_init(struct search *search, const struct problem *problem, size_t memory_bytes)
{
    size_t most = (size_t)problem->step_count + problem->optional_count;
    size_t words = problem->step_count / 64 + 2;
    memset(search, 0, sizeof(*search));
    search->problem = problem;
    visited_init(&search->visited, memory_bytes);
    int status = list_init(&search->by_start, problem->step_count, NULL);
    if (status == 0)
        status = list_init(&search->by_deadline, problem->step_count, problem->by_deadline);
    search->bits = calloc(words, sizeof(uint64_t));
    search->used = calloc((size_t)problem->class_count + 1, sizeof(uint32_t));
    search->observers_left = copy_numbers(problem->observers, problem->value_count);
    search->producers_left = copy_numbers(problem->producers, problem->value_count);
    search->trail = calloc(most + 1, sizeof(struct placed));
    search->frames = calloc(most + 2, sizeof(struct frame));
    search->encoded = malloc(32 + words * sizeof(uint64_t) +
                             ((size_t)problem->class_count + 1) * sizeof(uint32_t));
    if (search->bits == NULL || search->used == NULL || search->observers_left == NULL ||
        search->producers_left == NULL || search->trail == NULL || search->frames == NULL ||
        search->encoded == NULL)
        return CAIRN_ENOMEM;
    return status;
}

static void search_free(struct search *search)
{
    free(search->by_start.next);
    free(search->by_start.previous);
    free(search->by_deadline.next);
    free(search->by_deadline.previous);
    free(search->bits);
    free(search->used);
    free(search->observers_left);
    free(search->producers_left);
    free(search->trail);
    free(search->frames);
    free(search->encoded);
    visited_free(&search->visited);
}

int search_run(const struct problem *problem, const struct check_limits *limits,
               enum verdict *verdict, uint64_t *configurations)
{
    struct search search;
    *verdict = VERDICT_UNKNOWN;
    int status = search_init(&search, problem, limits->memory_bytes);
    if (status == 0)
        status = search_loop(&search, limits->configurations, verdict);
    *configurations += search.visited.count;
    search_free(&search);
    return status;
}
