/* A node's checkpoints, and what they let the log be cut to (W6).
 *
 * A checkpoint makes all below some LSN needless for this server. Followers that come back are
 * served from the log, though, so it is cut only when it has grown past its limit: for each
 * checkpoint the place is noted, and the oldest ones are used first. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/log.h"
#include "server/node_internal.h"

enum {
    CHECKPOINT_AGE_MS = 5 * 60 * 1000,
    FULL_DISK_AGE_MS = 1000,
    LONG_LOG_AGE_MS = 10000,
    LOG_SLACK_BYTES = 256 << 20,
};

/* Above it the log is cut even if somebody needs it to install a snapshot: that starts again. */
static const uint64_t log_limit_bytes = 4ULL << 30;

/* --- where the log may be cut -------------------------------------------------------------------
 */

/* W6: an install's RESET record stays until the store has durably noted the install. */
static uint64_t first_unsettled_reset(struct node *node)
{
    struct journal *journal = &node->journal;
    size_t i = 0;

    while (i < journal->reset_count) {
        struct journal_reset reset = journal->resets[i];

        (void)store_install_poll(node->store, reset.partition);
        if (store_checkpointed(node->store, reset.partition)->install != reset.install)
            i++;
        else
            journal_reset_settled(journal, reset.partition, reset.install);
    }
    return journal->reset_count > 0 ? journal->resets[0].lsn : UINT64_MAX;
}

static uint64_t lower(uint64_t left, uint64_t right)
{
    return left < right ? left : right;
}

static uint64_t lsn_of(const struct partition *partition, uint64_t index)
{
    const struct entry *entry = partition_entry(partition, index);

    return entry == NULL ? UINT64_MAX : entry->lsn;
}

/* The LSN of the oldest record that the store does not make needless once it is checkpointed. */
static uint64_t first_needed_lsn(struct node *node)
{
    uint64_t first = lower(wal_last_lsn(node->journal.wal) + 1, first_unsettled_reset(node));

    for (uint32_t i = 0; i < node->partition_count; i++) {
        const struct partition *partition = &node->partitions[i];

        first = lower(first, lsn_of(partition, partition->applied.index + 1));
        /* Recovery wants a log without gaps: half of it written again is not enough. */
        if (partition->carry_index != 0)
            first = lower(first, partition->carry_lsn);
    }
    return first;
}

static void free_cut_point(struct cut_point *point)
{
    free(point->positions);
    *point = (struct cut_point){0};
}

void node_free_cut_points(struct node *node)
{
    for (uint32_t i = 0; i < node->cut_point_count; i++)
        free_cut_point(&node->cut_points[i]);
    free_cut_point(&node->checkpoint_cut);
}

/* What the checkpoint that starts now allows. Without memory the next one will do. */
static void note_cut_point(struct node *node)
{
    struct cut_point *point = &node->checkpoint_cut;

    free_cut_point(point);
    point->positions = calloc(node->partition_count, sizeof *point->positions);
    if (point->positions == NULL)
        return;
    point->lsn = first_needed_lsn(node);
    point->durable_lsn = wal_last_lsn(node->journal.wal);
    for (uint32_t i = 0; i < node->partition_count; i++)
        point->positions[i] = node->partitions[i].applied;
}

/* The checkpoint is done. If there are too many points the one before is left out: nothing is lost
 * but a place to cut at. */
static void take_cut_point(struct node *node)
{
    struct cut_point *point = &node->checkpoint_cut;

    if (point->positions == NULL)
        return;
    if (node->cut_point_count == CUT_POINTS_LIMIT)
        free_cut_point(&node->cut_points[--node->cut_point_count]);
    node->cut_points[node->cut_point_count++] = *point;
    *point = (struct cut_point){0};
}

static void set_bases(struct node *node, const struct cut_point *point)
{
    for (uint32_t i = 0; i < node->partition_count; i++) {
        struct partition *partition = &node->partitions[i];

        /* The position may be of a log that an install replaced since. */
        if (point->lsn <= partition->dropped_lsn + 1 && partition->dropped_lsn != 0)
            continue;
        if (point->positions[i].index < partition->base.index)
            continue;
        partition->base = point->positions[i];
        replica_set_base(&partition->replica, partition->base.index);
    }
}

static void use_oldest_cut_point(struct node *node)
{
    struct cut_point point = node->cut_points[0];

    node->cut_point_count--;
    memmove(&node->cut_points[0], &node->cut_points[1],
            node->cut_point_count * sizeof node->cut_points[0]);
    wal_cut(node->journal.wal, point.lsn);
    set_bases(node, &point);
    log_debug("server", "log cut lsn=%" PRIu64 " bytes=%" PRIu64, point.lsn,
              wal_bytes(node->journal.wal));
    free_cut_point(&point);
}

/* W7: on a full disk nothing is kept for others. */
static uint64_t bytes_to_keep(const struct node *node)
{
    if (node->snapshots_open > 0)
        return log_limit_bytes;
    return node_refuses_writes(node) ? 0 : node->log_keep_bytes;
}

/* A point above what somebody still reads would free nothing now, and followers that are served
 * from there would have to be installed: it waits, unless the disk is full (W7). */
static bool is_held_back(const struct node *node, const struct cut_point *point)
{
    return point->lsn > wal_pinned_lsn(node->journal.wal) && !node_refuses_writes(node);
}

void node_cut_log(struct node *node)
{
    while (node->cut_point_count > 0) {
        uint64_t bytes = wal_bytes(node->journal.wal);

        if (bytes <= bytes_to_keep(node) || is_held_back(node, &node->cut_points[0]) ||
            wal_durable_lsn(node->journal.wal) < node->cut_points[0].durable_lsn)
            return;
        use_oldest_cut_point(node);
        if (wal_bytes(node->journal.wal) == bytes)
            return; /* perhaps somebody reads there: no haste */
    }
}

void node_cut_log_whole(struct node *node)
{
    wal_cut(node->journal.wal, first_needed_lsn(node));
}

/* --- checkpoints --------------------------------------------------------------------------------
 */

/* Entries that change no key fill the log, too. */
static bool log_is_long(const struct node *node)
{
    uint64_t long_bytes = 4 * node->memtable_limit_bytes + LOG_SLACK_BYTES + node->log_keep_bytes;

    return wal_bytes(node->journal.wal) > long_bytes;
}

/* A checkpoint is due when the memtable is large, when the log is long, or after some time, so that
 * a restart replays little. */
static bool checkpoint_is_due(const struct node *node, uint64_t now_ms)
{
    uint64_t age_ms = now_ms - node->checkpoint_started_ms;

    if (store_live_bytes(node->store) >= node->memtable_limit_bytes || node->wants_checkpoint)
        return true;
    /* W7: deletes free pages only once they are in LMDB. */
    if (node_refuses_writes(node))
        return age_ms > FULL_DISK_AGE_MS;
    if (log_is_long(node))
        return age_ms > LONG_LOG_AGE_MS;
    return age_ms > CHECKPOINT_AGE_MS;
}

bool node_may_checkpoint(const struct node *node)
{
    return disk_can_checkpoint(&node->disk) && !node->damage.unsaved;
}

void node_consider_checkpoint(struct node *node, uint64_t now_ms)
{
    store_checkpoint_pace(node->store, node_refuses_writes(node) || log_is_long(node));
    if (store_checkpoint_running(node->store) || !checkpoint_is_due(node, now_ms) ||
        !node_may_checkpoint(node))
        return;
    node->checkpoint_started_ms = now_ms;
    node->wants_checkpoint = false;
    node_carry_entries(node);
    /* W6: everything below is applied, so the checkpoint that freezes now holds it. */
    if (store_checkpoint_start(node->store))
        note_cut_point(node);
    /* else nothing has changed since the last one */
}

void node_checkpoint_finish(struct node *node)
{
    if (!store_checkpoint_finish(node->store))
        return;
    take_cut_point(node);
    node_look_at_disk(node);
    log_debug("server", "checkpoint done");
    node_cut_log(node);
}
