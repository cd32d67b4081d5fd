/* What a node does for its partitions' cores: proposing entries, recording epochs, reporting what
 * became durable. */
#include <inttypes.h>

#include "base/check.h"
#include "base/log.h"
#include "server/node_internal.h"

/* A backup that does not keep up slows the writers here instead of filling the memory. */
enum { UNCOMMITTED_LIMIT_BYTES = 32 << 20 };

/* --- proposing ----------------------------------------------------------------------------------
 */

static void place(const struct replica *replica, struct entry *entry, uint64_t now_ms)
{
    struct replica_position position;
    uint64_t log_time_ms;

    replica_next(replica, now_ms, &position, &log_time_ms);
    entry->partition = replica->partition;
    entry->history = replica->configuration.history;
    entry->epoch = position.epoch;
    entry->index = position.index;
    entry->log_time_ms = log_time_ms;
}

int node_propose(struct node *node, struct partition *partition, struct entry *entry,
                 uint64_t now_ms)
{
    struct replica *replica = &partition->replica;
    struct replica_position position;
    uint64_t log_time_ms;

    place(replica, entry, now_ms);
    /* The log's own entries are few and some lead out of a jam (R6, S4). */
    if (entry_is_mutation(entry) && node->uncommitted_bytes > UNCOMMITTED_LIMIT_BYTES)
        return CAIRN_EFULL;
    if (!partition_reserve(partition, 1))
        return CAIRN_EFULL;
    if (entry_is_mutation(entry) && store_session_begin(node->store, entry) != CAIRN_OK)
        return CAIRN_EFULL;
    if (!journal_append(&node->journal, entry)) {
        if (entry_is_mutation(entry))
            store_session_forget(node->store, entry);
        return CAIRN_EFULL;
    }
    replica_append(replica, now_ms, &position, &log_time_ms);
    CHECK(position.index == entry->index && log_time_ms == entry->log_time_ms);
    partition_push(partition, entry);
    entry->proposed = true;
    node->uncommitted_bytes += entry->packed_length;
    if (entry_is_mutation(entry)) {
        /* C3: hosts hear of it while it is synced and replicated. */
        entry->bucket = bucket_of(entry->item->bytes, entry->item->key_length);
        lease_write_begins(node->lease, entry->bucket, now_ms);
    }
    if (partition->noted_count > 0)
        node_note_news(node, partition);
    return CAIRN_OK;
}

struct entry *node_propose_tick(struct node *node, struct partition *partition,
                                uint64_t log_time_ms, uint64_t now_ms)
{
    struct entry *entry = partition->tick;

    if (entry != NULL && entry->log_time_ms >= log_time_ms)
        return entry;
    entry = entry_create();
    if (entry == NULL)
        return NULL;
    entry->kind = COMMAND_NOOP;
    if (node_propose(node, partition, entry, now_ms) != CAIRN_OK) {
        entry_free(entry);
        return NULL;
    }
    partition->tick = entry;
    return entry;
}

/* --- what the core asks for ---------------------------------------------------------------------
 */

static bool append_epoch(struct node *node, struct partition *partition)
{
    const struct replica *replica = &partition->replica;

    /* What was asked for: epochs that are seen of partitions without a copy here are not recorded.
     */
    return journal_append_epoch(&node->journal, replica->partition, replica->seen_history,
                                replica->recorded_epoch);
}

static bool append_noop(struct node *node, struct partition *partition, uint64_t now_ms)
{
    struct entry *entry = entry_create();

    if (entry == NULL)
        return false;
    entry->kind = COMMAND_NOOP;
    if (node_propose(node, partition, entry, now_ms) == CAIRN_OK)
        return true;
    entry_free(entry);
    return false;
}

void node_pay_debts(struct node *node, struct partition *partition, uint64_t now_ms)
{
    /* R2: the epoch's record goes before the epoch's first entry; the log is one sequence. */
    if (partition->owes_epoch && append_epoch(node, partition))
        partition->owes_epoch = false;
    if (partition->owes_noop && !partition->owes_epoch && append_noop(node, partition, now_ms))
        partition->owes_noop = false;
    if (partition->owes_epoch || partition->owes_noop)
        node->owes = true;
}

static void take_on_debts(struct node *node, struct partition *partition,
                          const struct replica_update *update, uint64_t now_ms)
{
    if (update->persist_epoch) {
        store_set_seen_epoch(node->store, partition->replica.partition, update->history,
                             update->epoch);
        partition->owes_epoch = true;
    }
    if (update->append_noop)
        partition->owes_noop = true;
    if (partition->owes_epoch || partition->owes_noop)
        node_pay_debts(node, partition, now_ms);
}

static void say_role(const struct replica *replica)
{
    log_debug("server", "partition=%u role=%s epoch=%" PRIu64 " last_index=%" PRIu64,
              replica->partition, replica_role_name(replica->role), replica->seen_epoch,
              replica->last.index);
}

/* It leads no more: nobody here can tell what becomes of the entries that are not applied. */
static void notice_end_of_lead(struct node *node, struct partition *partition)
{
    bool leads = partition->replica.barrier_index != 0;

    if (!leads)
        partition->owes_noop = false;
    if (partition->leads && !leads) {
        node_stop_waiting(node, partition);
        /* C5: from here on the peers of this partition bound no renewal, so what was granted of it
         * must not be renewed. A copy may step aside long before its peers' leases end (R13). */
        (void)lease_end_all(node->lease);
    }
    partition->leads = leads;
    node_note_counted(node, partition);
}

static void ask_manager(struct node *node, struct partition *partition,
                        const struct replica_update *update)
{
    if (update->propose) {
        partition->proposal = update->proposal;
        node->proposals_wanted += partition->wants_proposal ? 0 : 1;
        partition->wants_proposal = true;
    }
    if (update->ask_manager)
        node->wants_map = true;
}

/* Told once: an install makes the copy whole again. */
static void report_damage(struct node *node, struct partition *partition, uint64_t now_ms)
{
    struct replica_event event = {.kind = REPLICA_EVENT_DAMAGED, .now_ms = now_ms};

    partition->damaged = false;
    if (partition->replica.damaged)
        return;
    log_error("server", "partition=%u: a value fails its checksum; this copy steps aside",
              partition->replica.partition);
    damage_mark(&node->damage, partition->replica.partition);
    node_step(node, partition, &event, NULL);
}

void node_carry_out(struct node *node, struct partition *partition,
                    const struct replica_update *update, uint64_t now_ms)
{
    if (update->role_changed)
        say_role(&partition->replica);
    notice_end_of_lead(node, partition);
    if (update->truncate_index != 0)
        node_drop_from(node, partition, update->truncate_index);
    node_note_followers(node, partition);
    take_on_debts(node, partition, update, now_ms);
    ask_manager(node, partition, update);
    node_apply_through(node, partition, update->commit_index);
    if (update->must_send)
        node_note_news(node, partition);
    if (partition->damaged)
        report_damage(node, partition, now_ms);
}

void node_step(struct node *node, struct partition *partition, const struct replica_event *event,
               struct replica_update *update)
{
    struct replica_update own;
    struct replica_update *said = update != NULL ? update : &own;

    replica_step(&partition->replica, event, said);
    node_carry_out(node, partition, said, event->now_ms);
    if (said->end_hosts)
        node_end_hosts(node, partition, event->now_ms);
}

/* --- becoming durable ---------------------------------------------------------------------------
 */

static void touch(struct node *node, const struct journal_mark *mark)
{
    struct partition *partition = &node->partitions[mark->partition];

    if (mark->kind == LOG_KIND_ENTRY && mark->lsn > partition->void_lsn) {
        if (mark->index > partition->durable_index)
            partition->durable_index = mark->index;
    } else if (mark->kind == LOG_KIND_EPOCH) {
        partition->durable_history = mark->history;
        partition->durable_epoch = mark->index;
    } else {
        return;
    }
    if (partition->touched)
        return;
    partition->touched = true;
    STAILQ_INSERT_TAIL(&node->touched, partition, next_touched);
}

static void report_durable(struct node *node, struct partition *partition, uint64_t now_ms)
{
    struct replica_event epoch = {.kind = REPLICA_EVENT_EPOCH_SYNCED,
                                  .now_ms = now_ms,
                                  .history = partition->durable_history,
                                  .epoch = partition->durable_epoch};
    struct replica_event synced = {
        .kind = REPLICA_EVENT_SYNCED, .now_ms = now_ms, .index = partition->durable_index};

    partition->durable_epoch = 0;
    partition->durable_index = 0;
    if (epoch.epoch != 0) {
        node_step(node, partition, &epoch, NULL);
        node_note_news(node, partition); /* what waited for it may leave now (R2) */
    }
    if (synced.index != 0)
        node_step(node, partition, &synced, NULL);
}

void node_pay_all_debts(struct node *node, uint64_t now_ms)
{
    node->owes = false;
    for (uint32_t i = 0; i < node->partition_count; i++)
        if (node->partitions[i].owes_epoch || node->partitions[i].owes_noop)
            node_pay_debts(node, &node->partitions[i], now_ms);
}

void node_durable(struct node *node, uint64_t lsn, uint64_t now_ms)
{
    struct journal_mark mark;
    struct partition *partition;

    while (journal_next_durable(&node->journal, lsn, &mark))
        touch(node, &mark);
    while ((partition = STAILQ_FIRST(&node->touched)) != NULL) {
        STAILQ_REMOVE_HEAD(&node->touched, next_touched);
        partition->touched = false;
        report_durable(node, partition, now_ms);
    }
    if (node->owes)
        node_pay_all_debts(node, now_ms);
    node_consider_checkpoint(node, now_ms);
}
