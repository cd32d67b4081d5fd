/* The network: messages are lost, late, doubled, overtaken, and cut off in one direction or both.
 */
#include "tests/sim/sim.h"

struct message *message_create(struct sim *sim, enum message_kind kind, uint32_t from, uint32_t to)
{
    struct message *message = arena_alloc(&sim->arena, sizeof *message);

    message->kind = kind;
    message->from = from;
    message->to = to;
    return message;
}

void network_cut(struct sim *sim, uint32_t from, uint32_t to, uint64_t for_us)
{
    uint64_t until = for_us > UINT64_MAX - sim->now_us ? UINT64_MAX : sim->now_us + for_us;

    TRACE(sim, "cut %s -> %s for %llu ms", sim_node_name(from), sim_node_name(to),
          (unsigned long long)(for_us / MS));
    if (sim->cut_until_us[from][to] < until)
        sim->cut_until_us[from][to] = until;
}

void network_heal(struct sim *sim)
{
    for (uint32_t from = 0; from < SIM_NODES; from++)
        for (uint32_t to = 0; to < SIM_NODES; to++)
            sim->cut_until_us[from][to] = 0;
    for (uint32_t node = 0; node < SIM_NODES; node++)
        for (uint32_t kind = 0; kind < MESSAGE_KINDS; kind++)
            sim->block_until_us[node][kind] = sim->hold_until_us[node][kind] = 0;
}

bool network_is_cut(const struct sim *sim, uint32_t from, uint32_t to)
{
    return sim->cut_until_us[from][to] > sim->now_us;
}

static uint64_t draw_delay(struct sim *sim)
{
    uint64_t delay = sim->plan.delay_us / 2 + sim_below(sim, sim->plan.delay_us + 1);

    if (sim_chance(sim, sim->plan.late)) {
        sim->counters.late++;
        delay += sim_below(sim, sim->plan.late_us + 1);
    }
    return delay;
}

static void deliver(struct sim *sim, const struct message *message)
{
    uint64_t delay = draw_delay(sim);
    uint64_t held = sim->hold_until_us[message->to][message->kind];

    if (held > sim->now_us + delay)
        delay = held - sim->now_us;
    sim_schedule(sim, delay, EVENT_MESSAGE, message->to, 0, 0, message);
}

void network_send(struct sim *sim, const struct message *message)
{
    if (network_is_cut(sim, message->from, message->to) ||
        sim->block_until_us[message->to][message->kind] > sim->now_us)
        return;
    if (sim_chance(sim, sim->plan.loss)) {
        sim->counters.lost++;
        return;
    }
    deliver(sim, message);
    if (sim_chance(sim, sim->plan.duplicate)) {
        sim->counters.duplicated++;
        deliver(sim, message);
    }
}
