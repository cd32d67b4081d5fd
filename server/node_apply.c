/* The end of entries: applied once they are committed, and answered; or dropped. */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "server/node_internal.h"

enum {
    APPLIES_PER_READ = 4096,
    /* Of applied entries, for followers that come from the log on disk. */
    KEPT_LIMIT_BYTES = 128 << 20,
};

/* --- leaving memory -----------------------------------------------------------------------------
 */

/* It is not waited for any more: applied, dropped, or another primary's to commit. */
static void discount(struct node *node, struct entry *entry)
{
    if (!entry->proposed)
        return;
    entry->proposed = false;
    CHECK(node->uncommitted_bytes >= entry->packed_length);
    node->uncommitted_bytes -= entry->packed_length;
    if (entry_is_mutation(entry))
        lease_write_ends(node->lease, entry->bucket);
}

void node_drop_from(struct node *node, struct partition *partition, uint64_t index)
{
    CHECK(index > partition->applied.index); /* R4: a committed entry is never dropped */
    while (partition_last_index(partition) >= index) {
        struct entry *entry = partition_pop_last(partition);

        store_session_forget(node->store, entry);
        discount(node, entry);
        partition_answer_waiters(entry, NULL);
        entry_free(entry);
    }
    partition->void_lsn = wal_last_lsn(node->journal.wal);
    if (partition->durable_index >= index)
        partition->durable_index = index - 1;
}

void node_stop_waiting(struct node *node, struct partition *partition)
{
    uint64_t last = partition_last_index(partition);

    for (uint64_t index = partition->applied.index + 1; index <= last; index++)
        discount(node, partition_entry(partition, index));
    partition_abandon_waiters(partition);
}

/* Frees applied entries, the oldest first: all, or as long as too much is kept. */
static void drop_kept(struct node *node, struct partition *partition, bool all)
{
    while (partition->before.index < partition->applied.index &&
           (all || node->kept_bytes > KEPT_LIMIT_BYTES)) {
        struct entry *entry = partition_pop_first(partition);

        if (entry->packed_owned)
            node->kept_bytes -= entry->packed_length;
        entry_free(entry);
    }
}

void node_drop_log(struct node *node, struct partition *partition)
{
    drop_kept(node, partition, true);
    node_drop_from(node, partition, partition->applied.index + 1);
    partition_set_position(partition, &(struct replica_position){0});
    partition->durable_index = 0;
    partition->dropped_lsn = partition->void_lsn;
    partition->owes_noop = false;
    partition->carry_index = 0;
    partition->damaged = false;
}

void node_installed(struct node *node, struct partition *partition)
{
    const struct store_position *applied = store_applied(node->store, partition->replica.partition);
    struct replica_position position = {.epoch = applied->epoch, .index = applied->index};

    CHECK(!applied->installing);
    partition_set_position(partition, &position);
    damage_clear(&node->damage, partition->replica.partition); /* R13: it is whole again */
}

/* --- applying -----------------------------------------------------------------------------------
 */

/* Followers that read the log on disk reach its end only if memory goes back a little, too. */
static bool somebody_lags(const struct partition *partition, uint64_t commit_index)
{
    const struct replica *replica = &partition->replica;

    for (uint32_t i = 0; i < partition->noted_count && i < replica->follower_count; i++) {
        const struct replica_follower *follower = &replica->followers[i];

        if (follower->mode == REPLICA_REPLICATE && follower->next_index <= commit_index)
            return true;
    }
    return false;
}

void node_review_kept(struct node *node, struct partition *partition)
{
    if (partition->before.index < partition->applied.index &&
        !somebody_lags(partition, partition->applied.index))
        drop_kept(node, partition, true);
}

/* An applied entry gives its item away: what is to be sent later is packed before. Without memory
 * for it the follower takes it from the disk. */
static bool keep_packed(struct node *node, struct entry *entry)
{
    const uint8_t *there = journal_packed(&node->journal, entry);
    uint32_t length = entry_packed_size(entry);
    uint8_t *bytes = malloc(length);

    if (bytes == NULL)
        return false;
    if (there != NULL)
        memcpy(bytes, there, length);
    else
        entry_pack(entry, bytes);
    entry->packed = bytes;
    entry->packed_length = length;
    entry->packed_owned = true;
    node->kept_bytes += length;
    return true;
}

/* R13: a value that others have and this copy cannot read. Alone it is an error for the client. */
static bool is_damage(const struct partition *partition, const struct outcome *outcome)
{
    return outcome->code == OUTCOME_CORRUPT && partition->replica.configuration.member_count > 1;
}

static void apply_entry(struct node *node, struct partition *partition, struct entry *entry)
{
    struct outcome outcome = {0};

    discount(node, entry);
    if (partition->tick == entry)
        partition->tick = NULL;
    /* Out of memory halfway through committed entries: only a restart can go on (R5). */
    CHECK(store_apply(node->store, entry, &outcome) == CAIRN_OK);
    partition->applied = (struct replica_position){.epoch = entry->epoch, .index = entry->index};
    if (partition->watch_index == entry->index && node->watched != NULL)
        node->watched(node, partition);
    if (is_damage(partition, &outcome))
        partition->damaged = true;
    partition_answer_waiters(entry,
                             partition->damaged || partition->replica.damaged ? NULL : &outcome);
}

/* S1, S2, S3: applied in index order, whatever the entry is; the store decides its outcome. */
void node_apply_through(struct node *node, struct partition *partition, uint64_t commit_index)
{
    bool keep = partition->applied.index < commit_index && somebody_lags(partition, commit_index);
    uint64_t applied = 0;

    while (partition->applied.index < commit_index) {
        struct entry *entry = partition_entry(partition, partition->applied.index + 1);

        CHECK(entry != NULL);
        keep = keep && keep_packed(node, entry);
        apply_entry(node, partition, entry);
        drop_kept(node, partition, !keep);
        if (++applied % APPLIES_PER_READ == 0)
            store_end_turn(node->store); /* a long recovery must not pin LMDB's pages */
    }
}
