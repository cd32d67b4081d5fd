/* See membership.h. */
#include "server/membership.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/backoff.h"
#include "base/buffer.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "rpc/client.h"

enum {
    CALL_TIMEOUT_MS = 3000,
    RETRY_FIRST_MS = 50,
    RETRY_LIMIT_MS = 1000,
    WAITING_HEARTBEAT_MS = 100, /* while the map is not complete */
    ASKED_HEARTBEAT_MS = 50,    /* between heartbeats that somebody asked for */
    COMPLAIN_EVERY_MS = 60000,
};

struct membership {
    uv_loop_t *loop;
    struct membership_options options;
    struct membership_events events;
    struct rpc_client *client; /* of managers[current] */
    size_t current;
    uv_timer_t timer;
    struct backoff backoff;
    struct random random;
    bool registered, rejected, closing;
    bool has_map;
    bool call_pending;  /* a registration or heartbeat */
    bool failing;       /* the last one was not answered, or refused: the back-off decides */
    bool asked;         /* for a heartbeat at once */
    uint64_t called_ms; /* when the last one left */
    bool propose_pending;
    uint32_t partitions;
    uint64_t complained_ms; /* of the last line about a manager that does not answer */
    uint64_t refused_ms;    /* when a proposal was last refused */
    void (*closed)(void *context);
    void *closed_context;
};

static void next_step(uv_timer_t *timer);

static void schedule(struct membership *membership, uint64_t delay_ms)
{
    if (!membership->closing && !membership->rejected)
        uv_timer_start(&membership->timer, next_step, delay_ms, 0);
}

static server_identity who(const struct membership *membership)
{
    const struct identity *identity = &membership->options.identity;

    return (server_identity){.cluster = identity->cluster,
                             .server = identity->server,
                             .store = identity->store,
                             .incarnation = identity->incarnation};
}

/* --- trouble
 * --------------------------------------------------------------------------------------- */

static int open_client(struct membership *membership)
{
    return rpc_client_open(membership->loop,
                           &membership->options.managers->items[membership->current], NULL,
                           &membership->client);
}

/* The next manager of the list, after a pause. */
static void try_another(struct membership *membership, const char *why)
{
    const struct address_list *managers = membership->options.managers;
    char text[ADDRESS_TEXT_MAX];
    uint64_t now_ms = clock_now_ms();

    if (membership->complained_ms == 0 || now_ms - membership->complained_ms > COMPLAIN_EVERY_MS) {
        log_warn("server", "manager does not answer, trying again manager=%s error=\"%s\"",
                 address_format(&managers->items[membership->current], text), why);
        membership->complained_ms = now_ms;
    }
    membership->failing = true;
    if (managers->count > 1) {
        rpc_client_close(membership->client, NULL, NULL);
        membership->current = (membership->current + 1) % managers->count;
        CHECK(open_client(membership) == CAIRN_OK);
    }
    schedule(membership, backoff_next_ms(&membership->backoff, &membership->random));
}

static void reject(struct membership *membership, const cairn_message *message)
{
    char text[CAIRN_MESSAGE_LIMIT + 1];

    memcpy(text, message->data != NULL ? (const char *)message->data : "", message->length);
    text[message->length] = '\0';
    membership->rejected = true;
    uv_timer_stop(&membership->timer);
    membership->events.rejected(membership->events.context, text);
}

/* --- maps
 * ----------------------------------------------------------------------------------------- */

static void take_map(struct membership *membership, const cairn_map *packed)
{
    struct cluster_map map;
    struct error error = {0};

    if (packed->length == 0)
        return;
    if (cluster_map_unpack(packed->data, packed->length, &map, &error) != CAIRN_OK) {
        log_error("server", "the manager's map is not valid error=\"%s\"", error.message);
        return;
    }
    membership->has_map = map.configurations != NULL;
    membership->events.map(membership->events.context, &map);
}

/* The next heartbeat, after an answer. */
static void schedule_heartbeat(struct membership *membership)
{
    uint64_t delay_ms =
        membership->has_map ? membership->options.heartbeat_ms : WAITING_HEARTBEAT_MS;

    membership->failing = false;
    membership->complained_ms = 0;
    backoff_reset(&membership->backoff);
    schedule(membership, membership->asked ? ASKED_HEARTBEAT_MS : delay_ms);
}

void membership_ask(struct membership *membership)
{
    uint64_t since_ms = clock_now_ms() - membership->called_ms;

    if (membership->asked || !membership->registered || membership->failing)
        return;
    membership->asked = true;
    if (!membership->call_pending)
        schedule(membership, since_ms < ASKED_HEARTBEAT_MS ? ASKED_HEARTBEAT_MS - since_ms : 0);
}

/* --- registration
 * ------------------------------------------------------------------------------------- */

static void register_done_cb(void *context, int status, const void *result,
                             const struct error *error)
{
    struct membership *membership = context;
    const register_result *answer = result;
    const register_done *done;

    membership->call_pending = false;
    if (membership->closing)
        return;
    if (status != CAIRN_OK) {
        try_another(membership, error->message);
        return;
    }
    if (answer->status != MANAGER_OK) {
        reject(membership, &answer->register_result_u.message);
        return;
    }
    done = &answer->register_result_u.done;
    membership->registered = true;
    membership->options.identity.cluster = done->cluster;
    membership->options.replace_store = false;
    membership->partitions = done->partitions;
    membership->events.registered(membership->events.context, done->cluster, done->partitions);
    take_map(membership, &done->map);
    schedule_heartbeat(membership);
}

static int call_register(struct membership *membership)
{
    register_args args = {.who = who(membership),
                          .replace_store = membership->options.replace_store,
                          .listen = view_of_text(membership->options.listen)};

    return rpc_client_call(membership->client, &program_manager, MANAGER_REGISTER, &args,
                           CALL_TIMEOUT_MS, register_done_cb, membership, NULL);
}

/* --- heartbeats
 * --------------------------------------------------------------------------------------- */

static void heartbeat_refused(struct membership *membership, manager_status status,
                              const cairn_message *message)
{
    switch (status) {
    case MANAGER_STALE:
        /* A later process of this very store is registered: two run on copies of one directory. */
        reject(membership, message);
        return;
    case MANAGER_UNKNOWN_SERVER:
    case MANAGER_WAITING:
        membership->registered = false;
        break;
    default:
        log_error("server", "the manager refuses heartbeats status=%d message=\"%.*s\"", status,
                  (int)message->length, (const char *)message->data);
    }
    membership->failing = true;
    schedule(membership, backoff_next_ms(&membership->backoff, &membership->random));
}

static void heartbeat_done_cb(void *context, int status, const void *result,
                              const struct error *error)
{
    struct membership *membership = context;
    const heartbeat_result *answer = result;
    const heartbeat_done *done;

    membership->call_pending = false;
    if (membership->closing)
        return;
    if (status != CAIRN_OK) {
        try_another(membership, error->message);
        return;
    }
    if (answer->status != MANAGER_OK) {
        heartbeat_refused(membership, answer->status, &answer->heartbeat_result_u.message);
        return;
    }
    done = &answer->heartbeat_result_u.done;
    take_map(membership, &done->map);
    for (u_int i = 0; i < done->wishes.wishes_len; i++)
        membership->events.wish(membership->events.context, &done->wishes.wishes_val[i]);
    schedule_heartbeat(membership);
}

static int call_heartbeat(struct membership *membership)
{
    heartbeat_partition *partitions = calloc(membership->partitions, sizeof *partitions);
    heartbeat_log *logs = calloc(membership->partitions, sizeof *logs);
    heartbeat_args args = {.who = who(membership)};
    int status = CAIRN_ENOMEM;

    if (partitions != NULL && logs != NULL) {
        args.partitions.partitions_val = partitions;
        args.partitions.partitions_len =
            membership->events.report(membership->events.context, partitions, logs,
                                      membership->partitions, &args.map_version);
        args.logs.logs_val = logs;
        args.logs.logs_len = args.partitions.partitions_len;
        status = rpc_client_call(membership->client, &program_manager, MANAGER_HEARTBEAT, &args,
                                 CALL_TIMEOUT_MS, heartbeat_done_cb, membership, NULL);
    }
    free(logs);
    free(partitions);
    return status;
}

static void next_step(uv_timer_t *timer)
{
    struct membership *membership = timer->data;
    int status;

    if (membership->call_pending || membership->rejected)
        return;
    membership->asked = false;
    membership->called_ms = clock_now_ms();
    status = membership->registered ? call_heartbeat(membership) : call_register(membership);
    if (status == CAIRN_OK)
        membership->call_pending = true;
    else
        try_another(membership, error_text(status));
}

/* --- proposals
 * ------------------------------------------------------------------------------------------- */

static void take_proposal_result(struct membership *membership, const proposal_result *result)
{
    struct configuration configuration;
    struct error error = {0};

    if (result->status != MANAGER_OK && result->status != MANAGER_CONFLICT) {
        uint64_t now_ms = clock_now_ms();

        /* The core proposes again, so this comes again. */
        if (membership->refused_ms == 0 || now_ms - membership->refused_ms > COMPLAIN_EVERY_MS)
            log_error("server", "the manager refuses a proposal status=%d", result->status);
        membership->refused_ms = now_ms;
        return;
    }
    if (configuration_unpack(result->current.data, result->current.length, membership->partitions,
                             &configuration, &error) != CAIRN_OK) {
        log_error("server", "the manager's configuration is not valid error=\"%s\"", error.message);
        return;
    }
    membership->events.configuration(membership->events.context, &configuration);
}

static void propose_done_cb(void *context, int status, const void *result,
                            const struct error *error)
{
    struct membership *membership = context;
    const propose_result *answer = result;

    membership->propose_pending = false;
    if (membership->closing)
        return;
    if (status != CAIRN_OK) {
        log_debug("server", "proposals stay undecided error=\"%s\"", error->message);
        return; /* R11: unknown stays unknown; the core asks again */
    }
    if (answer->status != MANAGER_OK) {
        const cairn_message *message = &answer->propose_result_u.message;

        log_error("server", "the manager refuses proposals status=%d message=\"%.*s\"",
                  answer->status, (int)message->length, (const char *)message->data);
        return;
    }
    for (u_int i = 0; i < answer->propose_result_u.done.results.results_len; i++)
        take_proposal_result(membership, &answer->propose_result_u.done.results.results_val[i]);
}

/* Packs all configurations into `bytes`; `proposals` point into it. */
static int pack_proposals(const struct configuration *configurations, uint32_t count,
                          struct buffer *bytes, proposal *proposals)
{
    size_t *starts = calloc((size_t)count + 1, sizeof *starts);
    int status = starts == NULL ? CAIRN_ENOMEM : CAIRN_OK;

    for (uint32_t i = 0; i < count && status == CAIRN_OK; i++) {
        starts[i] = bytes->length;
        status = configuration_pack(&configurations[i], bytes, NULL);
        starts[i + 1] = bytes->length;
    }
    for (uint32_t i = 0; i < count && status == CAIRN_OK; i++) {
        proposals[i].expected_epoch = configurations[i].epoch - 1;
        proposals[i].configuration = (cairn_packed){
            .data = bytes->data + starts[i], .length = (uint32_t)(starts[i + 1] - starts[i])};
    }
    free(starts);
    return status;
}

bool membership_can_propose(const struct membership *membership)
{
    return membership->registered && !membership->propose_pending && !membership->closing;
}

void membership_propose(struct membership *membership, const struct configuration *proposals,
                        uint32_t count)
{
    propose_args args = {.who = who(membership)};
    struct buffer bytes;
    int status = CAIRN_ENOMEM;

    if (!membership_can_propose(membership) || count == 0)
        return;
    CHECK(count <= CAIRN_PARTITIONS_LIMIT);
    buffer_init(&bytes, CAIRN_RECORD_LIMIT);
    args.proposals.proposals_len = count;
    args.proposals.proposals_val = calloc(count, sizeof *args.proposals.proposals_val);
    if (args.proposals.proposals_val != NULL)
        status = pack_proposals(proposals, count, &bytes, args.proposals.proposals_val);
    if (status == CAIRN_OK)
        status = rpc_client_call(membership->client, &program_manager, MANAGER_PROPOSE, &args,
                                 CALL_TIMEOUT_MS, propose_done_cb, membership, NULL);
    if (status == CAIRN_OK)
        membership->propose_pending = true;
    else
        log_warn("server", "proposals not sent error=\"%s\"", error_text(status));
    free(args.proposals.proposals_val);
    buffer_free(&bytes);
}

/* --- life
 * ------------------------------------------------------------------------------------------------
 */

int membership_open(uv_loop_t *loop, const struct membership_options *options,
                    const struct membership_events *events, struct membership **out,
                    struct error *error)
{
    struct membership *membership = calloc(1, sizeof *membership);

    *out = NULL;
    if (membership == NULL)
        return error_set(error, CAIRN_ENOMEM, "server: out of memory");
    membership->loop = loop;
    membership->options = *options;
    membership->events = *events;
    random_seed(&membership->random, random_id());
    backoff_init(&membership->backoff, RETRY_FIRST_MS, RETRY_LIMIT_MS);
    if (open_client(membership) != CAIRN_OK) {
        free(membership);
        return error_set(error, CAIRN_ENOMEM, "server: out of memory");
    }
    CHECK(uv_timer_init(loop, &membership->timer) == 0);
    membership->timer.data = membership;
    schedule(membership, 0);
    *out = membership;
    return CAIRN_OK;
}

static void timer_closed(uv_handle_t *handle)
{
    struct membership *membership = handle->data;

    if (membership->closed != NULL)
        membership->closed(membership->closed_context);
    free(membership);
}

static void client_closed(void *context)
{
    struct membership *membership = context;

    uv_close((uv_handle_t *)&membership->timer, timer_closed);
}

void membership_close(struct membership *membership, void (*closed)(void *context), void *context)
{
    membership->closing = true;
    membership->closed = closed;
    membership->closed_context = context;
    uv_timer_stop(&membership->timer);
    rpc_client_close(membership->client, client_closed, membership);
}
