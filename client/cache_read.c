/* A read from the cache: copy, then check (ARCHITECTURE.md C1). No lock, no system call, and once a
 * key is hot no store to shared memory. */
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/rules.h"
#include "client/cache_internal.h"

enum { LOOKS = 4, HEAD_WORDS = 8 };

/* An entry's words in this process's own memory; none is initialised beyond what was copied. */
struct image {
    uint64_t words[CACHE_SLOT_LARGE / sizeof(uint64_t)];
};

enum { OF_CHECKSUM = 1, OF_GENERATION, OF_SESSION, OF_COUNTER, OF_VERSION, OF_EXPIRES, OF_LENGTHS };

static uint32_t key_length_of(uint64_t lengths)
{
    return (uint32_t)lengths & 0xffff;
}

static uint32_t value_length_of(uint64_t lengths)
{
    return (uint32_t)(lengths >> 16) & 0xffff;
}

/* Bounded before anything is copied by them; the checksum decides later whether they are true. */
static bool lengths_fit(uint64_t lengths, size_t key_length, uint32_t slot_bytes)
{
    return key_length_of(lengths) == key_length && value_length_of(lengths) <= CACHE_VALUE_LIMIT &&
           sizeof(struct cache_entry) + key_length + value_length_of(lengths) <= slot_bytes;
}

/* One look. 1: the image is what one writer wrote, -1: look again, 0: not there. Memory order: see
 * the head of cache.c. */
static int take_image(const struct cache_entry *entry, uint32_t slot_bytes, size_t key_length,
                      struct image *image)
{
    const cache_word *from = &entry->sequence;
    const uint64_t sequence = atomic_load_explicit(from, memory_order_acquire);
    uint64_t lengths;
    size_t words;

    if ((sequence & 1) != 0)
        return -1;
    lengths = cache_load(from + OF_LENGTHS);
    if (!lengths_fit(lengths, key_length, slot_bytes))
        return 0;
    image->words[OF_LENGTHS] = lengths;
    for (int i = OF_CHECKSUM; i < OF_LENGTHS; i++)
        image->words[i] = cache_load(from + i);
    words = (sizeof(struct cache_entry) + key_length + value_length_of(lengths) + 7) / 8;
    for (size_t i = HEAD_WORDS; i < words; i++)
        image->words[i] = cache_load(from + i);
    cache_fence_acquire();
    return cache_load(from) == sequence ? 1 : -1;
}

/* Verified on the copy: what lies in the segment may change between a check and its use. */
static bool image_is_whole(const struct cache *cache, const struct image *image, const uint8_t *key,
                           size_t length)
{
    const uint64_t lengths = image->words[OF_LENGTHS];
    const size_t covered = sizeof(struct cache_entry) - OF_GENERATION * sizeof(uint64_t) + length +
                           value_length_of(lengths);

    return memcmp(&image->words[HEAD_WORDS], key, length) == 0 &&
           hash_seeded(&image->words[OF_GENERATION], covered, cache->seed) ==
               image->words[OF_CHECKSUM];
}

static void hand_out(const struct image *image, size_t key_length, struct cache_copy *copy)
{
    const uint64_t lengths = image->words[OF_LENGTHS];

    copy->note.generation = image->words[OF_GENERATION];
    copy->note.session = image->words[OF_SESSION];
    copy->note.counter = image->words[OF_COUNTER];
    copy->note.server = (uint32_t)(lengths >> 32) & 0xffff;
    copy->note.bucket = (uint32_t)(lengths >> 48);
    copy->version = image->words[OF_VERSION];
    copy->expires_ms = image->words[OF_EXPIRES];
    copy->length = value_length_of(lengths);
    memcpy(copy->value, (const uint8_t *)&image->words[HEAD_WORDS] + key_length, copy->length);
    copy->value[copy->length] = 0;
}

static bool copy_way(const struct cache *cache, int class, uint32_t set, uint32_t way,
                     const uint8_t *key, size_t length, uint64_t hash, struct cache_copy *copy)
{
    const struct cache_entry *entry = cache_entry_at(cache, class, set, way);
    struct image image;
    int taken = -1;

    for (int look = 0; taken < 0 && look < LOOKS; look++)
        taken = take_image(entry, cache->geometry.classes[class].slot_bytes, length, &image);
    if (taken != 1 || !image_is_whole(cache, &image, key, length))
        return false;
    hand_out(&image, length, copy);
    return copy->note.bucket == bucket_of_hash(hash);
}

bool cache_copy(const struct cache *cache, const uint8_t *key, size_t length, uint64_t hash,
                struct cache_copy *copy)
{
    const uint64_t wanted = cache_tag_of(hash);

    if (length == 0 || length > CAIRN_KEY_LIMIT || !cache_entries_open(cache))
        return false;
    /* C1 compares it last, and it is seldom near: fetched while the entry is. */
    __builtin_prefetch(&cache_fixed(cache)->counters[bucket_of_hash(hash)]);
    for (int class = 0; class < CACHE_CLASSES; class ++) {
        const uint32_t set = cache_set_of(cache, class, hash);
        const struct cache_tags *tags = cache_tags_at(cache, class, set);

        for (uint32_t way = 0; way < CACHE_WAYS; way++) {
            if (!cache_tag_is(cache_load(&tags->tags[way]), wanted) ||
                !copy_way(cache, class, set, way, key, length, hash, copy))
                continue;
            copy->tag = wanted;
            copy->tag_at = (size_t)((const uint8_t *)&tags->tags[way] - cache->memory);
            return true;
        }
    }
    return false;
}

/* Raises the reference bits while they are not at their maximum. A tag that became another key's is
 * left alone. */
static void refer(const struct cache *cache, const struct cache_copy *copy)
{
    cache_word *word;
    uint64_t tag;

    if (copy->tag_at < cache->geometry.entries ||
        copy->tag_at > cache->geometry.bytes - sizeof *word || copy->tag_at % sizeof *word != 0)
        return;
    word = (cache_word *)(cache->memory + copy->tag_at);
    tag = cache_load(word);
    if (cache_tag_is(tag, copy->tag) && (tag & CACHE_REFERENCES) != CACHE_REFERENCES)
        (void)atomic_compare_exchange_strong_explicit(word, &tag, tag + 1, memory_order_relaxed,
                                                      memory_order_relaxed);
}

/* C1. All four are looked at after the copy (the fence below and the copy's own), the clock, by the
 * caller, after that.
 *
 * Let t be the moment at which the counter was loaded. If the clock read afterwards is before the
 * session's expiry, the session was live at t, by the host's clock, hence at the server, which
 * counts it longer (C5). While it lives, every write to the bucket that shows anywhere has been
 * answered for by the agent, which had counted it first (C3, C4); the counter at t is the one noted
 * before the value was asked for, so no write had shown by t that the value does not contain. The
 * read takes effect at t, which lies between its call and its return, however long the process is
 * stopped afterwards. The generation says the same of the agent's life (C6). Were the clock read
 * before the counter, a process stopped between the two would return a value of an ended session.
 *
 * That the increment is seen by a read that begins after the write was reported needs no fence of
 * ours beyond acquire: the report reached this process through the kernel. */
bool cache_check(const struct cache *cache, const struct cache_copy *copy, uint64_t *until_ms)
{
    const struct cache_note *note = &copy->note;
    uint64_t generation, session, until, counter;

    *until_ms = 0;
    cache_fence_acquire();
    if (!cache_generation(cache, &generation) || note->bucket >= CAIRN_BUCKETS ||
        generation != note->generation)
        return false;
    if (!cache_session_read(cache, note->server, &session, &until) ||
        (session != note->session && !RULE_BROKEN(C1_SESSION)))
        return false;
    counter =
        atomic_load_explicit(&cache_fixed(cache)->counters[note->bucket], memory_order_acquire);
    if (counter != note->counter && !RULE_BROKEN(C1_COUNTER))
        return false;
    if (RULE_BROKEN(C1_EXPIRY))
        until = UINT64_MAX;
    *until_ms = until < copy->expires_ms ? until : copy->expires_ms;
    refer(cache, copy);
    return true;
}

bool cache_get(const struct cache *cache, const uint8_t *key, size_t length, uint64_t hash,
               struct cache_copy *copy)
{
    uint64_t until_ms;

    if (!cache_copy(cache, key, length, hash, copy) || !cache_check(cache, copy, &until_ms))
        return false;
    /* C1: last of all. The loads above are acquire, and the clock's counter is read behind them:
     * the kernel's vDSO orders it after earlier loads. */
    cache_fence_acquire();
    return clock_now_ms() < until_ms;
}
