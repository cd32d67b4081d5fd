/* The agent's calls: what host_session.c wants sent is sent, and what comes back is told to it. */
#include <stdlib.h>

#include "base/clock.h"
#include "base/random.h"
#include "client/agent_internal.h"

enum {
    LISTEN_MS = 30000,
    CALL_MS = 2000,
    MAP_MS = 3000,       /* between questions to the managers while a server does not answer */
    MAP_FIRST_MS = 500,  /* the same without any map */
    FAILURES_FOR_MAP = 2 /* in a row: the server may have moved */
};

/* One call under way. `number`: of the session that it was made for. */
struct agent_call {
    struct agent_peer *peer;
    enum host_session_call call;
    uint64_t number;
};

/* --- answers ------------------------------------------------------------------------------------
 */

static void take_result(const struct agent_call *call, const void *result, uint64_t now_ms)
{
    struct host_session *session = &call->peer->session;
    const cache_lease *lease = result;

    switch (call->call) {
    case HOST_CALL_OPEN:
    case HOST_CALL_RENEW:
        host_session_granted(session, call->number, lease->status, lease->granted_ms, now_ms);
        break;
    case HOST_CALL_LISTEN:
        host_session_batch(session, call->number, result, now_ms);
        break;
    case HOST_CALL_CLOSE:
        host_session_closed(session, call->number);
        break;
    case HOST_CALL_NONE:
        break;
    }
}

/* C6: when the connection is gone so is the session; what is merely late is waited for. A number
 * that was never confirmed is given up in both cases, by host_session_failed. */
static void take_failure(const struct agent_call *call, int status, uint64_t now_ms)
{
    struct agent_peer *peer = call->peer;
    struct route *route = &peer->agent->db->route;
    struct route_server *server = route_server_by_id(route, peer->id);
    bool silent = server != NULL && route_is_silence(server->rpc, status);
    bool refused = status == CAIRN_EVERSION || status == CAIRN_EPROTO;

    if (silent || call->call == HOST_CALL_OPEN || (refused && call->call != HOST_CALL_LISTEN)) {
        host_session_failed(&peer->session, call->call, call->number, now_ms);
    } else if (call->number == peer->session.number) {
        host_session_lost(&peer->session, now_ms);
    }
}

static void on_done(void *context, int status, const void *result, const struct error *error)
{
    struct agent_call *call = context;
    struct agent_peer *peer = call->peer;
    struct route *route = &peer->agent->db->route;
    struct route_server *server = route_server_by_id(route, peer->id);
    uint64_t now_ms = clock_now_ms();

    (void)error;
    if (status == CAIRN_OK) {
        take_result(call, result, now_ms);
    } else {
        take_failure(call, status, now_ms);
    }
    if (server != NULL) {
        route_note(route, server, status);
    }
    free(call);
}

/* --- calls --------------------------------------------------------------------------------------
 */

static int send_args(const struct agent_call *call, struct rpc_client *rpc)
{
    const struct host_session *session = &call->peer->session;
    const cache_open_args open = {call->peer->agent->db->route.cluster, call->number};
    const cache_renew_args renew = {call->number};
    const cache_listen_args listen = {call->number, session->answered};
    const cache_close_args close = {call->number};
    void *context = (void *)call;

    switch (call->call) {
    case HOST_CALL_OPEN:
        return rpc_client_call(rpc, &program_cache, CACHE_OPEN, &open, CALL_MS, on_done, context,
                               NULL);
    case HOST_CALL_RENEW:
        return rpc_client_call(rpc, &program_cache, CACHE_RENEW, &renew, CALL_MS, on_done, context,
                               NULL);
    case HOST_CALL_LISTEN:
        return rpc_client_call(rpc, &program_cache, CACHE_LISTEN, &listen, LISTEN_MS, on_done,
                               context, NULL);
    case HOST_CALL_CLOSE:
        return rpc_client_call(rpc, &program_cache, CACHE_CLOSE, &close, CALL_MS, on_done, context,
                               NULL);
    case HOST_CALL_NONE:
        break;
    }
    return CAIRN_EINVAL;
}

/* False: nothing was sent. */
static bool send_call(struct agent_peer *peer, enum host_session_call kind, uint64_t number,
                      uint64_t now_ms)
{
    struct route *route = &peer->agent->db->route;
    struct route_server *server = route_server_by_id(route, peer->id);
    struct rpc_client *rpc = server == NULL ? NULL : route_connection(route, server);
    struct agent_call *call = rpc == NULL ? NULL : malloc(sizeof(*call));
    int status = CAIRN_ENOMEM;

    host_session_sent(&peer->session, kind, number, now_ms);
    if (call != NULL) {
        *call = (struct agent_call){peer, kind, number};
        status = send_args(call, rpc);
    }
    if (status == CAIRN_OK) {
        return true;
    }
    free(call);
    if (kind == HOST_CALL_OPEN) {
        host_session_failed(&peer->session, kind, number, now_ms);
    } else {
        host_session_lost(&peer->session, now_ms);
    }
    return false;
}

static void send_due(struct agent_peer *peer)
{
    enum host_session_call kind;
    bool sent = true;

    while (sent) {
        uint64_t now_ms = clock_now_ms(); /* C5: read before the call leaves */

        kind = host_session_due(&peer->session, now_ms);
        if (kind == HOST_CALL_NONE || (kind == HOST_CALL_OPEN && !peer->wanted)) {
            return;
        }
        uint64_t number = kind == HOST_CALL_OPEN ? random_id() : peer->session.number;
        sent = send_call(peer, kind, number, now_ms);
    }
}

/* --- servers ------------------------------------------------------------------------------------
 */

static struct agent_peer *peer_of(struct agent *agent, uint32_t id)
{
    struct agent_peer *peer;

    for (uint32_t i = 0; i < agent->peer_count; i++) {
        if (agent->peers[i].id == id) {
            return &agent->peers[i];
        }
    }
    if (agent->peer_count == CAIRN_SERVERS_LIMIT) {
        return NULL;
    }
    peer = &agent->peers[agent->peer_count++];
    *peer = (struct agent_peer){.agent = agent, .id = id};
    host_session_init(&peer->session, host_cache(agent->db->cache.host), id);
    return peer;
}

/* A server that had left and is back begins anew. */
static void want(struct agent_peer *peer)
{
    if (peer->session.state == HOST_SESSION_NONE && peer->session.due_ms == UINT64_MAX) {
        host_session_init(&peer->session, peer->session.cache, peer->id);
    }
    peer->wanted = true;
}

/* Every server of the map may come to lead a partition. Who left it gets its session closed. */
static void take_servers(struct agent *agent, uint64_t now_ms)
{
    const struct route *route = &agent->db->route;

    if (agent->generation == route->generation) {
        return;
    }
    agent->generation = route->generation;
    for (uint32_t i = 0; i < agent->peer_count; i++) {
        agent->peers[i].wanted = false;
    }
    for (size_t i = 0; i < route->server_count; i++) {
        struct agent_peer *peer =
            route->servers[i]->removed ? NULL : peer_of(agent, route->servers[i]->id);
        if (peer != NULL) {
            want(peer);
        }
    }
    for (uint32_t i = 0; i < agent->peer_count; i++) {
        if (!agent->peers[i].wanted) {
            host_session_end(&agent->peers[i].session, now_ms);
        }
    }
}

/* A server that cannot be reached may have another address now. */
static void refresh_map(struct agent *agent, uint64_t now_ms)
{
    bool ready = route_is_ready(&agent->db->route);
    bool failing = !ready;

    for (uint32_t i = 0; i < agent->peer_count && !failing; i++) {
        const struct agent_peer *peer = &agent->peers[i];
        failing = peer->wanted && peer->session.failures >= FAILURES_FOR_MAP;
    }
    if (failing && now_ms >= agent->map_due_ms) {
        agent->map_due_ms = now_ms + (ready ? MAP_MS : MAP_FIRST_MS);
        managers_refresh(agent->db);
    }
}

void agent_sessions_begin(struct agent *agent)
{
    agent->peer_count = 0;
    agent->generation = UINT64_MAX;
    agent->map_due_ms = 0;
    /* Nobody listens for them any more: what readers were granted under them now would only make
     * writers wait for their end. */
    for (uint32_t id = 0; id < CAIRN_SERVERS_LIMIT; id++) {
        cache_void_session(host_cache(agent->host), id);
    }
}

uint64_t agent_sessions_drive(struct agent *agent, uint64_t now_ms)
{
    uint64_t next_ms = UINT64_MAX;

    (void)handle_cache_look(agent->db);
    refresh_map(agent, now_ms);
    take_servers(agent, now_ms);
    for (uint32_t i = 0; i < agent->peer_count; i++) {
        struct agent_peer *peer = &agent->peers[i];

        send_due(peer);
        if (peer->wanted || peer->session.state != HOST_SESSION_NONE) {
            uint64_t due_ms = host_session_next_ms(&peer->session);
            next_ms = due_ms < next_ms ? due_ms : next_ms;
        }
    }
    return next_ms;
}

void agent_sessions_end(struct agent *agent, uint64_t now_ms)
{
    for (uint32_t i = 0; i < agent->peer_count; i++) {
        agent->peers[i].wanted = false;
        host_session_end(&agent->peers[i].session, now_ms);
    }
}

bool agent_sessions_closing(struct agent *agent, uint64_t now_ms)
{
    bool closing = false;

    for (uint32_t i = 0; i < agent->peer_count; i++) {
        struct agent_peer *peer = &agent->peers[i];

        if (host_session_due(&peer->session, now_ms) == HOST_CALL_CLOSE) {
            (void)send_call(peer, HOST_CALL_CLOSE, peer->session.number, now_ms);
        }
        /* Tried once: a server that cannot be reached waits for the end of the lease. */
        closing = closing || (peer->session.state == HOST_SESSION_CLOSING && peer->session.asking);
    }
    return closing;
}
