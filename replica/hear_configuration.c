/* A configuration arrives from the manager: fence by its epoch, then find our place in it. */
#include "base/check.h"
#include "replica/internal.h"

/* R2: an older configuration than the newest seen is refused, and so is another history (R9). */
static bool is_news(const struct replica *replica, const struct replica_configuration *heard)
{
    if (heard->history < replica->seen_history)
        return false;
    if (heard->history == replica->seen_history && heard->epoch < replica->seen_epoch)
        return false;
    return heard->history != replica->configuration.history ||
           heard->epoch != replica->configuration.epoch;
}

/* Copies of another history can only be installed anew (R9). A store that holds nothing joins any.
 */
static bool has_another_history(const struct replica *replica,
                                const struct replica_configuration *heard)
{
    return replica->seen_history != 0 && replica->seen_history != heard->history;
}

static void note_epoch(struct replica *replica, const struct replica_configuration *heard,
                       struct replica_update *update)
{
    if (heard->epoch == replica->seen_epoch && heard->history == replica->seen_history)
        return;
    replica->seen_history = heard->history;
    replica->seen_epoch = heard->epoch;
    update->persist_epoch = true;
    update->history = heard->history;
    update->epoch = heard->epoch;
}

void replica_hear_configuration(struct replica *replica, const struct replica_event *event,
                                struct replica_update *update)
{
    const struct replica_configuration *heard = event->configuration;

    CHECK(heard != NULL && heard->history != 0 && heard->epoch != 0);
    CHECK(heard->member_count >= 1 && heard->member_count <= REPLICA_MEMBERS_LIMIT);
    if (!is_news(replica, heard))
        return;
    replica->configuration = *heard;
    /* R11: a configuration above the proposal's epoch decides it. */
    if (heard->epoch > replica->proposed_epoch)
        replica->proposed_epoch = 0;
    if (has_another_history(replica, heard) || !replica_is_member(replica, heard)) {
        replica_step_down(replica, REPLICA_NONE);
        return;
    }
    note_epoch(replica, heard, update);
    if (!replica_names_store(&heard->primary, &replica->self)) {
        replica_step_down(replica, REPLICA_BACKUP);
        return;
    }
    if (heard->primary.incarnation == replica->self.incarnation) {
        replica_promote(replica, event->now_ms, update);
        return;
    }
    /* R3: it names an earlier process of this store. */
    replica_step_down(replica, REPLICA_STARTING);
    replica->proposed_epoch = heard->epoch;
    replica->propose_after_ms = event->now_ms;
}
