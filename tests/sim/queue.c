/* The event queue: a binary heap by time, then by the order of scheduling. */
#include <stdlib.h>

#include "base/check.h"
#include "tests/sim/sim.h"

static bool is_before(const struct event *left, const struct event *right)
{
    if (left->at_us != right->at_us)
        return left->at_us < right->at_us;
    return left->sequence < right->sequence;
}

void queue_push(struct queue *queue, const struct event *event)
{
    size_t at = queue->count++;

    if (at == queue->capacity) {
        queue->capacity = queue->capacity == 0 ? 1024 : 2 * queue->capacity;
        queue->heap = realloc(queue->heap, queue->capacity * sizeof *queue->heap);
        CHECK(queue->heap != NULL);
    }
    queue->heap[at] = *event;
    queue->heap[at].sequence = ++queue->sequence;
    while (at > 0 && is_before(&queue->heap[at], &queue->heap[(at - 1) / 2])) {
        struct event swapped = queue->heap[at];

        queue->heap[at] = queue->heap[(at - 1) / 2];
        queue->heap[(at - 1) / 2] = swapped;
        at = (at - 1) / 2;
    }
}

bool queue_pop(struct queue *queue, struct event *event)
{
    size_t at = 0;
    struct event last;

    if (queue->count == 0)
        return false;
    *event = queue->heap[0];
    last = queue->heap[--queue->count];
    for (;;) {
        size_t child = 2 * at + 1;

        if (child >= queue->count)
            break;
        if (child + 1 < queue->count && is_before(&queue->heap[child + 1], &queue->heap[child]))
            child++;
        if (is_before(&last, &queue->heap[child]))
            break;
        queue->heap[at] = queue->heap[child];
        at = child;
    }
    if (queue->count > 0)
        queue->heap[at] = last;
    return true;
}

void queue_free(struct queue *queue)
{
    free(queue->heap);
    *queue = (struct queue){0};
}
