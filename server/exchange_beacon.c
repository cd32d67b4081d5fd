/* Beacons: a primary's leases from the servers that hold its other copies, and their sign that it
 * is alive (L1, L2). */
#include "base/check.h"
#include "server/exchange_internal.h"
#include "server/node_internal.h"

/* --- the primary's side -------------------------------------------------------------------------
 */

uint32_t exchange_build_beacon(struct node *node, uint32_t server, uint64_t now_ms,
                               beacon_pair *pairs, beacon_args *args)
{
    const uint64_t *copies = node->outboxes[server].copies;
    uint32_t count = 0, number = 0, follower;

    *args = (beacon_args){.from = exchange_sender(node, server), .lease_ms = node->times.lease_ms};
    for (; (number = node_next_bit(node, copies, number)) < node->partition_count; number++) {
        const struct partition *partition = &node->partitions[number];
        const struct replica *replica = &partition->replica;

        if (!replica_may_send(replica) ||
            !exchange_find_follower(partition, server, args->from.to_store, &follower))
            continue;
        pairs[count++] = (beacon_pair){.partition = number,
                                       .history = replica->configuration.history,
                                       .epoch = replica->configuration.epoch};
    }
    if (count > 0)
        link_send(&node->links[server], now_ms, &args->number, &args->echoed_number);
    args->pairs.pairs_val = pairs;
    args->pairs.pairs_len = count;
    return count;
}

/* Whether the refused pairs are some of the sent ones, in their order: all that follows relies on
 * it. */
static bool refusals_fit(const beacon_pair *sent, uint32_t count, const beacon_result *result)
{
    uint32_t at = 0;

    for (uint32_t i = 0; i < result->refused.refused_len; i++) {
        while (at < count && sent[at].partition != result->refused.refused_val[i].partition)
            at++;
        if (at++ >= count)
            return false;
    }
    return true;
}

/* L1: the lease of a pair that was named and not refused counts from before its beacon was sent. */
static void renew(struct node *node, const struct replica_member *member, const beacon_pair *pair,
                  uint64_t sent_ms, uint64_t now_ms)
{
    struct partition *partition = &node->partitions[pair->partition];
    struct replica_event event = {.kind = REPLICA_EVENT_LEASE,
                                  .now_ms = now_ms,
                                  .history = pair->history,
                                  .epoch = pair->epoch,
                                  .member = *member,
                                  .sent_ms = sent_ms};

    if (partition->replica.configuration.history != pair->history)
        return;
    node_step(node, partition, &event, NULL);
}

void exchange_beacon_answered(struct node *node, uint32_t server, const beacon_pair *sent_pairs,
                              uint32_t count, const beacon_result *result, uint64_t now_ms)
{
    struct replica_member member = {
        .server = server, .store = result->store, .incarnation = result->incarnation};
    uint32_t refused = 0;
    uint64_t sent_ms;

    if (result->stranger || result->to_incarnation != node->identity.incarnation ||
        !refusals_fit(sent_pairs, count, result))
        return;
    node->peer_full[server] = result->full != 0;
    if (!link_answered(&node->links[server], result->number, &sent_ms))
        return;
    for (uint32_t i = 0; i < count; i++) {
        if (refused < result->refused.refused_len &&
            result->refused.refused_val[refused].partition == sent_pairs[i].partition)
            refused++;
        else
            renew(node, &member, &sent_pairs[i], sent_ms, now_ms);
    }
}

/* --- the follower's side ------------------------------------------------------------------------
 */

/* L3: the lease must have ended, by any clock within the assumed 1% of ours, before this server
 * acts on the primary's silence. */
static bool lease_is_safe(const struct node *node, uint64_t lease_ms)
{
    return lease_ms <= node->times.grace_ms && lease_ms * 101 < node->times.grace_ms * 99;
}

static bool grants(struct node *node, const struct replica_member *from, const beacon_pair *pair,
                   bool echoed, uint64_t now_ms)
{
    struct replica_event event = {.kind = REPLICA_EVENT_BEACON,
                                  .now_ms = now_ms,
                                  .history = pair->history,
                                  .epoch = pair->epoch,
                                  .member = *from,
                                  .echoed = echoed};
    struct replica_update update;

    if (pair->partition >= node->partition_count || pair->history == 0 || pair->epoch == 0)
        return false;
    node_step(node, &node->partitions[pair->partition], &event, &update);
    return update.granted;
}

void exchange_take_beacon(struct node *node, const beacon_args *args, uint64_t now_ms,
                          beacon_pair *refused, beacon_result *result)
{
    struct replica_member from = {.server = args->from.server,
                                  .store = args->from.store,
                                  .incarnation = args->from.incarnation};
    bool echoed, safe = lease_is_safe(node, args->lease_ms);
    uint32_t count = 0;

    *result = (beacon_result){.stranger = !exchange_knows(node, &args->from),
                              .store = node->identity.store,
                              .incarnation = node->identity.incarnation,
                              .to_incarnation = args->from.incarnation,
                              .number = args->number,
                              .full = node_refuses_writes(node)};
    if (result->stranger)
        return;
    echoed = link_heard(&node->links[from.server], &from, args->number, args->echoed_number, now_ms,
                        node->times.lease_ms);
    for (uint32_t i = 0; i < args->pairs.pairs_len; i++) {
        const beacon_pair *pair = &args->pairs.pairs_val[i];

        if (!safe || !grants(node, &from, pair, echoed, now_ms))
            refused[count++] = *pair;
    }
    result->refused.refused_val = refused;
    result->refused.refused_len = count;
}
