/* A handle's share in the host's cache. */
#include "client/handle_cache.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "client/handle.h"
#include "client/segment.h"

enum {
    HITS_TOGETHER = 256, /* counted in the segment at once */
    AGENT_GETS = 8,      /* a process that reads less starts no agent */
    RETRY_MS = 1000,
};

/* --- opening and closing ------------------------------------------------------------------------
 */

static bool is_name(const char *name)
{
    static const char allowed[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-";
    size_t length = strlen(name);

    return length <= SEGMENT_NAME_LIMIT && strspn(name, allowed) == length;
}

int handle_cache_check(cairn_t *db, const struct cairn_options *options)
{
    if (options->cache_bytes != 0 && options->cache_bytes < CACHE_BYTES_MIN) {
        return error_set(&db->error, CAIRN_EINVAL, "cache: %llu bytes are less than %d",
                         (unsigned long long)options->cache_bytes, (int)CACHE_BYTES_MIN);
    }
    if (options->cache_name != NULL && !is_name(options->cache_name)) {
        return error_set(&db->error, CAIRN_EINVAL,
                         "cache: the name is not 0 to %d of [A-Za-z0-9_.-]", SEGMENT_NAME_LIMIT);
    }
    return CAIRN_OK;
}

static void hold(struct handle_cache *cache, struct host *host)
{
    cache->host = host;
    cache->forks = host_forks();
    cache->hints = UINT64_MAX; /* whatever the segment knows is news */
    cache->asked_agent = false;
}

void handle_cache_open(cairn_t *db, const char *managers, const struct cairn_options *options)
{
    struct handle_cache *cache = &db->cache;

    if (options->no_cache) {
        return;
    }
    cache->managers = strdup(managers);
    cache->name = strdup(options->cache_name == NULL ? "" : options->cache_name);
    cache->copy = malloc(sizeof(*cache->copy));
    if (cache->managers == NULL || cache->name == NULL || cache->copy == NULL) {
        handle_cache_free(db);
        return;
    }
    cache->wanted = true;
    cache->no_agent = options->no_agent != 0;
    cache->options = (struct host_options){cache->managers, cache->name, options->cache_bytes};
    cache->managers_hash = host_managers_hash(managers);
    struct host *host = host_find(&cache->options);
    if (host != NULL && options->cluster != 0 &&
        cache_cluster(host_cache(host)) != options->cluster) {
        host_release(host);
        host = NULL;
    }
    if (host != NULL) {
        hold(cache, host);
        (void)handle_cache_look(db);
    }
}

/* In the child of a fork the host is the parent's. */
static bool is_ours(const struct handle_cache *cache)
{
    return cache->host != NULL && cache->forks == host_forks();
}

static void add_hits(struct handle_cache *cache)
{
    if (cache->hits > 0) {
        cache_add(host_cache(cache->host), CACHE_HITS, cache->hits);
        cache->hits = 0;
    }
}

void handle_cache_close(cairn_t *db)
{
    struct handle_cache *cache = &db->cache;

    if (is_ours(cache) && !cache->lent) {
        add_hits(cache);
        host_release(cache->host);
    }
    cache->host = NULL;
}

void handle_cache_free(cairn_t *db)
{
    free(db->cache.managers);
    free(db->cache.name);
    free(db->cache.copy);
    db->cache = (struct handle_cache){0};
}

void handle_cache_lend(cairn_t *db, struct host *host)
{
    hold(&db->cache, host);
    db->cache.lent = true;
}

/* Gets the route's host if there is none. */
static void attach(cairn_t *db)
{
    struct handle_cache *cache = &db->cache;

    if (!cache->wanted || cache->host != NULL || db->route.cluster == 0) {
        return;
    }
    uint64_t now_ms = clock_now_ms();
    if (now_ms < cache->retry_ms) {
        return;
    }
    struct host *host = host_get(&cache->options, db->route.cluster);
    if (host == NULL) {
        cache->retry_ms = now_ms + RETRY_MS;
        return;
    }
    hold(cache, host);
}

const struct cache *handle_cache_segment(const cairn_t *db)
{
    return is_ours(&db->cache) ? host_cache(db->cache.host) : NULL;
}

/* --- reading ------------------------------------------------------------------------------------
 */

static void look_after_agent(struct handle_cache *cache)
{
    if (!cache->no_agent && !cache->asked_agent && cache->gets == AGENT_GETS) {
        cache->asked_agent = true;
        host_want_agent(cache->host);
    }
}

const struct cache_copy *handle_cache_get(cairn_t *db, const void *key, size_t length,
                                          uint64_t hash)
{
    struct handle_cache *cache = &db->cache;

    if (!is_ours(cache) || db->interrupted ||
        !cache_get(host_cache(cache->host), key, length, hash, cache->copy)) {
        return NULL;
    }
    if (++cache->hits == HITS_TOGETHER) {
        add_hits(cache);
        cache->gets = AGENT_GETS;
        look_after_agent(cache);
    }
    return cache->copy;
}

void handle_cache_missed(cairn_t *db)
{
    struct handle_cache *cache = &db->cache;

    if (is_ours(cache) && !host_is_current(cache->host, clock_now_ms())) {
        handle_cache_close(db);
    }
    attach(db);
    cache->gets += cache->gets < AGENT_GETS;
    if (is_ours(cache)) {
        add_hits(cache);
        cache_add(host_cache(cache->host), CACHE_MISSES, 1);
        look_after_agent(cache);
    }
}

/* --- the map ------------------------------------------------------------------------------------
 */

/* Nothing in the segment is believed before it is checked; the managers know better anyway. */
static void take_map(cairn_t *db, const struct cache *segment)
{
    struct cluster_map map;
    struct error error;
    uint8_t *bytes;
    size_t length;
    bool first = !route_is_ready(&db->route);

    if (cache_map_version(segment) <= db->route.version ||
        cache_map_read(segment, &bytes, &length) != CAIRN_OK) {
        return;
    }
    if (cluster_map_unpack(bytes, length, &map, &error) == CAIRN_OK) {
        if (map.cluster == cache_cluster(segment) && map.configurations != NULL &&
            route_install(&db->route, &map, &error) == CAIRN_OK && first) {
            db->cache.unconfirmed = true;
        }
        cluster_map_free(&map);
    }
    free(bytes);
}

static void take_hints(cairn_t *db, const struct cache *segment)
{
    server_redirect hint = {0};

    for (uint32_t p = 0; p < db->route.partitions; p++) {
        if (cache_hint_read(segment, p, &hint.epoch, &hint.primary)) {
            (void)route_redirect(&db->route, p, &hint);
        }
    }
}

bool handle_cache_look(cairn_t *db)
{
    const struct cache *segment = handle_cache_segment(db);
    uint64_t generation = db->route.generation;

    if (segment == NULL) {
        return false;
    }
    uint64_t hints = cache_hint_count(segment);
    if (hints == db->cache.hints) {
        return false;
    }
    db->cache.hints = hints;
    take_map(db, segment);
    take_hints(db, segment);
    return db->route.generation != generation;
}

void handle_cache_confirm(cairn_t *db, const uint8_t *bytes, size_t length)
{
    struct handle_cache *cache = &db->cache;

    cache->unconfirmed = false;
    attach(db);
    const struct cache *segment = handle_cache_segment(db);
    if (segment == NULL) {
        return;
    }
    if (bytes != NULL && db->route.version > cache_map_version(segment)) {
        (void)host_write_map(cache->host, db->route.version, bytes, length);
    }
    if (cache->managers_hash != 0) {
        cache_note_managers(segment, cache->managers_hash, clock_now_ms());
    }
}

void handle_cache_redirected(cairn_t *db, uint32_t partition)
{
    const struct cache *segment = handle_cache_segment(db);
    const struct route_server *server = route_primary(&db->route, partition);

    if (segment != NULL && server != NULL) {
        cache_hint_write(segment, partition, route_epoch(&db->route, partition), server->id);
    }
}

bool handle_cache_disown(cairn_t *db)
{
    struct handle_cache *cache = &db->cache;
    const struct cache *segment = handle_cache_segment(db);

    if (!cache->unconfirmed || db->managers.cluster != 0) {
        return false;
    }
    if (segment != NULL) {
        cache_forget_managers(segment, cache->managers_hash);
    }
    handle_cache_close(db);
    cache->unconfirmed = false;
    managers_start_over(db);
    route_forget(&db->route);
    /* Another cluster's servers shall not take this session for one they know. */
    session_begin(&db->session, random_id());
    return true;
}
