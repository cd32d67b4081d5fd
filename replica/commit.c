/* What is durable here, and with it what is committed (R1). */
#include "base/check.h"
#include "replica/internal.h"

void replica_hear_synced(struct replica *replica, const struct replica_event *event)
{
    CHECK(event->index <= replica->last.index);
    if (event->index > replica->synced_index)
        replica->synced_index = event->index;
    replica_advance_commit(replica);
}

void replica_advance_commit(struct replica *replica)
{
    if (replica->barrier_index == 0)
        return; /* only the primary decides what is committed */
    /* R1: a member whose acknowledgement is missing holds nothing as far as we know. */
    if (replica->configuration.member_count != 1)
        return;
    /* R6: nothing of earlier epochs is committed by counting until the own no-op is. */
    if (replica->synced_index < replica->barrier_index)
        return;
    if (replica->synced_index > replica->commit_index)
        replica->commit_index = replica->synced_index;
    if (replica->role == REPLICA_STARTING)
        replica->role = REPLICA_PRIMARY;
}
