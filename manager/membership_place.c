/* The first placement of all partitions: their first configurations and targets. */
#include <stdlib.h>
#include <string.h>

#include "manager/membership.h"
#include "manager/membership_internal.h"
#include "manager/placement.h"

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

/* On success the map has configurations and targets, else it is unchanged. */
static int place_partitions(struct cluster_map *map, const uint32_t *servers, size_t count)
{
    const struct placement placement = {map->partitions, map->replicas, count, servers};
    uint32_t *members = calloc((size_t)map->partitions * map->replicas, sizeof *members);
    struct configuration *configurations = calloc(map->partitions, sizeof *configurations);
    int status = CAIRN_ENOMEM;

    if (members != NULL && configurations != NULL)
        status = placement_compute(&placement, members);
    if (status == 0) {
        for (uint32_t i = 0; i < map->partitions; i++)
            first_configuration(map, i, members + (size_t)i * map->replicas, &configurations[i]);
        map->configurations = configurations;
        status = cluster_map_complete_targets(map);
        if (status != 0)
            map->configurations = NULL;
        else
            configurations = NULL;
    }
    free(members);
    free(configurations);
    return status;
}

int membership_place(struct membership *membership)
{
    uint32_t servers[CAIRN_SERVERS_LIMIT];
    size_t count = 0;
    int status;

    if (membership->map.configurations != NULL)
        return 0;
    for (size_t i = 0; i < membership->map.server_count; i++) {
        const struct map_server *server = &membership->map.servers[i];

        if (server->draining || server->removed)
            continue;
        if (server->store == 0)
            return 0;
        servers[count++] = server->id;
    }
    if (count < membership->map.replicas)
        return 0;
    status = membership_reserve_changes(membership, 1);
    if (status == 0)
        status = place_partitions(&membership->map, servers, count);
    if (status != 0)
        return status;
    membership_next_version(membership);
    membership_note_change(membership, &(struct change){.kind = CHANGE_PLACED});
    return 0;
}
