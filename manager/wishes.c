/* The next step of each partition towards its target, asked of its primary: see reconcile.h. */
#include <stdlib.h>

#include "manager/membership_internal.h"
#include "manager/reconcile.h"

struct wishing {
    const struct membership *membership;
    const struct cluster_map *map;
    uint64_t now_ms;
    uint32_t learners[CAIRN_SERVERS_LIMIT]; /* that catch up there, or were wished just now */
    uint32_t leads[CAIRN_SERVERS_LIMIT];
};

static void count_all(struct wishing *wishing)
{
    const struct cluster_map *map = wishing->map;

    for (uint32_t i = 0; i < map->partitions; i++) {
        const struct configuration *configuration = &map->configurations[i];

        wishing->leads[configuration->primary.server]++;
        for (uint32_t j = 0; j < configuration->learner_count; j++)
            wishing->learners[configuration->learners[j].server]++;
    }
}

static bool is_usable(const struct wishing *wishing, uint32_t server)
{
    return membership_heard_within(wishing->membership, wishing->now_ms, server,
                                   MEMBERSHIP_USABLE_MS);
}

/* R10: a store that was replaced is gone. */
static bool is_current(const struct wishing *wishing, const struct replica_id *copy)
{
    return wishing->map->servers[copy->server].store == copy->store;
}

static bool holds(const struct replica_id *copies, uint32_t count, uint32_t server)
{
    for (uint32_t i = 0; i < count; i++)
        if (copies[i].server == server)
            return true;
    return false;
}

static bool is_member(const struct configuration *configuration, uint32_t server)
{
    return holds(configuration->members, configuration->member_count, server);
}

static bool ask(struct wish *wanted, enum wish_kind kind, const struct replica_id *subject)
{
    wanted->kind = kind;
    wanted->server = subject->server;
    wanted->store = subject->store;
    return true;
}

/* Copies of stores that are gone, and learners that are not wanted any more. */
static bool wish_away_useless(const struct wishing *wishing,
                              const struct configuration *configuration,
                              const struct target *target, struct wish *wanted)
{
    for (uint32_t i = 0; i < configuration->learner_count; i++)
        if (!is_current(wishing, &configuration->learners[i]) ||
            !target_has(target, configuration->learners[i].server))
            return ask(wanted, WISH_REMOVE, &configuration->learners[i]);
    for (uint32_t i = 0; i < configuration->member_count; i++)
        if (!is_current(wishing, &configuration->members[i]))
            return ask(wanted, WISH_REMOVE, &configuration->members[i]);
    return false;
}

/* A server that was dropped because it fell silent may still count as heard: it was heard again
 * only if that was after it was dropped. */
static bool was_heard_since(const struct wishing *wishing, uint32_t partition, uint32_t server)
{
    return is_usable(wishing, server) &&
           wishing->membership->heard_ms[server] > wishing->membership->configured_ms[partition];
}

/* R8: a copy that shall be there begins as a learner. A server that comes back is let in here. */
static bool wish_for_missing(struct wishing *wishing, const struct configuration *configuration,
                             const struct target *target, struct wish *wanted)
{
    if (configuration->learner_count == CAIRN_REPLICAS_LIMIT)
        return false;
    for (uint32_t i = 0; i < target->server_count; i++) {
        const uint32_t server = target->servers[i];
        const struct replica_id copy = {.server = server,
                                        .store = wishing->map->servers[server].store};

        if (is_member(configuration, server) ||
            holds(configuration->learners, configuration->learner_count, server) ||
            copy.store == 0 || !was_heard_since(wishing, configuration->partition, server) ||
            wishing->learners[server] >= MEMBERSHIP_LEARNERS_LIMIT)
            continue;
        wishing->learners[server]++;
        return ask(wanted, WISH_LEARNER, &copy);
    }
    return false;
}

static bool wish_switch(struct wishing *wishing, const struct configuration *configuration,
                        uint32_t server, struct wish *wanted)
{
    for (uint32_t i = 0; i < configuration->member_count; i++) {
        if (configuration->members[i].server != server)
            continue;
        wishing->leads[configuration->primary.server]--;
        wishing->leads[server]++;
        return ask(wanted, WISH_SWITCH, &configuration->members[i]);
    }
    return false;
}

/* The member of the target that shall lead in place of a primary outside of it; UINT32_MAX: none is
 * there now. */
static uint32_t pick_leader(const struct wishing *wishing,
                            const struct configuration *configuration, const struct target *target)
{
    uint32_t best = UINT32_MAX;

    if (target->primary != TARGET_ANY && is_usable(wishing, target->primary))
        return target->primary;
    for (uint32_t i = 0; i < target->server_count; i++) {
        const uint32_t server = target->servers[i];

        if (is_member(configuration, server) && is_usable(wishing, server) &&
            (best == UINT32_MAX || wishing->leads[server] < wishing->leads[best]))
            best = server;
    }
    return best;
}

/* Only once all wanted copies are members: there are never fewer than before. */
static bool wish_away_outsiders(struct wishing *wishing, const struct configuration *configuration,
                                const struct target *target, struct wish *wanted)
{
    for (uint32_t i = 0; i < target->server_count; i++)
        if (!is_member(configuration, target->servers[i]))
            return false;
    for (uint32_t i = 0; i < configuration->member_count; i++)
        if (configuration->members[i].server != configuration->primary.server &&
            !target_has(target, configuration->members[i].server))
            return ask(wanted, WISH_REMOVE, &configuration->members[i]);
    if (!target_has(target, configuration->primary.server))
        return wish_switch(wishing, configuration, pick_leader(wishing, configuration, target),
                           wanted);
    return false;
}

static bool wish_for_leader(struct wishing *wishing, const struct configuration *configuration,
                            const struct target *target, struct wish *wanted)
{
    if (target->primary == TARGET_ANY || target->primary == configuration->primary.server ||
        !is_usable(wishing, target->primary))
        return false;
    return wish_switch(wishing, configuration, target->primary, wanted);
}

static bool choose(struct wishing *wishing, uint32_t partition, struct wish *wanted)
{
    const struct configuration *configuration = &wishing->map->configurations[partition];
    const struct target *target = &wishing->map->targets[partition];

    wanted->partition = partition;
    wanted->epoch = configuration->epoch;
    return wish_away_useless(wishing, configuration, target, wanted) ||
           wish_for_missing(wishing, configuration, target, wanted) ||
           wish_away_outsiders(wishing, configuration, target, wanted) ||
           wish_for_leader(wishing, configuration, target, wanted);
}

static bool leads(const struct configuration *configuration, const struct server_identity *who)
{
    return configuration->primary.server == who->server &&
           configuration->primary.store == who->store &&
           configuration->primary.incarnation == who->incarnation;
}

int membership_wishes(const struct membership *membership, uint64_t now_ms,
                      const struct server_identity *who, struct membership_reply *reply)
{
    const struct cluster_map *map = &membership->map;
    struct wishing wishing = {.membership = membership, .map = map, .now_ms = now_ms};

    if (map->targets == NULL)
        return 0;
    reply->wishes = calloc(map->partitions, sizeof *reply->wishes);
    if (reply->wishes == NULL)
        return CAIRN_ENOMEM;
    count_all(&wishing);
    for (uint32_t i = 0; i < map->partitions; i++)
        if (leads(&map->configurations[i], who) &&
            choose(&wishing, i, &reply->wishes[reply->wish_count]))
            reply->wish_count++;
    return 0;
}
