/* Where partitions are served: the handle's copy of the cluster map, reduced to what a call needs,
 * and one connection for each server.
 *
 * Servers are created when a map names them and connect when they are first called. A pointer to a
 * route_server is valid until the next route_install. */
#ifndef CAIRN_CLIENT_ROUTE_H
#define CAIRN_CLIENT_ROUTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "base/address.h"
#include "base/error.h"
#include "proto/limits.h"
#include "proto/map.h"
#include "proto/server_rpc.h"
#include "rpc/client.h"

struct route_server {
    uint32_t id;
    struct address address;
    char address_text[ADDRESS_TEXT_MAX];
    struct rpc_client *rpc; /* NULL until first needed */
    bool removed;           /* it left the cluster and leads nothing */
    uint32_t silent;        /* calls in a row that ended without an answer while connected */
};

struct route_entry {
    uint64_t epoch;  /* of the configuration that named the primary; 0: nobody known */
    uint32_t server; /* index into servers */
};

struct route {
    uv_loop_t *loop;
    unsigned *closing;   /* counts connections that are being closed */
    uint64_t cluster;    /* 0 until a map was installed */
    uint64_t version;    /* of the installed map */
    uint64_t generation; /* grows whenever an entry changes */
    uint32_t partitions; /* 0: no map yet, or one without placement */
    size_t server_count;
    struct route_server *servers[CAIRN_SERVERS_LIMIT];
    struct route_entry *entries; /* [partitions] */
};

void route_init(struct route *route, uv_loop_t *loop, unsigned *closing);
/* Starts to close all connections; `*closing` falls to 0 when the loop ran long enough. */
void route_close(struct route *route);

/* The same, and the route can take another cluster's map. What its partitions were counts no more.
 */
void route_forget(struct route *route);

bool route_is_ready(const struct route *route);
/* Takes over a map unless it is older than the installed one. What a redirect taught of a newer
 * epoch stays. CAIRN_ECONFLICT if the map is another cluster's or has another number of partitions;
 * CAIRN_ENOMEM; nothing has changed then. */
int route_install(struct route *route, const struct cluster_map *map, struct error *error);
/* Notes a redirect. True if it names another known server than the one in the table, and a newer
 * epoch: asking there at once makes sense. At the same epoch two servers that disagree would send a
 * client to and fro. */
bool route_redirect(struct route *route, uint32_t partition, const server_redirect *redirect);

uint32_t route_partition(const struct route *route, const uint8_t *key, size_t length);
/* The partition's primary as far as known, or NULL. The route is ready. */
struct route_server *route_primary(const struct route *route, uint32_t partition);
/* The epoch of the configuration that named it; 0 if nobody is known. */
uint64_t route_epoch(const struct route *route, uint32_t partition);
/* Whether more is known of the partition than when `server` was asked as its primary of `epoch`:
 * somebody else is, or its epoch is a newer one. */
bool route_has_news(const struct route *route, uint32_t partition, uint32_t server, uint64_t epoch);
/* Whether somebody else than this server is known as the partition's primary. */
bool route_has_moved(const struct route *route, uint32_t partition, uint32_t server);
/* The server with this id, or NULL. */
struct route_server *route_server_by_id(const struct route *route, uint32_t id);
/* Its connection, made if there is none yet; NULL when out of memory. */
struct rpc_client *route_connection(struct route *route, struct route_server *server);
/* A call to it ended with this status of rpc_done. A connection that stays up and silent twice in a
 * row is given up, so that the next call makes a new one. */
void route_note(struct route *route, struct route_server *server, int rpc_status);
/* Whether this end of a call means that a connected peer said nothing. */
bool route_is_silence(const struct rpc_client *rpc, int rpc_status);
/* The part of an RPC error's message behind the address that it begins with. */
const char *route_reason(const char *message, const char *address_text);
/* Closes a connection that is counted in `*closing`. NULL is fine. */
void route_drop_connection(unsigned *closing, struct rpc_client **rpc);

#endif
