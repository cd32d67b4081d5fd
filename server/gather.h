/* How long a batch of the log gathers before its sync begins.
 *
 * A sync costs the same whatever it covers, and much of a processor besides the disk's time. Right
 * after one has ended its clients are just being answered and come again within microseconds: who
 * starts the next one with the first of them makes all others wait for the one after. So where
 * batches usually hold more than one entry, the next waits until it has as many as usual and one
 * more, or GATHER_LIMIT_BYTES, for GATHER_LIMIT_NS at most, while the processor is given to whoever
 * wants it. A single client never waits.
 *
 * Group commit with a delay that adapts: Helland et al., "Group Commit Timers and High Volume
 * Transaction Systems", HPTS 1987; PostgreSQL's commit_delay is one that is set by hand. */
#ifndef CAIRN_SERVER_GATHER_H
#define CAIRN_SERVER_GATHER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GATHER_LIMIT_NS UINT64_C(100000)
enum { GATHER_LIMIT_BYTES = 64 << 10 };

struct gather {
    size_t usual;      /* entries of a batch, a moving average */
    uint64_t since_ns; /* the batch has waited from then on; 0: none waits */
};

/* Asked at the end of each turn in which `entries` > 0 of `bytes` in all wait and no sync is under
 * way. True: not yet, ask again soon; false: the batch starts now, with these entries. */
bool gather_holds(struct gather *gather, size_t entries, size_t bytes, uint64_t now_ns);

#endif
