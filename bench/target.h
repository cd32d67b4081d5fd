/* A store under test: what the driver needs of it, behind a vtable.
 *
 * A session is one connection with one operation outstanding, used by one thread. Functions return
 * 0 or a negative CAIRN_E... code with a message that names the target. */
#ifndef CAIRN_BENCH_TARGET_H
#define CAIRN_BENCH_TARGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct session;

struct target_place {
    /* HOST:PORT; cairn: the managers' HOST:PORT,HOST:PORT,...; etcd: the members', one of which
     * each session uses; lmdb: a directory; workload: a command. */
    const char *address;
    uint64_t timeout_ms;    /* for each operation and for opening */
    bool cache;             /* cairn: use this host's shared cache */
    const char *cache_name; /* cairn: of the cache; NULL: the usual one */
    uint64_t cache_bytes;   /* cairn: of a cache that is created; 0: as usual */
    bool no_agent;          /* cairn: another process runs the cache's agent */
    uint32_t redis_wait;    /* redis: replicas that have to acknowledge each write */
};

struct bytes {
    const void *data;
    size_t length;
};

/* Of a host's cache, growing; all 0 if there is none. */
struct target_counts {
    uint64_t hits, misses, fills, refused, skipped, invalidations, lapses, evictions;
};

struct target {
    const char *name;
    /* Connects and proves that the store answers. `*session` is NULL on failure. */
    int (*open)(const struct target_place *place, struct session **session, struct error *error);
    void (*close)(struct session *session);
    int (*put)(struct session *session, struct bytes key, struct bytes value, struct error *error);
    /* `*found` tells whether the key is there; its value is received and dropped. */
    int (*get)(struct session *session, struct bytes key, bool *found, struct error *error);
    int (*remove)(struct session *session, struct bytes key, struct error *error);
    /* Reads up to `limit` pairs from `from` on in key order. NULL if the store has no such call. */
    int (*scan)(struct session *session, struct bytes from, size_t limit, struct error *error);
    /* What the host's cache has counted, whatever processes use it. NULL if the store has none. */
    void (*count)(const struct target_place *place, struct target_counts *counts);
};

extern const struct target target_cairn;
extern const struct target target_redis;
extern const struct target target_lmdb;
extern const struct target target_etcd;
extern const struct target target_workload;

/* The target with this name, or NULL. */
const struct target *target_find(const char *name);

#endif
