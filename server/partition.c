/* See partition.h. */
#include "server/partition.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

enum { SLOTS_INITIAL = 16, SLOTS_KEPT_EMPTY = 4096 };

/* --- the log in memory -------------------------------------------------------------------------
 */

static struct entry **slot_of(const struct partition *partition, uint64_t index)
{
    return &partition->slots[index & (partition->capacity - 1)];
}

bool partition_has_entry(const struct partition *partition, uint64_t index)
{
    return index > partition->before.index && index <= partition_last_index(partition) + 1;
}

struct entry *partition_entry(const struct partition *partition, uint64_t index)
{
    if (index <= partition->before.index || index > partition_last_index(partition))
        return NULL;
    return *slot_of(partition, index);
}

bool partition_find_epoch(const struct partition *partition, uint64_t index, uint64_t *epoch)
{
    const struct entry *entry = partition_entry(partition, index);

    if (entry != NULL)
        *epoch = entry->epoch;
    else if (index == partition->before.index)
        *epoch = partition->before.epoch;
    else if (index == partition->applied.index)
        *epoch = partition->applied.epoch;
    else if (index == partition->base.index)
        *epoch = partition->base.epoch;
    else if (index == 0)
        *epoch = 0;
    else
        return false;
    return true;
}

uint64_t partition_epoch_at(const void *context, uint64_t index)
{
    uint64_t epoch = 0;

    CHECK(partition_find_epoch(context, index, &epoch));
    return epoch;
}

bool partition_reserve(struct partition *partition, uint32_t more)
{
    uint64_t wanted = (uint64_t)partition->entry_count + more;
    uint64_t capacity = partition->capacity == 0 ? SLOTS_INITIAL : partition->capacity;
    struct entry **slots;

    if (wanted <= partition->capacity)
        return true;
    while (capacity < wanted)
        capacity *= 2;
    if (capacity > UINT32_MAX / 2)
        return false;
    slots = calloc(capacity, sizeof(struct entry *));
    if (slots == NULL)
        return false;
    for (uint64_t i = 1; i <= partition->entry_count; i++) {
        uint64_t index = partition->before.index + i;

        slots[index & (capacity - 1)] = *slot_of(partition, index);
    }
    free(partition->slots);
    partition->slots = slots;
    partition->capacity = (uint32_t)capacity;
    return true;
}

void partition_push(struct partition *partition, struct entry *entry)
{
    CHECK(partition->entry_count < partition->capacity);
    CHECK(entry->index == partition_last_index(partition) + 1);
    *slot_of(partition, entry->index) = entry;
    partition->entry_count++;
}

/* A burst's memory is given back once it is over. */
static void shrink_if_empty(struct partition *partition)
{
    if (partition->entry_count > 0 || partition->capacity <= SLOTS_KEPT_EMPTY)
        return;
    free(partition->slots);
    partition->slots = NULL;
    partition->capacity = 0;
}

static void note_gone(struct partition *partition, const struct entry *entry)
{
    if (partition->tick == entry)
        partition->tick = NULL;
}

struct entry *partition_pop_last(struct partition *partition)
{
    struct entry *entry = partition_entry(partition, partition_last_index(partition));

    if (entry == NULL)
        return NULL;
    note_gone(partition, entry);
    partition->entry_count--;
    shrink_if_empty(partition);
    return entry;
}

struct entry *partition_pop_first(struct partition *partition)
{
    struct entry *entry = partition_entry(partition, partition->before.index + 1);

    if (entry == NULL)
        return NULL;
    note_gone(partition, entry);
    partition->before = (struct replica_position){.epoch = entry->epoch, .index = entry->index};
    partition->entry_count--;
    shrink_if_empty(partition);
    return entry;
}

void partition_set_position(struct partition *partition, const struct replica_position *position)
{
    CHECK(partition->entry_count == 0);
    partition->before = partition->applied = partition->base = *position;
}

/* --- recovery ----------------------------------------------------------------------------------
 */

static void void_from(struct partition *partition, uint64_t index)
{
    while (partition->entry_count > 0 && partition_last_index(partition) >= index)
        entry_free(partition_pop_last(partition));
}

void partition_recover_start(struct partition *partition, struct partition_recovery *recovery,
                             const struct store_position *applied)
{
    struct replica_position position = {.epoch = applied->epoch, .index = applied->index};
    uint64_t seen_epoch =
        applied->seen_epoch > applied->epoch ? applied->seen_epoch : applied->epoch;

    CHECK(!applied->installing || applied->index == 0);
    partition_set_position(partition, &position);
    *recovery = (struct partition_recovery){
        .recovered = {.history = applied->history,
                      .seen_epoch = seen_epoch,
                      .last = position,
                      .applied_index = applied->index,
                      .base_index = applied->index,
                      .last_log_ms = applied->log_time_ms,
                      .install = applied->install,
                      .installing = applied->installing},
    };
}

/* The very entry, written again (node_carry.c): what follows it stays. So does its first record's
 * LSN, since those that follow may not have been written again. */
static bool is_held(const struct partition *partition, const struct entry *entry)
{
    const struct entry *held = partition_entry(partition, entry->index);

    return held != NULL && held->epoch == entry->epoch && held->history == entry->history;
}

/* R4: the epochs of a log never fall. One that would was void already before the crash: what voided
 * it is an entry that the store holds by now (W6). */
static bool is_void(const struct replica_recovered *recovered, const struct entry *entry)
{
    return entry->index > recovered->last.index && entry->epoch < recovered->last.epoch;
}

int partition_recover_entry(struct partition *partition, struct partition_recovery *recovery,
                            struct entry *entry, struct error *error)
{
    struct replica_recovered *recovered = &recovery->recovered;

    /* LMDB holds it, or nothing is held until an install is complete. */
    if (entry->index <= recovered->applied_index || recovered->installing ||
        is_void(recovered, entry)) {
        entry_free(entry);
        return CAIRN_OK;
    }
    if (entry->index > recovered->last.index + 1) {
        /* An error, unless this turns out to be void: the log was cut behind its predecessors,
         * which were replaced or written again further on. */
        recovery->gap_index = entry->index;
        entry_free(entry);
        return CAIRN_OK;
    }
    if (is_held(partition, entry)) {
        entry_free(entry);
        return CAIRN_OK;
    }
    void_from(partition, entry->index);
    recovery->gap_index = 0;
    if (!partition_reserve(partition, 1)) {
        entry_free(entry);
        return error_set(error, CAIRN_ENOMEM, "log: out of memory");
    }
    if (entry->history > recovered->history)
        recovered->history = entry->history;
    recovered->last = (struct replica_position){.epoch = entry->epoch, .index = entry->index};
    recovered->last_log_ms = entry->log_time_ms;
    if (entry->epoch > recovered->seen_epoch)
        recovered->seen_epoch = entry->epoch;
    partition_push(partition, entry);
    return CAIRN_OK;
}

void partition_recover_reset(struct partition *partition, struct partition_recovery *recovery,
                             uint64_t history, uint64_t install,
                             const struct store_position *applied)
{
    struct replica_recovered before = recovery->recovered;
    struct replica_recovered *recovered = &recovery->recovered;

    void_from(partition, 0);
    partition_recover_start(partition, recovery, applied);
    if (applied->install != install || applied->installing) {
        /* Cut short by a crash: the copy holds nothing. */
        partition_set_position(partition, &(struct replica_position){0});
        *recovered = (struct replica_recovered){.history = applied->history,
                                                .seen_epoch = recovered->seen_epoch,
                                                .install = install,
                                                .installing = true};
    }
    if (before.history > recovered->history)
        recovered->history = before.history;
    if (history > recovered->history)
        recovered->history = history;
    if (before.seen_epoch > recovered->seen_epoch)
        recovered->seen_epoch = before.seen_epoch;
}

/* --- waiters ------------------------------------------------------------------------------------
 */

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
    uint64_t last = partition_last_index(partition);

    for (uint64_t index = partition->applied.index + 1; index <= last; index++) {
        struct entry *entry = partition_entry(partition, index);

        CHECK(entry != NULL); /* what is not applied is in memory */
        partition_answer_waiters(entry, NULL);
    }
}

void partition_free(struct partition *partition)
{
    if (partition->entry_count > 0)
        partition_abandon_waiters(partition);
    void_from(partition, 0);
    free(partition->slots);
    partition->slots = NULL;
    partition->capacity = 0;
}

/* --- configurations -----------------------------------------------------------------------------
 */

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
    to->switched = from->switched;
    member_in(&from->primary, &to->primary);
    to->member_count = from->member_count;
    for (uint32_t i = 0; i < from->member_count; i++)
        member_in(&from->members[i], &to->members[i]);
    to->learner_count = from->learner_count;
    for (uint32_t i = 0; i < from->learner_count; i++)
        member_in(&from->learners[i], &to->learners[i]);
}

void partition_configuration_out(const struct replica_configuration *from, uint32_t partition,
                                 struct configuration *to)
{
    memset(to, 0, sizeof *to);
    to->partition = partition;
    to->history = from->history;
    to->epoch = from->epoch;
    to->switched = from->switched;
    member_out(&from->primary, &to->primary);
    to->member_count = from->member_count;
    for (uint32_t i = 0; i < from->member_count; i++) {
        member_out(&from->members[i], &to->members[i]);
        to->members[i].incarnation = 0;
    }
    to->learner_count = from->learner_count;
    for (uint32_t i = 0; i < from->learner_count; i++) {
        member_out(&from->learners[i], &to->learners[i]);
        to->learners[i].incarnation = 0;
    }
}
