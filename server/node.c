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

enum { PATH_LIMIT = 4096 };

/* --- recovery ------------------------------------------------------------------------------ */

/* What the log says on top of the store, while the log is being read. */
struct recovery {
    struct node *node;
    struct replica_recovered *partitions;
    uint64_t replayed; /* entries that LMDB does not hold */
};

static int check_partition(const struct recovery *recovery, uint32_t partition, struct error *error)
{
    if (partition < recovery->node->partition_count)
        return CAIRN_OK;
    return error_set(error, CAIRN_ECORRUPT, "log: partition %u of %u", partition,
                     recovery->node->partition_count);
}

static int recover_entry(void *context, struct entry *entry, struct error *error)
{
    struct recovery *recovery = context;
    int status = check_partition(recovery, entry->partition, error);

    if (status != CAIRN_OK) {
        entry_free(entry);
        return status;
    }
    if (entry->index > store_applied(recovery->node->store, entry->partition)->index)
        recovery->replayed++;
    return partition_recover_entry(&recovery->node->partitions[entry->partition],
                                   &recovery->partitions[entry->partition], entry, error);
}

static int recover_epoch(void *context, uint32_t partition, uint64_t history, uint64_t epoch,
                         struct error *error)
{
    struct recovery *recovery = context;
    struct replica_recovered *recovered;
    int status = check_partition(recovery, partition, error);

    if (status != CAIRN_OK)
        return status;
    recovered = &recovery->partitions[partition];
    if (history > recovered->history)
        recovered->history = history;
    if (epoch > recovered->seen_epoch)
        recovered->seen_epoch = epoch;
    return CAIRN_OK;
}

static void start_from_store(const struct node *node, struct replica_recovered *partitions)
{
    for (uint32_t i = 0; i < node->partition_count; i++) {
        const struct store_position *applied = store_applied(node->store, i);

        partitions[i] = (struct replica_recovered){
            .history = applied->history,
            .seen_epoch =
                applied->seen_epoch > applied->epoch ? applied->seen_epoch : applied->epoch,
            .last = {.epoch = applied->epoch, .index = applied->index},
            .applied_index = applied->index,
            .last_log_ms = applied->log_time_ms,
        };
    }
}

static void start_replicas(struct node *node, const struct replica_recovered *partitions)
{
    struct replica_member self = {.server = node->identity.server,
                                  .store = node->identity.store,
                                  .incarnation = node->identity.incarnation};

    for (uint32_t i = 0; i < node->partition_count; i++) {
        replica_init(&node->partitions[i].replica, i, &self, &partitions[i]);
        store_set_seen_epoch(node->store, i, partitions[i].history, partitions[i].seen_epoch);
    }
}

static int open_journal(struct node *node, const struct node_options *options,
                        struct recovery *recovery, struct wal_recovery *found, struct error *error)
{
    char path[PATH_LIMIT];
    struct journal_options journal = {.directory = path,
                                      .backend = options->wal_backend,
                                      .segment_bytes = options->segment_bytes};
    struct journal_replay replay = {
        .context = recovery, .entry = recover_entry, .epoch = recover_epoch};

    snprintf(path, sizeof path, "%s/wal", options->directory);
    return journal_open(&node->journal, &journal, &replay, found, error);
}

/* The replayed records become each partition's log; they are applied once they are known to be
 * committed (R12). */
static int recover_log(struct node *node, const struct node_options *options, uint64_t started_ms,
                       struct error *error)
{
    struct wal_recovery found = {0};
    struct recovery recovery = {.node = node};
    int status;

    recovery.partitions = calloc(node->partition_count, sizeof *recovery.partitions);
    if (recovery.partitions == NULL)
        return error_set(error, CAIRN_ENOMEM, "recovery: out of memory");
    start_from_store(node, recovery.partitions);
    status = open_journal(node, options, &recovery, &found, error);
    if (status == CAIRN_OK) {
        start_replicas(node, recovery.partitions);
        log_info("server",
                 "recovered partitions=%u log_records=%" PRIu64 " replayed=%" PRIu64
                 " log_bytes=%" PRIu64 " rewritten=%" PRIu64 " torn_bytes=%" PRIu64
                 " log=%s ms=%" PRIu64,
                 node->partition_count, found.records, recovery.replayed, found.bytes,
                 found.rewritten, found.torn_bytes, wal_backend_name(node->journal.wal),
                 clock_now_ms() - started_ms);
    }
    free(recovery.partitions);
    return status;
}

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
    node->started_ms = node->checkpoint_started_ms = now_ms;
    STAILQ_INIT(&node->touched);
    disk_init(&node->disk, options->directory, options->disk_reserve_bytes);
    node->partitions = calloc(node->partition_count, sizeof *node->partitions);
    if (node->partitions == NULL)
        return error_set(error, CAIRN_ENOMEM, "server: out of memory");
    for (uint32_t i = 0; i < node->partition_count; i++)
        STAILQ_INIT(&node->partitions[i].pending);
    status = open_store(node, options, error);
    if (status == CAIRN_OK)
        status = recover_log(node, options, now_ms, error);
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
    if (node->journal.wal != NULL)
        journal_close(&node->journal);
    if (node->store != NULL)
        store_close(node->store);
    cluster_map_free(&node->map);
    memset(node, 0, sizeof *node);
}

/* --- the turn of the loop ------------------------------------------------------------------- */

void node_end_turn(struct node *node)
{
    /* While one batch is synced the next one gathers. Spinning up to 50 us for clients that were
     * just answered was slower in 8 of 9 interleaved rounds on two busy processors: it takes the
     * processor from them. On idle ones it was not measured. */
    wal_submit(node->journal.wal);
    store_end_turn(node->store);
}

void node_stop(struct node *node, uint64_t now_ms)
{
    node_durable(node, wal_flush(node->journal.wal), now_ms);
    /* Nothing is proposed from here on, so one checkpoint holds everything applied. A checkpoint
     * that was under way is finished first. */
    while (store_checkpoint_running(node->store)) {
        clock_sleep_ms(1);
        node_checkpoint_finish(node);
    }
    node_look_at_disk(node);
    if (!disk_can_checkpoint(&node->disk)) {
        log_warn("server", "no room for a checkpoint: the next start replays the log");
        return;
    }
    node->checkpoint_cut_lsn = node_first_unapplied_lsn(node);
    store_checkpoint_now(node->store);
    wal_cut(node->journal.wal, node->checkpoint_cut_lsn);
}
