/* Runs a workload against a target: one thread and one session a connection, each with one
 * operation outstanding (a closed loop: latencies are service times, not what an open-loop client
 * at a fixed rate would see). */
#ifndef CAIRN_BENCH_RUNNER_H
#define CAIRN_BENCH_RUNNER_H

#include <stdint.h>

#include "base/error.h"
#include "base/histogram.h"
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
    uint64_t rate;       /* operations (or batches) a second, over all connections; 0: no limit */
    uint64_t warm_up_ms; /* not measured */
    uint64_t measure_ms; /* ignored if `operations` is given */
    uint64_t operations; /* to measure, over all connections; 0: measure_ms decides */
    uint64_t seed;
    const struct run_ready *ready; /* may be NULL */
};

/* What was measured. */
struct run_result {
    double seconds;
    uint64_t operations[BENCH_OPERATIONS];
    uint64_t executed;                             /* of all kinds, warm-up included */
    uint64_t missing;                              /* GETs that found nothing */
    struct histogram latency_ns[BENCH_OPERATIONS]; /* over all connections, one for each batch */
    struct target_counts counts;                   /* of the host's cache, while it was measured */
    double driver_cpu_seconds;                     /* user and system, warm-up included */
    uint64_t driver_switches;                      /* voluntary context switches, likewise */
};

/* 0, or the code and message of an operation that failed. */
int run_workload(const struct run_plan *plan, struct run_result *result, struct error *error);
/* Adds what another process measured at the same time. */
void run_merge(struct run_result *result, const struct run_result *other);
/* What a look at the clock costs, in nanoseconds: a part of each latency. */
double run_clock_ns(void);

#endif
