/* The configuration authority as a pure state machine: which servers are in the cluster, with which
 * stores, and who holds each partition (ARCHITECTURE.md R9 to R11).
 *
 * No clock, no I/O: an event is a call's arguments with the time; what comes back is a reply and,
 * in `changes`, what must be durable before that reply or any later one leaves, because a reply may
 * tell of anything that was changed before it. Changes are applied at once, by the same function
 * that replays them at the next start. */
#ifndef CAIRN_MANAGER_MEMBERSHIP_H
#define CAIRN_MANAGER_MEMBERSHIP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"
#include "proto/limits.h"
#include "proto/manager_rpc.h"
#include "proto/map.h"

enum {
    /* Stores that --replace-store retired; more are refused, none is ever forgotten (R10). */
    MEMBERSHIP_RETIRED_LIMIT = 4096,
    /* A server heard within this time is taken to be running still. */
    MEMBERSHIP_ALIVE_MS = 2000,
};

enum change_kind {
    CHANGE_SERVER = 1,    /* a server registered with this store and incarnation */
    CHANGE_CONFIGURATION, /* the next configuration of a partition */
    CHANGE_PLACED,        /* the map got its first configurations: all of it is to be recorded */
};

struct change {
    enum change_kind kind;
    union {
        struct replica_id server;
        struct configuration configuration;
    };
};

/* The map of one version in its packed form, shared by the replies that carry it. */
struct packed_map {
    uint32_t references;
    uint64_t version;
    struct buffer bytes;
};

struct membership {
    struct cluster_map map; /* servers[i].id == i */
    uint64_t started_ms;
    uint64_t heard_ms[CAIRN_SERVERS_LIMIT]; /* valid where heard */
    bool heard[CAIRN_SERVERS_LIMIT];        /* since this process started */
    size_t retired_count;
    struct replica_id retired[MEMBERSHIP_RETIRED_LIMIT];
    size_t change_count, change_capacity;
    struct change *changes;
    struct packed_map *packed; /* of map.version, or NULL */
};

/* Takes ownership of `map` (and zeroes it), whose servers must have the ids 0, 1, 2, ...: else
 * CAIRN_EINVAL and the caller still owns it. */
int membership_create(struct cluster_map *map, uint64_t now_ms, struct membership **membership,
                      struct error *error);
void membership_free(struct membership *membership);

/* --- replay --- */

/* Replaces the whole map; as for membership_create. The cluster, its servers, partitions and
 * replicas must be the same, and neither the version nor any epoch may go back. */
int membership_replace_map(struct membership *membership, struct cluster_map *map,
                           struct error *error);
/* Applies a recorded change (not CHANGE_PLACED); CAIRN_EINVAL if it cannot follow on the state. */
int membership_apply(struct membership *membership, const struct change *change,
                     struct error *error);
/* Remembers a retired store. CAIRN_EFULL past the limit. */
int membership_retire(struct membership *membership, uint32_t server, uint64_t store);

/* --- events --- */

struct membership_reply {
    enum manager_status status;
    /* Why not, if status is not MANAGER_OK; why the first invalid
     * proposal is invalid, if it is.
     */
    char message[CAIRN_MESSAGE_LIMIT + 1];
    uint64_t map_version;   /* 0: none */
    struct packed_map *map; /* NULL: empty */
    uint32_t result_count;  /* of a proposal call */
    struct proposal_result *results;
    struct buffer packed;         /* what `results` point into */
    uint32_t server_count;        /* of a status call */
    struct server_state *servers; /* their addresses live as long as the membership */
    bool changed;                 /* a registration that was news */
};

/* Each fills `reply`, to be ended with membership_reply_free, and returns 0; or CAIRN_ENOMEM or
 * CAIRN_ETOOBIG with nothing to reply but a system error. Changes may be there in both cases. */
int membership_register(struct membership *membership, uint64_t now_ms,
                        const struct register_args *args, struct membership_reply *reply);
int membership_heartbeat(struct membership *membership, uint64_t now_ms,
                         const struct heartbeat_args *args, struct membership_reply *reply);
int membership_get_map(struct membership *membership, const struct map_args *args,
                       struct membership_reply *reply);
int membership_propose(struct membership *membership, uint64_t now_ms,
                       const struct propose_args *args, struct membership_reply *reply);
int membership_status(struct membership *membership, uint64_t now_ms,
                      const struct manager_status_args *args, struct membership_reply *reply);
void membership_reply_free(struct membership_reply *reply);

/* Places all partitions if every server has registered and that has not been done. Part of
 * membership_register; also to be called once after replay. 0 also if there is nothing to do. */
int membership_place(struct membership *membership);
/* After the changes were handed to the log. */
void membership_clear_changes(struct membership *membership);

#endif
