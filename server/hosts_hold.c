/* Replies that wait until no host can read what they contradict (C3).
 *
 * A reply is made at once: what it points at may be gone a moment later, and what it says was
 * checked against the leases by then (L1). To send it later is still linearizable: the operation
 * took effect between its call and its reply in either case. A GET's value was the newest when it
 * was read; a reply that contradicts it, of a later write, waits for the same revocation or for a
 * later one, and so does every reply about that bucket: nobody has been told anything newer. Should
 * another server lead by then, it did not serve before all leases of hosts had ended (C5), so the
 * revocation had ended in truth, whenever this process finds that out. */
#include <stdlib.h>

#include "base/check.h"
#include "server/hosts_internal.h"

struct held_reply {
    struct lease_waiter waiter; /* first: the core gives it back */
    struct rpc_call *call;
};

/* NULL: the call was answered. */
static struct held_reply *hold(struct node *node, struct rpc_call *call, const void *result)
{
    struct held_reply *held = malloc(sizeof *held);

    if (held == NULL) {
        rpc_reply_error(call, SYSTEM_ERR); /* to the client: the outcome is not known */
        return NULL;
    }
    held->call = call;
    rpc_reply_hold(call, result);
    node->hosts->stats.held++;
    node->hosts->stats.held_total++;
    return held;
}

void hosts_reply(struct node *node, struct rpc_call *call, uint32_t bucket, const void *result)
{
    struct held_reply *held;

    /* Without hosts there are no connections any more. */
    if (node->hosts == NULL || !lease_is_revoking(node->lease, bucket)) {
        rpc_reply(call, result);
        return;
    }
    held = hold(node, call, result);
    if (held != NULL)
        lease_wait(node->lease, bucket, &held->waiter);
}

void hosts_reply_to_scan(struct node *node, struct rpc_call *call, const void *result)
{
    struct held_reply *held;

    if (node->hosts == NULL || !lease_is_revoking_any(node->lease)) {
        rpc_reply(call, result);
        return;
    }
    held = hold(node, call, result);
    if (held != NULL)
        lease_wait_all(node->lease, &held->waiter);
}

void hosts_release(struct node *node)
{
    struct lease_waiter *waiter;

    while ((waiter = lease_next_ready(node->lease)) != NULL) {
        struct held_reply *held = (struct held_reply *)waiter;

        CHECK(node->hosts->stats.held > 0);
        node->hosts->stats.held--;
        rpc_reply_release(held->call);
        free(held);
    }
}
