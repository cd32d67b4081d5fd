/* The shared segment with arbitrary bytes written over it: nobody steps outside it, no copy is
 * longer than its limit, and once an agent has written its words anew, what is filled is what is
 * read.
 *
 * The input: patches, each a byte that says where, an offset there (24 bits), a length (16 bits),
 * and bytes. Bit 7 of the first byte: the check word or checksum of what was patched is put right.
 *
 * That a hit is what was filled is not asked of patched entries: a fuzzer that sees comparisons
 * forges checksums. tests/unit/test_client_cache_garbage.c asks it. */
#include <stdlib.h>
#include <sys/mman.h>

#include "base/check.h"
#include "base/error.h"
#include "base/hash.h"
#include "client/cache_internal.h"
#include "proto/map.h"
#include "tests/fuzz/lib/fuzz.h"

enum { BYTES = CACHE_BYTES_MIN, GUARD = CACHE_PAGE, CLUSTER = 77, OWNER = 3, BOOT = 5 };
enum { SERVER = 2, KEYS = 6, NOTES = 64, FORGE = 0x80, MANAGERS = 9, PARTITIONS = 16 };
enum { PATCHES = 256, CHECKED_RUNS = 512 };
#define SESSION UINT64_C(0x1122334455667788)

static const char *const keys[KEYS] = {"a", "key", "another key", "k3", "user{42}name", "k5"};
static const size_t lengths[KEYS] = {0, 10, 200, 800, 2000, CACHE_VALUE_LIMIT};

struct area {
    size_t offset, bytes;
};

static uint8_t *memory; /* between two pages that nobody may touch */
static uint8_t *unused; /* what it was before the first run */
static struct area patched[PATCHES];
static size_t patched_count;
static struct cache cache;

static uint64_t hash_of(const char *key)
{
    return hash_bytes(key, strlen(key));
}

static bool fill(const struct cache *to, unsigned number, const uint8_t *value, size_t length)
{
    const char *key = keys[number];
    struct cache_note note;
    bool noted = false;

    for (int i = 0; i < NOTES && !noted; i++)
        noted = cache_note(to, hash_of(key), SERVER, 1, &note);
    return noted && cache_fill(to, &note, (const uint8_t *)key, strlen(key), hash_of(key), value,
                               length, 9, UINT64_MAX);
}

static bool get(const struct cache *from, unsigned number, struct cache_copy *copy)
{
    const char *key = keys[number];

    return cache_get(from, (const uint8_t *)key, strlen(key), hash_of(key), copy);
}

/* --- the segment --------------------------------------------------------------------------------
 */

static void fill_segment(void)
{
    static uint8_t value[CACHE_VALUE_LIMIT];

    cache_open_entries(&cache);
    cache_set_session(&cache, SERVER, SESSION, UINT64_MAX);
    for (unsigned i = 0; i < KEYS; i++) {
        memset(value, 'a' + (int)i, sizeof value);
        CHECK(fill(&cache, i, value, lengths[i]));
    }
    CHECK(cache_map_write(&cache, 4, (const uint8_t *)"a packed map of the cluster", 27));
    cache_hint_write(&cache, 7, 12, SERVER);
    cache_note_managers(&cache, MANAGERS, 1000);
}

/* A used segment, and a copy of it. */
static void set_up(void)
{
    uint8_t *room = mmap(NULL, BYTES + 2 * GUARD, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    CHECK(room != MAP_FAILED);
    memory = room + GUARD;
    CHECK(mprotect(memory, BYTES, PROT_READ | PROT_WRITE) == 0);
    CHECK(cache_format(memory, BYTES, CLUSTER, OWNER, BOOT) == 0);
    CHECK(cache_attach(&cache, memory, BYTES, CLUSTER, OWNER, BOOT, NULL) == 0);
    fill_segment();
    unused = malloc(BYTES);
    CHECK(unused != NULL);
    memcpy(unused, memory, BYTES);
}

static struct area tags_of(unsigned key, int class)
{
    const uint32_t set = cache_set_of(&cache, class, hash_of(keys[key]));

    return (struct area){(size_t)((uint8_t *)cache_tags_at(&cache, class, set) - cache.memory),
                         sizeof(struct cache_tags)};
}

static struct area entries_of(unsigned key, int class)
{
    const uint32_t set = cache_set_of(&cache, class, hash_of(keys[key]));

    return (struct area){(size_t)((uint8_t *)cache_entry_at(&cache, class, set, 0) - cache.memory),
                         CACHE_WAYS * (size_t)cache.geometry.classes[class].slot_bytes};
}

static void restore(struct area area)
{
    memcpy(memory + area.offset, unused + area.offset, area.bytes);
}

/* What is used whatever was patched. */
static void restore_used(void)
{
    const struct cache_geometry *geometry = &cache.geometry;

    restore((struct area){0, offsetof(struct cache_fixed, counters)});
    restore(
        (struct area){offsetof(struct cache_fixed, hints), PARTITIONS * sizeof(struct cache_hint)});
    restore((struct area){geometry->sketch, geometry->map - geometry->sketch});
    restore((struct area){geometry->map, CACHE_LINE});
    for (unsigned key = 0; key < KEYS; key++) {
        restore((struct area){offsetof(struct cache_fixed, counters) +
                                  bucket_of_hash(hash_of(keys[key])) * sizeof(cache_word),
                              sizeof(cache_word)});
        for (int class = 0; class < CACHE_CLASSES; class ++) {
            restore(tags_of(key, class));
            restore(entries_of(key, class));
        }
    }
}

/* As before it was patched and used. To copy all of it would take most of the time of a run, and is
 * needed only where a stripe was patched: whoever finds it half changed clears all its slots. */
static void undo(void)
{
    static unsigned runs;
    const size_t stripes = offsetof(struct cache_fixed, stripes);
    const size_t behind = offsetof(struct cache_fixed, sessions);
    bool all = false;

    for (; patched_count > 0; patched_count--) {
        const struct area *area = &patched[patched_count - 1];

        restore(*area);
        all = all || (area->offset < behind && area->offset + area->bytes > stripes);
    }
    if (all)
        restore((struct area){0, BYTES});
    else
        restore_used();
    if (runs++ % CHECKED_RUNS == 0)
        CHECK(memcmp(memory, unused, BYTES) == 0);
}

/* --- patches ------------------------------------------------------------------------------------
 */

/* Of all the bytes of the segment, those that somebody looks at. An offset beyond what any area
 * has says of which class of entries. */
static struct area area_of(unsigned number, size_t offset)
{
    const struct cache_geometry *geometry = &cache.geometry;
    const unsigned key = number / 16 % KEYS;
    const uint64_t hash = hash_of(keys[key]);
    const int class = (int)((offset >> 16) % CACHE_CLASSES);
    const struct area areas[] = {
        {0, 64},
        {offsetof(struct cache_fixed, live), 2 * CACHE_LINE},
        {offsetof(struct cache_fixed, aging), CACHE_LINE},
        {offsetof(struct cache_fixed, map), sizeof(struct cache_map_head)},
        {offsetof(struct cache_fixed, counts), sizeof(struct cache_line) * CACHE_COUNT_LINES},
        {offsetof(struct cache_fixed, stripes) + cache_stripe_of(&cache, hash) * CACHE_LINE, 16},
        {offsetof(struct cache_fixed, sessions), 4 * sizeof(struct cache_session_line)},
        {offsetof(struct cache_fixed, managers), 64 * sizeof(struct cache_managers_entry)},
        {offsetof(struct cache_fixed, counters) + bucket_of_hash(hash) * sizeof(cache_word), 8},
        {offsetof(struct cache_fixed, hints), PARTITIONS * sizeof(struct cache_hint)},
        {geometry->sketch, geometry->map - geometry->sketch},
        {geometry->map, geometry->map_limit},
    };

    if (number % 16 < sizeof areas / sizeof *areas)
        return areas[number % 16];
    return number % 2 == 0 ? tags_of(key, class) : entries_of(key, class);
}

/* The entry's checksum, as long as its lengths stay within its slot. */
static void forge_entry(struct cache_entry *entry, size_t slot_bytes)
{
    const uint64_t word = cache_load(&entry->lengths);
    const size_t bytes = sizeof *entry + (word & 0xffff) + (word >> 16 & 0xffff);

    if (bytes <= slot_bytes)
        cache_store(&entry->checksum, hash_seeded((uint8_t *)entry + 16, bytes - 16, cache.seed));
}

static void forge(void)
{
    struct cache_fixed *fixed = cache_fixed(&cache);
    const uint64_t map_length = cache_load(&fixed->map.length);

    cache_store(&fixed->live.check,
                cache_mix(&cache, CACHE_OF_GENERATION, cache_load(&fixed->live.generation), 0));
    if (map_length <= cache.geometry.map_limit)
        cache_store(&fixed->map.checksum,
                    hash_seeded(memory + cache.geometry.map, map_length, cache.seed));
    cache_store(&fixed->map.check, cache_mix(&cache, CACHE_OF_MAP, cache_load(&fixed->map.version),
                                             cache_mix(&cache, CACHE_OF_MAP, map_length,
                                                       cache_load(&fixed->map.checksum))));
    for (unsigned i = 0; i < 4; i++)
        cache_store(&fixed->sessions[i].check,
                    cache_mix(&cache, CACHE_OF_SESSION + i, cache_load(&fixed->sessions[i].session),
                              cache_load(&fixed->sessions[i].until_ms)));
    for (uint32_t i = 0; i < PARTITIONS; i++)
        cache_store(&fixed->hints[i].check,
                    cache_mix(&cache, CACHE_OF_HINT, cache_load(&fixed->hints[i].word), i));
    for (int class = 0; class < CACHE_CLASSES; class ++)
        for (unsigned key = 0; key < KEYS; key++)
            for (uint32_t way = 0; way < CACHE_WAYS; way++)
                forge_entry(cache_entry_at(&cache, class,
                                           cache_set_of(&cache, class, hash_of(keys[key])), way),
                            cache.geometry.classes[class].slot_bytes);
}

/* Whether nothing was written over what says which entries are valid. */
static bool patch(struct input *input)
{
    bool forged = false, spared = true;

    while (input->left > 0 && patched_count < PATCHES) {
        const unsigned where = input_u8(input);
        const size_t offset = (size_t)input_number(input, 3);
        const size_t wanted = (size_t)input_number(input, 2);
        const struct area area = area_of(where & ~(unsigned)FORGE, offset);
        const size_t at = area.offset + offset % area.bytes;
        size_t length;
        const uint8_t *bytes = input_bytes(input, wanted, &length);

        if (length > BYTES - at)
            length = BYTES - at;
        if (length > 0)
            memcpy(memory + at, bytes, length);
        patched[patched_count++] = (struct area){at, length};
        forged = forged || (where & FORGE) != 0;
        spared = spared && at >= offsetof(struct cache_fixed, hint_count) &&
                 at + length <= cache.geometry.entries;
    }
    if (forged)
        forge();
    return spared && !forged;
}

/* --- use ----------------------------------------------------------------------------------------
 */

static void look(void)
{
    static struct cache_copy copy;
    struct cache other;
    struct cluster_map map;
    uint64_t until_ms, epoch;
    uint32_t server;
    uint8_t *bytes;
    size_t length;
    int status = cache_attach(&other, memory, BYTES, 0, OWNER, BOOT, NULL);

    CHECK(status == 0 || status == CAIRN_ECORRUPT || status == CAIRN_EVERSION);
    if (status == 0)
        fuzz_accepted++;
    CHECK((status == 0) >= cache_is_sound(&cache));
    for (unsigned i = 0; i < KEYS; i++) {
        if (!cache_copy(&cache, (const uint8_t *)keys[i], strlen(keys[i]), hash_of(keys[i]), &copy))
            continue;
        CHECK(copy.length <= CACHE_VALUE_LIMIT && copy.value[copy.length] == 0);
        CHECK(copy.note.bucket == bucket_of_hash(hash_of(keys[i])));
        (void)cache_check(&cache, &copy, &until_ms);
    }
    status = cache_map_read(&cache, &bytes, &length);
    CHECK((status == 0) == (bytes != NULL) && length <= cache.geometry.map_limit);
    CHECK(status != 0 || cache_map_version(&cache) != 0);
    if (status == 0 && cluster_map_unpack(bytes, length, &map, NULL) == 0)
        cluster_map_free(&map);
    free(bytes);
    for (uint32_t partition = 0; partition < PARTITIONS; partition++)
        (void)cache_hint_read(&cache, partition, &epoch, &server);
    (void)cache_managers_noted_ms(&cache, MANAGERS);
    (void)cache_is_live(&cache);
    (void)cache_session(&cache, SERVER, 1);
    (void)cache_hint_count(&cache);
}

/* Goes through all entries: seldom. */
static void count(void)
{
    struct cache_stat stat;

    cache_stat(&cache, 1, &stat);
    CHECK(stat.entries <= stat.entries_limit && stat.bytes == BYTES);
    CHECK(stat.sessions <= CAIRN_SERVERS_LIMIT);
}

/* An agent takes over: from then on it works, whatever lay there. */
static void work(bool spared)
{
    static const uint8_t value[] = "a value that was filled afterwards";
    static struct cache_copy copy;
    uint64_t epoch;
    uint32_t server;
    uint8_t *bytes;
    size_t length;

    (void)cache_raise_generation(&cache);
    cache_open_entries(&cache);
    cache_set_session(&cache, SERVER, SESSION, UINT64_MAX);
    CHECK(cache_is_live(&cache) && cache_session(&cache, SERVER, 1) == SESSION);
    for (unsigned i = 0; i < KEYS; i++) {
        CHECK(!spared || !get(&cache, i, &copy)); /* C6: what was there is void */
        if (!fill(&cache, i, value, sizeof value))
            continue;
        CHECK(get(&cache, i, &copy));
        CHECK(copy.length == sizeof value && memcmp(copy.value, value, sizeof value) == 0);
        cache_invalidate(&cache, bucket_of_hash(hash_of(keys[i])));
        CHECK(!get(&cache, i, &copy)); /* C4 */
    }
    if (cache_map_write(&cache, UINT64_MAX, value, sizeof value)) {
        CHECK(cache_map_read(&cache, &bytes, &length) == 0 && length == sizeof value);
        CHECK(memcmp(bytes, value, length) == 0);
        free(bytes);
    }
    cache_hint_write(&cache, 3, UINT64_C(1) << 50, 1);
    if (cache_hint_read(&cache, 3, &epoch, &server))
        CHECK(server < CAIRN_SERVERS_LIMIT);
    cache_note_managers(&cache, 1, 5);
    cache_forget_managers(&cache, 1);
    CHECK(cache_managers_noted_ms(&cache, 1) == 0);
    cache_void_session(&cache, SERVER);
    CHECK(cache_session(&cache, SERVER, 1) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {data, size};
    bool spared;

    if (memory == NULL)
        set_up();
    spared = patch(&input);
    look();
    if (size % 32 == 0)
        count();
    work(spared);
    undo();
    return 0;
}

/* --- valid inputs: patches that leave the header as it is ---------------------------------------
 */

static void put_patch(struct buffer *out, unsigned where, unsigned offset, const char *text)
{
    seed_number(out, where, 1);
    seed_number(out, offset, 3);
    seed_number(out, strlen(text), 2);
    seed_text(out, text);
}

bool fuzz_seed(unsigned number, struct buffer *out)
{
    if (number >= 16)
        return false;
    put_patch(out, number == 0 ? 1 : number, 8 * (number / 4), "\1");
    put_patch(out, (16 * (number % KEYS) + 1 + number % 15) | (number % 2 * FORGE), 56, "\3\2");
    put_patch(out, 16 * (number % KEYS) + 12 + number % 4,
              (number % CACHE_CLASSES << 16) + 8 * number, "garbage");
    return true;
}
