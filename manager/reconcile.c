/* Targets are kept on servers that are there to stay: see reconcile.h. */
#include "manager/reconcile.h"

#include <string.h>

#include "base/check.h"
#include "manager/membership_internal.h"

static void count_copies(struct roster *roster, const struct cluster_map *map)
{
    for (uint32_t i = 0; map->targets != NULL && i < map->partitions; i++)
        for (uint32_t j = 0; j < map->targets[i].server_count; j++)
            roster->copies[map->targets[i].servers[j]]++;
}

void roster_init(struct roster *roster, const struct membership *membership, uint64_t now_ms)
{
    memset(roster, 0, sizeof *roster);
    roster->server_count = (uint32_t)membership->map.server_count;
    for (uint32_t i = 0; i < roster->server_count; i++) {
        const struct map_server *server = &membership->map.servers[i];

        roster->keeps[i] =
            server->store != 0 && !server->draining && !server->removed &&
            membership_silent_ms(membership, now_ms, i) <= membership->replace_after_ms;
        roster->takes[i] = roster->keeps[i] &&
                           membership_heard_within(membership, now_ms, i, MEMBERSHIP_USABLE_MS);
    }
    count_copies(roster, &membership->map);
}

uint32_t roster_pick(const struct roster *roster, const struct target *target)
{
    uint32_t best = UINT32_MAX;

    for (uint32_t i = 0; i < roster->server_count; i++)
        if (roster->takes[i] && !target_has(target, i) &&
            (best == UINT32_MAX || roster->copies[i] < roster->copies[best]))
            best = i;
    return best;
}

bool roster_repair(struct roster *roster, uint32_t replicas, struct target *target)
{
    bool changed = false;

    for (uint32_t i = 0; i < target->server_count; i++) {
        const uint32_t old = target->servers[i];
        const uint32_t new = roster->keeps[old] ? UINT32_MAX : roster_pick(roster, target);

        if (new == UINT32_MAX)
            continue;
        roster->copies[old]--;
        roster->copies[new]++;
        target->servers[i] = new;
        if (target->primary == old)
            target->primary = TARGET_ANY;
        changed = true;
    }
    while (target->server_count < replicas) {
        const uint32_t new = roster_pick(roster, target);

        if (new == UINT32_MAX)
            break;
        roster->copies[new]++;
        target->servers[target->server_count++] = new;
        changed = true;
    }
    return changed;
}

/* A process that stood still, or was stopped, heard nobody: that tells nothing about the servers.
 */
static void note_step(struct membership *membership, uint64_t now_ms)
{
    if (now_ms > membership->reconciled_ms + MEMBERSHIP_PAUSE_MS)
        membership->listening_ms = now_ms;
    membership->reconciled_ms = now_ms;
}

int membership_reconcile(struct membership *membership, uint64_t now_ms)
{
    const struct cluster_map *map = &membership->map;
    struct roster roster;
    int status;

    note_step(membership, now_ms);
    if (map->targets == NULL)
        return 0;
    roster_init(&roster, membership, now_ms);
    for (uint32_t i = 0; i < map->partitions; i++) {
        struct change change = {.kind = CHANGE_TARGET};

        change.target.partition = i;
        change.target.target = map->targets[i];
        if (!roster_repair(&roster, map->replicas, &change.target.target))
            continue;
        status = membership_reserve_changes(membership, 1);
        if (status != 0)
            return status;
        membership_change(membership, &change);
    }
    return 0;
}

bool membership_is_moving(const struct cluster_map *map, uint32_t partition)
{
    const struct configuration *configuration = &map->configurations[partition];
    const struct target *target = &map->targets[partition];

    if (configuration->learner_count > 0 || configuration->member_count != target->server_count)
        return true;
    for (uint32_t i = 0; i < configuration->member_count; i++)
        if (!target_has(target, configuration->members[i].server))
            return true;
    return target->primary != TARGET_ANY && target->primary != configuration->primary.server;
}
