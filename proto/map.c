/* The cluster map as a struct: its rules, copies and look-ups. Its bytes are in map_codec.c. */
#include "proto/map.h"

#include <stdlib.h>
#include <string.h>

static bool same_copy(const struct replica_id *left, const struct replica_id *right)
{
    return left->server == right->server && left->store == right->store;
}

bool configuration_has_member(const struct configuration *configuration, uint32_t server,
                              uint64_t store)
{
    const struct replica_id wanted = {.server = server, .store = store};

    for (uint32_t i = 0; i < configuration->member_count; i++)
        if (same_copy(&configuration->members[i], &wanted))
            return true;
    return false;
}

bool configuration_has_learner(const struct configuration *configuration, uint32_t server,
                               uint64_t store)
{
    const struct replica_id wanted = {.server = server, .store = store};

    for (uint32_t i = 0; i < configuration->learner_count; i++)
        if (same_copy(&configuration->learners[i], &wanted))
            return true;
    return false;
}

/* Every member and learner is one server with one store, and no server holds two copies. */
static int check_copies(const struct configuration *configuration, struct error *error)
{
    const uint32_t members = configuration->member_count;
    const uint32_t all = members + configuration->learner_count;
    struct replica_id copies[2 * CAIRN_REPLICAS_LIMIT];

    memcpy(copies, configuration->members, members * sizeof copies[0]);
    memcpy(copies + members, configuration->learners,
           configuration->learner_count * sizeof copies[0]);
    for (uint32_t i = 0; i < all; i++) {
        if (copies[i].store == 0)
            return error_set(error, CAIRN_EINVAL, "partition %u: server %u has no store",
                             configuration->partition, copies[i].server);
        for (uint32_t j = 0; j < i; j++)
            if (copies[j].server == copies[i].server)
                return error_set(error, CAIRN_EINVAL, "partition %u: server %u is in it twice",
                                 configuration->partition, copies[i].server);
    }
    return 0;
}

int configuration_check(const struct configuration *configuration, uint32_t partitions,
                        struct error *error)
{
    const uint32_t partition = configuration->partition;

    if (partition >= partitions)
        return error_set(error, CAIRN_EINVAL, "partition %u: there are only %u", partition,
                         partitions);
    if (configuration->history == 0 || configuration->epoch == 0)
        return error_set(error, CAIRN_EINVAL, "partition %u: history and epoch count from 1",
                         partition);
    if (configuration->member_count == 0 || configuration->member_count > CAIRN_REPLICAS_LIMIT)
        return error_set(error, CAIRN_EINVAL, "partition %u: %u members, not 1 to %d", partition,
                         configuration->member_count, CAIRN_REPLICAS_LIMIT);
    if (configuration->learner_count > CAIRN_REPLICAS_LIMIT)
        return error_set(error, CAIRN_EINVAL, "partition %u: %u learners, more than %d", partition,
                         configuration->learner_count, CAIRN_REPLICAS_LIMIT);
    if (configuration->primary.incarnation == 0)
        return error_set(error, CAIRN_EINVAL, "partition %u: its primary has no incarnation",
                         partition);
    if (!configuration_has_member(configuration, configuration->primary.server,
                                  configuration->primary.store))
        return error_set(error, CAIRN_EINVAL, "partition %u: its primary %u is not a member",
                         partition, configuration->primary.server);
    return check_copies(configuration, error);
}

const struct map_server *cluster_map_server(const struct cluster_map *map, uint32_t id)
{
    for (size_t i = 0; i < map->server_count; i++)
        if (map->servers[i].id == id)
            return &map->servers[i];
    return NULL;
}

static int check_servers(const struct cluster_map *map, struct error *error)
{
    if (map->server_count == 0 || map->server_count > CAIRN_SERVERS_LIMIT)
        return error_set(error, CAIRN_EINVAL, "cluster map: %zu servers, not 1 to %d",
                         map->server_count, CAIRN_SERVERS_LIMIT);
    if (map->founders > map->server_count)
        return error_set(error, CAIRN_EINVAL, "cluster map: %u founders of %zu servers",
                         map->founders, map->server_count);
    for (size_t i = 0; i < map->server_count; i++) {
        const struct map_server *server = &map->servers[i];

        if (cluster_map_server(map, server->id) != server)
            return error_set(error, CAIRN_EINVAL, "cluster map: server %u is in it twice",
                             server->id);
        if ((server->store == 0) != (server->incarnation == 0))
            return error_set(error, CAIRN_EINVAL,
                             "cluster map: server %u has a store without an incarnation or the "
                             "reverse",
                             server->id);
    }
    return 0;
}

static int check_known(const struct cluster_map *map, const struct configuration *configuration,
                       struct error *error)
{
    for (uint32_t i = 0; i < configuration->member_count; i++)
        if (cluster_map_server(map, configuration->members[i].server) == NULL)
            return error_set(error, CAIRN_EINVAL, "partition %u: member %u is not in the map",
                             configuration->partition, configuration->members[i].server);
    for (uint32_t i = 0; i < configuration->learner_count; i++)
        if (cluster_map_server(map, configuration->learners[i].server) == NULL)
            return error_set(error, CAIRN_EINVAL, "partition %u: learner %u is not in the map",
                             configuration->partition, configuration->learners[i].server);
    return 0;
}

static int check_configurations(const struct cluster_map *map, struct error *error)
{
    if (map->configurations == NULL)
        return 0;
    for (uint32_t i = 0; i < map->partitions; i++) {
        const struct configuration *configuration = &map->configurations[i];
        int status;

        if (configuration->partition != i)
            return error_set(error, CAIRN_EINVAL, "cluster map: partition %u stands in place of %u",
                             configuration->partition, i);
        status = configuration_check(configuration, map->partitions, error);
        if (status == 0)
            status = check_known(map, configuration, error);
        if (status != 0)
            return status;
    }
    return 0;
}

bool target_has(const struct target *target, uint32_t server)
{
    for (uint32_t i = 0; i < target->server_count; i++)
        if (target->servers[i] == server)
            return true;
    return false;
}

static int check_target_server(const struct cluster_map *map, uint32_t partition,
                               const struct target *target, uint32_t i, struct error *error)
{
    const struct map_server *server = cluster_map_server(map, target->servers[i]);

    if (server == NULL)
        return error_set(error, CAIRN_EINVAL, "partition %u: target server %u is not in the map",
                         partition, target->servers[i]);
    if (server->removed)
        return error_set(error, CAIRN_EINVAL, "partition %u: target server %u was removed",
                         partition, server->id);
    for (uint32_t j = 0; j < i; j++)
        if (target->servers[j] == target->servers[i])
            return error_set(error, CAIRN_EINVAL, "partition %u: server %u is in its target twice",
                             partition, server->id);
    return 0;
}

int target_check(const struct cluster_map *map, uint32_t partition, const struct target *target,
                 struct error *error)
{
    int status = 0;

    if (target->server_count == 0 || target->server_count > CAIRN_REPLICAS_LIMIT)
        return error_set(error, CAIRN_EINVAL, "partition %u: %u target servers, not 1 to %d",
                         partition, target->server_count, CAIRN_REPLICAS_LIMIT);
    for (uint32_t i = 0; i < target->server_count && status == 0; i++)
        status = check_target_server(map, partition, target, i, error);
    if (status == 0 && target->primary != TARGET_ANY && !target_has(target, target->primary))
        status =
            error_set(error, CAIRN_EINVAL, "partition %u: its target's primary %u is not in it",
                      partition, target->primary);
    return status;
}

static int check_targets(const struct cluster_map *map, struct error *error)
{
    int status = 0;

    if (map->targets == NULL)
        return 0;
    if (map->configurations == NULL)
        return error_set(error, CAIRN_EINVAL, "cluster map: targets without configurations");
    for (uint32_t i = 0; i < map->partitions && status == 0; i++)
        status = target_check(map, i, &map->targets[i], error);
    return status;
}

int cluster_map_check(const struct cluster_map *map, struct error *error)
{
    int status;

    if (map->cluster == 0 || map->version == 0)
        return error_set(error, CAIRN_EINVAL, "cluster map: it has no cluster id or no version");
    if (map->partitions == 0 || map->partitions > CAIRN_PARTITIONS_LIMIT)
        return error_set(error, CAIRN_EINVAL, "cluster map: %u partitions, not 1 to %d",
                         map->partitions, CAIRN_PARTITIONS_LIMIT);
    if (map->replicas == 0 || map->replicas > CAIRN_REPLICAS_LIMIT)
        return error_set(error, CAIRN_EINVAL, "cluster map: %u replicas, not 1 to %d",
                         map->replicas, CAIRN_REPLICAS_LIMIT);
    status = check_servers(map, error);
    if (status == 0)
        status = check_configurations(map, error);
    return status != 0 ? status : check_targets(map, error);
}

int cluster_map_complete_targets(struct cluster_map *map)
{
    if (map->configurations == NULL || map->targets != NULL)
        return 0;
    map->targets = calloc(map->partitions, sizeof *map->targets);
    if (map->targets == NULL)
        return CAIRN_ENOMEM;
    for (uint32_t i = 0; i < map->partitions; i++) {
        const struct configuration *configuration = &map->configurations[i];
        struct target *target = &map->targets[i];

        target->server_count = configuration->member_count;
        for (uint32_t j = 0; j < configuration->member_count; j++)
            target->servers[j] = configuration->members[j].server;
        target->primary = TARGET_ANY;
    }
    return 0;
}

/* NULL stays NULL; CAIRN_ENOMEM leaves `*to` NULL. */
static int copy_array(const void *from, size_t count, size_t size, void **to)
{
    *to = NULL;
    if (from == NULL)
        return 0;
    *to = calloc(count, size);
    if (*to == NULL)
        return CAIRN_ENOMEM;
    memcpy(*to, from, count * size);
    return 0;
}

int cluster_map_copy(const struct cluster_map *from, struct cluster_map *to)
{
    void *servers, *configurations, *targets;
    int status = copy_array(from->servers, from->server_count, sizeof *to->servers, &servers);

    if (copy_array(from->configurations, from->partitions, sizeof *to->configurations,
                   &configurations) != 0)
        status = CAIRN_ENOMEM;
    if (copy_array(from->targets, from->partitions, sizeof *to->targets, &targets) != 0)
        status = CAIRN_ENOMEM;
    *to = *from;
    to->servers = servers;
    to->configurations = configurations;
    to->targets = targets;
    if (status != 0)
        cluster_map_free(to);
    return status;
}

void cluster_map_free(struct cluster_map *map)
{
    free(map->servers);
    free(map->configurations);
    free(map->targets);
    memset(map, 0, sizeof *map);
}
