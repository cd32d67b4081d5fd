/* Writes and syncs on one thread: one wake-up there and one back for each batch. Where the kernel
 * refuses io_uring. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "wal/backend.h"

enum state { IDLE, STARTED, FINISHED };

struct backend_thread {
    struct backend backend;
    int event;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    /* Under the mutex. */
    enum state state;
    bool stop;
    struct backend_request request;
    int result;
};

static void *thread_main(void *argument)
{
    struct backend_thread *self = argument;
    pthread_mutex_lock(&self->mutex);
    while (!self->stop) {
        if (self->state != STARTED) {
            pthread_cond_wait(&self->changed, &self->mutex);
            continue;
        }
        struct backend_request request = self->request;
        const struct io *io = request.io;
        pthread_mutex_unlock(&self->mutex);
        int rc = io->write(io->context, request.file, request.offset, request.data, request.length);
        if (rc == 0)
            rc = io->sync(io->context, request.file);
        pthread_mutex_lock(&self->mutex);
        self->result = rc;
        self->state = FINISHED;
        pthread_cond_broadcast(&self->changed);
        uint64_t one = 1;
        if (write(self->event, &one, sizeof one) != (ssize_t)sizeof one)
            CHECK(errno == EAGAIN); /* the counter is full: readable anyway */
    }
    pthread_mutex_unlock(&self->mutex);
    return NULL;
}

static int thread_start(struct backend *backend, const struct backend_request *request)
{
    struct backend_thread *self = (struct backend_thread *)backend;
    pthread_mutex_lock(&self->mutex);
    CHECK(self->state == IDLE);
    self->request = *request;
    self->state = STARTED;
    pthread_cond_broadcast(&self->changed);
    pthread_mutex_unlock(&self->mutex);
    return 0;
}

static int thread_poll(struct backend *backend, bool wait)
{
    struct backend_thread *self = (struct backend_thread *)backend;
    int result = BACKEND_UNDER_WAY;
    pthread_mutex_lock(&self->mutex);
    CHECK(self->state != IDLE || !wait);
    while (wait && self->state == STARTED)
        pthread_cond_wait(&self->changed, &self->mutex);
    if (self->state == FINISHED) {
        result = self->result == 0 ? BACKEND_DONE : self->result;
        self->state = IDLE;
    }
    pthread_mutex_unlock(&self->mutex);
    return result;
}

static void thread_close(struct backend *backend)
{
    struct backend_thread *self = (struct backend_thread *)backend;
    pthread_mutex_lock(&self->mutex);
    self->stop = true;
    pthread_cond_broadcast(&self->changed);
    pthread_mutex_unlock(&self->mutex);
    pthread_join(self->thread, NULL);
    pthread_cond_destroy(&self->changed);
    pthread_mutex_destroy(&self->mutex);
    free(self);
}

int backend_thread_create(int event, struct backend **backend)
{
    static const struct backend_operations operations = {
        .name = "thread",
        .start = thread_start,
        .poll = thread_poll,
        .close = thread_close,
    };
    *backend = NULL;
    struct backend_thread *self = calloc(1, sizeof *self);
    if (!self)
        return -ENOMEM;
    self->backend.operations = &operations;
    self->event = event;
    CHECK(pthread_mutex_init(&self->mutex, NULL) == 0);
    CHECK(pthread_cond_init(&self->changed, NULL) == 0);
    int rc = pthread_create(&self->thread, NULL, thread_main, self);
    if (rc != 0) {
        free(self);
        return -rc;
    }
    *backend = &self->backend;
    return 0;
}
