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
#include "server/disk.h"
#include "server/journal.h"
#include "server/partition.h"
#include "server/store.h"

struct counters {
    uint64_t gets, puts, swaps, deletes, scans;
};

struct node {
    struct identity identity;
    struct cluster_map map; /* the newest heard; zeroed before the first */
    uint32_t partition_count;
    struct partition *partitions;
    struct store *store;
    struct journal journal;
    struct disk disk;
    struct counters counters;
    uint64_t started_ms;
    uint64_t memtable_limit_bytes;
    uint64_t checkpoint_cut_lsn; /* what the log may be cut to once the checkpoint is done (W6) */
    uint64_t checkpoint_started_ms;
    uint32_t proposals_wanted;
    uint32_t serving_said; /* partitions served, as last logged */
    struct partition_list touched;
};

struct node_options {
    const char *directory; /* the data directory; the node's files go below it */
    struct identity identity;
    uint32_t partitions;
    enum wal_backend wal_backend;
    uint64_t segment_bytes, map_bytes, memtable_limit_bytes, disk_reserve_bytes;
    void (*checkpoint_done)(void *context); /* from the checkpoint thread */
    void *context;
};

/* Opens store and log and recovers; logs one line that says what was recovered. On failure nothing
 * stays open. */
int node_open(struct node *node, const struct node_options *options, uint64_t now_ms,
              struct error *error);
/* Frees all without a checkpoint, as after a crash; see node_stop. */
void node_close(struct node *node);
/* A clean stop: makes all proposed entries durable, applies what commits, checkpoints, cuts. */
void node_stop(struct node *node, uint64_t now_ms);

/* Takes a newer cluster map (the node owns it then); an older one is freed. */
void node_hear_map(struct node *node, struct cluster_map *map, uint64_t now_ms);
/* Takes one configuration, as an answer to a proposal. */
void node_hear_configuration(struct node *node, const struct configuration *configuration,
                             uint64_t now_ms);
/* Time passes: proposals are repeated, idle sessions evicted (S4), checkpoints started. */
void node_tick(struct node *node, uint64_t now_ms);

/* Appends `entry` (kind and command set by the caller) to the partition's log; the node owns it
 * then. CAIRN_EFULL: no room in the batch or on the disk, nothing changed, the caller still owns
 * it. */
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
/* The checkpoint thread reported. */
void node_checkpoint_finish(struct node *node);
/* At the end of each loop turn: hands what has gathered to the log, ends shared reads. */
void node_end_turn(struct node *node);

#endif
