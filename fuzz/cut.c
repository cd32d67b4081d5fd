/* Finds quiet points of a key's history at which an answer tells the key's state. */
#include "fuzz/cut.h"

#include <stdlib.h>

static int compare_operations(const void *left, const void *right)
{
    const struct operation *a = left, *b = right;
    if (a->start_ns != b->start_ns)
        return a->start_ns < b->start_ns ? -1 : 1;
    return (a->end_ns > b->end_ns) - (a->end_ns < b->end_ns);
}

void cut_sort(struct operation *operations, size_t count)
{
    qsort(operations, count, sizeof(*operations), compare_operations);
}

static bool is_open(const struct operation *operation)
{
    return operation->end_ns == OPERATION_OPEN;
}

static bool shows_value(const struct operation *operation)
{
    return !is_open(operation) && operation->result != OPERATION_NO_RESULT &&
           (operation->kind == OPERATION_GET || operation->kind == OPERATION_SWAP);
}

bool operation_mutates(const struct operation *operation)
{
    switch (operation->kind) {
    case OPERATION_GET:
        return false;
    case OPERATION_PUT_IF:
        return is_open(operation) || operation->result != RESULT_MISMATCH;
    case OPERATION_DELETE: /* of what is absent changes nothing */
        return is_open(operation) || operation->result != RESULT_NOT_FOUND;
    case OPERATION_PUT:
    case OPERATION_SWAP:
        break;
    }
    return true;
}

/* What the key holds right after the operation, if that shows. */
static bool reveals(const struct operation *operation, bool versions, struct key_state *state)
{
    if (is_open(operation))
        return false;
    uint64_t version = versions ? operation->version : 0;
    switch (operation->kind) {
    case OPERATION_GET:
        *state = (struct key_state){operation->result, operation->result == 0 ? 0 : version};
        return operation->result != OPERATION_NO_RESULT && state->version != OPERATION_NO_VERSION;
    case OPERATION_PUT_IF:
        if (operation->result == RESULT_MISMATCH)
            return false;
        break;
    case OPERATION_DELETE:
        *state = (struct key_state){0, 0};
        return true;
    case OPERATION_PUT:
    case OPERATION_SWAP:
        break;
    }
    *state = (struct key_state){operation->value, version};
    return version != OPERATION_NO_VERSION;
}

struct seen {
    uint64_t value;
    uint64_t *seen_ns;
};

static int compare_seen(const void *left, const void *right)
{
    const struct seen *a = left, *b = right;
    return (a->value > b->value) - (a->value < b->value);
}

void cut_seen(const struct operation *operations, size_t count, uint64_t limit_ns,
              uint64_t *seen_ns)
{
    size_t open = 0;
    for (size_t i = 0; i < count; i++) {
        seen_ns[i] = OPERATION_OPEN;
        open += is_open(&operations[i]) && operations[i].value != 0;
    }
    struct seen *list = open == 0 ? NULL : calloc(open, sizeof(*list));
    if (list == NULL)
        return; /* without memory none counts as seen, and no cut is made that needs it */
    size_t filled = 0;
    for (size_t i = 0; i < count; i++)
        if (is_open(&operations[i]) && operations[i].value != 0)
            list[filled++] = (struct seen){operations[i].value, &seen_ns[i]};
    qsort(list, filled, sizeof(*list), compare_seen);
    for (size_t i = 0; i < count; i++) {
        if (!shows_value(&operations[i]) || operations[i].result == 0 ||
            operations[i].end_ns >= limit_ns)
            continue;
        struct seen wanted = {.value = operations[i].result};
        struct seen *found = bsearch(&wanted, list, filled, sizeof(*list), compare_seen);
        if (found != NULL && operations[i].end_ns < *found->seen_ns)
            *found->seen_ns = operations[i].end_ns;
    }
    free(list);
}

/* What is known while a walk through the history has come to some operation. */
struct walk {
    uint64_t ended_ns;   /* all that ended before did so by then */
    uint64_t mutated_ns; /* likewise, of what may change the key */
    bool known;
    struct key_state state;
};

/* `seen_ns` of an open operation: it took effect by then. */
static void walk_over(struct walk *walk, const struct operation *operation, uint64_t seen_ns,
                      bool versions)
{
    bool last = operation->start_ns > walk->mutated_ns;
    if (is_open(operation)) {
        if (seen_ns == OPERATION_OPEN)
            return; /* goes on beyond any cut */
        walk->known = false;
        if (seen_ns > walk->mutated_ns)
            walk->mutated_ns = seen_ns;
        return;
    }
    if (operation->end_ns > walk->ended_ns)
        walk->ended_ns = operation->end_ns;
    if (operation_mutates(operation)) {
        walk->known = last && reveals(operation, versions, &walk->state);
        if (operation->end_ns > walk->mutated_ns)
            walk->mutated_ns = operation->end_ns;
    } else if (last) {
        struct key_state state;
        if (reveals(operation, versions, &state)) {
            walk->known = true;
            walk->state = state;
        }
    }
}

bool cut_find(const struct operation *operations, const uint64_t *seen_ns, size_t count,
              uint64_t limit_ns, bool versions, bool first, struct cut *cut)
{
    struct walk walk = {0};
    bool found = false;
    for (size_t i = 0; i < count; i++) {
        walk_over(&walk, &operations[i], seen_ns[i], versions);
        uint64_t next_ns = i + 1 < count ? operations[i + 1].start_ns : OPERATION_OPEN;
        uint64_t settled_ns = walk.mutated_ns > walk.ended_ns ? walk.mutated_ns : walk.ended_ns;
        if (!walk.known || settled_ns >= next_ns || settled_ns >= limit_ns)
            continue;
        *cut = (struct cut){i + 1, walk.state};
        found = true;
        if (first)
            break;
    }
    return found;
}
