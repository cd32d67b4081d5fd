/* What the files of the cache share: places, check words, fences, steps. */
#ifndef CAIRN_CLIENT_CACHE_INTERNAL_H
#define CAIRN_CLIENT_CACHE_INTERNAL_H

#include "client/cache.h"

/* What a check word is of: the same numbers elsewhere mix to something else. */
enum cache_domain {
    CACHE_OF_GENERATION = 1,
    CACHE_OF_ENTRIES,
    CACHE_OF_HINT,
    CACHE_OF_MANAGERS,
    CACHE_OF_MAP,
    CACHE_OF_SESSION, /* plus the server's id */
};

/* A bijection of 64-bit numbers in which each bit of the input moves all of the output (the
 * finalizer of SplitMix64). */
static inline uint64_t cache_scatter(uint64_t x)
{
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

/* The check word of (a, b): keyed with the segment's seed, so that neither zeros nor what lies in
 * another segment pass. */
static inline uint64_t cache_mix(const struct cache *cache, uint64_t domain, uint64_t a, uint64_t b)
{
    return cache_scatter(
        cache_scatter(cache_scatter(cache->seed + domain * UINT64_C(0x9e3779b97f4a7c15)) ^ a) + b);
}

static inline struct cache_fixed *cache_fixed(const struct cache *cache)
{
    return (struct cache_fixed *)cache->header;
}

static inline uint64_t cache_load(const cache_word *word)
{
    return atomic_load_explicit(word, memory_order_relaxed);
}

static inline void cache_store(cache_word *word, uint64_t value)
{
    atomic_store_explicit(word, value, memory_order_relaxed);
}

/* GCC's thread sanitizer does not model fences and says so with a warning; all accesses to the
 * segment are atomic, so it has nothing to report for lack of them. */
#ifdef __SANITIZE_THREAD__
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wtsan"
#endif
static inline void cache_fence_acquire(void)
{
    atomic_thread_fence(memory_order_acquire);
}

static inline void cache_fence_release(void)
{
    atomic_thread_fence(memory_order_release);
}

static inline void cache_fence_full(void)
{
    atomic_thread_fence(memory_order_seq_cst);
}
#ifdef __SANITIZE_THREAD__
#pragma GCC diagnostic pop
#endif

/* A process may die here: tests make it. */
static inline void cache_step(const struct cache *cache, const char *where)
{
    if (cache->hook != NULL)
        cache->hook->step(cache->hook->context, where);
}

/* --- where a key may be -------------------------------------------------------------------------
 */

enum { CACHE_REFERENCES = 3, CACHE_TAG_USED = 4 };

static inline uint64_t cache_tag_of(uint64_t hash)
{
    return (hash & ~(uint64_t)7) | CACHE_TAG_USED;
}

static inline bool cache_tag_is(uint64_t tag, uint64_t wanted)
{
    return (tag & ~(uint64_t)CACHE_REFERENCES) == wanted;
}

static inline uint32_t cache_stripe_of(const struct cache *cache, uint64_t hash)
{
    return (uint32_t)(cache_scatter(hash) >> 56) & (cache->geometry.stripes - 1);
}

/* First set of a stripe in a class; that of the next stripe is its end. */
static inline uint32_t cache_first_set(const struct cache *cache, int class, uint32_t stripe)
{
    return (uint32_t)((uint64_t)stripe * cache->geometry.classes[class].sets >>
                      cache->geometry.stripe_bits);
}

/* Below `sets` in any case: it comes from this process's own numbers only. */
static inline uint32_t cache_set_of(const struct cache *cache, int class, uint64_t hash)
{
    const uint32_t stripe = cache_stripe_of(cache, hash);
    const uint32_t first = cache_first_set(cache, class, stripe);
    const uint32_t count = cache_first_set(cache, class, stripe + 1) - first;

    return first + (uint32_t)((cache_scatter(hash) & UINT32_MAX) * count >> 32);
}

static inline struct cache_tags *cache_tags_at(const struct cache *cache, int class, uint32_t set)
{
    return (struct cache_tags *)(cache->memory + cache->geometry.classes[class].tags) + set;
}

static inline struct cache_entry *cache_entry_at(const struct cache *cache, int class, uint32_t set,
                                                 uint32_t way)
{
    const struct cache_class *of = &cache->geometry.classes[class];

    return (struct cache_entry *)(cache->memory + of->slots +
                                  ((size_t)set * CACHE_WAYS + way) * of->slot_bytes);
}

/* Whether the entries' memory is there: a page of tmpfs that is not and cannot be had is a SIGBUS
 * for whoever reads it. */
static inline bool cache_entries_open(const struct cache *cache)
{
    return atomic_load_explicit(&cache_fixed(cache)->live.entries, memory_order_acquire) ==
           cache->entries_open;
}

/* --- what C1 compares ---------------------------------------------------------------------------
 */

/* False: a change is under way or was cut short, or garbage lies there. Then nothing is valid. */
static inline bool cache_generation(const struct cache *cache, uint64_t *generation)
{
    const struct cache_live *live = &cache_fixed(cache)->live;

    *generation = atomic_load_explicit(&live->generation, memory_order_acquire);
    return cache_load(&live->check) == cache_mix(cache, CACHE_OF_GENERATION, *generation, 0);
}

/* Session and its expiry, as they belong together: see cache_set_session. */
static inline bool cache_session_read(const struct cache *cache, uint32_t server, uint64_t *session,
                                      uint64_t *until_ms)
{
    const struct cache_session_line *line;

    *session = *until_ms = 0;
    if (server >= CAIRN_SERVERS_LIMIT)
        return false;
    line = &cache_fixed(cache)->sessions[server];
    /* A renewal is three stores: one of a few looks falls beside it. */
    for (int look = 0; look < 4; look++) {
        const uint64_t number = atomic_load_explicit(&line->session, memory_order_acquire);
        const uint64_t until = atomic_load_explicit(&line->until_ms, memory_order_acquire);
        const uint64_t check = atomic_load_explicit(&line->check, memory_order_acquire);

        if (cache_load(&line->session) != number ||
            check != cache_mix(cache, CACHE_OF_SESSION + server, number, until))
            continue;
        *session = number;
        *until_ms = until;
        return number != 0 && until != 0;
    }
    return false;
}

/* Whether what was noted is all current still; says nothing of expiry. */
static inline bool cache_is_current(const struct cache *cache, const struct cache_note *note)
{
    uint64_t generation, session, until_ms;

    return cache_generation(cache, &generation) && generation == note->generation &&
           cache_session_read(cache, note->server, &session, &until_ms) &&
           session == note->session && note->bucket < CAIRN_BUCKETS &&
           atomic_load_explicit(&cache_fixed(cache)->counters[note->bucket],
                                memory_order_acquire) == note->counter;
}

/* The note that a slot's head carries, word by word as it is now; nothing of it is checked. */
void cache_peek(const struct cache_entry *entry, struct cache_note *note);
/* cache_format with a hook, for tests. */
int cache_format_hooked(void *memory, size_t bytes, uint64_t cluster, uint64_t owner, uint64_t boot,
                        const struct cache_hook *hook);

#endif
