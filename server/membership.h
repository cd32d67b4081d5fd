/* A server's side of the manager: registering, heartbeats, the cluster map, proposals (R11).
 *
 * Registers until a manager accepts or rejects it, then sends heartbeats, which bring newer maps. A
 * manager that cannot be reached is tried again for ever, the listed ones in turn. Belongs to the
 * loop thread. */
#ifndef CAIRN_SERVER_MEMBERSHIP_H
#define CAIRN_SERVER_MEMBERSHIP_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/address.h"
#include "base/error.h"
#include "proto/identity.h"
#include "proto/manager_rpc.h"
#include "proto/map.h"

struct membership;

struct membership_events {
    void *context;
    /* Accepted: the cluster's facts. Comes again after each registration. */
    void (*registered)(void *context, uint64_t cluster, uint32_t partitions);
    /* A map; the callee owns what it holds. */
    void (*map)(void *context, struct cluster_map *map);
    /* The configuration in force, as the answer to a proposal. */
    void (*configuration)(void *context, const struct configuration *configuration);
    /* The manager would have something changed at a partition that this server leads (R11). */
    void (*wish)(void *context, const struct wish *wish);
    /* The manager will not have this server, and why. Nothing more comes. */
    void (*rejected)(void *context, const char *message);
    /* Fills at most `limit` partitions and their logs for a heartbeat and returns how many; and the
     * version of the map that is held. */
    uint32_t (*report)(void *context, heartbeat_partition *partitions, heartbeat_log *logs,
                       uint32_t limit, uint64_t *map_version);
};

struct membership_options {
    const struct address_list *managers; /* outlives the membership */
    const char *listen;                  /* what this server was told to listen on; outlives it */
    struct identity identity;
    bool replace_store;
    uint32_t heartbeat_ms;
};

int membership_open(uv_loop_t *loop, const struct membership_options *options,
                    const struct membership_events *events, struct membership **membership,
                    struct error *error);
/* Asks for the map now rather than with the next heartbeat; often, but a manager that does not
 * answer is asked no more than it is anyway. */
void membership_ask(struct membership *membership);
/* Whether proposals can leave: registered, and no earlier call of them is unanswered. */
bool membership_can_propose(const struct membership *membership);
/* Sends proposals; each names a configuration whose epoch is one above the expected one. Their
 * outcome comes as `configuration`, or not at all: the core asks again. Dropped while they cannot
 * leave. */
void membership_propose(struct membership *membership, const struct configuration *proposals,
                        uint32_t count);
/* Frees from the loop, then calls `closed`. */
void membership_close(struct membership *membership, void (*closed)(void *context), void *context);

#endif
