/* From the copies there are to the copies there shall be (ARCHITECTURE.md R7, R8, R11).
 *
 * A partition's target says which servers shall hold it. membership_reconcile keeps the targets on
 * servers that are there to stay; membership_wishes asks each primary for the next step from its
 * configuration to its target. Only replicas propose: a wish that is not followed is repeated with
 * the next heartbeat, one that came too late is void, because it names its epoch. Pure. */
#ifndef CAIRN_MANAGER_RECONCILE_H
#define CAIRN_MANAGER_RECONCILE_H

#include <stdbool.h>
#include <stdint.h>

#include "manager/membership.h"

/* Where copies may stay and where they may go, and how the targets load each server. */
struct roster {
    bool keeps[CAIRN_SERVERS_LIMIT]; /* neither draining nor removed nor silent for too long */
    bool takes[CAIRN_SERVERS_LIMIT]; /* keeps, and was heard just now */
    uint32_t server_count;
    uint32_t copies[CAIRN_SERVERS_LIMIT];
};

void roster_init(struct roster *roster, const struct membership *membership, uint64_t now_ms);
/* The server that takes copies, is not in the target and has the fewest; UINT32_MAX: none. */
uint32_t roster_pick(const struct roster *roster, const struct target *target);
/* Replaces the target's servers that keep no copies, and adds what is missing of `replicas`, as far
 * as servers take copies. Counts what it moves; true if the target changed. */
bool roster_repair(struct roster *roster, uint32_t replicas, struct target *target);

/* One step, every second or so: repairs all targets. 0, or CAIRN_ENOMEM with a part of it done. */
int membership_reconcile(struct membership *membership, uint64_t now_ms);
/* Puts the wishes for the partitions that the caller leads into the reply of its heartbeat: at most
 * one each. CAIRN_ENOMEM. */
int membership_wishes(const struct membership *membership, uint64_t now_ms,
                      const struct server_identity *who, struct membership_reply *reply);
/* Whether the partition's copies or its lead are not yet where they shall be. */
bool membership_is_moving(const struct cluster_map *map, uint32_t partition);

#endif
