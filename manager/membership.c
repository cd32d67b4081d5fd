/* The state of the cluster's membership and how it changes; events are in membership_*.c. */
#include "manager/membership.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "manager/membership_internal.h"
#include "manager/placement.h"

static int check_ids(const struct cluster_map *map, struct error *error)
{
    int status = cluster_map_check(map, error);

    if (status != 0)
        return status;
    for (size_t i = 0; i < map->server_count; i++)
        if (map->servers[i].id != i)
            return error_set(error, CAIRN_EINVAL, "cluster map: server %u stands in place of %zu",
                             map->servers[i].id, i);
    return 0;
}

int membership_create(struct cluster_map *map, uint64_t now_ms, struct membership **membership,
                      struct error *error)
{
    int status = check_ids(map, error);

    *membership = NULL;
    if (status != 0)
        return status;
    *membership = calloc(1, sizeof **membership);
    if (*membership == NULL)
        return error_set(error, CAIRN_ENOMEM, "membership: out of memory");
    (*membership)->map = *map;
    (*membership)->started_ms = now_ms;
    memset(map, 0, sizeof *map);
    return 0;
}

static void packed_map_release(struct packed_map *packed)
{
    if (packed == NULL || --packed->references > 0)
        return;
    buffer_free(&packed->bytes);
    free(packed);
}

void membership_free(struct membership *membership)
{
    if (membership == NULL)
        return;
    cluster_map_free(&membership->map);
    packed_map_release(membership->packed);
    free(membership->changes);
    free(membership);
}

/* --- the map's versions --- */

static void next_version(struct membership *membership)
{
    membership->map.version++;
    packed_map_release(membership->packed);
    membership->packed = NULL;
}

/* Packs the present map once a version. */
static int pack_map(struct membership *membership)
{
    struct packed_map *packed;
    int status;

    if (membership->packed != NULL)
        return 0;
    packed = calloc(1, sizeof *packed);
    if (packed == NULL)
        return CAIRN_ENOMEM;
    packed->references = 1;
    packed->version = membership->map.version;
    buffer_init(&packed->bytes, CAIRN_MAP_LIMIT);
    status = cluster_map_pack(&membership->map, &packed->bytes, NULL);
    if (status != 0)
        packed_map_release(packed);
    else
        membership->packed = packed;
    return status;
}

int membership_attach_map(struct membership *membership, uint64_t known_version,
                          struct membership_reply *reply)
{
    int status;

    if (membership->map.configurations == NULL)
        return 0;
    reply->map_version = membership->map.version;
    if (known_version == membership->map.version)
        return 0;
    status = pack_map(membership);
    if (status != 0)
        return status;
    reply->map = membership->packed;
    reply->map->references++;
    return 0;
}

/* --- changes --- */

int membership_reserve_changes(struct membership *membership, size_t more)
{
    const size_t wanted = membership->change_count + more;
    struct change *changes;

    if (wanted <= membership->change_capacity)
        return 0;
    changes = realloc(membership->changes, wanted * sizeof *changes);
    if (changes == NULL)
        return CAIRN_ENOMEM;
    membership->changes = changes;
    membership->change_capacity = wanted;
    return 0;
}

static void note_change(struct membership *membership, const struct change *change)
{
    CHECK(membership->change_count < membership->change_capacity);
    membership->changes[membership->change_count++] = *change;
}

void membership_change(struct membership *membership, const struct change *change)
{
    CHECK(membership_apply(membership, change, NULL) == 0);
    note_change(membership, change);
}

void membership_clear_changes(struct membership *membership)
{
    membership->change_count = 0;
    free(membership->changes);
    membership->changes = NULL;
    membership->change_capacity = 0;
}

const struct replica_id *membership_retired_store(const struct membership *membership,
                                                  uint64_t store)
{
    for (size_t i = 0; i < membership->retired_count; i++)
        if (membership->retired[i].store == store)
            return &membership->retired[i];
    return NULL;
}

int membership_retire(struct membership *membership, uint32_t server, uint64_t store)
{
    if (membership_retired_store(membership, store) != NULL)
        return 0;
    if (membership->retired_count == MEMBERSHIP_RETIRED_LIMIT)
        return CAIRN_EFULL;
    membership->retired[membership->retired_count++] =
        (struct replica_id){.server = server, .store = store};
    return 0;
}

/* A store that replaces another retires it: R10, the manager never forgets a store. */
static int apply_server(struct membership *membership, const struct replica_id *server,
                        struct error *error)
{
    struct map_server *known;

    if (server->server >= membership->map.server_count || server->store == 0 ||
        server->incarnation == 0)
        return error_set(error, CAIRN_EINVAL, "server %u: not a registration of this cluster",
                         server->server);
    known = &membership->map.servers[server->server];
    if (known->store == server->store && server->incarnation <= known->incarnation)
        return error_set(error, CAIRN_EINVAL, "server %u: incarnation %llu after %llu",
                         server->server, (unsigned long long)server->incarnation,
                         (unsigned long long)known->incarnation);
    if (known->store != 0 && known->store != server->store &&
        membership_retire(membership, server->server, known->store) != 0)
        return error_set(error, CAIRN_EINVAL, "server %u: more than %d replaced stores",
                         server->server, MEMBERSHIP_RETIRED_LIMIT);
    known->store = server->store;
    known->incarnation = server->incarnation;
    next_version(membership);
    return 0;
}

/* R11: the epoch counts every change, without gaps. */
static int apply_configuration(struct membership *membership,
                               const struct configuration *configuration, struct error *error)
{
    struct configuration *present;
    int status = configuration_check(configuration, membership->map.partitions, error);

    if (status != 0)
        return status;
    if (membership->map.configurations == NULL)
        return error_set(error, CAIRN_EINVAL, "partition %u: was never placed",
                         configuration->partition);
    present = &membership->map.configurations[configuration->partition];
    if (configuration->epoch != present->epoch + 1)
        return error_set(error, CAIRN_EINVAL, "partition %u: epoch %llu after %llu",
                         configuration->partition, (unsigned long long)configuration->epoch,
                         (unsigned long long)present->epoch);
    *present = *configuration;
    next_version(membership);
    return 0;
}

int membership_apply(struct membership *membership, const struct change *change,
                     struct error *error)
{
    switch (change->kind) {
    case CHANGE_SERVER:
        return apply_server(membership, &change->server, error);
    case CHANGE_CONFIGURATION:
        return apply_configuration(membership, &change->configuration, error);
    case CHANGE_PLACED:
        break;
    }
    return error_set(error, CAIRN_EINVAL, "membership: not a change: %d", (int)change->kind);
}

static bool same_cluster(const struct cluster_map *left, const struct cluster_map *right)
{
    if (left->cluster != right->cluster || left->partitions != right->partitions ||
        left->replicas != right->replicas || left->server_count != right->server_count)
        return false;
    for (size_t i = 0; i < left->server_count; i++)
        if (!address_equal(&left->servers[i].address, &right->servers[i].address))
            return false;
    return true;
}

static bool goes_back(const struct cluster_map *from, const struct cluster_map *to)
{
    if (to->version < from->version)
        return true;
    if (from->configurations == NULL)
        return false;
    if (to->configurations == NULL)
        return true;
    for (uint32_t i = 0; i < from->partitions; i++)
        if (to->configurations[i].epoch < from->configurations[i].epoch)
            return true;
    return false;
}

int membership_replace_map(struct membership *membership, struct cluster_map *map,
                           struct error *error)
{
    int status = check_ids(map, error);

    if (status != 0)
        return status;
    if (!same_cluster(&membership->map, map))
        return error_set(error, CAIRN_EINVAL, "cluster map: of another cluster");
    if (goes_back(&membership->map, map))
        return error_set(error, CAIRN_EINVAL, "cluster map: older than what is known");
    cluster_map_free(&membership->map);
    membership->map = *map;
    memset(map, 0, sizeof *map);
    packed_map_release(membership->packed);
    membership->packed = NULL;
    return 0;
}

/* --- placing --- */

static void first_configuration(const struct cluster_map *map, uint32_t partition,
                                const uint32_t *members, struct configuration *configuration)
{
    memset(configuration, 0, sizeof *configuration);
    configuration->partition = partition;
    configuration->history = 1;
    configuration->epoch = 1;
    configuration->member_count = map->replicas;
    for (uint32_t rank = 0; rank < map->replicas; rank++) {
        const struct map_server *server = &map->servers[members[rank]];

        configuration->members[rank].server = server->id;
        configuration->members[rank].store = server->store;
    }
    configuration->primary = configuration->members[0];
    configuration->primary.incarnation = map->servers[members[0]].incarnation;
}

static int place_partitions(struct membership *membership)
{
    struct cluster_map *map = &membership->map;
    uint32_t servers[CAIRN_SERVERS_LIMIT];
    const struct placement placement = {map->partitions, map->replicas, map->server_count, servers};
    uint32_t *members = calloc((size_t)map->partitions * map->replicas, sizeof *members);
    struct configuration *configurations = calloc(map->partitions, sizeof *configurations);
    int status = CAIRN_ENOMEM;

    for (size_t i = 0; i < map->server_count; i++)
        servers[i] = map->servers[i].id;
    if (members != NULL && configurations != NULL)
        status = placement_compute(&placement, members);
    if (status == 0) {
        for (uint32_t i = 0; i < map->partitions; i++)
            first_configuration(map, i, members + (size_t)i * map->replicas, &configurations[i]);
        map->configurations = configurations;
        configurations = NULL;
    }
    free(members);
    free(configurations);
    return status;
}

int membership_place(struct membership *membership)
{
    int status;

    if (membership->map.configurations != NULL)
        return 0;
    for (size_t i = 0; i < membership->map.server_count; i++)
        if (membership->map.servers[i].store == 0)
            return 0;
    status = membership_reserve_changes(membership, 1);
    if (status == 0)
        status = place_partitions(membership);
    if (status != 0)
        return status;
    next_version(membership);
    note_change(membership, &(struct change){.kind = CHANGE_PLACED});
    return 0;
}

/* --- replies --- */

void membership_reply_init(struct membership_reply *reply)
{
    memset(reply, 0, sizeof *reply);
    buffer_init(&reply->packed, (size_t)CAIRN_PARTITIONS_LIMIT * CAIRN_PACKED_LIMIT);
}

void membership_reply_free(struct membership_reply *reply)
{
    packed_map_release(reply->map);
    buffer_free(&reply->packed);
    free(reply->results);
    free(reply->servers);
    reply->map = NULL;
    reply->results = NULL;
    reply->servers = NULL;
}

bool membership_refuse(struct membership_reply *reply, enum manager_status status,
                       const char *format, ...)
{
    va_list arguments;

    reply->status = status;
    va_start(arguments, format);
    (void)vsnprintf(reply->message, sizeof reply->message, format, arguments);
    va_end(arguments);
    return false;
}
