/* What the agent writes: generation, sessions, counters (ARCHITECTURE.md C4 to C6). One thread of
 * the host does; if by some fault two do, check words keep halves of both from being valid. */
#include "base/random.h"
#include "client/cache_internal.h"

/* C6. Between the two stores, and if the agent dies there, the check does not pass and nothing is
 * valid. When it does not pass the former number is not known and might come back by counting: a
 * random one does not. */
uint64_t cache_raise_generation(const struct cache *cache)
{
    struct cache_live *live = &cache_fixed(cache)->live;
    uint64_t generation;

    if (cache_generation(cache, &generation))
        generation++;
    else
        generation = random_id();
    cache_step(cache, "generation: begin");
    atomic_store_explicit(&live->generation, generation, memory_order_release);
    cache_step(cache, "generation: raised");
    atomic_store_explicit(&live->check, cache_mix(cache, CACHE_OF_GENERATION, generation, 0),
                          memory_order_release);
    cache_fence_full();
    cache_step(cache, "generation: done");
    return generation;
}

static void store_session(const struct cache *cache, uint32_t server, uint64_t session,
                          uint64_t until_ms)
{
    struct cache_session_line *line = &cache_fixed(cache)->sessions[server];

    if (cache_load(&line->session) != session) {
        /* Void first: no reader may pair the former expiry with the new number, or the reverse. */
        atomic_store_explicit(&line->until_ms, 0, memory_order_release);
        cache_step(cache, "session: ended");
        cache_fence_full();
        atomic_store_explicit(&line->session, session, memory_order_release);
        cache_step(cache, "session: number");
    }
    atomic_store_explicit(&line->until_ms, until_ms, memory_order_release);
    cache_step(cache, "session: until");
    atomic_store_explicit(&line->check,
                          cache_mix(cache, CACHE_OF_SESSION + server, session, until_ms),
                          memory_order_release);
    cache_step(cache, "session: check");
}

/* A reader takes number, expiry, check, and the number once more (cache_session_read). The same
 * number twice means that the expiry between was written for it, because a number never comes back:
 * it is random, drawn anew for each session. The check word says so once more, and also that no
 * store was cut short and that nobody else wrote here. */
void cache_set_session(const struct cache *cache, uint32_t server, uint64_t session,
                       uint64_t until_ms)
{
    if (server >= CAIRN_SERVERS_LIMIT)
        return; /* no entry names such a server */
    store_session(cache, server, session, until_ms);
    cache_fence_full();
}

/* Seen by every reader that begins after this returned: only then may a CLOSE be sent (C6). */
void cache_void_session(const struct cache *cache, uint32_t server)
{
    if (server >= CAIRN_SERVERS_LIMIT)
        return;
    store_session(cache, server, 0, 0);
    cache_fence_full();
}

/* C4. What was noted under the old value is void from here on, in the segment or still on its way
 * there; the answer to the server is sent afterwards. Nothing has to be locked or found. */
void cache_invalidate(const struct cache *cache, uint32_t bucket)
{
    if (bucket >= CAIRN_BUCKETS) {
        /* Another division of the keys than ours: which ones is not known, so all of them. */
        (void)cache_raise_generation(cache);
        return;
    }
    (void)atomic_fetch_add_explicit(&cache_fixed(cache)->counters[bucket], 1, memory_order_seq_cst);
}

uint64_t cache_session(const struct cache *cache, uint32_t server, uint64_t now_ms)
{
    uint64_t session, until_ms;

    return cache_session_read(cache, server, &session, &until_ms) && now_ms < until_ms ? session
                                                                                       : 0;
}

void cache_open_entries(const struct cache *cache)
{
    atomic_store_explicit(&cache_fixed(cache)->live.entries, cache->entries_open,
                          memory_order_release);
}

bool cache_is_live(const struct cache *cache)
{
    uint64_t generation;

    return cache_generation(cache, &generation) && cache_entries_open(cache);
}
