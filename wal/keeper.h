/* Prepares segments ahead of need and recycles those cut off, on a thread of its own so that the
 * log's owner never waits for it; without a thread it works inside the calls. Private to wal/. */
#ifndef CAIRN_WAL_KEEPER_H
#define CAIRN_WAL_KEEPER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "wal/segment.h"

struct keeper;

enum {
    KEEPER_READY_MAX = 64,
    KEEPER_SPARES_MAX = 8, /* recycled files kept as they are; more are removed */
};

struct keeper_options {
    const struct segment_store *store; /* outlives the keeper */
    uint64_t segment_bytes;
    uint32_t ready_target; /* segments prepared ahead, at most KEEPER_READY_MAX */
    bool threaded;
    bool wants_descriptor; /* fill in segments' descriptors */
    int event;             /* eventfd to write when keeper_take may succeed again; -1: none */
    uint64_t next_sequence;
    uint64_t next_file;     /* above every number in names of spare and new files */
    const uint64_t *spares; /* numbers of spare files of segment_bytes each */
    uint32_t spare_count;
};

int keeper_create(const struct keeper_options *options, struct keeper **keeper,
                  struct error *error);
/* Ends the thread. With `orderly` the prepared segments are made spares again, so that the next
 * recovery need not read them. */
void keeper_free(struct keeper *keeper, bool orderly);

/* The next prepared segment, now the caller's, or NULL: then the event is written once there may
 * be one. */
struct segment *keeper_take(struct keeper *keeper);
/* Takes over a closed segment that nobody needs. Oldest first. */
void keeper_recycle(struct keeper *keeper, struct segment *segment);
/* Tries a failed preparation again if the last try is a second old. */
void keeper_poke(struct keeper *keeper);
/* Segments that keeper_take would return now, and those being prepared while nothing speaks
 * against their success. */
uint32_t keeper_available(struct keeper *keeper);
/* False if preparing failed in a way that will not pass (W2); then `error` says how. */
bool keeper_healthy(struct keeper *keeper, struct error *error);

#endif
