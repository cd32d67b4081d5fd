/* What is committed: decided by the primary (R1), believed by a follower (R12). */
#include "base/check.h"
#include "replica/internal.h"

static uint64_t lower(uint64_t left, uint64_t right)
{
    return left < right ? left : right;
}

/* R1: durable on every copy that counts, the primary included. R7: a silent one counts until the
 * manager has accepted its removal. */
static uint64_t held_by_all(const struct replica *replica)
{
    uint64_t index = replica->synced_index;

    for (uint32_t i = 0; i < replica->follower_count; i++) {
        const struct replica_follower *follower = &replica->followers[i];
        bool silent = follower->lease_until_ms <= replica->stepped_ms;

        if (!follower->counted || (RULE_BROKEN(R1) && i + 1 == replica->follower_count) ||
            (RULE_BROKEN(R7) && silent))
            continue;
        index = lower(index, follower->matched_index);
    }
    return index;
}

static void decide(struct replica *replica)
{
    uint64_t index = held_by_all(replica);

    /* R6: nothing of earlier epochs is committed by counting until the own no-op is. */
    if (index < replica->barrier_index)
        return;
    if (index > replica->commit_index)
        replica->commit_index = index;
    if (replica->role == REPLICA_STARTING)
        replica->role = REPLICA_PRIMARY;
}

/* R12: told in this epoch, matched in this epoch, synced here. */
static void believe(struct replica *replica)
{
    uint64_t index = lower(replica->told_index, replica->synced_index);

    if (!RULE_BROKEN(R12))
        index = lower(index, replica->matched_index);
    if (RULE_BROKEN(R5))
        index = replica->synced_index;
    if (index > replica->commit_index)
        replica->commit_index = index;
}

void replica_advance_commit(struct replica *replica)
{
    if (replica_leads(replica))
        decide(replica);
    else
        believe(replica);
}
