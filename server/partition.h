/* One partition on this server: its replication core, its log in memory, its positions.
 *
 * The log in memory holds every entry that is not applied (R5), and sometimes a few that are, for
 * followers that are about to catch up. Older ones are only in the log on disk, from `base` on. */
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
    /* The log in memory: a ring by index, of the entries behind `before`. */
    struct entry **slots;
    uint32_t capacity; /* 0 or a power of two */
    uint32_t entry_count;
    struct replica_position before;  /* of the entry before the first in memory */
    struct replica_position applied; /* before <= applied; entries up to it have no item any more */
    struct replica_position base;    /* the entry before the first that the log on disk still has */
    struct entry *tick;   /* the newest pending no-op, for reads that wait for log time (S2) */
    uint64_t evict_index; /* of the last eviction of sessions proposed here (S4); 0: none */
    /* What journal marks of this turn say. */
    uint64_t durable_index;
    uint64_t durable_history, durable_epoch;
    uint64_t void_lsn;    /* marks at or below it are of entries that were dropped */
    uint64_t dropped_lsn; /* the whole log up to it was dropped, for an install; 0: never */
    /* What the core asked for and the log had no room for yet: tried again soon. */
    bool owes_epoch, owes_noop;
    uint64_t carry_index; /* node_carry.c: from here on to be written again; 0: nothing */
    uint64_t carry_lsn;   /* until all is: where what is to be written again begins in the log */
    uint64_t counted_sum; /* of the copies that count, as last noted (C5) */
    uint64_t
        hosts_ticket; /* C6: of lease_end_all, as long as the core waits for it; 0: it does not */
    bool leads;       /* as last noticed; its end is the end of all that wait */
    bool damaged;     /* found, and the core is to be told (R13) */
    uint64_t watch_index; /* node->watched is to be called when it is applied; 0: nothing is */
    bool touched;
    STAILQ_ENTRY(partition) next_touched;
    bool wants_proposal; /* `proposal` is to be sent to the manager (R11) */
    struct replica_configuration proposal;
    /* The servers of the core's followers, as the node's outboxes know them. */
    uint8_t noted_count;
    uint8_t noted_servers[REPLICA_FOLLOWERS_LIMIT];
};

STAILQ_HEAD(partition_list, partition);

/* --- the log in memory -------------------------------------------------------------------------
 */

/* Index of the last entry of the log. */
static inline uint64_t partition_last_index(const struct partition *partition)
{
    return partition->before.index + partition->entry_count;
}
/* Whether the entry is in memory; true also for the one behind the last. */
bool partition_has_entry(const struct partition *partition, uint64_t index);
/* The entry, or NULL if it is not in memory. */
struct entry *partition_entry(const struct partition *partition, uint64_t index);
/* The epoch of an entry, if it is still known here: of those in memory, the one before, the applied
 * one, the base, and index 0. */
bool partition_find_epoch(const struct partition *partition, uint64_t index, uint64_t *epoch);
/* The same for struct replica_log: `context` is the partition, and the epoch is known (CHECK). */
uint64_t partition_epoch_at(const void *context, uint64_t index);

/* Makes room for `more` entries, so that as many partition_push cannot fail. */
bool partition_reserve(struct partition *partition, uint32_t more);
/* Takes the next entry (its index: CHECK). */
void partition_push(struct partition *partition, struct entry *entry);
/* Takes out the last entry (the caller owns it then), or the first one, which moves `before`. NULL
 * if there is none. */
struct entry *partition_pop_last(struct partition *partition);
struct entry *partition_pop_first(struct partition *partition);
/* The copy holds exactly what `position` stands for, and the log on disk goes on behind it. The log
 * in memory is empty (CHECK). */
void partition_set_position(struct partition *partition, const struct replica_position *position);

/* --- recovery ----------------------------------------------------------------------------------
 */

/* What recovery has found of a partition. */
struct partition_recovery {
    struct replica_recovered recovered;
    uint64_t gap_index; /* an entry whose predecessors are missing; 0: none */
};

/* Takes an entry that recovery found in the log (W6, R12): one at index i voids all at or above i,
 * unless it is the one that is there (R4: the same epoch and index, the same entry). Owns `entry`.
 * CAIRN_ENOMEM. */
int partition_recover_entry(struct partition *partition, struct partition_recovery *recovery,
                            struct entry *entry, struct error *error);
/* An install began here: all of the log before is void (W6). `applied` is what the store holds. */
void partition_recover_reset(struct partition *partition, struct partition_recovery *recovery,
                             uint64_t history, uint64_t install,
                             const struct store_position *applied);
/* What the store says, before the log is read. */
void partition_recover_start(struct partition *partition, struct partition_recovery *recovery,
                             const struct store_position *applied);

/* --- waiters ------------------------------------------------------------------------------------
 */

/* Ends the waiters of all pending entries without an outcome: this process leads no more. */
void partition_abandon_waiters(struct partition *partition);
void partition_add_waiter(struct entry *entry, struct waiter *waiter);
void partition_answer_waiters(struct entry *entry, const struct outcome *outcome);
/* Frees the log in memory. */
void partition_free(struct partition *partition);

/* Between the wire's configuration and the core's. */
void partition_configuration_in(const struct configuration *from, struct replica_configuration *to);
void partition_configuration_out(const struct replica_configuration *from, uint32_t partition,
                                 struct configuration *to);

#endif
