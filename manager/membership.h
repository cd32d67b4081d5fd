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
    /* Heartbeats come every second: one heard within this time can be given work. */
    MEMBERSHIP_USABLE_MS = 3000,
    /* Only one silent for this long may be taken for lost for ever, on the operator's word (R9). */
    MEMBERSHIP_LOST_MS = 10000,
    /* A step that comes this late shows that the process itself stood still. */
    MEMBERSHIP_PAUSE_MS = 3000,
    MEMBERSHIP_REPLACE_DEFAULT_MS = 300000,
    /* Copies that catch up at one server at a time. */
    MEMBERSHIP_LEARNERS_LIMIT = 64,
};

enum change_kind {
    CHANGE_SERVER = 1,    /* a server registered with this store and incarnation */
    CHANGE_CONFIGURATION, /* the next configuration of a partition */
    CHANGE_PLACED,        /* the map got its first configurations: all of it is to be recorded */
    CHANGE_TARGET,        /* where the copies of a partition shall be */
    CHANGE_ROSTER,        /* a server was added, or is draining or removed now, or no more */
};

/* How a configuration came to be. For the log only: not recorded. */
enum configuration_step {
    STEP_NONE,
    STEP_COPIES,    /* its primary changed the copies */
    STEP_RESTART,   /* its primary leads again with a new incarnation */
    STEP_TAKEOVER,  /* another member took the lead */
    STEP_SWITCH,    /* its primary gave the lead to another member */
    STEP_RECOVERED, /* the operator accepted the loss of all other copies (R9) */
};

struct change {
    enum change_kind kind;
    enum configuration_step step; /* of a configuration */
    uint32_t removed_count;       /* members that the configuration dropped */
    union {
        struct replica_id server;
        struct configuration configuration;
        struct {
            uint32_t partition;
            struct target target;
        } target;
        struct map_server roster;
    };
};

/* What a server said last about its copies. */
struct copy_report {
    uint32_t partition;
    struct heartbeat_log log; /* zeros from a server that tells nothing of it */
};
struct copy_reports {
    uint32_t count;
    struct copy_report *items;
};

/* The map of one version in its packed form, shared by the replies that carry it. */
struct packed_map {
    uint32_t references;
    uint64_t version;
    struct buffer bytes;
};

struct membership {
    struct cluster_map map; /* servers[i].id == i; room for CAIRN_SERVERS_LIMIT: they stay put */
    uint64_t started_ms;
    uint64_t replace_after_ms; /* of silence, until a server's copies are made elsewhere */
    uint64_t listening_ms;     /* silence counts from here at the earliest */
    uint64_t reconciled_ms;    /* the last step of membership_reconcile */
    uint64_t heard_ms[CAIRN_SERVERS_LIMIT]; /* valid where heard */
    bool heard[CAIRN_SERVERS_LIMIT];        /* since this process started */
    uint64_t *configured_ms; /* [partitions], when this process took the last configuration; or 0 */
    struct copy_reports reports[CAIRN_SERVERS_LIMIT]; /* by servers heard, of their present store */
    size_t retired_count;
    struct replica_id retired[MEMBERSHIP_RETIRED_LIMIT];
    size_t change_count, change_capacity;
    struct change *changes;
    struct packed_map *packed; /* of map.version, or NULL */
};

/* Takes ownership of `map` (and zeroes it), whose servers must have the ids 0, 1, 2, ...: else
 * CAIRN_EINVAL and the caller still owns it. A map without targets or founders gets them. */
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
    /* Why not, if status is not MANAGER_OK; why the first invalid proposal is invalid, if it is;
     * what an admin call did. */
    char message[CAIRN_MESSAGE_LIMIT + 1];
    uint64_t map_version;   /* 0: none */
    struct packed_map *map; /* NULL: empty */
    uint32_t result_count;  /* of a proposal call */
    struct proposal_result *results;
    struct buffer packed;         /* what `results` point into */
    uint32_t server_count;        /* of a status call */
    struct server_state *servers; /* their addresses live as long as the membership */
    struct server_duty *duties;   /* as many */
    bool changed;                 /* a registration that was news */
    uint32_t wish_count;          /* of a heartbeat */
    struct wish *wishes;
    uint64_t replace_after_ms; /* of a status call */
    uint32_t moving_count;
    uint32_t *moving;
    uint32_t server; /* of an admin call; its sentence is `message` */
    uint32_t move_count;
    struct planned_move *moves;
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
/* What an operator asks; see manager.x. Refusals are MANAGER_UNKNOWN_SERVER, MANAGER_INVALID,
 * MANAGER_WAITING before the partitions were placed. */
int membership_admin(struct membership *membership, uint64_t now_ms, const struct admin_args *args,
                     struct membership_reply *reply);
void membership_reply_free(struct membership_reply *reply);

/* Places all partitions if every server that is to hold copies has registered and that has not been
 * done. Part of membership_register; also to be called once after replay. 0 also if there is
 * nothing to do. */
int membership_place(struct membership *membership);
/* After the changes were handed to the log. */
void membership_clear_changes(struct membership *membership);

#endif
