/* See partition.h. */
#include "server/partition.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

/* Drops pending entries at or above `index`; the queue runs by index. */
static void void_from(struct partition *partition, uint64_t index)
{
    struct entry_queue kept = STAILQ_HEAD_INITIALIZER(kept);
    struct entry *entry;

    while ((entry = STAILQ_FIRST(&partition->pending)) != NULL) {
        STAILQ_REMOVE_HEAD(&partition->pending, next);
        if (entry->index < index)
            STAILQ_INSERT_TAIL(&kept, entry, next);
        else
            entry_free(entry);
    }
    STAILQ_CONCAT(&partition->pending, &kept);
}

int partition_recover_entry(struct partition *partition, struct replica_recovered *recovered,
                            struct entry *entry, struct error *error)
{
    uint64_t applied = recovered->applied_index;

    if (entry->index <= applied || entry->history < recovered->history) {
        entry_free(entry); /* LMDB holds it, or an install replaced its history (R9) */
        return CAIRN_OK;
    }
    if (entry->index > recovered->last.index + 1) {
        error_set(error, CAIRN_ECORRUPT,
                  "log: partition %u: entry %llu follows %llu: entries are missing",
                  entry->partition, (unsigned long long)entry->index,
                  (unsigned long long)recovered->last.index);
        entry_free(entry);
        return CAIRN_ECORRUPT;
    }
    if (entry->index <= recovered->last.index)
        void_from(partition, entry->index);
    recovered->history = entry->history;
    recovered->last = (struct replica_position){.epoch = entry->epoch, .index = entry->index};
    recovered->last_log_ms = entry->log_time_ms;
    if (entry->epoch > recovered->seen_epoch)
        recovered->seen_epoch = entry->epoch;
    STAILQ_INSERT_TAIL(&partition->pending, entry, next);
    return CAIRN_OK;
}

void partition_add_waiter(struct entry *entry, struct waiter *waiter)
{
    waiter->next = entry->waiters;
    entry->waiters = waiter;
}

void partition_answer_waiters(struct entry *entry, const struct outcome *outcome)
{
    struct waiter *waiter = entry->waiters;

    entry->waiters = NULL;
    while (waiter != NULL) {
        struct waiter *next = waiter->next;

        waiter->answer(waiter, entry, outcome);
        waiter = next;
    }
}

void partition_abandon_waiters(struct partition *partition)
{
    struct entry *entry;

    STAILQ_FOREACH(entry, &partition->pending, next)
    partition_answer_waiters(entry, NULL);
}

void partition_free(struct partition *partition)
{
    partition_abandon_waiters(partition);
    void_from(partition, 0);
}

static void member_in(const struct replica_id *from, struct replica_member *to)
{
    *to = (struct replica_member){
        .server = from->server, .store = from->store, .incarnation = from->incarnation};
}

static void member_out(const struct replica_member *from, struct replica_id *to)
{
    *to = (struct replica_id){
        .server = from->server, .store = from->store, .incarnation = from->incarnation};
}

void partition_configuration_in(const struct configuration *from, struct replica_configuration *to)
{
    _Static_assert((int)REPLICA_MEMBERS_LIMIT == (int)CAIRN_REPLICAS_LIMIT,
                   "the core holds what the wire allows");
    memset(to, 0, sizeof *to);
    to->history = from->history;
    to->epoch = from->epoch;
    member_in(&from->primary, &to->primary);
    to->member_count = from->member_count;
    for (uint32_t i = 0; i < from->member_count; i++)
        member_in(&from->members[i], &to->members[i]);
}

void partition_configuration_out(const struct replica_configuration *from, uint32_t partition,
                                 struct configuration *to)
{
    memset(to, 0, sizeof *to);
    to->partition = partition;
    to->history = from->history;
    to->epoch = from->epoch;
    member_out(&from->primary, &to->primary);
    to->member_count = from->member_count;
    for (uint32_t i = 0; i < from->member_count; i++) {
        member_out(&from->members[i], &to->members[i]);
        to->members[i].incarnation = 0;
    }
}
