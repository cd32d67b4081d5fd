/* See node.h: opening, stopping, and the turn of the loop. */
#include "server/node.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "server/node_internal.h"
#include "server/snapshot.h"

enum { PATH_LIMIT = 4096, LEASE_MS_DEFAULT = 1000, GRACE_MS_DEFAULT = 1500 };

static _Noreturn void store_failed(void *context, const char *message)
{
    (void)context;
    log_error("store", "%s", message);
    abort(); /* W5: what LMDB holds now is not known; a restart finds out */
}

static int open_store(struct node *node, const struct node_options *options, struct error *error)
{
    char path[PATH_LIMIT];
    struct store_options store = {
        .directory = path,
        .partitions = options->partitions,
        .map_bytes = options->map_bytes,
        .checkpoint_done = options->checkpoint_done,
        .context = options->context,
        .fatal = store_failed,
    };

    snprintf(path, sizeof path, "%s/store", options->directory);
    return store_open(&store, &node->store, error);
}

int node_open(struct node *node, const struct node_options *options, uint64_t now_ms,
              struct error *error)
{
    int status;

    CHECK(options->partitions > 0 && options->partitions <= CAIRN_PARTITIONS_LIMIT);
    memset(node, 0, sizeof *node);
    node->identity = options->identity;
    node->partition_count = options->partitions;
    node->memtable_limit_bytes = options->memtable_limit_bytes;
    node->log_keep_bytes = options->log_keep_bytes;
    node->times = (struct replica_times){
        .lease_ms = options->lease_ms != 0 ? options->lease_ms : LEASE_MS_DEFAULT,
        .grace_ms = options->grace_ms != 0 ? options->grace_ms : GRACE_MS_DEFAULT,
    };
    node->started_ms = node->checkpoint_started_ms = now_ms;
    STAILQ_INIT(&node->touched);
    disk_init(&node->disk, options->directory, options->disk_reserve_bytes);
    node->partitions = calloc(node->partition_count, sizeof *node->partitions);
    if (node->partitions == NULL || node_open_outboxes(node) != CAIRN_OK) {
        node_close(node);
        return error_set(error, CAIRN_ENOMEM, "server: out of memory");
    }
    for (size_t i = 0; i < CAIRN_SERVERS_LIMIT; i++)
        link_init(&node->links[i]);
    status = node_open_hosts(node, options, now_ms, error);
    if (status == CAIRN_OK)
        status = open_store(node, options, error);
    if (status == CAIRN_OK)
        status = damage_open(&node->damage, options->directory, options->partitions, error);
    if (status == CAIRN_OK)
        status = node_recover(node, options, now_ms, error);
    if (status != CAIRN_OK)
        node_close(node);
    else
        node_look_at_disk(node);
    return status;
}

void node_close(struct node *node)
{
    for (uint32_t i = 0; node->partitions != NULL && i < node->partition_count; i++)
        partition_free(&node->partitions[i]);
    free(node->partitions);
    free(node->outbox_bits);
    free(node->run_entries.entries);
    free(node->run_entries.epochs);
    node_free_cut_points(node);
    snapshot_takes_free(node->takes);
    if (node->journal.wal != NULL)
        journal_close(&node->journal);
    if (node->store != NULL)
        store_close(node->store);
    damage_close(&node->damage);
    lease_free(node->lease);
    cluster_map_free(&node->map);
    memset(node, 0, sizeof *node);
}

/* --- the turn of the loop ------------------------------------------------------------------- */

void node_end_turn(struct node *node, bool gathers)
{
    if (!gathers)
        journal_submit(&node->journal);
    store_end_turn(node->store);
}

void node_stop(struct node *node, uint64_t now_ms)
{
    journal_submit(&node->journal);
    node_durable(node, wal_flush(node->journal.wal), now_ms);
    /* Nothing is proposed from here on, so one checkpoint holds everything applied. A checkpoint
     * that was under way is finished first. */
    while (store_checkpoint_running(node->store)) {
        clock_sleep_ms(1);
        node_checkpoint_finish(node);
    }
    node_look_at_disk(node);
    damage_retry(&node->damage);
    if (!node_may_checkpoint(node)) {
        log_warn("server", "no room for a checkpoint: the next start replays the log");
        return;
    }
    store_checkpoint_now(node->store);
    node_cut_log_whole(node);
}
