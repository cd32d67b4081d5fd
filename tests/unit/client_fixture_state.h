/* What the cluster of client_fixture.h holds: its servers, what they are told to do, and the pairs.
 */
#ifndef CAIRN_TESTS_UNIT_CLIENT_FIXTURE_STATE_H
#define CAIRN_TESTS_UNIT_CLIENT_FIXTURE_STATE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "base/buffer.h"
#include "base/check.h"
#include "client/cairn.h"
#include "proto/bucket.h"
#include "proto/cache_rpc.h"
#include "proto/manager_rpc.h"
#include "proto/map.h"
#include "proto/partition.h"
#include "proto/server_rpc.h"
#include "rpc/server.h"

enum {
    FAKE_SERVERS = 3,
    FAKE_PARTITIONS = 8,
    FAKE_PAIRS = 4096,
    FAKE_SCRIPT = 64,
    FAKE_LEASE_MS = 60000,
};

enum fake_action {
    FAKE_BEHAVE,
    FAKE_SILENT,         /* take the call, execute nothing, never answer */
    FAKE_DROP,           /* execute nothing, break all connections */
    FAKE_EXECUTE_DROP,   /* execute, then break all connections */
    FAKE_EXECUTE_SILENT, /* execute, never answer */
    FAKE_LEAVE,          /* execute nothing, break all connections, refuse new ones */
    FAKE_STATUS = 100,   /* plus a server_status: answer with that, execute nothing */
};

struct fake_pair {
    uint8_t key[CAIRN_KEY_LIMIT];
    uint32_t key_length;
    char *value;
    uint32_t value_length;
    uint64_t version;
};

/* What a partition remembers of the last mutation executed. */
struct fake_session {
    uint64_t client, number;
    bool existed;
    uint64_t version;
};

/* What a server knows of the host whose agent has a session with it: the last that was opened. */
struct fake_host {
    uint64_t session;       /* 0: none */
    uint64_t lease_ms;      /* granted each time; 0: sessions are refused (CACHE_OFF) */
    uint64_t expires_in_ms; /* of all values */
    bool refuse;            /* grants nothing */
    unsigned opened, renewed, closed, granted;
    struct rpc_call *listening; /* the LISTEN that waits */
    uint64_t number, answered;  /* of the last batch; as the agent said */
    uint32_t bucket;            /* of the batch that waits to be sent */
    bool waiting;
};

struct fake;
struct fake_server {
    struct fake *fake;
    uint32_t id;
    struct rpc_server *rpc;
    struct rpc_service services[2];
    struct fake_host host;
    struct address address;
    int script[FAKE_SCRIPT];
    unsigned script_length, script_at;
    bool silent; /* as if every call's script said so */
    bool relisten;
    bool gone;
    unsigned calls; /* GET, PUT, SWAP, DELETE, SCAN */
    uint64_t last_client, last_number;
    unsigned retired;    /* partitions */
    bool bad_pages;      /* SCAN: claims more behind an empty page */
    uint32_t page_limit; /* pairs, 0: as asked */
};

struct fake {
    bool stopping;         /* nothing listens again */
    bool manager_dropping; /* its server is being closed */
    pthread_t thread;
    pthread_mutex_t mutex;
    uv_loop_t loop;
    uv_async_t stop;
    uv_async_t poke; /* sends batches, drops servers */
    bool drop[FAKE_SERVERS];
    struct fake_server servers[FAKE_SERVERS];
    struct rpc_server *manager;
    struct rpc_service manager_service;
    struct address manager_address;
    unsigned open;
    uint64_t cluster, version;
    int manager_status; /* MANAGER_OK, or what it answers instead */
    unsigned map_calls;
    unsigned tell_at_call; /* the map is as `truth` says from this map call on; 0: never */
    int admin_status;      /* MANAGER_OK, or how admin calls are refused */
    bool old_manager;      /* as of 0.1.0, from the next time it listens on: no admin calls */
    bool old_servers;      /* as of 0.1.0, likewise: no caches (scrubs they never know) */
    unsigned admin_calls;
    bool admin_drops;        /* admin calls are executed, then the connection breaks */
    struct admin_args admin; /* the last; its address is in admin_address */
    char admin_address[ADDRESS_TEXT_MAX];
    uint32_t moving[FAKE_PARTITIONS]; /* what is reported, one less each time */
    uint32_t moving_count;
    uint32_t told[FAKE_PARTITIONS];  /* primaries in the map */
    uint32_t truth[FAKE_PARTITIONS]; /* who serves */
    uint64_t epochs[FAKE_PARTITIONS];
    struct fake_session sessions[FAKE_PARTITIONS];
    unsigned executed; /* mutations */
    struct fake_pair *pairs;
    uint32_t pair_count;
};

/* --- pairs ------------------------------------------------------------------------------------ */

static inline int fake_order(const struct fake_pair *pair, const uint8_t *key, uint32_t length)
{
    uint32_t common = pair->key_length < length ? pair->key_length : length;
    int order = memcmp(pair->key, key, common);
    return order != 0 ? order : (pair->key_length > length) - (pair->key_length < length);
}

static inline uint32_t fake_position(const struct fake *fake, const uint8_t *key, uint32_t length)
{
    uint32_t at = 0;
    while (at < fake->pair_count && fake_order(&fake->pairs[at], key, length) < 0) {
        at++;
    }
    return at;
}

static inline struct fake_pair *fake_find(struct fake *fake, const struct view *key)
{
    uint32_t at = fake_position(fake, key->data, key->length);
    bool found = at < fake->pair_count && fake_order(&fake->pairs[at], key->data, key->length) == 0;
    return found ? &fake->pairs[at] : NULL;
}

/* Returns the pair's version. */
static inline uint64_t fake_store(struct fake *fake, const struct view *key,
                                  const struct view *value)
{
    uint32_t at = fake_position(fake, key->data, key->length);
    struct fake_pair *pair = &fake->pairs[at];

    if (at == fake->pair_count || fake_order(pair, key->data, key->length) != 0) {
        CHECK(fake->pair_count < FAKE_PAIRS);
        memmove(pair + 1, pair, (fake->pair_count - at) * sizeof(*pair));
        fake->pair_count++;
        memset(pair, 0, sizeof(*pair));
        memcpy(pair->key, key->data, key->length);
        pair->key_length = key->length;
    }
    free(pair->value);
    pair->value = malloc(value->length + 1U);
    CHECK(pair->value != NULL);
    if (value->length > 0) {
        memcpy(pair->value, value->data, value->length);
    }
    pair->value_length = value->length;
    return ++pair->version;
}

static inline void fake_remove(struct fake *fake, struct fake_pair *pair)
{
    free(pair->value);
    memmove(pair, pair + 1, (size_t)(fake->pairs + fake->pair_count - pair - 1) * sizeof(*pair));
    fake->pair_count--;
}

#endif
