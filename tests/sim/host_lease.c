/* What hosts may serve from their caches, at a simulated server: the driver of server/lease.c, as
 * the real one is (C2, C3, C5, C6, C7). */
#include "base/check.h"
#include "tests/sim/sim.h"

enum { LISTEN_MS = 1500, PEERS_KNOWN_MS = 50 };

/* A reply that waits for a revocation. */
struct held {
    struct lease_waiter waiter; /* first */
    const struct message *reply;
};

static uint32_t bucket_of_key(uint32_t key)
{
    uint8_t text[8];
    uint32_t length;

    return bucket_of_hash(key_hash(key, text, &length));
}

/* --- the process ------------------------------------------------------------------------------ */

void host_lease_start(struct host *host)
{
    const struct lease_options options = {.lease_ms = host->sim->plan.lease_ms,
                                          .longest_ms = host->disk->longest_ms};

    host->lease = lease_create(&options, host_now_ms(host));
    CHECK(host->lease != NULL);
    host->recording = false;
    host->peers_known_ms = host->counted_sum = 0;
    host->first_connection = host->sim->next_id;
    host->lease_calls = NULL;
    for (uint32_t i = 0; i < SIM_BROKEN_KEPT; i++)
        host->broken[i] = 0;
    for (uint32_t i = 0; i < SIM_HEARD_KEPT; i++)
        host->heard[i] = (struct heard_of){0};
}

void host_lease_free(struct host *host)
{
    lease_free(host->lease);
    host->lease = NULL;
}

bool host_is_quiet(const struct host *host)
{
    return host_now_ms(host) < lease_quiet_until_ms(host->lease);
}

/* C7: the longest lease is on disk before the first one is given. */
static bool longest_is_recorded(struct host *host)
{
    if (host->disk->longest_ms >= lease_host_ms(host->sim->plan.lease_ms))
        return true;
    if (!host->recording)
        sim_schedule(host->sim, host->sim->plan.sync_us, EVENT_LEASE_RECORDED, host->node,
                     host->generation, 0, NULL);
    host->recording = true;
    return false;
}

void host_lease_recorded(struct host *host)
{
    host->recording = false;
    host->disk->longest_ms = lease_host_ms(host->sim->plan.lease_ms);
}

static uint64_t look_at_peers(const struct host *host)
{
    uint64_t bound = UINT64_MAX;

    for (uint32_t i = 0; i < host->sim->plan.partitions; i++) {
        const struct replica *replica = &host->parts[i].replica;

        if (replica->barrier_index != 0 && replica_peers_until_ms(replica) < bound)
            bound = replica_peers_until_ms(replica);
    }
    return bound;
}

static uint64_t sum_of_counted(const struct host *host)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < host->sim->plan.partitions; i++) {
        const struct replica *replica = &host->parts[i].replica;

        for (uint32_t k = 0; replica->barrier_index != 0 && k < replica->follower_count; k++)
            if (replica->followers[k].counted)
                sum += (i + 1) * replica->followers[k].id.store;
        sum += replica->barrier_index != 0 ? UINT64_C(1) << (40 + i) : 0;
    }
    return sum;
}

/* C5: the earliest end of a peer's lease over all that is led here; seen a moment ago, as
 * server/node_hosts.c does it, unless somebody else counts by now. */
static uint64_t bound_ms(struct host *host)
{
    uint64_t now_ms = host_now_ms(host), sum = sum_of_counted(host);

    if (sum != host->counted_sum || now_ms >= host->peers_known_ms + PEERS_KNOWN_MS) {
        host->peers_until_ms = look_at_peers(host);
        host->peers_known_ms = now_ms;
        host->counted_sum = sum;
    }
    return host->peers_until_ms;
}

/* --- answers ------------------------------------------------------------------------------------
 */

static struct sim_host_answer *answer_to(struct host *host, const struct message *call,
                                         struct message **message)
{
    struct sim_host_answer *answer;

    *message = message_create(host->sim, MESSAGE_HOST_ANSWER, host->node, call->from);
    (*message)->call = call->call;
    answer = &(*message)->host_answer;
    answer->kind = call->host_call.kind;
    answer->segment = call->host_call.segment;
    answer->connection = call->host_call.connection;
    answer->session = call->host_call.session;
    return answer;
}

static void answer_status(struct host *host, const struct message *call, cache_status status,
                          uint64_t granted_ms)
{
    struct message *message;
    struct sim_host_answer *answer = answer_to(host, call, &message);

    answer->status = status;
    answer->granted_ms = granted_ms;
    answer->number = call->host_call.answered;
    network_send(host->sim, message);
}

/* Takes out the oldest waiting call of the session and kind; session 0: whose time is over. */
static const struct message *take_call(struct host *host, enum host_session_call kind,
                                       uint64_t session)
{
    struct lease_call **link = &host->lease_calls, **found = NULL;
    const struct message *message;

    for (; *link != NULL; link = &(*link)->next) /* the newest is first */
        if ((*link)->message->host_call.kind == kind &&
            (*link)->message->host_call.session == session)
            found = link;
    if (found == NULL)
        return NULL;
    message = (*found)->message;
    *found = (*found)->next;
    return message;
}

static void keep_call(struct host *host, const struct message *message)
{
    struct lease_call *call = arena_alloc(&host->sim->arena, sizeof *call);

    *call = (struct lease_call){host->lease_calls, message, host_now_ms(host)};
    host->lease_calls = call;
}

/* --- calls --------------------------------------------------------------------------------------
 */

static void take_open(struct host *host, const struct message *message)
{
    uint64_t granted_ms = 0;
    cache_status status = CACHE_OK;

    if (host_is_quiet(host) || !longest_is_recorded(host)) {
        answer_status(host, message, CACHE_STARTING, 0);
        return;
    }
    switch (lease_open(host->lease, message->host_call.session, host_now_ms(host), bound_ms(host),
                       &granted_ms)) {
    case CAIRN_OK:
        break;
    case CAIRN_EFULL:
        status = CACHE_FULL;
        break;
    case CAIRN_EBUSY:
        status = CACHE_STARTING;
        break;
    default:
        status = CACHE_CLOSED;
    }
    answer_status(host, message, status, granted_ms);
}

static void take_renew(struct host *host, const struct message *message)
{
    /* Kept before the core is told: it may answer at once. */
    keep_call(host, message);
    if (lease_renew(host->lease, message->host_call.session, host_now_ms(host), bound_ms(host)))
        return;
    host->lease_calls = host->lease_calls->next;
    answer_status(host, message, CACHE_CLOSED, 0);
}

static void take_listen(struct host *host, const struct message *message)
{
    const struct message *earlier;

    if (!lease_listen(host->lease, message->host_call.session, message->host_call.answered,
                      host_now_ms(host))) {
        answer_status(host, message, CACHE_CLOSED, 0);
        return;
    }
    earlier = take_call(host, HOST_CALL_LISTEN, message->host_call.session);
    if (earlier != NULL)
        answer_status(host, earlier, CACHE_OK, 0);
    keep_call(host, message);
}

static void note_heard(struct host *host, const struct sim_host_call *call)
{
    for (uint32_t i = 0; i < SIM_HEARD_KEPT; i++)
        if (host->heard[i].session == call->session) {
            host->heard[i].connection = call->connection;
            return;
        }
    host->heard[host->heard_next++ % SIM_HEARD_KEPT] =
        (struct heard_of){call->connection, call->session};
}

/* C3: a session outlives its connection, and with it what it was told and did not answer. */
void host_connection_broken(struct host *host, uint64_t connection)
{
    struct lease_call **link = &host->lease_calls;

    host->broken[host->broken_next++ % SIM_BROKEN_KEPT] = connection;
    while (*link != NULL) {
        const struct sim_host_call *call = &(*link)->message->host_call;

        if (call->connection != connection) {
            link = &(*link)->next;
            continue;
        }
        if (call->kind == HOST_CALL_LISTEN)
            lease_unlisten(host->lease, call->session);
        *link = (*link)->next;
    }
    for (uint32_t i = 0; i < SIM_HEARD_KEPT; i++)
        if (host->heard[i].session != 0 && host->heard[i].connection == connection)
            lease_unlisten(host->lease, host->heard[i].session);
}

/* The other end of a connection that is not known here is told so, if that arrives. */
static bool is_connected(struct host *host, const struct message *message)
{
    uint64_t connection = message->host_call.connection;
    bool broken = connection <= host->first_connection;

    for (uint32_t i = 0; i < SIM_BROKEN_KEPT; i++)
        broken = broken || host->broken[i] == connection;
    return !broken;
}

void host_take_host_call(struct host *host, const struct message *message)
{
    const struct sim_host_call *call = &message->host_call;
    struct machine *machine = &host->sim->machines[message->from - SIM_FIRST_MACHINE];
    struct segment *segment = &machine->segments[call->segment];

    if (!is_connected(host, message)) {
        if (segment->agent.peers[host->node].connection == call->connection)
            agent_break(segment, host->node, 1 * MS, UINT64_MAX);
        return;
    }
    note_heard(host, call);
    switch (call->kind) {
    case HOST_CALL_OPEN:
        take_open(host, message);
        break;
    case HOST_CALL_RENEW:
        take_renew(host, message);
        break;
    case HOST_CALL_LISTEN:
        take_listen(host, message);
        break;
    case HOST_CALL_CLOSE:
        lease_close(host->lease, call->session);
        answer_status(host, message, CACHE_OK, 0);
        break;
    case HOST_CALL_NONE:
        CHECK(false);
    }
}

/* --- what the core asks for --------------------------------------------------------------------
 */

static void send_batch(struct host *host, const struct lease_output *output)
{
    const struct message *call = take_call(host, HOST_CALL_LISTEN, output->session);
    struct sim_host_answer *answer;
    struct message *message;

    CHECK(call != NULL);
    answer = answer_to(host, call, &message);
    answer->status = CACHE_OK;
    answer->number = output->number;
    answer->all = output->all;
    answer->count = output->count;
    answer->buckets = arena_alloc(&host->sim->arena, (output->count + 1) * sizeof(uint32_t));
    for (uint32_t i = 0; i < output->count; i++)
        answer->buckets[i] = output->buckets[i];
    network_send(host->sim, message);
}

static void end_calls(struct host *host, uint64_t session)
{
    const struct message *call;

    while ((call = take_call(host, HOST_CALL_LISTEN, session)) != NULL ||
           (call = take_call(host, HOST_CALL_RENEW, session)) != NULL)
        answer_status(host, call, CACHE_CLOSED, 0);
}

static void carry_out(struct host *host, const struct lease_output *output)
{
    const struct message *call;

    switch (output->kind) {
    case LEASE_BATCH:
        send_batch(host, output);
        break;
    case LEASE_GRANTED: /* of a connection that broke meanwhile it is nobody's */
        call = take_call(host, HOST_CALL_RENEW, output->session);
        if (call != NULL)
            answer_status(host, call, CACHE_OK, output->granted_ms);
        break;
    case LEASE_OVER:
        end_calls(host, output->session);
        break;
    }
}

static void report_ended(struct host *host)
{
    for (uint32_t i = 0; i < host->sim->plan.partitions; i++) {
        struct part *part = &host->parts[i];
        struct replica_event event = {.kind = REPLICA_EVENT_HOSTS_ENDED};
        struct replica_update update;

        if (!part->ending || !lease_ended(host->lease, part->ticket) || host_is_quiet(host))
            continue;
        part->ending = false;
        part_step(part, &event, &update, NULL);
    }
}

void host_lease_drain(struct host *host)
{
    struct lease_output output;
    struct lease_waiter *waiter;

    report_ended(host);
    while (lease_next_output(host->lease, &output))
        carry_out(host, &output);
    while ((waiter = lease_next_ready(host->lease)) != NULL) {
        const struct held *held = (const struct held *)waiter;

        sim_schedule(host->sim, sim_below(host->sim, MS), EVENT_REPLY, host->node, host->generation,
                     0, held->reply);
    }
}

/* Listeners whom nothing happens for are answered now and then. */
static void end_long_listens(struct host *host)
{
    uint64_t now_ms = host_now_ms(host);

    for (struct lease_call *call = host->lease_calls, *next; call != NULL; call = next) {
        const struct message *message = call->message;

        next = call->next;
        if (message->host_call.kind != HOST_CALL_LISTEN || now_ms < call->arrived_ms + LISTEN_MS)
            continue;
        lease_unlisten(host->lease, message->host_call.session);
        message = take_call(host, HOST_CALL_LISTEN, message->host_call.session);
        answer_status(host, message, CACHE_OK, 0);
    }
}

void host_lease_tick(struct host *host)
{
    lease_tick(host->lease, host_now_ms(host));
    end_long_listens(host);
}

/* --- keys ---------------------------------------------------------------------------------------
 */

static bool has_key(const struct sim_entry *entry)
{
    return entry->kind == COMMAND_PUT || entry->kind == COMMAND_SWAP ||
           entry->kind == COMMAND_DELETE;
}

void part_write_begins(struct part *part, const struct sim_entry *entry)
{
    if (has_key(entry))
        lease_write_begins(part->host->lease, bucket_of_key(entry->key), host_now_ms(part->host));
}

void part_write_ends(struct part *part, const struct sim_entry *entry)
{
    if (has_key(entry))
        lease_write_ends(part->host->lease, bucket_of_key(entry->key));
}

void part_end_hosts(struct part *part)
{
    part->ending = true;
    part->ticket = lease_end_all(part->host->lease);
}

void part_leads_no_more(struct part *part)
{
    if (!RULE_BROKEN(C5_LEFT))
        (void)lease_end_all(part->host->lease);
}

bool part_grants(struct part *part, const struct sim_request *request)
{
    struct host *host = part->host;

    if (request->cache_session == 0 ||
        !lease_grant(host->lease, request->cache_session, bucket_of_key(request->key),
                     host_now_ms(host), replica_peers_until_ms(&part->replica)))
        return false;
    host->sim->counters.granted++;
    return true;
}

bool host_holds_reply(struct host *host, uint32_t key, const struct message *reply)
{
    uint32_t bucket = bucket_of_key(key);
    struct held *held;

    if (!lease_is_revoking(host->lease, bucket))
        return false;
    held = arena_alloc(&host->sim->arena, sizeof *held);
    held->reply = reply;
    host->sim->counters.held++;
    lease_wait(host->lease, bucket, &held->waiter);
    return true;
}
