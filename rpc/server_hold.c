/* Replies that are made now and sent later (rpc_reply_hold). */
#include "base/check.h"
#include "base/error.h"
#include "rpc/server_internal.h"

/* Memory of a held reply counts for as long as it is there, also when its connection is gone. */
static void count(struct peer *peer, size_t bytes)
{
    peer->held += bytes;
    if (peer->server == NULL) {
        return;
    }
    peer->server->memory += bytes;
    if (peer->server->memory > peer->server->options.memory_limit) {
        server_sweep_start(peer->server);
    }
}

static void discount(struct peer *peer, size_t bytes)
{
    CHECK(peer->held >= bytes);
    peer->held -= bytes;
    if (peer->server != NULL) {
        CHECK(peer->server->memory >= bytes);
        peer->server->memory -= bytes;
    }
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
    count(peer, call->held.capacity);
    if (rc != 0 || server_holds_too_much(peer)) {
        peer_end(peer, CAIRN_ENOMEM);
    }
}

void rpc_reply_release(struct rpc_call *call)
{
    struct peer *peer = call->peer;
    struct buffer *held = &call->held;
    CHECK(call->is_held);
    discount(peer, held->capacity);
    if (peer->server != NULL && !peer->io.ended) {
        server_queue_reply(peer, buffer_append(&peer->io.output, held->data, held->length));
    }
    buffer_free(held);
    server_call_free(call);
}
