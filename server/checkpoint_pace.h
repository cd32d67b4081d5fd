/* How fast a checkpoint goes on: no faster than it must, for clients want the processor and the
 * disk meanwhile. The checkpoint thread works in short slices with pauses between them, unless
 *
 * - the memtable fills again: so much must be written that the checkpoint ends well before the next
 *   one is due, whatever the rate of writes;
 * - somebody waits for it (checkpointer_wait, a clean stop, an install, a full disk): no pauses. */
#ifndef CAIRN_SERVER_CHECKPOINT_PACE_H
#define CAIRN_SERVER_CHECKPOINT_PACE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct checkpoint_pace {
    /* From any thread. */
    atomic_bool hurry;
    _Atomic uint64_t live_bytes; /* written since the freeze */
    /* The checkpoint thread's. */
    uint64_t frozen_bytes; /* what the memtables held when they froze */
    uint64_t rows, total_rows;
    uint64_t slice_began_ns;
    bool (*waited_for)(void *context); /* asked in pauses, too */
    void *context;
};

/* Before a checkpoint of so much is started. */
void checkpoint_pace_begin(struct checkpoint_pace *pace, uint64_t rows, uint64_t bytes);
/* The thread comes to work, perhaps after a time without. */
void checkpoint_pace_resume(struct checkpoint_pace *pace);
/* One more row is done; pauses if the slice was long enough. */
void checkpoint_pace_row(struct checkpoint_pace *pace);
/* Ends the slice now, after work that has no rows. */
void checkpoint_pace_rest(struct checkpoint_pace *pace);

#endif
