/* What two servers know of their link: beacons numbered, answered and echoed (ARCHITECTURE.md L1,
 * L2). Pure, like replica.h; one struct link for each other server.
 *
 * Outgoing: a lease counts from before its beacon was sent, so the time of each is kept until it is
 * answered. Incoming: a beacon that echoes a recent answer of ours shows that the link works both
 * ways; only such a beacon restarts the timer of a backup. Numbers belong to a pair of processes:
 * when an incarnation changes, everything noted is void (R10). */
#ifndef CAIRN_REPLICA_LINK_H
#define CAIRN_REPLICA_LINK_H

#include <stdbool.h>
#include <stdint.h>

#include "replica/replica.h"

enum { LINK_BEACONS_KEPT = 16 };

struct link_beacon {
    uint64_t number, at_ms;
};

struct link {
    /* Outgoing. */
    uint64_t next_number;                       /* from 1 */
    uint64_t answered_number;                   /* of the last answer that arrived; echoed */
    struct link_beacon sent[LINK_BEACONS_KEPT]; /* by number modulo the size */
    /* Incoming. */
    struct replica_member peer;                     /* the process that these are of */
    struct link_beacon answered[LINK_BEACONS_KEPT]; /* when each was answered */
};

void link_init(struct link *link);
/* A beacon leaves after `now_ms`: its number, and the one to echo. */
void link_send(struct link *link, uint64_t now_ms, uint64_t *number, uint64_t *echo);
/* The answer to beacon `number` arrived. `*sent_ms`: from when its leases count. False if it is not
 * one of the last LINK_BEACONS_KEPT, or was answered before: it renews nothing. */
bool link_answered(struct link *link, uint64_t number, uint64_t *sent_ms);
/* A beacon of `from` with this number arrived and is answered now. True if it echoes an answer that
 * was given at most `recent_ms` ago (L2). */
bool link_heard(struct link *link, const struct replica_member *from, uint64_t number,
                uint64_t echo, uint64_t now_ms, uint64_t recent_ms);

#endif
