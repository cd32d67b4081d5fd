/* What the files of replica/ share: one function per verb. */
#ifndef CAIRN_REPLICA_INTERNAL_H
#define CAIRN_REPLICA_INTERNAL_H

#include "replica/replica.h"

void replica_hear_configuration(struct replica *replica, const struct replica_event *event,
                                struct replica_update *update);
void replica_hear_synced(struct replica *replica, const struct replica_event *event);
/* Proposes itself as the primary of the same members with its own incarnation (R3, R11). */
void replica_propose_self(struct replica *replica, uint64_t now_ms, struct replica_update *update);
/* Begins to lead under the configuration in force (R2, R6). */
void replica_promote(struct replica *replica, uint64_t now_ms, struct replica_update *update);
/* Moves the commit index as far as all members allow (R1). */
void replica_advance_commit(struct replica *replica);
/* Stops leading. */
void replica_step_down(struct replica *replica, enum replica_role role);

bool replica_names_store(const struct replica_member *left, const struct replica_member *right);
bool replica_is_member(const struct replica *replica,
                       const struct replica_configuration *configuration);

#endif
