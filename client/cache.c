/* The segment as a whole: laying it out, taking it, and the argument why it may be shared.
 *
 * Three things may go wrong with memory that strangers write, and each has one answer.
 *
 * 1. It is read while it is written. An entry is copied under its sequence (a seqlock, after Boehm,
 *    "Can seqlocks get along with programming language memory models?", MSPC 2012): the reader
 * loads the sequence with acquire, copies word by word with relaxed atomic loads, and after an
 * acquire fence finds the same even sequence, or tries again a few times and then misses. The
 * writer makes the sequence odd, then, after a release fence, stores the words, then makes it even
 * with release. If the copy took any word of a later write, the fences pair: the second look sees
 * at least that write's odd sequence. Two writers never meet: they hold the stripe's lock.
 *
 * 2. A writer dies. Its lock is the kernel's and ends with it. The stripe's mark, made odd before
 *    the first store and even after the last, says to the next holder of the lock that a change was
 *    cut short; it voids all that the stripe holds and goes on. Until then readers see an odd
 *    sequence, or an entry that was finished. A sequence never goes back, so that no reader meets
 *    the one it began with over other bytes. Words of the agent carry a check: what was cut short
 *    does not pass, and what does not pass is not valid.
 *
 * 3. Something writes garbage. Lengths and places are bounded by this process's own geometry after
 *    they were copied; an entry's copy must pass its checksum and hold the key that was asked for;
 *    what says that an entry is valid passes a check or is compared for equality with what was
 * noted (cache_layout.h). Garbage in counters, marks, tags and sequences costs speed only. The
 * header's own checksum tells the processes that they want another segment.
 *
 * What C1 demands is argued at cache_check, what C4 demands at cache_invalidate. */
#include "client/cache.h"

#include <string.h>

#include "base/check.h"
#include "base/error.h"
#include "base/hash.h"
#include "client/cache_internal.h"

enum { HEADER_WORDS = 8 };

static const uint64_t version_word = (uint64_t)CACHE_MAJOR << 32 | CACHE_MINOR;

static uint64_t seed_of(uint64_t bytes, uint64_t cluster, uint64_t owner, uint64_t boot)
{
    const uint64_t parts[] = {bytes, cluster, owner, boot};

    return hash_seeded(parts, sizeof parts, CACHE_MAGIC);
}

/* Of the words behind it. */
static uint64_t header_checksum(const uint64_t words[HEADER_WORDS])
{
    return hash_seeded(words + 3, (HEADER_WORDS - 3) * sizeof *words, words[0] ^ words[1]);
}

static void copy_header(const struct cache_header *header, uint64_t words[HEADER_WORDS])
{
    const cache_word *from = &header->magic;

    words[0] = atomic_load_explicit(from, memory_order_acquire);
    for (int i = 1; i < HEADER_WORDS; i++)
        words[i] = cache_load(from + i);
}

static void set_up(struct cache *cache, void *memory, const uint64_t words[HEADER_WORDS])
{
    cache->header = memory;
    cache->memory = memory;
    cache->cluster = words[4];
    cache->seed = words[7];
    cache->entries_open = cache_mix(cache, CACHE_OF_ENTRIES, 0, 0);
}

int cache_format_hooked(void *memory, size_t bytes, uint64_t cluster, uint64_t owner, uint64_t boot,
                        const struct cache_hook *hook)
{
    struct cache cache = {.hook = hook};
    uint64_t words[HEADER_WORDS] = {CACHE_MAGIC, version_word};
    struct cache_fixed *fixed = memory;
    cache_word *to = &fixed->header.magic;

    if (cache_geometry_of(bytes, &cache.geometry) != 0)
        return CAIRN_EINVAL;
    words[3] = cache.geometry.bytes;
    words[4] = cluster;
    words[5] = owner;
    words[6] = boot;
    words[7] = seed_of(words[3], cluster, owner, boot);
    words[2] = header_checksum(words);
    set_up(&cache, memory, words);
    cache_step(&cache, "format: begin");
    for (int i = 1; i < HEADER_WORDS; i++)
        cache_store(to + i, words[i]);
    cache_step(&cache, "format: header");
    cache_store(&fixed->live.generation, 1);
    cache_store(&fixed->live.check, cache_mix(&cache, CACHE_OF_GENERATION, 1, 0));
    cache_step(&cache, "format: live");
    /* Zeroed memory is right for all else: no check word passes there, no tag is used. */
    atomic_store_explicit(to, CACHE_MAGIC, memory_order_release);
    cache_step(&cache, "format: magic");
    return 0;
}

int cache_format(void *memory, size_t bytes, uint64_t cluster, uint64_t owner, uint64_t boot)
{
    return cache_format_hooked(memory, bytes, cluster, owner, boot, NULL);
}

int cache_attach(struct cache *cache, void *memory, size_t bytes, uint64_t cluster, uint64_t owner,
                 uint64_t boot, const struct cache_locks *locks)
{
    uint64_t words[HEADER_WORDS];
    struct cache_geometry geometry;

    *cache = (struct cache){0};
    if (cache_geometry_of(bytes, &geometry) != 0)
        return CAIRN_ECORRUPT;
    copy_header(memory, words);
    if (words[0] != CACHE_MAGIC)
        return CAIRN_ECORRUPT;
    if (words[1] >> 32 != CACHE_MAJOR)
        return CAIRN_EVERSION;
    if (words[2] != header_checksum(words) || words[3] != geometry.bytes || words[5] != owner ||
        words[6] != boot || (cluster != 0 && words[4] != cluster) ||
        words[7] != seed_of(words[3], words[4], words[5], words[6]))
        return CAIRN_ECORRUPT;
    cache->geometry = geometry;
    if (locks != NULL)
        cache->locks = *locks;
    set_up(cache, memory, words);
    return 0;
}

bool cache_is_sound(const struct cache *cache)
{
    uint64_t words[HEADER_WORDS];

    copy_header(cache->header, words);
    return words[0] == CACHE_MAGIC && words[1] >> 32 == CACHE_MAJOR &&
           words[2] == header_checksum(words) && words[7] == cache->seed;
}

uint64_t cache_cluster(const struct cache *cache)
{
    return cache->cluster;
}
