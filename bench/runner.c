/* The threads of a benchmark run and the phases they go through together. */
#include "bench/runner.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/check.h"
#include "base/clock.h"
#include "bench/worker.h"

enum { POLL_MS = 20, CLOCK_LOOKS = 10000 };

static bool is_stopped(const struct run *run)
{
    return run->plan->shared != NULL && atomic_load(&run->plan->shared->stop);
}

/* Tells the other processes how much was measured here so far, and a person how much in all. */
static void tell(struct run *run, const struct worker *workers, struct progress *progress)
{
    const struct run_plan *plan = run->plan;
    uint64_t here = 0, all = 0;
    if (plan->shared == NULL)
        return;
    for (uint32_t i = 0; i < plan->connections; i++)
        here += atomic_load_explicit(&workers[i].finished, memory_order_relaxed);
    atomic_store_explicit(&plan->shared->done[plan->process], here, memory_order_relaxed);
    for (int i = 0; i < SHARED_PROCESSES_MAX; i++)
        all += atomic_load_explicit(&plan->shared->done[i], memory_order_relaxed);
    progress_tell(progress, clock_now_ms(), all);
}

/* Until the time is over (0: it never is), all threads ended, one failed, or all are to stop. */
static void watch(struct run *run, const struct worker *workers, uint64_t milliseconds,
                  const struct progress_options *options)
{
    struct progress progress;
    uint64_t now_ms = clock_now_ms(), begun_ms = now_ms, nap_ms = 1;
    progress_begin(&progress, options, begun_ms);
    while (atomic_load(&run->working) > 0 && !atomic_load(&run->failed) && !is_stopped(run) &&
           (milliseconds == 0 || now_ms - begun_ms < milliseconds)) {
        uint64_t rest_ms = milliseconds > 0 ? milliseconds - (now_ms - begun_ms) : nap_ms;
        clock_sleep_ms(rest_ms < nap_ms ? rest_ms : nap_ms);
        nap_ms = nap_ms < POLL_MS ? nap_ms + 1 : POLL_MS;
        tell(run, workers, &progress);
        now_ms = clock_now_ms();
    }
    progress_end(&progress);
}

static void count(const struct run_plan *plan, struct target_counts *counts)
{
    memset(counts, 0, sizeof(*counts));
    if (plan->place.cache && plan->target->count != NULL)
        plan->target->count(&plan->place, counts);
}

/* What the cache counted since `before`. */
static void count_since(const struct run_plan *plan, const struct target_counts *before,
                        struct target_counts *counts)
{
    struct target_counts now;
    count(plan, &now);
    *counts = (struct target_counts){
        .hits = now.hits - before->hits,
        .misses = now.misses - before->misses,
        .fills = now.fills - before->fills,
        .refused = now.refused - before->refused,
        .skipped = now.skipped - before->skipped,
        .invalidations = now.invalidations - before->invalidations,
        .lapses = now.lapses - before->lapses,
        .evictions = now.evictions - before->evictions,
    };
}

/* The time that was measured, if no operation ended later, and what the cache had counted before.
 */
struct span {
    uint64_t start_ns, end_ns;
    struct target_counts before;
};

static void begin(struct run *run, struct span *span, enum phase phase)
{
    if (phase == PHASE_MEASURE)
        count(run->plan, &span->before);
    span->start_ns = clock_now_ns();
    span->end_ns = span->start_ns;
    atomic_store(&run->phase, (int)phase);
}

/* Leads the workers through the phases. */
static void lead(struct run *run, const struct worker *workers, uint32_t started, struct span *span,
                 struct error *error)
{
    const struct run_plan *plan = run->plan;
    gate_await(&run->gate, started);
    if (!atomic_load(&run->failed) && plan->ready != NULL &&
        plan->ready->call(plan->ready->context, error) != 0)
        atomic_store(&run->failed, true);
    bool failed = atomic_load(&run->failed);
    atomic_store(&run->working, started);
    begin(run, span, failed ? PHASE_STOP : plan->warm_up_ms > 0 ? PHASE_WARM_UP : PHASE_MEASURE);
    run->begun_ns = span->start_ns;
    gate_open(&run->gate);
    if (failed)
        return;
    if (plan->warm_up_ms > 0) {
        watch(run, workers, plan->warm_up_ms, NULL);
        begin(run, span, PHASE_MEASURE);
    }
    watch(run, workers, plan->measure_ms, plan->progress);
    atomic_store(&run->phase, PHASE_STOP);
    /* A run that is to do a number of operations ends with its last one. */
    if (plan->operations == 0)
        span->end_ns = clock_now_ns();
}

/* An interrupt of the user is for this thread, not for those that talk to stores. */
static void block_interrupt(sigset_t *before)
{
    sigset_t interrupt;
    sigemptyset(&interrupt);
    sigaddset(&interrupt, SIGINT);
    CHECK(pthread_sigmask(SIG_BLOCK, &interrupt, before) == 0);
}

/* How many threads could be started. */
static uint32_t start_workers(struct run *run, struct worker *workers)
{
    sigset_t before;
    uint32_t started = 0;
    block_interrupt(&before);
    for (; started < run->plan->connections; started++) {
        struct worker *worker = &workers[started];
        worker_init(worker, run, started);
        if (pthread_create(&worker->thread, NULL, worker_main, worker) != 0) {
            atomic_store(&run->failed, true);
            break;
        }
    }
    CHECK(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
    return started;
}

static uint64_t measure_cpu(double *seconds)
{
    struct rusage usage;
    CHECK(getrusage(RUSAGE_SELF, &usage) == 0);
    *seconds = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
               (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
    return (uint64_t)usage.ru_nvcsw;
}

/* Adds up what the joined worker measured. */
static void gather(const struct worker *worker, struct run_result *result, struct error *error)
{
    const struct run_plan *plan = worker->run->plan;
    for (int k = 0; k < BENCH_OPERATIONS; k++) {
        if (!workload_measures(&plan->workload, (enum bench_operation)k))
            continue;
        histogram_merge(&result->latency_ns[k], &worker->latency_ns[k]);
        if (run_intends(plan))
            histogram_merge(&result->intended_ns[k], &worker->intended_ns[k]);
        result->operations[k] += worker->operations[k];
    }
    result->finished += atomic_load(&worker->finished);
    result->executed += worker->executed;
    result->missing += worker->missing;
    if (worker->error.code != 0 && error->code == 0)
        *error = worker->error;
}

static int run_threads(struct run *run, struct worker *workers, struct run_result *result,
                       struct error *error)
{
    double cpu_before, cpu_after;
    struct span span = {0};
    uint64_t switches = measure_cpu(&cpu_before);
    error->code = 0;
    gate_init(&run->gate);
    uint32_t started = start_workers(run, workers);
    lead(run, workers, started, &span, error);
    for (uint32_t i = 0; i < started; i++) {
        pthread_join(workers[i].thread, NULL);
        gather(&workers[i], result, error);
        if (workers[i].last_end_ns > span.end_ns)
            span.end_ns = workers[i].last_end_ns;
    }
    gate_close(&run->gate);
    result->stopped = is_stopped(run);
    count_since(run->plan, &span.before, &result->counts);
    result->seconds = (double)(span.end_ns - span.start_ns) / 1e9;
    result->driver_switches = measure_cpu(&cpu_after) - switches;
    result->driver_cpu_seconds = cpu_after - cpu_before;
    if (error->code == 0 && started < run->plan->connections)
        error_set(error, CAIRN_ENOMEM, "connections: only %u threads can be started", started);
    return error->code;
}

static void result_init(struct run_result *result)
{
    memset(result, 0, sizeof(*result));
    for (int k = 0; k < BENCH_OPERATIONS; k++) {
        histogram_init(&result->latency_ns[k]);
        histogram_init(&result->intended_ns[k]);
    }
}

int run_workload(const struct run_plan *plan, struct run_result *result, struct error *error)
{
    struct run run = {.plan = plan};
    CHECK(plan->connections >= 1 && plan->connections <= RUN_CONNECTIONS_MAX);
    CHECK(plan->batch <= 1 || plan->workload.order != KEYS_SEQUENTIAL);
    CHECK(plan->operations > 0 || plan->measure_ms > 0);
    CHECK(plan->workload.space != NULL || plan->workload.shares[BENCH_INSERT] == 0);
    result_init(result);
    struct worker *workers = calloc(plan->connections, sizeof(*workers));
    int status = CAIRN_ENOMEM;
    if (workers == NULL || values_init(&run.values, plan->workload.value_bytes, plan->seed) != 0)
        error_set(error, status, "run: out of memory");
    else
        status = run_threads(&run, workers, result, error);
    values_free(&run.values);
    free(workers);
    return status;
}

void run_merge(struct run_result *result, const struct run_result *other)
{
    for (int k = 0; k < BENCH_OPERATIONS; k++) {
        histogram_merge(&result->latency_ns[k], &other->latency_ns[k]);
        histogram_merge(&result->intended_ns[k], &other->intended_ns[k]);
        result->operations[k] += other->operations[k];
    }
    result->stopped = result->stopped || other->stopped;
    result->finished += other->finished;
    if (other->seconds > result->seconds)
        result->seconds = other->seconds;
    result->executed += other->executed;
    result->missing += other->missing;
    result->driver_cpu_seconds += other->driver_cpu_seconds;
    result->driver_switches += other->driver_switches;
}

bool run_intends(const struct run_plan *plan)
{
    return plan->rate > 0 && plan->batch <= 1;
}

double run_clock_ns(void)
{
    uint64_t start_ns = clock_now_ns(), last_ns = start_ns;
    for (int i = 1; i <= CLOCK_LOOKS; i++)
        last_ns = clock_now_ns();
    return (double)(last_ns - start_ns) / CLOCK_LOOKS;
}
