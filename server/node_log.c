/* Entries' way through a node: proposed into the log, durable, committed, applied, answered. */
#include <inttypes.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/log.h"
#include "server/node_internal.h"

enum { APPLIES_PER_READ = 4096 };

/* S3: what a client numbers; its retirement (S4) has no number. */
static bool is_mutation(const struct entry *entry)
{
    return entry->kind == COMMAND_PUT || entry->kind == COMMAND_SWAP ||
           entry->kind == COMMAND_DELETE;
}

int node_propose(struct node *node, struct partition *partition, struct entry *entry,
                 uint64_t now_ms)
{
    struct replica *replica = &partition->replica;
    struct replica_position position;
    uint64_t log_time_ms;

    replica_next(replica, now_ms, &position, &log_time_ms);
    entry->partition = replica->partition;
    entry->history = replica->configuration.history;
    entry->epoch = position.epoch;
    entry->index = position.index;
    entry->log_time_ms = log_time_ms;
    if (is_mutation(entry) && store_session_begin(node->store, entry) != CAIRN_OK)
        return CAIRN_EFULL;
    if (!journal_append(&node->journal, entry)) {
        if (is_mutation(entry))
            store_session_forget(node->store, entry);
        return CAIRN_EFULL;
    }
    replica_append(replica, now_ms, &position, &log_time_ms);
    CHECK(position.index == entry->index && log_time_ms == entry->log_time_ms);
    STAILQ_INSERT_TAIL(&partition->pending, entry, next);
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

/* S1, S2, S3: applied in index order, whatever the entry is; the store decides its outcome. */
static void apply_through(struct node *node, struct partition *partition, uint64_t commit_index)
{
    struct entry *entry;
    uint64_t applied = 0;

    while ((entry = STAILQ_FIRST(&partition->pending)) != NULL && entry->index <= commit_index) {
        struct outcome outcome = {0};

        STAILQ_REMOVE_HEAD(&partition->pending, next);
        if (partition->tick == entry)
            partition->tick = NULL;
        /* Out of memory halfway through committed entries: only a restart can go on (R5). */
        CHECK(store_apply(node->store, entry, &outcome) == CAIRN_OK);
        partition_answer_waiters(entry, &outcome);
        entry_free(entry);
        if (++applied % APPLIES_PER_READ == 0)
            store_end_turn(node->store); /* a long recovery must not pin LMDB's pages */
    }
}

static bool append_epoch(struct node *node, struct partition *partition)
{
    const struct replica *replica = &partition->replica;

    return journal_append_epoch(&node->journal, replica->partition, replica->seen_history,
                                replica->seen_epoch);
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
    node_pay_debts(node, partition, now_ms);
}

void node_carry_out(struct node *node, struct partition *partition,
                    const struct replica_update *update, uint64_t now_ms)
{
    const struct replica *replica = &partition->replica;

    if (update->role_changed) {
        log_debug("server", "partition=%u role=%s epoch=%" PRIu64 " last_index=%" PRIu64,
                  replica->partition, replica_role_name(replica->role), replica->seen_epoch,
                  replica->last.index);
        if (replica->role == REPLICA_NONE || replica->role == REPLICA_BACKUP)
            partition_abandon_waiters(partition);
    }
    if (replica->barrier_index == 0)
        partition->owes_noop = false; /* it does not lead any more */
    take_on_debts(node, partition, update, now_ms);
    if (update->propose) {
        partition->proposal = update->proposal;
        node->proposals_wanted += partition->wants_proposal ? 0 : 1;
        partition->wants_proposal = true;
    }
    apply_through(node, partition, update->commit_index);
}

static void touch(struct node *node, const struct journal_mark *mark)
{
    struct partition *partition = &node->partitions[mark->partition];

    if (mark->index > partition->durable_index)
        partition->durable_index = mark->index;
    if (partition->touched)
        return;
    partition->touched = true;
    STAILQ_INSERT_TAIL(&node->touched, partition, next_touched);
}

void node_durable(struct node *node, uint64_t lsn, uint64_t now_ms)
{
    struct journal_mark mark;
    struct partition *partition;

    while (journal_next_durable(&node->journal, lsn, &mark))
        touch(node, &mark);
    while ((partition = STAILQ_FIRST(&node->touched)) != NULL) {
        struct replica_event event = {.kind = REPLICA_EVENT_SYNCED, .now_ms = now_ms};
        struct replica_update update;

        STAILQ_REMOVE_HEAD(&node->touched, next_touched);
        partition->touched = false;
        event.index = partition->durable_index;
        replica_step(&partition->replica, &event, &update);
        node_carry_out(node, partition, &update, now_ms);
    }
    node_consider_checkpoint(node, now_ms);
}
