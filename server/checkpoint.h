/* The checkpoint thread, the only writer of LMDB: writes frozen memtables, sessions and positions
 * (W5), and received snapshots (install.h).
 *
 * The loop thread hands over a frozen state, which neither side changes while the thread works on
 * it, and takes it back when the thread is done. The frozen memtables are freed by the thread too:
 * freeing a few hundred thousand items would hold the loop up.
 *
 * Checkpoint and installs take turns, one transaction each. */
#ifndef CAIRN_SERVER_CHECKPOINT_H
#define CAIRN_SERVER_CHECKPOINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/checkpoint_pace.h"
#include "server/install.h"
#include "server/memtable.h"
#include "server/session.h"
#include "server/store.h"
#include "server/store_lmdb.h"

/* What changed in one partition between two freezes. */
struct frozen_partition {
    uint32_t partition;
    struct memtable items;
    struct session_frozen *sessions; /* part of struct frozen's array */
    size_t session_count;
    struct session_list removed;
    struct store_position position;
    uint64_t life;           /* of the partition's state, as it was frozen (store_state.h) */
    uint64_t estimate_bytes; /* of the pages it dirties, at worst */
    bool sweep_left;         /* out: more keys expired than one checkpoint reclaims */
};

struct frozen {
    struct frozen_partition *partitions; /* by number, ascending */
    size_t count;
    struct session_frozen *sessions;
};

void frozen_free(struct frozen *frozen); /* references to kept values must be dropped before */

struct checkpointer;

struct checkpointer_options {
    struct lmdb *lmdb;
    uint64_t transaction_bytes;
    void (*done)(void *context); /* from the thread */
    void *context;
    void (*fatal)(void *context, const char *message); /* never returns; NULL: log and abort */
};

int checkpointer_create(const struct checkpointer_options *options, struct checkpointer **result,
                        struct error *error);
/* Waits for the work under way. NULL is fine. */
void checkpointer_free(struct checkpointer *checkpointer);
bool checkpointer_idle(struct checkpointer *checkpointer);
/* Starts work on `frozen`, which belongs to the thread until checkpointer_done. Must be idle. */
void checkpointer_start(struct checkpointer *checkpointer, struct frozen *frozen);
/* How much was written to the memtables since: a checkpoint under way keeps up with it, and takes
 * its time else (checkpoint_pace.h). */
void checkpointer_live_bytes(struct checkpointer *checkpointer, uint64_t bytes);
/* The checkpoint under way is needed soon. */
void checkpointer_hurry(struct checkpointer *checkpointer);
/* Whether the work is done and not yet taken back with checkpointer_discard. */
bool checkpointer_done(struct checkpointer *checkpointer);
/* After checkpointer_done: gives the frozen state away, to be freed; idle when that is done. */
void checkpointer_discard(struct checkpointer *checkpointer);
/* Blocks until done (true) or idle (false); the thread hurries meanwhile. */
bool checkpointer_wait(struct checkpointer *checkpointer);
/* Takes an install job, to be worked on after the checkpoint under way, if any: it may hold the
 * partition's state of before. `done` is called whenever the job has come on. */
void checkpointer_install(struct checkpointer *checkpointer, struct install_job *job);
/* Whether a job takes `length` more bytes of rows, or too much waits. */
bool checkpointer_install_room(struct checkpointer *checkpointer, const struct install_job *job,
                               size_t length);
/* More rows for a job, which owns the chunk then. */
void checkpointer_install_rows(struct checkpointer *checkpointer, struct install_job *job,
                               struct install_chunk *chunk);
/* The last rows were given; `position` is what they stand for. */
void checkpointer_install_end(struct checkpointer *checkpointer, struct install_job *job,
                              const struct store_position *position);
enum install_step checkpointer_install_step(struct checkpointer *checkpointer,
                                            struct install_job *job);
/* Gives the job up and frees it, whatever its step; a transaction under way is finished first, in
 * the background. What it wrote stays. NULL is fine. */
void checkpointer_install_drop(struct checkpointer *checkpointer, struct install_job *job);
uint64_t checkpointer_commits(const struct checkpointer *checkpointer);

/* checkpoint_write.c: one transaction with the partitions first..first+count-1 of `frozen`.
 * At most `sweep_limit` expired keys are reclaimed in it. */
int checkpoint_write(struct lmdb *lmdb, struct frozen *frozen, size_t first, size_t count,
                     uint64_t sweep_limit, struct checkpoint_pace *pace, struct error *error);

#endif
