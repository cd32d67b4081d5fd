/* Who may be which server: registration and the identity checks of every call (ARCHITECTURE.md
 * R10).
 *
 * A server is known by the store in its data directory. What a registration under a known id means:
 *
 *   store            directory   meaning, and what is done
 *   the registered   any         a restart (incarnation grew), a repeated call (same), or something
 *                                older than what registered last (refused)
 *   another          in use      two data directories claim one id: refused
 *   another          empty       the disk was wiped or not mounted, or a second process was started
 *                                under this id: refused unless the operator said --replace-store
 * and nobody with the registered store is heard any more retired          any         it was
 * replaced before: refused for ever
 *
 * A directory is empty if it holds no cluster id. */
#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

#include "base/check.h"
#include "manager/membership.h"
#include "manager/membership_internal.h"

typedef unsigned long long ull; /* for %llu and %llx, the widest that printf names */

/* --- addresses --- */

enum host_kind { HOST_NAME, HOST_WILDCARD, HOST_LOOPBACK, HOST_LITERAL };

static enum host_kind host_kind(const char *host, struct in6_addr *literal)
{
    struct in_addr four;

    memset(literal, 0, sizeof *literal);
    if (strcasecmp(host, "localhost") == 0)
        return HOST_LOOPBACK;
    if (inet_pton(AF_INET, host, &four) == 1) {
        memcpy(literal->s6_addr + 12, &four, sizeof four);
        literal->s6_addr[10] = literal->s6_addr[11] = 0xff;
        if (four.s_addr == htonl(INADDR_ANY))
            return HOST_WILDCARD;
        return four.s_addr == htonl(INADDR_LOOPBACK) ? HOST_LOOPBACK : HOST_LITERAL;
    }
    if (inet_pton(AF_INET6, host, literal) != 1)
        return HOST_NAME;
    if (IN6_IS_ADDR_UNSPECIFIED(literal))
        return HOST_WILDCARD;
    return IN6_IS_ADDR_LOOPBACK(literal) ? HOST_LOOPBACK : HOST_LITERAL;
}

/* Whether a server that listens on `listen` may be the one expected at `expected`. localhost,
 * 127.0.0.1 and ::1 count as one. Other names are not resolved here: only their port is judged. */
static bool may_be_at(const struct address *listen, const struct address *expected)
{
    struct in6_addr left, right;
    const enum host_kind listens = host_kind(listen->host, &left);
    const enum host_kind expects = host_kind(expected->host, &right);

    if (listen->port != expected->port)
        return false;
    if (listens == HOST_WILDCARD || listens == HOST_NAME || expects == HOST_NAME)
        return true;
    if (listens == HOST_LOOPBACK || expects == HOST_LOOPBACK)
        return listens == expects;
    return memcmp(&left, &right, sizeof left) == 0;
}

static bool check_address(const struct map_server *known, const struct register_args *args,
                          struct membership_reply *reply)
{
    char text[CAIRN_ADDRESS_LIMIT + 1] = {0};
    struct address listen;
    struct error error = {0};

    CHECK(args->listen.length <= CAIRN_ADDRESS_LIMIT);
    if (args->listen.length > 0)
        memcpy(text, args->listen.data, args->listen.length);
    if (strlen(text) != args->listen.length || address_parse(text, &listen, &error) != 0)
        return membership_refuse(reply, MANAGER_INVALID,
                                 "server %u registers with an invalid listen address: %.300s",
                                 known->id, error.message);
    if (!may_be_at(&listen, &known->address))
        return membership_refuse(
            reply, MANAGER_WRONG_ADDRESS,
            "server %u listens on %s, but the manager's --servers names %s for id %u", known->id,
            text, known->address_text, known->id);
    return true;
}

/* --- cluster and id --- */

bool membership_check_cluster(const struct membership *membership,
                              const struct server_identity *who, struct membership_reply *reply)
{
    const struct cluster_map *map = &membership->map;

    if (who->server < map->server_count && map->servers[who->server].removed)
        return membership_refuse(
            reply, MANAGER_UNKNOWN_SERVER,
            "server %u (%.264s) was removed from the cluster; its id is not used "
            "again",
            who->server, map->servers[who->server].address_text);
    if (who->server >= map->server_count)
        return membership_refuse(
            reply, MANAGER_UNKNOWN_SERVER,
            "server %u (store %016llx) is not expected: the manager's --servers names %zu, with "
            "ids 0 to %zu",
            who->server, (ull)who->store, map->server_count, map->server_count - 1);
    if (who->store == 0 || who->incarnation == 0)
        return membership_refuse(reply, MANAGER_INVALID,
                                 "server %u names no store or no incarnation", who->server);
    if (who->cluster == 0 || who->cluster == map->cluster)
        return true;
    /* R10: an empty manager refuses servers that hold a cluster id. */
    if (map->configurations == NULL)
        return membership_refuse(
            reply, MANAGER_EMPTY_MANAGER,
            "server %u (store %016llx) belongs to cluster %016llx, but this manager is new "
            "(cluster "
            "%016llx, no data): start the manager on its old data directory, or the server on an "
            "empty one",
            who->server, (ull)who->store, (ull)who->cluster, (ull)map->cluster);
    return membership_refuse(
        reply, MANAGER_WRONG_CLUSTER,
        "server %u (store %016llx) belongs to cluster %016llx, this manager to cluster %016llx",
        who->server, (ull)who->store, (ull)who->cluster, (ull)map->cluster);
}

/* A store that was never registered here although it holds this cluster's id: registrations are
 * durable before a server hears the id, so the manager's directory must have been rolled back. */
static bool refuse_forgotten(const struct server_identity *who, struct membership_reply *reply)
{
    return membership_refuse(
        reply, MANAGER_EMPTY_MANAGER,
        "server %u (store %016llx) belongs to cluster %016llx, but was never registered in this "
        "manager's data directory, which must be an older copy",
        who->server, (ull)who->store, (ull)who->cluster);
}

static bool refuse_stale(const struct server_identity *who, const struct map_server *known,
                         struct membership_reply *reply)
{
    return membership_refuse(
        reply, MANAGER_STALE,
        "server %u (store %016llx) calls with incarnation %llu, but %llu has registered since",
        who->server, (ull)who->store, (ull)who->incarnation, (ull)known->incarnation);
}

/* --- stores --- */

static bool refuse_duplicate(const struct server_identity *who, const struct map_server *known,
                             struct membership_reply *reply)
{
    return membership_refuse(
        reply, MANAGER_DUPLICATE_ID,
        "server %u is registered with store %016llx, but the caller under this id holds store "
        "%016llx with data of the cluster: two data directories claim one id",
        who->server, (ull)known->store, (ull)who->store);
}

/* A store belongs to one id and, once retired, to none. */
static bool check_store_unclaimed(const struct membership *membership,
                                  const struct server_identity *who, struct membership_reply *reply)
{
    const struct replica_id *retired = membership_retired_store(membership, who->store);

    if (retired != NULL)
        return membership_refuse(
            reply, MANAGER_DUPLICATE_ID,
            "server %u calls with store %016llx, which was server %u's until it was replaced",
            who->server, (ull)who->store, retired->server);
    for (size_t i = 0; i < membership->map.server_count; i++)
        if (i != who->server && membership->map.servers[i].store == who->store)
            return membership_refuse(
                reply, MANAGER_DUPLICATE_ID,
                "server %u calls with store %016llx, which is registered as server %zu's (%s)",
                who->server, (ull)who->store, i, membership->map.servers[i].address_text);
    return true;
}

static bool refuse_wiped(const struct membership *membership, uint64_t now_ms,
                         const struct server_identity *who, struct membership_reply *reply)
{
    const struct map_server *known = &membership->map.servers[who->server];

    if (membership->heard[who->server] &&
        now_ms - membership->heard_ms[who->server] < MEMBERSHIP_ALIVE_MS)
        return membership_refuse(
            reply, MANAGER_DUPLICATE_ID,
            "server %u is registered with store %016llx and was heard %llu ms ago, but the caller "
            "comes with an empty data directory (store %016llx): either another process runs under "
            "this id, or the directory was lost; --replace-store is accepted once the old one is "
            "off",
            who->server, (ull)known->store, (ull)(now_ms - membership->heard_ms[who->server]),
            (ull)who->store);
    return membership_refuse(
        reply, MANAGER_WIPED_STORE,
        "server %u is registered with store %016llx, but comes with an empty data directory (store "
        "%016llx): mount or restore its disk, or start it with --replace-store to give up the old "
        "store for ever",
        who->server, (ull)known->store, (ull)who->store);
}

static bool check_replacement(const struct membership *membership, uint64_t now_ms,
                              const struct register_args *args, struct membership_reply *reply)
{
    const struct server_identity *who = &args->who;
    const struct map_server *known = &membership->map.servers[who->server];
    const bool alive = membership->heard[who->server] &&
                       now_ms - membership->heard_ms[who->server] < MEMBERSHIP_ALIVE_MS;

    if (who->cluster != 0)
        return refuse_duplicate(who, known, reply);
    if (alive || !args->replace_store)
        return refuse_wiped(membership, now_ms, who, reply);
    if (membership->retired_count == MEMBERSHIP_RETIRED_LIMIT)
        return membership_refuse(
            reply, MANAGER_INVALID,
            "server %u: %d stores were replaced already, the most there can be", who->server,
            MEMBERSHIP_RETIRED_LIMIT);
    return true;
}

static bool check_store(const struct membership *membership, uint64_t now_ms,
                        const struct register_args *args, struct membership_reply *reply)
{
    const struct server_identity *who = &args->who;
    const struct map_server *known = &membership->map.servers[who->server];

    if (!check_store_unclaimed(membership, who, reply))
        return false;
    if (known->store == 0)
        return who->cluster == 0 || refuse_forgotten(who, reply);
    if (known->store != who->store)
        return check_replacement(membership, now_ms, args, reply);
    return who->incarnation >= known->incarnation || refuse_stale(who, known, reply);
}

/* --- events --- */

bool membership_check_caller(struct membership *membership, uint64_t now_ms,
                             const struct server_identity *who, struct membership_reply *reply)
{
    const struct map_server *known;

    if (!membership_check_cluster(membership, who, reply))
        return false;
    known = &membership->map.servers[who->server];
    if (who->cluster == 0)
        return membership_refuse(reply, MANAGER_INVALID,
                                 "server %u (store %016llx) calls before it has registered",
                                 who->server, (ull)who->store);
    if (!check_store_unclaimed(membership, who, reply))
        return false;
    if (known->store == 0)
        return refuse_forgotten(who, reply);
    if (known->store != who->store)
        return refuse_duplicate(who, known, reply);
    if (who->incarnation < known->incarnation)
        return refuse_stale(who, known, reply);
    if (who->incarnation > known->incarnation)
        return membership_refuse(
            reply, MANAGER_INVALID,
            "server %u calls with incarnation %llu before it has registered with it", who->server,
            (ull)who->incarnation);
    membership->heard[who->server] = true;
    membership->heard_ms[who->server] = now_ms;
    return true;
}

int membership_register(struct membership *membership, uint64_t now_ms,
                        const struct register_args *args, struct membership_reply *reply)
{
    const struct server_identity *who = &args->who;
    const struct map_server *known;
    struct change change = {.kind = CHANGE_SERVER};
    int status;

    membership_reply_init(reply);
    if (!membership_check_cluster(membership, who, reply))
        return 0;
    known = &membership->map.servers[who->server];
    if (!check_address(known, args, reply) || !check_store(membership, now_ms, args, reply))
        return 0;
    status = membership_reserve_changes(membership, 1);
    if (status != 0)
        return status;
    membership->heard[who->server] = true;
    membership->heard_ms[who->server] = now_ms;
    if (known->store != who->store)
        membership->reports[who->server].count = 0;
    if (known->store != who->store || known->incarnation != who->incarnation) {
        change.server.server = who->server;
        change.server.store = who->store;
        change.server.incarnation = who->incarnation;
        membership_change(membership, &change);
        reply->changed = true;
    }
    status = membership_place(membership);
    return status != 0 ? status : membership_attach_map(membership, 0, reply);
}
