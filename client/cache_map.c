/* The map, the hints of who leads a partition, and the lists of managers: what helps a process that
 * starts. All of it is checked again by whoever uses it; a wrong hint costs a redirect. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/hash.h"
#include "client/cache_internal.h"

enum { MAP_LOOKS = 8 };

/* --- the map ------------------------------------------------------------------------------------
 */

struct map_head {
    uint64_t version, length, checksum;
};

static uint64_t head_check(const struct cache *cache, const struct map_head *head)
{
    return cache_mix(cache, CACHE_OF_MAP, head->version,
                     cache_mix(cache, CACHE_OF_MAP, head->length, head->checksum));
}

/* False: none, being written, or garbage. The check word keeps a garbled length from sending a
 * reader to memory that was never reserved, and a garbled version from looking newer than all
 * others. */
static bool read_head(const struct cache *cache, struct map_head *head)
{
    const struct cache_map_head *from = &cache_fixed(cache)->map;

    head->version = cache_load(&from->version);
    head->length = cache_load(&from->length);
    head->checksum = cache_load(&from->checksum);
    return head->version != 0 && head->length > 0 && head->length <= cache->geometry.map_limit &&
           cache_load(&from->check) == head_check(cache, head);
}

uint64_t cache_map_version(const struct cache *cache)
{
    struct map_head head;

    return read_head(cache, &head) ? head.version : 0;
}

static void load_bytes(const struct cache *cache, uint8_t *to, size_t length)
{
    const cache_word *from = (const cache_word *)(cache->memory + cache->geometry.map);

    for (size_t at = 0; at < length; at += sizeof(uint64_t)) {
        const uint64_t word = cache_load(from++);

        memcpy(to + at, &word, length - at < sizeof word ? length - at : sizeof word);
    }
}

static void store_bytes(const struct cache *cache, const uint8_t *from, size_t length)
{
    cache_word *to = (cache_word *)(cache->memory + cache->geometry.map);

    for (size_t at = 0; at < length; at += sizeof(uint64_t)) {
        uint64_t word = 0;

        memcpy(&word, from + at, length - at < sizeof word ? length - at : sizeof word);
        cache_store(to++, word);
        if (at == length / 16 * 8)
            cache_step(cache, "map: half");
    }
}

/* One look under the sequence, as for an entry (cache.c). CAIRN_EBUSY: look again. */
static int read_once(const struct cache *cache, uint8_t **bytes, size_t *length)
{
    const cache_word *sequence = &cache_fixed(cache)->map.sequence;
    const uint64_t before = atomic_load_explicit(sequence, memory_order_acquire);
    struct map_head head;
    uint8_t *copy;
    bool same;

    if ((before & 1) != 0)
        return CAIRN_EBUSY;
    if (!read_head(cache, &head)) {
        cache_fence_acquire();
        return cache_load(sequence) == before ? CAIRN_ENOTFOUND : CAIRN_EBUSY;
    }
    copy = malloc(head.length);
    if (copy == NULL)
        return CAIRN_ENOMEM;
    load_bytes(cache, copy, head.length);
    cache_fence_acquire();
    same = cache_load(sequence) == before;
    if (same && hash_seeded(copy, head.length, cache->seed) == head.checksum) {
        *bytes = copy;
        *length = head.length;
        return 0;
    }
    free(copy);
    return same ? CAIRN_ENOTFOUND : CAIRN_EBUSY;
}

int cache_map_read(const struct cache *cache, uint8_t **bytes, size_t *length)
{
    int code = CAIRN_EBUSY;

    *bytes = NULL;
    *length = 0;
    for (int look = 0; code == CAIRN_EBUSY && look < MAP_LOOKS; look++)
        code = read_once(cache, bytes, length);
    return code;
}

/* The lock is held: an odd sequence is a dead writer's, and all that it wrote is written anew. */
static void write_map(const struct cache *cache, const struct map_head *head, const uint8_t *bytes)
{
    struct cache_map_head *to = &cache_fixed(cache)->map;
    const uint64_t odd = (cache_load(&to->sequence) + 1) | 1;

    cache_store(&to->sequence, odd);
    cache_fence_release();
    cache_step(cache, "map: sequence");
    cache_store(&to->check, 0);
    cache_step(cache, "map: no head");
    cache_store(&to->version, head->version);
    cache_store(&to->length, head->length);
    cache_store(&to->checksum, head->checksum);
    cache_step(cache, "map: head");
    store_bytes(cache, bytes, head->length);
    cache_step(cache, "map: bytes");
    cache_store(&to->check, head_check(cache, head));
    cache_step(cache, "map: check");
    atomic_store_explicit(&to->sequence, odd + 1, memory_order_release);
    cache_step(cache, "map: done");
}

/* Whether the map that is there may stay: a newer one that can be read, or the same. */
static bool map_stays(const struct cache *cache, uint64_t version, const struct map_head *head)
{
    struct map_head there;
    uint8_t *bytes;
    size_t length;

    if ((cache_load(&cache_fixed(cache)->map.sequence) & 1) != 0 || !read_head(cache, &there) ||
        there.version < version || (there.version == version && there.checksum != head->checksum) ||
        cache_map_read(cache, &bytes, &length) != 0)
        return false;
    free(bytes);
    return true;
}

bool cache_map_write(const struct cache *cache, uint64_t version, const uint8_t *bytes,
                     size_t length)
{
    const struct cache_locks *locks = &cache->locks;
    struct map_head head = {.version = version, .length = length};
    bool write;

    if (version == 0 || length == 0 || length > cache->geometry.map_limit)
        return false;
    head.checksum = hash_seeded(bytes, length, cache->seed);
    if (locks->try_lock != NULL && !locks->try_lock(locks->context, CACHE_STRIPES))
        return false;
    write = !map_stays(cache, version, &head);
    if (write) {
        write_map(cache, &head, bytes);
        atomic_fetch_add_explicit(&cache_fixed(cache)->hint_count.word, 1, memory_order_release);
    }
    if (locks->unlock != NULL)
        locks->unlock(locks->context, CACHE_STRIPES);
    return write;
}

/* --- hints --------------------------------------------------------------------------------------
 */

static bool read_hint(const struct cache *cache, uint32_t partition, uint64_t *word)
{
    const struct cache_hint *hint = &cache_fixed(cache)->hints[partition];

    *word = atomic_load_explicit(&hint->word, memory_order_acquire);
    return *word != 0 &&
           cache_load(&hint->check) == cache_mix(cache, CACHE_OF_HINT, *word, partition);
}

/* Two writers may cross and leave a check that does not fit: then there is no hint until the next
 * redirect. */
void cache_hint_write(const struct cache *cache, uint32_t partition, uint64_t epoch,
                      uint32_t server)
{
    struct cache_hint *hint;
    uint64_t there;

    if (partition >= CAIRN_PARTITIONS_LIMIT || server >= CAIRN_SERVERS_LIMIT || epoch == 0 ||
        epoch >> 56 != 0)
        return;
    hint = &cache_fixed(cache)->hints[partition];
    if (read_hint(cache, partition, &there) && there >> 8 >= epoch)
        return;
    if (!atomic_compare_exchange_strong_explicit(&hint->word, &there, epoch << 8 | server,
                                                 memory_order_acq_rel, memory_order_acquire))
        return;
    cache_step(cache, "hint: word");
    atomic_store_explicit(&hint->check,
                          cache_mix(cache, CACHE_OF_HINT, epoch << 8 | server, partition),
                          memory_order_release);
    cache_step(cache, "hint: check");
    atomic_fetch_add_explicit(&cache_fixed(cache)->hint_count.word, 1, memory_order_release);
}

bool cache_hint_read(const struct cache *cache, uint32_t partition, uint64_t *epoch,
                     uint32_t *server)
{
    uint64_t word;

    *epoch = 0;
    *server = 0;
    if (partition >= CAIRN_PARTITIONS_LIMIT || !read_hint(cache, partition, &word))
        return false;
    *epoch = word >> 8;
    *server = (uint32_t)word & 0xff;
    return true;
}

uint64_t cache_hint_count(const struct cache *cache)
{
    return atomic_load_explicit(&cache_fixed(cache)->hint_count.word, memory_order_acquire);
}
