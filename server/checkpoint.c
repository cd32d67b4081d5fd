/* The checkpoint thread and how work passes to it and back. */
#include "server/checkpoint.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/log.h"

enum {
    PAGE_BYTES = 4096,
    SWEEP_LIMIT_LEAST = 64,
    GROUP_BYTES = 12 << 20, /* a large commit holds the log's syncs up, which go to the same disk */
    INSTALL_WAITING_LIMIT = 8 << 20, /* bytes of rows that wait for one job */
};

enum state { IDLE, WRITING, DONE, DISCARDING };

enum work { WORK_NONE, WORK_CHECKPOINT, WORK_DISCARD, WORK_INSTALL };

struct checkpointer {
    struct checkpointer_options options;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    /* Under the mutex. */
    enum state state;
    bool stop;
    struct frozen *frozen; /* the loop thread's when IDLE or DONE, else the checkpoint thread's */
    uint64_t number;       /* of the checkpoint under way, or the last one */
    TAILQ_HEAD(, install_job) jobs; /* those queued; the one that waited longest is first */
    /* The checkpoint thread's. */
    size_t written;     /* partitions of the checkpoint under way */
    bool install_comes; /* it is an install's turn */
    struct checkpoint_pace pace;
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
    if (limit > GROUP_BYTES)
        limit = GROUP_BYTES;
    while (first + count < frozen->count &&
           bytes + frozen->partitions[first + count].estimate_bytes <= limit) {
        bytes += frozen->partitions[first + count].estimate_bytes;
        count++;
    }
    return count;
}

static uint64_t sweep_limit(const struct checkpointer *checkpointer)
{
    uint64_t limit = checkpointer->options.transaction_bytes / 4 / (2 * PAGE_BYTES);
    return limit < SWEEP_LIMIT_LEAST ? SWEEP_LIMIT_LEAST : limit;
}

static void lock(struct checkpointer *checkpointer)
{
    CHECK(pthread_mutex_lock(&checkpointer->mutex) == 0);
}

static void unlock(struct checkpointer *checkpointer)
{
    CHECK(pthread_mutex_unlock(&checkpointer->mutex) == 0);
}

static void set_state(struct checkpointer *checkpointer, enum state state)
{
    lock(checkpointer);
    checkpointer->state = state;
    if (state == IDLE)
        checkpointer->frozen = NULL;
    CHECK(pthread_cond_broadcast(&checkpointer->changed) == 0);
    unlock(checkpointer);
}

static void report(struct checkpointer *checkpointer)
{
    if (checkpointer->options.done != NULL)
        checkpointer->options.done(checkpointer->options.context);
}

/* One transaction of the checkpoint under way. */
static void write_some(struct checkpointer *checkpointer)
{
    struct frozen *frozen = checkpointer->frozen;
    struct error error = {0};
    size_t count = group_size(checkpointer, frozen, checkpointer->written);
    checkpoint_pace_resume(&checkpointer->pace);
    if (checkpoint_write(checkpointer->options.lmdb, frozen, checkpointer->written, count,
                         sweep_limit(checkpointer), &checkpointer->pace, &error) != CAIRN_OK)
        fail(checkpointer, &error);
    atomic_fetch_add(&checkpointer->commits, 1);
    checkpointer->written += count;
    if (checkpointer->written < frozen->count) {
        checkpoint_pace_rest(&checkpointer->pace);
        return;
    }
    checkpointer->written = 0;
    set_state(checkpointer, DONE);
    report(checkpointer);
}

/* --- installs: the thread's side ---------------------------------------------------------------
 */

/* Takes the rows that wait; under the mutex. */
static void job_take(struct install_job *job)
{
    if (job->step != INSTALL_ROWS)
        return;
    STAILQ_CONCAT(&job->taken, &job->waiting);
    job->waiting_bytes = 0;
    job->end_taken = job->ending;
}

static bool job_has_work(const struct install_job *job)
{
    return job->step != INSTALL_ROWS || job->ending || !STAILQ_EMPTY(&job->waiting) ||
           !STAILQ_EMPTY(&job->taken);
}

/* The first job that may go on, taken off the queue; under the mutex. */
static struct install_job *job_next(struct checkpointer *checkpointer)
{
    struct install_job *job;
    TAILQ_FOREACH(job, &checkpointer->jobs, link)
    {
        if (checkpointer->state != WRITING || job->after_checkpoint != checkpointer->number) {
            TAILQ_REMOVE(&checkpointer->jobs, job, link);
            job->queued = false;
            job->working = true;
            job_take(job);
            return job;
        }
    }
    return NULL;
}

/* Queues a job that has work, unless it is queued or worked on; under the mutex. */
static void job_queue(struct checkpointer *checkpointer, struct install_job *job)
{
    if (job->queued || job->working || !job_has_work(job))
        return;
    job->queued = true;
    TAILQ_INSERT_TAIL(&checkpointer->jobs, job, link);
    CHECK(pthread_cond_broadcast(&checkpointer->changed) == 0);
}

/* One transaction of a job, which goes behind the others then. */
static void install_some(struct checkpointer *checkpointer, struct install_job *job)
{
    struct error error = {0};
    enum install_step next;
    if (install_write(checkpointer->options.lmdb, job, &next, &error) != CAIRN_OK)
        fail(checkpointer, &error);
    atomic_fetch_add(&checkpointer->commits, 1);
    lock(checkpointer);
    job->step = next;
    job->working = false;
    bool dropped = job->dropped;
    if (!dropped && next != INSTALL_ENDED)
        job_queue(checkpointer, job);
    unlock(checkpointer);
    if (dropped)
        install_job_free(job);
    report(checkpointer);
}

/* --- the thread ---------------------------------------------------------------------------------
 */

/* What is to be done now; under the mutex. A stop finishes the checkpoint, not the installs. */
static enum work choose(struct checkpointer *checkpointer, struct install_job **job)
{
    bool checkpoint = checkpointer->state == WRITING;
    *job = NULL;
    if (checkpointer->state == DISCARDING)
        return WORK_DISCARD;
    if (!checkpointer->stop && (checkpointer->install_comes || !checkpoint))
        *job = job_next(checkpointer);
    checkpointer->install_comes = *job == NULL;
    if (*job != NULL)
        return WORK_INSTALL;
    return checkpoint ? WORK_CHECKPOINT : WORK_NONE;
}

/* WORK_NONE: the thread is to end. */
static enum work next_work(struct checkpointer *checkpointer, struct install_job **job)
{
    lock(checkpointer);
    enum work work = choose(checkpointer, job);
    while (work == WORK_NONE && !checkpointer->stop) {
        CHECK(pthread_cond_wait(&checkpointer->changed, &checkpointer->mutex) == 0);
        work = choose(checkpointer, job);
    }
    unlock(checkpointer);
    return work;
}

/* The frozen memtables go a partition at a time, with pauses: so many items at once would hold up
 * the loop thread, which allocates meanwhile. */
static void discard(struct checkpointer *checkpointer)
{
    struct frozen *frozen = checkpointer->frozen;
    for (size_t i = 0; i < frozen->count; i++) {
        checkpoint_pace_resume(&checkpointer->pace);
        memtable_free(&frozen->partitions[i].items);
        checkpoint_pace_rest(&checkpointer->pace);
    }
    frozen_free(frozen);
    set_state(checkpointer, IDLE);
}

static void *thread_main(void *argument)
{
    struct checkpointer *checkpointer = argument;
    for (;;) {
        struct install_job *job;
        switch (next_work(checkpointer, &job)) {
        case WORK_CHECKPOINT:
            write_some(checkpointer);
            break;
        case WORK_DISCARD:
            discard(checkpointer);
            break;
        case WORK_INSTALL:
            install_some(checkpointer, job);
            break;
        case WORK_NONE:
            return NULL;
        }
    }
}

/* --- the loop thread's side ---------------------------------------------------------------------
 */

/* Work that waits for the checkpoint to come on. */
static bool waited_for(void *context)
{
    struct checkpointer *checkpointer = context;
    lock(checkpointer);
    bool waits = checkpointer->stop || !TAILQ_EMPTY(&checkpointer->jobs);
    unlock(checkpointer);
    return waits;
}

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
    checkpointer->pace.waited_for = waited_for;
    checkpointer->pace.context = checkpointer;
    TAILQ_INIT(&checkpointer->jobs);
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
    lock(checkpointer);
    checkpointer->stop = true;
    CHECK(pthread_cond_broadcast(&checkpointer->changed) == 0);
    unlock(checkpointer);
    CHECK(pthread_join(checkpointer->thread, NULL) == 0);
    pthread_cond_destroy(&checkpointer->changed);
    pthread_mutex_destroy(&checkpointer->mutex);
    free(checkpointer);
}

static enum state get_state(struct checkpointer *checkpointer)
{
    lock(checkpointer);
    enum state state = checkpointer->state;
    unlock(checkpointer);
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
    uint64_t rows = 0, bytes = 0;
    for (size_t i = 0; i < frozen->count; i++) {
        rows += frozen->partitions[i].items.count;
        bytes += frozen->partitions[i].items.bytes;
    }
    checkpoint_pace_begin(&checkpointer->pace, rows, bytes);
    checkpointer->frozen = frozen;
    checkpointer->number++;
    set_state(checkpointer, WRITING);
}

void checkpointer_discard(struct checkpointer *checkpointer)
{
    CHECK(get_state(checkpointer) == DONE);
    set_state(checkpointer, DISCARDING);
}

void checkpointer_live_bytes(struct checkpointer *checkpointer, uint64_t bytes)
{
    atomic_store(&checkpointer->pace.live_bytes, bytes);
}

void checkpointer_hurry(struct checkpointer *checkpointer)
{
    atomic_store(&checkpointer->pace.hurry, true);
}

bool checkpointer_wait(struct checkpointer *checkpointer)
{
    checkpointer_hurry(checkpointer);
    lock(checkpointer);
    while (checkpointer->state == WRITING || checkpointer->state == DISCARDING)
        CHECK(pthread_cond_wait(&checkpointer->changed, &checkpointer->mutex) == 0);
    bool done = checkpointer->state == DONE;
    unlock(checkpointer);
    return done;
}

/* --- installs: the loop thread's side -----------------------------------------------------------
 */

void checkpointer_install(struct checkpointer *checkpointer, struct install_job *job)
{
    lock(checkpointer);
    job->after_checkpoint = checkpointer->number;
    job_queue(checkpointer, job);
    unlock(checkpointer);
}

bool checkpointer_install_room(struct checkpointer *checkpointer, const struct install_job *job,
                               size_t length)
{
    lock(checkpointer);
    size_t waiting = job->waiting_bytes;
    unlock(checkpointer);
    return waiting == 0 || waiting + length <= (size_t)INSTALL_WAITING_LIMIT;
}

void checkpointer_install_rows(struct checkpointer *checkpointer, struct install_job *job,
                               struct install_chunk *chunk)
{
    lock(checkpointer);
    CHECK(!job->ending);
    STAILQ_INSERT_TAIL(&job->waiting, chunk, next);
    job->waiting_bytes += chunk->length;
    job_queue(checkpointer, job);
    unlock(checkpointer);
}

void checkpointer_install_end(struct checkpointer *checkpointer, struct install_job *job,
                              const struct store_position *position)
{
    lock(checkpointer);
    CHECK(!job->ending);
    job->end = *position;
    job->ending = true;
    job_queue(checkpointer, job);
    unlock(checkpointer);
}

enum install_step checkpointer_install_step(struct checkpointer *checkpointer,
                                            struct install_job *job)
{
    lock(checkpointer);
    enum install_step step = job->step;
    unlock(checkpointer);
    return step;
}

void checkpointer_install_drop(struct checkpointer *checkpointer, struct install_job *job)
{
    if (job == NULL)
        return;
    lock(checkpointer);
    job->dropped = true;
    bool mine = !job->working;
    if (mine && job->queued)
        TAILQ_REMOVE(&checkpointer->jobs, job, link);
    unlock(checkpointer);
    if (mine)
        install_job_free(job);
}

uint64_t checkpointer_commits(const struct checkpointer *checkpointer)
{
    return atomic_load(&checkpointer->commits);
}
