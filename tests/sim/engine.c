/* The simulated run: time, the order of events, who gets them, and how a run ends. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/check.h"
#include "tests/sim/sim.h"

enum { EVENTS_MAX = 3000000, PHASE_MS = 200, FINAL_OPERATIONS = 3 };

/* --- what is told
 * --------------------------------------------------------------------------------- */

const char *sim_node_name(uint32_t node)
{
    static const char *const names[SIM_NODES] = {
        "server 0", "server 1", "server 2", "server 3",  "server 4",  "manager",   "client 0",
        "client 1", "client 2", "client 3", "machine 0", "machine 1", "machine 2",
    };

    CHECK(node < SIM_NODES);
    return names[node];
}

void sim_trace_line(struct sim *sim, const char *format, ...)
{
    va_list arguments;

    (void)printf("%10.3f ", (double)sim->now_us / 1000);
    va_start(arguments, format);
    (void)vprintf(format, arguments);
    va_end(arguments);
    (void)putchar('\n');
}

void sim_fail(struct sim *sim, const char *format, ...)
{
    va_list arguments;

    if (sim->failed)
        return;
    sim->failed = true;
    va_start(arguments, format);
    (void)vsnprintf(sim->violation, sizeof sim->violation, format, arguments);
    va_end(arguments);
    TRACE(sim, "VIOLATION %s", sim->violation);
}

/* --- chance and time
 * -------------------------------------------------------------------------------- */

uint64_t sim_below(struct sim *sim, uint64_t bound)
{
    return random_below(&sim->random, bound);
}

bool sim_chance(struct sim *sim, double probability)
{
    return probability > 0 && random_unit(&sim->random) < probability;
}

double sim_rate(struct sim *sim)
{
    uint64_t drawn = sim_below(sim, 201);

    if (sim->plan.drifting)
        drawn = drawn < 100 ? 0 : 200;
    return 0.99 + 0.0001 * (double)drawn;
}

void sim_schedule(struct sim *sim, uint64_t after_us, enum event_kind kind, uint32_t node,
                  uint64_t generation, uint64_t number, const void *data)
{
    const struct event event = {.at_us = sim->now_us + after_us,
                                .kind = kind,
                                .node = node,
                                .generation = generation,
                                .number = number,
                                .data = data};

    queue_push(&sim->queue, &event);
}

/* --- beginning and end
 * -------------------------------------------------------------------------------- */

void sim_init(struct sim *sim, uint64_t seed, bool tracing)
{
    struct arena arena = sim->arena;
    struct queue queue = sim->queue;
    void *segments = sim->segments;

    memset(sim, 0, sizeof *sim);
    arena_reset(&arena);
    sim->arena = arena;
    sim->queue = queue;
    sim->segments = segments;
    sim->queue.count = 0;
    sim->queue.sequence = 0;
    sim->seed = seed;
    sim->tracing = tracing;
    sim->next_store = 100;
    random_seed(&sim->random, seed);
    sim->history = arena_alloc(&sim->arena, SIM_OPERATIONS * sizeof *sim->history);
}

static void build_cluster(struct sim *sim)
{
    manager_init(sim);
    for (uint32_t i = 0; i < SIM_SERVERS; i++)
        host_init(sim, i);
    manager_start(sim);
    for (uint32_t i = 0; i < sim->plan.servers; i++)
        sim_schedule(sim, sim_below(sim, 300 * MS), EVENT_START, i, 0, 0, NULL);
    for (uint32_t i = 0; i < sim->plan.clients; i++)
        client_init(sim, i);
    for (uint32_t i = 0; i < sim->plan.machines; i++)
        machine_init(sim, i);
    if (!sim->plan.scripted)
        sim_schedule(sim, sim->plan.quiet_us, EVENT_FAULT, 0, 0, 0, NULL);
    sim_schedule(sim, sim->plan.faults_until_us, EVENT_PHASE, 0, 0, 0, NULL);
}

void sim_free(struct sim *sim)
{
    for (uint32_t i = 0; i < SIM_SERVERS; i++)
        if (sim->hosts[i].sim != NULL)
            host_free(&sim->hosts[i]);
    manager_free(sim);
}

void sim_close(struct sim *sim)
{
    queue_free(&sim->queue);
    if (sim->segments != NULL)
        (void)munmap(sim->segments, (size_t)SIM_MACHINES * SIM_SEGMENTS * SIM_SEGMENT_BYTES);
    arena_free(&sim->arena);
    free(sim);
}

/* Safety under faults first; then everything is healed, and progress is due. */
static void phase(struct sim *sim)
{
    const char *reason;

    if (!sim->healing) {
        TRACE(sim, "everything is healed");
        sim->healing = true;
        fault_heal(sim);
        for (uint32_t i = 0; i < sim->plan.clients; i++)
            if (sim->clients[i].left > FINAL_OPERATIONS)
                sim->clients[i].left = FINAL_OPERATIONS;
    }
    reason = invariant_progress(sim);
    for (uint32_t i = 0; i < sim->plan.clients && reason == NULL && !sim->plan.scripted; i++)
        if (sim->clients[i].left > 0 && !sim->clients[i].busy)
            reason = "a client is not done";
    if (reason == NULL)
        sim->done = true;
    else if (sim->now_us >= sim->plan.give_up_us)
        sim_fail(
            sim, "no progress %llu s after all was healed: %s",
            (unsigned long long)((sim->plan.give_up_us - sim->plan.faults_until_us) / MS / 1000),
            reason);
    else
        sim_schedule(sim, PHASE_MS * MS, EVENT_PHASE, 0, 0, 0, NULL);
}

/* --- events
 * -----------------------------------------------------------------------------------------------
 */

static void server_event(struct sim *sim, const struct event *event)
{
    struct host *host = &sim->hosts[event->node];

    if (event->kind == EVENT_START) {
        if (event->number == 1)
            host_mount(host);
        host_start(host);
        return;
    }
    if (event->generation != 0 && event->generation != host->generation)
        return;
    /* A paused process finds everything at once when it wakes. */
    if (host->paused_until_us > sim->now_us) {
        struct event later = *event;

        later.at_us = host->paused_until_us;
        queue_push(&sim->queue, &later);
        return;
    }
    host_event(host, event);
}

static void manager_node_event(struct sim *sim, const struct event *event)
{
    struct manager_host *manager = &sim->manager;

    if (event->kind == EVENT_START) {
        manager_start(sim);
        return;
    }
    if (event->generation != 0 && event->generation != manager->generation)
        return;
    if (manager->paused_until_us > sim->now_us) {
        struct event later = *event;

        later.at_us = manager->paused_until_us;
        queue_push(&sim->queue, &later);
        return;
    }
    manager_event(sim, event);
}

/* A suspended machine's processes find everything at once when it wakes. */
static bool is_suspended(struct sim *sim, uint32_t machine, const struct event *event)
{
    struct event later = *event;

    if (machine >= sim->plan.machines || sim->machines[machine].paused_until_us <= sim->now_us)
        return false;
    later.at_us = sim->machines[machine].paused_until_us;
    queue_push(&sim->queue, &later);
    return true;
}

static void client_node_event(struct sim *sim, const struct event *event)
{
    struct client *client = &sim->clients[event->node - SIM_FIRST_CLIENT];

    if (event->generation != 0 && event->generation != client->generation)
        return;
    if (!is_suspended(sim, client->machine, event))
        client_event(sim, event);
}

static void machine_node_event(struct sim *sim, const struct event *event)
{
    uint32_t machine = event->node - SIM_FIRST_MACHINE;

    if (is_suspended(sim, machine, event))
        return;
    if (event->kind == EVENT_MESSAGE)
        agent_take_answer(&sim->machines[machine], event);
    else
        agent_event(sim, event);
}

static void dispatch(struct sim *sim, const struct event *event)
{
    switch (event->kind) {
    case EVENT_FAULT:
        fault_event(sim);
        return;
    case EVENT_PHASE:
        phase(sim);
        return;
    case EVENT_SCRIPT:
        script_event(sim, event);
        return;
    default:
        break;
    }
    if (event->node < SIM_SERVERS)
        server_event(sim, event);
    else if (event->node == SIM_MANAGER)
        manager_node_event(sim, event);
    else if (event->node < SIM_FIRST_MACHINE)
        client_node_event(sim, event);
    else
        machine_node_event(sim, event);
}

bool sim_run(struct sim *sim)
{
    struct event event;

    build_cluster(sim);
    while (!sim->failed && !sim->done && queue_pop(&sim->queue, &event)) {
        CHECK(event.at_us >= sim->now_us);
        sim->now_us = event.at_us;
        dispatch(sim, &event);
        if (++sim->counters.events > EVENTS_MAX)
            sim_fail(sim, "more than %d events", EVENTS_MAX);
    }
    invariant_end(sim);
    sim->counters.seeds = 1;
    sim->counters.simulated_us = sim->now_us;
    return !sim->failed;
}
