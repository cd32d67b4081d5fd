/* The log object, shared by wal.c (opening, closing, cutting), append.c (records and batches) and
 * cursor.c (reading back). Private to wal/ and its tests. */
#ifndef CAIRN_WAL_INTERNAL_H
#define CAIRN_WAL_INTERNAL_H

#include "wal/backend.h"
#include "wal/format.h"
#include "wal/keeper.h"
#include "wal/segment.h"
#include "wal/wal.h"

enum { BATCH_PARTS_MAX = 16, WAL_BATCH_BYTES_LIMIT = 1 << 30 };

/* The records of a batch that go to one segment. They lie in the batch's memory as they will in
 * the file, at the same place within a block. */
struct batch_part {
    struct segment *segment;
    uint64_t file_offset; /* of the first record */
    size_t memory_offset;
    size_t length;
    uint64_t last_lsn;
};

struct batch {
    uint8_t *memory; /* aligned to a block */
    size_t used;     /* of the memory, gaps between parts included */
    size_t bytes;    /* of records */
    struct batch_part parts[BATCH_PARTS_MAX];
    unsigned count;
};

LIST_HEAD(cursor_list, wal_cursor);

struct wal {
    struct wal_options options;
    struct segment_store store;
    struct keeper *keeper;
    struct backend *backend;
    int event;                    /* eventfd; -1 inline */
    struct segment_list segments; /* that hold needed records, oldest first */
    struct segment *active;       /* the last of them: where records are gathered for */
    struct segment *writing;      /* where the last started part went; others are closed */
    uint64_t append_offset;       /* in the active segment, behind all gathered records */
    uint64_t live_bytes;          /* sizes of all in the list */
    struct cursor_list cursors;   /* the open ones */
    size_t memory_bytes;          /* of each batch */
    struct batch batches[2];
    struct batch *gathering, *in_flight;
    bool busy;
    unsigned next_part; /* of the batch in flight: the one under way */
    bool reserved;
    uint8_t *record; /* the last reserved one */
    uint32_t record_length;
    uint64_t last_lsn, durable_lsn;
    uint64_t stated_lsn; /* synced LSN in the part last started */
    uint64_t marked_lsn; /* highest synced LSN that a durable record states */
    uint64_t syncs;
    uint8_t edge[WAL_BLOCK_BYTES]; /* what the last, partly filled block of `writing` holds */
};

/* Ends the process through the options' `fatal` (W2). */
_Noreturn void wal_fail(struct wal *wal, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Raises a failure of the keeper. */
void wal_check_keeper(struct wal *wal);
/* Frees everything without any I/O, as a crash would; for tests. Waits for a batch under way. */
void wal_abandon(struct wal *wal);

#endif
