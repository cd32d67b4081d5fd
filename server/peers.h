/* The connections to the other servers: one stream of Appends to each for all shared partitions,
 * pipelined, beacons, catch-up and snapshots; and the other side's calls, answered once durable.
 *
 * Belongs to the loop thread; reading logs and snapshots from the disk goes through libuv's pool.
 */
#ifndef CAIRN_SERVER_PEERS_H
#define CAIRN_SERVER_PEERS_H

#include <uv.h>

#include "base/error.h"
#include "rpc/server.h"
#include "server/node.h"

struct peers;

struct peers_options {
    uint64_t beacon_ms;
    uint64_t window_bytes; /* of Appends in flight to one server; 0: the default */
};

/* `node` is open and outlives it. */
int peers_open(uv_loop_t *loop, struct node *node, const struct peers_options *options,
               struct peers **peers, struct error *error);
/* At the end of each loop turn, before the log is submitted: sends what has gathered. */
void peers_end_turn(struct peers *peers);
/* After the log became durable: answers the Appends that waited for it. */
void peers_durable(struct peers *peers, uint64_t lsn);
/* Gives everything up, frees from the loop, then calls `closed`. */
void peers_close(struct peers *peers, void (*closed)(void *context), void *context);

/* The replica program; `*peers` is NULL until it is open: calls then get a system error. */
struct rpc_service peers_service(struct peers **peers);

#endif
