/* The primary's table of other copies, and what each is to be sent. */

#include "base/check.h"
#include "replica/internal.h"

enum { PROBE_AGAIN_MS = 500 };

struct replica_follower *replica_find_follower(struct replica *replica,
                                               const struct replica_member *member)
{
    for (uint32_t i = 0; i < replica->follower_count; i++)
        if (replica_same_copy(&replica->followers[i].id, member))
            return &replica->followers[i];
    return NULL;
}

static struct replica_follower new_follower(const struct replica *replica,
                                            const struct replica_member *copy, bool member,
                                            uint64_t now_ms)
{
    struct replica_follower follower = {
        .id = *copy, .member = member, .since_ms = now_ms, .moved_ms = now_ms};

    follower.id.incarnation = 0;
    follower.next_index = replica->last.index + 1;
    /* A member holds all that is committed and most likely the rest: the first entry will tell. */
    follower.mode = member ? REPLICA_REPLICATE : REPLICA_PROBE;
    return follower;
}

static void review(struct replica *replica, const struct replica *before,
                   const struct replica_member *copy, bool member, uint64_t now_ms)
{
    struct replica_follower *follower = &replica->followers[replica->follower_count];
    bool known = false;

    if (replica_same_copy(copy, &replica->self))
        return;
    CHECK(replica->follower_count < REPLICA_FOLLOWERS_LIMIT);
    for (uint32_t i = 0; i < before->follower_count && !known; i++)
        if (replica_same_copy(&before->followers[i].id, copy)) {
            *follower = before->followers[i];
            known = true;
        }
    if (!known)
        *follower = new_follower(replica, copy, member, now_ms);
    follower->member = member;
    follower->counted = member;
    follower->proposed = follower->unwanted = false;
    follower->ready_index = 0;
    replica->follower_count++;
}

void replica_review_followers(struct replica *replica, uint64_t now_ms)
{
    const struct replica before = *replica;
    const struct replica_configuration *configuration = &replica->configuration;

    replica->follower_count = 0;
    for (uint32_t i = 0; i < configuration->member_count; i++)
        review(replica, &before, &configuration->members[i], true, now_ms);
    for (uint32_t i = 0; i < configuration->learner_count; i++)
        review(replica, &before, &configuration->learners[i], false, now_ms);
}

/* Nothing is known of what it holds. */
static void forget(struct replica_follower *follower, uint64_t now_ms)
{
    follower->matched_index = 0;
    follower->told_index = 0;
    follower->lease_until_ms = 0;
    follower->ready_index = 0;
    /* R8: a learner that was not proposed yet need not hold the others up while it catches up. */
    follower->counted = follower->member || follower->proposed;
    follower->mode = REPLICA_PROBE;
    follower->probe_after_ms = now_ms;
}

void replica_needs_install(struct replica_follower *follower)
{
    follower->mode = REPLICA_INSTALL;
    follower->matched_index = 0;
}

void replica_review_reach(struct replica *replica)
{
    for (uint32_t i = 0; i < replica->follower_count; i++) {
        struct replica_follower *follower = &replica->followers[i];

        if (follower->mode != REPLICA_INSTALL && follower->next_index <= replica->base_index)
            replica_needs_install(follower);
    }
}

void replica_note_progress(struct replica *replica, uint64_t now_ms)
{
    for (uint32_t i = 0; i < replica->follower_count; i++)
        if (replica->followers[i].matched_index >= replica->synced_index)
            replica->followers[i].moved_ms = now_ms;
}

bool replica_note_process(struct replica_follower *follower, const struct replica_member *from,
                          uint64_t now_ms)
{
    if (from->incarnation < follower->id.incarnation)
        return false;
    if (from->incarnation > follower->id.incarnation) {
        if (follower->id.incarnation != 0 && !RULE_BROKEN(R10))
            forget(follower, now_ms);
        follower->id.incarnation = from->incarnation;
    }
    return true;
}

bool replica_may_send(const struct replica *replica)
{
    return replica_leads(replica) &&
           (replica->durable_epoch >= replica->configuration.epoch || RULE_BROKEN(R2_DURABLE));
}

bool replica_wants_append(const struct replica *replica, uint32_t i, bool idle, uint64_t now_ms)
{
    const struct replica_follower *follower = &replica->followers[i];

    CHECK(i < replica->follower_count);
    if (!replica_may_send(replica))
        return false;
    switch (follower->mode) {
    case REPLICA_PROBE:
        return now_ms >= follower->probe_after_ms;
    case REPLICA_REPLICATE:
        return follower->next_index <= replica->last.index ||
               (idle && follower->told_index < replica->commit_index);
    case REPLICA_INSTALL:
        break;
    }
    return false;
}

void replica_sent(struct replica *replica, uint32_t i, uint64_t last_index, uint64_t now_ms)
{
    struct replica_follower *follower = &replica->followers[i];

    CHECK(i < replica->follower_count);
    CHECK(last_index + 1 >= follower->next_index && last_index <= replica->last.index);
    CHECK(follower->mode != REPLICA_INSTALL);
    if (follower->mode == REPLICA_PROBE) {
        CHECK(last_index + 1 == follower->next_index);
        follower->probe_after_ms = now_ms + PROBE_AGAIN_MS;
    }
    follower->next_index = last_index + 1;
    follower->told_index = replica->commit_index;
}

/* Asks anew behind what is known to match. */
void replica_lose(struct replica *replica, const struct replica_event *event)
{
    enum { AFTER_LOSS_MS = 20 };
    struct replica_follower *follower = replica_find_follower(replica, &event->member);

    if (!replica_leads(replica) || follower == NULL || follower->mode == REPLICA_INSTALL)
        return;
    if (follower->matched_index != 0)
        follower->next_index = follower->matched_index + 1;
    follower->told_index = 0;
    follower->mode = REPLICA_PROBE;
    follower->probe_after_ms = event->now_ms + AFTER_LOSS_MS;
}
