/* The faults of a random run, and their end. */
#include "base/check.h"
#include "tests/sim/sim.h"

const char *const fault_names[FAULT_KINDS] = {
    [FAULT_CRASH] = "crash",
    [FAULT_CRASH_TWO] = "crash of two",
    [FAULT_CRASH_MANAGER] = "manager crash",
    [FAULT_PAUSE] = "pause",
    [FAULT_LONG_PAUSE] = "long pause",
    [FAULT_PAUSE_MANAGER] = "manager pause",
    [FAULT_CUT_ONE_WAY] = "one-way cut",
    [FAULT_CUT] = "cut",
    [FAULT_ISOLATE] = "isolation",
    [FAULT_SLOW_DISK] = "slow disk",
    [FAULT_WIPE] = "wiped disk",
    [FAULT_UNMOUNT] = "unmounted disk",
    [FAULT_DAMAGE] = "damaged copy",
    [FAULT_SWITCH] = "switch",
    [FAULT_DRAIN] = "drain",
    [FAULT_CHECKPOINT] = "checkpoint",
    [FAULT_CUT_LOG] = "log cut",
    [FAULT_CLIENT_RESTART] = "client restart",
    [FAULT_AGENT_KILL] = "agent killed",
    [FAULT_AGENT_LEAVE] = "agent left",
    [FAULT_AGENT_PAUSE] = "agent pause",
    [FAULT_MACHINE_PAUSE] = "machine pause",
    [FAULT_CONNECTION] = "broken connection",
    [FAULT_SEGMENT] = "lost segment",
};

static struct host *any_server(struct sim *sim)
{
    return &sim->hosts[sim_below(sim, sim->plan.servers)];
}

static uint64_t between(struct sim *sim, uint64_t low_ms, uint64_t high_ms)
{
    return (low_ms + sim_below(sim, high_ms - low_ms + 1)) * MS;
}

/* Also right away: then it comes back before anybody noticed. */
static uint64_t down_time(struct sim *sim)
{
    return sim_chance(sim, 0.4) ? between(sim, 5, 400) : between(sim, 400, 5000);
}

static void crash(struct sim *sim, struct host *host, uint64_t for_us)
{
    host_crash(host);
    sim_schedule(sim, for_us, EVENT_START, host->node, 0, 0, NULL);
}

static void crash_manager(struct sim *sim)
{
    manager_crash(sim);
    sim_schedule(sim, down_time(sim), EVENT_START, SIM_MANAGER, 0, 0, NULL);
}

static void pause_server(struct sim *sim, struct host *host, uint64_t for_us)
{
    TRACE(sim, "server %u stands still for %llu ms", host->node, (unsigned long long)(for_us / MS));
    host->paused_until_us = sim->now_us + for_us;
}

/* R11: who proposed goes on as before, while a copy that counts by now hears of it, but no more of
 * the proposer: mostly the newest, which is named last. */
void fault_accepted(struct sim *sim, uint32_t proposer, const struct configuration *configuration)
{
    uint32_t member = configuration->member_count - 1;
    uint64_t for_us;

    if (!sim->cuts_proposer || configuration->member_count < 2)
        return;
    sim->cuts_proposer = false;
    sim->counters.faults[FAULT_CUT]++;
    if (sim_chance(sim, 0.3))
        member = (uint32_t)sim_below(sim, configuration->member_count);
    for_us = between(sim, 1500, 4000);
    network_cut(sim, SIM_MANAGER, proposer, for_us);
    network_cut(sim, proposer, SIM_MANAGER, for_us);
    network_cut(sim, proposer, configuration->members[member].server, for_us);
}

/* Any two of the servers and the manager; at times a client. */
static bool cut(struct sim *sim, bool both)
{
    uint32_t nodes = sim_chance(sim, 0.2) ? SIM_NODES : SIM_MANAGER + 1;
    uint32_t from = (uint32_t)sim_below(sim, nodes), to = (uint32_t)sim_below(sim, nodes);
    uint64_t for_us = between(sim, 100, 5000);

    if (sim->plan.undecided && sim_chance(sim, 0.5)) {
        sim->cuts_proposer = true;
        return false;
    }
    network_cut(sim, from, to, for_us);
    if (both)
        network_cut(sim, to, from, for_us);
    return true;
}

static void isolate(struct sim *sim)
{
    uint32_t node = (uint32_t)sim_below(sim, SIM_MANAGER + 1);
    uint64_t for_us = between(sim, 500, 5000);
    bool in = sim_chance(sim, 0.7), out = !in || sim_chance(sim, 0.7);
    /* From the other servers only, or from everybody. */
    uint32_t others = sim_chance(sim, 0.5) ? SIM_MANAGER : SIM_NODES;

    if (sim->plan.strained && sim_chance(sim, 0.7)) {
        /* C5: a server is replaced that hosts still hear of. */
        node = any_server(sim)->node;
        others = SIM_FIRST_CLIENT;
        for_us = between(sim, 2000, 5000);
    }
    for (uint32_t other = 0; other < others; other++) {
        if (in)
            network_cut(sim, other, node, for_us);
        if (out)
            network_cut(sim, node, other, for_us);
    }
}

/* --- machines
 * ------------------------------------------------------------------------------------- */

/* C5: its next renewal arrives when the lease is about to end, or just did; or it stands still once
 * that has left, and again when it was answered. */
static void pause_around_renewal(struct sim *sim, struct segment *segment)
{
    if (sim_chance(sim, 0.4)) {
        segment->agent.late_us = between(sim, 700, 940);
        return;
    }
    segment->agent.asking_us = between(sim, 50, 800);
    segment->agent.answered_us = between(sim, 600, 2500);
}

static void pause_agent(struct sim *sim, struct segment *segment)
{
    uint64_t for_us = sim_chance(sim, 0.5) ? between(sim, 5, 600) : between(sim, 600, 2500);

    TRACE(sim, "machine %u: its agent stands still for %llu ms", segment->machine->number,
          (unsigned long long)(for_us / MS));
    segment->agent.stopped_until_us = sim->now_us + for_us;
}

/* The two ends see it at different times, one of them perhaps never. */
static void break_connection(struct sim *sim, struct segment *segment)
{
    uint32_t server = (uint32_t)sim_below(sim, sim->plan.servers);
    uint64_t agent_us = between(sim, 0, sim_chance(sim, 0.5) ? 50 : 2500);
    uint64_t server_us = between(sim, 0, sim_chance(sim, 0.5) ? 50 : 2500);

    if (sim_chance(sim, 0.2))
        *(sim_chance(sim, 0.5) ? &agent_us : &server_us) = UINT64_MAX;
    agent_break(segment, server, agent_us, server_us);
}

/* What waits for its moment counts when that has come. */
static bool aim_at_agent(struct sim *sim, struct segment *segment, enum fault_kind kind)
{
    if (!sim->plan.strained || (kind != FAULT_AGENT_KILL && kind != FAULT_AGENT_PAUSE) ||
        !sim_chance(sim, 0.5))
        return false;
    if (kind == FAULT_AGENT_KILL)
        segment->agent.doomed = true;
    else
        pause_around_renewal(sim, segment);
    return true;
}

static bool disturb_machine(struct sim *sim, enum fault_kind kind)
{
    struct machine *machine;
    struct segment *segment;

    if (sim->plan.machines == 0)
        return false;
    machine = &sim->machines[sim_below(sim, sim->plan.machines)];
    segment = &machine->segments[machine->current];
    if (kind == FAULT_MACHINE_PAUSE) {
        machine_pause(machine, between(sim, 20, sim_chance(sim, 0.5) ? 500 : 3000));
        return true;
    }
    if (kind == FAULT_SEGMENT)
        return machine_replace_segment(machine, sim_chance(sim, 0.5));
    if (!segment->agent.up || aim_at_agent(sim, segment, kind))
        return false;
    if (kind == FAULT_AGENT_KILL)
        agent_kill(segment);
    else if (kind == FAULT_AGENT_LEAVE)
        agent_leave(segment);
    else if (kind == FAULT_AGENT_PAUSE)
        pause_agent(sim, segment);
    else
        break_connection(sim, segment);
    return true;
}

/* --- losing data
 * ---------------------------------------------------------------------------------- */

/* Of every partition each member's store must be there and whole: one loss at a time is what the
 * copies are for (R9). */
static bool may_lose(struct sim *sim, const struct host *loser)
{
    for (uint32_t i = 0; i < sim->plan.partitions; i++) {
        const struct configuration *configuration = manager_configuration(sim, i);

        if (configuration == NULL)
            return false;
        for (uint32_t k = 0; k < configuration->member_count; k++) {
            const struct host *host = &sim->hosts[configuration->members[k].server];

            if (host->disk->store != configuration->members[k].store || host->disk->damaged[i])
                return false;
            if (host == loser && configuration->member_count < 2)
                return false;
        }
    }
    return true;
}

static bool wipe(struct sim *sim)
{
    struct host *host = any_server(sim);

    if (!host->mounted || !may_lose(sim, host))
        return false;
    host_wipe(host);
    sim_schedule(sim, between(sim, 100, 4000), EVENT_START, host->node, 0, 0, NULL);
    return true;
}

static bool unmount(struct sim *sim)
{
    struct host *host = any_server(sim);

    if (!host->mounted || host->disk->cluster == 0)
        return false;
    host_unmount(host);
    sim_schedule(sim, between(sim, 10, 300), EVENT_START, host->node, 0, 0, NULL);
    sim_schedule(sim, between(sim, 1000, 6000), EVENT_START, host->node, 0, 1, NULL);
    return true;
}

static bool damage(struct sim *sim)
{
    struct host *host = any_server(sim);
    uint32_t partition = (uint32_t)sim_below(sim, sim->plan.partitions);
    struct replica_event event = {.kind = REPLICA_EVENT_DAMAGED};
    struct replica_update update;

    if (!host->up || !host->mounted || !may_lose(sim, host))
        return false;
    TRACE(sim, "server %u: its copy of partition %u is damaged", host->node, partition);
    host->disk->damaged[partition] = true;
    part_step(&host->parts[partition], &event, &update, NULL);
    return true;
}

/* --- the operator
 * ---------------------------------------------------------------------------------- */

static bool drain(struct sim *sim)
{
    struct host *host = any_server(sim);
    uint32_t draining = 0;

    for (uint32_t i = 0; i < sim->plan.servers; i++)
        draining += sim->hosts[i].draining ? 1 : 0;
    if (!host->draining && draining + sim->plan.replicas >= sim->plan.servers)
        return false;
    if (!manager_admin(sim, host->draining ? ADMIN_UNDRAIN : ADMIN_DRAIN, 0, host->node))
        return false;
    host->draining = !host->draining;
    return true;
}

/* C2: to another of its members, who needs no copy first; and agents stand still at the end of
 * their sessions with the server, which goes on with its other partitions. */
static bool switch_members(struct sim *sim)
{
    uint32_t partition = (uint32_t)sim_below(sim, sim->plan.partitions), member;
    const struct configuration *configuration = manager_configuration(sim, partition);

    if (configuration == NULL)
        return false;
    member = (uint32_t)sim_below(sim, configuration->member_count);
    if (!manager_admin(sim, ADMIN_MOVE, partition, configuration->members[member].server))
        return false;
    for (uint32_t i = 0; i < sim->plan.machines; i++) {
        struct machine *machine = &sim->machines[i];

        if (sim_chance(sim, 0.9))
            machine->segments[machine->current].agent.ended_us = between(sim, 300, 1500);
    }
    return true;
}

/* At times while an agent cannot hear of it (C6). */
static bool switch_primary(struct sim *sim, const struct host *host)
{
    struct machine *machine;

    if (sim->plan.strained && sim_chance(sim, 0.8))
        return switch_members(sim);
    if (!manager_admin(sim, ADMIN_MOVE, (uint32_t)sim_below(sim, sim->plan.partitions), host->node))
        return false;
    if (sim->plan.machines > 0 && sim_chance(sim, 0.5)) {
        machine = &sim->machines[sim_below(sim, sim->plan.machines)];
        pause_agent(sim, &machine->segments[machine->current]);
    }
    return true;
}

static bool inject(struct sim *sim, enum fault_kind kind)
{
    struct host *host = any_server(sim);

    switch (kind) {
    case FAULT_CRASH:
        crash(sim, host, down_time(sim));
        return true;
    case FAULT_CRASH_TWO:
        crash(sim, host, down_time(sim));
        crash(sim, any_server(sim), down_time(sim));
        return true;
    case FAULT_CRASH_MANAGER:
        crash_manager(sim);
        return true;
    case FAULT_PAUSE:
        pause_server(sim, host, between(sim, 50, 1400));
        return true;
    case FAULT_LONG_PAUSE:
        pause_server(sim, host, between(sim, 1200, 4000));
        return true;
    case FAULT_PAUSE_MANAGER:
        sim->manager.paused_until_us = sim->now_us + between(sim, 100, 4000);
        return true;
    case FAULT_CUT_ONE_WAY:
        return cut(sim, false);
    case FAULT_CUT:
        return cut(sim, true);
    case FAULT_ISOLATE:
        isolate(sim);
        return true;
    case FAULT_SLOW_DISK:
        host->slow_until_us = sim->now_us + between(sim, 300, 4000);
        return true;
    case FAULT_WIPE:
        return wipe(sim);
    case FAULT_UNMOUNT:
        return unmount(sim);
    case FAULT_DAMAGE:
        return damage(sim);
    case FAULT_SWITCH:
        return switch_primary(sim, host);
    case FAULT_DRAIN:
        return drain(sim);
    case FAULT_CHECKPOINT:
        if (host->up && host->paused_until_us <= sim->now_us)
            host_checkpoint(host);
        return host->up;
    case FAULT_CUT_LOG:
        if (host->up)
            host_cut_log(host, !sim_chance(sim, 0.4));
        return host->up;
    case FAULT_CLIENT_RESTART:
        client_restart(sim, (uint32_t)sim_below(sim, sim->plan.clients));
        return true;
    case FAULT_AGENT_KILL:
    case FAULT_AGENT_LEAVE:
    case FAULT_AGENT_PAUSE:
    case FAULT_MACHINE_PAUSE:
    case FAULT_CONNECTION:
    case FAULT_SEGMENT:
        return disturb_machine(sim, kind);
    case FAULT_KINDS:
        break;
    }
    CHECK(false);
}

static enum fault_kind draw(struct sim *sim)
{
    uint64_t total = 0, drawn;
    uint32_t kind = 0;

    for (uint32_t i = 0; i < FAULT_KINDS; i++)
        total += sim->plan.weights[i];
    drawn = sim_below(sim, total);
    while (drawn >= sim->plan.weights[kind])
        drawn -= sim->plan.weights[kind++];
    return (enum fault_kind)kind;
}

void fault_event(struct sim *sim)
{
    enum fault_kind kind;

    if (sim->healing)
        return;
    kind = draw(sim);
    if (inject(sim, kind))
        sim->counters.faults[kind]++;
    sim_schedule(sim, 1 + sim_below(sim, 2 * sim->plan.fault_gap_us), EVENT_FAULT, 0, 0, 0, NULL);
}

void fault_heal(struct sim *sim)
{
    network_heal(sim);
    sim->cuts_proposer = false;
    sim->plan.loss = sim->plan.duplicate = sim->plan.late = sim->plan.busy = 0;
    sim->plan.stop = sim->plan.die = 0;
    for (uint32_t i = 0; i < SIM_MACHINES; i++) {
        sim->machines[i].paused_until_us = 0;
        for (uint32_t k = 0; k < SIM_SEGMENTS; k++)
            agent_heal(&sim->machines[i].segments[k].agent);
    }
    sim->manager.paused_until_us = 0;
    manager_start(sim);
    for (uint32_t i = 0; i < sim->plan.servers; i++) {
        struct host *host = &sim->hosts[i];

        host->paused_until_us = host->slow_until_us = 0;
        host_mount(host);
        host_start(host);
        if (host->draining && manager_admin(sim, ADMIN_UNDRAIN, 0, i))
            host->draining = false;
    }
}
