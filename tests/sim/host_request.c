/* Clients' requests at a simulated server, as server/requests_*.c treats them (L1, S2, S3, C2, C3,
 * C7). */
#include "base/check.h"
#include "tests/sim/sim.h"

enum { REPLY_DELAY_US = 1500 };

static struct message *create_reply(struct part *part, const struct message *request,
                                    const struct sim_reply *reply)
{
    struct host *host = part->host;
    struct message *message = message_create(host->sim, MESSAGE_REPLY, host->node, request->from);

    message->partition = part->number;
    message->sender = host->self;
    message->call = request->call;
    message->reply = *reply;
    message->reply.hint_epoch = part->replica.configuration.epoch;
    message->reply.hint_server = part->replica.configuration.primary.server;
    message->reply.key = request->request.key;
    return message;
}

/* The reply leaves a little later: what lies between is where a pause hurts (L1). */
static void send_soon(struct host *host, const struct message *reply)
{
    sim_schedule(host->sim, sim_below(host->sim, REPLY_DELAY_US), EVENT_REPLY, host->node,
                 host->generation, 0, reply);
}

static void reply(struct part *part, const struct message *request, const struct sim_reply *reply)
{
    send_soon(part->host, create_reply(part, request, reply));
}

/* C3: what depends on the key waits for all earlier revocations of its bucket. */
static void reply_about(struct part *part, const struct message *request,
                        const struct sim_reply *reply, bool hurries)
{
    struct message *message = create_reply(part, request, reply);

    if (hurries || !host_holds_reply(part->host, request->request.key, message))
        send_soon(part->host, message);
}

static bool tells(const struct sim_reply *reply)
{
    return reply->status == REPLY_OK || reply->status == REPLY_NOT_FOUND ||
           reply->status == REPLY_MISMATCH || reply->status == REPLY_STALE;
}

/* L1: the clock is read after the value was, as the reply leaves. */
void host_reply_leaves(struct host *host, const struct message *message)
{
    struct part *part = &host->parts[message->partition];

    if (tells(&message->reply)) {
        if (!replica_serves(&part->replica, host_now_ms(host))) {
            struct message *instead =
                message_create(host->sim, MESSAGE_REPLY, host->node, message->to);

            *instead = *message;
            instead->reply.status = REPLY_UNKNOWN;
            host->sim->counters.serving_waits++;
            network_send(host->sim, instead);
            return;
        }
        invariant_answers(part);
        invariant_acknowledged(part, message->reply.index);
        machines_told(host->sim, message->reply.key, message->reply.floor);
    }
    network_send(host->sim, message);
}

static void refuse(struct part *part, const struct message *request, enum reply_status status)
{
    reply(part, request, &(struct sim_reply){.status = status});
}

/* --- waiting for an entry to be applied --------------------------------------------------------
 */

static void wait_for(struct part *part, const struct message *request, uint64_t index)
{
    struct waiter_of *waiter = arena_alloc(&part->host->sim->arena, sizeof *waiter);

    *waiter = (struct waiter_of){part->waiters, index, request};
    part->waiters = waiter;
}

/* What no reader may find any more: values older than what the mutation at `index` left behind. */
static uint64_t floor_of(const struct sim_request *request, const struct outcome *outcome,
                         uint64_t index)
{
    if (outcome->code != OUTCOME_DONE)
        return 0;
    return request->kind == OPERATION_DELETE ? index + 1 : index;
}

/* `index`: of the entry; 0: it is a replayed reply. */
static void answer_outcome(struct part *part, const struct message *request,
                           const struct outcome *outcome, uint64_t index)
{
    uint64_t applied = store_applied(part->host->store, part->number)->index;
    struct sim_reply told = {.existed = outcome->existed,
                             .version = outcome->version,
                             .index = index != 0 ? index : applied,
                             .floor = index != 0 ? floor_of(&request->request, outcome, index) : 0};

    switch (outcome->code) {
    case OUTCOME_DONE:
        told.status = REPLY_OK;
        break;
    case OUTCOME_VERSION_MISMATCH:
        told.status = REPLY_MISMATCH;
        break;
    case OUTCOME_STALE_NUMBER:
        told.status = REPLY_STALE;
        break;
    case OUTCOME_CORRUPT:
        CHECK(false);
    }
    if (outcome->old_value != NULL)
        told.value = state_number(outcome->old_value, outcome->old_value_length);
    reply_about(part, request, &told,
                index != 0 ? RULE_BROKEN(C3_MUTATION) : RULE_BROKEN(C3_REPLAY));
}

static void answer_get(struct part *part, const struct message *request);

void part_answer_waiters(struct part *part, uint64_t index, const struct sim_entry *entry,
                         const struct outcome *outcome)
{
    struct waiter_of **link = &part->waiters;

    while (*link != NULL) {
        struct waiter_of *waiter = *link;

        if (waiter->index != index) {
            link = &waiter->next;
            continue;
        }
        *link = waiter->next;
        if (waiter->request->request.kind == OPERATION_GET)
            answer_get(part, waiter->request);
        else if (entry->client == waiter->request->request.client)
            answer_outcome(part, waiter->request, outcome, index);
        else
            refuse(part, waiter->request, REPLY_UNKNOWN);
    }
}

void part_abandon_waiters(struct part *part)
{
    while (part->waiters != NULL) {
        struct waiter_of *waiter = part->waiters;

        part->waiters = waiter->next;
        refuse(part, waiter->request, REPLY_UNKNOWN);
    }
}

/* --- GET ----------------------------------------------------------------------------------------
 */

static void wait_for_log_time(struct part *part, const struct message *request, uint64_t expires_ms)
{
    static const struct sim_entry noop = {.kind = COMMAND_NOOP};
    struct slot *tick = part_slot(part, part->tick_index);

    if (!replica_accepts(&part->replica)) {
        refuse(part, request, REPLY_NOT_PRIMARY);
        return;
    }
    if (tick == NULL || tick->entry->kind != COMMAND_NOOP ||
        part->tick_index <= part->replica.commit_index || tick->entry->log_time_ms < expires_ms)
        part->tick_index = part_propose(part, &noop)->index;
    wait_for(part, request, part->tick_index);
    part_pump(part, false);
}

static void answer_get(struct part *part, const struct message *request)
{
    struct host *host = part->host;
    const struct store_position *applied = store_applied(host->store, part->number);
    struct sim_reply told = {.status = REPLY_OK, .index = applied->index};
    uint64_t log_now_ms = replica_log_time_ms(&part->replica, host_now_ms(host));
    struct store_value value;
    uint8_t key[8];
    uint32_t length = key_text(request->request.key, key);

    if (!replica_serves(&part->replica, host_now_ms(host))) {
        refuse(part, request, REPLY_NOT_PRIMARY);
        return;
    }
    if (store_get(host->store, part->number, key, length, &value) != CAIRN_OK ||
        (value.expires_ms != 0 && value.expires_ms <= applied->log_time_ms)) {
        told.status = REPLY_NOT_FOUND;
        told.floor = applied->index + 1;
    } else if (value.expires_ms != 0 && value.expires_ms <= log_now_ms) {
        /* S2: absent by the clock, not yet by the log. */
        if (!RULE_BROKEN(S2)) {
            wait_for_log_time(part, request, value.expires_ms);
            return;
        }
        told.status = REPLY_NOT_FOUND;
    } else {
        told.existed = true;
        told.value = state_number(value.data, value.length);
        told.version = value.version;
        told.modified = told.floor = value.modified;
        told.expires_in_ms = value.expires_ms != 0 ? value.expires_ms - log_now_ms : 0;
        if (part_grants(part, &request->request))
            told.granted = request->request.cache_session;
    }
    reply_about(part, request, &told, RULE_BROKEN(C3_GET));
}

/* --- mutations ----------------------------------------------------------------------------------
 */

static enum command_kind command_of(enum operation_kind kind)
{
    switch (kind) {
    case OPERATION_PUT:
    case OPERATION_PUT_IF:
        return COMMAND_PUT;
    case OPERATION_SWAP:
        return COMMAND_SWAP;
    case OPERATION_DELETE:
        return COMMAND_DELETE;
    case OPERATION_GET:
        break;
    }
    CHECK(false);
}

static uint64_t propose(struct part *part, const struct sim_request *request)
{
    const struct sim_entry command = {.kind = command_of(request->kind),
                                      .client = request->client,
                                      .number = request->number,
                                      .key = request->key,
                                      .value = request->value,
                                      .conditional = request->kind == OPERATION_PUT_IF,
                                      .if_version = request->if_version,
                                      .ttl_ms = request->ttl_ms};

    return part_propose(part, &command)->index;
}

static void forget_idle_sessions(struct part *part)
{
    /* S4, broken: sessions that a retry may still need are forgotten. */
    struct sim_entry command = {.kind = COMMAND_EVICT_SESSIONS};

    command.cutoff_ms = replica_log_time_ms(&part->replica, host_now_ms(part->host));
    if (sim_chance(part->host->sim, 0.3))
        part_propose(part, &command);
}

static void mutate(struct part *part, const struct message *message)
{
    const struct sim_request *request = &message->request;
    struct outcome outcome;
    struct entry *in_flight;
    enum session_verdict verdict = store_session_check(
        part->host->store, part->number, request->client, request->number, &outcome, &in_flight);

    if (RULE_BROKEN(S3))
        verdict = SESSION_NEW;
    switch (verdict) {
    case SESSION_DUPLICATE:
        answer_outcome(part, message, &outcome, 0);
        return;
    case SESSION_STALE:
        refuse(part, message, REPLY_STALE);
        return;
    case SESSION_FULL:
        CHECK(false);
    case SESSION_IN_FLIGHT:
        wait_for(part, message, in_flight->index);
        return;
    case SESSION_NEW:
        break;
    }
    if (!replica_accepts(&part->replica)) {
        refuse(part, message, REPLY_NOT_PRIMARY);
        return;
    }
    wait_for(part, message, propose(part, request));
    if (RULE_BROKEN(S4))
        forget_idle_sessions(part);
    part_pump(part, false);
}

void host_take_request(struct host *host, const struct message *message)
{
    struct part *part = &host->parts[message->partition];

    if (host_is_quiet(host) || !replica_serves(&part->replica, host_now_ms(host)))
        refuse(part, message, REPLY_NOT_PRIMARY);
    else if (message->request.kind == OPERATION_GET)
        answer_get(part, message);
    else
        mutate(part, message);
}
