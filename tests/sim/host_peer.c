/* Appends and beacons between simulated servers, and their answers (R1, R2, R4, L1, L2). */
#include <string.h>

#include "base/check.h"
#include "tests/sim/sim.h"

enum { CALL_TIMEOUT_MS = 700 };

static struct message *message_to(struct host *host, enum message_kind kind, uint32_t to)
{
    struct message *message = message_create(host->sim, kind, host->node, to);

    message->sender = host->self;
    message->to_store = host->stores[to];
    message->call = ++host->next_call;
    return message;
}

/* --- Appends, the primary's side ---------------------------------------------------------------
 */

static struct call_of *free_call(struct part *part)
{
    for (uint32_t i = 0; i < SIM_CALLS_MAX; i++)
        if (part->calls[i].call == 0)
            return &part->calls[i];
    return NULL;
}

static uint32_t calls_to(const struct part *part, uint32_t server)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < SIM_CALLS_MAX; i++)
        count += part->calls[i].call != 0 && part->calls[i].server == server ? 1 : 0;
    return count;
}

static void fill_append(struct part *part, const struct replica_follower *follower,
                        struct message *message)
{
    const struct replica *replica = &part->replica;
    uint64_t index = follower->next_index;

    message->to_store = follower->id.store;
    message->partition = part->number;
    message->append.history = replica->configuration.history;
    message->append.epoch = replica->configuration.epoch;
    message->append.commit_index = replica->commit_index;
    message->append.previous.index = index - 1;
    if (index - 1 >= part->base)
        message->append.previous.epoch = part_epoch_at(part, index - 1);
    while (follower->mode == REPLICA_REPLICATE && message->append.count < SIM_APPEND_MAX) {
        struct slot *slot = part_slot(part, index++);

        if (slot == NULL)
            break;
        message->append.entries[message->append.count++] = slot->entry;
    }
}

void part_send_append(struct part *part, uint32_t i)
{
    struct replica_follower *follower = &part->replica.followers[i];
    struct host *host = part->host;
    struct call_of *call = free_call(part);
    struct message *message;

    if (call == NULL || calls_to(part, follower->id.server) >= SIM_WINDOW)
        return;
    message = message_to(host, MESSAGE_APPEND, follower->id.server);
    fill_append(part, follower, message);
    *call = (struct call_of){message->call, follower->id.server,
                             host->sim->now_us + CALL_TIMEOUT_MS * MS, follower->id};
    invariant_epoch_leaves(host, part->number, message->append.epoch);
    replica_sent(&part->replica, i, follower->next_index - 1 + message->append.count,
                 host_now_ms(host));
    network_send(host->sim, message);
}

/* What was not answered in time, or (`all`) at all, may be lost. */
void part_expire_calls(struct part *part, bool all)
{
    for (uint32_t i = 0; i < SIM_CALLS_MAX; i++) {
        struct replica_event event = {.kind = REPLICA_EVENT_LOST};
        struct replica_update update;
        struct call_of call = part->calls[i];

        if (call.call == 0 || (!all && call.deadline_us > part->host->sim->now_us))
            continue;
        for (uint32_t k = 0; k < SIM_CALLS_MAX; k++)
            if (replica_same_copy(&part->calls[k].member, &call.member))
                part->calls[k].call = 0;
        event.member = call.member;
        part_step(part, &event, &update, NULL);
    }
}

void host_take_ack(struct host *host, const struct message *message)
{
    struct part *part = &host->parts[message->partition];
    struct replica_event event = {.kind = REPLICA_EVENT_ACK, .ack = &message->ack};
    struct replica_update update;

    if (message->to_store != host->self.store)
        return;
    for (uint32_t i = 0; i < SIM_CALLS_MAX; i++)
        if (part->calls[i].call == message->call && part->calls[i].server == message->from)
            part->calls[i].call = 0;
    part_step(part, &event, &update, NULL);
    part_pump(part, false);
}

/* --- answers that wait for the disk -------------------------------------------------------------
 */

static void queue_answer(struct host *host, const struct ack_of *wanted)
{
    struct ack_of *ack = arena_alloc(&host->sim->arena, sizeof *ack);

    *ack = *wanted;
    ack->next = NULL;
    *host->acks_end = ack;
    host->acks_end = &ack->next;
}

/* R2: nothing of an epoch leaves before its record is durable. */
static bool epoch_is_durable(const struct part *part)
{
    return part->replica.durable_epoch >= part->replica.seen_epoch || RULE_BROKEN(R2_DURABLE);
}

/* A newer epoch came while the answer waited: nothing is promised in it yet, except that the older
 * one is over, as server/exchange_follow.c does. */
static void hold_back_epoch(const struct part *part, struct replica_ack *ack)
{
    if (epoch_is_durable(part) || ack->outcome == REPLICA_ACK_REFUSED)
        return;
    ack->epoch = part->replica.durable_epoch;
    ack->matched_index = 0;
    ack->outcome = REPLICA_ACK_BUSY;
}

static void send_answer(struct host *host, const struct ack_of *ack)
{
    struct part *part = &host->parts[ack->partition];
    struct message *answer = message_to(host, MESSAGE_ACK, ack->request->from);

    answer->to_store = ack->request->sender.store;
    answer->call = ack->request->call;
    answer->partition = ack->partition;
    replica_ack(&part->replica, ack->outcome, &answer->ack);
    hold_back_epoch(part, &answer->ack);
    if (answer->ack.outcome != REPLICA_ACK_REFUSED)
        invariant_epoch_leaves(host, ack->partition, answer->ack.epoch);
    network_send(host->sim, answer);
}

void host_send_answers(struct host *host)
{
    struct ack_of **link = &host->acks;

    while (*link != NULL) {
        struct ack_of *ack = *link;

        if (ack->lsn > host->reported_lsn) {
            link = &ack->next;
            continue;
        }
        *link = ack->next;
        send_answer(host, ack);
    }
    host->acks_end = link;
}

/* --- Appends, the follower's side ----------------------------------------------------------------
 */

void host_take_append(struct host *host, const struct message *message)
{
    struct part *part = &host->parts[message->partition];
    uint64_t epochs[SIM_APPEND_MAX];
    struct replica_append append = {.from = message->sender,
                                    .history = message->append.history,
                                    .epoch = message->append.epoch,
                                    .previous = message->append.previous,
                                    .commit_index = message->append.commit_index,
                                    .count = message->append.count,
                                    .epochs = epochs};
    struct replica_event event = {.kind = REPLICA_EVENT_APPEND, .append = &append};
    struct replica_update update;

    if (message->to_store != host->self.store)
        return; /* a stranger (R10) */
    for (uint32_t i = 0; i < append.count; i++)
        epochs[i] = message->append.entries[i]->epoch;
    part_step(part, &event, &update, message);
    /* All that the answer speaks of is synced by then: also entries that an earlier copy of the
     * Append brought, and the record of an epoch. */
    queue_answer(host, &(struct ack_of){.lsn = host->disk->last_lsn,
                                        .partition = message->partition,
                                        .request = message,
                                        .outcome = update.outcome});
    host_send_answers(host);
}

/* --- beacons
 * -------------------------------------------------------------------------------------- */

static bool names_follower(struct part *part, uint32_t server, uint64_t store)
{
    const struct replica_member member = {.server = server, .store = store};
    const struct replica *replica = &part->replica;

    if (replica->role != REPLICA_PRIMARY && replica->role != REPLICA_STARTING)
        return false;
    return replica_same_process(&replica->configuration.primary, &replica->self) &&
           replica_may_send(replica) && replica_find_follower(&part->replica, &member) != NULL;
}

static void send_beacon(struct host *host, uint32_t server)
{
    struct message *message;
    struct sim_beacon beacon = {.lease_ms = host->sim->plan.lease_ms};

    for (uint32_t i = 0; i < host->sim->plan.partitions; i++) {
        struct part *part = &host->parts[i];

        if (names_follower(part, server, host->stores[server]))
            beacon.pairs[beacon.count++] = (struct beacon_pair_of){
                i, part->replica.configuration.history, part->replica.configuration.epoch, false};
    }
    if (beacon.count == 0)
        return;
    link_send(&host->links[server], host_now_ms(host), &beacon.number, &beacon.echo);
    host->sent[server][beacon.number % LINK_BEACONS_KEPT] = beacon;
    message = message_to(host, MESSAGE_BEACON, server);
    message->beacon = beacon;
    for (uint32_t i = 0; i < beacon.count; i++)
        invariant_epoch_leaves(host, beacon.pairs[i].partition, beacon.pairs[i].epoch);
    network_send(host->sim, message);
}

void host_send_beacons(struct host *host)
{
    for (uint32_t server = 0; server < host->sim->plan.servers; server++)
        if (server != host->node && host->stores[server] != 0)
            send_beacon(host, server);
}

void host_take_beacon(struct host *host, const struct message *message)
{
    uint64_t now_ms = host_now_ms(host);
    struct message *answer;
    bool echoed;

    if (message->to_store != host->self.store)
        return;
    echoed = link_heard(&host->links[message->from], &message->sender, message->beacon.number,
                        message->beacon.echo, now_ms, host->sim->plan.lease_ms);
    answer = message_to(host, MESSAGE_BEACON_ANSWER, message->from);
    answer->to_store = message->sender.store;
    answer->call = message->sender.incarnation;
    answer->beacon = message->beacon;
    for (uint32_t i = 0; i < answer->beacon.count; i++) {
        struct beacon_pair_of *pair = &answer->beacon.pairs[i];
        struct replica_event event = {.kind = REPLICA_EVENT_BEACON,
                                      .history = pair->history,
                                      .epoch = pair->epoch,
                                      .member = message->sender,
                                      .echoed = echoed};
        struct replica_update update;

        part_step(&host->parts[pair->partition], &event, &update, NULL);
        pair->refused = !update.granted;
        if (update.granted) /* a refusal promises nothing in the epoch (R2) */
            invariant_epoch_leaves(host, pair->partition, pair->epoch);
        if (update.granted && echoed)
            host->parts[pair->partition].heard_ms = now_ms;
    }
    network_send(host->sim, answer);
}

/* L1: leases count from before the beacon was sent, for the pairs that it named. */
void host_take_beacon_answer(struct host *host, const struct message *message)
{
    const struct sim_beacon *answer = &message->beacon;
    const struct sim_beacon *sent = &host->sent[message->from][answer->number % LINK_BEACONS_KEPT];
    uint64_t sent_ms;

    if (message->to_store != host->self.store || message->call != host->self.incarnation)
        return; /* R10: an answer to an earlier process */
    if (!link_answered(&host->links[message->from], answer->number, &sent_ms))
        return;
    if (RULE_BROKEN(L1_BEFORE))
        sent_ms = host_now_ms(host);
    CHECK(sent->number == answer->number && sent->count == answer->count);
    for (uint32_t i = 0; i < sent->count; i++) {
        const struct beacon_pair_of *pair = &sent->pairs[i];
        struct replica_event event = {.kind = REPLICA_EVENT_LEASE,
                                      .history = pair->history,
                                      .epoch = pair->epoch,
                                      .member = message->sender,
                                      .sent_ms = sent_ms};
        struct replica_update update;

        if (!answer->pairs[i].refused)
            part_step(&host->parts[pair->partition], &event, &update, NULL);
    }
}
