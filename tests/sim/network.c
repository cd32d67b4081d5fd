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

static const char *const kind_names[MESSAGE_KINDS] = {
    "append",          "ack",       "beacon",      "beacon answer", "snapshot",
    "snapshot answer", "register",  "registered",  "heartbeat",     "heartbeat answer",
    "propose",         "proposed",  "get map",     "map",           "request",
    "reply",           "host call", "host answer",
};

static void trace_message(struct sim *sim, const struct message *message, const char *fate)
{
    typedef unsigned long long ull;

    TRACE(sim, "  %s -> %s: %s %llu, partition %u%s", sim_node_name(message->from),
          sim_node_name(message->to), kind_names[message->kind], (ull)message->call,
          message->partition, fate);
    if (message->kind == MESSAGE_APPEND)
        TRACE(sim, "    epoch %llu, behind %llu.%llu, entries %u, committed %llu",
              (ull)message->append.epoch, (ull)message->append.previous.epoch,
              (ull)message->append.previous.index, message->append.count,
              (ull)message->append.commit_index);
    if (message->kind == MESSAGE_HOST_CALL)
        TRACE(sim, "    kind %d, session %llx, answered %llu", (int)message->host_call.kind,
              (ull)message->host_call.session, (ull)message->host_call.answered);
    if (message->kind == MESSAGE_HOST_ANSWER)
        TRACE(sim, "    kind %d, session %llx, status %d, granted %llu, batch %llu of %u%s",
              (int)message->host_answer.kind, (ull)message->host_answer.session,
              (int)message->host_answer.status, (ull)message->host_answer.granted_ms,
              (ull)message->host_answer.number, message->host_answer.count,
              message->host_answer.all ? ", all" : "");
    if (message->kind == MESSAGE_ACK)
        TRACE(sim, "    epoch %llu, outcome %d, matched %llu, committed %llu, install %llu%s",
              (ull)message->ack.epoch, (int)message->ack.outcome, (ull)message->ack.matched_index,
              (ull)message->ack.commit_index, (ull)message->ack.install,
              message->ack.installing ? ", installing" : "");
}

static void deliver_as_it_likes(struct sim *sim, const struct message *message);

void network_send(struct sim *sim, const struct message *message)
{
    uint64_t lost = sim->counters.lost;
    bool cut = network_is_cut(sim, message->from, message->to);

    deliver_as_it_likes(sim, message);
    if (sim->trace_messages)
        trace_message(sim, message, cut ? ", cut off" : sim->counters.lost > lost ? ", lost" : "");
}

static void deliver_as_it_likes(struct sim *sim, const struct message *message)
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
