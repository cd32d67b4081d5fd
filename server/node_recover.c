/* Recovery: what the log holds on top of the store becomes each partition's log (R12). */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "server/node_internal.h"

enum { PATH_LIMIT = 4096 };

/* What the log says, while it is being read. */
struct recovery {
    struct node *node;
    struct partition_recovery *partitions;
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
    if (entry->index > recovery->partitions[entry->partition].recovered.applied_index)
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
    recovered = &recovery->partitions[partition].recovered;
    if (history > recovered->history)
        recovered->history = history;
    if (epoch > recovered->seen_epoch)
        recovered->seen_epoch = epoch;
    return CAIRN_OK;
}

static int recover_reset(void *context, uint32_t partition, uint64_t history, uint64_t install,
                         uint64_t lsn, struct error *error)
{
    struct recovery *recovery = context;
    struct node *node = recovery->node;
    int status = check_partition(recovery, partition, error);

    if (status != CAIRN_OK)
        return status;
    node->partitions[partition].void_lsn = node->partitions[partition].dropped_lsn = lsn;
    partition_recover_reset(&node->partitions[partition], &recovery->partitions[partition], history,
                            install, store_applied(node->store, partition));
    return CAIRN_OK;
}

static int check_gaps(const struct recovery *recovery, struct error *error)
{
    for (uint32_t i = 0; i < recovery->node->partition_count; i++) {
        const struct partition_recovery *found = &recovery->partitions[i];

        if (found->gap_index != 0)
            return error_set(error, CAIRN_ECORRUPT,
                             "log: partition %u: entry %" PRIu64 " follows %" PRIu64
                             ": entries are missing",
                             i, found->gap_index, found->recovered.last.index);
    }
    return CAIRN_OK;
}

static void start_replicas(struct node *node, struct partition_recovery *partitions,
                           uint64_t now_ms)
{
    struct replica_member self = {.server = node->identity.server,
                                  .store = node->identity.store,
                                  .incarnation = node->identity.incarnation};

    for (uint32_t i = 0; i < node->partition_count; i++) {
        struct replica_recovered *recovered = &partitions[i].recovered;
        struct replica_log log = {.context = &node->partitions[i], .epoch_at = partition_epoch_at};

        recovered->had_earlier_life = node->identity.incarnation > 1;
        /* A copy whose install was cut short holds nothing that could be damaged. */
        recovered->damaged = damage_has(&node->damage, i) && !recovered->installing;
        replica_init(&node->partitions[i].replica, i, &self, &node->times, &log, recovered, now_ms);
        store_set_seen_epoch(node->store, i, recovered->history, recovered->seen_epoch);
    }
}

/* W6: installs that a crash cut short before the store had noted them. It notes them now: their
 * RESET records would hold the log up for as long as nobody installs the copy anew. */
static int note_installs(struct node *node, struct error *error)
{
    for (size_t i = 0; i < node->journal.reset_count; i++) {
        const struct journal_reset *reset = &node->journal.resets[i];

        if (store_applied(node->store, reset->partition)->install != reset->install &&
            store_install_begin(node->store, reset->partition, reset->install) != CAIRN_OK)
            return error_set(error, CAIRN_ENOMEM, "recovery: out of memory");
    }
    return CAIRN_OK;
}

static int open_journal(struct node *node, const struct node_options *options,
                        struct recovery *recovery, struct wal_recovery *found, struct error *error)
{
    char path[PATH_LIMIT];
    struct journal_options journal = {.directory = path,
                                      .backend = options->wal_backend,
                                      .segment_bytes = options->segment_bytes};
    struct journal_replay replay = {.context = recovery,
                                    .entry = recover_entry,
                                    .epoch = recover_epoch,
                                    .reset = recover_reset};

    snprintf(path, sizeof path, "%s/wal", options->directory);
    return journal_open(&node->journal, &journal, &replay, found, error);
}

/* The replayed records become each partition's log; they are applied once they are known to be
 * committed (R12). */
int node_recover(struct node *node, const struct node_options *options, uint64_t started_ms,
                 struct error *error)
{
    struct wal_recovery found = {0};
    struct recovery recovery = {.node = node};
    uint64_t reading_since_ms = clock_now_ms(); /* for people; the cores' time is passed in */
    int status;

    recovery.partitions = calloc(node->partition_count, sizeof *recovery.partitions);
    if (recovery.partitions == NULL)
        return error_set(error, CAIRN_ENOMEM, "recovery: out of memory");
    for (uint32_t i = 0; i < node->partition_count; i++)
        partition_recover_start(&node->partitions[i], &recovery.partitions[i],
                                store_applied(node->store, i));
    status = open_journal(node, options, &recovery, &found, error);
    if (status == CAIRN_OK)
        status = check_gaps(&recovery, error);
    if (status == CAIRN_OK) {
        /* L5: what an earlier life promised was promised before this start began. */
        start_replicas(node, recovery.partitions, started_ms);
        status = note_installs(node, error);
        log_info("server",
                 "recovered partitions=%u log_records=%" PRIu64 " replayed=%" PRIu64
                 " log_bytes=%" PRIu64 " rewritten=%" PRIu64 " torn_bytes=%" PRIu64
                 " log=%s ms=%" PRIu64,
                 node->partition_count, found.records, recovery.replayed, found.bytes,
                 found.rewritten, found.torn_bytes, wal_backend_name(node->journal.wal),
                 clock_now_ms() - reading_since_ms);
    }
    free(recovery.partitions);
    return status;
}
