/* Replies that are made now and sent later (rpc_reply_hold). */
#include "base/check.h"
#include "base/error.h"
#include "rpc/server_internal.h"

/* Takes note of the memory that the call's reply lies in. */
static void count(struct peer *peer, struct rpc_call *call)
{
    size_t bytes = call->held.capacity;
    if (bytes == 0) {
        return;
    }
    LIST_INSERT_HEAD(&peer->held_calls, call, same_peer);
    peer->held += bytes;
    peer->server->memory += bytes;
    if (peer->server->memory > peer->server->options.memory_limit) {
        server_sweep_start(peer->server);
    }
}

static void discount(struct peer *peer, struct rpc_call *call)
{
    size_t bytes = call->held.capacity;
    if (bytes == 0) {
        return;
    }
    CHECK(peer->held >= bytes && peer->server->memory >= bytes);
    LIST_REMOVE(call, same_peer);
    peer->held -= bytes;
    peer->server->memory -= bytes;
}

void server_drop_held(struct peer *peer)
{
    struct rpc_call *call;
    while ((call = LIST_FIRST(&peer->held_calls)) != NULL) {
        discount(peer, call);
        buffer_free(&call->held);
    }
    CHECK(peer->held == 0);
}

/* A connection that is not read past the memory limit has room for one reply first, and nobody sees
 * it leave: who comes again and again would make the server hold one for each time. */
static bool is_beyond_bounds(const struct rpc_server *server)
{
    return server->memory / 2 > server->options.memory_limit;
}

void rpc_reply_hold(struct rpc_call *call, const void *result)
{
    struct peer *peer = call->peer;
    CHECK(!call->is_held);
    call->is_held = true;
    buffer_init(&call->held, SIZE_MAX);
    if (peer->server == NULL || peer->io.ended) {
        return;
    }
    int rc = server_encode_reply(&call->held, call, result);
    count(peer, call);
    if (rc != 0 || server_holds_too_much(peer) || is_beyond_bounds(peer->server)) {
        peer_end(peer, CAIRN_ENOMEM);
    }
}

void rpc_reply_release(struct rpc_call *call)
{
    struct peer *peer = call->peer;
    struct buffer *held = &call->held;
    CHECK(call->is_held);
    discount(peer, call);
    if (peer->server != NULL && !peer->io.ended) {
        server_queue_reply(peer, buffer_append(&peer->io.output, held->data, held->length));
    }
    buffer_free(held);
    server_call_free(call);
}
