/* The threads of a benchmark run and the phases they go through together. */
#include "bench/runner.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/check.h"
#include "base/clock.h"

enum phase { PHASE_WARM_UP, PHASE_MEASURE, PHASE_STOP };

enum { POLL_MS = 20 };

/* Workers arrive and wait; the leader sees all arrive and opens. */
struct gate {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    uint32_t arrived;
    bool open;
};

/* Shared by all threads of a run. */
struct run {
    const struct run_plan *plan;
    struct values values;
    atomic_int phase;
    atomic_bool failed;
    _Atomic uint64_t sequence; /* operations started, for the order of keys */
    _Atomic uint64_t claimed;  /* measured operations started */
    struct gate gate;          /* passed by all when all are connected */
};

/* One connection. */
struct worker {
    struct run *run;
    pthread_t thread;
    struct session *session;
    struct random random;
    struct histogram latency_ns[BENCH_OPERATIONS];
    uint64_t operations[BENCH_OPERATIONS];
    uint64_t executed, missing;
    uint64_t last_end_ns;
    struct error error;
};

static void gate_init(struct gate *gate)
{
    memset(gate, 0, sizeof(*gate));
    CHECK(pthread_mutex_init(&gate->lock, NULL) == 0);
    CHECK(pthread_cond_init(&gate->changed, NULL) == 0);
}

static void gate_close(struct gate *gate)
{
    pthread_cond_destroy(&gate->changed);
    pthread_mutex_destroy(&gate->lock);
}

static void gate_pass(struct gate *gate)
{
    pthread_mutex_lock(&gate->lock);
    gate->arrived++;
    pthread_cond_broadcast(&gate->changed);
    while (!gate->open)
        pthread_cond_wait(&gate->changed, &gate->lock);
    pthread_mutex_unlock(&gate->lock);
}

static void gate_await(struct gate *gate, uint32_t count)
{
    pthread_mutex_lock(&gate->lock);
    while (gate->arrived < count)
        pthread_cond_wait(&gate->changed, &gate->lock);
    pthread_mutex_unlock(&gate->lock);
}

static void gate_open(struct gate *gate)
{
    pthread_mutex_lock(&gate->lock);
    gate->open = true;
    pthread_cond_broadcast(&gate->changed);
    pthread_mutex_unlock(&gate->lock);
}

static int call_target(struct worker *worker, enum bench_operation operation, struct bytes key)
{
    const struct run_plan *plan = worker->run->plan;
    struct session *session = worker->session;
    bool found = true;
    int status = CAIRN_EINVAL;
    switch (operation) {
    case BENCH_PUT:
        status = plan->target->put(session, key, values_pick(&worker->run->values, &worker->random),
                                   &worker->error);
        break;
    case BENCH_GET:
        status = plan->target->get(session, key, &found, &worker->error);
        break;
    case BENCH_SCAN:
        status = plan->target->scan(session, key, plan->workload.scan_limit, &worker->error);
        break;
    case BENCH_REMOVE:
        status = plan->target->remove(session, key, &worker->error);
        break;
    case BENCH_OPERATIONS:
        check_failed(__FILE__, __LINE__, __func__, "an operation");
    }
    worker->missing += !found;
    return status;
}

/* One operation; measured ones are recorded. False after a failure. */
static bool run_operation(struct worker *worker, bool measured)
{
    struct run *run = worker->run;
    const struct workload *workload = &run->plan->workload;
    char text[BENCH_KEY_MAX];
    uint64_t sequence = workload->order == KEYS_SEQUENTIAL
                            ? atomic_fetch_add_explicit(&run->sequence, 1, memory_order_relaxed)
                            : 0;
    enum bench_operation operation = workload_operation(workload, &worker->random);
    struct bytes key =
        workload_key_text(workload, workload_key(workload, &worker->random, sequence), text);
    uint64_t start_ns = clock_now_ns();
    if (call_target(worker, operation, key) != 0)
        return false;
    uint64_t end_ns = clock_now_ns();
    worker->executed++;
    if (measured) {
        histogram_record(&worker->latency_ns[operation], end_ns - start_ns);
        worker->operations[operation]++;
        worker->last_end_ns = end_ns;
    }
    return true;
}

static bool may_go_on(struct run *run, bool measured)
{
    uint64_t most = run->plan->operations;
    return !measured || most == 0 ||
           atomic_fetch_add_explicit(&run->claimed, 1, memory_order_relaxed) < most;
}

static void run_operations(struct worker *worker)
{
    struct run *run = worker->run;
    for (;;) {
        int phase = atomic_load_explicit(&run->phase, memory_order_relaxed);
        bool measured = phase == PHASE_MEASURE;
        if (phase == PHASE_STOP || atomic_load_explicit(&run->failed, memory_order_relaxed) ||
            !may_go_on(run, measured))
            return;
        if (!run_operation(worker, measured)) {
            atomic_store(&run->failed, true);
            return;
        }
    }
}

static void *worker_main(void *argument)
{
    struct worker *worker = argument;
    struct run *run = worker->run;
    const struct run_plan *plan = run->plan;
    if (plan->target->open(&plan->place, &worker->session, &worker->error) != 0)
        atomic_store(&run->failed, true);
    gate_pass(&run->gate);
    if (worker->session != NULL) {
        run_operations(worker);
        plan->target->close(worker->session);
    }
    return NULL;
}

/* Sleeps, in slices so that a failure ends the run at once. */
static void wait_ms(struct run *run, uint64_t milliseconds)
{
    uint64_t end_ms = clock_now_ms() + milliseconds;
    for (uint64_t now_ms = clock_now_ms(); now_ms < end_ms && !atomic_load(&run->failed);
         now_ms = clock_now_ms())
        clock_sleep_ms(end_ms - now_ms < POLL_MS ? end_ms - now_ms : POLL_MS);
}

/* Leads the workers through the phases; `*start_ns` to `*end_ns` is what was measured, if no
 * operation ended later. */
static void lead(struct run *run, uint32_t workers, uint64_t *start_ns, uint64_t *end_ns)
{
    const struct run_plan *plan = run->plan;
    gate_await(&run->gate, workers);
    bool failed = atomic_load(&run->failed);
    atomic_store(&run->phase, failed                 ? PHASE_STOP
                              : plan->warm_up_ms > 0 ? PHASE_WARM_UP
                                                     : PHASE_MEASURE);
    *start_ns = clock_now_ns();
    gate_open(&run->gate);
    if (!failed && plan->warm_up_ms > 0) {
        wait_ms(run, plan->warm_up_ms);
        *start_ns = clock_now_ns();
        atomic_store(&run->phase, PHASE_MEASURE);
    }
    if (!failed && plan->operations == 0) {
        wait_ms(run, plan->measure_ms);
        atomic_store(&run->phase, PHASE_STOP);
    }
    *end_ns = clock_now_ns();
}

/* How many threads could be started. */
static uint32_t start_workers(struct run *run, struct worker *workers)
{
    for (uint32_t i = 0; i < run->plan->connections; i++) {
        workers[i].run = run;
        random_seed(&workers[i].random, run->plan->seed * RUN_CONNECTIONS_MAX + i);
        for (int k = 0; k < BENCH_OPERATIONS; k++)
            histogram_init(&workers[i].latency_ns[k]);
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
    uint64_t start_ns, end_ns, switches = measure_cpu(&cpu_before);
    gate_init(&run->gate);
    uint32_t count = start_workers(run, workers);
    lead(run, count, &start_ns, &end_ns);
    error->code = 0;
    for (uint32_t i = 0; i < count; i++) {
        pthread_join(workers[i].thread, NULL);
        gather(&workers[i], result, error);
        if (workers[i].last_end_ns > end_ns)
            end_ns = workers[i].last_end_ns;
    }
    gate_close(&run->gate);
    result->seconds = (double)(end_ns - start_ns) / 1e9;
    result->driver_switches = measure_cpu(&cpu_after) - switches;
    result->driver_cpu_seconds = cpu_after - cpu_before;
    if (error->code == 0 && count < run->plan->connections)
        error_set(error, CAIRN_ENOMEM, "connections: only %u threads can be started", count);
    return error->code;
}

int run_workload(const struct run_plan *plan, struct run_result *result, struct error *error)
{
    struct run run = {.plan = plan};
    CHECK(plan->connections >= 1 && plan->connections <= RUN_CONNECTIONS_MAX);
    memset(result, 0, sizeof(*result));
    for (int k = 0; k < BENCH_OPERATIONS; k++)
        histogram_init(&result->latency_ns[k]);
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
