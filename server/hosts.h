/* The program of the hosts' cache agents (proto/cache.x) over a node's leases, and the replies that
 * wait for revocations (C3).
 *
 * What the core (lease.h) wants done is done by hosts_pump: after each event of the program itself,
 * and once at the end of each turn for all that writes, ticks and switches brought about. */
#ifndef CAIRN_SERVER_HOSTS_H
#define CAIRN_SERVER_HOSTS_H

#include <stdint.h>

#include "rpc/server.h"
#include "server/node.h"

struct hosts_stats {
    uint64_t held_total; /* replies that had to wait */
    uint64_t held;       /* that wait now */
};

/* Sets node->hosts. CAIRN_ENOMEM. */
int hosts_open(struct node *node);
/* Answers all calls that wait, and sends nothing that is held to anybody who is still there: to be
 * called when the connections are closed. From then on no reply is held. */
void hosts_close(struct node *node);
/* The service with its handlers; until the node is open and has hosts it answers STARTING. */
struct rpc_service hosts_service(struct node *node);

/* Does what the core has to be done: sends batches, answers renewals, ends sessions, releases
 * replies, and reports to the replicas that hand over when no host reads any more (C6). */
void hosts_pump(struct node *node);
/* Time passes: sessions run out, listeners that waited for long are answered. */
void hosts_tick(struct node *node, uint64_t now_ms);
void hosts_stats(const struct node *node, struct hosts_stats *stats);

/* --- replies that depend on keys (hosts_hold.c) -------------------------------------------------
 */

/* Whether any reply may have to wait now: if not, nobody needs to know its bucket. */
static inline bool hosts_may_hold(const struct node *node)
{
    return lease_is_revoking_any(node->lease);
}
/* C3: answers with `result`, made now; it leaves at once or, while the bucket is being revoked,
 * when all that began before is over. Frees `call`. */
void hosts_reply(struct node *node, struct rpc_call *call, uint32_t bucket, const void *result);
/* The same for what depends on many keys, absent ones too. */
void hosts_reply_to_scan(struct node *node, struct rpc_call *call, const void *result);
/* Sends what waits no more. */
void hosts_release(struct node *node);

#endif
