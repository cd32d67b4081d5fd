/* The core's life cycle: starting from durable state, and handing each event to its verb. */
#include "replica/replica.h"

#include <string.h>

#include "base/check.h"
#include "replica/internal.h"

void replica_init(struct replica *replica, uint32_t partition, const struct replica_member *self,
                  const struct replica_recovered *recovered)
{
    CHECK(recovered->applied_index <= recovered->last.index);
    CHECK(recovered->last.epoch <= recovered->seen_epoch);
    memset(replica, 0, sizeof *replica);
    replica->partition = partition;
    replica->self = *self;
    replica->role = REPLICA_NONE;
    replica->seen_history = recovered->history;
    replica->seen_epoch = recovered->seen_epoch;
    replica->last = recovered->last;
    replica->synced_index = recovered->last.index;
    replica->commit_index = recovered->applied_index;
    replica->last_log_ms = recovered->last_log_ms;
}

void replica_step(struct replica *replica, const struct replica_event *event,
                  struct replica_update *update)
{
    enum replica_role before = replica->role;
    uint64_t committed_before = replica->commit_index;

    memset(update, 0, sizeof *update);
    switch (event->kind) {
    case REPLICA_EVENT_CONFIGURATION:
        replica_hear_configuration(replica, event, update);
        break;
    case REPLICA_EVENT_SYNCED:
        replica_hear_synced(replica, event);
        break;
    case REPLICA_EVENT_TICK:
        break;
    }
    if (replica->proposed_epoch != 0 && event->now_ms >= replica->propose_after_ms)
        replica_propose_self(replica, event->now_ms, update);
    update->commit_index = replica->commit_index;
    update->role_changed = replica->role != before;

    CHECK(replica->commit_index >= committed_before);
    CHECK(replica->commit_index <= replica->last.index);
    CHECK(replica->synced_index <= replica->last.index);
}

bool replica_serves(const struct replica *replica)
{
    return replica->role == REPLICA_PRIMARY;
}

bool replica_names_store(const struct replica_member *left, const struct replica_member *right)
{
    return left->server == right->server && left->store == right->store;
}

bool replica_is_member(const struct replica *replica,
                       const struct replica_configuration *configuration)
{
    for (uint32_t i = 0; i < configuration->member_count; i++)
        if (replica_names_store(&configuration->members[i], &replica->self))
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
    }
    return "unknown";
}
