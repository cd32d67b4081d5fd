/* What a node does because time passes, and its checkpoints. */
#include <inttypes.h>
#include <string.h>

#include "base/log.h"
#include "server/node_internal.h"

enum {
    CHECKPOINT_AGE_MS = 5 * 60 * 1000,
    FULL_DISK_AGE_MS = 1000,
    LONG_LOG_AGE_MS = 10000,
    LOG_SLACK_BYTES = 256 << 20,
    SESSION_IDLE_MS = 24 * 60 * 60 * 1000, /* S4 */
};

uint64_t node_first_unapplied_lsn(const struct node *node)
{
    uint64_t first = wal_last_lsn(node->journal.wal) + 1;

    for (uint32_t i = 0; i < node->partition_count; i++) {
        const struct entry *entry = STAILQ_FIRST(&node->partitions[i].pending);

        if (entry != NULL && entry->lsn < first)
            first = entry->lsn;
    }
    return first;
}

/* A checkpoint is due when the memtable is large, when the log is long (entries that change no key
 * fill it, too), or after some time, so that a restart replays little. */
static bool checkpoint_is_due(const struct node *node, uint64_t now_ms)
{
    uint64_t age_ms = now_ms - node->checkpoint_started_ms;
    uint64_t log_limit_bytes = 4 * node->memtable_limit_bytes + LOG_SLACK_BYTES;

    if (store_live_bytes(node->store) >= node->memtable_limit_bytes)
        return true;
    /* W7: deletes free pages only once they are in LMDB. */
    if (node_refuses_writes(node))
        return age_ms > FULL_DISK_AGE_MS;
    if (wal_bytes(node->journal.wal) > log_limit_bytes)
        return age_ms > LONG_LOG_AGE_MS;
    return age_ms > CHECKPOINT_AGE_MS;
}

void node_consider_checkpoint(struct node *node, uint64_t now_ms)
{
    if (store_checkpoint_running(node->store) || !checkpoint_is_due(node, now_ms) ||
        !disk_can_checkpoint(&node->disk))
        return;
    /* W6: everything below is applied, so the checkpoint that freezes now holds it. */
    node->checkpoint_cut_lsn = node_first_unapplied_lsn(node);
    node->checkpoint_started_ms = now_ms;
    (void)store_checkpoint_start(node->store); /* false: nothing has changed since the last one */
}

void node_checkpoint_finish(struct node *node)
{
    if (!store_checkpoint_finish(node->store))
        return;
    wal_cut(node->journal.wal, node->checkpoint_cut_lsn);
    node_look_at_disk(node);
    log_debug("server", "checkpoint done cut_lsn=%" PRIu64, node->checkpoint_cut_lsn);
}

/* S4: idle sessions leave by a log entry, so that they leave on every replica alike. */
static void evict_idle_sessions(struct node *node, struct partition *partition, uint64_t now_ms)
{
    uint32_t number = partition->replica.partition;
    uint64_t log_now_ms = replica_log_time_ms(&partition->replica, now_ms);
    struct entry *entry;

    if (log_now_ms < SESSION_IDLE_MS ||
        store_session_oldest_ms(node->store, number) >= log_now_ms - SESSION_IDLE_MS)
        return;
    entry = entry_create();
    if (entry == NULL)
        return;
    entry->kind = COMMAND_EVICT_SESSIONS;
    entry->cutoff_ms = log_now_ms - SESSION_IDLE_MS;
    if (node_propose(node, partition, entry, now_ms) != CAIRN_OK)
        entry_free(entry); /* the next tick tries again */
}

void node_look_at_disk(struct node *node)
{
    struct store_stats stats;

    store_stats(node->store, &stats);
    disk_look(&node->disk, wal_room(node->journal.wal), stats.free_bytes);
}

bool node_refuses_writes(const struct node *node)
{
    return disk_refuses_writes(&node->disk, store_memtable_bytes(node->store));
}

static void say_what_is_served(struct node *node)
{
    uint32_t serving = 0;

    for (uint32_t i = 0; i < node->partition_count; i++)
        serving += replica_serves(&node->partitions[i].replica) ? 1 : 0;
    if (serving != node->serving_said)
        log_info("server", "serving partitions=%u of=%u", serving, node->partition_count);
    node->serving_said = serving;
}

void node_tick(struct node *node, uint64_t now_ms)
{
    node_look_at_disk(node);
    for (uint32_t i = 0; i < node->partition_count; i++) {
        struct partition *partition = &node->partitions[i];
        struct replica_event event = {.kind = REPLICA_EVENT_TICK, .now_ms = now_ms};
        struct replica_update update;

        replica_step(&partition->replica, &event, &update);
        node_carry_out(node, partition, &update, now_ms);
        node_pay_debts(node, partition, now_ms);
        if (replica_serves(&partition->replica))
            evict_idle_sessions(node, partition, now_ms);
    }
    say_what_is_served(node);
    node_consider_checkpoint(node, now_ms);
    if (!wal_waiting(node->journal.wal) && !wal_busy(node->journal.wal))
        wal_mark(node->journal.wal); /* W3: damage to the last batch is told from a torn tail */
}

void node_hear_configuration(struct node *node, const struct configuration *configuration,
                             uint64_t now_ms)
{
    struct partition *partition = &node->partitions[configuration->partition];
    struct replica_configuration heard;
    struct replica_event event = {
        .kind = REPLICA_EVENT_CONFIGURATION, .now_ms = now_ms, .configuration = &heard};
    struct replica_update update;

    partition_configuration_in(configuration, &heard);
    replica_step(&partition->replica, &event, &update);
    node_carry_out(node, partition, &update, now_ms);
}

void node_hear_map(struct node *node, struct cluster_map *map, uint64_t now_ms)
{
    if (map->version <= node->map.version || map->partitions != node->partition_count) {
        cluster_map_free(map);
        return;
    }
    cluster_map_free(&node->map);
    node->map = *map;
    memset(map, 0, sizeof *map);
    for (uint32_t i = 0; node->map.configurations != NULL && i < node->partition_count; i++)
        node_hear_configuration(node, &node->map.configurations[i], now_ms);
}
