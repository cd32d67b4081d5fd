/* Simulated agents: what client/agent.c does, over the real client/host_session.c (C4 to C6). One
 * thread, which may be stopped between any two of its steps and killed within them. */
#include <string.h>

#include "base/check.h"
#include "tests/sim/sim.h"

enum { TICK_MS = 20, CALL_MS = 600, LISTEN_MS = 2500, ELECT_MS = 300, LEAVE_MS = 1000 };

typedef unsigned long long ull;

static struct sim *sim_of(const struct segment *segment)
{
    return segment->machine->sim;
}

static uint64_t now_ms(const struct segment *segment)
{
    return machine_now_ms(segment->machine);
}

static void schedule(struct segment *segment, uint64_t after_us, const struct agent_event *wanted)
{
    struct agent_event *event = arena_alloc(&sim_of(segment)->arena, sizeof *event);

    *event = *wanted;
    event->segment = segment;
    event->life = segment->life;
    event->generation = segment->agent.generation;
    sim_schedule(sim_of(segment), after_us, EVENT_AGENT, segment->machine->node, 0, 0, event);
}

static void arm_tick(struct segment *segment)
{
    schedule(segment, TICK_MS * MS / 2 + sim_below(sim_of(segment), TICK_MS * MS),
             &(struct agent_event){.kind = AGENT_EVENT_TICK});
}

/* --- one becomes the agent, and is it no more ---------------------------------------------------
 */

void agent_elect(struct segment *segment, uint64_t after_us)
{
    schedule(segment, after_us, &(struct agent_event){.kind = AGENT_EVENT_ELECT});
}

/* In the process of one of the machine's clients, or in one of its own. */
static uint32_t choose_process(struct sim *sim, const struct segment *segment)
{
    uint32_t client = (uint32_t)sim_below(sim, SIM_CLIENTS + 1);

    if (client >= sim->plan.clients || sim->plan.scripted ||
        sim->clients[client].machine != segment->machine->number ||
        sim->clients[client].segment != segment->number)
        return SIM_CLIENTS;
    return client;
}

static bool was_told(const struct agent_step *step, const struct host_session *session,
                     uint32_t server)
{
    return step != NULL && step->kind == AGENT_INVALIDATE && step->server == server &&
           step->message->host_answer.kind == HOST_CALL_LISTEN &&
           step->message->host_answer.number == session->answered + 1;
}

/* C6, broken: the sessions go on as they are, and what the former agent was told is taken to be
 * carried out. */
static void take_over(struct segment *segment)
{
    struct agent *agent = &segment->agent;

    for (uint32_t i = 0; i < SIM_AGENT_PEERS; i++) {
        struct host_session *session = &agent->peers[i].session;
        bool cut_short = was_told(agent->step, session, i);

        if (session->cache == NULL || session->state != HOST_SESSION_OPEN ||
            cache_session(&segment->cache, i, now_ms(segment)) != session->number) {
            host_session_init(session, &segment->cache, i);
            continue;
        }
        session->asking = session->listening = false;
        session->answered += cut_short ? 1 : 0;
    }
}

/* C6. Nobody listens for the sessions that are there. */
static void start_anew(void *context)
{
    struct segment *segment = context;

    for (uint32_t i = 0; i < SIM_SERVERS; i++)
        cache_void_session(&segment->cache, i);
    (void)cache_raise_generation(&segment->cache);
}

static void begin(struct segment *segment)
{
    struct agent *agent = &segment->agent;
    struct sim *sim = sim_of(segment);

    agent->up = true;
    agent->leaving = false;
    agent->generation = ++sim->next_id;
    agent->client = choose_process(sim, segment);
    agent_heal(agent);
    sim->counters.agents++;
    TRACE(sim, "machine %u has a new agent, in %s", segment->machine->number,
          agent->client < SIM_CLIENTS ? sim_node_name(SIM_FIRST_CLIENT + agent->client)
                                      : "a process of its own");
    if (RULE_BROKEN(C6))
        take_over(segment);
    else if (!machine_risk(sim, start_anew, segment)) {
        agent_kill(segment);
        return;
    }
    for (uint32_t i = 0; i < SIM_AGENT_PEERS; i++) {
        struct agent_peer *peer = &agent->peers[i];

        peer->connection = 0;
        peer->asking.call = peer->listening.call = 0;
        if (!RULE_BROKEN(C6))
            host_session_init(&peer->session, &segment->cache, i);
    }
    agent->step = NULL;
    arm_tick(segment);
}

/* The other ends of its connections hear of it, sooner or later or not at all. */
static void close_connections(struct segment *segment)
{
    struct sim *sim = sim_of(segment);

    for (uint32_t i = 0; i < sim->plan.servers; i++)
        if (segment->agent.peers[i].connection != 0)
            agent_break(segment, i, UINT64_MAX,
                        sim_chance(sim, 0.1) ? UINT64_MAX : sim_below(sim, 500 * MS));
}

static void end(struct segment *segment)
{
    close_connections(segment);
    segment->agent.up = false;
    segment->agent.generation = ++sim_of(segment)->next_id;
    if (segment->number == segment->machine->current)
        agent_elect(segment, sim_below(sim_of(segment), ELECT_MS * MS));
}

void agent_kill(struct segment *segment)
{
    if (!segment->agent.up)
        return;
    TRACE(sim_of(segment), "machine %u: its agent is killed", segment->machine->number);
    end(segment);
}

void agent_heal(struct agent *agent)
{
    agent->stopped_until_us = agent->ended_us = 0;
    agent->late_us = agent->asking_us = agent->answered_us = 0;
    agent->doomed = false;
}

static void end_sessions(void *context)
{
    struct segment *segment = context;

    (void)cache_raise_generation(&segment->cache);
    for (uint32_t i = 0; i < sim_of(segment)->plan.servers; i++)
        host_session_end(&segment->agent.peers[i].session, now_ms(segment));
}

void agent_leave(struct segment *segment)
{
    struct agent *agent = &segment->agent;

    if (!agent->up || agent->leaving || agent->step != NULL)
        return;
    TRACE(sim_of(segment), "machine %u: its agent leaves", segment->machine->number);
    if (!machine_risk(sim_of(segment), end_sessions, segment)) {
        agent_kill(segment);
        return;
    }
    agent->leaving = true;
    agent->next_due_us = sim_of(segment)->now_us + LEAVE_MS * MS;
}

/* --- connections --------------------------------------------------------------------------------
 */

void agent_break(struct segment *segment, uint32_t server, uint64_t agent_us, uint64_t server_us)
{
    struct sim *sim = sim_of(segment);
    uint64_t connection = segment->agent.peers[server].connection;

    if (connection == 0)
        return;
    if (agent_us != UINT64_MAX)
        schedule(segment, agent_us,
                 &(struct agent_event){
                     .kind = AGENT_EVENT_BROKEN, .server = server, .connection = connection});
    if (server_us != UINT64_MAX)
        sim_schedule(sim, server_us, EVENT_LEASE_BROKEN, server, sim->hosts[server].generation,
                     connection, NULL);
}

void agents_server_died(struct sim *sim, uint32_t server)
{
    for (uint32_t m = 0; m < sim->plan.machines; m++)
        for (uint32_t s = 0; s < SIM_SEGMENTS; s++)
            if (sim->machines[m].segments[s].agent.up)
                agent_break(&sim->machines[m].segments[s], server,
                            sim_chance(sim, 0.3) ? UINT64_MAX : sim_below(sim, 1000 * MS),
                            UINT64_MAX);
}

struct told {
    struct segment *segment;
    uint32_t server;
    const struct message *message;
    const struct agent_call *call;
    uint64_t noted_ms;
    cache_batch batch;
};

static void tell_lost(void *context)
{
    const struct told *told = context;

    host_session_lost(&told->segment->agent.peers[told->server].session, now_ms(told->segment));
}

static void take_broken(struct segment *segment, const struct agent_event *event)
{
    struct agent_peer *peer = &segment->agent.peers[event->server];
    struct told told = {.segment = segment, .server = event->server};

    if (peer->connection != event->connection)
        return;
    TRACE(sim_of(segment), "machine %u: the connection to server %u is broken",
          segment->machine->number, event->server);
    peer->connection = 0;
    peer->asking.call = peer->listening.call = 0;
    if (!machine_risk(sim_of(segment), tell_lost, &told))
        agent_kill(segment);
}

/* --- steps --------------------------------------------------------------------------------------
 */

/* Goes on with it a little later, or when the thread runs again. */
static void go_on(struct segment *segment, const struct agent_step *wanted)
{
    struct sim *sim = sim_of(segment);
    struct agent_step *step = arena_alloc(&sim->arena, sizeof *step);
    uint64_t after_us = machine_step_us(sim);

    *step = *wanted;
    if (after_us > MS)
        TRACE(sim, "machine %u: its agent is stopped before step %d for %llu ms",
              segment->machine->number, (int)step->kind, (ull)(after_us / MS));
    segment->agent.step = step;
    if (segment->agent.stopped_until_us < sim->now_us + after_us)
        segment->agent.stopped_until_us = sim->now_us + after_us;
    schedule(segment, after_us, &(struct agent_event){.kind = AGENT_EVENT_STEP});
}

/* For a fault that waited for this moment. */
static void stand_still(struct segment *segment, uint64_t *for_us)
{
    if (*for_us == 0)
        return;
    TRACE(sim_of(segment), "machine %u: its agent stands still for %llu ms, at its moment",
          segment->machine->number, (ull)(*for_us / MS));
    segment->agent.stopped_until_us = sim_of(segment)->now_us + *for_us;
    sim_of(segment)->counters.faults[FAULT_AGENT_PAUSE]++;
    *for_us = 0;
}

/* --- calls --------------------------------------------------------------------------------------
 */

static struct agent_call *call_of(struct agent_peer *peer, enum host_session_call kind)
{
    return kind == HOST_CALL_LISTEN ? &peer->listening : &peer->asking;
}

static struct message *create_call(struct segment *segment, uint32_t server,
                                   enum host_session_call kind)
{
    struct sim *sim = sim_of(segment);
    struct agent_peer *peer = &segment->agent.peers[server];
    struct message *message =
        message_create(sim, MESSAGE_HOST_CALL, segment->machine->node, server);
    struct agent_call *call = call_of(peer, kind);

    if (peer->connection == 0)
        peer->connection = ++sim->next_id;
    message->call = ++sim->next_id;
    message->host_call = (struct sim_host_call){.kind = kind,
                                                .segment = segment->number,
                                                .connection = peer->connection,
                                                .session = peer->session.number,
                                                .answered = peer->session.answered};
    *call = (struct agent_call){
        .call = message->call,
        .kind = kind,
        .session = peer->session.number,
        .deadline_us = sim->now_us + (kind == HOST_CALL_LISTEN ? LISTEN_MS * MS : CALL_MS * MS)};
    return message;
}

struct sending {
    struct host_session *session;
    enum host_session_call kind;
    uint64_t number, now_ms;
};

static void tell_sent(void *context)
{
    const struct sending *sending = context;

    host_session_sent(sending->session, sending->kind, sending->number, sending->now_ms);
}

/* C5: the clock is read before the call leaves; between the two the thread may stand still. False:
 * there is nothing to be sent. */
static bool send_due(struct segment *segment, uint32_t server)
{
    struct agent_peer *peer = &segment->agent.peers[server];
    struct sim *sim = sim_of(segment);
    struct sending sending = {.session = &peer->session, .now_ms = now_ms(segment)};

    sending.kind = host_session_due(&peer->session, sending.now_ms);
    if (sending.kind == HOST_CALL_NONE ||
        (segment->agent.leaving && sending.kind != HOST_CALL_CLOSE))
        return false;
    sending.number =
        sending.kind == HOST_CALL_OPEN ? random_next(&sim->random) | 1 : peer->session.number;
    if (!machine_risk(sim, tell_sent, &sending)) {
        agent_kill(segment);
        return true;
    }
    go_on(segment, &(struct agent_step){.kind = AGENT_SEND,
                                        .server = server,
                                        .message = create_call(segment, server, sending.kind)});
    return true;
}

static void send_all_due(struct segment *segment)
{
    for (uint32_t i = 0; i < sim_of(segment)->plan.servers; i++)
        if (segment->agent.up && segment->agent.step == NULL && send_due(segment, i))
            return; /* the others after it */
}

static void tell_failed(void *context)
{
    const struct told *told = context;

    host_session_failed(&told->segment->agent.peers[told->server].session, told->call->kind,
                        told->call->session, now_ms(told->segment));
}

static bool expire_call(struct segment *segment, uint32_t server, struct agent_call *call)
{
    struct agent_call ended = *call;
    struct told told = {.segment = segment, .server = server, .call = &ended};

    if (call->call == 0 || sim_of(segment)->now_us < call->deadline_us)
        return true;
    call->call = 0;
    return machine_risk(sim_of(segment), tell_failed, &told);
}

/* --- answers ------------------------------------------------------------------------------------
 */

static void tell_answer(void *context)
{
    struct told *told = context;
    const struct sim_host_answer *answer = &told->message->host_answer;
    struct host_session *session = &told->segment->agent.peers[told->server].session;

    switch (answer->kind) {
    case HOST_CALL_OPEN:
    case HOST_CALL_RENEW:
        host_session_granted(session, answer->session, answer->status, answer->granted_ms,
                             told->noted_ms);
        break;
    case HOST_CALL_LISTEN:
        host_session_batch(session, answer->session, &told->batch, told->noted_ms);
        break;
    case HOST_CALL_CLOSE:
        host_session_closed(session, answer->session);
        break;
    case HOST_CALL_NONE:
        CHECK(false);
    }
}

static void finish_answer(struct segment *segment, const struct agent_step *step)
{
    const struct sim_host_answer *answer = &step->message->host_answer;
    uint32_t left = answer->count - step->done;
    struct sim *sim = sim_of(segment);
    struct told told = {.segment = segment,
                        .server = step->server,
                        .message = step->message,
                        .noted_ms = step->noted_ms,
                        .batch = {.status = answer->status,
                                  .number = answer->number,
                                  .all = answer->all,
                                  .buckets = {left, answer->buckets + step->done}}};
    uint64_t lapses = 0;

    if (answer->kind == HOST_CALL_LISTEN)
        sim->counters.invalidations += answer->count;
    if (answer->status == CACHE_CLOSED)
        lapses = 1;
    sim->counters.lapses += lapses;
    if (!machine_risk(sim, tell_answer, &told))
        agent_kill(segment);
    if (answer->kind == HOST_CALL_RENEW && segment->agent.asking_us == 0)
        stand_still(segment, &segment->agent.answered_us);
    machine_check_keys(segment->machine);
}

/* C4: a batch is carried out piece by piece, and answered after the last one. */
static void invalidate_some(struct segment *segment, const struct agent_step *step)
{
    const struct sim_host_answer *answer = &step->message->host_answer;
    const struct host_session *session = &segment->agent.peers[step->server].session;
    struct agent_step next = *step;

    next.kind = AGENT_INVALIDATE;
    if (answer->kind != HOST_CALL_LISTEN || answer->count - step->done <= 1 ||
        session->number != answer->session || RULE_BROKEN(C4)) {
        finish_answer(segment, step);
        return;
    }
    cache_invalidate(&segment->cache, answer->buckets[step->done]);
    next.done++;
    go_on(segment, &next);
}

static void send_renewal(struct segment *segment, const struct message *message)
{
    struct sim *sim = sim_of(segment);
    struct agent *agent = &segment->agent;

    if (agent->late_us != 0) { /* and it stands still until it has been answered */
        sim->hold_until_us[message->to][message->kind] = sim->now_us + agent->late_us;
        agent->asking_us = agent->late_us + 20 * MS;
        agent->late_us = 0;
    }
    network_send(sim, message);
    stand_still(segment, &agent->asking_us);
}

static void take_step(struct segment *segment)
{
    struct agent *agent = &segment->agent;
    const struct agent_step *step = agent->step;

    if (step == NULL)
        return;
    agent->step = NULL;
    if (step->kind == AGENT_SEND && step->message->host_call.kind == HOST_CALL_RENEW)
        send_renewal(segment, step->message);
    else if (step->kind == AGENT_SEND)
        network_send(sim_of(segment), step->message);
    else if (step->kind == AGENT_TAKE) { /* it is being carried out from here on */
        struct agent_step next = *step;

        next.kind = AGENT_INVALIDATE;
        go_on(segment, &next);
        if (step->message->host_answer.all)
            stand_still(segment, &agent->ended_us);
        if (agent->doomed && step->message->host_answer.count > 0) {
            sim_of(segment)->counters.faults[FAULT_AGENT_KILL]++;
            agent_kill(segment);
        }
    } else
        invalidate_some(segment, step);
    if (agent->up && agent->step == NULL)
        send_all_due(segment);
}

static bool is_awaited(const struct segment *segment, const struct message *message)
{
    const struct agent_peer *peer = &segment->agent.peers[message->from];
    const struct sim_host_answer *answer = &message->host_answer;

    return segment->agent.up && peer->connection == answer->connection &&
           (peer->asking.call == message->call || peer->listening.call == message->call);
}

/* A thread that is busy or stopped finds what came when it is back. */
static bool is_busy(const struct segment *segment)
{
    return segment->agent.step != NULL || segment->agent.stopped_until_us > sim_of(segment)->now_us;
}

static void defer(struct segment *segment, const struct event *event)
{
    struct sim *sim = sim_of(segment);
    uint64_t until_us = segment->agent.stopped_until_us;
    struct event later = *event;

    later.at_us = until_us > sim->now_us ? until_us : sim->now_us + 50;
    queue_push(&sim->queue, &later);
}

void agent_take_answer(struct machine *machine, const struct event *event)
{
    const struct message *message = event->data;
    struct segment *segment = &machine->segments[message->host_answer.segment];

    if (!is_awaited(segment, message))
        return;
    if (is_busy(segment)) {
        defer(segment, event);
        return;
    }
    call_of(&segment->agent.peers[message->from], message->host_answer.kind)->call = 0;
    go_on(segment, &(struct agent_step){.kind = AGENT_TAKE,
                                        .server = message->from,
                                        .message = message,
                                        .noted_ms = now_ms(segment)});
}

/* --- events -------------------------------------------------------------------------------------
 */

static bool has_closed_all(const struct segment *segment)
{
    const struct sim *sim = sim_of(segment);

    for (uint32_t i = 0; i < sim->plan.servers; i++)
        if (segment->agent.peers[i].session.state != HOST_SESSION_NONE)
            return sim->now_us >= segment->agent.next_due_us;
    return true;
}

static void tick(struct segment *segment)
{
    struct agent *agent = &segment->agent;
    bool lives = true;

    arm_tick(segment);
    for (uint32_t i = 0; i < sim_of(segment)->plan.servers && lives; i++)
        lives = expire_call(segment, i, &agent->peers[i].asking) &&
                expire_call(segment, i, &agent->peers[i].listening);
    if (!lives) {
        agent_kill(segment);
        return;
    }
    if (!agent->leaving && segment->number != segment->machine->current &&
        (!cache_is_sound(&segment->cache) || sim_chance(sim_of(segment), 0.1)))
        agent_leave(segment);
    if (agent->up && agent->leaving && has_closed_all(segment)) {
        end(segment);
        return;
    }
    if (agent->up)
        send_all_due(segment);
}

void agent_event(struct sim *sim, const struct event *event)
{
    const struct agent_event *what = event->data;
    struct segment *segment = what->segment;
    struct agent *agent = &segment->agent;

    (void)sim;
    if (what->life != segment->life || what->generation != agent->generation)
        return;
    if (what->kind == AGENT_EVENT_ELECT) {
        if (!agent->up && segment->number == segment->machine->current)
            begin(segment);
        return;
    }
    if (!agent->up)
        return;
    if (agent->stopped_until_us > sim_of(segment)->now_us ||
        (agent->step != NULL && what->kind != AGENT_EVENT_STEP)) {
        defer(segment, event);
        return;
    }
    switch (what->kind) {
    case AGENT_EVENT_TICK:
        tick(segment);
        break;
    case AGENT_EVENT_STEP:
        take_step(segment);
        break;
    case AGENT_EVENT_BROKEN:
        take_broken(segment, what);
        break;
    case AGENT_EVENT_ELECT:
        break;
    }
}
