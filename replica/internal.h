/* What the files of replica/ share: one function per verb. */
#ifndef CAIRN_REPLICA_INTERNAL_H
#define CAIRN_REPLICA_INTERNAL_H

#include "base/rules.h"
#include "replica/replica.h"

/* --- events --- */
void replica_hear_configuration(struct replica *replica, const struct replica_event *event,
                                struct replica_update *update);
void replica_receive_append(struct replica *replica, const struct replica_event *event,
                            struct replica_update *update);
void replica_receive_ack(struct replica *replica, const struct replica_event *event,
                         struct replica_update *update);
void replica_lose(struct replica *replica, const struct replica_event *event);
void replica_receive_beacon(struct replica *replica, const struct replica_event *event,
                            struct replica_update *update);
void replica_receive_lease(struct replica *replica, const struct replica_event *event);
void replica_hear_wish(struct replica *replica, const struct replica_event *event,
                       struct replica_update *update);
void replica_begin_install(struct replica *replica, const struct replica_event *event,
                           struct replica_update *update);
void replica_end_install(struct replica *replica, const struct replica_event *event);
void replica_follower_installed(struct replica *replica, const struct replica_event *event);
void replica_become_damaged(struct replica *replica);

/* --- epochs --- */
/* Takes an epoch, at least the one seen, as the highest seen, to be recorded (R2). */
void replica_note_epoch(struct replica *replica, uint64_t history, uint64_t epoch,
                        struct replica_update *update);
/* Whether a primary's message is of the present epoch and from its primary; takes a newer epoch
 * (R2).
 */
bool replica_admit(struct replica *replica, const struct replica_event *event,
                   const struct replica_member *from, uint64_t history, uint64_t epoch,
                   struct replica_update *update);
/* Whether the copy's data belong to another history than the configuration's (R9). */
bool replica_is_foreign(const struct replica *replica);
/* Whether it holds a whole log and state: not damaged, not installing, not foreign. */
bool replica_is_sound(const struct replica *replica);

/* --- leading --- */
static inline bool replica_leads(const struct replica *replica)
{
    return replica->barrier_index != 0;
}
/* Begins to lead under the configuration in force as soon as it may (R2, R3, L5, R6). */
void replica_try_to_lead(struct replica *replica, uint64_t now_ms, struct replica_update *update);
/* Stops leading. */
void replica_step_down(struct replica *replica, enum replica_role role);
/* Follows up exactly the members and learners of the configuration, keeping what is known (R6). */
void replica_review_followers(struct replica *replica, uint64_t now_ms);
/* Notes which process of the follower speaks; a new one voids what was known (R10). False if it is
 * an older one than the last that spoke: it is not to be listened to. */
bool replica_note_process(struct replica_follower *follower, const struct replica_member *from,
                          uint64_t now_ms);
/* The follower's log is of no use, or ours does not reach back to its end. */
void replica_needs_install(struct replica_follower *follower);
/* Finds the followers that lack what our log no longer has. */
void replica_review_reach(struct replica *replica);
/* Followers that have nothing to acknowledge have not stood still. */
void replica_note_progress(struct replica *replica, uint64_t now_ms);
/* Moves the commit index as far as all allow: R1 at the primary, R12 at a follower. */
void replica_advance_commit(struct replica *replica);

/* --- time and the manager --- */
/* R8: counts learners that have caught up, before they are proposed. */
void replica_consider_learners(struct replica *replica, uint64_t now_ms,
                               struct replica_update *update);
/* Asks the manager for the configuration that is wanted now, if any, and again while it is
 * undecided (R11). */
void replica_consider_proposal(struct replica *replica, uint64_t now_ms,
                               struct replica_update *update);
/* What a leading primary wants: see change.c. False: nothing. */
bool replica_wants_change(struct replica *replica, uint64_t now_ms,
                          struct replica_configuration *next);
/* L2: what a backup wants that hears nothing. False: nothing. */
bool replica_wants_takeover(const struct replica *replica, uint64_t now_ms,
                            struct replica_configuration *next);
/* Takes the copy out of members and learners. */
void replica_drop_copy(struct replica_configuration *configuration,
                       const struct replica_member *copy);
void replica_ask_manager(struct replica *replica, uint64_t now_ms, struct replica_update *update);

#endif
