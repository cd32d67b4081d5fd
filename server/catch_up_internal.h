/* Shared by catch_up.c (the loop thread's part) and catch_up_read.c (what runs on another thread).
 *
 * They take turns: whatever a pass holds belongs to the one that is called. */
#ifndef CAIRN_SERVER_CATCH_UP_INTERNAL_H
#define CAIRN_SERVER_CATCH_UP_INTERNAL_H

#include <sys/queue.h>

#include "base/buffer.h"
#include "server/catch_up.h"

/* A record at `lsn` that voids all earlier ones at or above `index`. */
struct void_point {
    uint64_t lsn, index;
};

/* The log as looked through so far holds entries of that epoch from `index` on, up to the next span
 * or to the last entry. */
struct epoch_span {
    uint64_t index, epoch, history;
};

/* What one partition's follower lacks. */
struct lack {
    uint32_t partition;
    uint64_t history;
    uint64_t first_index, last_index; /* wanted; committed and durable here */
    uint64_t base_index; /* below first_index: what is at or below it is not looked at */
    bool over;           /* nothing more is taken for it */
    /* What looking through the log finds. */
    bool previous_is_base, previous_known;
    struct replica_position previous; /* the entry before first_index */
    uint64_t first_lsn;               /* of first_index; 0: not there */
    uint64_t scanned_index;           /* of the last entry that counts so far */
    struct epoch_span *spans;         /* ascending; the last one ends at scanned_index */
    size_t span_count, span_capacity;
    struct void_point *voids; /* ascending in LSN and in index */
    size_t void_count, void_capacity;
    size_t void_next; /* those before it lie behind us */
    /* The piece that waits to be sent: records from `sent` on, behind `run_previous`. */
    struct replica_position taken; /* the last entry taken */
    struct replica_position run_previous;
    struct buffer records;
    size_t sent;
    STAILQ_ENTRY(lack) next_filled;
};

STAILQ_HEAD(lack_list, lack);

struct catch_up {
    struct replica_member copy; /* whose followers they are */
    struct lack *lacks;
    uint32_t count, open; /* of these, not over */
    struct lack **of_partition;
    uint32_t partition_count;
    uint64_t limit_lsn; /* the log's end when the pass began */
    /* Both open from the beginning, so that the log is not cut between looking and taking. */
    struct wal_cursor *scan, *take;
    bool scanned, done;
    struct lack_list filled; /* those with records to be sent */
};

/* Nothing more is taken for it. */
void lack_end(struct catch_up *pass, struct lack *lack);
/* Drops the records that wait to be sent, and their memory. */
void lack_drop_records(struct lack *lack);

#endif
