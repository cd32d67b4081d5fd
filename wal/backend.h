/* Ways to write and sync one batch in the background. Private to wal/. */
#ifndef CAIRN_WAL_BACKEND_H
#define CAIRN_WAL_BACKEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wal/io.h"

/* One write with its sync. Offset, length and the data's address are multiples of a block; the
 * data stay as they are until it is done. */
struct backend_request {
    const struct io *io;
    struct io_file *file;
    int descriptor; /* for io_uring; -1: none */
    uint64_t offset;
    const uint8_t *data;
    size_t length;
};

struct backend;

enum { BACKEND_UNDER_WAY = 0, BACKEND_DONE = 1 };

struct backend_operations {
    const char *name;
    bool wants_descriptor;
    /* Begins a request; there is none under way. 0 or a negative errno. */
    int (*start)(struct backend *backend, const struct backend_request *request);
    /* BACKEND_DONE once, when the started request is durable; BACKEND_UNDER_WAY; or a negative
     * errno (W2). With `wait` it does not return BACKEND_UNDER_WAY. */
    int (*poll)(struct backend *backend, bool wait);
    void (*close)(struct backend *backend); /* nothing is under way */
};

struct backend {
    const struct backend_operations *operations; /* first member of every backend */
};

/* The eventfd `event` becomes readable when a request is done. Negative errno on failure. */
int backend_uring_create(int event, struct backend **backend);
int backend_thread_create(int event, struct backend **backend);
int backend_inline_create(struct backend **backend);

#endif
