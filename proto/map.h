/* The cluster map and its configurations as plain structs, decoded from their protobuf form with
 * every rule checked (messages in durable.proto, bytes in FORMATS.md).
 *
 * Shared by server, manager and client. Not thread-safe; a map that nobody changes may be read by
 * any thread. */
#ifndef CAIRN_PROTO_MAP_H
#define CAIRN_PROTO_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "base/buffer.h"
#include "base/error.h"
#include "proto/limits.h"

enum { CLUSTER_MAP_FORMAT = 1 };

/* One copy: a server and the store in its data directory (ARCHITECTURE.md R10). */
struct replica_id {
    uint32_t server;
    uint64_t store;       /* non-zero */
    uint64_t incarnation; /* of the primary (R3); 0 in members and learners */
};

/* Who holds a partition. The members are distinct servers, the primary (same server and store) is
 * one of them, no learner is a member. */
struct configuration {
    uint32_t partition;
    uint64_t history, epoch; /* both from 1 */
    bool switched;           /* the primary before it proposed this after it had stopped (L5) */
    struct replica_id primary;
    uint32_t member_count; /* 1 to CAIRN_REPLICAS_LIMIT */
    uint32_t learner_count;
    struct replica_id members[CAIRN_REPLICAS_LIMIT];
    struct replica_id learners[CAIRN_REPLICAS_LIMIT];
};

#define TARGET_ANY UINT32_MAX

/* Where the copies of a partition shall be: distinct servers, not removed ones. */
struct target {
    uint32_t server_count; /* 1 to CAIRN_REPLICAS_LIMIT */
    uint32_t servers[CAIRN_REPLICAS_LIMIT];
    uint32_t primary; /* one of them, or TARGET_ANY */
};

struct map_server {
    uint32_t id;
    struct address address;              /* that clients use */
    char address_text[ADDRESS_TEXT_MAX]; /* the same as HOST:PORT */
    uint64_t store;                      /* 0: never registered */
    uint64_t incarnation;                /* of the last registration */
    bool draining;                       /* no copies are placed here */
    bool removed;                        /* left the cluster: no copies, no registration */
};

struct cluster_map {
    uint64_t cluster;              /* non-zero */
    uint64_t version;              /* from 1; grows with each change */
    uint32_t partitions, replicas; /* replicas: copies wanted of each */
    size_t server_count;           /* 1 to CAIRN_SERVERS_LIMIT */
    uint32_t founders;             /* the first ones, named at founding; 0: all of them */
    struct map_server *servers;
    struct configuration *configurations; /* [partitions], or NULL until first placed */
    struct target *targets;               /* [partitions], NULL exactly if configurations is (a map
                                             made by hand may lack them: they are not packed then) */
};

/* Decodes and checks a packed cairn.ClusterMap into `map`, which need not be initialised; on
 * success the caller ends it with cluster_map_free, on error it is left zeroed. CAIRN_EPROTO with a
 * message that says what is wrong, CAIRN_EVERSION for a newer format, CAIRN_ETOOBIG, CAIRN_ENOMEM.
 */
int cluster_map_unpack(const void *data, size_t length, struct cluster_map *map,
                       struct error *error);
/* Appends the packed map to `out`. The map must satisfy what cluster_map_unpack checks, else
 * CAIRN_EINVAL; CAIRN_ETOOBIG past CAIRN_MAP_LIMIT or the buffer's limit, or CAIRN_ENOMEM. */
int cluster_map_pack(const struct cluster_map *map, struct buffer *out, struct error *error);
/* 0, or CAIRN_EINVAL and what breaks the rules of a map. */
int cluster_map_check(const struct cluster_map *map, struct error *error);
/* Makes `*to` (not initialised before) a copy of its own; CAIRN_ENOMEM leaves it zeroed. */
int cluster_map_copy(const struct cluster_map *from, struct cluster_map *to);
/* Frees what the map holds and zeroes it; a zeroed map is fine. */
void cluster_map_free(struct cluster_map *map);
/* Gives a map that has configurations but no targets (older data) those that keep every copy where
 * it is; else does nothing. CAIRN_ENOMEM. */
int cluster_map_complete_targets(struct cluster_map *map);
/* The server with this id, or NULL. */
const struct map_server *cluster_map_server(const struct cluster_map *map, uint32_t id);

/* The same for one packed cairn.Configuration, as proposals carry it. `partitions` bounds its
 * number. */
int configuration_unpack(const void *data, size_t length, uint32_t partitions,
                         struct configuration *configuration, struct error *error);
int configuration_pack(const struct configuration *configuration, struct buffer *out,
                       struct error *error);
/* 0, or CAIRN_EINVAL and what breaks the rules above. */
int configuration_check(const struct configuration *configuration, uint32_t partitions,
                        struct error *error);
/* 0, or CAIRN_EINVAL: a target's servers are 1 to CAIRN_REPLICAS_LIMIT distinct ones of the map,
 * none of them removed, and its primary is one of them or TARGET_ANY. */
int target_check(const struct cluster_map *map, uint32_t partition, const struct target *target,
                 struct error *error);
bool target_has(const struct target *target, uint32_t server);
/* One packed cairn.Target; unpacking checks only what needs no map. As for configurations. */
int target_unpack(const void *data, size_t length, uint32_t partitions, uint32_t *partition,
                  struct target *target, struct error *error);
int target_pack(uint32_t partition, const struct target *target, struct buffer *out,
                struct error *error);
/* Whether this server with this store is a member; incarnations are not compared. */
bool configuration_has_member(const struct configuration *configuration, uint32_t server,
                              uint64_t store);
bool configuration_has_learner(const struct configuration *configuration, uint32_t server,
                               uint64_t store);

#endif
