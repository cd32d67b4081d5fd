/* See hosts.h: OPEN, RENEW, LISTEN and CLOSE, and what the core has to be done for them. */
#include "server/hosts.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "proto/cache_rpc.h"
#include "server/hosts_internal.h"

/* A LISTEN is answered before anybody between us forgets its connection. */
enum { LISTEN_MS = 20000 };

/* --- the calls that wait ------------------------------------------------------------------------
 */

/* Of the session, or with 0 a free place; NULL if there is none. */
static struct host_calls *find(struct hosts *hosts, uint64_t session)
{
    for (size_t i = 0; i < LEASE_SESSIONS_LIMIT; i++)
        if (hosts->calls[i].session == session)
            return &hosts->calls[i];
    return NULL;
}

static void answer_lease(struct rpc_call *call, cache_status status, uint64_t granted_ms)
{
    cache_lease lease = {.status = status, .granted_ms = granted_ms};

    rpc_reply(call, &lease);
}

static void answer_listen(struct rpc_call *call, cache_status status, uint64_t number)
{
    cache_batch batch = {.status = status, .number = number};

    rpc_reply(call, &batch);
}

static void end_listen(struct host_calls *calls, cache_status status)
{
    if (calls->listen == NULL)
        return;
    answer_listen(calls->listen, status, calls->answered);
    calls->listen = NULL;
}

/* Takes out the earliest renewal that waits. */
static struct rpc_call *pop_renewal(struct host_calls *calls)
{
    struct rpc_call *call = calls->renewals[0];

    calls->renewals[0] = calls->renewals[1];
    calls->renewals[1] = NULL;
    return call;
}

static void close_calls(struct host_calls *calls)
{
    struct rpc_call *call;

    end_listen(calls, CACHE_CLOSED);
    while ((call = pop_renewal(calls)) != NULL)
        answer_lease(call, CACHE_CLOSED, 0);
    *calls = (struct host_calls){0};
}

/* --- what the core has to be done ---------------------------------------------------------------
 */

/* The core holds the batch until it is answered: a connection that breaks now changes nothing. */
static void send_batch(struct host_calls *calls, const struct lease_output *output)
{
    cache_batch batch = {.status = CACHE_OK, .number = output->number, .all = output->all};

    CHECK(calls->listen != NULL); /* the core counts on it */
    batch.buckets.buckets_len = output->count;
    batch.buckets.buckets_val = (u_int *)(uintptr_t)output->buckets;
    rpc_reply(calls->listen, &batch);
    calls->listen = NULL;
}

static void carry_out(struct node *node, const struct lease_output *output)
{
    struct host_calls *calls = find(node->hosts, output->session);
    struct rpc_call *renewal;

    CHECK(calls != NULL);
    switch (output->kind) {
    case LEASE_BATCH:
        send_batch(calls, output);
        break;
    case LEASE_GRANTED:
        renewal = pop_renewal(calls);
        CHECK(renewal != NULL);
        answer_lease(renewal, CACHE_OK, output->granted_ms);
        break;
    case LEASE_OVER:
        log_debug("server", "host session=%016" PRIx64 " over", output->session);
        close_calls(calls);
        break;
    }
}

void hosts_pump(struct node *node)
{
    struct lease_output output;

    while (lease_next_output(node->lease, &output))
        carry_out(node, &output);
    hosts_release(node);
    if (node->hosts_ending)
        node_report_hosts_ended(node, clock_now_ms());
}

void hosts_tick(struct node *node, uint64_t now_ms)
{
    struct hosts *hosts = node->hosts;

    lease_tick(node->lease, now_ms);
    for (size_t i = 0; i < LEASE_SESSIONS_LIMIT; i++) {
        struct host_calls *calls = &hosts->calls[i];

        if (calls->listen == NULL || now_ms - calls->since_ms < LISTEN_MS)
            continue;
        lease_unlisten(node->lease, calls->session);
        end_listen(calls, CACHE_OK);
    }
    hosts_pump(node);
}

/* --- the program --------------------------------------------------------------------------------
 */

/* Until the node answers for its partitions there is nothing to grant (C7). */
static bool is_starting(const struct node *node, uint64_t now_ms)
{
    return node->partition_count == 0 || node->hosts == NULL || node_is_quiet(node, now_ms);
}

/* C7: durable before any lease of that length is granted. Blocks the loop, once in a store's life.
 */
static bool record_longest(struct node *node)
{
    struct error error = {0};
    int status =
        hosts_record_raise(&node->hosts_record, lease_host_ms(node->host_lease_ms), &error);

    if (status != CAIRN_OK && !node->hosts->warned)
        log_error("server", "hosts get no leases error=\"%s\"", error.message);
    node->hosts->warned = status != CAIRN_OK;
    return status == CAIRN_OK;
}

static cache_status open_session(struct node *node, uint64_t session, uint64_t *granted_ms)
{
    uint64_t now_ms = clock_now_ms();
    struct host_calls *calls;
    int status;

    if (!record_longest(node))
        return CACHE_STARTING;
    /* What has ended is told before a place is looked for. */
    hosts_tick(node, now_ms);
    status =
        lease_open(node->lease, session, now_ms, node_peers_until_ms(node, now_ms), granted_ms);
    if (status == CAIRN_EFULL)
        return CACHE_FULL;
    if (status == CAIRN_EBUSY)
        return CACHE_STARTING;
    if (status != CAIRN_OK)
        return CACHE_CLOSED; /* the number is taken: another one is needed */
    calls = find(node->hosts, 0);
    CHECK(calls != NULL); /* as many as the core has sessions */
    calls->session = session;
    log_debug("server", "host session=%016" PRIx64 " open", session);
    return CACHE_OK;
}

static void host_open(void *context, struct rpc_call *call, const void *args)
{
    struct node *node = context;
    const cache_open_args *open = args;
    uint64_t granted_ms = 0;
    cache_status status;

    if (is_starting(node, clock_now_ms()))
        status = CACHE_STARTING;
    else if (open->cluster != 0 && open->cluster != node->identity.cluster)
        status = CACHE_WRONG_CLUSTER;
    else if (node->host_lease_ms == 0)
        status = CACHE_OFF;
    else
        status = open_session(node, open->session, &granted_ms);
    answer_lease(call, status, granted_ms);
}

/* The waiting calls of a session that is known; NULL: there is none. */
static struct host_calls *calls_of(struct node *node, uint64_t session)
{
    return session == 0 || node->hosts == NULL ? NULL : find(node->hosts, session);
}

static void host_renew(void *context, struct rpc_call *call, const void *args)
{
    struct node *node = context;
    const cache_renew_args *renew = args;
    struct host_calls *calls = calls_of(node, renew->session);
    uint64_t now_ms = clock_now_ms();

    if (calls == NULL ||
        !lease_renew(node->lease, renew->session, now_ms, node_peers_until_ms(node, now_ms))) {
        answer_lease(call, CACHE_CLOSED, 0);
    } else {
        /* The core answers the earlier one at once: never do more than two wait. */
        CHECK(calls->renewals[1] == NULL);
        calls->renewals[calls->renewals[0] != NULL ? 1 : 0] = call;
    }
    if (calls != NULL)
        hosts_pump(node);
}

static void host_listen(void *context, struct rpc_call *call, const void *args)
{
    struct node *node = context;
    const cache_listen_args *listen = args;
    struct host_calls *calls = calls_of(node, listen->session);
    uint64_t now_ms = clock_now_ms();

    if (calls == NULL) {
        answer_listen(call, CACHE_CLOSED, listen->answered);
        return;
    }
    end_listen(calls, CACHE_OK); /* the newer one is where the host waits */
    calls->listen = call;
    calls->answered = listen->answered;
    calls->since_ms = now_ms;
    if (!lease_listen(node->lease, listen->session, listen->answered, now_ms))
        end_listen(calls, CACHE_CLOSED);
    hosts_pump(node);
}

static void host_close(void *context, struct rpc_call *call, const void *args)
{
    struct node *node = context;
    const cache_close_args *close = args;
    cache_closed closed = {.status = CACHE_OK};

    if (calls_of(node, close->session) != NULL) {
        lease_close(node->lease, close->session);
        hosts_pump(node);
    } else {
        closed.status = CACHE_CLOSED;
    }
    rpc_reply(call, &closed);
}

static const rpc_handler handlers[] = {
    [CACHE_OPEN] = host_open,
    [CACHE_RENEW] = host_renew,
    [CACHE_LISTEN] = host_listen,
    [CACHE_CLOSE] = host_close,
};

struct rpc_service hosts_service(struct node *node)
{
    CHECK(program_cache.procedure_count == sizeof handlers / sizeof handlers[0]);
    return (struct rpc_service){.program = &program_cache, .handlers = handlers, .context = node};
}

/* --- life ---------------------------------------------------------------------------------------
 */

int hosts_open(struct node *node)
{
    CHECK(node->lease != NULL && node->hosts == NULL);
    node->hosts = calloc(1, sizeof *node->hosts);
    return node->hosts != NULL ? CAIRN_OK : CAIRN_ENOMEM;
}

void hosts_close(struct node *node)
{
    struct hosts *hosts = node->hosts;

    if (hosts == NULL)
        return;
    lease_release_all(node->lease);
    hosts_release(node);
    for (size_t i = 0; i < LEASE_SESSIONS_LIMIT; i++)
        if (hosts->calls[i].session != 0)
            close_calls(&hosts->calls[i]);
    node->hosts = NULL;
    free(hosts);
}

void hosts_stats(const struct node *node, struct hosts_stats *stats)
{
    *stats = node->hosts->stats;
}
