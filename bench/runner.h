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

enum { RUN_CONNECTIONS_MAX = 1024 };

struct run_plan {
    const struct target *target;
    struct target_place place;
    struct workload workload;
    uint32_t connections;
    uint64_t warm_up_ms; /* not measured */
    uint64_t measure_ms; /* ignored if `operations` is given */
    uint64_t operations; /* to measure, over all connections; 0: measure_ms decides */
    uint64_t seed;
};

/* What was measured. */
struct run_result {
    double seconds;
    uint64_t operations[BENCH_OPERATIONS];
    uint64_t executed;                             /* of all kinds, warm-up included */
    uint64_t missing;                              /* GETs that found nothing */
    struct histogram latency_ns[BENCH_OPERATIONS]; /* over all connections */
    double driver_cpu_seconds;                     /* user and system, warm-up included */
    uint64_t driver_switches;                      /* voluntary context switches, likewise */
};

/* 0, or the code and message of an operation that failed. */
int run_workload(const struct run_plan *plan, struct run_result *result, struct error *error);

#endif
