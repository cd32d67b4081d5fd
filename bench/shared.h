/* What the processes of a benchmark share: memory of which a fork leaves all the same. */
#ifndef CAIRN_BENCH_SHARED_H
#define CAIRN_BENCH_SHARED_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/error.h"
#include "bench/key_space.h"

enum { SHARED_PROCESSES_MAX = 64 };

struct shared {
    atomic_bool stop;                            /* all end, and tell what they measured */
    _Atomic uint64_t done[SHARED_PROCESSES_MAX]; /* operations measured so far, by process */
    struct key_space keys;                       /* of workloads that insert */
};

/* Zeroed, to be freed. 0 or CAIRN_ENOMEM. */
int shared_create(struct shared **shared, struct error *error);
void shared_free(struct shared *shared);
/* From now on the first SIGINT sets `stop`, and the second ends the process; also in processes
 * forked later. For one `shared` at a time, until shared_free. */
void shared_stop_on_interrupt(struct shared *shared);

#endif
