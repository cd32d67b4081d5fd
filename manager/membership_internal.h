/* What the files of the membership state machine share; see membership.h. */
#ifndef CAIRN_MANAGER_MEMBERSHIP_INTERNAL_H
#define CAIRN_MANAGER_MEMBERSHIP_INTERNAL_H

#include "manager/membership.h"

/* Makes room for `more` changes, so that membership_change cannot fail. */
int membership_reserve_changes(struct membership *membership, size_t more);
/* Applies a change that was found valid and notes it for the log. */
void membership_change(struct membership *membership, const struct change *change);
/* The two halves of it, for what is applied otherwise. */
void membership_next_version(struct membership *membership);
void membership_note_change(struct membership *membership, const struct change *change);

bool membership_heard_within(const struct membership *membership, uint64_t now_ms, uint32_t server,
                             uint64_t within_ms);
/* Since the server was heard, or since this process listens. */
uint64_t membership_silent_ms(const struct membership *membership, uint64_t now_ms,
                              uint32_t server);

void membership_reply_init(struct membership_reply *reply);
/* Sets status and message; always false, so that a check ends with it. */
bool membership_refuse(struct membership_reply *reply, enum manager_status status,
                       const char *format, ...) __attribute__((format(printf, 3, 4)));
/* Puts the map into the reply unless `known_version` is it or there is none yet. */
int membership_attach_map(struct membership *membership, uint64_t known_version,
                          struct membership_reply *reply);
/* For calls of clients and operators, which may not know the cluster yet. */
bool membership_check_client(const struct membership *membership, uint64_t cluster,
                             struct membership_reply *reply);
/* MANAGER_WAITING, naming the servers that are missing. */
bool membership_refuse_waiting(const struct membership *membership, struct membership_reply *reply);

/* The server that holds or held a store, or NULL; `*retired` tells which. */
const struct replica_id *membership_retired_store(const struct membership *membership,
                                                  uint64_t store);
/* Whether the caller is the server, store and incarnation that registered last (R10); notes that it
 * was heard. */
bool membership_check_caller(struct membership *membership, uint64_t now_ms,
                             const struct server_identity *who, struct membership_reply *reply);
/* Whether the caller may be of this cluster at all, and its id one of ours. */
bool membership_check_cluster(const struct membership *membership,
                              const struct server_identity *who, struct membership_reply *reply);

#endif
