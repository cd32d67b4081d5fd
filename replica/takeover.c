/* A backup that hears nothing from its primary seeks the lead (L2). */
#include "replica/internal.h"

void replica_drop_copy(struct replica_configuration *configuration,
                       const struct replica_member *copy)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < configuration->member_count; i++)
        if (!replica_same_copy(&configuration->members[i], copy))
            configuration->members[kept++] = configuration->members[i];
    configuration->member_count = kept;
    kept = 0;
    for (uint32_t i = 0; i < configuration->learner_count; i++)
        if (!replica_same_copy(&configuration->learners[i], copy))
            configuration->learners[kept++] = configuration->learners[i];
    configuration->learner_count = kept;
}

/* After a pause of this process the primary's beacons may wait to be read: they get a lease's time
 * to show up. That makes the wait longer, never shorter. */
static bool has_waited(const struct replica *replica, uint64_t now_ms)
{
    if (RULE_BROKEN(L2))
        return now_ms >= replica->heard_ms + replica->times.lease_ms / 2;
    return now_ms >= replica->heard_ms + replica->times.grace_ms &&
           now_ms >= replica->awake_since_ms + replica->times.lease_ms;
}

bool replica_wants_takeover(const struct replica *replica, uint64_t now_ms,
                            struct replica_configuration *next)
{
    const struct replica_configuration *present = &replica->configuration;
    bool removed = replica->role == REPLICA_NONE && RULE_BROKEN(R9) && replica->last.index > 0;

    if ((replica->role != REPLICA_BACKUP && !removed) || !replica_is_sound(replica) ||
        present->epoch != replica->seen_epoch || !has_waited(replica, now_ms))
        return false;
    *next = *present;
    replica_drop_copy(next, &present->primary);
    if (removed && next->member_count < REPLICA_MEMBERS_LIMIT)
        next->members[next->member_count++] = replica->self;
    next->primary = replica->self;
    return true;
}
