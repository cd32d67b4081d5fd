/* What a handle holds, and how an operation waits: for the library's own files only.
 *
 * The interface is synchronous, the machinery below is not: a handle owns a loop, starts calls on
 * it and runs it until what it waits for has happened. Everything that arrives meanwhile (pages of
 * an open cursor, a fresher map) is taken in passing. */
#ifndef CAIRN_CLIENT_HANDLE_H
#define CAIRN_CLIENT_HANDLE_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <uv.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/random.h"
#include "client/cairn.h"
#include "client/handle_cache.h"
#include "client/managers.h"
#include "client/route.h"
#include "client/session.h"

struct cairn {
    uv_loop_t loop;
    uv_timer_t timer; /* ends waits; runs only while one does */
    uv_timer_t watch; /* looks after an unanswered call; runs only while there is one */
    uv_async_t wake;  /* client_interrupt */
    bool timer_fired;
    bool turning;       /* the loop is being run by client_turn or client_run */
    uint64_t turned_ms; /* when it last was */
    volatile sig_atomic_t interrupted;
    bool usable;      /* false after a failed open: only errmsg and close */
    pid_t pid;        /* of the process that opened it */
    unsigned closing; /* connections that are being closed */
    uint64_t timeout_ms;
    struct random random;
    struct managers managers;
    struct route route;
    struct session session;
    struct handle_cache cache;
    struct buffer value; /* the last operation's value */
    char *status;        /* the last cairn_status, from malloc */
    struct error error;
};

/* When an operation that begins now must end, in clock_now_ms; UINT64_MAX: never. */
uint64_t client_deadline(const cairn_t *db);
/* Milliseconds left, 0 when it is over; UINT64_MAX if it never ends. */
uint64_t client_left_ms(uint64_t deadline_ms);

/* Runs the loop once: blocks until something happens. False when the handle was interrupted. */
bool client_turn(cairn_t *db);
/* Runs the loop until a callback calls uv_stop, as that of an operation does when its answer comes.
 * False when the handle was interrupted. This is the hot path: with UV_RUN_ONCE libuv would poll
 * once without blocking, to no avail, because bytes to be sent keep its idle phase busy. */
bool client_run(cairn_t *db);
/* Whether an operation may wait on its connection alone, without the loop: nobody else needs it at
 * the moment, and it had its turn not long ago. */
bool client_may_skip_loop(const cairn_t *db);
/* Runs the loop until `*flag` is true, `delay_ms` has passed (which is no failure), or the handle
 * was interrupted: only then false. `flag` may be NULL. */
bool client_wait(cairn_t *db, const bool *flag, uint64_t delay_ms);

/* Makes the waiting operation, or else the next one, end with CAIRN_ECANCELED or CAIRN_EUNKNOWN.
 * Async-signal-safe. Not part of the public interface: the CLI uses it. */
void client_interrupt(cairn_t *db);
/* Forgets an interrupt that came too late. */
void client_interrupt_clear(cairn_t *db);

#endif
