/* One connection of a run: its thread, what it does and what it measures. */
#ifndef CAIRN_BENCH_WORKER_H
#define CAIRN_BENCH_WORKER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "bench/gate.h"
#include "bench/runner.h"

enum phase { PHASE_WARM_UP, PHASE_MEASURE, PHASE_STOP };

/* Shared by all threads of a run. */
struct run {
    const struct run_plan *plan;
    struct values values;
    atomic_int phase;
    atomic_bool failed;
    _Atomic uint32_t working;  /* threads that have not ended */
    uint64_t begun_ns;         /* of a run at a rate: when its first operation is due */
    _Atomic uint64_t sequence; /* operations started, for the order of keys */
    _Atomic uint64_t claimed;  /* measured operations started */
    struct gate gate;          /* passed by all when all are connected */
};

struct worker {
    struct run *run;
    pthread_t thread;
    struct session *session;
    struct random random;
    char *drawn;            /* of a run in batches: RUN_DRAWN keys, one after the other; owned */
    uint64_t next;          /* of them */
    uint32_t index;         /* of the run's workers */
    uint64_t paced, due_ns; /* of a run at a rate: operations so far, when this one is due */
    /* Of the kinds that the workload measures; the others are not even touched. */
    struct histogram latency_ns[BENCH_OPERATIONS], intended_ns[BENCH_OPERATIONS];
    uint64_t operations[BENCH_OPERATIONS];
    _Atomic uint64_t finished; /* written by its thread alone */
    uint64_t executed, missing;
    uint64_t last_end_ns;
    struct error error;
};

/* Number `index` of the run's; zeroed. */
void worker_init(struct worker *worker, struct run *run, uint32_t index);
/* The thread: opens its session, passes the gate, works until told to stop. */
void *worker_main(void *worker);

#endif
