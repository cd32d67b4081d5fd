/* The state of all partitions of one server: memtables over LMDB, and the sessions.
 *
 *   reads:      memtable, frozen memtable, LMDB snapshot, in that order
 *   checkpoint: the memtables are frozen, new ones take over, and the checkpoint thread writes the
 *               frozen ones with sessions and applied positions into LMDB (W5)
 *
 * All calls are the loop thread's. The checkpoint thread is inside. Only committed entries come
 * here (R5). Everything that apply does is a function of the state and the entry alone, so that all
 * replicas come to the same state. */
#ifndef CAIRN_SERVER_STORE_H
#define CAIRN_SERVER_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"
#include "server/entry.h"

struct store;

struct store_options {
    const char *directory;      /* of LMDB's files; created if missing */
    uint32_t partitions;        /* of the cluster; fixed at creation and checked at each open */
    uint64_t map_bytes;         /* 0: 64 GiB of address space; grows when full (W7) */
    uint64_t transaction_bytes; /* 0: 128 MiB; bounds the pages one LMDB commit may dirty: a
                                   checkpoint takes several commits, each of whole partitions */
    uint32_t sessions_limit;    /* 0: 65536 per partition (S4) */
    void (*checkpoint_done)(void *context); /* from the checkpoint thread: wake the loop; may be
                                               NULL */
    void *context;
    void (*fatal)(void *context, const char *message); /* failed commit (W5), from the checkpoint
                                                          thread; never returns; NULL: log, abort */
};

/* What a partition's state stands for. */
struct store_position {
    uint64_t history, epoch, index; /* of the last applied entry; index 0: none */
    uint64_t log_time_ms;
    uint64_t seen_epoch; /* highest epoch seen (R2) */
    uint64_t install;    /* the last install of a snapshot here, begun or complete; 0: never */
    bool installing;     /* begun, not complete: there is no state, all other numbers are 0 but
                            history and seen_epoch, which are those seen before it began */
};

/* CAIRN_EVERSION for a newer format (W9), CAIRN_ECONFLICT for another number of partitions, or what
 * LMDB or the disk says; the message names the path. */
int store_open(const struct store_options *options, struct store **store, struct error *error);
/* Waits for a checkpoint under way. Does not start one: see store_checkpoint_now. */
void store_close(struct store *store);

const struct store_position *store_applied(const struct store *store, uint32_t partition);
/* As LMDB holds it; what the WAL may be cut to. */
const struct store_position *store_checkpointed(const struct store *store, uint32_t partition);
/* Noted in memory; reaches LMDB with the next checkpoint. Never lowers it; a newer history (R9)
 * starts anew. Applying an entry notes its epoch too. */
void store_set_seen_epoch(struct store *store, uint32_t partition, uint64_t history,
                          uint64_t epoch);

/* --- reads: pointers live until the next store_apply, store_end_turn or store_checkpoint_finish --
 */

struct store_value {
    uint64_t version, modified;
    uint64_t expires_ms; /* log time, 0: never. The caller compares it (S2). */
    const uint8_t *data;
    uint32_t length;
};

/* CAIRN_OK, CAIRN_ENOTFOUND, or CAIRN_ECORRUPT if the value fails its checksum (W8, counted). */
int store_get(struct store *store, uint32_t partition, const uint8_t *key, uint32_t key_length,
              struct store_value *value);

struct store_scan {
    const uint32_t *partitions;
    size_t partition_count;
    const uint8_t *from, *to; /* inclusive; a length of 0 means unbounded */
    uint32_t from_length, to_length;
    bool after_from; /* exclusive at `from` */
};
/* Calls `visit` for each pair in bytewise key order over all named partitions, until it returns
 * false. `key` and `value` live as reads do. CAIRN_OK or CAIRN_ECORRUPT. */
typedef bool (*store_visit)(void *context, uint32_t partition, const uint8_t *key,
                            uint32_t key_length, const struct store_value *value);
int store_scan(struct store *store, const struct store_scan *scan, store_visit visit,
               void *context);
/* After CAIRN_ECORRUPT: the key of the pair that failed, until the next scan; NULL: it was none. */
const uint8_t *store_scan_bad(const struct store *store, uint32_t *partition, uint32_t *key_length);

/* Ends the LMDB read transaction that this turn's reads share, so that no pages stay pinned. Called
 * at the end of each loop turn; cheap if there were no reads. store_apply and duplicates of old
 * SWAPs read too. A checkpoint that has to grow the map waits for it (W7). */
void store_end_turn(struct store *store);

/* --- sessions (S3) -------------------------------------------------------------------------------
 */

/* What a mutation came to; kept as the session's last reply. */
struct outcome {
    enum outcome_code {
        OUTCOME_DONE = 0,
        OUTCOME_VERSION_MISMATCH = 1,
        OUTCOME_CORRUPT = 2,      /* the old value fails its checksum: nothing was changed */
        OUTCOME_STALE_NUMBER = 3, /* below the session's last: dropped; not kept */
    } code;
    bool existed;
    uint64_t version;         /* of the key now; with VERSION_MISMATCH its current one */
    const uint8_t *old_value; /* SWAP; NULL if there was none. Lives until the session's next
                                 mutation is applied, store_end_turn or store_checkpoint_finish */
    uint32_t old_value_length;
};

enum session_verdict {
    SESSION_NEW,       /* propose it */
    SESSION_DUPLICATE, /* applied before: `outcome` is the answer */
    SESSION_IN_FLIGHT, /* `*entry` is its entry: attach to it */
    SESSION_STALE,     /* a lower number than the last one */
    SESSION_FULL,      /* the table is full: refuse (S4) */
};
/* What to do with a mutation that arrived. Saves work only: the decision falls at apply. */
enum session_verdict store_session_check(struct store *store, uint32_t partition, uint64_t client,
                                         uint64_t number, struct outcome *outcome,
                                         struct entry **entry);
/* Notes that `entry` is on its way; ended by its apply or by store_session_forget. */
int store_session_begin(struct store *store, struct entry *entry);
void store_session_forget(struct store *store, struct entry *entry);
uint64_t store_session_count(const struct store *store, uint32_t partition);
/* The oldest log time at which a session of the partition was used; UINT64_MAX without sessions. */
uint64_t store_session_oldest_ms(const struct store *store, uint32_t partition);

/* --- writes
 * ---------------------------------------------------------------------------------------- */

/* Applies a committed entry: index must be applied index + 1 (CHECK). Takes the entry's item, not
 * the entry. `outcome` is set for PUT, SWAP and DELETE; its pointers live as struct outcome says.
 * Expiry is decided by the entry's log time: a key whose expires_ms <= log_time_ms is absent (S2).
 * CAIRN_OK, or CAIRN_ENOMEM with nothing changed. */
int store_apply(struct store *store, struct entry *entry, struct outcome *outcome);

/* --- checkpoints
 * ------------------------------------------------------------------------------------- */

uint64_t store_memtable_bytes(const struct store *store); /* live and frozen */
/* Bytes in the live memtables alone: what the driver's checkpoint limit compares. */
uint64_t store_live_bytes(const struct store *store);
/* Freezes and starts the checkpoint thread's work; false if one is under way, if nothing changed,
 * or while the thread still frees the last one's memtables: ask again later. */
bool store_checkpoint_start(struct store *store);
/* After checkpoint_done was called: drops the frozen memtables, moves store_checkpointed. True if
 * one completed; else one under way hurries. Ends the turn's reads if one is under way. */
bool store_checkpoint_finish(struct store *store);
bool store_checkpoint_running(const struct store *store);
/* A checkpoint under way takes its time, as far as the memtables' growth leaves it any; so this is
 * to be called now and then. `hurry`: it is needed soon, whatever it costs. */
void store_checkpoint_pace(struct store *store, bool hurry);
/* Start, wait, finish; for a clean stop. When it returns, LMDB holds all that was applied before;
 * without memory for it the process ends. */
void store_checkpoint_now(struct store *store);

/* --- snapshots: one partition's state on its way to another server ------------------------------
 */

struct store_export;

/* Begins to read what LMDB holds of a partition: pairs, sessions, and in `position` what they stand
 * for (that of the last checkpoint, or `installing`), all from one read transaction of its own.
 * While it is open LMDB reuses no page that it sees. CAIRN_ENOMEM, CAIRN_EIO. Loop thread. */
int store_export_open(struct store *store, uint32_t partition, struct store_position *position,
                      struct store_export **export);
/* Appends the next rows to `out`: about `limit_bytes`, at least one row, at most
 * CAIRN_RECORDS_LIMIT together; `*done` when there are no more. Blocks on the disk; may run on
 * another thread, one call at a time. CAIRN_ECORRUPT if a row fails its checksum: damage is never
 * exported (W8, R13). CAIRN_EUNAVAILABLE if the map had to grow meanwhile (W7): begin a new one. */
int store_export_read(struct store_export *export, size_t limit_bytes, struct buffer *out,
                      bool *done, struct error *error);
/* Not while a read runs; before the store is closed. Loop thread. NULL is fine. */
void store_export_close(struct store_export *export);

/* --- installing: a partition's state is replaced by a received snapshot
 * ---------------------------
 *
 * store_install_begin forgets the partition's state in memory at once and has the checkpoint thread
 * mark it as installing, durably, and clear it; store_install_rows hands over rows;
 * store_install_end has the position written and synced with the last rows (W5). checkpoint_done is
 * called when the state of an install changes, too. A crash before the end leaves a partition that
 * is `installing`; only another begin with a new id gets it out of that. Checkpoints of other
 * partitions go on. */

enum store_install_state {
    STORE_INSTALL_NONE,
    STORE_INSTALL_MARKING,   /* the mark is not durable yet */
    STORE_INSTALL_RECEIVING, /* rows are welcome */
    STORE_INSTALL_ENDING,    /* the end is not durable yet */
    STORE_INSTALL_DONE,      /* complete and durable: store_applied tells the new position */
};
/* `install` is not 0. store_applied says `installing` at once, store_checkpointed when it is
 * durable and was polled. Ends the turn's reads, as store_install_poll does when it becomes DONE.
 * An install that is under way for the partition is given up for this one. The caller owns the
 * partition's entries in flight and has dropped them (store_session_forget). CAIRN_ENOMEM: nothing
 * has changed. */
int store_install_begin(struct store *store, uint32_t partition, uint64_t install);
/* Takes rows as store_export_read gave them; they are copied. CAIRN_EPROTO if they are malformed or
 * fail their checksums (nothing was taken), CAIRN_EFULL while too much waits for the thread: again
 * after checkpoint_done, CAIRN_ENOMEM. Only in RECEIVING (CHECK). */
int store_install_rows(struct store *store, uint32_t partition, const uint8_t *rows, size_t length,
                       struct error *error);
/* After the last rows. `position` is what they stand for; its install and seen_epoch are ours.
 * CAIRN_EPROTO, with nothing changed, if rows are missing. Only in RECEIVING (CHECK). */
int store_install_end(struct store *store, uint32_t partition,
                      const struct store_position *position);
/* Takes what the thread reported; then tells the state. DONE stays until the next begin. */
enum store_install_state store_install_poll(struct store *store, uint32_t partition);

struct store_stats {
    uint64_t checkpoints, commits, map_growths, checksum_errors;
    uint64_t pages_bytes; /* LMDB's file up to the last page in use */
    uint64_t free_bytes;  /* of these, pages that a later checkpoint may reuse */
};
void store_stats(const struct store *store, struct store_stats *stats);

#endif
