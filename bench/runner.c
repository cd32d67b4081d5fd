/* The threads of a benchmark run and the phases they go through together. */
#include "bench/runner.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/check.h"
#include "base/clock.h"
#include "bench/worker.h"

enum { POLL_MS = 20, CLOCK_LOOKS = 10000 };

/* Sleeps, in slices so that a failure ends the run at once. */
static void wait_ms(struct run *run, uint64_t milliseconds)
{
    uint64_t end_ms = clock_now_ms() + milliseconds;
    for (uint64_t now_ms = clock_now_ms(); now_ms < end_ms && !atomic_load(&run->failed);
         now_ms = clock_now_ms())
        clock_sleep_ms(end_ms - now_ms < POLL_MS ? end_ms - now_ms : POLL_MS);
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
    atomic_store(&run->phase, (int)phase);
}

/* Leads the workers through the phases. */
static void lead(struct run *run, uint32_t workers, struct span *span, struct error *error)
{
    const struct run_plan *plan = run->plan;
    gate_await(&run->gate, workers);
    if (!atomic_load(&run->failed) && plan->ready != NULL &&
        plan->ready->call(plan->ready->context, error) != 0)
        atomic_store(&run->failed, true);
    bool failed = atomic_load(&run->failed);
    begin(run, span, failed ? PHASE_STOP : plan->warm_up_ms > 0 ? PHASE_WARM_UP : PHASE_MEASURE);
    gate_open(&run->gate);
    if (!failed && plan->warm_up_ms > 0) {
        wait_ms(run, plan->warm_up_ms);
        begin(run, span, PHASE_MEASURE);
    }
    if (!failed && plan->operations == 0) {
        wait_ms(run, plan->measure_ms);
        atomic_store(&run->phase, PHASE_STOP);
    }
    span->end_ns = clock_now_ns();
}

/* How many threads could be started. */
static uint32_t start_workers(struct run *run, struct worker *workers)
{
    for (uint32_t i = 0; i < run->plan->connections; i++) {
        worker_init(&workers[i], run, i);
        if (pthread_create(&workers[i].thread, NULL, worker_main, &workers[i]) != 0) {
            atomic_store(&run->failed, true);
            return i;
        }
    }
    return run->plan->connections;
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
    for (int k = 0; k < BENCH_OPERATIONS; k++) {
        histogram_merge(&result->latency_ns[k], &worker->latency_ns[k]);
        result->operations[k] += worker->operations[k];
    }
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
    lead(run, started, &span, error);
    for (uint32_t i = 0; i < started; i++) {
        pthread_join(workers[i].thread, NULL);
        gather(&workers[i], result, error);
        if (workers[i].last_end_ns > span.end_ns)
            span.end_ns = workers[i].last_end_ns;
    }
    gate_close(&run->gate);
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
    for (int k = 0; k < BENCH_OPERATIONS; k++)
        histogram_init(&result->latency_ns[k]);
}

int run_workload(const struct run_plan *plan, struct run_result *result, struct error *error)
{
    struct run run = {.plan = plan};
    CHECK(plan->connections >= 1 && plan->connections <= RUN_CONNECTIONS_MAX);
    CHECK(plan->batch <= 1 || plan->workload.order != KEYS_SEQUENTIAL);
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
        result->operations[k] += other->operations[k];
    }
    if (other->seconds > result->seconds)
        result->seconds = other->seconds;
    result->executed += other->executed;
    result->missing += other->missing;
    result->driver_cpu_seconds += other->driver_cpu_seconds;
    result->driver_switches += other->driver_switches;
}

double run_clock_ns(void)
{
    uint64_t start_ns = clock_now_ns(), last_ns = start_ns;
    for (int i = 1; i <= CLOCK_LOOKS; i++)
        last_ns = clock_now_ns();
    return (double)(last_ns - start_ns) / CLOCK_LOOKS;
}
