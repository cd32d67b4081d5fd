/* Unsafe recovery: the operator gives up all copies of a partition but one (ARCHITECTURE.md R9).
 *
 * A partition whose members are all gone waits for them for ever, because none but a member can be
 * promoted. If the operator knows that they do not come back, and that their servers are off, any
 * copy that is left may start a new history. What only the lost members held is lost; their copies
 * are of another history and refused if they come back after all. */
#include "manager/admin.h"
#include "manager/membership_internal.h"

typedef unsigned long long ull;

static const struct copy_report *find_report(const struct membership *membership, uint32_t server,
                                             uint32_t partition)
{
    const struct copy_reports *reports = &membership->reports[server];

    for (uint32_t i = 0; i < reports->count; i++)
        if (reports->items[i].partition == partition)
            return &reports->items[i];
    return NULL;
}

static bool is_alive(const struct admin *admin, uint32_t server)
{
    return membership_heard_within(admin->membership, admin->now_ms, server, MEMBERSHIP_LOST_MS);
}

static bool is_longer(const struct copy_report *left, const struct copy_report *right)
{
    if (left->log.last_epoch != right->log.last_epoch)
        return left->log.last_epoch > right->log.last_epoch;
    return left->log.last_index > right->log.last_index;
}

/* The live server that holds the longest copy; NULL: none holds one. */
static const struct map_server *find_longest(const struct admin *admin)
{
    const struct cluster_map *map = &admin->membership->map;
    const struct copy_report *longest = NULL;
    const struct map_server *best = NULL;

    for (uint32_t i = 0; i < map->server_count; i++) {
        const struct copy_report *report =
            find_report(admin->membership, i, admin->args->partition);

        if (report == NULL || report->log.last_index == 0 || map->servers[i].removed ||
            !is_alive(admin, i) || (longest != NULL && !is_longer(report, longest)))
            continue;
        longest = report;
        best = &map->servers[i];
    }
    return best;
}

/* The server whose copy is taken, or NULL and a refusal. One without a copy will do only if there
 * is none anywhere. */
static const struct map_server *choose(struct admin *admin)
{
    const struct cluster_map *map = &admin->membership->map;
    const struct map_server *longest = find_longest(admin), *server;
    const uint32_t wanted = admin->args->server;

    if (wanted == UINT32_MAX && longest == NULL)
        membership_refuse(admin->reply, MANAGER_INVALID,
                          "partition %u: no server that is heard holds a copy of it; name a server "
                          "to begin with an empty one",
                          admin->args->partition);
    if (wanted == UINT32_MAX)
        return longest;
    if (wanted >= map->server_count) {
        membership_refuse(admin->reply, MANAGER_UNKNOWN_SERVER,
                          "server %u is not in the cluster, which has ids 0 to %zu", wanted,
                          map->server_count - 1);
        return NULL;
    }
    server = &map->servers[wanted];
    if (server->removed || server->store == 0 || !is_alive(admin, wanted))
        membership_refuse(admin->reply, MANAGER_INVALID,
                          "server %u was not heard in the last %d s: it cannot take over", wanted,
                          MEMBERSHIP_LOST_MS / 1000);
    else if (longest != NULL && longest != server &&
             find_report(admin->membership, wanted, admin->args->partition) == NULL)
        membership_refuse(admin->reply, MANAGER_INVALID,
                          "server %u holds no copy of partition %u, but server %u does", wanted,
                          admin->args->partition, longest->id);
    else
        return server;
    return NULL;
}

/* A member that is heard leads or will take the lead by itself: its data would be thrown away. One
 * whose store was replaced is gone. */
static bool check_all_lost(struct admin *admin, const struct configuration *present)
{
    const struct membership *membership = admin->membership;
    const uint64_t listened_ms = admin->now_ms - membership->listening_ms;

    for (uint32_t i = 0; i < present->member_count; i++) {
        const struct replica_id *member = &present->members[i];

        if (is_alive(admin, member->server) &&
            membership->map.servers[member->server].store == member->store)
            return membership_refuse(
                admin->reply, MANAGER_INVALID,
                "partition %u: its member server %u was heard %llu ms ago: nothing is lost yet",
                present->partition, member->server,
                (ull)(admin->now_ms - membership->heard_ms[member->server]));
    }
    if (listened_ms < MEMBERSHIP_LOST_MS)
        return membership_refuse(
            admin->reply, MANAGER_INVALID,
            "partition %u: this manager has listened for %llu ms only; it cannot know before %d s "
            "which servers are lost",
            present->partition, (ull)listened_ms, MEMBERSHIP_LOST_MS / 1000);
    return true;
}

/* Asked again after it was done: the copy that was taken leads alone or has got others since. */
static bool was_recovered(const struct admin *admin, const struct configuration *present)
{
    return present->history > 1 && is_alive(admin, present->primary.server) &&
           (admin->args->server == UINT32_MAX || admin->args->server == present->primary.server);
}

static int start_history(struct admin *admin, const struct configuration *present,
                         const struct map_server *server)
{
    struct change change = {.kind = CHANGE_CONFIGURATION,
                            .step = STEP_RECOVERED,
                            .removed_count = present->member_count};
    struct configuration *next = &change.configuration;
    int status = membership_reserve_changes(admin->membership, 1);

    if (status != 0)
        return status;
    next->partition = present->partition;
    next->history = present->history + 1;
    next->epoch = present->epoch + 1;
    next->member_count = 1;
    next->members[0] = (struct replica_id){.server = server->id, .store = server->store};
    next->primary = next->members[0];
    next->primary.incarnation = server->incarnation;
    membership_change(admin->membership, &change);
    return 0;
}

/* Who named a server that told of no copy is not to think that there was one. */
static void say_recovered(struct admin *admin, uint32_t server)
{
    const uint32_t partition = admin->args->partition;
    const struct copy_report *report = find_report(admin->membership, server, partition);
    const char *starts = admin->args->dry_run ? "would start again" : "starts again";

    if (report == NULL)
        admin_say(admin,
                  "partition %u %s on server %u, which told of no copy of it: it may be empty",
                  partition, starts, server);
    else
        admin_say(
            admin,
            "partition %u %s from the copy of server %u, which ends at entry %llu; all others "
            "are given up",
            partition, starts, server, (ull)report->log.last_index);
}

int admin_recover(struct admin *admin)
{
    const struct cluster_map *map = &admin->membership->map;
    const uint32_t partition = admin->args->partition;
    const struct configuration *present;
    const struct map_server *server;
    struct target target = {.server_count = 1, .primary = TARGET_ANY};
    int status;

    if (partition >= map->partitions) {
        membership_refuse(admin->reply, MANAGER_INVALID, "partition %u: there are only %u",
                          partition, map->partitions);
        return 0;
    }
    present = &map->configurations[partition];
    if (was_recovered(admin, present)) {
        admin->reply->server = present->primary.server;
        admin_say(admin, "partition %u was recovered: server %u leads it in history %llu",
                  partition, present->primary.server, (ull)present->history);
        return 0;
    }
    if (!check_all_lost(admin, present))
        return 0;
    server = choose(admin);
    if (server == NULL)
        return 0;
    admin->reply->server = server->id;
    target.servers[0] = server->id;
    status = admin_set_target(admin, partition, &target);
    if (status == 0 && !admin->args->dry_run)
        status = start_history(admin, present, server);
    say_recovered(admin, server->id);
    return status;
}
