/* Shared by the three files of recovery: recover_directory.c (which files there are),
 * recover_read.c (what they hold, and whether they are damaged), recover.c (what becomes of it). */
#ifndef CAIRN_WAL_RECOVER_INTERNAL_H
#define CAIRN_WAL_RECOVER_INTERNAL_H

#include "wal/reader.h"
#include "wal/recover.h"

/* A segment as found. */
struct part {
    uint64_t sequence, id, size;
    uint64_t first_lsn, born_lsn; /* of the header; 0 unless born in recovery */
    uint64_t limit_lsn;           /* a later segment supersedes records from here on */
    uint64_t first_live;          /* LSN of the first record read from it; 0: none */
    uint64_t end_offset;          /* behind the last one */
};

struct recovery {
    const struct segment_store *store;
    const struct wal_options *options;
    struct error *error;
    struct reader reader;
    bool out_of_memory; /* while listing */
    /* Arrays in buffers: struct part; file numbers. */
    struct buffer parts_bytes, spare_numbers, new_numbers;
    struct part *parts;
    size_t count;
    /* Where the log ends: behind the last good record. */
    bool started;
    uint64_t last_lsn;
    size_t end_part;
    /* All records up to it were synced, say records and headers (W3). */
    uint64_t marked_lsn;
    /* No unmarked record lies before this place. */
    size_t unmarked_part;
    uint64_t unmarked_offset;
    struct wal_recovery report;
};

/* Lists the directory, checks that no segment is missing, reads all headers. */
int recovery_list(struct recovery *recovery);
/* Makes segments from `from` on spares or removes them, removes half-made files, and fills in the
 * spares that can be used. */
int recovery_tidy(struct recovery *recovery, size_t from, struct recovered *recovered);
/* Reads and visits all records; says where the log ends or that it is damaged. */
int recovery_read(struct recovery *recovery);
/* Appends the unmarked records to `records`, sealed for segment `id`. */
int recovery_copy_unmarked(struct recovery *recovery, uint64_t id, struct buffer *records);

/* Sets the error for damage in a segment; returns CAIRN_ECORRUPT. */
int recovery_damaged(struct recovery *recovery, uint64_t sequence, uint64_t offset,
                     const char *what);
/* Sets the error for a call that failed with a negative errno; returns its code. */
int recovery_failed(struct recovery *recovery, uint64_t sequence, int result);

#endif
