/* A cluster of real processes: one manager, its servers, and the hosts of its clients.
 *
 * With a network each of them is a host of it, as numbered by cluster_*_host; without one all
 * listen on free ports of loopback. Private to the nemesis; one thread. */
#ifndef CAIRN_FUZZ_CLUSTER_H
#define CAIRN_FUZZ_CLUSTER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "fuzz/network.h"
#include "fuzz/node.h"

enum { CLUSTER_SERVERS_MAX = 16, CLUSTER_CLIENT_HOSTS_MAX = 8, CLUSTER_ADDRESS_MAX = 32 };

struct cluster_options {
    unsigned servers, replicas, partitions, client_hosts;
    unsigned lease_ms;             /* of the servers; beacon and grace go with it */
    const char *programs, *folder; /* the folder exists */
    bool has_network;              /* a network of its own, else loopback */
    bool has_small_disks;          /* each server's data on a small disk, else in the folder */
    bool has_thread_backend;       /* the log is written where the preloaded library sees it */
    const char *const *server_arguments; /* or NULL */
    bool (*is_cancelled)(void *context); /* asked while it waits; may be NULL */
    void *context;
};

struct cluster {
    struct node manager;
    struct node servers[CLUSTER_SERVERS_MAX];
    unsigned server_count, replicas, partitions, client_hosts, lease_ms;
    struct network *network; /* or NULL */
    bool has_small_disks;
    /* Bits of servers that were ever drained. All are undrained at each heal: a drain that its
     * client has given up may still arrive after the first. */
    uint32_t drained;
    char managers[CLUSTER_ADDRESS_MAX];
    char folder[NODE_PATH_MAX];
    char cli[NODE_PATH_MAX];          /* the program of operators */
    char preload[NODE_PATH_MAX + 32]; /* the library that nodes are started with */
    struct words environment;         /* of such programs */
    int port_locks[CLUSTER_SERVERS_MAX + 1];
    unsigned port_lock_count;
    bool (*is_cancelled)(void *context);
    void *context;
};

/* Prepares everything and starts nothing. On failure nothing is left to close. CAIRN_EINVAL,
 * CAIRN_ENOTFOUND (a program), CAIRN_EUNAVAILABLE (network or disk not allowed here), CAIRN_EIO. */
int cluster_open(struct cluster *cluster, const struct cluster_options *options,
                 struct error *error);
/* Kills what runs, then closes network and disks; with `keep` what is on small disks is copied into
 * the folder before. The folder stays. */
void cluster_close(struct cluster *cluster, bool keep);

/* The manager is 0, then the servers, then the clients' hosts, then the operator's. */
unsigned cluster_server_host(unsigned server);
unsigned cluster_client_host(const struct cluster *cluster, unsigned client);
unsigned cluster_operator_host(const struct cluster *cluster);
unsigned cluster_host_count(const struct cluster *cluster);
/* "m", "s0", "c0", "operator", as hosts are numbered; written to `out`. */
void cluster_host_name(const struct cluster *cluster, unsigned host, char out[16]);

/* Starts what does not run. */
int cluster_start(struct cluster *cluster, struct error *error);
/* node_check of all nodes, and node_check_log of all. */
int cluster_check(struct cluster *cluster, struct error *error);
int cluster_check_logs(struct cluster *cluster, struct error *error);
/* Waits, checking the nodes. CAIRN_ECANCELED if asked to give up. */
int cluster_sleep(struct cluster *cluster, uint64_t ms, struct error *error);

/* Waits until each server and partition is well, has all its copies, and no epoch has changed for
 * longer than a lease: a copy that has just died or returned may still be dropped until then.
 * CAIRN_ETIMEDOUT says what is not so. */
int cluster_wait_whole(struct cluster *cluster, uint64_t limit_ms, struct error *error);

#endif
