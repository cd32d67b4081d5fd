/* The server's use of the write-ahead log: which record belongs to which partition's log.
 *
 * Entries of all partitions share one log (wal/wal.h). The journal packs each entry once, straight
 * into the batch that will be written, and remembers which partition's index every LSN holds, so
 * that a durable LSN becomes a durable index of each partition. Belongs to the loop thread. */
#ifndef CAIRN_SERVER_JOURNAL_H
#define CAIRN_SERVER_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "server/entry.h"
#include "wal/wal.h"

struct journal_mark {
    uint64_t lsn;
    uint64_t index;   /* ENTRY: its index; EPOCH: the epoch; RESET: the install */
    uint64_t history; /* EPOCH, RESET */
    uint32_t partition;
    enum log_kind kind;
};

/* An install that began here: its record must stay until the store has durably noted it (W6). */
struct journal_reset {
    uint64_t lsn, install;
    uint32_t partition;
};

struct journal {
    struct wal *wal;
    /* Ring of records appended and not yet seen durable, by LSN. Capacity is a power of two. */
    struct journal_mark *marks;
    size_t capacity, first, count;
    struct journal_reset *resets; /* by LSN */
    size_t reset_capacity, reset_count;
    uint64_t appended_bytes;
    uint64_t turn; /* grows with each journal_submit */
};

struct journal_options {
    const char *directory;
    enum wal_backend backend;
    uint64_t segment_bytes; /* 0: the log's default */
};

/* What recovery finds, in LSN order. The callee owns `entry`. Non-zero stops and fails the open. */
struct journal_replay {
    void *context;
    int (*entry)(void *context, struct entry *entry, struct error *error);
    int (*epoch)(void *context, uint32_t partition, uint64_t history, uint64_t epoch,
                 struct error *error);
    int (*reset)(void *context, uint32_t partition, uint64_t history, uint64_t install,
                 uint64_t lsn, struct error *error);
};

int journal_open(struct journal *journal, const struct journal_options *options,
                 const struct journal_replay *replay, struct wal_recovery *recovery,
                 struct error *error);
void journal_close(struct journal *journal);

/* Appends a packed entry and sets its `lsn` and `packed`. False, with nothing changed, if the
 * gathering batch is full or the disk has no room. */
bool journal_append(struct journal *journal, struct entry *entry);
/* Appends an entry's bytes as another server packed them; `*lsn` is its record's. False as above.
 */
bool journal_append_raw(struct journal *journal, uint32_t partition, uint64_t index,
                        const uint8_t *bytes, uint32_t length, uint64_t *lsn);
/* Notes the highest epoch seen (R2). False as above. */
bool journal_append_epoch(struct journal *journal, uint32_t partition, uint64_t history,
                          uint64_t epoch);
/* Voids all that the log holds of the partition: an install begins (W6). False as above. */
bool journal_append_reset(struct journal *journal, uint32_t partition, uint64_t history,
                          uint64_t install);
/* The bytes of an entry of `entry->packed_length`, as long as they can be read where they were
 * packed, else NULL. They live until the next journal_submit. */
const uint8_t *journal_packed(const struct journal *journal, const struct entry *entry);
/* Hands what has gathered to the log. */
void journal_submit(struct journal *journal);
/* Takes the next record that is durable at or below `durable_lsn`; false if there is none. */
bool journal_next_durable(struct journal *journal, uint64_t durable_lsn, struct journal_mark *mark);
/* Forgets the RESET of this install: the store has noted it durably. */
void journal_reset_settled(struct journal *journal, uint32_t partition, uint64_t install);

#endif
