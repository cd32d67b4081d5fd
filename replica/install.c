/* A snapshot replaces this copy (R8): only a learner's, never a member's. */
#include "base/check.h"
#include "replica/internal.h"

static bool may_install(const struct replica *replica)
{
    return replica->configuration.epoch == replica->seen_epoch &&
           replica_is_learner(&replica->configuration, &replica->self) &&
           !replica_is_member(&replica->configuration, &replica->self) &&
           replica->durable_epoch >= replica->seen_epoch;
}

/* A piece of an install that was given up may come late, when others count on what this copy has
 * acknowledged (R1, R8). A copy whose log holds the entry that the snapshot ends with holds all of
 * it (R4): no primary needs to install it. */
static bool holds(const struct replica *replica, const struct replica_position *position)
{
    if (position->index == 0 || position->index > replica->last.index || !replica_is_sound(replica))
        return false;
    return position->index <= replica->commit_index ||
           replica->log.epoch_at(replica->log.context, position->index) == position->epoch;
}

/* From here on the copy holds nothing, until the end. */
static void become_empty(struct replica *replica, uint64_t history, uint64_t install)
{
    replica->install = install;
    replica->installing = true;
    replica->damaged = false; /* R13: what was damaged is gone */
    replica->seen_history = history;
    replica->last = (struct replica_position){0};
    replica->last_log_ms = 0;
    replica->synced_index = replica->commit_index = replica->base_index = 0;
    replica->matched_index = replica->told_index = 0;
}

void replica_begin_install(struct replica *replica, const struct replica_event *event,
                           struct replica_update *update)
{
    if (!replica_admit(replica, event, &event->member, event->history, event->epoch, update) ||
        event->install == 0)
        return;
    if (!may_install(replica)) {
        replica_ask_manager(replica, event->now_ms, update);
        return;
    }
    update->held = holds(replica, &event->position);
    if (update->held)
        return;
    update->granted = true;
    if (!replica->installing || replica->install != event->install)
        become_empty(replica, event->history, event->install);
}

void replica_end_install(struct replica *replica, const struct replica_event *event)
{
    if (!replica->installing || replica->install != event->install)
        return;
    CHECK(replica->last.index == 0 && event->position.epoch <= replica->seen_epoch);
    replica->installing = false;
    replica->last = event->position;
    replica->last_log_ms = event->log_time_ms;
    replica->synced_index = replica->commit_index = replica->base_index = event->position.index;
    replica->matched_index = replica->told_index = 0;
}
