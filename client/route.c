/* Where partitions are served. */
#include "client/route.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "proto/partition.h"

enum { SILENT_LIMIT = 2 };

void route_init(struct route *route, uv_loop_t *loop, unsigned *closing)
{
    memset(route, 0, sizeof(*route));
    route->loop = loop;
    route->closing = closing;
}

static void on_closed(void *context)
{
    unsigned *closing = context;

    CHECK(*closing > 0);
    (*closing)--;
}

void route_drop_connection(unsigned *closing, struct rpc_client **rpc)
{
    if (*rpc == NULL) {
        return;
    }
    (*closing)++;
    rpc_client_close(*rpc, on_closed, closing);
    *rpc = NULL;
}

static void server_free(struct route *route, struct route_server *server)
{
    route_drop_connection(route->closing, &server->rpc);
    free(server);
}

void route_close(struct route *route)
{
    for (size_t i = 0; i < route->server_count; i++) {
        server_free(route, route->servers[i]);
    }
    route->server_count = 0;
    free(route->entries);
    route->entries = NULL;
    route->partitions = 0;
}

void route_forget(struct route *route)
{
    route_close(route);
    route->cluster = 0;
    route->version = 0;
    route->generation++;
}

bool route_is_ready(const struct route *route)
{
    return route->partitions > 0;
}

static size_t find_server(const struct route *route, uint32_t id)
{
    for (size_t i = 0; i < route->server_count; i++) {
        if (route->servers[i]->id == id) {
            return i;
        }
    }
    return SIZE_MAX;
}

static struct route_server *server_create(const struct map_server *from)
{
    struct route_server *server = calloc(1, sizeof(*server));

    if (server != NULL) {
        server->id = from->id;
        server->address = from->address;
        memcpy(server->address_text, from->address_text, sizeof(server->address_text));
    }
    return server;
}

static bool is_known(const struct route *route, const struct route_server *server)
{
    for (size_t i = 0; i < route->server_count; i++) {
        if (route->servers[i] == server) {
            return true;
        }
    }
    return false;
}

/* Fills `next` with the servers of the map, keeping those already known at the same address: they
 * have connections. Returns how many there are, or SIZE_MAX without memory (nothing is kept). */
static size_t gather_servers(const struct route *route, const struct cluster_map *map,
                             struct route_server *next[CAIRN_SERVERS_LIMIT],
                             bool kept[CAIRN_SERVERS_LIMIT])
{
    for (size_t i = 0; i < map->server_count; i++) {
        size_t old = find_server(route, map->servers[i].id);

        if (old != SIZE_MAX &&
            address_equal(&route->servers[old]->address, &map->servers[i].address)) {
            next[i] = route->servers[old];
            kept[old] = true;
            continue;
        }
        next[i] = server_create(&map->servers[i]);
        if (next[i] != NULL) {
            continue;
        }
        while (i-- > 0) {
            if (!is_known(route, next[i])) {
                free(next[i]);
            }
        }
        return SIZE_MAX;
    }
    return map->server_count;
}

static size_t index_in_map(const struct cluster_map *map, uint32_t id)
{
    for (size_t i = 0; i < map->server_count; i++) {
        if (map->servers[i].id == id) {
            return i;
        }
    }
    return SIZE_MAX;
}

/* The entry for one partition: the map's, unless a redirect already told of a newer epoch. */
static struct route_entry merge_entry(const struct route *route, const struct cluster_map *map,
                                      uint32_t partition)
{
    const struct configuration *configuration = &map->configurations[partition];
    size_t index = index_in_map(map, configuration->primary.server);
    struct route_entry entry = {configuration->epoch, (uint32_t)index};

    if (index == SIZE_MAX) {
        entry = (struct route_entry){0, 0};
    }
    if (route->entries != NULL && route->entries[partition].epoch > entry.epoch) {
        const struct route_entry *old = &route->entries[partition];
        size_t same = index_in_map(map, route->servers[old->server]->id);
        if (same != SIZE_MAX) {
            entry = (struct route_entry){old->epoch, (uint32_t)same};
        }
    }
    return entry;
}

static int check_map(const struct route *route, const struct cluster_map *map, struct error *error)
{
    if (route->cluster != 0 && map->cluster != route->cluster) {
        return error_set(error, CAIRN_ECONFLICT,
                         "the manager's map is of cluster %016llx, this handle works with %016llx",
                         (unsigned long long)map->cluster, (unsigned long long)route->cluster);
    }
    if (route->partitions != 0 && map->partitions != route->partitions) {
        return error_set(error, CAIRN_ECONFLICT,
                         "the manager's map has %u partitions, this handle works with %u",
                         map->partitions, route->partitions);
    }
    return CAIRN_OK;
}

static struct route_entry *merge_entries(const struct route *route, const struct cluster_map *map)
{
    struct route_entry *entries = calloc(map->partitions, sizeof(*entries));

    for (uint32_t p = 0; entries != NULL && p < map->partitions; p++) {
        entries[p] = merge_entry(route, map, p);
    }
    return entries;
}

int route_install(struct route *route, const struct cluster_map *map, struct error *error)
{
    struct route_server *next[CAIRN_SERVERS_LIMIT];
    bool kept[CAIRN_SERVERS_LIMIT] = {false};
    int status = check_map(route, map, error);

    if (status != CAIRN_OK || map->version < route->version || map->configurations == NULL) {
        return status;
    }
    struct route_entry *entries = merge_entries(route, map);
    if (entries == NULL) {
        return error_set(error, CAIRN_ENOMEM, "cluster map: out of memory");
    }
    size_t count = gather_servers(route, map, next, kept);
    if (count == SIZE_MAX) {
        free(entries);
        return error_set(error, CAIRN_ENOMEM, "cluster map: out of memory");
    }
    for (size_t i = 0; i < route->server_count; i++) {
        if (!kept[i]) {
            server_free(route, route->servers[i]);
        }
    }
    for (size_t i = 0; i < count; i++) {
        next[i]->removed = map->servers[i].removed;
    }
    memcpy(route->servers, next, count * sizeof(struct route_server *));
    route->server_count = count;
    free(route->entries);
    route->entries = entries;
    route->partitions = map->partitions;
    route->cluster = map->cluster;
    route->version = map->version;
    route->generation++;
    return CAIRN_OK;
}

bool route_redirect(struct route *route, uint32_t partition, const server_redirect *redirect)
{
    if (partition >= route->partitions) {
        return false;
    }
    struct route_entry *entry = &route->entries[partition];
    size_t index = find_server(route, redirect->primary);

    if (index == SIZE_MAX || redirect->epoch <= entry->epoch || index == entry->server) {
        return false;
    }
    entry->epoch = redirect->epoch;
    entry->server = (uint32_t)index;
    route->generation++;
    return true;
}

uint32_t route_partition(const struct route *route, const uint8_t *key, size_t length)
{
    return partition_of(key, length, route->partitions);
}

struct route_server *route_primary(const struct route *route, uint32_t partition)
{
    CHECK(partition < route->partitions);
    const struct route_entry *entry = &route->entries[partition];
    return entry->epoch == 0 ? NULL : route->servers[entry->server];
}

uint64_t route_epoch(const struct route *route, uint32_t partition)
{
    CHECK(partition < route->partitions);
    return route->entries[partition].epoch;
}

bool route_has_moved(const struct route *route, uint32_t partition, uint32_t server)
{
    const struct route_server *now = route_primary(route, partition);

    return now != NULL && now->id != server;
}

bool route_has_news(const struct route *route, uint32_t partition, uint32_t server, uint64_t epoch)
{
    return route_has_moved(route, partition, server) || route_epoch(route, partition) > epoch;
}

struct route_server *route_server_by_id(const struct route *route, uint32_t id)
{
    size_t index = find_server(route, id);

    return index == SIZE_MAX ? NULL : route->servers[index];
}

struct rpc_client *route_connection(struct route *route, struct route_server *server)
{
    if (server->rpc == NULL &&
        rpc_client_open(route->loop, &server->address, NULL, &server->rpc) != CAIRN_OK) {
        server->rpc = NULL;
    }
    return server->rpc;
}

const char *route_reason(const char *message, const char *address_text)
{
    size_t length = strlen(address_text);

    if (strncmp(message, address_text, length) == 0 && strncmp(message + length, ": ", 2) == 0) {
        return message + length + 2;
    }
    return message;
}

bool route_is_silence(const struct rpc_client *rpc, int rpc_status)
{
    return rpc != NULL && (rpc_status == CAIRN_EUNKNOWN || rpc_status == CAIRN_EUNAVAILABLE) &&
           rpc_client_connected(rpc);
}

void route_note(struct route *route, struct route_server *server, int rpc_status)
{
    if (!route_is_silence(server->rpc, rpc_status)) {
        server->silent = 0;
        return;
    }
    if (++server->silent >= SILENT_LIMIT) {
        server->silent = 0;
        route_drop_connection(route->closing, &server->rpc);
    }
}
