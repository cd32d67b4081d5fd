/* The checkpoint thread and how work passes to it and back. */
#include "server/checkpoint.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/log.h"

enum { PAGE_BYTES = 4096, SWEEP_LIMIT_LEAST = 64 };

enum state { IDLE, WRITING, DONE, DISCARDING };

struct checkpointer {
    struct checkpointer_options options;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    enum state state; /* under the mutex, as the next two */
    bool stop;
    struct frozen *frozen; /* the loop thread's when IDLE or DONE, else the checkpoint thread's */
    _Atomic uint64_t commits;
};

void frozen_free(struct frozen *frozen)
{
    if (frozen == NULL)
        return;
    for (size_t i = 0; i < frozen->count; i++) {
        memtable_free(&frozen->partitions[i].items);
        session_list_free(&frozen->partitions[i].removed);
    }
    free(frozen->partitions);
    free(frozen->sessions);
    free(frozen);
}

/* --- the thread ---------------------------------------------------------------------------------
 */

static _Noreturn void fail(struct checkpointer *checkpointer, const struct error *error)
{
    /* W5: after a failed commit nobody knows which pages the kernel still holds. */
    if (checkpointer->options.fatal != NULL)
        checkpointer->options.fatal(checkpointer->options.context, error->message);
    log_error("store", "checkpoint failed: %s", error->message);
    abort();
}

/* How many partitions from `first` on go into one transaction: as many as keep the pages that it
 * dirties below the limit, but at least one. A quarter is left to the sweep of expired keys. */
static size_t group_size(const struct checkpointer *checkpointer, const struct frozen *frozen,
                         size_t first)
{
    uint64_t limit = checkpointer->options.transaction_bytes / 4 * 3;
    uint64_t bytes = frozen->partitions[first].estimate_bytes;
    size_t count = 1;
    while (first + count < frozen->count &&
           bytes + frozen->partitions[first + count].estimate_bytes <= limit) {
        bytes += frozen->partitions[first + count].estimate_bytes;
        count++;
    }
    return count;
}

static void write_all(struct checkpointer *checkpointer)
{
    struct frozen *frozen = checkpointer->frozen;
    uint64_t sweep_limit = checkpointer->options.transaction_bytes / 4 / (2 * PAGE_BYTES);
    if (sweep_limit < SWEEP_LIMIT_LEAST)
        sweep_limit = SWEEP_LIMIT_LEAST;
    for (size_t first = 0; first < frozen->count;) {
        struct error error = {0};
        size_t count = group_size(checkpointer, frozen, first);
        if (checkpoint_write(checkpointer->options.lmdb, frozen, first, count, sweep_limit,
                             &error) != CAIRN_OK)
            fail(checkpointer, &error);
        atomic_fetch_add(&checkpointer->commits, 1);
        first += count;
    }
}

static void set_state(struct checkpointer *checkpointer, enum state state)
{
    CHECK(pthread_mutex_lock(&checkpointer->mutex) == 0);
    checkpointer->state = state;
    if (state == IDLE)
        checkpointer->frozen = NULL;
    CHECK(pthread_cond_broadcast(&checkpointer->changed) == 0);
    CHECK(pthread_mutex_unlock(&checkpointer->mutex) == 0);
}

/* The next thing to do, or IDLE when the thread is to end. */
static enum state next_work(struct checkpointer *checkpointer)
{
    CHECK(pthread_mutex_lock(&checkpointer->mutex) == 0);
    while (checkpointer->state != WRITING && checkpointer->state != DISCARDING &&
           !checkpointer->stop)
        CHECK(pthread_cond_wait(&checkpointer->changed, &checkpointer->mutex) == 0);
    enum state state = checkpointer->state;
    CHECK(pthread_mutex_unlock(&checkpointer->mutex) == 0);
    return state;
}

static void *thread_main(void *argument)
{
    struct checkpointer *checkpointer = argument;
    for (;;) {
        switch (next_work(checkpointer)) {
        case WRITING:
            write_all(checkpointer);
            set_state(checkpointer, DONE);
            if (checkpointer->options.done != NULL)
                checkpointer->options.done(checkpointer->options.context);
            break;
        case DISCARDING:
            frozen_free(checkpointer->frozen);
            set_state(checkpointer, IDLE);
            break;
        case IDLE:
        case DONE:
            return NULL;
        }
    }
}

/* --- the loop thread's side ---------------------------------------------------------------------
 */

static int thread_start(struct checkpointer *checkpointer)
{
    sigset_t all, before; /* signals are the loop's */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failure = pthread_create(&checkpointer->thread, NULL, thread_main, checkpointer);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return failure;
}

int checkpointer_create(const struct checkpointer_options *options, struct checkpointer **result,
                        struct error *error)
{
    *result = NULL;
    struct checkpointer *checkpointer = calloc(1, sizeof(*checkpointer));
    if (checkpointer == NULL)
        return error_set(error, CAIRN_ENOMEM, "checkpoint: out of memory");
    checkpointer->options = *options;
    CHECK(pthread_mutex_init(&checkpointer->mutex, NULL) == 0);
    CHECK(pthread_cond_init(&checkpointer->changed, NULL) == 0);
    int failure = thread_start(checkpointer);
    if (failure != 0) {
        pthread_cond_destroy(&checkpointer->changed);
        pthread_mutex_destroy(&checkpointer->mutex);
        free(checkpointer);
        return error_set(error, CAIRN_ENOMEM, "checkpoint: cannot start its thread: %s",
                         strerror(failure));
    }
    *result = checkpointer;
    return CAIRN_OK;
}

void checkpointer_free(struct checkpointer *checkpointer)
{
    if (checkpointer == NULL)
        return;
    CHECK(pthread_mutex_lock(&checkpointer->mutex) == 0);
    checkpointer->stop = true;
    CHECK(pthread_cond_broadcast(&checkpointer->changed) == 0);
    CHECK(pthread_mutex_unlock(&checkpointer->mutex) == 0);
    CHECK(pthread_join(checkpointer->thread, NULL) == 0);
    pthread_cond_destroy(&checkpointer->changed);
    pthread_mutex_destroy(&checkpointer->mutex);
    free(checkpointer);
}

static enum state get_state(struct checkpointer *checkpointer)
{
    CHECK(pthread_mutex_lock(&checkpointer->mutex) == 0);
    enum state state = checkpointer->state;
    CHECK(pthread_mutex_unlock(&checkpointer->mutex) == 0);
    return state;
}

bool checkpointer_idle(struct checkpointer *checkpointer)
{
    return get_state(checkpointer) == IDLE;
}

bool checkpointer_done(struct checkpointer *checkpointer)
{
    return get_state(checkpointer) == DONE;
}

void checkpointer_start(struct checkpointer *checkpointer, struct frozen *frozen)
{
    CHECK(get_state(checkpointer) == IDLE);
    checkpointer->frozen = frozen;
    set_state(checkpointer, WRITING);
}

void checkpointer_discard(struct checkpointer *checkpointer)
{
    CHECK(get_state(checkpointer) == DONE);
    set_state(checkpointer, DISCARDING);
}

bool checkpointer_wait(struct checkpointer *checkpointer)
{
    CHECK(pthread_mutex_lock(&checkpointer->mutex) == 0);
    while (checkpointer->state == WRITING || checkpointer->state == DISCARDING)
        CHECK(pthread_cond_wait(&checkpointer->changed, &checkpointer->mutex) == 0);
    bool done = checkpointer->state == DONE;
    CHECK(pthread_mutex_unlock(&checkpointer->mutex) == 0);
    return done;
}

uint64_t checkpointer_commits(const struct checkpointer *checkpointer)
{
    return atomic_load(&checkpointer->commits);
}
