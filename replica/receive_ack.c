/* A follower's answer to an Append: what it has matched and synced in this epoch (R1, R4). */
#include "base/check.h"
#include "replica/internal.h"

enum { REFUSED_AGAIN_MS = 100, BUSY_AGAIN_MS = 10 };

static void probe_from(struct replica_follower *follower, uint64_t next_index, uint64_t after_ms)
{
    follower->mode = REPLICA_PROBE;
    follower->next_index = next_index;
    follower->probe_after_ms = after_ms;
}

/* Asks anew behind what is known to match. */
static void ask_again(const struct replica *replica, struct replica_follower *follower,
                      uint64_t after_ms)
{
    probe_from(follower,
               follower->matched_index != 0 ? follower->matched_index + 1 : replica->last.index + 1,
               after_ms);
}

static void take_match(struct replica *replica, struct replica_follower *follower,
                       const struct replica_ack *ack, uint64_t now_ms)
{
    /* It took the entries and heard of a newer epoch before it answered: there they do not match
     * yet (R4), and nothing else may be on its way. */
    if (ack->matched_index == 0 && follower->next_index > 1) {
        ask_again(replica, follower, now_ms);
        return;
    }
    /* The same primary process made every entry above the match, so it cannot lie beyond our end;
     * if it does, that is not an answer to us. */
    if (ack->matched_index > replica->last.index)
        return;
    if (ack->matched_index > follower->matched_index) {
        follower->matched_index = ack->matched_index;
        follower->moved_ms = now_ms;
    }
    if (follower->mode == REPLICA_PROBE) {
        follower->mode = REPLICA_REPLICATE;
        follower->next_index = follower->matched_index + 1;
    } else if (follower->next_index <= follower->matched_index) {
        follower->next_index = follower->matched_index + 1;
    }
}

/* A member holds all that is committed (R1), so it matches at our commit index. A learner matches
 * at its own: what it knows to be committed lies in every primary's log. So one answer is enough to
 * find a place to go on from. While a probe is on its way other answers change only where it will
 * go on. */
static void search_place(struct replica *replica, struct replica_follower *follower,
                         const struct replica_ack *ack, uint64_t now_ms)
{
    bool same_history =
        ack->history == replica->seen_history || (ack->history == 0 && ack->commit_index == 0);
    uint64_t place = follower->member ? replica->commit_index : ack->commit_index;

    if (ack->installing || !same_history || place > replica->last.index) {
        replica_needs_install(follower);
        return;
    }
    if (follower->mode == REPLICA_PROBE && follower->next_index == place + 1)
        return; /* asked there already; asked again in time */
    probe_from(follower, place + 1, now_ms);
}

static void judge(struct replica *replica, struct replica_follower *follower,
                  const struct replica_ack *ack, uint64_t now_ms)
{
    switch (ack->outcome) {
    case REPLICA_ACK_OK:
        take_match(replica, follower, ack, now_ms);
        break;
    case REPLICA_ACK_MISMATCH:
        search_place(replica, follower, ack, now_ms);
        break;
    case REPLICA_ACK_REFUSED:
        ask_again(replica, follower, now_ms + REFUSED_AGAIN_MS);
        break;
    case REPLICA_ACK_BUSY:
        take_match(replica, follower, ack, now_ms);
        probe_from(follower,
                   follower->matched_index != 0 ? follower->matched_index + 1
                                                : follower->next_index,
                   now_ms + BUSY_AGAIN_MS);
        break;
    }
}

void replica_receive_ack(struct replica *replica, const struct replica_event *event,
                         struct replica_update *update)
{
    const struct replica_ack *ack = event->ack;
    struct replica_follower *follower = replica_find_follower(replica, &ack->from);

    if (!replica_leads(replica) || follower == NULL)
        return;
    if (ack->epoch > replica->seen_epoch) {
        /* What it has may count once we know its epoch, if we lead there, too. */
        if (follower->mode != REPLICA_INSTALL)
            ask_again(replica, follower, event->now_ms + REFUSED_AGAIN_MS);
        replica_ask_manager(replica, event->now_ms, update);
        return;
    }
    /* Of a time before this process led: it was about another primary's log. */
    if (ack->epoch < replica->promoted_epoch && !RULE_BROKEN(R4_MATCHED))
        return;
    if (!replica_note_process(follower, &ack->from, event->now_ms))
        return;
    if (follower->mode == REPLICA_INSTALL)
        return; /* on its way before the snapshot: only its end, or another process, counts */
    if (ack->install != follower->install && !RULE_BROKEN(R10)) {
        /* R10: it was installed anew, so what it acknowledged before is gone. */
        follower->matched_index = 0;
        follower->install = ack->install;
    }
    judge(replica, follower, ack, event->now_ms);
}

void replica_follower_installed(struct replica *replica, const struct replica_event *event)
{
    struct replica_follower *follower = replica_find_follower(replica, &event->member);

    if (!replica_leads(replica) || follower == NULL || follower->mode != REPLICA_INSTALL ||
        !replica_note_process(follower, &event->member, event->now_ms))
        return;
    if (event->position.index < replica->base_index)
        return; /* the log was cut meanwhile: another snapshot */
    follower->install = event->install;
    follower->matched_index = 0;
    probe_from(follower, event->position.index + 1, event->now_ms);
}
