/* A configuration arrives from the manager: fence by its epoch, then find our place in it. */
#include "base/check.h"
#include "replica/internal.h"

/* Epochs grow through all histories of a partition, so they alone say what is newer (R2). */
static bool is_news(const struct replica *replica, const struct replica_configuration *heard)
{
    return heard->epoch > replica->configuration.epoch && heard->epoch >= replica->seen_epoch;
}

/* R9: after an unsafe recovery the one copy that was chosen begins the new history as it is. All
 * others of the old history can only be installed anew. */
static void adopt_history(struct replica *replica, const struct replica_configuration *heard)
{
    bool chosen = heard->member_count == 1 && replica_same_copy(&heard->primary, &replica->self);

    if (replica->seen_history == 0 && replica->last.index == 0)
        replica->seen_history = heard->history; /* a copy that holds nothing joins any */
    else if (heard->history > replica->seen_history && chosen && !replica->installing)
        replica->seen_history = heard->history;
}

/* When the timers of L2 and L5 start again. */
static void note_membership(struct replica *replica, bool was_member,
                            const struct replica_member *old_primary, uint64_t now_ms)
{
    const struct replica_configuration *heard = &replica->configuration;

    if (!replica_is_member(heard, &replica->self))
        replica->member_since_ms = 0;
    else if (!was_member && heard->epoch > 1)
        replica->member_since_ms = now_ms;
    if (!was_member || !replica_same_process(old_primary, &heard->primary))
        replica->heard_ms = now_ms;
}

/* L5: if the last entry of the recovered log is of the very epoch that this store led, that life
 * had waited out its own promises before it wrote the entry, and gave none to others afterwards: a
 * grant to a later primary would have made a later epoch durable first (R2). */
static void note_earlier_lead(struct replica *replica)
{
    const struct replica_configuration *heard = &replica->configuration;

    if (!replica_same_copy(&heard->primary, &replica->self))
        replica->promised_nothing = false;
    else if (heard->primary.incarnation < replica->self.incarnation && replica->granted_ms == 0 &&
             replica->last.epoch == heard->epoch && replica->durable_epoch == heard->epoch)
        replica->promised_nothing = true;
}

static void take_role(struct replica *replica, uint64_t now_ms)
{
    const struct replica_configuration *heard = &replica->configuration;

    if (replica_is_learner(heard, &replica->self)) {
        replica_step_down(replica, REPLICA_LEARNER);
    } else if (!replica_is_member(heard, &replica->self)) {
        replica_step_down(replica, REPLICA_NONE);
    } else if (!replica_same_copy(&heard->primary, &replica->self) || !replica_is_sound(replica)) {
        replica_step_down(replica, REPLICA_BACKUP); /* R13: unsound, it seeks no lead */
    } else if (heard->primary.incarnation > replica->self.incarnation) {
        replica_step_down(replica, REPLICA_NONE); /* a later process of this store was started */
    } else if (heard->primary.incarnation == replica->self.incarnation && replica_leads(replica)) {
        replica_review_followers(replica, now_ms); /* R6: the same process keeps what matches */
    } else {
        replica_step_down(replica, REPLICA_STARTING); /* R3, or soon to lead */
    }
}

void replica_hear_configuration(struct replica *replica, const struct replica_event *event,
                                struct replica_update *update)
{
    const struct replica_configuration *heard = event->configuration;
    const struct replica_member old_primary = replica->configuration.primary;
    bool was_member;

    CHECK(heard != NULL && heard->history != 0 && heard->epoch != 0);
    CHECK(heard->member_count >= 1 && heard->member_count <= REPLICA_MEMBERS_LIMIT);
    CHECK(heard->learner_count <= REPLICA_MEMBERS_LIMIT);
    if (!is_news(replica, heard))
        return;
    was_member = replica_is_member(&replica->configuration, &replica->self);
    replica->configuration = *heard;
    /* R11: a configuration above the proposals' epoch decides them. */
    replica->proposing = false;
    replica->yields_to = replica->wished = (struct replica_member){0};
    replica->hosts_read = false;
    note_membership(replica, was_member, &old_primary, event->now_ms);
    if (replica_is_member(heard, &replica->self) || replica_is_learner(heard, &replica->self)) {
        adopt_history(replica, heard);
        replica_note_epoch(replica, replica->seen_history, heard->epoch, update);
    } else if (heard->epoch > replica->seen_epoch) {
        replica->seen_epoch = heard->epoch; /* fenced as long as this process lives */
        replica->following = (struct replica_member){0};
        replica->matched_index = replica->told_index = 0;
    }
    note_earlier_lead(replica);
    take_role(replica, event->now_ms);
}
