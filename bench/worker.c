/* What one connection of a run does. */
#include "bench/worker.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"

enum { NS_PER_MS = 1000000 };

void worker_init(struct worker *worker, struct run *run, uint32_t index)
{
    worker->run = run;
    random_seed(&worker->random, run->plan->seed * RUN_CONNECTIONS_MAX + index);
    for (int k = 0; k < BENCH_OPERATIONS; k++)
        histogram_init(&worker->latency_ns[k]);
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

/* `latency_ns` is of one of `count` operations. */
static void record(struct worker *worker, enum bench_operation operation, uint64_t count,
                   uint64_t latency_ns, uint64_t end_ns)
{
    histogram_record(&worker->latency_ns[operation], latency_ns);
    worker->operations[operation] += count;
    worker->last_end_ns = end_ns;
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
    if (measured)
        record(worker, operation, 1, end_ns - start_ns, end_ns);
    return true;
}

/* A batch between two looks at the clock, of keys drawn before. */
static bool run_batch(struct worker *worker, bool measured)
{
    const struct run_plan *plan = worker->run->plan;
    enum bench_operation operation = workload_operation(&plan->workload, &worker->random);
    size_t length = plan->workload.key_bytes;
    uint64_t start_ns = clock_now_ns();
    for (uint32_t i = 0; i < plan->batch; i++) {
        const char *key = worker->drawn + worker->next++ % RUN_DRAWN * length;
        if (call_target(worker, operation, (struct bytes){key, length}) != 0)
            return false;
    }
    uint64_t end_ns = clock_now_ns();
    worker->executed += plan->batch;
    if (measured)
        record(worker, operation, plan->batch, (end_ns - start_ns) / plan->batch, end_ns);
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

/* Of a run at a rate: sleeps until the next operation is due. One that is late is not made up for
 * by two at once: the times when they are due stay where they are. */
static void await_turn(struct worker *worker)
{
    const struct run_plan *plan = worker->run->plan;
    uint64_t now_ns = clock_now_ns();
    if (worker->paced == 0)
        worker->begun_ns = now_ns;
    uint64_t due_ns = worker->begun_ns + (uint64_t)((double)worker->paced * plan->connections *
                                                    1e9 / (double)plan->rate);
    worker->paced++;
    if (due_ns > now_ns)
        clock_sleep_ms((due_ns - now_ns + NS_PER_MS - 1) / NS_PER_MS);
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
    for (;;) {
        int phase = atomic_load_explicit(&run->phase, memory_order_relaxed);
        bool measured = phase == PHASE_MEASURE;
        if (phase == PHASE_STOP || atomic_load_explicit(&run->failed, memory_order_relaxed) ||
            !may_go_on(run, measured))
            return;
        if (plan->rate > 0)
            await_turn(worker);
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
    return NULL;
}
