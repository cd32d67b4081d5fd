/* Asking the manager for a configuration (R11), and asking again while the answer is unknown. */
#include "replica/internal.h"

enum { PROPOSE_AGAIN_MS = 500, ASK_AGAIN_MS = 200 };

/* R3: a later process of the primary's store asks to be named. */
static bool wants_own_incarnation(const struct replica *replica, struct replica_configuration *next)
{
    const struct replica_member *primary = &replica->configuration.primary;

    if (replica->role != REPLICA_STARTING || replica_leads(replica) ||
        !replica_same_copy(primary, &replica->self) ||
        primary->incarnation == replica->self.incarnation)
        return false;
    *next = replica->configuration;
    next->primary = replica->self;
    return true;
}

static bool same_copies(const struct replica_member *left, uint32_t left_count,
                        const struct replica_member *right, uint32_t right_count)
{
    if (left_count != right_count)
        return false;
    for (uint32_t i = 0; i < left_count; i++)
        if (!replica_same_copy(&left[i], &right[i]))
            return false;
    return true;
}

static bool same_proposal(const struct replica_configuration *left,
                          const struct replica_configuration *right)
{
    return left->epoch == right->epoch && left->switched == right->switched &&
           replica_same_process(&left->primary, &right->primary) &&
           same_copies(left->members, left->member_count, right->members, right->member_count) &&
           same_copies(left->learners, left->learner_count, right->learners, right->learner_count);
}

static bool wanted(struct replica *replica, uint64_t now_ms, struct replica_configuration *next)
{
    if (replica->configuration.history == 0)
        return false;
    if (replica_leads(replica))
        return replica_wants_change(replica, now_ms, next);
    return wants_own_incarnation(replica, next) || replica_wants_takeover(replica, now_ms, next);
}

void replica_consider_proposal(struct replica *replica, uint64_t now_ms,
                               struct replica_update *update)
{
    struct replica_configuration next;

    if (replica->role == REPLICA_LEARNER && now_ms >= replica->heard_ms + replica->times.grace_ms)
        replica_ask_manager(replica, now_ms,
                            update); /* R8: who is it, does anybody know it still */
    if (!wanted(replica, now_ms, &next))
        return;
    next.epoch = replica->configuration.epoch + 1;
    if (!replica_leads(replica))
        next.switched = false;
    if (replica->proposing && now_ms < replica->propose_after_ms &&
        same_proposal(&next, &replica->proposal))
        return;
    replica->proposing = true;
    replica->proposal = next;
    /* Whatever the answer, only a configuration of a higher epoch ends the asking. */
    replica->propose_after_ms = now_ms + PROPOSE_AGAIN_MS;
    update->propose = true;
    update->proposal = next;
}

void replica_ask_manager(struct replica *replica, uint64_t now_ms, struct replica_update *update)
{
    if (replica->asked_ms != 0 && now_ms < replica->asked_ms + ASK_AGAIN_MS)
        return;
    replica->asked_ms = now_ms;
    update->ask_manager = true;
}
