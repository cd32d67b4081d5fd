/* What a node's partitions mean for what hosts may read of them, and the reverse (C5, C6, C7). */
#include <inttypes.h>

#include "base/check.h"
#include "base/log.h"
#include "server/node_internal.h"

enum { PEERS_KNOWN_MS = 50 };

int node_open_hosts(struct node *node, const struct node_options *options, uint64_t now_ms,
                    struct error *error)
{
    struct lease_options lease = {.lease_ms = options->host_lease_ms};
    int status = hosts_record_open(&node->hosts_record, options->directory, error);

    if (status != CAIRN_OK)
        return status;
    lease.longest_ms = node->hosts_record.longest_ms;
    node->host_lease_ms = options->host_lease_ms;
    node->lease = lease_create(&lease, now_ms);
    if (node->lease == NULL)
        return error_set(error, CAIRN_ENOMEM, "server: out of memory");
    node->quiet_until_ms = lease_quiet_until_ms(node->lease);
    if (node_is_quiet(node, now_ms))
        log_info("server", "waiting until what hosts may have cached has run out ms=%" PRIu64,
                 node->quiet_until_ms - now_ms);
    return CAIRN_OK;
}

/* --- how long hosts may be promised anything (C5) ------------------------------------------------
 */

/* Changes whenever somebody begins or ceases to count, in a partition that is led. Stores are
 * random numbers: their sum tells the sets apart. */
static uint64_t sum_of_counted(const struct replica *replica)
{
    uint64_t sum = 1;

    if (replica->barrier_index == 0)
        return 0;
    for (uint32_t i = 0; i < replica->follower_count; i++)
        if (replica->followers[i].counted)
            sum += replica->followers[i].id.store;
    return sum;
}

void node_note_counted(struct node *node, struct partition *partition)
{
    uint64_t sum = sum_of_counted(&partition->replica);

    if (sum != partition->counted_sum)
        node->peers_known_ms = 0;
    partition->counted_sum = sum;
}

static uint64_t look_at_peers(const struct node *node)
{
    uint64_t until_ms = UINT64_MAX;

    for (uint32_t i = 0; i < node->partition_count; i++) {
        const struct replica *replica = &node->partitions[i].replica;
        uint64_t peers_until_ms =
            replica->barrier_index != 0 ? replica_peers_until_ms(replica) : UINT64_MAX;

        if (peers_until_ms < until_ms)
            until_ms = peers_until_ms;
    }
    return until_ms;
}

/* Looking at 16384 partitions for each of many renewals costs too much. A peer's lease only grows
 * while it counts, so what was seen a moment ago is at most shorter; where another one begins to
 * count it is looked for anew. A lease that is void because its peer's process has changed (R10)
 * still binds that peer, whatever it has forgotten (L5). */
uint64_t node_peers_until_ms(struct node *node, uint64_t now_ms)
{
    if (node->peers_known_ms == 0 || now_ms - node->peers_known_ms >= PEERS_KNOWN_MS) {
        node->peers_until_ms = look_at_peers(node);
        node->peers_known_ms = now_ms;
    }
    return node->peers_until_ms;
}

/* --- handing over (C6) --------------------------------------------------------------------------
 */

static void report_ended(struct node *node, struct partition *partition, uint64_t now_ms)
{
    struct replica_event ended = {.kind = REPLICA_EVENT_HOSTS_ENDED, .now_ms = now_ms};

    if (partition->replica.yields_to.store == 0) { /* it does not hand over any more */
        partition->hosts_ticket = 0;
        return;
    }
    /* C7: what an earlier life of this store granted may be read until then. */
    if (node_is_quiet(node, now_ms) || !lease_ended(node->lease, partition->hosts_ticket)) {
        node->hosts_ending = true;
        return;
    }
    partition->hosts_ticket = 0;
    node_step(node, partition, &ended, NULL);
}

/* Whatever it granted from its partition is read under sessions, and a session is all or nothing:
 * all end. A later ticket stands for an earlier one, too. */
void node_end_hosts(struct node *node, struct partition *partition, uint64_t now_ms)
{
    partition->hosts_ticket = lease_end_all(node->lease);
    CHECK(partition->hosts_ticket != 0);
    report_ended(node, partition, now_ms);
}

void node_report_hosts_ended(struct node *node, uint64_t now_ms)
{
    if (!node->hosts_ending)
        return;
    node->hosts_ending = false;
    for (uint32_t i = 0; i < node->partition_count; i++)
        if (node->partitions[i].hosts_ticket != 0)
            report_ended(node, &node->partitions[i], now_ms);
}
