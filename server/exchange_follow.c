/* Appends, the follower's side: runs of entries are taken into the log and answered once they are
 * durable there (R1, R2, R4). */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "server/exchange_internal.h"
#include "server/node_internal.h"

enum {
    LENGTH_BYTES = 4,
    RUN_ENTRIES_INITIAL = 256,
    MEMTABLES_LIMIT = 2, /* of what starts a checkpoint, in memory beside the one under way */
};

/* --- reading a run ------------------------------------------------------------------------------
 */

static bool reserve_run(struct run_entries *run, uint32_t count)
{
    uint32_t capacity = run->capacity == 0 ? RUN_ENTRIES_INITIAL : run->capacity;
    struct entry **entries;
    uint64_t *epochs;

    if (count <= run->capacity)
        return true;
    while (capacity < count)
        capacity *= 2;
    entries = realloc(run->entries, capacity * sizeof(struct entry *));
    if (entries == NULL)
        return false;
    run->entries = entries;
    epochs = realloc(run->epochs, capacity * sizeof *epochs);
    if (epochs == NULL)
        return false;
    run->epochs = epochs;
    run->capacity = capacity;
    return true;
}

static void free_run(struct run_entries *run, uint32_t from, uint32_t to)
{
    for (uint32_t i = from; i < to; i++)
        entry_free(run->entries[i]);
}

/* An entry has its place behind those before it (R4). It may be of an older history than the run
 * (R9), but of no newer one. */
static bool fits(const struct entry *entry, const append_run *run, uint32_t number,
                 uint64_t epoch_before)
{
    return entry->partition == run->partition && entry->index == run->previous_index + 1 + number &&
           entry->epoch >= epoch_before && entry->epoch <= run->epoch &&
           entry->history <= run->history;
}

/* Takes the next record off `view` as an entry. */
static int next_entry(struct view *view, struct entry **entry)
{
    uint32_t length = 0;
    int status;
    struct error error;

    if (view->length < LENGTH_BYTES)
        return CAIRN_EPROTO;
    for (uint32_t i = 0; i < LENGTH_BYTES; i++)
        length |= (uint32_t)view->data[i] << (8 * i);
    if (length == 0 || length > view->length - LENGTH_BYTES)
        return CAIRN_EPROTO;
    status = entry_unpack(view->data + LENGTH_BYTES, length, entry, &error);
    if (status != CAIRN_OK)
        return status == CAIRN_ENOMEM ? status : CAIRN_EPROTO;
    /* Where its bytes lie while the run is taken. */
    (*entry)->packed = view->data + LENGTH_BYTES;
    (*entry)->packed_length = length;
    view->data += LENGTH_BYTES + length;
    view->length -= LENGTH_BYTES + length;
    return CAIRN_OK;
}

static int read_entries(const append_run *run, struct run_entries *entries, uint32_t *count)
{
    struct view left = run->records;
    uint64_t epoch = run->previous_epoch;

    for (*count = 0; *count < run->count; ++*count) {
        struct entry *entry;
        int status = next_entry(&left, &entry);

        if (status != CAIRN_OK)
            return status;
        if (!fits(entry, run, *count, epoch)) {
            entry_free(entry);
            return CAIRN_EPROTO;
        }
        epoch = entry->epoch;
        entries->entries[*count] = entry;
        entries->epochs[*count] = epoch;
    }
    return left.length == 0 ? CAIRN_OK : CAIRN_EPROTO;
}

/* All that can be wrong with a run is found before anything of it is taken. */
static int read_run(struct node *node, const append_run *run)
{
    struct run_entries *entries = &node->run_entries;
    uint32_t count;
    int status;

    if (run->partition >= node->partition_count || run->epoch == 0 || run->history == 0 ||
        run->previous_epoch > run->epoch ||
        (run->previous_index == 0 && run->previous_epoch != 0) ||
        run->previous_index > UINT64_MAX - CAIRN_RECORDS_LIMIT ||
        run->count > run->records.length / (LENGTH_BYTES + 1))
        return CAIRN_EPROTO;
    if (!reserve_run(entries, run->count))
        return CAIRN_ENOMEM;
    status = read_entries(run, entries, &count);
    if (status != CAIRN_OK)
        free_run(entries, 0, count);
    return status;
}

/* --- taking a run -------------------------------------------------------------------------------
 */

/* Checkpoints do not keep up: what is not taken waits at the primary, whose limit slows its clients
 * down. Where there is no room for a checkpoint (W7) waiting would help nobody. */
static bool is_overfull(const struct node *node)
{
    return store_live_bytes(node->store) > MEMTABLES_LIMIT * node->memtable_limit_bytes &&
           disk_can_checkpoint(&node->disk);
}

/* Appends the entries that are new here; false if there is no room for all of them. */
static bool append_entries(struct node *node, struct partition *partition, uint32_t skip,
                           uint32_t count)
{
    struct run_entries *run = &node->run_entries;
    uint32_t taken = skip;
    /* Room is made only now: the step may have applied all that was in memory and given it back. */
    bool takes = !is_overfull(node) && partition_reserve(partition, count - skip);

    free_run(run, 0, skip);
    for (; takes && taken < count; taken++) {
        struct entry *entry = run->entries[taken];
        struct replica_position position = {.epoch = entry->epoch, .index = entry->index};

        if (!journal_append_raw(&node->journal, entry->partition, entry->index, entry->packed,
                                entry->packed_length, &entry->lsn))
            break;
        entry->packed = NULL;
        partition_push(partition, entry);
        replica_follow(&partition->replica, &position, entry->log_time_ms);
    }
    free_run(run, taken, count);
    return taken == count;
}

static int take_run(struct node *node, const struct replica_member *from, const append_run *run,
                    uint64_t now_ms, enum replica_ack_outcome *outcome)
{
    struct partition *partition;
    struct replica_append append = {
        .from = *from,
        .history = run->history,
        .epoch = run->epoch,
        .previous = {.epoch = run->previous_epoch, .index = run->previous_index},
        .commit_index = run->commit_index,
        .count = run->count,
    };
    struct replica_event event = {
        .kind = REPLICA_EVENT_APPEND, .now_ms = now_ms, .append = &append};
    struct replica_update update;
    int status = read_run(node, run);

    if (status != CAIRN_OK)
        return status;
    partition = &node->partitions[run->partition];
    append.epochs = node->run_entries.epochs;
    node_step(node, partition, &event, &update);
    *outcome = update.outcome;
    if (!update.accepted)
        free_run(&node->run_entries, 0, run->count);
    else if (!append_entries(node, partition, update.skip, run->count))
        *outcome = REPLICA_ACK_BUSY;
    /* R2: without room even for the epoch's record there is nothing to answer with. */
    return partition->owes_epoch ? CAIRN_EFULL : CAIRN_OK;
}

int exchange_take_append(struct node *node, const append_args *args, uint64_t now_ms,
                         struct append_taken *taken)
{
    struct replica_member from = {.server = args->from.server,
                                  .store = args->from.store,
                                  .incarnation = args->from.incarnation};
    uint32_t count = args->runs.runs_len;
    int status = CAIRN_OK;

    *taken = (struct append_taken){0};
    taken->stranger = !exchange_knows(node, &args->from);
    if (taken->stranger || count == 0)
        return CAIRN_OK;
    taken->runs = calloc(count, sizeof *taken->runs);
    if (taken->runs == NULL)
        return CAIRN_ENOMEM;
    for (uint32_t i = 0; i < count && status == CAIRN_OK; i++) {
        taken->runs[i].partition = args->runs.runs_val[i].partition;
        status = take_run(node, &from, &args->runs.runs_val[i], now_ms, &taken->runs[i].outcome);
    }
    if (status != CAIRN_OK) {
        append_taken_free(taken);
        return status;
    }
    taken->count = count;
    taken->lsn = wal_last_lsn(node->journal.wal);
    return CAIRN_OK;
}

/* --- answering ----------------------------------------------------------------------------------
 */

/* R2: nothing is promised in an epoch whose record is not durable: a newer one came while this
 * answer waited. A refusal promises nothing. */
static void hold_back_epoch(const struct replica *replica, struct replica_ack *ack)
{
    if (ack->epoch <= replica->durable_epoch || ack->outcome == REPLICA_ACK_REFUSED)
        return;
    ack->epoch = replica->durable_epoch;
    ack->matched_index = 0;
    ack->outcome = REPLICA_ACK_BUSY;
}

static append_outcome outcome_out(enum replica_ack_outcome outcome)
{
    switch (outcome) {
    case REPLICA_ACK_OK:
        return APPEND_OK;
    case REPLICA_ACK_MISMATCH:
        return APPEND_MISMATCH;
    case REPLICA_ACK_REFUSED:
        return APPEND_REFUSED;
    case REPLICA_ACK_BUSY:
        return APPEND_BUSY;
    }
    CHECK(false);
}

static append_ack ack_of(const struct replica *replica, enum replica_ack_outcome outcome)
{
    struct replica_ack ack;

    replica_ack(replica, outcome, &ack);
    hold_back_epoch(replica, &ack);
    return (append_ack){
        .partition = replica->partition,
        .outcome = outcome_out(ack.outcome),
        .history = ack.history,
        .epoch = ack.epoch,
        .matched_index = ack.matched_index,
        .commit_index = ack.commit_index,
        .install = ack.install,
        .installing = ack.installing,
    };
}

void exchange_answer_append(const struct node *node, const struct append_taken *taken,
                            append_ack *acks, append_result *result)
{
    *result = (append_result){.stranger = taken->stranger,
                              .store = node->identity.store,
                              .incarnation = node->identity.incarnation,
                              .full = node_refuses_writes(node)};
    for (uint32_t i = 0; i < taken->count; i++)
        acks[i] =
            ack_of(&node->partitions[taken->runs[i].partition].replica, taken->runs[i].outcome);
    result->acks.acks_val = acks;
    result->acks.acks_len = taken->count;
}

void append_taken_free(struct append_taken *taken)
{
    free(taken->runs);
    *taken = (struct append_taken){0};
}
