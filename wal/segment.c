/* Turns files into segments and back into spares, so that a name never stands for half a file (W4).
 *
 * Making:   new-*.tmp preallocated with zeros (or a spare) -> header with a new id -> sync ->
 *           rename to wal-*.seg -> sync of the directory.
 * Retiring: wal-*.seg -> rename to spare-*.seg -> sync of the directory. Only then may its header
 *           be overwritten: before, a crash could leave a log without one of its segments. */
#include "wal/segment.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "wal/format.h"

enum { PATH_BYTES = WAL_DIRECTORY_MAX + 1 + WAL_NAME_BYTES, PATHS = 3 };

static const struct {
    const char *prefix, *suffix;
} names[] = {
    [SEGMENT_FILE_LIVE] = {"wal-", ".seg"},
    [SEGMENT_FILE_SPARE] = {"spare-", ".seg"},
    [SEGMENT_FILE_NEW] = {"new-", ".tmp"},
};

const char *segment_path(const struct segment_store *store, enum segment_file_kind kind,
                         uint64_t number)
{
    static _Thread_local char paths[PATHS][PATH_BYTES];
    static _Thread_local unsigned turn;
    char *path = paths[turn++ % PATHS];
    snprintf(path, PATH_BYTES, "%s/%s%016" PRIx64 "%s", store->directory, names[kind].prefix,
             number, names[kind].suffix);
    return path;
}

enum segment_file_kind segment_file_parse(const char *name, uint64_t *number)
{
    enum { DIGITS = 16 };
    for (int kind = SEGMENT_FILE_LIVE; kind <= SEGMENT_FILE_NEW; kind++) {
        size_t prefix = strlen(names[kind].prefix);
        if (strncmp(name, names[kind].prefix, prefix) != 0 ||
            strspn(name + prefix, "0123456789abcdef") != DIGITS ||
            strcmp(name + prefix + DIGITS, names[kind].suffix) != 0)
            continue;
        *number = strtoull(name + prefix, NULL, 16);
        return (enum segment_file_kind)kind;
    }
    *number = 0;
    return SEGMENT_FILE_OTHER;
}

bool segment_error_passes(int result)
{
    return result == -ENOSPC || result == -EDQUOT || result == -ENOMEM || result == -EMFILE ||
           result == -ENFILE;
}

int segment_error_code(int result)
{
    if (result == -ENOSPC || result == -EDQUOT)
        return CAIRN_ENOSPC;
    return result == -ENOMEM ? CAIRN_ENOMEM : CAIRN_EIO;
}

int segment_error(struct error *error, const char *path, const char *verb, int result)
{
    return error_set(error, segment_error_code(result), "%s: cannot %s: %s", path, verb,
                     strerror(-result));
}

/* Notes which step failed; hands the result on. */
static int step(struct error *error, const char *path, const char *verb, int result)
{
    if (result != 0)
        segment_error(error, path, verb, result);
    return result;
}

/* After a failed directory sync nobody knows which names are durable: never a failure that passes.
 */
static int sync_directory(const struct segment_store *store, struct error *error)
{
    int rc = step(error, store->directory, "sync",
                  store->io->sync_directory(store->io->context, store->directory));
    return rc == 0 ? 0 : -EIO;
}

static int open_file(const struct segment_store *store, const struct segment_spec *spec,
                     const char *path, struct io_file **file, struct error *error)
{
    const struct io *io = store->io;
    int rc = step(error, path, "open", io->open(io->context, path, spec->spare == 0, file));
    if (rc == 0 && spec->spare == 0)
        rc = step(error, path, "preallocate", io->preallocate(io->context, *file, spec->size));
    return rc;
}

static int write_content(const struct segment_store *store, const struct segment_spec *spec,
                         const char *path, struct segment *segment, struct error *error)
{
    const struct io *io = store->io;
    uint8_t block[WAL_BLOCK_BYTES];
    struct segment_header header = {
        .sequence = spec->sequence,
        .id = segment->id,
        .size = spec->size,
        .first_lsn = spec->first_lsn,
        .born_lsn = spec->born_lsn,
    };
    segment_header_encode(&header, block);
    int rc =
        step(error, path, "write", io->write(io->context, segment->file, 0, block, sizeof block));
    if (rc == 0 && spec->length > 0)
        rc = step(
            error, path, "write",
            io->write(io->context, segment->file, WAL_BLOCK_BYTES, spec->records, spec->length));
    if (rc == 0)
        rc = step(error, path, "sync", io->sync(io->context, segment->file));
    return rc;
}

static int publish(const struct segment_store *store, const char *from, uint64_t sequence,
                   struct error *error)
{
    const struct io *io = store->io;
    const char *path = segment_path(store, SEGMENT_FILE_LIVE, sequence);
    int rc = step(error, from, "rename", io->rename(io->context, from, path));
    if (rc == 0)
        rc = sync_directory(store, error);
    return rc;
}

int segment_make(const struct segment_store *store, const struct segment_spec *spec,
                 struct segment **made, struct error *error)
{
    const struct io *io = store->io;
    const char *path = spec->spare ? segment_path(store, SEGMENT_FILE_SPARE, spec->spare)
                                   : segment_path(store, SEGMENT_FILE_NEW, spec->fresh);
    *made = NULL;
    struct segment *segment = calloc(1, sizeof *segment);
    if (!segment)
        return step(error, path, "open", -ENOMEM);
    segment->sequence = spec->sequence;
    segment->size = spec->size;
    segment->first_lsn = spec->first_lsn;
    segment->born = spec->first_lsn != 0;
    segment->id = spec->id ? spec->id : random_id();
    segment->descriptor = -1;
    int rc = open_file(store, spec, path, &segment->file, error);
    if (rc == 0)
        rc = write_content(store, spec, path, segment, error);
    if (rc == 0)
        rc = publish(store, path, spec->sequence, error);
    if (rc == 0) {
        *made = segment;
        return 0;
    }
    segment_free(store, segment);
    if (spec->spare == 0)
        (void)io->remove(io->context, path); /* else recovery removes it */
    return rc;
}

int segment_retire(const struct segment_store *store, uint64_t sequence, uint64_t spare,
                   struct error *error)
{
    const struct io *io = store->io;
    const char *path = segment_path(store, SEGMENT_FILE_LIVE, sequence);
    int rc;
    if (spare)
        rc = step(error, path, "rename",
                  io->rename(io->context, path, segment_path(store, SEGMENT_FILE_SPARE, spare)));
    else
        rc = step(error, path, "remove", io->remove(io->context, path));
    if (rc == 0)
        rc = sync_directory(store, error);
    return rc;
}

void segment_close(const struct segment_store *store, struct segment *segment)
{
    if (segment->file)
        store->io->close(store->io->context, segment->file);
    segment->file = NULL;
    segment->descriptor = -1;
}

void segment_free(const struct segment_store *store, struct segment *segment)
{
    segment_close(store, segment);
    free(segment);
}
