/* The end of a loop turn: everything queued on connections leaves with one send each. */
#include <stdlib.h>

#include "base/error.h"
#include "rpc/connection.h"
#include "rpc/connection_turn.h"

/* Calls `visit` once for each queued connection. It may end or queue any connection; what is queued
 * meanwhile may have to wait for the next walk. */
static void walk(struct turn *turn, void (*visit)(struct connection *connection))
{
    uint64_t round = ++turn->round;
    struct connection *first;
    while ((first = TAILQ_FIRST(&turn->queue)) != NULL && first->round != round) {
        first->round = round;
        TAILQ_REMOVE(&turn->queue, first, queue_entry);
        TAILQ_INSERT_TAIL(&turn->queue, first, queue_entry);
        visit(first);
    }
}

/* Runs before the prepare handles of the same iteration: what is queued by then leaves there. */
static void on_idle(uv_idle_t *idle)
{
    struct turn *turn = idle->data;
    walk(turn, connection_turn_begin);
    if (turn->hold) {
        turn->hold = false; /* still active when the loop asks how long it may block */
    } else {
        uv_idle_stop(idle);
    }
}

static void on_prepare(uv_prepare_t *prepare)
{
    struct turn *turn = prepare->data;
    if (TAILQ_EMPTY(&turn->queue)) {
        return;
    }
    walk(turn, connection_turn_end);
    if (!TAILQ_EMPTY(&turn->queue)) {
        turn_wake(turn); /* held input or a failure: next turn, at once */
    }
}

int turn_init(struct turn *turn, uv_loop_t *loop)
{
    TAILQ_INIT(&turn->queue);
    turn->closed = NULL;
    turn->round = 0;
    turn->hold = false;
    turn->input = malloc(CONNECTION_READ_SIZE);
    if (turn->input == NULL) {
        return CAIRN_ENOMEM;
    }
    uv_prepare_init(loop, &turn->prepare);
    uv_idle_init(loop, &turn->idle);
    turn->prepare.data = turn;
    turn->idle.data = turn;
    turn->open_handles = 2;
    uv_prepare_start(&turn->prepare, on_prepare);
    uv_unref((uv_handle_t *)&turn->prepare);
    return 0;
}

void turn_wake(struct turn *turn)
{
    if (!uv_is_active((uv_handle_t *)&turn->idle)) {
        uv_idle_start(&turn->idle, on_idle);
    }
}

void turn_hold(struct turn *turn)
{
    turn->hold = true;
    turn_wake(turn);
}

static void on_closed(uv_handle_t *handle)
{
    struct turn *turn = handle->data;
    if (--turn->open_handles == 0) {
        free(turn->input);
        turn->input = NULL;
        turn->closed(turn);
    }
}

void turn_close(struct turn *turn, void (*closed)(struct turn *turn))
{
    turn->closed = closed;
    uv_close((uv_handle_t *)&turn->prepare, on_closed);
    uv_close((uv_handle_t *)&turn->idle, on_closed);
}
