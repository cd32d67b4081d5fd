/* What is noted before a GET, and whether its answer is worth caching.
 *
 * Two count-min sketches (Cormode and Muthukrishnan, 2005) of small relaxed counters: how often a
 * key was missed, and how often its entry was voided by a write before anybody read it. A key is
 * worth a grant from its first miss on while there is room for it, and from its second within the
 * window where it would displace another. Each wasted fill doubles the misses that the next one
 * takes, each fill that was read halves them, and the window's end halves all counters: a key that
 * is written more often than read is asked for ever more rarely, because every grant costs its
 * writers a revocation, and it gets back in when it is read more again.
 *
 * Lost updates and collisions cost speed only. */
#include "base/random.h"
#include "client/cache_internal.h"

typedef _Atomic uint8_t sketch_counter;

enum { MISSES, WASTED, WASTED_LIMIT = 6, WORTH_IT_FREE = 1, WORTH_IT = 2 };

static_assert(sizeof(sketch_counter) == 1, "counters are plain bytes in memory");
static_assert(WORTH_IT << WASTED_LIMIT < UINT8_MAX, "a counter reaches what is demanded");

static uint8_t get(const sketch_counter *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

static void set(sketch_counter *counter, uint8_t value)
{
    atomic_store_explicit(counter, value, memory_order_relaxed);
}

static sketch_counter *place(const struct cache *cache, int which, int row, uint64_t hash)
{
    const size_t size = cache->geometry.sketch_row;
    const size_t column = (size_t)cache_scatter(hash + (uint64_t)row + 1) & (size - 1);

    return (sketch_counter *)(cache->memory + cache->geometry.sketch) +
           (size_t)(which * CACHE_SKETCH_ROWS + row) * size + column;
}

static uint8_t estimate(const struct cache *cache, int which, uint64_t hash)
{
    uint8_t least = UINT8_MAX;

    for (int row = 0; row < CACHE_SKETCH_ROWS; row++) {
        const uint8_t value = get(place(cache, which, row, hash));

        if (value < least)
            least = value;
    }
    return least;
}

/* Only the least counters grow: the others count other keys too (conservative update). */
static uint8_t count(const struct cache *cache, int which, uint64_t hash)
{
    const uint8_t least = estimate(cache, which, hash);

    if (least == UINT8_MAX)
        return least;
    for (int row = 0; row < CACHE_SKETCH_ROWS; row++) {
        sketch_counter *counter = place(cache, which, row, hash);

        if (get(counter) == least)
            set(counter, (uint8_t)(least + 1));
    }
    return (uint8_t)(least + 1);
}

static void take_off(const struct cache *cache, int which, uint64_t hash, uint8_t amount)
{
    for (int row = 0; row < CACHE_SKETCH_ROWS; row++) {
        sketch_counter *counter = place(cache, which, row, hash);
        const uint8_t value = get(counter);

        set(counter, value > amount ? (uint8_t)(value - amount) : 0);
    }
}

/* The window is a quarter as many misses as a row has counters: so few of a row's counters are
 * taken that a key missed once is seldom mistaken for one missed twice. Whoever counts the window's
 * last halves them all. */
static void age(const struct cache *cache)
{
    cache_word *counted = &cache_fixed(cache)->aging.word;
    cache_word *words = (cache_word *)(cache->memory + cache->geometry.sketch);
    const size_t count_words = 2 * (size_t)CACHE_SKETCH_ROWS * cache->geometry.sketch_row / 8;
    uint64_t seen = atomic_fetch_add_explicit(counted, 1, memory_order_relaxed) + 1;

    if (seen < cache->geometry.sketch_row / 4 ||
        !atomic_compare_exchange_strong_explicit(counted, &seen, 0, memory_order_relaxed,
                                                 memory_order_relaxed))
        return;
    for (size_t i = 0; i < count_words; i++)
        cache_store(&words[i], cache_load(&words[i]) >> 1 & UINT64_C(0x7f7f7f7f7f7f7f7f));
}

/* What became of the key's last fill, if its entry lies there void: judged once, then the tag goes,
 * and with it the slot is free. Returns whether a slot is. */
static bool judge(const struct cache *cache, uint64_t hash, int class)
{
    const uint64_t wanted = cache_tag_of(hash);
    const uint32_t in_set = cache_set_of(cache, class, hash);
    struct cache_tags *tags = cache_tags_at(cache, class, in_set);
    bool has_room = false;

    for (uint32_t way = 0; way < CACHE_WAYS; way++) {
        uint64_t tag = cache_load(&tags->tags[way]);
        struct cache_note note;

        has_room = has_room || tag == 0;
        if (!cache_tag_is(tag, wanted))
            continue;
        cache_peek(cache_entry_at(cache, class, in_set, way), &note);
        if (cache_is_current(cache, &note) ||
            !atomic_compare_exchange_strong_explicit(&tags->tags[way], &tag, 0,
                                                     memory_order_relaxed, memory_order_relaxed))
            continue;
        has_room = true;
        if ((tag & CACHE_REFERENCES) != 0)
            take_off(cache, WASTED, hash, (uint8_t)(estimate(cache, WASTED, hash) + 1) / 2);
        else if (estimate(cache, WASTED, hash) < WASTED_LIMIT)
            (void)count(cache, WASTED, hash);
    }
    return has_room;
}

/* What a grant would be worth. */
enum worth { NOTHING, A_FREE_SLOT, ANY_SLOT };

static enum worth worth_of(const struct cache *cache, uint64_t hash, bool has_room)
{
    const uint8_t misses = count(cache, MISSES, hash);
    uint8_t wasted = estimate(cache, WASTED, hash);
    enum worth worth;

    if (wasted > WASTED_LIMIT)
        wasted = WASTED_LIMIT; /* garbage, or collisions */
    if (misses >= WORTH_IT << wasted)
        worth = ANY_SLOT;
    else
        worth = has_room && misses >= WORTH_IT_FREE << wasted ? A_FREE_SLOT : NOTHING;
    /* The next fill takes as many misses again. */
    if (worth != NOTHING && wasted > 0)
        take_off(cache, MISSES, hash, misses);
    return worth;
}

/* What is noted is never a small number: a counter that was not noted before begins at a random one
 * then. Zeros over the counters would otherwise bring back values under which entries were noted
 * once. False: somebody else keeps changing it. */
static bool note_counter(const struct cache *cache, struct cache_note *note)
{
    cache_word *counter = &cache_fixed(cache)->counters[note->bucket];
    uint64_t value = atomic_load_explicit(counter, memory_order_acquire);

    for (int tries = 0; value < CACHE_COUNTER_NOTED && tries < 4; tries++) {
        const uint64_t first = CACHE_COUNTER_NOTED | random_id() >> 2;

        if (atomic_compare_exchange_strong_explicit(counter, &value, first, memory_order_acq_rel,
                                                    memory_order_acquire))
            value = first;
    }
    note->counter = value;
    return value >= CACHE_COUNTER_NOTED;
}

bool cache_note(const struct cache *cache, uint64_t hash, uint32_t server, uint64_t now_ms,
                struct cache_note *note)
{
    uint64_t until_ms;
    bool live, has_room = false;
    enum worth worth;

    *note = (struct cache_note){.server = server, .bucket = bucket_of_hash(hash)};
    if (!cache_entries_open(cache))
        return false;
    for (int class = 0; class < CACHE_CLASSES; class ++)
        has_room = judge(cache, hash, class) || has_room;
    age(cache);
    worth = worth_of(cache, hash, has_room);
    note->displaces_none = worth == A_FREE_SLOT;
    /* C1: all three before the GET leaves, so that a write which the answer may lack is counted
     * after the note, and voids it. The order among them does not matter. */
    live = cache_generation(cache, &note->generation) &&
           cache_session_read(cache, server, &note->session, &until_ms) && now_ms < until_ms;
    return note_counter(cache, note) && live && worth != NOTHING;
}
