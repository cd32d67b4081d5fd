/* Becoming primary and stopping to be it (R3, R6, L5), and the log's time (S1). */

#include "base/check.h"
#include "replica/internal.h"

static uint64_t later(uint64_t left, uint64_t right)
{
    return left > right ? left : right;
}

/* L5: promises that this store gave to others, in this life or an earlier one, have ended by then.
 */
static uint64_t lead_after_ms(const struct replica *replica)
{
    uint64_t grace_ms = replica->times.grace_ms;
    uint64_t after_ms = 0;

    if (replica->configuration.epoch == 1 || replica->configuration.switched ||
        replica->promised_nothing || RULE_BROKEN(L5))
        return 0;
    if (replica->had_earlier_life)
        after_ms = replica->started_ms + grace_ms;
    if (replica->granted_ms != 0)
        after_ms = later(after_ms, replica->granted_ms + grace_ms);
    if (replica->member_since_ms != 0)
        after_ms = later(after_ms, replica->member_since_ms + grace_ms);
    return after_ms;
}

/* R3: the configuration names this store and this very process. */
static bool is_named(const struct replica *replica)
{
    const struct replica_member *primary = &replica->configuration.primary;

    return RULE_BROKEN(R3) ? replica_same_copy(primary, &replica->self)
                           : replica_same_process(primary, &replica->self);
}

void replica_try_to_lead(struct replica *replica, uint64_t now_ms, struct replica_update *update)
{
    if (replica->role != REPLICA_STARTING || replica_leads(replica) || !is_named(replica) ||
        now_ms < lead_after_ms(replica))
        return;
    if (replica->durable_epoch < replica->configuration.epoch && !RULE_BROKEN(R2_DURABLE))
        return;
    CHECK(replica_is_sound(replica));
    replica->promoted_epoch = replica->configuration.epoch;
    replica->promoted_ms = now_ms;
    replica->promoted_log_ms = replica->last_log_ms;
    /* R6: what the log holds is committed together with an entry of this epoch, or not at all. */
    replica->barrier_index = replica->last.index + 1;
    replica->follower_count = 0;
    replica_review_followers(replica, now_ms);
    update->append_noop = true;
}

void replica_step_down(struct replica *replica, enum replica_role role)
{
    replica->role = role;
    replica->barrier_index = 0;
    replica->follower_count = 0;
    replica->hosts_read = false;
    replica->yields_to = replica->wished = (struct replica_member){0};
}

uint64_t replica_log_time_ms(const struct replica *replica, uint64_t now_ms)
{
    uint64_t elapsed = now_ms > replica->promoted_ms ? now_ms - replica->promoted_ms : 0;
    uint64_t now_log_ms = replica->promoted_log_ms + elapsed;

    return now_log_ms > replica->last_log_ms ? now_log_ms : replica->last_log_ms;
}

void replica_next(const struct replica *replica, uint64_t now_ms, struct replica_position *position,
                  uint64_t *log_time_ms)
{
    CHECK(replica_leads(replica));
    CHECK(replica->configuration.epoch == replica->seen_epoch);
    CHECK(replica->role == REPLICA_PRIMARY || replica->last.index + 1 >= replica->barrier_index);
    position->epoch = replica->configuration.epoch;
    position->index = replica->last.index + 1;
    *log_time_ms = replica_log_time_ms(replica, now_ms);
}

void replica_append(struct replica *replica, uint64_t now_ms, struct replica_position *position,
                    uint64_t *log_time_ms)
{
    replica_next(replica, now_ms, position, log_time_ms);
    replica->last = *position;
    replica->last_log_ms = *log_time_ms;
}

bool replica_accepts(const struct replica *replica)
{
    return replica->role == REPLICA_PRIMARY &&
           (replica->yields_to.store == 0 || RULE_BROKEN(YIELD));
}

/* L1: as long as all others that count have promised not to lead, what is committed here is the
 * newest there is. L4: without others there is nobody to promise. */
uint64_t replica_peers_until_ms(const struct replica *replica)
{
    uint64_t until_ms = UINT64_MAX;

    for (uint32_t i = 0; i < replica->follower_count; i++)
        if (replica->followers[i].counted && replica->followers[i].lease_until_ms < until_ms)
            until_ms = replica->followers[i].lease_until_ms;
    return until_ms;
}

bool replica_serves(const struct replica *replica, uint64_t now_ms)
{
    if (replica->role != REPLICA_PRIMARY && !(RULE_BROKEN(R6) && replica_leads(replica)))
        return false;
    if (replica->yields_to.store != 0 && !RULE_BROKEN(YIELD))
        return false; /* giving it up: answers no more, whatever becomes of the proposal */
    return replica_peers_until_ms(replica) > now_ms || RULE_BROKEN(L1);
}

void replica_become_damaged(struct replica *replica)
{
    replica->damaged = true;
    if (replica_leads(replica) || replica->role == REPLICA_STARTING)
        replica_step_down(replica, REPLICA_BACKUP); /* R13: a backup takes over */
}
