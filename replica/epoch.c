/* The fence (R2): epochs seen, and whose messages are heard in them. */
#include "base/check.h"
#include "replica/internal.h"

void replica_note_epoch(struct replica *replica, uint64_t history, uint64_t epoch,
                        struct replica_update *update)
{
    CHECK(epoch >= replica->seen_epoch);
    if (epoch > replica->seen_epoch) {
        replica->seen_epoch = epoch;
        replica->following = (struct replica_member){0};
        replica->matched_index = replica->told_index = 0; /* R4, R12: of this epoch only */
    }
    if (replica->seen_history == 0)
        replica->seen_history = history;
    if (epoch == replica->recorded_epoch && !update->persist_epoch)
        return;
    replica->recorded_epoch = epoch;
    update->persist_epoch = true;
    update->history = replica->seen_history;
    update->epoch = epoch;
}

bool replica_is_foreign(const struct replica *replica)
{
    return replica->configuration.history != 0 && replica->seen_history != 0 &&
           replica->seen_history != replica->configuration.history;
}

bool replica_is_sound(const struct replica *replica)
{
    return (!replica->damaged || RULE_BROKEN(R13)) && !replica->installing &&
           !replica_is_foreign(replica);
}

/* The sender says that this copy belongs to it in a later epoch than any known here. */
static void follow_newer(struct replica *replica, const struct replica_event *event,
                         const struct replica_member *from, uint64_t history, uint64_t epoch,
                         struct replica_update *update)
{
    replica_note_epoch(replica, history, epoch, update);
    replica->following = *from;
    replica->heard_ms = event->now_ms;
    replica->proposing = false;
    replica_step_down(replica, replica_is_member(&replica->configuration, &replica->self)
                                   ? REPLICA_BACKUP
                                   : REPLICA_LEARNER);
}

/* In the epoch seen there is one primary process; which one, the configuration says, or else the
 * first message of the epoch. */
static bool is_present_primary(struct replica *replica, const struct replica_member *from)
{
    if (replica->configuration.epoch == replica->seen_epoch)
        return replica->role != REPLICA_NONE &&
               replica_same_process(&replica->configuration.primary, from);
    if (replica->following.store == 0)
        replica->following = *from;
    return replica_same_process(&replica->following, from);
}

bool replica_admit(struct replica *replica, const struct replica_event *event,
                   const struct replica_member *from, uint64_t history, uint64_t epoch,
                   struct replica_update *update)
{
    if (replica_same_copy(from, &replica->self) || history == 0 || history < replica->seen_history)
        return false;
    if (epoch < replica->seen_epoch && !RULE_BROKEN(R2))
        return false;
    if (epoch > replica->seen_epoch)
        follow_newer(replica, event, from, history, epoch, update);
    if (replica->configuration.epoch < replica->seen_epoch)
        replica_ask_manager(replica, event->now_ms, update);
    if (replica_leads(replica) && !RULE_BROKEN(R2))
        return false;
    if (!RULE_BROKEN(R2) && !is_present_primary(replica, from))
        return false;
    /* What is said in this epoch may be answered: also the record of it is durable then. */
    if (replica->recorded_epoch < replica->seen_epoch)
        replica_note_epoch(replica, history, replica->seen_epoch, update);
    return true;
}
