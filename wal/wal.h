/* A segmented write-ahead log with group commit (ARCHITECTURE.md W1 to W4, W6, W9).
 *
 * One thread owns a log and makes all calls. Records are gathered in memory with wal_reserve and
 * wal_finish; wal_submit writes and syncs what has gathered, in the background, as one batch; while
 * it runs, the next batch gathers. The owner waits for wal_descriptor to become readable and calls
 * wal_complete, which tells up to which LSN the log is durable and starts the next batch if one
 * waits.
 *
 * Fatal errors: a write or sync of the log that fails ends the process (W2) through the options'
 * `fatal` function, which must not return. It is always called on the owner's thread, from within a
 * wal call.
 *
 * An LSN is the number of a record: 1, 2, 3, ... without gaps. */
#ifndef CAIRN_WAL_WAL_H
#define CAIRN_WAL_WAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "wal/io.h"

struct wal;

enum wal_backend {
    WAL_BACKEND_AUTO, /* io_uring where the kernel allows it, else a thread */
    WAL_BACKEND_URING,
    WAL_BACKEND_THREAD,
    WAL_BACKEND_INLINE, /* wal_submit writes and syncs before it returns; for tests and tools */
};

enum {
    WAL_SEGMENT_BYTES_DEFAULT = 64 << 20,
    WAL_SEGMENT_BYTES_MINIMUM = 64 << 10,
    WAL_BATCH_BYTES_DEFAULT = 8 << 20,
    WAL_KIND_USER = 1, /* kinds from here on are the owner's; 0 is the log's own */
};

struct wal_record {
    uint64_t lsn;
    uint16_t kind;
    uint32_t length;
    const uint8_t *payload; /* 8-byte aligned; valid during the visit only */
};

/* Called for each recovered record in LSN order. A non-zero return stops and fails wal_open. */
typedef int (*wal_visit)(void *context, const struct wal_record *record, struct error *error);

struct wal_options {
    const char *directory; /* created if missing; copied */
    const struct io *io;   /* NULL: io_posix() */
    enum wal_backend backend;
    uint64_t segment_bytes;  /* 0: the default; only new segments take it */
    uint64_t batch_bytes;    /* most that one batch gathers; 0: the default. A record must fit. */
    uint32_t spare_segments; /* prepared ahead of need; at least 1 */
    bool owner_submits;      /* wal_complete starts no batch: the owner decides when to submit */
    wal_visit visit;         /* may be NULL */
    void *visit_context;
    void (*fatal)(void *context, const char *message); /* never returns; NULL: log and abort */
    void *fatal_context;
};

struct wal_recovery {
    uint64_t records, bytes, segments;
    uint64_t first_lsn, last_lsn; /* 0 if there are none */
    uint64_t rewritten;           /* records above all synced marks, made durable again (W1) */
    uint64_t torn_bytes;          /* dropped behind the last good record (W3) */
};

/* Opens and recovers. When it returns 0, everything visited is durable (W1). CAIRN_ECORRUPT names
 * file and offset (W3), CAIRN_EVERSION a newer format (W9); then nothing on the disk was changed.
 * CAIRN_EINVAL, CAIRN_ENOMEM, CAIRN_EIO and CAIRN_ENOSPC are what they say; CAIRN_EUNAVAILABLE: the
 * wanted backend does not work here. `recovery` may be NULL. */
int wal_open(const struct wal_options *options, struct wal **wal, struct wal_recovery *recovery,
             struct error *error);
/* Waits for the batch under way, writes a last synced mark, frees all. The owner submits and
 * completes what it wants durable before. NULL is fine. */
void wal_close(struct wal *wal);

/* Room for a record of `length` payload bytes in the gathering batch, for the caller to fill before
 * wal_finish, or NULL if the batch is full (submit, complete one first), the next segment is still
 * being prepared, or there is no room on the disk (wal_room). After NULL try again when the
 * descriptor was readable. The record must fit a batch and a segment, their headers included. No
 * other wal call may come between. The bytes are 8-byte aligned and zeroed not. Once finished they
 * stay readable there, unchanged, until the next wal_submit or wal_flush (without owner_submits
 * also wal_complete). */
uint8_t *wal_reserve(struct wal *wal, uint16_t kind, uint32_t length);
/* Ends the reserved record and returns its LSN. */
uint64_t wal_finish(struct wal *wal);

/* Starts a batch if records wait and none is under way; else nothing (they go with the next one).
 */
void wal_submit(struct wal *wal);
size_t wal_waiting(const struct wal *wal); /* bytes of records gathered, not submitted */
bool wal_busy(const struct wal *wal);      /* a batch is under way */
/* Readable when wal_complete has something to do; -1 with WAL_BACKEND_INLINE. */
int wal_descriptor(const struct wal *wal);
/* Takes completions without blocking, starts the next waiting batch, returns the durable LSN. */
uint64_t wal_complete(struct wal *wal);
/* Blocks until all that was finished is durable; for shutdown and tools. */
uint64_t wal_flush(struct wal *wal);
uint64_t wal_durable_lsn(const struct wal *wal);
uint64_t wal_last_lsn(const struct wal *wal); /* of the last finished record, or 0 */

/* Records below `lsn` are no longer needed (W6): whole segments below it are recycled. */
void wal_cut(struct wal *wal, uint64_t lsn);

/* --- reading back, for peers that are behind ----------------------------------------------------
 */

struct wal_cursor;

/* A cursor that reads the log from `from_lsn` on, or from the oldest record that is kept if that is
 * 0. As long as it is open, wal_cut keeps what it has not read (W6). CAIRN_ENOTFOUND if the log no
 * longer reaches back to `from_lsn`; CAIRN_ENOMEM. Close it before the log. */
int wal_cursor_open(struct wal *wal, uint64_t from_lsn, struct wal_cursor **cursor);
/* Lets it read all that is durable by now. Returns the last LSN it may read. Not while a
 * wal_cursor_read runs. */
uint64_t wal_cursor_extend(struct wal *wal, struct wal_cursor *cursor);
/* Visits the next records in LSN order: until about `limit_bytes` of payload were visited, what it
 * may read is exhausted, or `visit` returned non-zero (which is returned; that record comes again).
 * The log's own marks are not visited. Blocks on the disk. May run on another thread than the
 * owner's, while the owner uses the log; one call at a time. CAIRN_ECORRUPT, CAIRN_EIO. */
int wal_cursor_read(struct wal_cursor *cursor, uint64_t limit_bytes, wal_visit visit, void *context,
                    struct error *error);
/* Leaves out what lies below `lsn`, without reading more than the segment that holds it. Nothing if
 * that was read already. On the thread that reads, not while a wal_cursor_read runs. */
void wal_cursor_skip(struct wal_cursor *cursor, uint64_t lsn);
/* LSN of the next record it will visit. Not while a wal_cursor_read runs. */
uint64_t wal_cursor_next_lsn(const struct wal_cursor *cursor);
/* The lowest LSN that an open cursor still has to read, so that wal_cut keeps it; UINT64_MAX: none.
 * The owner's call. */
uint64_t wal_pinned_lsn(const struct wal *wal);
/* Unpins what it held back. NULL is fine. */
void wal_cursor_close(struct wal *wal, struct wal_cursor *cursor);

/* When the log is idle: writes a synced mark that covers all that is durable, so that damage to the
 * last batch is later told from a torn tail (W3). Nothing if the last mark covers it already. */
void wal_mark(struct wal *wal);

/* Payload bytes that can be appended without new disk space: below a reserve the owner refuses
 * writes (W7). A segment under preparation counts until that fails. Grows again by itself when
 * segments are recycled or the disk has room: preparation is retried at each wal_complete and
 * wal_room call, at most once a second. */
uint64_t wal_room(struct wal *wal);
uint64_t wal_bytes(const struct wal *wal);           /* of segments that hold needed records */
uint64_t wal_syncs(const struct wal *wal);           /* batches made durable since wal_open */
const char *wal_backend_name(const struct wal *wal); /* "io_uring", "thread", "inline" */

#endif
