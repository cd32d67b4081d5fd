/* What a node does because time passes, and the manager's word on its partitions. */
#include <inttypes.h>
#include <string.h>

#include "base/log.h"
#include "server/node_internal.h"

enum { SESSION_IDLE_MS = 24 * 60 * 60 * 1000 }; /* S4 */

/* Until it is applied the sessions are as idle as before. */
static bool eviction_is_on_its_way(const struct partition *partition)
{
    const struct entry *entry = partition_entry(partition, partition->evict_index);

    return partition->evict_index > partition->applied.index && entry != NULL &&
           entry->kind == COMMAND_EVICT_SESSIONS;
}

/* S4: idle sessions leave by a log entry, so that they leave on every replica alike. */
static void evict_idle_sessions(struct node *node, struct partition *partition, uint64_t now_ms)
{
    uint32_t number = partition->replica.partition;
    uint64_t log_now_ms = replica_log_time_ms(&partition->replica, now_ms);
    struct entry *entry;

    if (log_now_ms < SESSION_IDLE_MS ||
        store_session_oldest_ms(node->store, number) >= log_now_ms - SESSION_IDLE_MS ||
        eviction_is_on_its_way(partition))
        return;
    entry = entry_create();
    if (entry == NULL)
        return;
    entry->kind = COMMAND_EVICT_SESSIONS;
    entry->cutoff_ms = log_now_ms - SESSION_IDLE_MS;
    if (node_propose(node, partition, entry, now_ms) == CAIRN_OK)
        partition->evict_index = entry->index;
    else
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

bool node_refuses_writes_to(const struct node *node, const struct partition *partition)
{
    for (uint32_t i = 0; i < partition->noted_count; i++)
        if (node->peer_full[partition->noted_servers[i]])
            return true;
    return node_refuses_writes(node);
}

static void say_what_is_served(struct node *node, uint64_t now_ms)
{
    uint32_t serving = 0;

    for (uint32_t i = 0; i < node->partition_count; i++)
        serving +=
            replica_serves(&node->partitions[i].replica, now_ms) && !node_is_quiet(node, now_ms)
                ? 1
                : 0;
    if (serving != node->serving_said)
        log_info("server", "serving partitions=%u of=%u", serving, node->partition_count);
    node->serving_said = serving;
}

void node_tick_replicas(struct node *node, uint64_t now_ms)
{
    for (uint32_t i = 0; i < node->partition_count; i++) {
        struct replica_event event = {.kind = REPLICA_EVENT_TICK, .now_ms = now_ms};

        node_step(node, &node->partitions[i], &event, NULL);
    }
    if (node->owes)
        node_pay_all_debts(node, now_ms);
    if (!node_is_quiet(node, now_ms))
        node->quiet_until_ms = 0;
    node_report_hosts_ended(node, now_ms);
}

void node_tick(struct node *node, uint64_t now_ms)
{
    node_look_at_disk(node);
    damage_retry(&node->damage);
    node_tick_replicas(node, now_ms);
    for (uint32_t i = 0; i < node->partition_count; i++) {
        struct partition *partition = &node->partitions[i];

        if (replica_accepts(&partition->replica) && replica_serves(&partition->replica, now_ms))
            evict_idle_sessions(node, partition, now_ms);
        node_review_kept(node, partition);
    }
    say_what_is_served(node, now_ms);
    node_carry_on(node);
    node_cut_log(node);
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

    partition_configuration_in(configuration, &heard);
    node_step(node, partition, &event, NULL);
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
