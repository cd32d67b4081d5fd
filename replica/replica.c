/* The core's life cycle: starting from durable state, and handing each event to its verb. */
#include "replica/replica.h"

#include <string.h>

#include "base/check.h"
#include "replica/internal.h"

/* A gap between events that shows that the process was stopped rather than idle: drivers tick more
 * often. */
enum { PAUSE_MS = 300 };

void replica_init(struct replica *replica, uint32_t partition, const struct replica_member *self,
                  const struct replica_times *times, const struct replica_log *log,
                  const struct replica_recovered *recovered, uint64_t now_ms)
{
    CHECK(recovered->applied_index <= recovered->last.index);
    CHECK(recovered->base_index <= recovered->applied_index);
    CHECK(recovered->last.epoch <= recovered->seen_epoch);
    CHECK(!recovered->installing || recovered->last.index == 0);
    memset(replica, 0, sizeof *replica);
    replica->partition = partition;
    replica->self = *self;
    replica->times = *times;
    replica->log = *log;
    replica->role = REPLICA_NONE;
    replica->seen_history = recovered->history;
    replica->seen_epoch = replica->recorded_epoch = replica->durable_epoch = recovered->seen_epoch;
    replica->last = recovered->last;
    replica->last_log_ms = recovered->last_log_ms;
    replica->base_index = recovered->base_index;
    replica->synced_index = recovered->last.index;
    replica->commit_index = recovered->applied_index;
    replica->install = recovered->install;
    replica->installing = recovered->installing;
    replica->damaged = recovered->damaged;
    replica->had_earlier_life = recovered->had_earlier_life;
    replica->started_ms = replica->heard_ms = now_ms;
    replica->stepped_ms = replica->awake_since_ms = now_ms;
}

static void hear_synced(struct replica *replica, const struct replica_event *event)
{
    CHECK(event->index <= replica->last.index);
    if (event->index > replica->synced_index)
        replica->synced_index = event->index;
}

/* R2: from here on the epoch may be spoken of. */
static void hear_epoch_synced(struct replica *replica, const struct replica_event *event)
{
    CHECK(event->epoch <= replica->recorded_epoch);
    if (event->epoch > replica->durable_epoch)
        replica->durable_epoch = event->epoch;
}

static void hand_to_verb(struct replica *replica, const struct replica_event *event,
                         struct replica_update *update)
{
    switch (event->kind) {
    case REPLICA_EVENT_CONFIGURATION:
        replica_hear_configuration(replica, event, update);
        break;
    case REPLICA_EVENT_SYNCED:
        hear_synced(replica, event);
        break;
    case REPLICA_EVENT_EPOCH_SYNCED:
        hear_epoch_synced(replica, event);
        break;
    case REPLICA_EVENT_TICK:
        break;
    case REPLICA_EVENT_APPEND:
        replica_receive_append(replica, event, update);
        break;
    case REPLICA_EVENT_ACK:
        replica_receive_ack(replica, event, update);
        break;
    case REPLICA_EVENT_LOST:
        replica_lose(replica, event);
        break;
    case REPLICA_EVENT_BEACON:
        replica_receive_beacon(replica, event, update);
        break;
    case REPLICA_EVENT_LEASE:
        replica_receive_lease(replica, event);
        break;
    case REPLICA_EVENT_WISH:
        replica_hear_wish(replica, event, update);
        break;
    case REPLICA_EVENT_DAMAGED:
        replica_become_damaged(replica);
        break;
    case REPLICA_EVENT_INSTALL:
        replica_begin_install(replica, event, update);
        break;
    case REPLICA_EVENT_INSTALLED:
        replica_end_install(replica, event);
        break;
    case REPLICA_EVENT_FOLLOWER_INSTALLED:
        replica_follower_installed(replica, event);
        break;
    case REPLICA_EVENT_HOSTS_ENDED:
        replica->hosts_read = false;
        break;
    }
}

static bool has_to_send(const struct replica *replica, uint64_t now_ms)
{
    for (uint32_t i = 0; i < replica->follower_count; i++)
        if (replica_wants_append(replica, i, false, now_ms))
            return true;
    return false;
}

/* After a pause what was not heard says nothing yet about the others. */
static void notice_pause(struct replica *replica, uint64_t now_ms)
{
    if (now_ms > replica->stepped_ms + PAUSE_MS)
        replica->awake_since_ms = now_ms;
    if (now_ms > replica->stepped_ms)
        replica->stepped_ms = now_ms;
}

static void check_invariants(const struct replica *replica)
{
    CHECK(replica->commit_index <= replica->last.index);
    CHECK(replica->synced_index <= replica->last.index);
    CHECK(replica->durable_epoch <= replica->recorded_epoch);
    CHECK(replica->recorded_epoch <= replica->seen_epoch);
    CHECK(replica->last.epoch <= replica->seen_epoch);
    CHECK(!replica_leads(replica) || replica->configuration.epoch == replica->seen_epoch);
    CHECK(!replica_leads(replica) || replica_is_sound(replica) || RULE_BROKEN(R13));
}

void replica_step(struct replica *replica, const struct replica_event *event,
                  struct replica_update *update)
{
    enum replica_role before = replica->role;
    uint64_t committed_before = replica->commit_index;

    memset(update, 0, sizeof *update);
    notice_pause(replica, event->now_ms);
    hand_to_verb(replica, event, update);
    replica_try_to_lead(replica, event->now_ms, update);
    replica_review_reach(replica);
    replica_note_progress(replica, event->now_ms);
    replica_advance_commit(replica);
    replica_consider_learners(replica, event->now_ms, update);
    replica_consider_proposal(replica, event->now_ms, update);
    update->commit_index = replica->commit_index;
    update->role_changed = replica->role != before;
    update->must_send = has_to_send(replica, event->now_ms);
    CHECK(replica->commit_index >= committed_before || event->kind == REPLICA_EVENT_INSTALL);
    check_invariants(replica);
}

void replica_set_base(struct replica *replica, uint64_t index)
{
    CHECK(index <= replica->commit_index);
    if (index > replica->base_index)
        replica->base_index = index;
    replica_review_reach(replica);
}

bool replica_same_copy(const struct replica_member *left, const struct replica_member *right)
{
    return left->server == right->server && left->store == right->store;
}

bool replica_same_process(const struct replica_member *left, const struct replica_member *right)
{
    return replica_same_copy(left, right) && left->incarnation == right->incarnation;
}

bool replica_is_member(const struct replica_configuration *configuration,
                       const struct replica_member *copy)
{
    for (uint32_t i = 0; i < configuration->member_count; i++)
        if (replica_same_copy(&configuration->members[i], copy))
            return true;
    return false;
}

bool replica_is_learner(const struct replica_configuration *configuration,
                        const struct replica_member *copy)
{
    for (uint32_t i = 0; i < configuration->learner_count; i++)
        if (replica_same_copy(&configuration->learners[i], copy))
            return true;
    return false;
}

const char *replica_role_name(enum replica_role role)
{
    switch (role) {
    case REPLICA_NONE:
        return "none";
    case REPLICA_STARTING:
        return "starting";
    case REPLICA_PRIMARY:
        return "primary";
    case REPLICA_BACKUP:
        return "backup";
    case REPLICA_LEARNER:
        return "learner";
    }
    return "unknown";
}
