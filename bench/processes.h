/* One workload in several processes that begin together: what one process alone cannot show of a
 * cache that processes share. */
#ifndef CAIRN_BENCH_PROCESSES_H
#define CAIRN_BENCH_PROCESSES_H

#include <stdbool.h>

#include "bench/runner.h"

enum { PROCESSES_MAX = SHARED_PROCESSES_MAX };

struct processes {
    uint32_t count;
    bool separate_caches; /* process i uses the cache whose name is the plan's, `-` and i */
};

/* Runs the plan in each of `count` forked processes, with its connections in each, another seed in
 * each, and `operations` shared out evenly. None begins before all are connected. Keys in sequence
 * are each process' own sequence. The caller has no threads. `result` is the sum, its `seconds`
 * that of the slowest, its counts that of the first, which also tells the progress of all; on
 * failure that of nobody. As run_workload; also CAIRN_EIO, and CAIRN_EUNAVAILABLE if a process
 * died. */
int processes_run(const struct run_plan *plan, const struct processes *processes,
                  struct run_result *result, struct error *error);

#endif
