/* An asynchronous ONC RPC server over TCP on libuv: RFC 5531 with record marking (section 11).
 *
 * libtirpc encodes and decodes the messages (xdr_callmsg, xdr_replymsg, xdrmem) and rpcgen the
 * arguments; records, connections, queues and time limits are ours. Everything here belongs to the
 * thread that runs the loop. */
#ifndef CAIRN_RPC_SERVER_H
#define CAIRN_RPC_SERVER_H

#include <rpc/rpc.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "base/address.h"
#include "base/error.h"
#include "proto/programs.h"

struct rpc_server;
struct rpc_call; /* a call that was not answered yet */

/* `args` was decoded from the record; views in it point into the record and live until the handler
 * returns, so what is needed longer is copied. The handler answers now or later, exactly once, with
 * one of the rpc_reply functions. */
typedef void (*rpc_handler)(void *context, struct rpc_call *call, const void *args);

struct rpc_service {
    const struct rpc_program *program;
    const rpc_handler *handlers; /* by procedure number; procedure_count of them; [0] unused */
    void *context;
};

struct rpc_server_options {     /* 0 takes the default in brackets */
    uint32_t connections_limit; /* [10000] more are accepted and closed at once; less where the
                                   limit of open files leaves less beside what the process needs */
    uint32_t calls_limit;       /* [1024] unanswered calls per connection: past it, reading stops */
    uint32_t record_limit;      /* [CAIRN_RECORD_LIMIT] bytes of one record; more closes */
    uint32_t output_limit;      /* [16 MiB] unsent replies, held ones too, per connection: past it,
                                   reading stops */
    uint64_t memory_limit;      /* [512 MiB] input and output bytes over all connections: past it,
                                   connections that hold most are not read; past twice as much
                                   those whose replies were to be held are closed */
    uint64_t record_timeout_ms; /* [30000] from a record's first byte to its last */
    uint64_t send_timeout_ms;   /* [30000] without progress while replies wait: closed */
};

struct rpc_server_stats {
    uint64_t connections, accepted, refused,
        dropped;                     /* dropped: by a time or size limit or garbage */
    uint64_t calls, replies, errors; /* errors: refused as RFC 5531 says */
};

/* Binds and listens. The message says what and why if it cannot (CAIRN_EIO). With port 0 the kernel
 * picks one: rpc_server_port. `services` and what they point at outlive the server. */
int rpc_server_listen(uv_loop_t *loop, const struct address *address,
                      const struct rpc_service *services, size_t service_count,
                      const struct rpc_server_options *options, struct rpc_server **server,
                      struct error *error);
uint16_t rpc_server_port(const struct rpc_server *server);
void rpc_server_stats(const struct rpc_server *server, struct rpc_server_stats *stats);
/* Stops accepting and closes all connections after their queued replies were tried once; unanswered
 * calls stay valid until answered, to nobody. `closed` is called from the loop when all is freed.
 */
void rpc_server_close(struct rpc_server *server, void (*closed)(void *context), void *context);

/* Answers with `result`, encoded before this returns. Replies of one loop turn leave with one write
 * per connection at the end of the turn. If the connection is gone, nothing is sent. Frees `call`.
 */
void rpc_reply(struct rpc_call *call, const void *result);
/* Answers with an accept status other than SUCCESS (RFC 5531 section 9), e.g. SYSTEM_ERR. */
void rpc_reply_error(struct rpc_call *call, enum accept_stat status);
/* The same in two steps, for an answer that is known before it may be told: encodes `result` before
 * it returns, into memory of the call, and nothing more is to be decided; rpc_reply_release sends
 * it, if the connection is still there, and frees the call. Between the two the call counts as
 * unanswered and its bytes as unsent, against calls_limit, output_limit and memory_limit. */
void rpc_reply_hold(struct rpc_call *call, const void *result);
void rpc_reply_release(struct rpc_call *call);
/* For logs: HOST:PORT of the peer, valid as long as the call. */
const char *rpc_call_peer(const struct rpc_call *call);

#endif
