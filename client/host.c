/* The registry of a process: which segments it has mapped, and how many handles share each.
 *
 * This is the library's only global state. It is there because all handles of a process, in
 * whatever threads, shall share one mapping and one agent, and because a forked child must know
 * that it has neither. One mutex guards it; nothing on the path of a hit takes it. */
#include "client/host.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/address.h"
#include "base/buffer.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "client/agent.h"
#include "client/host_internal.h"

enum { LOOK_MS = 100, UNUSABLE_MS = 30000, UNUSABLE_LIMIT = 8, CODES = 32, STOP_LOOK_MS = 50 };

LIST_HEAD(host_list, host);

/* A segment that could not be used is not tried again for a while. */
struct unusable {
    uint64_t key; /* hash of cluster and name */
    uint64_t until_ms;
};

static struct {
    pthread_mutex_t mutex;
    pthread_once_t once;
    struct host_list hosts;
    struct host_list abandoned; /* a child's: what its parent had, only to be found by debuggers */
    struct unusable unusable[UNUSABLE_LIMIT];
    unsigned unusable_at;
    atomic_bool warned[CODES]; /* by the code's number */
    atomic_uint forks;
} registry = {.mutex = PTHREAD_MUTEX_INITIALIZER, .once = PTHREAD_ONCE_INIT};

/* --- fork --------------------------------------------------------------------------------------
 */

static void before_fork(void)
{
    pthread_mutex_lock(&registry.mutex);
}

static void after_fork_in_parent(void)
{
    pthread_mutex_unlock(&registry.mutex);
}

/* A descriptor that the child kept would keep the agent's lock when the parent dies (C6). Memory is
 * not freed: the parent's threads, which do not exist here, may have been using it. */
static void after_fork_in_child(void)
{
    struct host *host;

    atomic_fetch_add_explicit(&registry.forks, 1, memory_order_relaxed);
    while ((host = LIST_FIRST(&registry.hosts)) != NULL) {
        segment_abandon(host->segment);
        LIST_REMOVE(host, next);
        LIST_INSERT_HEAD(&registry.abandoned, host, next);
    }
    pthread_mutex_unlock(&registry.mutex);
}

static void catch_forks(void)
{
    CHECK(pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child) == 0);
}

unsigned host_forks(void)
{
    return atomic_load_explicit(&registry.forks, memory_order_relaxed);
}

static void lock(void)
{
    (void)pthread_once(&registry.once, catch_forks);
    pthread_mutex_lock(&registry.mutex);
}

static void unlock(void)
{
    pthread_mutex_unlock(&registry.mutex);
}

/* --- what cannot be used -----------------------------------------------------------------------
 */

static const char *name_of(const struct host_options *options)
{
    return options->name == NULL ? "" : options->name;
}

static uint64_t unusable_key(const char *name, uint64_t cluster)
{
    return hash_seeded(name, strlen(name), cluster);
}

static bool is_unusable(uint64_t key, uint64_t now_ms)
{
    for (unsigned i = 0; i < UNUSABLE_LIMIT; i++) {
        if (registry.unusable[i].key == key && now_ms < registry.unusable[i].until_ms) {
            return true;
        }
    }
    return false;
}

void host_warn_once(int code, const char *why)
{
    CHECK(code < 0 && code > -CODES);
    if (!atomic_exchange(&registry.warned[-code], true)) {
        log_warn("cache", "not used: %s", why);
    }
}

static void note_unusable(uint64_t key, uint64_t now_ms, int code, const char *why)
{
    registry.unusable[registry.unusable_at++ % UNUSABLE_LIMIT] =
        (struct unusable){key, now_ms + UNUSABLE_MS};
    host_warn_once(code, why);
}

/* --- finding and creating -----------------------------------------------------------------------
 */

uint64_t host_managers_hash(const char *managers)
{
    struct address_list *list = malloc(sizeof(*list));
    struct error error;
    char text[ADDRESS_TEXT_MAX];
    uint64_t hash = 0;

    if (list != NULL && address_list_parse(managers, list, &error) == CAIRN_OK) {
        for (size_t i = 0; i < list->count; i++) {
            address_format(&list->items[i], text);
            hash = hash_seeded(text, strlen(text), hash);
        }
    }
    free(list);
    return hash;
}

static struct host *find(uint64_t cluster, uint64_t managers, const char *name)
{
    struct host *host;

    LIST_FOREACH(host, &registry.hosts, next)
    {
        bool same = cluster != 0 ? host->cluster == cluster
                                 : cache_managers_noted_ms(&host->segment->cache, managers) != 0;
        if (same && !host->leaving && !atomic_load(&host->stale) && strcmp(host->name, name) == 0) {
            host->references++;
            return host;
        }
    }
    return NULL;
}

/* Takes the segment; on failure it is closed. */
static struct host *add(const struct host_options *options, struct segment *segment)
{
    struct host *host = calloc(1, sizeof(*host));
    const char *name = name_of(options);

    if (host != NULL) {
        host->managers = strdup(options->managers);
    }
    if (host == NULL || host->managers == NULL) {
        free(host);
        segment_close(segment);
        return NULL;
    }
    CHECK(strlen(name) <= SEGMENT_NAME_LIMIT);
    memcpy(host->name, name, strlen(name));
    host->segment = segment;
    host->cluster = cache_cluster(&segment->cache);
    host->bytes = options->bytes;
    host->references = 1;
    LIST_INSERT_HEAD(&registry.hosts, host, next);
    return host;
}

struct host *host_find(const struct host_options *options)
{
    const char *name = name_of(options);
    uint64_t managers = host_managers_hash(options->managers);
    struct segment *segment;

    lock();
    struct host *host = find(0, managers, name);
    if (host == NULL && segment_find(name, managers, &segment) == CAIRN_OK) {
        host = find(cache_cluster(&segment->cache), 0, name);
        if (host != NULL) {
            segment_close(segment);
        } else {
            host = add(options, segment);
        }
    }
    unlock();
    return host;
}

static struct host *open_segment(const struct host_options *options, uint64_t cluster)
{
    const char *name = name_of(options);
    uint64_t key = unusable_key(name, cluster);
    uint64_t now_ms = clock_now_ms();
    struct error error = {0};
    struct segment *segment;
    bool replaced = false;

    if (is_unusable(key, now_ms)) {
        return NULL;
    }
    int status = segment_open(name, cluster, options->bytes, &segment, &replaced, &error);
    if (status != CAIRN_OK) {
        note_unusable(key, now_ms, status, error.message);
        return NULL;
    }
    if (replaced) {
        log_info("cache", "replaced a segment that could not be used path=%s", segment->path);
    }
    return add(options, segment);
}

struct host *host_get(const struct host_options *options, uint64_t cluster)
{
    CHECK(cluster != 0);
    lock();
    struct host *host = find(cluster, 0, name_of(options));
    if (host == NULL) {
        host = open_segment(options, cluster);
    }
    unlock();
    return host;
}

/* The agent leaves before the segment goes, without the mutex: that takes a moment. Until then the
 * host stays where a fork finds it. */
void host_release(struct host *host)
{
    lock();
    CHECK(host->references > 0);
    bool last = --host->references == 0;
    host->leaving = last;
    unlock();
    if (!last) {
        return;
    }
    agent_stop(host->agent);
    lock();
    LIST_REMOVE(host, next);
    segment_close(host->segment);
    unlock();
    free(host->managers);
    free(host);
}

/* --- use ----------------------------------------------------------------------------------------
 */

const struct cache *host_cache(const struct host *host)
{
    return &host->segment->cache;
}

bool host_is_current(struct host *host, uint64_t now_ms)
{
    uint64_t looked_ms = atomic_load(&host->looked_ms);

    if (atomic_load(&host->stale)) {
        return false;
    }
    if (now_ms < looked_ms + LOOK_MS ||
        !atomic_compare_exchange_strong(&host->looked_ms, &looked_ms, now_ms) ||
        segment_is_current(host->segment)) {
        return true;
    }
    atomic_store(&host->stale, true);
    return false;
}

bool host_write_map(struct host *host, uint64_t version, const uint8_t *bytes, size_t length)
{
    return segment_reserve_map(host->segment, length) == CAIRN_OK &&
           cache_map_write(host_cache(host), version, bytes, length);
}

/* --- the agent ----------------------------------------------------------------------------------
 */

/* At most one for each segment and process: its lock excludes only other processes. */
static struct agent *claim_agent(struct host *host)
{
    lock();
    struct agent *agent = host->agent == NULL ? agent_create(host) : NULL;
    if (agent != NULL) {
        host->agent = agent;
    }
    unlock();
    return agent;
}

static void disclaim_agent(struct host *host)
{
    lock();
    struct agent *agent = host->agent;
    host->agent = NULL;
    unlock();
    agent_free(agent);
}

void host_want_agent(struct host *host)
{
    struct agent *agent = claim_agent(host);

    if (agent != NULL && !agent_start(agent)) {
        disclaim_agent(host);
    }
}

int host_run_agent(struct host *host, const volatile int *stop)
{
    char name[SEGMENT_NAME_LIMIT + 1];
    char *managers = strdup(host->managers);
    const struct host_options options = {managers, name, host->bytes};
    const uint64_t cluster = host->cluster;
    struct host *current = host;

    memcpy(name, host->name, sizeof(name));
    if (managers == NULL) {
        host_release(host);
        return CAIRN_ENOMEM;
    }
    while (!*stop) {
        if (current == NULL) {
            current = host_get(&options, cluster);
        }
        struct agent *agent = current == NULL ? NULL : claim_agent(current);
        if (agent != NULL) {
            agent_run(agent, stop);
            disclaim_agent(current);
        } else {
            clock_sleep_ms(STOP_LOOK_MS);
        }
        /* Replaced or unlinked: the next one may be another, and this one's memory shall go. */
        if (current != NULL && !host_is_current(current, clock_now_ms())) {
            host_release(current);
            current = NULL;
        }
    }
    if (current != NULL) {
        host_release(current);
    }
    free(managers);
    return CAIRN_OK;
}
