/* What an operator asks for: servers come and go, copies and leads move (ARCHITECTURE.md R11).
 *
 * Nothing here changes a configuration, but for unsafe recovery (admin_recover.c): a call changes
 * targets and flags, and the primaries are asked for the steps (wishes.c). Each call can be
 * repeated: what is done already stays done and is answered in the same way. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "manager/admin.h"
#include "manager/membership_internal.h"
#include "manager/rebalance.h"
#include "manager/reconcile.h"

enum { MOVES_LIMIT = CAIRN_PARTITIONS_LIMIT }; /* of a reply; more are made, but not listed */

/* --- shared --- */

void admin_say(struct admin *admin, const char *format, ...)
{
    va_list arguments;

    admin->reply->status = MANAGER_OK;
    va_start(arguments, format);
    (void)vsnprintf(admin->reply->message, sizeof admin->reply->message, format, arguments);
    va_end(arguments);
}

static void list_move(struct membership_reply *reply, uint32_t partition, uint32_t from,
                      uint32_t to, bool leads)
{
    if (reply->move_count < MOVES_LIMIT)
        reply->moves[reply->move_count++] = (struct planned_move){partition, from, to, leads};
}

/* The next server from `*at` on that is in `in` and not in `other`; UINT32_MAX: none. */
static uint32_t next_only_in(const struct target *in, const struct target *other, uint32_t *at)
{
    while (*at < in->server_count) {
        const uint32_t server = in->servers[(*at)++];

        if (!target_has(other, server))
            return server;
    }
    return UINT32_MAX;
}

/* Each copy that comes is paired with one that goes; without one the primary is what it is made
 * from. */
static void list_moves(struct admin *admin, uint32_t partition, const struct target *before,
                       const struct target *after)
{
    const uint32_t primary = admin->membership->map.configurations[partition].primary.server;
    const bool lead_moves = after->primary != TARGET_ANY && after->primary != primary;
    bool lead_listed = false;
    uint32_t gone = 0, come = 0, from, to;

    while ((to = next_only_in(after, before, &come)) != UINT32_MAX) {
        bool leads;

        from = next_only_in(before, after, &gone);
        leads = lead_moves ? to == after->primary : from == primary;
        list_move(admin->reply, partition, from == UINT32_MAX ? primary : from, to, leads);
        lead_listed = lead_listed || leads;
    }
    if (lead_moves && !lead_listed)
        list_move(admin->reply, partition, primary, after->primary, true);
}

static bool same_target(const struct target *left, const struct target *right)
{
    if (left->server_count != right->server_count || left->primary != right->primary)
        return false;
    for (uint32_t i = 0; i < left->server_count; i++)
        if (left->servers[i] != right->servers[i])
            return false;
    return true;
}

int admin_set_target(struct admin *admin, uint32_t partition, const struct target *target)
{
    const struct target *present = &admin->membership->map.targets[partition];
    struct change change = {.kind = CHANGE_TARGET};
    int status;

    if (same_target(present, target))
        return 0;
    if (admin->reply->moves == NULL)
        admin->reply->moves = calloc(MOVES_LIMIT, sizeof *admin->reply->moves);
    if (admin->reply->moves == NULL)
        return CAIRN_ENOMEM;
    list_moves(admin, partition, present, target);
    admin->target_count++;
    if (admin->args->dry_run)
        return 0;
    status = membership_reserve_changes(admin->membership, 1);
    if (status != 0)
        return status;
    change.target.partition = partition;
    change.target.target = *target;
    membership_change(admin->membership, &change);
    return 0;
}

/* The server that the call names, or NULL and a refusal. */
static const struct map_server *find_server(struct admin *admin)
{
    const struct cluster_map *map = &admin->membership->map;

    if (admin->args->server < map->server_count)
        return &map->servers[admin->args->server];
    membership_refuse(admin->reply, MANAGER_UNKNOWN_SERVER,
                      "server %u is not in the cluster, which has ids 0 to %zu",
                      admin->args->server, map->server_count - 1);
    return NULL;
}

static bool check_present(struct admin *admin, const struct map_server *server)
{
    if (!server->removed)
        return true;
    return membership_refuse(admin->reply, MANAGER_INVALID,
                             "server %u (%s) was removed from the cluster", server->id,
                             server->address_text);
}

static int change_roster(struct admin *admin, const struct map_server *server)
{
    const struct change change = {.kind = CHANGE_ROSTER, .roster = *server};
    int status = membership_reserve_changes(admin->membership, 1);

    if (status == 0)
        membership_change(admin->membership, &change);
    return status;
}

/* --- copies and leads --- */

static bool check_taker(struct admin *admin, const struct map_server *server)
{
    const uint64_t silent_ms = membership_silent_ms(admin->membership, admin->now_ms, server->id);

    if (!check_present(admin, server))
        return false;
    if (server->draining)
        return membership_refuse(admin->reply, MANAGER_INVALID,
                                 "server %u is draining: nothing can move there", server->id);
    if (server->store == 0)
        return membership_refuse(admin->reply, MANAGER_INVALID,
                                 "server %u (%s) has never registered: start it first", server->id,
                                 server->address_text);
    if (silent_ms >= MEMBERSHIP_LOST_MS)
        return membership_refuse(admin->reply, MANAGER_INVALID,
                                 "server %u was not heard for %llu ms: nothing can move there",
                                 server->id, (unsigned long long)silent_ms);
    return true;
}

static void aim_at(struct target *target, uint32_t primary, uint32_t server)
{
    uint32_t place = 0;

    target->primary = server;
    if (target_has(target, server))
        return;
    for (uint32_t i = 0; i < target->server_count; i++)
        if (target->servers[i] == primary)
            place = i;
    target->servers[place] = server;
}

static int move(struct admin *admin)
{
    const struct cluster_map *map = &admin->membership->map;
    const uint32_t partition = admin->args->partition;
    const struct map_server *server = find_server(admin);
    struct target target;
    uint32_t primary;
    int status;

    if (server == NULL || !check_taker(admin, server))
        return 0;
    if (partition >= map->partitions) {
        membership_refuse(admin->reply, MANAGER_INVALID, "partition %u: there are only %u",
                          partition, map->partitions);
        return 0;
    }
    primary = map->configurations[partition].primary.server;
    target = map->targets[partition];
    aim_at(&target, primary, server->id);
    status = admin_set_target(admin, partition, &target);
    if (primary == server->id)
        admin_say(admin, "partition %u: server %u leads it and stays", partition, primary);
    else
        admin_say(admin, "partition %u: server %u %s lead it in place of server %u", partition,
                  server->id, admin->args->dry_run ? "would" : "shall", primary);
    return status;
}

static int count_keepers(const struct roster *roster)
{
    int count = 0;

    for (uint32_t i = 0; i < roster->server_count; i++)
        count += roster->keeps[i];
    return count;
}

static int repair_all(struct admin *admin, struct roster *roster)
{
    const struct cluster_map *map = &admin->membership->map;
    int status = 0;

    for (uint32_t i = 0; map->targets != NULL && i < map->partitions && status == 0; i++) {
        struct target target = map->targets[i];

        if (roster_repair(roster, map->replicas, &target))
            status = admin_set_target(admin, i, &target);
    }
    return status;
}

static int drain(struct admin *admin)
{
    const struct map_server *server = find_server(admin);
    struct map_server drained;
    struct roster roster;
    int keepers, status = 0;

    if (server == NULL || !check_present(admin, server))
        return 0;
    roster_init(&roster, admin->membership, admin->now_ms);
    roster.keeps[server->id] = roster.takes[server->id] = false;
    keepers = count_keepers(&roster);
    if (!server->draining && keepers < (int)admin->membership->map.replicas) {
        membership_refuse(admin->reply, MANAGER_INVALID,
                          "server %u cannot be drained: %u copies are wanted of each partition, "
                          "but only %d other servers can hold them; add a server first",
                          server->id, admin->membership->map.replicas, keepers);
        return 0;
    }
    drained = *server;
    drained.draining = true;
    if (!server->draining && !admin->args->dry_run)
        status = change_roster(admin, &drained);
    if (status == 0)
        status = repair_all(admin, &roster);
    if (status == 0 && !admin->args->dry_run)
        status = membership_place(admin->membership);
    admin_say(admin, "server %u %s: %u partitions move away", drained.id,
              admin->args->dry_run ? "would be drained" : "is draining", admin->target_count);
    return status;
}

static int undrain(struct admin *admin)
{
    const struct map_server *server = find_server(admin);
    struct map_server changed;
    int status = 0;

    if (server == NULL || !check_present(admin, server))
        return 0;
    changed = *server;
    changed.draining = false;
    if (server->draining && !admin->args->dry_run)
        status = change_roster(admin, &changed);
    admin_say(admin, "server %u may hold copies; rebalance moves some there", changed.id);
    return status;
}

static int rebalance_all(struct admin *admin)
{
    const struct cluster_map *map = &admin->membership->map;
    struct target *targets = calloc(map->partitions, sizeof *targets);
    struct roster roster;
    int status = CAIRN_ENOMEM;

    if (targets != NULL) {
        memcpy(targets, map->targets, map->partitions * sizeof *targets);
        roster_init(&roster, admin->membership, admin->now_ms);
        status = rebalance(map, &roster, targets);
    }
    for (uint32_t i = 0; i < map->partitions && status == 0; i++)
        status = admin_set_target(admin, i, &targets[i]);
    free(targets);
    if (admin->target_count == 0)
        admin_say(admin, "copies and primaries are spread evenly already");
    else
        admin_say(admin, "%u of %u partitions %s", admin->target_count, map->partitions,
                  admin->args->dry_run ? "would change" : "change");
    return status;
}

/* --- servers come and go --- */

static bool parse_address(struct admin *admin, struct map_server *server)
{
    const struct view *given = &admin->args->address;
    char text[CAIRN_ADDRESS_LIMIT + 1] = {0};
    struct error error = {0};

    CHECK(given->length <= CAIRN_ADDRESS_LIMIT);
    if (given->length > 0)
        memcpy(text, given->data, given->length);
    if (strlen(text) != given->length || address_parse(text, &server->address, &error) != 0)
        return membership_refuse(admin->reply, MANAGER_INVALID, "the server's address: %.300s",
                                 error.message);
    address_format(&server->address, server->address_text);
    return true;
}

static int add_server(struct admin *admin)
{
    const struct cluster_map *map = &admin->membership->map;
    struct map_server server = {.id = (uint32_t)map->server_count};
    int status = 0;

    if (!parse_address(admin, &server))
        return 0;
    for (uint32_t i = 0; i < map->server_count; i++) {
        if (map->servers[i].removed || !address_equal(&map->servers[i].address, &server.address))
            continue;
        admin->reply->server = i;
        admin_say(admin, "server %u is at %s already", i, server.address_text);
        return 0;
    }
    if (map->server_count == CAIRN_SERVERS_LIMIT) {
        membership_refuse(admin->reply, MANAGER_INVALID,
                          "%s: no more servers: there were %d already, the most there can be",
                          server.address_text, CAIRN_SERVERS_LIMIT);
        return 0;
    }
    admin->reply->server = server.id;
    if (!admin->args->dry_run)
        status = change_roster(admin, &server);
    admin_say(admin, "server %u at %s %s; start it with --id %u, then rebalance", server.id,
              server.address_text, admin->args->dry_run ? "would be added" : "is in the cluster",
              server.id);
    return status;
}

static void count_uses(const struct cluster_map *map, uint32_t server, uint32_t *copies,
                       uint32_t *targets)
{
    *copies = *targets = 0;
    for (uint32_t i = 0; map->configurations != NULL && i < map->partitions; i++) {
        const struct configuration *configuration = &map->configurations[i];

        for (uint32_t j = 0; j < configuration->member_count; j++)
            *copies += configuration->members[j].server == server;
        for (uint32_t j = 0; j < configuration->learner_count; j++)
            *copies += configuration->learners[j].server == server;
        *targets += target_has(&map->targets[i], server);
    }
}

static int remove_server(struct admin *admin)
{
    const struct cluster_map *map = &admin->membership->map;
    const struct map_server *server = find_server(admin);
    struct map_server removed;
    uint32_t copies, targets;
    int status = 0;

    if (server == NULL)
        return 0;
    removed = *server;
    removed.removed = true;
    removed.draining = false; /* that is over */
    count_uses(map, server->id, &copies, &targets);
    if (!server->draining && !server->removed) {
        membership_refuse(admin->reply, MANAGER_INVALID,
                          "server %u is not draining: drain it first", server->id);
        return 0;
    }
    if (copies > 0 || targets > 0) {
        membership_refuse(admin->reply, MANAGER_INVALID,
                          "server %u is draining: it still holds %u copies, and %u partitions are "
                          "to stay there: try again later",
                          server->id, copies, targets);
        return 0;
    }
    if (!server->removed && !admin->args->dry_run)
        status = change_roster(admin, &removed);
    admin_say(admin, "server %u (%s) %s the cluster", removed.id, removed.address_text,
              admin->args->dry_run ? "would leave" : "has left");
    return status;
}

/* --- dispatch --- */

static bool check_placed(struct admin *admin)
{
    if (admin->membership->map.configurations != NULL)
        return true;
    return membership_refuse_waiting(admin->membership, admin->reply);
}

static int run(struct admin *admin)
{
    switch (admin->args->kind) {
    case ADMIN_MOVE:
        return check_placed(admin) ? move(admin) : 0;
    case ADMIN_DRAIN:
        return drain(admin);
    case ADMIN_UNDRAIN:
        return undrain(admin);
    case ADMIN_ADD_SERVER:
        return add_server(admin);
    case ADMIN_REMOVE_SERVER:
        return remove_server(admin);
    case ADMIN_REBALANCE:
        return check_placed(admin) ? rebalance_all(admin) : 0;
    case ADMIN_UNSAFE_RECOVER:
        return check_placed(admin) ? admin_recover(admin) : 0;
    }
    membership_refuse(admin->reply, MANAGER_INVALID, "not a call of this version: %d",
                      (int)admin->args->kind);
    return 0;
}

int membership_admin(struct membership *membership, uint64_t now_ms, const struct admin_args *args,
                     struct membership_reply *reply)
{
    struct admin admin = {.membership = membership, .now_ms = now_ms, .args = args, .reply = reply};

    membership_reply_init(reply);
    reply->server = args->server;
    if (!membership_check_client(membership, args->cluster, reply))
        return 0;
    return run(&admin);
}
