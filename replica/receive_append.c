/* An Append from a primary: matching it with our log (R4), and what to answer. */
#include "base/check.h"
#include "replica/internal.h"

static uint64_t epoch_at(const struct replica *replica, uint64_t index)
{
    return index == 0 ? 0 : replica->log.epoch_at(replica->log.context, index);
}

/* R4: what is committed here lies in every primary's log; above that the epochs are compared. */
static bool predecessor_matches(const struct replica *replica,
                                const struct replica_position *previous)
{
    if (previous->index > replica->last.index)
        return false;
    if (previous->index < replica->commit_index)
        return true;
    if (previous->index == replica->commit_index) {
        /* Another epoch here would mean that a committed entry is to be dropped. */
        CHECK(previous->epoch == 0 || epoch_at(replica, previous->index) == previous->epoch ||
              RULE_BROKEN(R4));
        return true;
    }
    return RULE_BROKEN(R4) || epoch_at(replica, previous->index) == previous->epoch;
}

static void truncate(struct replica *replica, uint64_t index, struct replica_update *update)
{
    CHECK(index > replica->commit_index); /* R4: dropping a committed entry aborts */
    CHECK(index > replica->matched_index || RULE_BROKEN(R4_SHORT) || RULE_BROKEN(R2));
    replica->last.index = index - 1;
    replica->last.epoch = epoch_at(replica, index - 1);
    if (replica->synced_index > replica->last.index)
        replica->synced_index = replica->last.index;
    if (replica->matched_index > replica->last.index)
        replica->matched_index = replica->last.index;
    update->truncate_index = index;
}

/* Skips what is held already and drops a suffix only where epochs conflict (R4). */
static void match_entries(struct replica *replica, const struct replica_append *append,
                          struct replica_update *update)
{
    uint64_t index = append->previous.index;

    for (uint32_t i = 0; i < append->count; i++) {
        index++;
        if (index > replica->last.index)
            break;
        if (index > replica->commit_index && epoch_at(replica, index) != append->epochs[i]) {
            truncate(replica, index, update);
            break;
        }
        update->skip++;
    }
    if (RULE_BROKEN(R4_SHORT) && update->skip == append->count &&
        append->previous.index + append->count < replica->last.index &&
        append->previous.index + append->count >= replica->commit_index)
        truncate(replica, append->previous.index + append->count + 1, update);
    if (append->previous.index + update->skip > replica->matched_index)
        replica->matched_index = append->previous.index + update->skip;
}

void replica_receive_append(struct replica *replica, const struct replica_event *event,
                            struct replica_update *update)
{
    const struct replica_append *append = event->append;

    update->outcome = REPLICA_ACK_REFUSED;
    if (!replica_admit(replica, event, &append->from, append->history, append->epoch, update))
        return;
    if (replica->damaged && !RULE_BROKEN(R13) &&
        replica_is_member(&replica->configuration, &replica->self))
        return; /* R13: it steps aside until it is removed */
    update->outcome = REPLICA_ACK_MISMATCH;
    if (!replica_is_sound(replica) || append->history != replica->seen_history ||
        !predecessor_matches(replica, &append->previous))
        return;
    match_entries(replica, append, update);
    if (append->commit_index > replica->told_index)
        replica->told_index = append->commit_index; /* R12 */
    update->outcome = REPLICA_ACK_OK;
    update->accepted = true;
}

void replica_follow(struct replica *replica, const struct replica_position *position,
                    uint64_t log_time_ms)
{
    CHECK(!replica_leads(replica) || RULE_BROKEN(R2));
    CHECK(position->index == replica->last.index + 1);
    CHECK(position->epoch >= replica->last.epoch || RULE_BROKEN(R4) || RULE_BROKEN(R2));
    CHECK(position->epoch <= replica->seen_epoch);
    replica->last = *position;
    replica->last_log_ms = log_time_ms;
    if (replica->matched_index + 1 == position->index)
        replica->matched_index = position->index;
}

void replica_ack(const struct replica *replica, enum replica_ack_outcome outcome,
                 struct replica_ack *ack)
{
    uint64_t matched = RULE_BROKEN(R4_MATCHED) ? replica->last.index : replica->matched_index;

    *ack = (struct replica_ack){
        .from = replica->self,
        .history = replica->seen_history,
        .epoch = replica->seen_epoch,
        .matched_index = matched < replica->synced_index ? matched : replica->synced_index,
        .commit_index = replica->commit_index,
        .install = replica->install,
        .installing = replica->installing || replica->damaged || replica_is_foreign(replica),
        .outcome = outcome,
    };
}
