/* Copies go one by one from the most to the least loaded server, then leads: see rebalance.h.
 *
 * While one server holds two copies more than another, some partition is on the first and not on
 * the second, so a step is always found, and each brings the loads nearer to each other. A lead can
 * go only where a copy is; it may have to pass through several servers: a path in the graph that
 * has an edge from a server to another for each partition that the first leads and the second
 * holds. */
#include "manager/rebalance.h"

#include <stdlib.h>
#include <string.h>

enum { NONE = CAIRN_SERVERS_LIMIT };

struct balance {
    const struct cluster_map *map;
    struct roster *roster;
    struct target *targets;
    uint32_t *lead; /* by partition: the server that shall lead it, or NONE */
    uint32_t leads[CAIRN_SERVERS_LIMIT + 1];
};

/* --- copies --- */

static uint32_t find_extreme(const struct roster *roster, bool most)
{
    uint32_t best = NONE;

    for (uint32_t i = 0; i < roster->server_count; i++)
        if (roster->takes[i] && (best == NONE || (most ? roster->copies[i] > roster->copies[best]
                                                       : roster->copies[i] < roster->copies[best])))
            best = i;
    return best;
}

/* A partition on `from` and not on `to`; rather one that `from` does not lead. */
static uint32_t find_movable(const struct balance *balance, uint32_t from, uint32_t to)
{
    uint32_t found = UINT32_MAX;

    for (uint32_t i = 0; i < balance->map->partitions; i++) {
        if (!target_has(&balance->targets[i], from) || target_has(&balance->targets[i], to))
            continue;
        if (balance->lead[i] != from)
            return i;
        found = i;
    }
    return found;
}

static void set_lead(struct balance *balance, uint32_t partition, uint32_t server)
{
    balance->leads[balance->lead[partition]]--;
    balance->leads[server]++;
    balance->lead[partition] = server;
}

static void move_copy(struct balance *balance, uint32_t partition, uint32_t from, uint32_t to)
{
    struct target *target = &balance->targets[partition];

    for (uint32_t i = 0; i < target->server_count; i++)
        if (target->servers[i] == from)
            target->servers[i] = to;
    balance->roster->copies[from]--;
    balance->roster->copies[to]++;
    if (balance->lead[partition] == from)
        set_lead(balance, partition, to);
}

static void even_copies(struct balance *balance)
{
    const struct roster *roster = balance->roster;

    for (;;) {
        const uint32_t most = find_extreme(roster, true), least = find_extreme(roster, false);
        uint32_t partition;

        if (most == NONE || roster->copies[most] - roster->copies[least] <= 1)
            return;
        partition = find_movable(balance, most, least);
        if (partition == UINT32_MAX)
            return;
        move_copy(balance, partition, most, least);
    }
}

/* --- leads --- */

static uint32_t least_leading(const struct balance *balance, uint32_t partition)
{
    const struct target *target = &balance->targets[partition];
    uint32_t best = NONE;

    for (uint32_t i = 0; i < target->server_count; i++) {
        const uint32_t server = target->servers[i];

        if (balance->roster->takes[server] &&
            (best == NONE || balance->leads[server] < balance->leads[best]))
            best = server;
    }
    return best;
}

/* Who leads now, or shall lead, goes on doing so where possible. */
static void take_leads(struct balance *balance)
{
    for (uint32_t i = 0; i < balance->map->partitions; i++) {
        const struct target *target = &balance->targets[i];
        const uint32_t present = balance->map->configurations[i].primary.server;
        const uint32_t wanted = target->primary != TARGET_ANY ? target->primary : present;

        balance->lead[i] =
            target_has(target, wanted) && balance->roster->takes[wanted] ? wanted : NONE;
        balance->leads[balance->lead[i]]++;
    }
    for (uint32_t i = 0; i < balance->map->partitions; i++)
        if (balance->lead[i] == NONE)
            set_lead(balance, i, least_leading(balance, i));
}

static void even_leads_directly(struct balance *balance)
{
    bool changed;

    do {
        changed = false;
        for (uint32_t i = 0; i < balance->map->partitions; i++) {
            const uint32_t least = least_leading(balance, i);

            if (least == NONE || balance->lead[i] == NONE ||
                balance->leads[least] + 2 > balance->leads[balance->lead[i]])
                continue;
            set_lead(balance, i, least);
            changed = true;
        }
    } while (changed);
}

/* A search from one server along the leads that it and others could give away. */
struct search {
    uint32_t queue[CAIRN_SERVERS_LIMIT], count;
    bool seen[CAIRN_SERVERS_LIMIT];
    uint32_t via[CAIRN_SERVERS_LIMIT]; /* the partition whose lead would come here */
};

static void visit(const struct balance *balance, struct search *search, uint32_t server)
{
    for (uint32_t i = 0; i < balance->map->partitions; i++) {
        const struct target *target = &balance->targets[i];

        if (balance->lead[i] != server)
            continue;
        for (uint32_t j = 0; j < target->server_count; j++) {
            const uint32_t next = target->servers[j];

            if (search->seen[next] || !balance->roster->takes[next])
                continue;
            search->seen[next] = true;
            search->via[next] = i;
            search->queue[search->count++] = next;
        }
    }
}

/* Moves one lead's worth from `from` to a server that leads at least two less. */
static bool shift_lead(struct balance *balance, uint32_t from)
{
    struct search search = {.queue = {from}, .count = 1};

    search.seen[from] = true;
    for (uint32_t i = 0; i < search.count; i++) {
        uint32_t server = search.queue[i];

        if (balance->leads[server] + 2 > balance->leads[from]) {
            visit(balance, &search, server);
            continue;
        }
        while (server != from) {
            const uint32_t partition = search.via[server], giver = balance->lead[partition];

            set_lead(balance, partition, server);
            server = giver;
        }
        return true;
    }
    return false;
}

static void even_leads(struct balance *balance)
{
    even_leads_directly(balance);
    for (uint32_t i = 0; i < balance->roster->server_count; i++)
        while (balance->leads[i] > 0 && shift_lead(balance, i))
            continue;
}

/* The lead is pinned only where it has to go elsewhere, or was pinned before. */
static void pin_leads(struct balance *balance)
{
    for (uint32_t i = 0; i < balance->map->partitions; i++) {
        struct target *target = &balance->targets[i];
        const uint32_t present = balance->map->configurations[i].primary.server;

        if (balance->lead[i] != NONE &&
            (target->primary != TARGET_ANY || balance->lead[i] != present))
            target->primary = balance->lead[i];
    }
}

int rebalance(const struct cluster_map *map, struct roster *roster, struct target *targets)
{
    struct balance balance = {.map = map, .roster = roster, .targets = targets};

    balance.lead = calloc(map->partitions, sizeof *balance.lead);
    if (balance.lead == NULL)
        return CAIRN_ENOMEM;
    for (uint32_t i = 0; i < map->partitions; i++)
        (void)roster_repair(roster, map->replicas, &targets[i]);
    take_leads(&balance);
    even_copies(&balance);
    even_leads(&balance);
    pin_leads(&balance);
    free(balance.lead);
    return 0;
}
