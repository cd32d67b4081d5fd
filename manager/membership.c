/* The state of the cluster's membership and how it changes; events are in membership_*.c. */
#include "manager/membership.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "manager/membership_internal.h"

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

/* Replies hold on to addresses of servers: the array has room for all there can be, and never
 * moves. CAIRN_ENOMEM leaves a map that is as valid as before. */
static int complete_map(struct cluster_map *map)
{
    struct map_server *servers = realloc(map->servers, CAIRN_SERVERS_LIMIT * sizeof *servers);

    if (servers == NULL)
        return CAIRN_ENOMEM;
    map->servers = servers;
    if (map->founders == 0)
        map->founders = (uint32_t)map->server_count;
    return cluster_map_complete_targets(map);
}

int membership_create(struct cluster_map *map, uint64_t now_ms, struct membership **membership,
                      struct error *error)
{
    int status = check_ids(map, error);

    *membership = NULL;
    if (status != 0)
        return status;
    *membership = calloc(1, sizeof **membership);
    if (*membership != NULL)
        (*membership)->configured_ms = calloc(map->partitions, sizeof(uint64_t));
    if (*membership == NULL || (*membership)->configured_ms == NULL || complete_map(map) != 0) {
        membership_free(*membership);
        *membership = NULL;
        return error_set(error, CAIRN_ENOMEM, "membership: out of memory");
    }
    (*membership)->map = *map;
    (*membership)->started_ms = (*membership)->listening_ms = now_ms;
    (*membership)->reconciled_ms = now_ms;
    (*membership)->replace_after_ms = MEMBERSHIP_REPLACE_DEFAULT_MS;
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
    for (size_t i = 0; i < CAIRN_SERVERS_LIMIT; i++)
        free(membership->reports[i].items);
    free(membership->changes);
    free(membership->configured_ms);
    free(membership);
}

/* --- the map's versions --- */

void membership_next_version(struct membership *membership)
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
    size_t capacity = 2 * membership->change_capacity;
    struct change *changes;

    if (wanted <= membership->change_capacity)
        return 0;
    if (capacity < wanted)
        capacity = wanted;
    changes = realloc(membership->changes, capacity * sizeof *changes);
    if (changes == NULL)
        return CAIRN_ENOMEM;
    membership->changes = changes;
    membership->change_capacity = capacity;
    return 0;
}

void membership_note_change(struct membership *membership, const struct change *change)
{
    CHECK(membership->change_count < membership->change_capacity);
    membership->changes[membership->change_count++] = *change;
}

void membership_change(struct membership *membership, const struct change *change)
{
    CHECK(membership_apply(membership, change, NULL) == 0);
    membership_note_change(membership, change);
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
    membership_next_version(membership);
    return 0;
}

static int check_copies_known(const struct cluster_map *map,
                              const struct configuration *configuration, struct error *error)
{
    const uint32_t members = configuration->member_count;

    for (uint32_t i = 0; i < members + configuration->learner_count; i++) {
        const struct replica_id *copy =
            i < members ? &configuration->members[i] : &configuration->learners[i - members];

        if (copy->server >= map->server_count)
            return error_set(error, CAIRN_EINVAL, "partition %u: server %u is not in the map",
                             configuration->partition, copy->server);
    }
    return 0;
}

/* R11: the epoch counts every change, without gaps. */
static int apply_configuration(struct membership *membership,
                               const struct configuration *configuration, struct error *error)
{
    struct configuration *present;
    int status = configuration_check(configuration, membership->map.partitions, error);

    if (status == 0)
        status = check_copies_known(&membership->map, configuration, error);
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
    /* R9: a new history begins only where an older one was given up. */
    if (configuration->history != present->history &&
        configuration->history != present->history + 1)
        return error_set(error, CAIRN_EINVAL, "partition %u: history %llu after %llu",
                         configuration->partition, (unsigned long long)configuration->history,
                         (unsigned long long)present->history);
    *present = *configuration;
    membership_next_version(membership);
    return 0;
}

static int apply_target(struct membership *membership, uint32_t partition,
                        const struct target *target, struct error *error)
{
    int status;

    if (membership->map.targets == NULL || partition >= membership->map.partitions)
        return error_set(error, CAIRN_EINVAL, "partition %u: was never placed", partition);
    status = target_check(&membership->map, partition, target, error);
    if (status != 0)
        return status;
    membership->map.targets[partition] = *target;
    membership_next_version(membership);
    return 0;
}

static int add_server(struct cluster_map *map, const struct map_server *server, struct error *error)
{
    if (map->server_count == CAIRN_SERVERS_LIMIT)
        return error_set(error, CAIRN_EINVAL, "server %u: there are %d already", server->id,
                         CAIRN_SERVERS_LIMIT);
    if (server->store != 0 || server->incarnation != 0)
        return error_set(error, CAIRN_EINVAL, "server %u: added with a store", server->id);
    map->servers[map->server_count++] = *server;
    return 0;
}

static bool same_registration(const struct map_server *left, const struct map_server *right)
{
    return address_equal(&left->address, &right->address) && left->store == right->store &&
           left->incarnation == right->incarnation;
}

/* Copies may be on a removed server no more. */
static int check_unused(const struct cluster_map *map, uint32_t server, struct error *error)
{
    for (uint32_t i = 0; map->targets != NULL && i < map->partitions; i++)
        if (target_has(&map->targets[i], server))
            return error_set(error, CAIRN_EINVAL, "server %u: is to hold partition %u", server, i);
    return 0;
}

/* Another address or store is no change of the roster, and an id is never used again. */
static int apply_roster(struct membership *membership, const struct map_server *server,
                        struct error *error)
{
    struct cluster_map *map = &membership->map;
    int status = 0;

    if (server->id == map->server_count)
        status = add_server(map, server, error);
    else if (server->id > map->server_count ||
             !same_registration(&map->servers[server->id], server) ||
             (map->servers[server->id].removed && !server->removed))
        status = error_set(error, CAIRN_EINVAL, "server %u: not one of the roster", server->id);
    else if (server->removed)
        status = check_unused(map, server->id, error);
    if (status != 0)
        return status;
    map->servers[server->id] = *server;
    membership_next_version(membership);
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
    case CHANGE_TARGET:
        return apply_target(membership, change->target.partition, &change->target.target, error);
    case CHANGE_ROSTER:
        return apply_roster(membership, &change->roster, error);
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
    if (complete_map(map) != 0)
        return error_set(error, CAIRN_ENOMEM, "membership: out of memory");
    cluster_map_free(&membership->map);
    membership->map = *map;
    memset(map, 0, sizeof *map);
    packed_map_release(membership->packed);
    membership->packed = NULL;
    return 0;
}

/* --- who is there --- */

bool membership_heard_within(const struct membership *membership, uint64_t now_ms, uint32_t server,
                             uint64_t within_ms)
{
    const uint64_t heard_ms = membership->heard_ms[server];

    return membership->heard[server] && (now_ms <= heard_ms || now_ms - heard_ms < within_ms);
}

uint64_t membership_silent_ms(const struct membership *membership, uint64_t now_ms, uint32_t server)
{
    uint64_t since_ms = membership->listening_ms;

    if (membership->heard[server] && membership->heard_ms[server] > since_ms)
        since_ms = membership->heard_ms[server];
    return now_ms > since_ms ? now_ms - since_ms : 0;
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
    free(reply->duties);
    free(reply->wishes);
    free(reply->moving);
    free(reply->moves);
    reply->map = NULL;
    reply->results = NULL;
    reply->servers = NULL;
    reply->duties = NULL;
    reply->wishes = NULL;
    reply->moving = NULL;
    reply->moves = NULL;
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
