/* Leases between peers (L1, L2): granting one to a primary, and being granted one. */
#include "base/check.h"
#include "replica/internal.h"

/* Granting is a promise not to lead for `grace` from now (L5). It is given while the beacons show
 * that the link works both ways, or while the timer of L2 still runs: after that this copy seeks
 * the lead, and a promise to a primary that cannot hear our answers would only delay it. */
void replica_receive_beacon(struct replica *replica, const struct replica_event *event,
                            struct replica_update *update)
{
    uint64_t now_ms = event->now_ms;

    if (!replica_admit(replica, event, &event->member, event->history, event->epoch, update))
        return;
    if (replica->damaged && !RULE_BROKEN(R13))
        return; /* R13: without a lease the primary removes this copy */
    if (event->echoed)
        replica->heard_ms = now_ms;
    /* R2: what is promised in this epoch must not be forgotten with it. */
    if (replica->durable_epoch < replica->seen_epoch && !RULE_BROKEN(R2_DURABLE))
        return;
    if (now_ms >= replica->heard_ms + replica->times.grace_ms)
        return;
    replica->granted_ms = now_ms;
    replica->promised_nothing = false;
    update->granted = true;
}

void replica_receive_lease(struct replica *replica, const struct replica_event *event)
{
    struct replica_follower *follower = replica_find_follower(replica, &event->member);
    uint64_t from_ms = RULE_BROKEN(L1_BEFORE) ? event->now_ms : event->sent_ms;

    if (!replica_leads(replica) || follower == NULL || event->epoch < replica->promoted_epoch ||
        !replica_note_process(follower, &event->member, event->now_ms))
        return;
    /* L1: counted from before the beacon was sent, by the clock that it will be compared with. */
    if (from_ms + replica->times.lease_ms > follower->lease_until_ms)
        follower->lease_until_ms = from_ms + replica->times.lease_ms;
}
