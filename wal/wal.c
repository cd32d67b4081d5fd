/* The log as its owner sees it: opening, closing, cutting, and what it has to tell about itself. */
#include "wal/wal.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/check.h"
#include "base/file.h"
#include "base/log.h"
#include "wal/internal.h"
#include "wal/recover.h"

void wal_fail(struct wal *wal, const char *format, ...)
{
    char message[ERROR_MESSAGE_MAX];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    if (wal->options.fatal)
        wal->options.fatal(wal->options.fatal_context, message);
    log_error("wal", "%s", message);
    abort(); /* W2: after a failed sync nobody knows what is on the disk */
}

void wal_check_keeper(struct wal *wal)
{
    struct error error;
    if (!keeper_healthy(wal->keeper, &error))
        wal_fail(wal, "%s", error.message);
}

static int check_options(struct wal_options *options, struct error *error)
{
    if (!options->directory || strlen(options->directory) > WAL_DIRECTORY_MAX)
        return error_set(error, CAIRN_EINVAL, "the log's directory is missing or too long");
    if (!options->io)
        options->io = io_posix();
    if (options->segment_bytes == 0)
        options->segment_bytes = WAL_SEGMENT_BYTES_DEFAULT;
    if (options->batch_bytes == 0)
        options->batch_bytes = WAL_BATCH_BYTES_DEFAULT;
    if (options->spare_segments == 0)
        options->spare_segments = 1;
    options->segment_bytes = block_ceiling(options->segment_bytes);
    if (options->segment_bytes < WAL_SEGMENT_BYTES_MINIMUM)
        return error_set(error, CAIRN_EINVAL, "%s: segments of at least %d bytes are needed",
                         options->directory, WAL_SEGMENT_BYTES_MINIMUM);
    if (options->batch_bytes < WAL_BLOCK_BYTES || options->batch_bytes > WAL_BATCH_BYTES_LIMIT)
        return error_set(error, CAIRN_EINVAL, "%s: batches of %d to %d bytes are needed",
                         options->directory, WAL_BLOCK_BYTES, WAL_BATCH_BYTES_LIMIT);
    if (options->spare_segments > KEEPER_READY_MAX)
        return error_set(error, CAIRN_EINVAL, "%s: at most %d spare segments are allowed",
                         options->directory, KEEPER_READY_MAX);
    return 0;
}

/* The directory and its name in the one above are durable on return. */
static int create_directory(const char *path, struct error *error)
{
    char parent[WAL_DIRECTORY_MAX + 1];
    int rc = directory_create(path, error);
    if (rc != 0)
        return rc;
    size_t length = strlen(path);
    while (length > 1 && path[length - 1] == '/')
        length--;
    while (length > 0 && path[length - 1] != '/')
        length--;
    while (length > 1 && path[length - 1] == '/')
        length--;
    memcpy(parent, path, length);
    parent[length] = 0;
    return directory_sync(length > 0 ? parent : ".", error);
}

static int allocate_batches(struct wal *wal)
{
    /* Gaps: up to a block before each part, another within it before its first record. */
    wal->memory_bytes = (size_t)block_ceiling(wal->options.batch_bytes) +
                        (size_t)2 * WAL_BLOCK_BYTES * (BATCH_PARTS_MAX + 1);
    for (int i = 0; i < 2; i++) {
        wal->batches[i].memory = aligned_alloc(WAL_BLOCK_BYTES, wal->memory_bytes);
        if (!wal->batches[i].memory)
            return CAIRN_ENOMEM;
    }
    wal->gathering = &wal->batches[0];
    wal->in_flight = &wal->batches[1];
    return 0;
}

static struct wal *allocate(const struct wal_options *options)
{
    struct wal *wal = calloc(1, sizeof *wal);
    if (!wal)
        return NULL;
    wal->options = *options;
    wal->options.directory = NULL; /* the caller's; ours is in the store */
    wal->event = -1;
    TAILQ_INIT(&wal->segments);
    LIST_INIT(&wal->cursors);
    wal->store.io = options->io;
    wal->store.directory = strdup(options->directory);
    if (!wal->store.directory || allocate_batches(wal) != 0) {
        wal_abandon(wal);
        return NULL;
    }
    return wal;
}

/* Takes over what recovery found and made. */
static void adopt(struct wal *wal, struct recovered *recovered)
{
    CHECK(recovered->tail.length < WAL_BLOCK_BYTES);
    TAILQ_CONCAT(&wal->segments, &recovered->segments, link);
    const struct segment *segment;
    TAILQ_FOREACH(segment, &wal->segments, link)
    wal->live_bytes += segment->size;
    wal->active = wal->writing = recovered->active;
    wal->append_offset = recovered->append_offset;
    if (recovered->tail.length > 0)
        memcpy(wal->edge, recovered->tail.data, recovered->tail.length);
    wal->last_lsn = wal->durable_lsn = wal->stated_lsn = wal->marked_lsn = recovered->last_lsn;
    buffer_free(&recovered->tail);
}

/* io_uring if it is asked for, the file has a descriptor and the kernel allows it. */
static int open_uring(struct wal *wal)
{
    const struct io *io = wal->store.io;
    wal->active->descriptor = io->descriptor(io->context, wal->active->file);
    if (wal->active->descriptor < 0)
        return -EOPNOTSUPP;
    return backend_uring_create(wal->event, &wal->backend);
}

static int open_backend(struct wal *wal, struct error *error)
{
    enum wal_backend wanted = wal->options.backend;
    int rc = 0;
    if (wanted == WAL_BACKEND_INLINE) {
        rc = backend_inline_create(&wal->backend);
    } else {
        wal->event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
        rc = wal->event < 0 ? -errno : 0;
        if (rc == 0 && wanted != WAL_BACKEND_THREAD)
            rc = open_uring(wal);
        if (rc != 0 && wal->event >= 0 && wanted == WAL_BACKEND_AUTO)
            log_info("wal", "io_uring is not available, using a thread reason=\"%s\"",
                     strerror(-rc));
        if (wal->event >= 0 && !wal->backend && wanted != WAL_BACKEND_URING)
            rc = backend_thread_create(wal->event, &wal->backend);
    }
    if (rc != 0)
        return error_set(error, CAIRN_EUNAVAILABLE, "%s: cannot start the log's writer: %s",
                         wal->store.directory, strerror(-rc));
    return 0;
}

static int open_keeper(struct wal *wal, const struct recovered *recovered, struct error *error)
{
    const struct keeper_options options = {
        .store = &wal->store,
        .segment_bytes = wal->options.segment_bytes,
        .ready_target = wal->options.spare_segments,
        .threaded = wal->options.backend != WAL_BACKEND_INLINE,
        .wants_descriptor = wal->backend->operations->wants_descriptor,
        .event = wal->event,
        .next_sequence = recovered->next_sequence,
        .next_file = recovered->next_file,
        .spares = recovered->spares,
        .spare_count = recovered->spare_count,
    };
    return keeper_create(&options, &wal->keeper, error);
}

int wal_open(const struct wal_options *given, struct wal **opened, struct wal_recovery *recovery,
             struct error *error)
{
    struct wal_options options = *given;
    struct recovered recovered;
    *opened = NULL;
    if (recovery)
        *recovery = (struct wal_recovery){0};
    int rc = check_options(&options, error);
    if (rc == 0 && options.io == io_posix())
        rc = create_directory(options.directory, error);
    if (rc != 0)
        return rc;
    struct wal *wal = allocate(&options);
    if (!wal)
        return error_set(error, CAIRN_ENOMEM, "%s: out of memory", options.directory);
    rc = wal_recover(&wal->store, &options, &recovered, error);
    if (rc == 0) {
        adopt(wal, &recovered);
        rc = open_backend(wal, error);
    }
    if (rc == 0)
        rc = open_keeper(wal, &recovered, error);
    if (rc != 0) {
        wal_abandon(wal);
        return rc;
    }
    if (recovery)
        *recovery = recovered.report;
    *opened = wal;
    return 0;
}

static void wal_free(struct wal *wal, bool orderly)
{
    keeper_free(wal->keeper, orderly);
    if (wal->backend)
        wal->backend->operations->close(wal->backend);
    if (wal->event >= 0)
        close(wal->event);
    struct segment *segment;
    while ((segment = TAILQ_FIRST(&wal->segments))) {
        TAILQ_REMOVE(&wal->segments, segment, link);
        segment_free(&wal->store, segment);
    }
    for (int i = 0; i < 2; i++)
        free(wal->batches[i].memory);
    free(wal->store.directory);
    free(wal);
}

void wal_abandon(struct wal *wal)
{
    if (wal->busy)
        (void)wal->backend->operations->poll(wal->backend, wal->event >= 0);
    wal_free(wal, false);
}

void wal_close(struct wal *wal)
{
    if (!wal)
        return;
    CHECK(LIST_EMPTY(&wal->cursors));
    wal_flush(wal);
    wal_mark(wal);
    wal_flush(wal);
    wal_free(wal, true);
}

void wal_cut(struct wal *wal, uint64_t lsn)
{
    struct segment *segment;
    uint64_t pinned = wal_pinned_lsn(wal);
    if (lsn > pinned)
        lsn = pinned;
    while ((segment = TAILQ_FIRST(&wal->segments)) != wal->active) {
        const struct segment *next = TAILQ_NEXT(segment, link);
        /* The next segment must tell where the LSNs stand, which an empty log could not. */
        if (next->first_lsn > lsn || (!next->born && next->first_lsn > wal->durable_lsn))
            return;
        TAILQ_REMOVE(&wal->segments, segment, link);
        wal->live_bytes -= segment->size;
        keeper_recycle(wal->keeper, segment);
    }
}

uint64_t wal_room(struct wal *wal)
{
    wal_check_keeper(wal);
    keeper_poke(wal->keeper);
    uint64_t room = wal->active->size - wal->append_offset;
    room += keeper_available(wal->keeper) * (wal->options.segment_bytes - WAL_BLOCK_BYTES);
    return room > WAL_RECORD_HEADER_BYTES ? room - WAL_RECORD_HEADER_BYTES : 0;
}

int wal_descriptor(const struct wal *wal)
{
    return wal->event;
}

uint64_t wal_durable_lsn(const struct wal *wal)
{
    return wal->durable_lsn;
}

uint64_t wal_last_lsn(const struct wal *wal)
{
    return wal->last_lsn;
}

uint64_t wal_bytes(const struct wal *wal)
{
    return wal->live_bytes;
}

uint64_t wal_syncs(const struct wal *wal)
{
    return wal->syncs;
}

const char *wal_backend_name(const struct wal *wal)
{
    return wal->backend->operations->name;
}
