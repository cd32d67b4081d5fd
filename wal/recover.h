/* Finds out what a directory's log holds (ARCHITECTURE.md W1, W3, W9). Private to wal/. */
#ifndef CAIRN_WAL_RECOVER_H
#define CAIRN_WAL_RECOVER_H

#include "base/buffer.h"
#include "wal/segment.h"
#include "wal/wal.h"

/* What recovery leaves behind. The fields are wal_open's to go on with. */
struct recovered {
    struct segment_list segments; /* that hold needed records, oldest first; files closed */
    struct segment *active;       /* the last of them: newly born, open for appending */
    struct buffer tail;           /* bytes of its last, partly filled block */
    uint64_t append_offset;       /* in the active segment */
    uint64_t last_lsn;
    uint64_t next_sequence, next_file;
    uint64_t spares[8]; /* KEEPER_SPARES_MAX: checked where used */
    uint32_t spare_count;
    struct wal_recovery report;
};

/* Reads the log, calls the options' visit, makes everything durable, tidies the directory.
 * On failure nothing is kept, and nothing was changed if the log is damaged or newer. */
int wal_recover(const struct segment_store *store, const struct wal_options *options,
                struct recovered *recovered, struct error *error);

#endif
