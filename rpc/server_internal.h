/* What the files of the RPC server share. */
#ifndef CAIRN_RPC_SERVER_INTERNAL_H
#define CAIRN_RPC_SERVER_INTERNAL_H

#include <netinet/in.h>
#include <sys/socket.h>

#include "rpc/connection.h"
#include "rpc/message.h"
#include "rpc/server.h"

enum { PEER_TEXT_MAX = 64, CALLS_KEPT = 65536 };

struct peer {
    struct connection io;      /* first: callbacks get it and cast */
    struct rpc_server *server; /* NULL once the server is freed */
    TAILQ_ENTRY(peer) entry;   /* in peers, or in gone once its connection was freed */
    uint32_t calls;            /* not answered yet */
    bool freed;                /* the connection is: only calls keep the peer */
    bool starved;              /* not read because the server holds too much memory */
    size_t memory;             /* as counted in the server's, but what is held */
    size_t held;               /* bytes of replies that are made and not released: */
    LIST_HEAD(, rpc_call) held_calls;
    struct sockaddr_storage address;
    char text[PEER_TEXT_MAX]; /* formatted when first asked for */
};
TAILQ_HEAD(peer_list, peer);

struct rpc_call {
    struct peer *peer;
    const struct rpc_procedure *procedure;
    struct rpc_call *next; /* in the pool */
    uint32_t xid;
    bool is_held;       /* answered by rpc_reply_hold */
    struct buffer held; /* that answer as a record; without memory where there is none */
    LIST_ENTRY(rpc_call) same_peer; /* while it has memory */
};

struct rpc_server {
    uv_loop_t *loop;
    const struct rpc_service *services;
    size_t service_count;
    struct rpc_server_options options;
    struct rpc_server_stats stats;
    struct turn turn;
    uv_poll_t listener;
    uv_timer_t sweep; /* runs only while something can time out */
    int listen_fd;
    uint16_t port;
    uint64_t sweep_ms;
    bool accept_paused; /* no descriptor was free */
    uint64_t warned_ms; /* when the log last said so, 0: never */
    bool closing;
    unsigned open_handles;
    size_t memory;
    struct peer_list peers;
    struct peer_list gone;
    struct rpc_call *pool;
    size_t pooled;
    void *args; /* of the call being dispatched */
    void (*closed)(void *context);
    void *closed_context;
};

/* server_accept.c: descriptors that arrive. */
int server_bind(const struct address *address, int *fd, uint16_t *port, struct error *error);
/* As many of the wanted ones as the limit of open files leaves, which is raised as far as it goes.
 */
uint32_t server_connections_limit(uint32_t wanted);
/* A line of the log now and then. */
void server_warn_refusing(struct rpc_server *server, const char *reason);
void server_accept_start(struct rpc_server *server);
/* After a connection was closed or some time passed: a descriptor may be free. */
void server_accept_retry(struct rpc_server *server);

/* server_peer.c: connections, their limits and times. */
void peer_create(struct rpc_server *server, int fd, const struct sockaddr_storage *address);
/* Counts what the connection holds now in the server's memory. */
void peer_account(struct peer *peer);
void peer_end(struct peer *peer, int code);
/* Frees a peer whose connection is freed and whose calls are answered. */
void peer_release(struct peer *peer);
void server_sweep_start(struct rpc_server *server);
void server_handle_closed(struct rpc_server *server);

/* Replies of the peer that did not leave yet, held ones included. */
static inline size_t peer_unsent(const struct peer *peer)
{
    return connection_unsent(&peer->io) + peer->held;
}

/* server_hold.c: the connection has ended, and what is held for it can never leave: a client that
 * comes again and again must not make the server keep more than its limits say. */
void server_drop_held(struct peer *peer);

/* server_dispatch.c: calls. */
void server_dispatch(struct peer *peer, const struct record *record);
void server_call_free(struct rpc_call *call);
/* Encodes the call's answer, or that there is none, behind what `output` holds. CAIRN_ENOMEM. */
int server_encode_reply(struct buffer *output, const struct rpc_call *call, const void *result);
/* The peer's output has grown, or could not (`encoded`): it leaves, or the connection ends. */
void server_queue_reply(struct peer *peer, int encoded);
/* Whether the peer made the server hold so much that its connection has to end. */
bool server_holds_too_much(const struct peer *peer);
void server_pool_free(struct rpc_server *server);

#endif
