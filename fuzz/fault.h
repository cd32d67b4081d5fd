/* One fault: what is drawn for it, as data; and what begins and ends it on a cluster.
 *
 * fault_draw is pure, so that a seed names the faults of a run. Private to the nemesis. */
#ifndef CAIRN_FUZZ_FAULT_H
#define CAIRN_FUZZ_FAULT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/random.h"
#include "fuzz/cluster.h"
#include "fuzz/nemesis.h"

enum {
    FAULT_MOVES_MAX = 3,
    FAULT_RATE_MAX_PPM = 9900, /* clocks of two nodes may differ by 1 % of true time each (C5) */
    FAULT_TEXT_MAX = 400,
    FAULTS_AT_ONCE = 2,
};

/* Moves: a partition to a server, or one of these. */
enum fault_move_how { MOVE_PARTITION, MOVE_REBALANCE, MOVE_DRAIN };

struct fault_move {
    enum fault_move_how how;
    uint32_t partition, server;
};

struct fault {
    enum nemesis_kind kind;
    uint64_t hold_ms;
    uint32_t hosts; /* bits of the hosts that it hits; the manager is bit 0 */
    /* KILL, RESTART_MANAGER: relaunched at once, while other faults last */
    bool at_once;
    /* PARTITION: by host, whom what it sends does not reach. */
    uint32_t cut[NETWORK_HOSTS_MAX];
    /* SLOW_DISK */
    uint32_t write_delay_us, sync_delay_us;
    /* DISK_FULL */
    uint64_t left_bytes;
    /* CLOCK: by host */
    int64_t rate_ppm[NETWORK_HOSTS_MAX], wall_ns[NETWORK_HOSTS_MAX];
    /* MOVE */
    struct fault_move moves[FAULT_MOVES_MAX];
    uint32_t move_count;
};

struct fault_plan {
    uint32_t kinds; /* bits, not 0 */
    unsigned servers, partitions, client_hosts;
    uint64_t hold_min_ms, hold_max_ms;
};

/* Draws one or two faults, the latter of different kinds and held for the same time; returns how
 * many. Links are cut before anything else happens: so that it may go unheard. */
unsigned fault_draw(struct random *random, const struct fault_plan *plan,
                    struct fault out[FAULTS_AT_ONCE]);
/* What one is, for people; written to `out`. */
void fault_describe(const struct fault *fault, const struct cluster *cluster,
                    char out[FAULT_TEXT_MAX]);

/* Begins a fault. CAIRN_EIO and others: the machine did not do it, or a node had ended by itself.
 */
int fault_begin(const struct fault *fault, struct cluster *cluster, struct error *error);
/* Ends all faults of all kinds, whatever has begun: disks have room before nodes start on them.
 * What only the cluster can end, a drain, is asked for until `limit_ms` are over. */
int fault_end_all(struct cluster *cluster, uint64_t limit_ms, struct error *error);

/* fault_move.c: asks for the moves, which the manager may refuse; takes back all drains. */
int fault_begin_moves(const struct fault *fault, struct cluster *cluster, struct error *error);
int fault_end_drains(struct cluster *cluster, uint64_t limit_ms, struct error *error);

#endif
