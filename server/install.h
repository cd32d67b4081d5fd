/* The checkpoint thread's side of an install: one partition's rows in LMDB are replaced.
 *
 *   mark    the position record says `installing`, with the new install id      one transaction
 *   clear   the partition's pairs, expiry rows and sessions go                  bounded ones
 *   rows    what was received goes in                                           bounded ones
 *   end     with the last rows: the position that they stand for (W5)           one of these
 *
 * A crash between mark and end leaves a partition that is installing, whose rows mean nothing. The
 * epoch seen (R2) never falls: it is raised over what the record already holds, since checkpoints
 * raise it there meanwhile. */
#ifndef CAIRN_SERVER_INSTALL_H
#define CAIRN_SERVER_INSTALL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "server/memtable.h"
#include "server/store.h"
#include "server/store_lmdb.h"
#include "server/value.h"

enum install_step {
    INSTALL_MARK,  /* not durably marked yet */
    INSTALL_CLEAR, /* marked; old rows may be left */
    INSTALL_ROWS,  /* takes rows */
    INSTALL_ENDED, /* complete and durable */
};

/* Verified rows as they came. */
struct install_chunk {
    STAILQ_ENTRY(install_chunk) next;
    size_t length, written; /* bytes; of these, in LMDB */
    uint8_t bytes[];
};
STAILQ_HEAD(install_chunks, install_chunk);

/* Made by the loop thread. Once with the checkpointer, the upper part changes under its mutex
 * only, the lower one belongs to the thread. */
struct install_job {
    TAILQ_ENTRY(install_job) link;
    enum install_step step;
    bool queued, working; /* at most one of them */
    bool dropped;         /* while it was being worked on: the thread frees it */
    bool ending;
    uint64_t after_checkpoint; /* the number of the one that has to be written before */
    struct install_chunks waiting;
    size_t waiting_bytes;
    struct store_position end; /* once `ending`; fixed then */

    uint32_t partition;
    struct store_position mark;
    struct memtable discarded;   /* the partition's old memtable, to be freed */
    struct install_chunks taken; /* being written */
    bool end_taken;              /* all rows are in `taken` */
    struct store_keys keys;      /* of the pairs that are in LMDB */
};

/* Takes the items of `discarded`. NULL: out of memory, nothing changed. */
struct install_job *install_job_create(uint32_t partition, const struct store_position *mark,
                                       struct memtable *discarded);
void install_job_free(struct install_job *job); /* NULL is fine */

/* Writes the next transaction of a job; `*next` is its step then. */
int install_write(struct lmdb *lmdb, struct install_job *job, enum install_step *next,
                  struct error *error);

#endif
