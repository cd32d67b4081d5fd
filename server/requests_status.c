/* STATUS: what this server is, what it holds and what it has done since it started. */
#include <assert.h>
#include <stdlib.h>

#include "base/clock.h"
#include "server/requests.h"

static_assert(REPLICA_NONE == 0 && REPLICA_STARTING == 1 && REPLICA_PRIMARY == 2 &&
                  REPLICA_BACKUP == 3 && REPLICA_LEARNER == 4,
              "the core's roles are the wire's (server.x)");

/* What this primary knows of the other copies. */
static u_int fill_copies(const struct replica *replica, uint64_t now_ms, copy_status *copies)
{
    if (replica->barrier_index == 0)
        return 0;
    for (uint32_t i = 0; i < replica->follower_count; i++) {
        const struct replica_follower *follower = &replica->followers[i];

        copies[i] = (copy_status){.server = follower->id.server,
                                  .member = follower->member,
                                  .matched_index = follower->matched_index,
                                  .lease = follower->lease_until_ms > now_ms,
                                  .installing = follower->mode == REPLICA_INSTALL};
    }
    return replica->follower_count;
}

/* C7: who waits until hosts have stopped reading is as little of use as one that has just begun. */
static u_int role_of(const struct node *node, const struct replica *replica, uint64_t now_ms)
{
    return replica->role == REPLICA_PRIMARY && node_is_quiet(node, now_ms) ? REPLICA_STARTING
                                                                           : replica->role;
}

static partition_status status_of(const struct node *node, uint32_t number, uint64_t now_ms)
{
    const struct replica *replica = &node->partitions[number].replica;

    return (partition_status){
        .partition = number,
        .role = role_of(node, replica, now_ms),
        .epoch = replica->seen_epoch,
        .last_index = replica->last.index,
        .commit_index = replica->commit_index,
        .applied_index = store_applied(node->store, number)->index,
        .checkpoint_index = store_checkpointed(node->store, number)->index,
        .log_time_ms = replica_log_time_ms(replica, now_ms),
        .sessions = store_session_count(node->store, number),
    };
}

static uint32_t count_copies(const struct node *node)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < node->partition_count; i++)
        count += node->partitions[i].replica.follower_count;
    return count;
}

/* Only the partitions that this server has a part in. */
static uint32_t fill_partitions(const struct node *node, partition_status *partitions,
                                partition_copies *all, copy_status *copies)
{
    uint64_t now_ms = clock_now_ms();
    uint32_t count = 0;

    for (uint32_t i = 0; i < node->partition_count; i++) {
        const struct replica *replica = &node->partitions[i].replica;

        if (replica->role == REPLICA_NONE)
            continue;
        partitions[count] = status_of(node, i, now_ms);
        all[count].copies.copies_val = copies;
        all[count].copies.copies_len = fill_copies(replica, now_ms, copies);
        copies += all[count++].copies.copies_len;
    }
    return count;
}

static void fill_report(const struct node *node, server_report *report)
{
    struct store_stats store;

    store_stats(node->store, &store);
    report->cluster = node->identity.cluster;
    report->server = node->identity.server;
    report->store = node->identity.store;
    report->incarnation = node->identity.incarnation;
    report->uptime_ms = clock_now_ms() - node->started_ms;
    report->puts = node->counters.puts;
    report->gets = node->counters.gets;
    report->swaps = node->counters.swaps;
    report->deletes = node->counters.deletes;
    report->scans = node->counters.scans;
    report->log_bytes = wal_bytes(node->journal.wal);
    report->log_syncs = wal_syncs(node->journal.wal);
    report->memtable_bytes = store_memtable_bytes(node->store);
    report->store_bytes = store.pages_bytes;
    report->disk_free_bytes = node->disk.free_bytes;
    report->checkpoints = store.checkpoints;
    report->checksum_errors = store.checksum_errors;
    report->read_only = node_refuses_writes(node);
}

void request_status(void *context, struct rpc_call *call, const void *args)
{
    struct node *node = context;
    const status_args *status = args;
    status_result result = {.status = SERVER_OK};
    struct refusal refusal;
    server_report *report = &result.status_result_u.report;
    partition_status *partitions;
    partition_copies *all;
    copy_status *copies;

    if (!requests_cluster(node, status->cluster, &refusal)) {
        result.status = refusal.status;
        result.status_result_u.message = view_of_text(refusal.message);
        rpc_reply(call, &result);
        return;
    }
    partitions = calloc(node->partition_count, sizeof *partitions);
    all = calloc(node->partition_count, sizeof *all);
    copies = calloc(count_copies(node) + 1u, sizeof *copies);
    if (partitions != NULL && all != NULL && copies != NULL) {
        fill_report(node, report);
        report->partitions.partitions_val = partitions;
        report->partitions.partitions_len = fill_partitions(node, partitions, all, copies);
        report->copies.copies_val = all;
        report->copies.copies_len = report->partitions.partitions_len;
        rpc_reply(call, &result);
    } else {
        rpc_reply_error(call, SYSTEM_ERR);
    }
    free(copies);
    free(all);
    free(partitions);
}
