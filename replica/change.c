/* What a primary wants changed: copies that went silent (R7), that caught up (R8), that the manager
 * wishes added, removed or made primary. */
#include "base/check.h"
#include "replica/internal.h"

static uint64_t epoch_at(const struct replica *replica, uint64_t index)
{
    return index == 0 ? 0 : replica->log.epoch_at(replica->log.context, index);
}

/* --- learners --------------------------------------------------------------------------------- */

static bool has_caught_up(const struct replica *replica, const struct replica_follower *follower,
                          uint64_t now_ms)
{
    return follower->mode == REPLICA_REPLICATE && follower->matched_index > 0 &&
           follower->matched_index >= replica->commit_index && follower->lease_until_ms > now_ms;
}

/* R8: it counts from now on, and must acknowledge an entry of this epoch that is the newest now, so
 * that it holds everything that was committed without it. */
static void count_learner(struct replica *replica, struct replica_follower *follower,
                          struct replica_update *update)
{
    follower->counted = !RULE_BROKEN(R8_COUNT);
    follower->ready_index = replica->last.index;
    if (epoch_at(replica, replica->last.index) == replica->configuration.epoch)
        return;
    follower->ready_index = replica->last.index + 1;
    update->append_noop = true;
}

/* One that answers no beacons while nothing is on its way to it may have lost what it had (R13):
 * only an Append finds out. */
static void ask_silent_learner(const struct replica *replica, struct replica_follower *follower,
                               uint64_t now_ms)
{
    if (follower->mode != REPLICA_REPLICATE || follower->next_index <= replica->last.index ||
        now_ms < follower->lease_until_ms + replica->times.grace_ms ||
        now_ms < follower->since_ms + replica->times.grace_ms)
        return;
    follower->mode = REPLICA_PROBE;
    follower->next_index = replica->last.index + 1;
    follower->probe_after_ms = now_ms + replica->times.lease_ms / 2;
}

void replica_consider_learners(struct replica *replica, uint64_t now_ms,
                               struct replica_update *update)
{
    if (replica->role != REPLICA_PRIMARY || replica->yields_to.store != 0)
        return;
    for (uint32_t i = 0; i < replica->follower_count; i++) {
        struct replica_follower *follower = &replica->followers[i];

        if (follower->member || follower->unwanted)
            continue;
        /* One that was proposed and forgotten since (R10) gets ready again: it counts all along. */
        if (follower->ready_index == 0) {
            if (has_caught_up(replica, follower, now_ms) ||
                (RULE_BROKEN(R8_WAIT) && follower->lease_until_ms > now_ms))
                count_learner(replica, follower, update);
            else
                ask_silent_learner(replica, follower, now_ms);
        } else if ((!follower->proposed || RULE_BROKEN(R11)) &&
                   (follower->lease_until_ms <= now_ms || follower->mode != REPLICA_REPLICATE)) {
            /* It fell behind before it was proposed: nothing was promised to anybody yet. */
            follower->counted = false;
            follower->ready_index = 0;
        }
    }
}

static bool is_ready(const struct replica *replica, const struct replica_follower *follower)
{
    if (follower->member || follower->unwanted || follower->ready_index == 0)
        return false;
    return RULE_BROKEN(R8_WAIT) || (follower->matched_index >= follower->ready_index &&
                                    follower->matched_index >= replica->commit_index &&
                                    follower->mode == REPLICA_REPLICATE);
}

/* --- what is wanted ----------------------------------------------------------------------------
 */

/* R7. Its lease ran out (L1), it had the time to give one, and we had the time to hear of it. */
static bool is_silent(const struct replica *replica, const struct replica_follower *follower,
                      uint64_t now_ms)
{
    return now_ms >= follower->lease_until_ms &&
           now_ms >= follower->since_ms + replica->times.grace_ms &&
           now_ms >= replica->awake_since_ms + replica->times.lease_ms / 2;
}

/* It gives leases but acknowledges nothing any more, say because its disk hangs: it would hold all
 * writes up for ever, and the log with them (W6). Slow is not stuck: any progress counts. */
static bool is_stuck(const struct replica *replica, const struct replica_follower *follower,
                     uint64_t now_ms)
{
    enum { STUCK_LEASES = 10 };

    return follower->matched_index < replica->synced_index &&
           now_ms >= follower->moved_ms + STUCK_LEASES * replica->times.lease_ms &&
           now_ms >= replica->awake_since_ms + STUCK_LEASES * replica->times.lease_ms;
}

static bool must_go(const struct replica *replica, const struct replica_follower *follower,
                    uint64_t now_ms)
{
    if (follower->unwanted)
        return true;
    /* A member that lost its log (R13) is removed, and installed as a learner. So is one that was
     * proposed as a member: it counts as one until that is decided (R11). */
    return (follower->member || follower->proposed) &&
           (is_silent(replica, follower, now_ms) || is_stuck(replica, follower, now_ms) ||
            follower->mode == REPLICA_INSTALL);
}

static bool change_copies(struct replica *replica, uint64_t now_ms,
                          struct replica_configuration *next)
{
    bool changed = false;

    for (uint32_t i = 0; i < replica->follower_count; i++) {
        struct replica_follower *follower = &replica->followers[i];
        struct replica_member copy = follower->id;

        copy.incarnation = 0;
        if (must_go(replica, follower, now_ms)) {
            replica_drop_copy(next, &copy);
            changed = true;
        } else if (is_ready(replica, follower) && next->member_count < REPLICA_MEMBERS_LIMIT) {
            replica_drop_copy(next, &copy);
            next->members[next->member_count++] = copy;
            follower->proposed = true; /* R11: counts until a later epoch is heard */
            changed = true;
        }
    }
    if (replica->wished.store != 0 && now_ms < replica->wished_until_ms &&
        next->learner_count < REPLICA_MEMBERS_LIMIT) {
        next->learners[next->learner_count++] = replica->wished;
        changed = true;
    }
    return changed;
}

/* The switch that was begun: proposed when all is committed, or when that takes too long. If it is
 * never accepted, the way back leads through the manager, too: a proposal to go on as before, of
 * which and the switch only one can be accepted (R11). */
static bool switch_primary(struct replica *replica, uint64_t now_ms,
                           struct replica_configuration *next)
{
    if (replica->commit_index < replica->last.index && now_ms < replica->yield_after_ms)
        return false;
    if (now_ms >= replica->yield_after_ms + replica->times.grace_ms)
        return true;
    /* C6: the next primary waits for no lease, so nobody may read here any more. */
    if (replica->hosts_read && !RULE_BROKEN(C6_SWITCH))
        return false;
    next->primary = replica->yields_to;
    next->switched = true;
    return true;
}

bool replica_wants_change(struct replica *replica, uint64_t now_ms,
                          struct replica_configuration *next)
{
    if (!replica_leads(replica) || !replica_may_send(replica))
        return false;
    *next = replica->configuration;
    next->switched = false;
    if (replica->yields_to.store != 0)
        return switch_primary(replica, now_ms, next);
    return change_copies(replica, now_ms, next);
}

/* --- wishes ------------------------------------------------------------------------------------
 */

static void begin_switch(struct replica *replica, const struct replica_follower *follower,
                         uint64_t now_ms, struct replica_update *update)
{
    if (follower == NULL || !follower->member || replica->role != REPLICA_PRIMARY ||
        follower->id.incarnation == 0 || follower->lease_until_ms <= now_ms ||
        follower->mode != REPLICA_REPLICATE)
        return; /* the manager will ask again */
    /* An earlier proposal may be undecided: of that and the switch only one is accepted (R11). */
    replica->yields_to = follower->id;
    replica->yield_after_ms = now_ms + replica->times.lease_ms / 2;
    replica->hosts_read = true;
    update->end_hosts = true;
}

static void wish_learner(struct replica *replica, const struct replica_event *event)
{
    enum { WISH_MS = 2000 };

    replica->wished =
        (struct replica_member){.server = event->member.server, .store = event->member.store};
    replica->wished_until_ms = event->now_ms + WISH_MS;
}

void replica_hear_wish(struct replica *replica, const struct replica_event *event,
                       struct replica_update *update)
{
    struct replica_follower *follower = replica_find_follower(replica, &event->member);

    if (!replica_leads(replica) || event->wish_epoch != replica->configuration.epoch ||
        replica->yields_to.store != 0 || replica_same_copy(&event->member, &replica->self))
        return;
    switch (event->wish) {
    case REPLICA_WISH_LEARNER:
        if (follower == NULL && replica->role == REPLICA_PRIMARY)
            wish_learner(replica, event);
        break;
    case REPLICA_WISH_REMOVE:
        if (follower != NULL && !follower->proposed)
            follower->unwanted = true;
        break;
    case REPLICA_WISH_SWITCH:
        begin_switch(replica, follower, event->now_ms, update);
        break;
    }
}
