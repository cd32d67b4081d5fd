/* What the files of the RPC client share. */
#ifndef CAIRN_RPC_CLIENT_INTERNAL_H
#define CAIRN_RPC_CLIENT_INTERNAL_H

#include <sys/socket.h>

#include "rpc/client.h"
#include "rpc/connection.h"
#include "rpc/message.h"

enum { CLIENT_ADDRESSES = 8, IDLE_CHECK_MS = 500 };

struct client_call {
    TAILQ_ENTRY(client_call) entry; /* in pending, then in finished, then in the pool */
    const struct rpc_procedure *procedure;
    rpc_done done;
    void *context;
    uint64_t id; /* its low half is the xid */
    uint64_t deadline_ms;
    uint64_t stream_end; /* where the record ends in the connection's output stream */
    uint32_t length;     /* of the record with its mark */
    int status;          /* once finished */
    int system;          /* an errno that explains it, or 0 */
    const char *reason;  /* static text */
};
TAILQ_HEAD(client_call_list, client_call);

/* Calls in flight by xid. xids count up and skip taken places, so each is new for 2^32 calls. */
struct call_table {
    struct client_call **places;
    uint32_t mask; /* places - 1 */
    uint32_t count;
    uint32_t limit;
    uint64_t next_id;
};

enum link_state { LINK_NONE, LINK_RESOLVING, LINK_CONNECTING, LINK_CONNECTED };

/* One connection's life; a client has at most one that has not ended. */
struct client_link {
    struct connection io; /* first: callbacks get it and cast */
    struct rpc_client *client;
};

/* One attempt to connect to one address. */
struct attempt {
    uv_poll_t poll;            /* first */
    struct rpc_client *client; /* NULL: given up */
    int fd;
};

struct rpc_client {
    uv_loop_t *loop;
    struct address address;
    struct rpc_client_options options;
    struct turn turn;
    uv_timer_t timer;
    uint64_t timer_due_ms; /* when the timer fires, UINT64_MAX: not armed */
    uint64_t connect_deadline_ms;
    uint64_t attempt_deadline_ms;
    uint64_t active_ms; /* last call */
    struct client_link *link;
    enum link_state state;
    struct attempt *attempt;
    uv_getaddrinfo_t resolve;
    bool resolving; /* the request is with libuv, wanted or not */
    struct sockaddr_storage targets[CLIENT_ADDRESSES];
    unsigned target_count, target_next;
    struct call_table table;
    struct client_call_list pending;  /* in flight, in the order of the calls */
    struct client_call_list finished; /* `done` is due */
    struct client_call_list pool;
    void *result; /* of the reply being delivered */
    size_t result_capacity;
    bool closing;
    unsigned open_handles;
    void (*closed)(void *context);
    void *closed_context;
};

/* call_table.c */
int call_table_init(struct call_table *table, uint32_t limit);
void call_table_free(struct call_table *table);
/* Gives the call an id and a place. CAIRN_EFULL at the limit, CAIRN_ENOMEM. */
int call_table_add(struct call_table *table, struct client_call *call);
void call_table_remove(struct call_table *table, const struct client_call *call);
struct client_call *call_table_find(const struct call_table *table, uint32_t xid);

/* client_link.c: name resolution, connecting, the connection's end. */
/* Makes sure there is a link to encode calls on, connected or not. 0 or CAIRN_ENOMEM. */
int client_link_prepare(struct rpc_client *client);
/* Begins to connect the link; failures finish the calls in flight. */
void client_connect(struct rpc_client *client, uint64_t now_ms);
/* Ends whatever link there is; calls in flight finish. */
void client_disconnect(struct rpc_client *client, const char *reason, int system);
/* The connect deadline passed, or one attempt's share of it. */
void client_connect_expired(struct rpc_client *client, uint64_t now_ms);
/* Whether the peer closed the idle connection without our having read that yet. */
bool client_link_is_stale(const struct rpc_client *client);
void client_resolve_cancel(struct rpc_client *client);

/* client.c: calls and times. */
void client_on_record(struct connection *connection, const struct record *record);
/* All calls in flight finish: unavailable where not wholly sent, else unknown. */
void client_finish_all(struct rpc_client *client, const struct connection *connection,
                       const char *reason, int system);
/* Lets the timer fire at `due_ms` or earlier. */
void client_arm(struct rpc_client *client, uint64_t due_ms);
void client_handle_closed(struct rpc_client *client);

#endif
