/* A membership in memory for the manager's tests: three servers, or as many as a test wants, each
 * with a store of its own. */
#ifndef CAIRN_TESTS_MANAGER_FIXTURE_H
#define CAIRN_TESTS_MANAGER_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "manager/membership.h"
#include "tests/lib/scratch.h"

enum { SERVERS = 3, PARTITIONS = 8, FIRST_PORT = 3777 };

#define CLUSTER UINT64_C(0xc1)

static inline uint64_t store_of(uint32_t server)
{
    return 0x5000 + server;
}

static inline struct membership *new_membership_with(uint32_t servers, uint32_t replicas,
                                                     uint32_t partitions)
{
    struct cluster_map map = {.cluster = CLUSTER,
                              .version = 1,
                              .partitions = partitions,
                              .replicas = replicas,
                              .server_count = servers};
    struct membership *membership = NULL;

    map.servers = calloc(servers, sizeof *map.servers);
    assert_non_null(map.servers);
    for (uint32_t i = 0; i < servers; i++) {
        struct address *address = &map.servers[i].address;

        map.servers[i].id = i;
        (void)snprintf(address->host, sizeof address->host, "127.0.0.1");
        address->port = (uint16_t)(FIRST_PORT + i);
        address_format(address, map.servers[i].address_text);
    }
    assert_int_equal(membership_create(&map, 1000, &membership, NULL), 0);
    return membership;
}

static inline struct membership *new_membership(uint32_t replicas)
{
    return new_membership_with(SERVERS, replicas, PARTITIONS);
}

static inline struct server_identity identity_of(uint64_t cluster, uint32_t server, uint64_t store,
                                                 uint64_t incarnation)
{
    return (struct server_identity){cluster, server, store, incarnation};
}

struct registration {
    uint64_t cluster, store, incarnation;
    uint32_t server;
    bool replace_store;
    const char *listen; /* NULL: its own */
    uint64_t now_ms;
};

/* Registers and keeps the reply, which the caller frees. */
static inline enum manager_status try_register(struct membership *membership,
                                               const struct registration *wanted,
                                               struct membership_reply *reply)
{
    struct register_args args = {
        .who = identity_of(wanted->cluster, wanted->server, wanted->store, wanted->incarnation),
        .replace_store = wanted->replace_store};
    char own[32];

    (void)snprintf(own, sizeof own, "127.0.0.1:%u", FIRST_PORT + wanted->server);
    args.listen = view_of_text(wanted->listen != NULL ? wanted->listen : own);
    assert_int_equal(membership_register(membership, wanted->now_ms, &args, reply), 0);
    return reply->status;
}

static inline void register_one(struct membership *membership, uint32_t server, uint64_t now_ms)
{
    struct membership_reply reply;

    assert_int_equal(try_register(membership,
                                  &(struct registration){.server = server,
                                                         .store = store_of(server),
                                                         .incarnation = 1,
                                                         .now_ms = now_ms},
                                  &reply),
                     MANAGER_OK);
    membership_reply_free(&reply);
}

/* All servers registered with their first incarnation, the partitions placed. */
static inline struct membership *placed_membership_with(uint32_t servers, uint32_t replicas,
                                                        uint32_t partitions)
{
    struct membership *membership = new_membership_with(servers, replicas, partitions);

    for (uint32_t i = 0; i < servers; i++)
        register_one(membership, i, 1000);
    assert_non_null(membership->map.configurations);
    return membership;
}

static inline struct membership *placed_membership_of(uint32_t servers, uint32_t replicas)
{
    return placed_membership_with(servers, replicas, PARTITIONS);
}

static inline struct membership *placed_membership(uint32_t replicas)
{
    return placed_membership_of(SERVERS, replicas);
}

/* Who the server is by its last registration. */
static inline struct server_identity registered_identity(const struct membership *membership,
                                                         uint32_t server)
{
    const struct map_server *known = &membership->map.servers[server];

    return identity_of(CLUSTER, server, known->store, known->incarnation);
}

/* Registers again: with the next incarnation, or (`store` not 0) with a new, empty store. */
static inline void restart_server(struct membership *membership, uint32_t server, uint64_t store,
                                  uint64_t now_ms)
{
    const struct map_server *known = &membership->map.servers[server];
    const struct registration wanted = {.cluster = store != 0 ? 0 : CLUSTER,
                                        .server = server,
                                        .store = store != 0 ? store : known->store,
                                        .incarnation = store != 0 ? 1 : known->incarnation + 1,
                                        .replace_store = store != 0,
                                        .now_ms = now_ms};
    struct membership_reply reply;

    assert_int_equal(try_register(membership, &wanted, &reply), MANAGER_OK);
    membership_reply_free(&reply);
}

/* A heartbeat that tells of these copies; the reply is the caller's to free. */
static inline void beat_with(struct membership *membership, uint32_t server, uint64_t now_ms,
                             struct heartbeat_partition *copies, struct heartbeat_log *logs,
                             uint32_t count, struct membership_reply *reply)
{
    struct heartbeat_args args = {.who = registered_identity(membership, server)};

    args.partitions.partitions_len = count;
    args.partitions.partitions_val = copies;
    args.logs.logs_len = count;
    args.logs.logs_val = logs;
    assert_int_equal(membership_heartbeat(membership, now_ms, &args, reply), 0);
    assert_int_equal(reply->status, MANAGER_OK);
}

static inline void beat(struct membership *membership, uint32_t server, uint64_t now_ms)
{
    struct membership_reply reply;

    beat_with(membership, server, now_ms, NULL, NULL, 0, &reply);
    membership_reply_free(&reply);
}

/* Proposes `next`, its epoch set to follow the present one; the status of the one result. */
static inline enum manager_status propose_next(struct membership *membership, uint32_t server,
                                               const struct configuration *next)
{
    const struct configuration *present = &membership->map.configurations[next->partition];
    struct configuration following = *next;
    struct proposal wanted = {.expected_epoch = present->epoch};
    struct propose_args args = {.who = registered_identity(membership, server)};
    struct membership_reply reply;
    struct buffer bytes;
    enum manager_status status;

    following.epoch = present->epoch + 1;
    buffer_init(&bytes, CAIRN_PACKED_LIMIT);
    assert_int_equal(configuration_pack(&following, &bytes, NULL), 0);
    wanted.configuration = (struct view){bytes.data, (uint32_t)bytes.length};
    args.proposals.proposals_len = 1;
    args.proposals.proposals_val = &wanted;
    assert_int_equal(membership_propose(membership, membership->heard_ms[server], &args, &reply),
                     0);
    assert_int_equal(reply.result_count, 1);
    status = reply.results[0].status;
    membership_reply_free(&reply);
    buffer_free(&bytes);
    return status;
}

static inline struct replica_id copy_at(const struct membership *membership, uint32_t server)
{
    return (struct replica_id){.server = server, .store = membership->map.servers[server].store};
}

/* The same with the registered incarnation: a primary. */
static inline struct replica_id process_at(const struct membership *membership, uint32_t server)
{
    return (struct replica_id){.server = server,
                               .store = membership->map.servers[server].store,
                               .incarnation = membership->map.servers[server].incarnation};
}

/* An operator's call; the reply is the caller's to free. */
static inline enum manager_status ask_manager(struct membership *membership, uint64_t now_ms,
                                              const struct admin_args *args,
                                              struct membership_reply *reply)
{
    assert_int_equal(membership_admin(membership, now_ms, args, reply), 0);
    return reply->status;
}

#endif
