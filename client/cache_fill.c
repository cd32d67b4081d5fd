/* Writing entries: under the stripe's lock, so that a death in the middle is noticed by the next
 * writer (see the head of cache.c). */
#include <string.h>

#include "base/hash.h"
#include "client/cache_internal.h"

void cache_peek(const struct cache_entry *entry, struct cache_note *note)
{
    const uint64_t lengths = cache_load(&entry->lengths);

    note->generation = cache_load(&entry->generation);
    note->session = cache_load(&entry->session);
    note->counter = cache_load(&entry->counter);
    note->server = (uint32_t)(lengths >> 32) & 0xffff;
    note->bucket = (uint32_t)(lengths >> 48);
}

/* --- one entry ----------------------------------------------------------------------------------
 */

/* From here readers look again or give up. The sequence only grows: also over a dead writer's. */
static uint64_t begin_entry(struct cache_entry *entry)
{
    const uint64_t odd = (cache_load(&entry->sequence) + 1) | 1;

    cache_store(&entry->sequence, odd);
    cache_fence_release();
    return odd;
}

static void end_entry(struct cache_entry *entry, uint64_t odd)
{
    atomic_store_explicit(&entry->sequence, odd + 1, memory_order_release);
}

/* Without lengths nothing of it is ever read. */
static void wipe_entry(struct cache_entry *entry)
{
    const uint64_t odd = begin_entry(entry);

    cache_store(&entry->checksum, 0);
    cache_store(&entry->generation, 0);
    cache_store(&entry->session, 0);
    cache_store(&entry->counter, 0);
    cache_store(&entry->version, 0);
    cache_store(&entry->expires_ms, 0);
    cache_store(&entry->lengths, 0);
    end_entry(entry, odd);
}

/* What an entry is to say, laid out as in the slot. */
struct draft {
    uint64_t words[CACHE_SLOT_LARGE / sizeof(uint64_t)];
    size_t bytes;
};

static void draw_up(const struct cache *cache, const struct cache_note *note, const uint8_t *key,
                    size_t length, const uint8_t *value, size_t value_length, uint64_t version,
                    uint64_t expires_ms, struct draft *draft)
{
    uint8_t *const text = (uint8_t *)&draft->words[8];

    draft->bytes = sizeof(struct cache_entry) + length + value_length;
    draft->words[(draft->bytes - 1) / sizeof(uint64_t)] = 0; /* no stray bytes behind the value */
    draft->words[2] = note->generation;
    draft->words[3] = note->session;
    draft->words[4] = note->counter;
    draft->words[5] = version;
    draft->words[6] = expires_ms;
    draft->words[7] = (uint64_t)note->bucket << 48 | (uint64_t)note->server << 32 |
                      (uint64_t)value_length << 16 | length;
    memcpy(text, key, length);
    if (value_length > 0)
        memcpy(text + length, value, value_length);
    draft->words[1] = hash_seeded(&draft->words[2], draft->bytes - 16, cache->seed);
}

static void write_entry(const struct cache *cache, struct cache_entry *entry, cache_word *tag,
                        uint64_t tag_value, const struct draft *draft)
{
    const size_t words = (draft->bytes + 7) / 8;
    cache_word *to = &entry->sequence;
    const uint64_t odd = begin_entry(entry);

    cache_step(cache, "fill: sequence");
    for (size_t i = 1; i < words; i++) {
        cache_store(to + i, draft->words[i]);
        if (i == 1 || i == 7 || i == words / 2)
            cache_step(cache, "fill: words");
    }
    cache_store(tag, tag_value);
    cache_step(cache, "fill: tag");
    end_entry(entry, odd);
    cache_step(cache, "fill: entry");
}

/* --- the stripe ---------------------------------------------------------------------------------
 */

static void wipe_stripe(const struct cache *cache, uint32_t stripe)
{
    for (int class = 0; class < CACHE_CLASSES; class ++) {
        const uint32_t end = cache_first_set(cache, class, stripe + 1);

        for (uint32_t set = cache_first_set(cache, class, stripe); set < end; set++) {
            for (uint32_t way = 0; way < CACHE_WAYS; way++) {
                cache_store(&cache_tags_at(cache, class, set)->tags[way], 0);
                wipe_entry(cache_entry_at(cache, class, set, way));
            }
            if (set % 64 == 0)
                cache_step(cache, "wipe: set");
        }
    }
}

/* The lock is held. An odd mark: whoever held it before died while changing something. */
static void begin_stripe(const struct cache *cache, uint32_t stripe)
{
    cache_word *mark = &cache_fixed(cache)->stripes[stripe].word;
    const uint64_t was = cache_load(mark);

    cache_store(mark, (was + 1) | 1);
    cache_fence_release();
    cache_step(cache, "fill: mark");
    if ((was & 1) != 0)
        wipe_stripe(cache, stripe);
}

static void end_stripe(const struct cache *cache, uint32_t stripe)
{
    cache_word *mark = &cache_fixed(cache)->stripes[stripe].word;

    atomic_store_explicit(mark, cache_load(mark) + 1, memory_order_release);
    cache_step(cache, "fill: unmark");
}

/* --- which slot ---------------------------------------------------------------------------------
 */

static bool way_is_void(const struct cache *cache, int class, uint32_t set, uint32_t way)
{
    struct cache_note note;

    cache_peek(cache_entry_at(cache, class, set, way), &note);
    return !cache_is_current(cache, &note);
}

/* CLOCK: the hand goes round and takes a reference off each way that it passes. It is the stripe's,
 * not the set's; that it then starts anywhere in a set does no harm. */
static uint32_t evict(const struct cache *cache, struct cache_tags *tags, uint32_t stripe)
{
    cache_word *hand = &cache_fixed(cache)->stripes[stripe].second;
    uint32_t way = (uint32_t)cache_load(hand) % CACHE_WAYS;

    for (int i = 0; i < CACHE_WAYS * CACHE_REFERENCES; i++, way = (way + 1) % CACHE_WAYS) {
        const uint64_t tag = cache_load(&tags->tags[way]);

        if ((tag & CACHE_REFERENCES) == 0)
            break;
        cache_store(&tags->tags[way], tag - 1);
    }
    cache_store(hand, way + 1);
    cache_add(cache, CACHE_EVICTIONS, 1);
    return way;
}

/* The key's own slot, an empty one or a void one; CACHE_WAYS if there is none. */
static uint32_t free_way(const struct cache *cache, int class, uint32_t set, uint64_t wanted)
{
    const struct cache_tags *tags = cache_tags_at(cache, class, set);
    uint32_t empty = CACHE_WAYS, idle = CACHE_WAYS;

    for (uint32_t way = 0; way < CACHE_WAYS; way++) {
        const uint64_t tag = cache_load(&tags->tags[way]);

        if (cache_tag_is(tag, wanted))
            return way;
        if (tag == 0)
            empty = way;
        else if (empty == CACHE_WAYS && way_is_void(cache, class, set, way))
            idle = way;
    }
    return empty < CACHE_WAYS ? empty : idle;
}

struct slot {
    int class;
    uint32_t set, way; /* CACHE_WAYS: there is none */
};

/* A slot that costs nobody anything, of the smallest size that holds the entry or of a larger one
 * that nobody needs now; else that of an entry of its size that is seldom read. */
static struct slot choose_slot(const struct cache *cache, const struct cache_note *note,
                               int smallest, uint64_t hash)
{
    struct slot slot;

    for (slot.class = smallest; slot.class < CACHE_CLASSES; slot.class ++) {
        slot.set = cache_set_of(cache, slot.class, hash);
        slot.way = free_way(cache, slot.class, slot.set, cache_tag_of(hash));
        if (slot.way < CACHE_WAYS)
            return slot;
    }
    slot.class = smallest;
    slot.set = cache_set_of(cache, smallest, hash);
    if (!note->displaces_none)
        slot.way =
            evict(cache, cache_tags_at(cache, smallest, slot.set), cache_stripe_of(cache, hash));
    return slot;
}

/* An older value of the key, of another size perhaps, must not be found before the new one: it is
 * void, and a reader that finds it looks no further. */
static void forget_others(const struct cache *cache, uint64_t hash, const cache_word *kept)
{
    const uint64_t wanted = cache_tag_of(hash);

    for (int class = 0; class < CACHE_CLASSES; class ++) {
        struct cache_tags *tags = cache_tags_at(cache, class, cache_set_of(cache, class, hash));

        for (uint32_t way = 0; way < CACHE_WAYS; way++)
            if (&tags->tags[way] != kept && cache_tag_is(cache_load(&tags->tags[way]), wanted))
                cache_store(&tags->tags[way], 0);
    }
    cache_step(cache, "fill: others");
}

static int class_of(size_t bytes)
{
    if (bytes <= CACHE_SLOT_SMALL)
        return 0;
    return bytes <= CACHE_SLOT_MIDDLE ? 1 : 2;
}

static void put(const struct cache *cache, const struct slot *slot, uint64_t hash,
                const struct draft *draft)
{
    cache_word *tag = &cache_tags_at(cache, slot->class, slot->set)->tags[slot->way];

    write_entry(cache, cache_entry_at(cache, slot->class, slot->set, slot->way), tag,
                cache_tag_of(hash), draft);
    forget_others(cache, hash, tag);
}

/* --- the fill -----------------------------------------------------------------------------------
 */

static bool lock(const struct cache *cache, uint32_t stripe)
{
    return cache->locks.try_lock == NULL || cache->locks.try_lock(cache->locks.context, stripe);
}

static void unlock(const struct cache *cache, uint32_t stripe)
{
    if (cache->locks.unlock != NULL)
        cache->locks.unlock(cache->locks.context, stripe);
}

static bool fits(const struct cache_note *note, size_t length, uint64_t hash, size_t value_length)
{
    return length > 0 && length <= CAIRN_KEY_LIMIT && value_length <= CACHE_VALUE_LIMIT &&
           note->server < CAIRN_SERVERS_LIMIT && note->bucket == bucket_of_hash(hash);
}

/* The lock is held. C4: a note that is over is refused to save the work. That one which is over a
 * moment later still gets in does not matter: it carries what was noted, and no reader takes it. */
static enum cache_count put_if_current(const struct cache *cache, const struct cache_note *note,
                                       uint64_t hash, const struct draft *draft)
{
    const uint32_t stripe = cache_stripe_of(cache, hash);
    struct slot slot;

    if (!cache_is_current(cache, note))
        return CACHE_REFUSED;
    begin_stripe(cache, stripe);
    slot = choose_slot(cache, note, class_of(draft->bytes), hash);
    if (slot.way < CACHE_WAYS)
        put(cache, &slot, hash, draft);
    end_stripe(cache, stripe);
    return slot.way < CACHE_WAYS ? CACHE_FILLS : CACHE_SKIPPED;
}

bool cache_fill(const struct cache *cache, const struct cache_note *note, const uint8_t *key,
                size_t length, uint64_t hash, const uint8_t *value, size_t value_length,
                uint64_t version, uint64_t expires_ms)
{
    const uint32_t stripe = cache_stripe_of(cache, hash);
    enum cache_count outcome = CACHE_SKIPPED;
    struct draft draft;

    if (fits(note, length, hash, value_length) && cache_entries_open(cache) &&
        lock(cache, stripe)) {
        draw_up(cache, note, key, length, value, value_length, version, expires_ms, &draft);
        outcome = put_if_current(cache, note, hash, &draft);
        unlock(cache, stripe);
    }
    cache_add(cache, outcome, 1);
    return outcome == CACHE_FILLS;
}
