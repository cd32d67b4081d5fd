/* Runs a workload against a target: one thread and one session a connection, each with one
 * operation outstanding. Latencies are service times. Of a run at a rate they are also counted from
 * the time at which the operation should have begun: a store that is slow for a while delays what
 * waits behind, and the service times of a closed loop would not show it. */
#ifndef CAIRN_BENCH_RUNNER_H
#define CAIRN_BENCH_RUNNER_H

#include <stdint.h>

#include "base/error.h"
#include "base/histogram.h"
#include "bench/progress.h"
#include "bench/shared.h"
#include "bench/target.h"
#include "bench/workload.h"

enum {
    RUN_CONNECTIONS_MAX = 1024,
    RUN_BATCH_MAX = 10000,
    RUN_DRAWN = 1 << 16, /* keys that a connection draws beforehand for batches */
};

/* Called by the thread that runs the workload when all connections are open, before the warm-up.
 * Another value than 0 ends the run with it and the message. */
struct run_ready {
    int (*call)(void *context, struct error *error);
    void *context;
};

struct run_plan {
    const struct target *target;
    struct target_place place;
    struct workload workload; /* of one operation alone if `batch` is more than 1 */
    uint32_t connections;
    /* Operations between two looks at the clock, so that what takes less than looking there can be
     * measured; their latency is the mean of a batch. 0 and 1: each for itself. The keys are drawn
     * before the run, RUN_DRAWN for each connection, and used over and over; not sequential. */
    uint32_t batch;
    /* Operations (or batches) a second, over all connections of all processes, which take turns;
     * 0: no limit. */
    uint64_t rate;
    uint64_t warm_up_ms; /* not measured */
    /* The run ends after this time, or when so many operations are measured over all connections;
     * 0: by the other alone, and one of the two is given. */
    uint64_t measure_ms, operations;
    uint64_t seed;
    uint32_t processes, process;             /* that run this plan, 0 and 1: one; which this is */
    const struct run_ready *ready;           /* may be NULL */
    struct shared *shared;                   /* with the other processes; may be NULL */
    const struct progress_options *progress; /* NULL: nothing is told */
};

/* What was measured. */
struct run_result {
    double seconds;
    /* By kind. A BENCH_MODIFY counts as such, and its parts as BENCH_GET and BENCH_PUT. */
    uint64_t operations[BENCH_OPERATIONS];
    uint64_t finished;                              /* of all kinds, without parts of others */
    uint64_t executed;                              /* so, warm-up included */
    uint64_t missing;                               /* GETs that found nothing */
    bool stopped;                                   /* before its end, by `shared` */
    struct histogram latency_ns[BENCH_OPERATIONS];  /* over all connections, one for each batch */
    struct histogram intended_ns[BENCH_OPERATIONS]; /* of a run at a rate, without batches */
    struct target_counts counts;                    /* of the host's cache, while it was measured */
    double driver_cpu_seconds;                      /* user and system, warm-up included */
    uint64_t driver_switches;                       /* voluntary context switches, likewise */
};

/* 0, or the code and message of an operation that failed. */
int run_workload(const struct run_plan *plan, struct run_result *result, struct error *error);
/* Adds what another process measured at the same time. */
void run_merge(struct run_result *result, const struct run_result *other);
/* Whether latencies are also counted from the time when operations are due. */
bool run_intends(const struct run_plan *plan);
/* What a look at the clock costs, in nanoseconds: a part of each latency. */
double run_clock_ns(void);

#endif
