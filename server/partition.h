/* One partition on this server: its replication core and the entries on their way to being applied.
 */
#ifndef CAIRN_SERVER_PARTITION_H
#define CAIRN_SERVER_PARTITION_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "base/error.h"
#include "proto/map.h"
#include "replica/replica.h"
#include "server/entry.h"
#include "server/store.h"

/* Somebody who wants to know when an entry is applied. `answer` is called exactly once and owns the
 * waiter then. `outcome` is NULL if this process cannot say whether the entry will ever be applied.
 */
struct waiter {
    struct waiter *next;
    void (*answer)(struct waiter *waiter, const struct entry *entry, const struct outcome *outcome);
};

struct partition {
    struct replica replica;
    struct entry_queue pending; /* in the log, not applied, by index */
    struct entry *tick;     /* the newest pending no-op, for reads that wait for log time (S2) */
    uint64_t durable_index; /* what journal marks of this turn say */
    /* What the core asked for and the log had no room for yet: tried again with each tick. */
    bool owes_epoch, owes_noop;
    bool touched;
    STAILQ_ENTRY(partition) next_touched;
    bool wants_proposal; /* `proposal` is to be sent to the manager (R11) */
    struct replica_configuration proposal;
};

STAILQ_HEAD(partition_list, partition);

/* Takes an entry that recovery found in the log (W6, R12): one at index i voids all at or above i.
 * Owns `entry`. CAIRN_ECORRUPT if entries are missing before it. */
int partition_recover_entry(struct partition *partition, struct replica_recovered *recovered,
                            struct entry *entry, struct error *error);
/* Ends the waiters of all pending entries without an outcome: this process leads no more. */
void partition_abandon_waiters(struct partition *partition);
/* Frees the pending entries. */
void partition_free(struct partition *partition);

void partition_add_waiter(struct entry *entry, struct waiter *waiter);
void partition_answer_waiters(struct entry *entry, const struct outcome *outcome);

/* Between the wire's configuration and the core's. */
void partition_configuration_in(const struct configuration *from, struct replica_configuration *to);
void partition_configuration_out(const struct replica_configuration *from, uint32_t partition,
                                 struct configuration *to);

#endif
