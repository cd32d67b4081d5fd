/* What one connection of a run does. */
#include "bench/worker.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/check.h"
#include "base/clock.h"

enum { NS_PER_S = 1000000000, NAP_NS = 50000000 };

void worker_init(struct worker *worker, struct run *run, uint32_t index)
{
    worker->run = run;
    worker->index = index;
    random_seed(&worker->random, run->plan->seed * RUN_CONNECTIONS_MAX + index);
    for (int k = 0; k < BENCH_OPERATIONS; k++) {
        if (!workload_measures(&run->plan->workload, (enum bench_operation)k))
            continue;
        histogram_init(&worker->latency_ns[k]);
        if (run_intends(run->plan))
            histogram_init(&worker->intended_ns[k]);
    }
}

/* `latency_ns` is of one of `count` operations. */
static void record(struct worker *worker, enum bench_operation operation, uint64_t count,
                   uint64_t latency_ns, uint64_t end_ns)
{
    histogram_record(&worker->latency_ns[operation], latency_ns);
    if (run_intends(worker->run->plan))
        histogram_record(&worker->intended_ns[operation], end_ns - worker->due_ns);
    worker->operations[operation] += count;
    worker->last_end_ns = end_ns;
}

static void finish(struct worker *worker, uint64_t count, bool measured)
{
    uint64_t finished = atomic_load_explicit(&worker->finished, memory_order_relaxed);
    worker->executed += count;
    if (measured)
        atomic_store_explicit(&worker->finished, finished + count, memory_order_relaxed);
}

static int put(struct worker *worker, struct bytes key)
{
    struct bytes value = values_pick(&worker->run->values, &worker->random);
    return worker->run->plan->target->put(worker->session, key, value, &worker->error);
}

static int get(struct worker *worker, struct bytes key)
{
    bool found = true;
    int status = worker->run->plan->target->get(worker->session, key, &found, &worker->error);
    worker->missing += !found;
    return status;
}

static int scan(struct worker *worker, struct bytes from)
{
    const struct run_plan *plan = worker->run->plan;
    return plan->target->scan(worker->session, from,
                              workload_scan_length(&plan->workload, &worker->random),
                              &worker->error);
}

/* Its parts are measured like a GET and a PUT, too. */
static int modify(struct worker *worker, struct bytes key, bool measured)
{
    uint64_t start_ns = clock_now_ns();
    int status = get(worker, key);
    if (status != 0)
        return status;
    uint64_t read_ns = clock_now_ns();
    status = put(worker, key);
    if (status != 0 || !measured)
        return status;
    uint64_t end_ns = clock_now_ns();
    record(worker, BENCH_GET, 1, read_ns - start_ns, read_ns);
    record(worker, BENCH_PUT, 1, end_ns - read_ns, end_ns);
    return 0;
}

static int call_target(struct worker *worker, enum bench_operation operation, struct bytes key,
                       bool measured)
{
    switch (operation) {
    case BENCH_PUT:
    case BENCH_INSERT:
        return put(worker, key);
    case BENCH_GET:
        return get(worker, key);
    case BENCH_SCAN:
        return scan(worker, key);
    case BENCH_REMOVE:
        return worker->run->plan->target->remove(worker->session, key, &worker->error);
    case BENCH_MODIFY:
        return modify(worker, key, measured);
    case BENCH_OPERATIONS:
        break;
    }
    check_failed(__FILE__, __LINE__, __func__, "an operation");
}

static uint64_t choose_key(struct worker *worker, enum bench_operation operation)
{
    struct run *run = worker->run;
    const struct workload *workload = &run->plan->workload;
    uint64_t sequence = 0;
    if (operation == BENCH_INSERT)
        return key_space_claim(workload->space);
    if (workload->order == KEYS_SEQUENTIAL)
        sequence = atomic_fetch_add_explicit(&run->sequence, 1, memory_order_relaxed);
    return workload_key(workload, &worker->random, sequence);
}

static int acknowledge(struct worker *worker, uint64_t number)
{
    if (key_space_acknowledge(worker->run->plan->workload.space, number))
        return 0;
    return error_set(&worker->error, CAIRN_EFULL,
                     "run: an insert is not answered while %d others were", KEY_SPACE_WINDOW);
}

/* One operation; measured ones are recorded. False after a failure. */
static bool run_operation(struct worker *worker, bool measured)
{
    const struct workload *workload = &worker->run->plan->workload;
    char text[BENCH_KEY_MAX];
    enum bench_operation operation = workload_operation(workload, &worker->random);
    uint64_t number = choose_key(worker, operation);
    struct bytes key = workload_key_text(workload, number, text);
    uint64_t start_ns = clock_now_ns();
    if (call_target(worker, operation, key, measured) != 0)
        return false;
    uint64_t end_ns = clock_now_ns();
    if (measured)
        record(worker, operation, 1, end_ns - start_ns, end_ns);
    finish(worker, 1, measured);
    return operation != BENCH_INSERT || acknowledge(worker, number) == 0;
}

/* A batch between two looks at the clock, of keys drawn before. */
static bool run_batch(struct worker *worker, bool measured)
{
    const struct run_plan *plan = worker->run->plan;
    enum bench_operation operation = workload_operation(&plan->workload, &worker->random);
    size_t length = plan->workload.key_bytes;
    CHECK(plan->batch > 0);
    uint64_t start_ns = clock_now_ns();
    for (uint32_t i = 0; i < plan->batch; i++) {
        const char *key = worker->drawn + worker->next++ % RUN_DRAWN * length;
        if (call_target(worker, operation, (struct bytes){key, length}, false) != 0)
            return false;
    }
    uint64_t end_ns = clock_now_ns();
    if (measured)
        record(worker, operation, plan->batch, (end_ns - start_ns) / plan->batch, end_ns);
    finish(worker, plan->batch, measured);
    return true;
}

static int draw_keys(struct worker *worker)
{
    const struct workload *workload = &worker->run->plan->workload;
    char text[BENCH_KEY_MAX];
    worker->drawn = malloc(RUN_DRAWN * workload->key_bytes);
    if (worker->drawn == NULL)
        return error_set(&worker->error, CAIRN_ENOMEM, "run: out of memory");
    for (size_t i = 0; i < RUN_DRAWN; i++) {
        struct bytes key =
            workload_key_text(workload, workload_key(workload, &worker->random, i), text);
        memcpy(worker->drawn + i * key.length, key.data, key.length);
    }
    return 0;
}

static bool is_over(struct run *run)
{
    return atomic_load_explicit(&run->phase, memory_order_relaxed) == PHASE_STOP ||
           atomic_load_explicit(&run->failed, memory_order_relaxed);
}

/* Of a run at a rate: sleeps until the next operation is due. All connections of all processes take
 * turns. One that is late begins at once, and the times when the others are due stay where they
 * are. False if the run ended meanwhile. */
static bool await_turn(struct worker *worker)
{
    struct run *run = worker->run;
    const struct run_plan *plan = run->plan;
    uint64_t processes = plan->processes > 0 ? plan->processes : 1;
    uint64_t turn = (worker->paced * processes + plan->process) * plan->connections + worker->index;
    worker->paced++;
    worker->due_ns =
        run->begun_ns + turn / plan->rate * NS_PER_S + turn % plan->rate * NS_PER_S / plan->rate;
    for (uint64_t now_ns = clock_now_ns(); now_ns < worker->due_ns; now_ns = clock_now_ns()) {
        uint64_t rest_ns = worker->due_ns - now_ns;
        struct timespec nap = {.tv_nsec = (long)(rest_ns < NAP_NS ? rest_ns : NAP_NS)};
        if (is_over(run))
            return false;
        nanosleep(&nap, NULL);
    }
    return true;
}

static bool may_go_on(struct run *run, bool measured)
{
    uint64_t most = run->plan->operations, step = run->plan->batch > 1 ? run->plan->batch : 1;
    return !measured || most == 0 ||
           atomic_fetch_add_explicit(&run->claimed, step, memory_order_relaxed) < most;
}

static void run_operations(struct worker *worker)
{
    struct run *run = worker->run;
    const struct run_plan *plan = run->plan;
    while (!is_over(run) && (plan->rate == 0 || await_turn(worker))) {
        bool measured = atomic_load_explicit(&run->phase, memory_order_relaxed) == PHASE_MEASURE;
        if (!may_go_on(run, measured))
            return;
        if (!(plan->batch > 1 ? run_batch(worker, measured) : run_operation(worker, measured))) {
            atomic_store(&run->failed, true);
            return;
        }
    }
}

void *worker_main(void *argument)
{
    struct worker *worker = argument;
    struct run *run = worker->run;
    const struct run_plan *plan = run->plan;
    if ((plan->batch > 1 && draw_keys(worker) != 0) ||
        plan->target->open(&plan->place, &worker->session, &worker->error) != 0)
        atomic_store(&run->failed, true);
    gate_pass(&run->gate);
    if (worker->session != NULL) {
        run_operations(worker);
        plan->target->close(worker->session);
    }
    free(worker->drawn);
    atomic_fetch_sub(&run->working, 1);
    return NULL;
}
