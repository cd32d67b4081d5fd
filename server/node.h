/* What one server is made of, without its event loop: its partitions over the log and the store.
 *
 * Request handlers read and propose here; the driver (driver.h) reports what became durable and
 * calls node_end_turn. Everything runs on the loop thread and time is passed in. */
#ifndef CAIRN_SERVER_NODE_H
#define CAIRN_SERVER_NODE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "proto/identity.h"
#include "proto/map.h"
#include "replica/link.h"
#include "server/damage.h"
#include "server/disk.h"
#include "server/hosts_record.h"
#include "server/journal.h"
#include "server/lease.h"
#include "server/partition.h"
#include "server/store.h"

struct counters {
    uint64_t gets, puts, swaps, deletes, scans;
};

/* What waits to be sent to one server: bit maps of partitions. */
struct outbox {
    uint64_t *copies; /* led here with a follower there */
    uint64_t *news;   /* of these, perhaps something to be sent: entries, a probe */
    bool any_news;
};

/* Where the log may be cut once a checkpoint holds what lies below (W6). */
struct cut_point {
    uint64_t lsn;
    uint64_t durable_lsn;               /* what must be durable before */
    struct replica_position *positions; /* [partition_count]: the last entries below the cut */
};

/* The entries of one received run, while it is taken; grows and is used again. */
struct run_entries {
    struct entry **entries;
    uint64_t *epochs;
    uint32_t capacity;
};

struct snapshot_takes; /* snapshot.h */
struct hosts;          /* hosts.h */
struct repairs;        /* repair.h */
struct scrub;          /* scrub.h */

enum { CUT_POINTS_LIMIT = 16 };

struct node {
    struct identity identity;
    struct cluster_map map; /* the newest heard; zeroed before the first */
    uint32_t partition_count;
    struct partition *partitions;
    struct store *store;
    struct journal journal;
    struct disk disk;
    struct damage damage; /* R13 */
    struct counters counters;
    struct replica_times times;
    uint64_t started_ms;
    uint64_t memtable_limit_bytes;
    uint64_t log_keep_bytes;
    struct cut_point checkpoint_cut;               /* of the checkpoint under way */
    struct cut_point cut_points[CUT_POINTS_LIMIT]; /* not used yet, ascending */
    uint32_t cut_point_count;
    uint64_t checkpoint_started_ms;
    uint64_t carry_lsn;         /* end of the log when the last checkpoint began */
    uint64_t kept_bytes;        /* packed, of applied entries that are still in memory */
    uint64_t uncommitted_bytes; /* of entries proposed here and not applied */
    uint32_t proposals_wanted;
    bool wants_map; /* the manager is to be asked for the map at once; the driver clears it */
    bool carries;   /* some partition has a carry_index */
    bool owes;      /* some partition owes_epoch or owes_noop */
    uint32_t serving_said;        /* partitions served, as last logged */
    uint32_t snapshots_open;      /* snapshot.c: the log is not cut meanwhile */
    struct snapshot_takes *takes; /* snapshot.c: installs under way; NULL: none */
    struct partition_list touched;
    /* What hosts may read from their caches (C2 to C7). */
    struct lease *lease;
    struct hosts_record hosts_record;
    uint64_t host_lease_ms;  /* longest that is granted; 0: nothing is */
    uint64_t quiet_until_ms; /* C7: nothing is told about partitions before; 0: that is over */
    uint64_t peers_until_ms, peers_known_ms; /* see node_peers_until_ms; known 0: not known */
    bool hosts_ending;                       /* some partition has a hosts_ticket */
    struct hosts *hosts; /* hosts.c: calls that wait; NULL: nobody asks, nothing is held */
    /* By server id. */
    struct outbox outboxes[CAIRN_SERVERS_LIMIT];
    uint64_t *outbox_bits; /* their memory */
    struct link links[CAIRN_SERVERS_LIMIT];
    struct run_entries run_entries;
    bool peer_full[CAIRN_SERVERS_LIMIT]; /* W7: said that its disk is full */
    /* W8: damage is looked for and repaired; NULL: nobody does. */
    struct repairs *repairs;
    struct scrub *scrub;
    void (*watched)(struct node *node, struct partition *partition); /* watch_index is applied */
    bool wants_checkpoint; /* soon, for there is much in memory */
};

struct node_options {
    const char *directory; /* the data directory; the node's files go below it */
    struct identity identity;
    uint32_t partitions;
    enum wal_backend wal_backend;
    uint64_t segment_bytes, map_bytes, memtable_limit_bytes, disk_reserve_bytes;
    uint64_t log_keep_bytes; /* of log that checkpoints hold, kept for followers; 0: nothing */
    uint64_t lease_ms;       /* 0: 1000 */
    uint64_t grace_ms;       /* 0: 1500 */
    uint64_t host_lease_ms;  /* for hosts' caches, at most lease_ms; 0: nothing is granted */
    void (*checkpoint_done)(void *context); /* from the checkpoint thread */
    void *context;
};

enum { NODE_LOG_KEEP_BYTES_DEFAULT = 256 << 20 };

/* Opens store and log and recovers; logs one line that says what was recovered. On failure nothing
 * stays open. */
int node_open(struct node *node, const struct node_options *options, uint64_t now_ms,
              struct error *error);
/* Frees all without a checkpoint, as after a crash; see node_stop. */
void node_close(struct node *node);
/* A clean stop: makes all proposed entries durable, applies what commits, checkpoints, cuts. */
void node_stop(struct node *node, uint64_t now_ms);

/* Time passes for the cores alone: leases, timers, proposals. node_tick does it, too. */
void node_tick_replicas(struct node *node, uint64_t now_ms);

/* Takes a newer cluster map (the node owns it then); an older one is freed. */
void node_hear_map(struct node *node, struct cluster_map *map, uint64_t now_ms);
/* Takes one configuration, as an answer to a proposal. */
void node_hear_configuration(struct node *node, const struct configuration *configuration,
                             uint64_t now_ms);
/* Hands an event to a partition's core and does what it asks for, but what an accepted Append
 * brings. Afterwards `update`, which may be NULL, tells what the core said. */
void node_step(struct node *node, struct partition *partition, const struct replica_event *event,
               struct replica_update *update);
/* C7: an earlier life of this store granted leases to hosts that may not have run out. */
static inline bool node_is_quiet(const struct node *node, uint64_t now_ms)
{
    return now_ms < node->quiet_until_ms;
}
/* The earliest end of a peer's lease over all partitions led here (C5); UINT64_MAX: there is none.
 */
uint64_t node_peers_until_ms(struct node *node, uint64_t now_ms);
/* Tells the cores that hand over when no host reads any more (C6). */
void node_report_hosts_ended(struct node *node, uint64_t now_ms);
/* Time passes: proposals are repeated, idle sessions evicted (S4), checkpoints started. */
void node_tick(struct node *node, uint64_t now_ms);

/* Appends `entry` (kind and command set by the caller) to the partition's log; the node owns it
 * then. It must lead (replica_accepts). CAIRN_EFULL: no room in the batch or on the disk, or too
 * much waits for backups; nothing changed, the caller still owns it. */
int node_propose(struct node *node, struct partition *partition, struct entry *entry,
                 uint64_t now_ms);
/* A pending no-op whose log time is at least `log_time_ms` (S2), proposed if there is none. NULL as
 * CAIRN_EFULL above. */
struct entry *node_propose_tick(struct node *node, struct partition *partition,
                                uint64_t log_time_ms, uint64_t now_ms);

/* Everything up to `lsn` of the log is durable: commits, applies, answers. */
void node_durable(struct node *node, uint64_t lsn, uint64_t now_ms);
/* W7: whether PUT and SWAP are refused because the disk is full. */
bool node_refuses_writes(const struct node *node);
/* The same for one partition: the disks of its other copies count, too. */
bool node_refuses_writes_to(const struct node *node, const struct partition *partition);

/* --- for installs (snapshot.h)
 * ------------------------------------------------------------------- */

/* The copy holds nothing from now on: its log in memory is dropped, waiters are answered without
 * outcome, reports of durability of what was dropped are ignored. The caller appends the RESET
 * record next (journal_append_reset) and then begins the install in the store. */
void node_drop_log(struct node *node, struct partition *partition);
/* The install is complete and durable: the partition's log goes on behind store_applied. To be
 * called before the core is told (REPLICA_EVENT_INSTALLED). */
void node_installed(struct node *node, struct partition *partition);

/* The checkpoint thread reported. */
void node_checkpoint_finish(struct node *node);
/* At the end of each loop turn: hands what has gathered to the log, unless it still `gathers`, and
 * ends shared reads. */
void node_end_turn(struct node *node, bool gathers);

#endif
