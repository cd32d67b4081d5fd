/* Entries that stay unapplied would keep the log from being cut (W6): those of a copy that is not
 * wanted any more, or whose primary is gone for long. They are written again at the log's end.
 *
 * Recovery finds such an entry twice and keeps what follows it (partition_recover_entry), so that a
 * crash in between loses nothing; the log is cut only once what was written again is durable. */
#include "base/check.h"
#include "server/node_internal.h"

/* Goes on from carry_index; false if the log has no room. */
static bool carry(struct node *node, struct partition *partition)
{
    uint64_t last = partition_last_index(partition);
    uint64_t index = partition->carry_index;

    if (index <= partition->applied.index)
        index = partition->applied.index + 1;
    for (; index <= last; index++)
        if (!journal_append(&node->journal, partition_entry(partition, index))) {
            partition->carry_index = index;
            node->carries = true;
            return false;
        }
    partition->carry_index = 0;
    return true;
}

void node_carry_on(struct node *node)
{
    if (!node->carries)
        return;
    node->carries = false;
    for (uint32_t i = 0; i < node->partition_count; i++)
        if (node->partitions[i].carry_index != 0 && !carry(node, &node->partitions[i]))
            return;
}

void node_carry_entries(struct node *node)
{
    for (uint32_t i = 0; i < node->partition_count; i++) {
        struct partition *partition = &node->partitions[i];
        const struct entry *first = partition_entry(partition, partition->applied.index + 1);

        if (first == NULL || first->lsn > node->carry_lsn || partition->carry_index != 0)
            continue;
        partition->carry_index = first->index;
        partition->carry_lsn = first->lsn;
        if (!carry(node, partition))
            break;
    }
    node->carry_lsn = wal_last_lsn(node->journal.wal);
}
