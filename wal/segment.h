/* Segment files: their names, and how a file becomes a segment and a spare again (W4).
 * Private to wal/. */
#ifndef CAIRN_WAL_SEGMENT_H
#define CAIRN_WAL_SEGMENT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "base/error.h"
#include "wal/io.h"

enum {
    WAL_NAME_BYTES = 32,     /* of any of our file names, with its NUL */
    WAL_DIRECTORY_MAX = 3072 /* bytes of a directory's path */
};

/* Where a log's files are. */
struct segment_store {
    const struct io *io;
    char *directory;
};

struct segment {
    TAILQ_ENTRY(segment) link;
    uint64_t sequence;
    uint64_t id;
    uint64_t size;
    uint64_t first_lsn;   /* of its first needed record; 0: has none yet */
    bool born;            /* in recovery: its header tells the first LSN, also without records */
    struct io_file *file; /* NULL: closed */
    int descriptor;       /* for io_uring; -1: none */
};
TAILQ_HEAD(segment_list, segment);

enum segment_file_kind {
    SEGMENT_FILE_OTHER,
    SEGMENT_FILE_LIVE,
    SEGMENT_FILE_SPARE,
    SEGMENT_FILE_NEW
};

/* The file's path, in a static buffer of the calling thread that the next two calls leave alone. */
const char *segment_path(const struct segment_store *store, enum segment_file_kind kind,
                         uint64_t number);
/* What a name in the directory stands for, and its number. */
enum segment_file_kind segment_file_parse(const char *name, uint64_t *number);

/* CAIRN_ENOSPC, CAIRN_ENOMEM or CAIRN_EIO for a negative errno. */
int segment_error_code(int result);
/* Sets `error` for a call on a file that failed with a negative errno; returns its code. */
int segment_error(struct error *error, const char *path, const char *verb, int result);
/* True if the failure may pass by itself: no space, memory or descriptors. */
bool segment_error_passes(int result);

struct segment_spec {
    uint64_t sequence;
    uint64_t size;
    uint64_t spare; /* number of the spare file to use; 0: make a new file */
    uint64_t fresh; /* number for the new file's temporary name */
    /* Of a segment born in recovery with `length` bytes of records; else 0 and NULL. */
    uint64_t first_lsn, born_lsn, id;
    const uint8_t *records;
    uint64_t length;
};

/* Makes a file a segment: when it returns 0 the segment is durable under its name (replacing what
 * had the name) and open. On failure a negative errno; the spare is still a spare. */
int segment_make(const struct segment_store *store, const struct segment_spec *spec,
                 struct segment **segment, struct error *error);
/* Renames the segment's file to a spare's name, or removes it if `spare` is 0; durable on return.
 */
int segment_retire(const struct segment_store *store, uint64_t sequence, uint64_t spare,
                   struct error *error);
void segment_close(const struct segment_store *store, struct segment *segment);
void segment_free(const struct segment_store *store, struct segment *segment);

#endif
