/* The membership's other events: heartbeats, the map, its status. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "manager/membership.h"
#include "manager/membership_internal.h"
#include "manager/reconcile.h"

bool membership_refuse_waiting(const struct membership *membership, struct membership_reply *reply)
{
    enum { NAMED_MAX = 4 };
    char names[NAMED_MAX * 64] = "";
    size_t missing = 0, expected = 0, used = 0;

    for (size_t i = 0; i < membership->map.server_count; i++) {
        const struct map_server *server = &membership->map.servers[i];
        int length;

        if (server->draining || server->removed)
            continue;
        expected++;
        if (server->store != 0)
            continue;
        if (missing++ >= NAMED_MAX)
            continue;
        length = snprintf(names + used, sizeof names - used, "%s%u (%.40s)",
                          missing == 1 ? "" : ", ", server->id, server->address_text);
        if (length > 0)
            used += (size_t)length;
    }
    if (missing == 0)
        return membership_refuse(reply, MANAGER_WAITING,
                                 "waiting for servers: %u copies need as many, not %zu",
                                 membership->map.replicas, expected);
    if (missing > NAMED_MAX)
        return membership_refuse(reply, MANAGER_WAITING,
                                 "waiting for %zu of %zu servers to register: %s and %zu more",
                                 missing, expected, names, missing - NAMED_MAX);
    return membership_refuse(reply, MANAGER_WAITING,
                             "waiting for %zu of %zu servers to register: %s", missing, expected,
                             names);
}

/* Replaces what the server said before. */
static int take_reports(struct membership *membership, const struct heartbeat_args *args)
{
    struct copy_reports *reports = &membership->reports[args->who.server];
    const uint32_t count = args->partitions.partitions_len;
    struct copy_report *items = realloc(reports->items, (count + 1) * sizeof *items);

    if (items == NULL)
        return CAIRN_ENOMEM;
    memset(items, 0, (count + 1) * sizeof *items);
    for (uint32_t i = 0; i < count; i++) {
        items[i].partition = args->partitions.partitions_val[i].partition;
        if (i < args->logs.logs_len)
            items[i].log = args->logs.logs_val[i];
    }
    reports->items = items;
    reports->count = count;
    return 0;
}

int membership_heartbeat(struct membership *membership, uint64_t now_ms,
                         const struct heartbeat_args *args, struct membership_reply *reply)
{
    int status;

    membership_reply_init(reply);
    if (!membership_check_caller(membership, now_ms, &args->who, reply))
        return 0;
    /* R10: what was told was durable, so only a rolled back data directory can be behind. */
    if (args->map_version > membership->map.version) {
        membership_refuse(
            reply, MANAGER_EMPTY_MANAGER,
            "server %u holds version %llu of the map, this manager only %llu: its data "
            "directory must be an older copy",
            args->who.server, (unsigned long long)args->map_version,
            (unsigned long long)membership->map.version);
        return 0;
    }
    status = take_reports(membership, args);
    if (status == 0)
        status = membership_wishes(membership, now_ms, &args->who, reply);
    return status != 0 ? status : membership_attach_map(membership, args->map_version, reply);
}

bool membership_check_client(const struct membership *membership, uint64_t cluster,
                             struct membership_reply *reply)
{
    if (cluster == 0 || cluster == membership->map.cluster)
        return true;
    return membership_refuse(reply, MANAGER_WRONG_CLUSTER,
                             "the caller expects cluster %016llx, this manager has cluster %016llx",
                             (unsigned long long)cluster,
                             (unsigned long long)membership->map.cluster);
}

int membership_get_map(struct membership *membership, const struct map_args *args,
                       struct membership_reply *reply)
{
    membership_reply_init(reply);
    if (!membership_check_client(membership, args->cluster, reply))
        return 0;
    if (membership->map.configurations == NULL) {
        membership_refuse_waiting(membership, reply);
        return 0;
    }
    return membership_attach_map(membership, args->known_version, reply);
}

static void describe_server(const struct membership *membership, uint64_t now_ms, size_t index,
                            struct server_state *state, struct server_duty *duty)
{
    const struct map_server *server = &membership->map.servers[index];
    const uint64_t since =
        membership->heard[index] ? membership->heard_ms[index] : membership->started_ms;

    state->server = server->id;
    state->address = view_of_text(server->address_text);
    state->registered = server->store != 0;
    state->store = server->store;
    state->incarnation = server->incarnation;
    state->silent_ms = now_ms > since ? now_ms - since : 0;
    duty->draining = server->draining;
    duty->removed = server->removed;
}

/* What the configurations say about the servers, and which of them are not final. */
static void describe_partitions(const struct cluster_map *map, struct membership_reply *reply)
{
    for (uint32_t i = 0; i < map->partitions; i++) {
        const struct configuration *configuration = &map->configurations[i];

        reply->duties[configuration->primary.server].primaries++;
        for (uint32_t j = 0; j < configuration->member_count; j++)
            reply->duties[configuration->members[j].server].copies++;
        if (membership_is_moving(map, i))
            reply->moving[reply->moving_count++] = i;
    }
}

int membership_status(struct membership *membership, uint64_t now_ms,
                      const struct manager_status_args *args, struct membership_reply *reply)
{
    const size_t count = membership->map.server_count;

    membership_reply_init(reply);
    if (!membership_check_client(membership, args->cluster, reply))
        return 0;
    reply->servers = calloc(count, sizeof *reply->servers);
    reply->duties = calloc(count, sizeof *reply->duties);
    reply->moving = calloc(membership->map.partitions, sizeof *reply->moving);
    if (reply->servers == NULL || reply->duties == NULL || reply->moving == NULL)
        return CAIRN_ENOMEM;
    reply->replace_after_ms = membership->replace_after_ms;
    reply->server_count = (uint32_t)count;
    for (size_t i = 0; i < count; i++)
        describe_server(membership, now_ms, i, &reply->servers[i], &reply->duties[i]);
    if (membership->map.configurations != NULL)
        describe_partitions(&membership->map, reply);
    return membership_attach_map(membership, 0, reply);
}
