/* The log's supply of prepared segments: one worker that makes segments out of spare or new files
 * and spares out of segments that were cut off.
 *
 * The worker does one step at a time, recycling before preparing, holding the mutex only between
 * I/O calls. Sequence numbers are given and taken in order, each step durable before the next
 * (invariant 2 in format.c). A step that fails for want of space is tried again after a second or
 * when a segment was recycled; any other failure ends the process, at the owner's next call. */
#include "wal/keeper.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"

enum { RETRY_MS = 1000 };

struct keeper {
    struct keeper_options options;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t work;
    /* All below under the mutex. */
    struct segment_list ready;   /* prepared, in order of sequence */
    struct segment_list retired; /* to be recycled, oldest first */
    uint32_t ready_count;
    uint64_t spares[KEEPER_SPARES_MAX];
    uint32_t spare_count;
    uint64_t next_sequence, next_file;
    bool stop;
    bool starved; /* keeper_take found nothing; the owner wants the event */
    bool blocked; /* the last preparation found no space */
    uint64_t retry_at_ms;
    struct error failure;
    /* Set with `blocked` or a failure; spares the owner the mutex in the usual case. */
    atomic_bool troubled;
};

static void signal_owner(const struct keeper *keeper)
{
    uint64_t one = 1;
    if (keeper->options.event >= 0 &&
        write(keeper->options.event, &one, sizeof one) != (ssize_t)sizeof one)
        CHECK(errno == EAGAIN); /* the counter is full: readable anyway */
}

/* Takes note of a failed step; under the mutex. */
static void note_failure(struct keeper *keeper, int rc, const struct error *error)
{
    atomic_store(&keeper->troubled, true);
    if (segment_error_passes(rc)) {
        if (!keeper->blocked)
            log_warn("wal", "%s", error->message);
        keeper->blocked = true;
        keeper->retry_at_ms = clock_now_ms() + RETRY_MS;
    } else {
        keeper->failure = *error;
    }
    signal_owner(keeper);
}

static void recycle_one(struct keeper *keeper)
{
    struct segment *segment = TAILQ_FIRST(&keeper->retired);
    bool keep =
        segment->size == keeper->options.segment_bytes && keeper->spare_count < KEEPER_SPARES_MAX;
    uint64_t spare = keep ? keeper->next_file++ : 0;
    struct error error = {0};
    pthread_mutex_unlock(&keeper->mutex);
    int rc = segment_retire(keeper->options.store, segment->sequence, spare, &error);
    pthread_mutex_lock(&keeper->mutex);
    if (rc != 0) {
        note_failure(keeper, rc, &error);
        return;
    }
    TAILQ_REMOVE(&keeper->retired, segment, link);
    segment_free(keeper->options.store, segment);
    if (keep)
        keeper->spares[keeper->spare_count++] = spare;
    keeper->blocked = false; /* there is room again */
}

static void prepare_one(struct keeper *keeper)
{
    struct segment_spec spec = {
        .sequence = keeper->next_sequence,
        .size = keeper->options.segment_bytes,
        .fresh = keeper->next_file++,
    };
    if (keeper->spare_count > 0)
        spec.spare = keeper->spares[keeper->spare_count - 1];
    const struct segment_store *store = keeper->options.store;
    struct segment *segment;
    struct error error = {0};
    pthread_mutex_unlock(&keeper->mutex);
    int rc = segment_make(store, &spec, &segment, &error);
    if (rc == 0 && keeper->options.wants_descriptor)
        segment->descriptor = store->io->descriptor(store->io->context, segment->file);
    pthread_mutex_lock(&keeper->mutex);
    if (rc != 0) {
        note_failure(keeper, rc, &error);
        return;
    }
    TAILQ_INSERT_TAIL(&keeper->ready, segment, link);
    keeper->ready_count++;
    keeper->next_sequence++;
    if (spec.spare)
        keeper->spare_count--;
    atomic_store(&keeper->troubled, false);
    if (keeper->starved)
        signal_owner(keeper);
    keeper->starved = false;
}

/* Does one step; false if there is nothing to do. Under the mutex, which it lets go meanwhile. */
static bool keeper_step(struct keeper *keeper)
{
    if (keeper->failure.code != 0 || keeper->blocked)
        return false;
    if (!TAILQ_EMPTY(&keeper->retired))
        recycle_one(keeper);
    else if (keeper->ready_count < keeper->options.ready_target)
        prepare_one(keeper);
    else
        return false;
    return true;
}

static void *keeper_main(void *argument)
{
    struct keeper *keeper = argument;
    pthread_mutex_lock(&keeper->mutex);
    while (!keeper->stop)
        if (!keeper_step(keeper))
            pthread_cond_wait(&keeper->work, &keeper->mutex);
    pthread_mutex_unlock(&keeper->mutex);
    return NULL;
}

/* Under the mutex: has the waiting steps done, by the thread or here. */
static void keeper_work(struct keeper *keeper)
{
    if (keeper->options.threaded)
        pthread_cond_signal(&keeper->work);
    else
        while (keeper_step(keeper))
            ;
}

int keeper_create(const struct keeper_options *options, struct keeper **created,
                  struct error *error)
{
    CHECK(options->ready_target >= 1 && options->ready_target <= KEEPER_READY_MAX);
    CHECK(options->spare_count <= KEEPER_SPARES_MAX);
    *created = NULL;
    struct keeper *keeper = calloc(1, sizeof *keeper);
    if (!keeper)
        return error_set(error, CAIRN_ENOMEM, "%s: out of memory", options->store->directory);
    keeper->options = *options;
    keeper->options.spares = NULL;
    keeper->next_sequence = options->next_sequence;
    keeper->next_file = options->next_file;
    keeper->spare_count = options->spare_count;
    for (uint32_t i = 0; i < options->spare_count; i++)
        keeper->spares[i] = options->spares[i];
    TAILQ_INIT(&keeper->ready);
    TAILQ_INIT(&keeper->retired);
    CHECK(pthread_mutex_init(&keeper->mutex, NULL) == 0);
    CHECK(pthread_cond_init(&keeper->work, NULL) == 0);
    int rc = options->threaded ? pthread_create(&keeper->thread, NULL, keeper_main, keeper) : 0;
    if (rc != 0) {
        free(keeper);
        return error_set(error, CAIRN_ENOMEM, "%s: cannot start a thread: %s",
                         options->store->directory, strerror(rc));
    }
    *created = keeper;
    pthread_mutex_lock(&keeper->mutex);
    keeper_work(keeper);
    pthread_mutex_unlock(&keeper->mutex);
    return 0;
}

static void free_list(const struct segment_store *store, struct segment_list *list)
{
    struct segment *segment;
    while ((segment = TAILQ_FIRST(list))) {
        TAILQ_REMOVE(list, segment, link);
        segment_free(store, segment);
    }
}

void keeper_free(struct keeper *keeper, bool orderly)
{
    if (!keeper)
        return;
    pthread_mutex_lock(&keeper->mutex);
    keeper->stop = true;
    pthread_cond_signal(&keeper->work);
    pthread_mutex_unlock(&keeper->mutex);
    if (keeper->options.threaded)
        pthread_join(keeper->thread, NULL);
    const struct segment_store *store = keeper->options.store;
    /* Newest first, so that no gap arises; a failure is harmless: recovery does it then. */
    struct segment *segment;
    while (orderly && keeper->failure.code == 0 &&
           (segment = TAILQ_LAST(&keeper->ready, segment_list))) {
        if (segment_retire(store, segment->sequence, keeper->next_file++, NULL) != 0)
            break;
        TAILQ_REMOVE(&keeper->ready, segment, link);
        segment_free(store, segment);
    }
    free_list(store, &keeper->ready);
    free_list(store, &keeper->retired);
    pthread_cond_destroy(&keeper->work);
    pthread_mutex_destroy(&keeper->mutex);
    free(keeper);
}

struct segment *keeper_take(struct keeper *keeper)
{
    pthread_mutex_lock(&keeper->mutex);
    if (!keeper->options.threaded)
        keeper_work(keeper);
    struct segment *segment = TAILQ_FIRST(&keeper->ready);
    if (segment) {
        TAILQ_REMOVE(&keeper->ready, segment, link);
        keeper->ready_count--;
    } else {
        keeper->starved = true;
    }
    keeper_work(keeper);
    pthread_mutex_unlock(&keeper->mutex);
    return segment;
}

void keeper_recycle(struct keeper *keeper, struct segment *segment)
{
    CHECK(segment->file == NULL);
    pthread_mutex_lock(&keeper->mutex);
    TAILQ_INSERT_TAIL(&keeper->retired, segment, link);
    keeper->blocked = false;
    keeper_work(keeper);
    pthread_mutex_unlock(&keeper->mutex);
}

void keeper_poke(struct keeper *keeper)
{
    if (!atomic_load_explicit(&keeper->troubled, memory_order_relaxed))
        return;
    pthread_mutex_lock(&keeper->mutex);
    if (keeper->blocked && clock_now_ms() >= keeper->retry_at_ms) {
        keeper->blocked = false;
        atomic_store(&keeper->troubled, keeper->failure.code != 0);
        keeper_work(keeper);
    }
    pthread_mutex_unlock(&keeper->mutex);
}

uint32_t keeper_available(struct keeper *keeper)
{
    pthread_mutex_lock(&keeper->mutex);
    uint32_t count = keeper->ready_count;
    if (!keeper->blocked && keeper->failure.code == 0 && count < keeper->options.ready_target)
        count = keeper->options.ready_target;
    pthread_mutex_unlock(&keeper->mutex);
    return count;
}

bool keeper_healthy(struct keeper *keeper, struct error *error)
{
    if (!atomic_load_explicit(&keeper->troubled, memory_order_relaxed))
        return true;
    pthread_mutex_lock(&keeper->mutex);
    bool healthy = keeper->failure.code == 0;
    *error = keeper->failure;
    pthread_mutex_unlock(&keeper->mutex);
    return healthy;
}
