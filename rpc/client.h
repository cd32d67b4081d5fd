/* An asynchronous ONC RPC client over TCP on libuv: RFC 5531 with record marking (section 11).
 *
 * libtirpc encodes and decodes the messages (xdr_callmsg, xdr_replymsg, xdrmem) and rpcgen the
 * arguments; records, connections, queues and time limits are ours. Everything here belongs to the
 * thread that runs the loop. */
#ifndef CAIRN_RPC_CLIENT_H
#define CAIRN_RPC_CLIENT_H

#include <rpc/rpc.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "base/address.h"
#include "base/error.h"
#include "proto/programs.h"

struct rpc_client;

struct rpc_client_options {      /* 0 takes the default in brackets */
    uint32_t calls_limit;        /* [4096] calls in flight; more fail with CAIRN_EFULL */
    uint32_t record_limit;       /* [CAIRN_RECORD_LIMIT] */
    uint64_t connect_timeout_ms; /* [3000] name resolution and connect together */
};

/* Called exactly once per call, from the loop, never from within rpc_client_call.
 * status: 0 with `result` decoded; views in it point into the record and live until it returns.
 *   CAIRN_EUNAVAILABLE  the call was never sent (no connection): certainly not executed
 *   CAIRN_EUNKNOWN      sent, then time ran out, the connection broke, or it was cancelled
 *   CAIRN_EVERSION      the server does not speak this program version
 *   CAIRN_EPROTO        the answer was refused or not valid; outcome unknown */
typedef void (*rpc_done)(void *context, int status, const void *result, const struct error *error);

/* Never connects by itself: the first call does, and the first call after a connection broke. */
int rpc_client_open(uv_loop_t *loop, const struct address *address,
                    const struct rpc_client_options *options, struct rpc_client **client);
/* Encodes `args` before it returns. `timeout_ms` counts from now and covers connecting. On success
 * `*call_id` (may be NULL) names the call for rpc_client_cancel. CAIRN_EFULL, CAIRN_ETOOBIG,
 * CAIRN_ENOMEM and, once the client is being closed, CAIRN_ECANCELED mean that nothing was sent and
 * `done` will not be called. */
int rpc_client_call(struct rpc_client *client, const struct rpc_program *program,
                    uint32_t procedure, const void *args, uint64_t timeout_ms, rpc_done done,
                    void *context, uint64_t *call_id);
/* The call's `done` comes with CAIRN_EUNKNOWN or CAIRN_EUNAVAILABLE in this loop turn's end; a late
 * answer is dropped. Unknown ids are ignored. */
void rpc_client_cancel(struct rpc_client *client, uint64_t call_id);
/* For who waits for nothing but this client's answers: sends what was called and waits, some
 * milliseconds at most and without the loop, until something comes; what comes is handled as from
 * the loop. False when nothing came: then the loop has to be run. Timers and other connections wait
 * meanwhile, so the loop needs its turn from time to time even if answers always come. */
bool rpc_client_await(struct rpc_client *client);
bool rpc_client_connected(const struct rpc_client *client);
/* Breaks the connection, ends all calls as above, frees from the loop, then calls `closed`; not
 * before a name resolution that is under way has ended, which nothing can interrupt. */
void rpc_client_close(struct rpc_client *client, void (*closed)(void *context), void *context);

#endif
