/* A membership in memory for the manager's tests: three servers, each with a store of its own. */
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

static inline struct membership *new_membership(uint32_t replicas)
{
    struct cluster_map map = {.cluster = CLUSTER,
                              .version = 1,
                              .partitions = PARTITIONS,
                              .replicas = replicas,
                              .server_count = SERVERS};
    struct membership *membership = NULL;

    map.servers = calloc(SERVERS, sizeof *map.servers);
    assert_non_null(map.servers);
    for (uint32_t i = 0; i < SERVERS; i++) {
        struct address *address = &map.servers[i].address;

        map.servers[i].id = i;
        (void)snprintf(address->host, sizeof address->host, "127.0.0.1");
        address->port = (uint16_t)(FIRST_PORT + i);
        address_format(address, map.servers[i].address_text);
    }
    assert_int_equal(membership_create(&map, 1000, &membership, NULL), 0);
    return membership;
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
static inline struct membership *placed_membership(uint32_t replicas)
{
    struct membership *membership = new_membership(replicas);

    for (uint32_t i = 0; i < SERVERS; i++)
        register_one(membership, i, 1000);
    assert_non_null(membership->map.configurations);
    return membership;
}

#endif
