/* What a seed decides before the run: the cluster's shape, the network, and which faults there are.
 *
 * Each run has some kinds of faults and not others: a run with all of them hides what a few, often
 * repeated, would show. */
#include "tests/sim/sim.h"

enum { HEALED_SECONDS = 60 };

void plan_fixed(struct plan *plan)
{
    *plan = (struct plan){.servers = 3,
                          .partitions = 1,
                          .replicas = 2,
                          .clients = 2,
                          .keys = 4,
                          .delay_us = 500,
                          .sync_us = 1 * MS,
                          .think_us = 20 * MS,
                          .reads_percent = 35,
                          .lease_ms = 1000,
                          .grace_ms = 1500,
                          .replace_after_ms = 300000,
                          .stop_us = 1000 * MS,
                          .faults_until_us = 20000 * MS,
                          .scripted = true};
    plan->give_up_us = plan->faults_until_us + HEALED_SECONDS * 1000 * MS;
}

static uint32_t draw_replicas(struct sim *sim)
{
    uint64_t drawn = sim_below(sim, 100);

    return drawn < 5 ? 1 : drawn < 60 ? 2 : 3;
}

static void draw_network(struct sim *sim)
{
    struct plan *plan = &sim->plan;

    plan->delay_us = 100 + sim_below(sim, 2 * MS);
    plan->loss = sim_chance(sim, 0.5) ? 0 : 0.15 * random_unit(&sim->random);
    plan->duplicate = sim_chance(sim, 0.5) ? 0 : 0.1 * random_unit(&sim->random);
    plan->late = sim_chance(sim, 0.4) ? 0 : 0.05 * random_unit(&sim->random);
    plan->late_us = sim_chance(sim, 0.5) ? 50 * MS : 3000 * MS;
    plan->busy = sim_chance(sim, 0.7) ? 0 : 0.1;
    plan->sync_us = 200 + sim_below(sim, 4 * MS);
}

/* Every other fault is of one kind; of the others there are fewer kinds, or they would undo it. */
static void aim(struct sim *sim)
{
    static const enum fault_kind aims[] = {FAULT_ISOLATE, FAULT_SWITCH, FAULT_SWITCH,
                                           FAULT_AGENT_KILL, FAULT_AGENT_PAUSE};
    const enum fault_kind aimed = aims[sim_below(sim, sizeof aims / sizeof *aims)];
    uint32_t others = 0;

    for (uint32_t i = 0; i < FAULT_KINDS; i++) {
        if (sim_chance(sim, 0.5))
            sim->plan.weights[i] = 0;
        others += sim->plan.weights[i];
    }
    sim->plan.weights[aimed] += others + 1;
    sim->plan.fault_gap_us = (60 + sim_below(sim, 500)) * MS;
}

static void draw_faults(struct sim *sim)
{
    static const uint32_t weights[FAULT_KINDS] = {
        [FAULT_CRASH] = 20,        [FAULT_CRASH_TWO] = 6,   [FAULT_CRASH_MANAGER] = 6,
        [FAULT_PAUSE] = 10,        [FAULT_LONG_PAUSE] = 10, [FAULT_PAUSE_MANAGER] = 4,
        [FAULT_CUT_ONE_WAY] = 10,  [FAULT_CUT] = 10,        [FAULT_ISOLATE] = 8,
        [FAULT_SLOW_DISK] = 6,     [FAULT_WIPE] = 4,        [FAULT_UNMOUNT] = 3,
        [FAULT_DAMAGE] = 4,        [FAULT_SWITCH] = 10,     [FAULT_DRAIN] = 6,
        [FAULT_CHECKPOINT] = 30,   [FAULT_CUT_LOG] = 20,    [FAULT_CLIENT_RESTART] = 4,
        [FAULT_AGENT_KILL] = 15,   [FAULT_AGENT_LEAVE] = 6, [FAULT_AGENT_PAUSE] = 25,
        [FAULT_MACHINE_PAUSE] = 6, [FAULT_CONNECTION] = 20, [FAULT_SEGMENT] = 4,
    };

    for (uint32_t i = 0; i < FAULT_KINDS; i++)
        sim->plan.weights[i] =
            sim_chance(sim, 0.55) && (sim->plan.machines > 0 || i < FAULT_AGENT_KILL) ? weights[i]
                                                                                      : 0;
    sim->plan.weights[FAULT_CRASH] += 1;
    sim->plan.fault_gap_us = (60 + sim_below(sim, 700)) * MS;
    if (sim->plan.strained)
        aim(sim);
}

/* Clusters in which a cache's rules are all that keeps it right: several hosts read and write the
 * same few keys of servers that lead several partitions, and faults aim at the caches. */
static void strain(struct sim *sim)
{
    struct plan *plan = &sim->plan;

    plan->machines = 2 + (uint32_t)sim_below(sim, SIM_MACHINES - 1);
    plan->clients = 3 + (uint32_t)sim_below(sim, SIM_CLIENTS - 2);
    plan->servers = sim_chance(sim, 0.7) ? 3 : plan->servers;
    plan->replicas = sim_chance(sim, 0.7) ? 2 : 3;
    plan->partitions = 2 + (uint32_t)sim_below(sim, SIM_PARTITIONS - 1);
    plan->keys = 1 + (uint32_t)sim_below(sim, sim_chance(sim, 0.5) ? 3 : 8);
    plan->reads_percent = 50 + sim_below(sim, 35);
    plan->think_us = (3 + sim_below(sim, 15)) * MS;
    plan->faults_until_us = plan->quiet_us + (3000 + sim_below(sim, 4000)) * MS;
    plan->drifting = sim_chance(sim, 0.5);
}

/* Hosts' caches: few keys that are read much, so that hits, invalidations and races are many. */
static void draw_machines(struct sim *sim)
{
    struct plan *plan = &sim->plan;

    if (sim_chance(sim, 0.4))
        return;
    plan->machines = 1 + (uint32_t)sim_below(sim, SIM_MACHINES);
    if (sim_chance(sim, 0.4))
        plan->partitions = 2 + (uint32_t)sim_below(sim, SIM_PARTITIONS - 1);
    if (sim_chance(sim, 0.4))
        plan->keys = 4 + (uint32_t)sim_below(sim, SIM_EXPIRING - 4 + 1);
    plan->reads_percent = 50 + sim_below(sim, 45);
    plan->think_us = (2 + sim_below(sim, 30)) * MS;
    plan->stop = sim_chance(sim, 0.3) ? 0 : 0.02 * random_unit(&sim->random);
    plan->stop_us = sim_chance(sim, 0.5) ? 300 * MS : 2500 * MS;
    plan->die = sim_chance(sim, 0.5) ? 0 : 0.02 * random_unit(&sim->random);
    plan->crowded = sim_chance(sim, 0.5);
    plan->strained = sim_chance(sim, 0.6);
    if (plan->strained)
        strain(sim);
}

void plan_draw(struct sim *sim)
{
    struct plan *plan = &sim->plan;

    /* L3: at times hardly more than clocks need that differ by two percent. */
    *plan = (struct plan){.lease_ms = 1000, .grace_ms = sim_chance(sim, 0.3) ? 1025 : 1500};
    plan->servers = 3 + (uint32_t)sim_below(sim, SIM_SERVERS - 2);
    plan->partitions = 1 + (uint32_t)sim_below(sim, sim_chance(sim, 0.3) ? SIM_PARTITIONS : 2);
    plan->replicas = draw_replicas(sim);
    plan->clients = 2 + (uint32_t)sim_below(sim, SIM_CLIENTS - 1);
    plan->keys = 1 + (uint32_t)sim_below(sim, 4);
    plan->operations = 300;
    plan->reads_percent = sim_chance(sim, 0.7) ? 35 : 80 + sim_below(sim, 20);
    plan->expiring_percent = sim_chance(sim, 0.7) ? 10 : sim_below(sim, 100);
    plan->think_us = (3 + sim_below(sim, 60)) * MS;
    plan->quiet_us = (600 + sim_below(sim, 1500)) * MS;
    plan->faults_until_us = plan->quiet_us + (3000 + sim_below(sim, 9000)) * MS;
    plan->replace_after_ms = sim_chance(sim, 0.5) ? 4000 : 300000;
    plan->undecided = sim_chance(sim, 0.25);
    draw_machines(sim);
    plan->give_up_us = plan->faults_until_us + HEALED_SECONDS * 1000 * MS;
    draw_network(sim);
    draw_faults(sim);
}
