/* Writes and syncs in the caller; for tests and tools. */
#include <errno.h>
#include <stdlib.h>

#include "base/check.h"
#include "wal/backend.h"

struct backend_inline {
    struct backend backend;
    bool done;
};

static int inline_start(struct backend *backend, const struct backend_request *request)
{
    struct backend_inline *self = (struct backend_inline *)backend;
    const struct io *io = request->io;
    int rc = io->write(io->context, request->file, request->offset, request->data, request->length);
    if (rc == 0)
        rc = io->sync(io->context, request->file);
    self->done = rc == 0;
    return rc;
}

static int inline_poll(struct backend *backend, bool wait)
{
    struct backend_inline *self = (struct backend_inline *)backend;
    CHECK(self->done || !wait);
    int result = self->done ? BACKEND_DONE : BACKEND_UNDER_WAY;
    self->done = false;
    return result;
}

static void inline_close(struct backend *backend)
{
    free(backend);
}

int backend_inline_create(struct backend **backend)
{
    static const struct backend_operations operations = {
        .name = "inline",
        .start = inline_start,
        .poll = inline_poll,
        .close = inline_close,
    };
    struct backend_inline *self = calloc(1, sizeof *self);
    *backend = self ? &self->backend : NULL;
    if (!self)
        return -ENOMEM;
    self->backend.operations = &operations;
    return 0;
}
