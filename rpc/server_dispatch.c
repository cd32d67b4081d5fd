/* From a record to a handler and back: the calls of an RPC server (RFC 5531 section 9). */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/error.h"
#include "base/log.h"
#include "rpc/server_internal.h"

/* --- calls ----------------------------------------------------------------- */

static struct rpc_call *call_create(struct peer *peer, const struct rpc_procedure *procedure,
                                    uint32_t xid)
{
    struct rpc_server *server = peer->server;
    struct rpc_call *call = server->pool;
    if (call != NULL) {
        server->pool = call->next;
        server->pooled--;
    } else {
        call = malloc(sizeof *call);
        if (call == NULL) {
            return NULL;
        }
    }
    *call = (struct rpc_call){.peer = peer, .procedure = procedure, .xid = xid};
    peer->calls++;
    return call;
}

void server_call_free(struct rpc_call *call)
{
    struct peer *peer = call->peer;
    struct rpc_server *server = peer->server;
    CHECK(peer->calls > 0);
    peer->calls--;
    if (server != NULL && server->pooled < CALLS_KEPT) {
        call->next = server->pool;
        server->pool = call;
        server->pooled++;
    } else {
        free(call);
    }
    if (peer->freed && peer->calls == 0) {
        peer_release(peer);
    }
}

void server_pool_free(struct rpc_server *server)
{
    while (server->pool != NULL) {
        struct rpc_call *call = server->pool;
        server->pool = call->next;
        free(call);
    }
}

/* --- replies --------------------------------------------------------------- */

/* A peer that reads too slowly must not make the server hold everything it asked for. */
bool server_holds_too_much(const struct peer *peer)
{
    const struct rpc_server *server = peer->server;
    size_t unsent = peer_unsent(peer);
    return unsent > 4 * (size_t)server->options.output_limit + server->options.record_limit ||
           (server->memory > server->options.memory_limit && unsent > server->options.output_limit);
}

void server_queue_reply(struct peer *peer, int encoded)
{
    if (encoded == 0) {
        connection_queue(&peer->io);
        peer_account(peer);
    }
    if (encoded != 0 || server_holds_too_much(peer)) {
        peer_end(peer, CAIRN_ENOMEM);
    }
}

static void refuse(struct peer *peer, uint32_t xid, enum accept_stat status, uint32_t low,
                   uint32_t high)
{
    peer->server->stats.errors++;
    server_queue_reply(peer, message_refusal_encode(&peer->io.output, xid, status, low, high));
}

int server_encode_reply(struct buffer *output, const struct rpc_call *call, const void *result)
{
    struct rpc_server *server = call->peer->server;
    int rc = message_reply_encode(output, server->options.record_limit, call->xid,
                                  call->procedure->xdr_result, result);
    if (rc == CAIRN_ETOOBIG) {
        log_error("rpc", "%s: result cannot be encoded: too large or not valid",
                  call->procedure->name);
        server->stats.errors++;
        return message_refusal_encode(output, call->xid, SYSTEM_ERR, 0, 0);
    }
    server->stats.replies++;
    return rc;
}

void rpc_reply(struct rpc_call *call, const void *result)
{
    struct peer *peer = call->peer;
    CHECK(!call->is_held);
    if (peer->server != NULL && !peer->io.ended) {
        server_queue_reply(peer, server_encode_reply(&peer->io.output, call, result));
    }
    server_call_free(call);
}

void rpc_reply_error(struct rpc_call *call, enum accept_stat status)
{
    struct peer *peer = call->peer;
    CHECK(status != SUCCESS && !call->is_held);
    if (peer->server != NULL && !peer->io.ended) {
        refuse(peer, call->xid, status, 0, 0);
    }
    server_call_free(call);
}

/* --- dispatch -------------------------------------------------------------- */

/* The service of that program and version, or NULL with the versions there are in low and high
 * (low > high: the program is not served). */
static const struct rpc_service *find_service(const struct rpc_server *server, uint32_t program,
                                              uint32_t version, uint32_t *low, uint32_t *high)
{
    *low = UINT32_MAX;
    *high = 0;
    for (size_t i = 0; i < server->service_count; i++) {
        const struct rpc_program *served = server->services[i].program;
        if (served->number != program) {
            continue;
        }
        if (served->version == version) {
            return &server->services[i];
        }
        *low = served->version < *low ? served->version : *low;
        *high = served->version > *high ? served->version : *high;
    }
    return NULL;
}

static void call_handler(struct peer *peer, const struct rpc_service *service,
                         const struct rpc_procedure *procedure, struct message_call *message)
{
    struct rpc_server *server = peer->server;
    void *args = server->args;
    memset(args, 0, procedure->args_size);
    if (!procedure->xdr_args(&message->arguments, args)) {
        refuse(peer, message->xid, GARBAGE_ARGS, 0, 0);
    } else {
        struct rpc_call *call = call_create(peer, procedure, message->xid);
        if (call == NULL) {
            refuse(peer, message->xid, SYSTEM_ERR, 0, 0);
        } else {
            service->handlers[message->procedure](service->context, call, args);
        }
    }
    /* Views free nothing; arrays were allocated, also those of a failed decode. */
    xdr_free(procedure->xdr_args, args);
}

static void dispatch_call(struct peer *peer, struct message_call *message)
{
    struct rpc_server *server = peer->server;
    uint32_t low;
    uint32_t high;
    const struct rpc_service *service =
        find_service(server, message->program, message->version, &low, &high);
    if (service == NULL) {
        refuse(peer, message->xid, low > high ? PROG_UNAVAIL : PROG_MISMATCH, low, high);
        return;
    }
    const struct rpc_procedure *procedure = message_procedure(service->program, message->procedure);
    if (message->procedure == 0) {
        server->stats.replies++;
        server_queue_reply(peer,
                           message_reply_encode(&peer->io.output, server->options.record_limit,
                                                message->xid, procedure->xdr_result, NULL));
    } else if (procedure == NULL || service->handlers[message->procedure] == NULL) {
        refuse(peer, message->xid, PROC_UNAVAIL, 0, 0);
    } else {
        call_handler(peer, service, procedure, message);
    }
}

void server_dispatch(struct peer *peer, const struct record *record)
{
    struct message_call message;
    peer->server->stats.calls++;
    switch (message_call_decode(record, &message)) {
    case MESSAGE_CALL:
        dispatch_call(peer, &message);
        break;
    case MESSAGE_RPC_VERSION:
        peer->server->stats.errors++;
        server_queue_reply(peer, message_denial_encode(&peer->io.output, message.xid));
        break;
    case MESSAGE_GARBAGE:
        peer_end(peer, CAIRN_EPROTO);
        break;
    }
}
