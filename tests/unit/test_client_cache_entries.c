/* What was filled is read back whole, whatever its size; what does not fit is refused; what is read
 * often stays. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/error.h"
#include "tests/unit/cache_fixture.h"

enum { BYTES = CACHE_BYTES_MIN };

static void a_pair_of_any_size_comes_back(void **state)
{
    static const size_t lengths[] = {0, 1, 7, 8, 100, 175, 176, 177, 943, 944, 945, 4095, 4096};
    struct cache_fixture fixture;
    struct cache_copy copy;
    uint8_t value[CACHE_VALUE_LIMIT];

    (void)state;
    fixture_init(&fixture, BYTES);
    memset(value, 'v', sizeof value);
    for (size_t key_length = 1; key_length <= CAIRN_KEY_LIMIT; key_length += 479) {
        for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
            char key[CAIRN_KEY_LIMIT + 1] = {0};
            struct cache_note note;

            memset(key, 'a' + (char)i, key_length);
            value[0] = (uint8_t)i;
            assert_true(fixture_note(&fixture.cache, key, &note));
            assert_true(fixture_fill(&fixture.cache, &note, key, value, lengths[i]));
            memset(&copy, 0x55, sizeof copy);
            assert_true(fixture_get(&fixture.cache, key, &copy));
            assert_int_equal(copy.length, lengths[i]);
            assert_memory_equal(copy.value, value, lengths[i]);
            assert_int_equal(copy.value[lengths[i]], 0);
            if (lengths[i] < CACHE_VALUE_LIMIT)
                assert_int_equal(copy.value[lengths[i] + 1], 0x55);
            assert_int_equal(copy.version, 9);
            assert_int_equal(copy.note.server, FIXTURE_SERVER);
            assert_true(copy.note.session == FIXTURE_SESSION);
        }
    }
    fixture_close(&fixture);
}

static void what_does_not_fit_is_skipped(void **state)
{
    struct cache_fixture fixture;
    struct cache_copy copy;
    struct cache_note note;
    struct cache_stat stat;
    uint8_t value[CACHE_VALUE_LIMIT + 1] = {0};
    uint8_t key[CAIRN_KEY_LIMIT + 1] = {0};

    (void)state;
    fixture_init(&fixture, BYTES);
    assert_true(fixture_note(&fixture.cache, "k", &note));
    assert_false(fixture_fill(&fixture.cache, &note, "k", value, sizeof value));
    assert_false(fixture_fill(&fixture.cache, &note, "", value, 1));
    assert_false(cache_fill(&fixture.cache, &note, key, sizeof key, hash_bytes(key, sizeof key),
                            value, 1, 1, UINT64_MAX));
    note.bucket++;
    assert_false(fixture_fill(&fixture.cache, &note, "k", value, 1));
    note.bucket--;
    note.server = CAIRN_SERVERS_LIMIT;
    assert_false(fixture_fill(&fixture.cache, &note, "k", value, 1));
    assert_false(fixture_get(&fixture.cache, "k", &copy));
    assert_false(fixture_get(&fixture.cache, "", &copy));
    assert_false(cache_get(&fixture.cache, key, sizeof key, hash_bytes(key, sizeof key), &copy));
    cache_stat(&fixture.cache, 1, &stat);
    assert_int_equal(stat.counts[CACHE_SKIPPED], 5);
    assert_int_equal(stat.entries, 0);
    fixture_close(&fixture);
}

static void a_value_of_another_size_replaces_the_old_one(void **state)
{
    static const size_t lengths[] = {10, 2000, 300, 4096, 0};
    struct cache_fixture fixture;
    struct cache_copy copy;
    struct cache_stat stat;
    uint8_t value[CACHE_VALUE_LIMIT] = {0};

    (void)state;
    fixture_init(&fixture, BYTES);
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        struct cache_note note;

        assert_true(fixture_note(&fixture.cache, "key", &note));
        assert_true(fixture_fill(&fixture.cache, &note, "key", value, lengths[i]));
        assert_true(fixture_get(&fixture.cache, "key", &copy));
        assert_int_equal(copy.length, lengths[i]);
        cache_stat(&fixture.cache, 1, &stat);
        assert_int_equal(stat.entries, 1);
    }
    fixture_close(&fixture);
}

/* Two keys whose hashes are the same but for the bits that a tag does not hold. */
static void a_key_is_not_taken_for_another(void **state)
{
    const uint64_t hash = fixture_hash("one");
    struct cache_fixture fixture;
    struct cache_copy copy;

    (void)state;
    fixture_init(&fixture, BYTES);
    assert_true(fixture_put(&fixture.cache, "one", "1"));
    assert_true(cache_get(&fixture.cache, (const uint8_t *)"one", 3, hash, &copy));
    assert_false(cache_get(&fixture.cache, (const uint8_t *)"two", 3, hash, &copy));
    assert_false(cache_get(&fixture.cache, (const uint8_t *)"on", 2, hash, &copy));
    fixture_close(&fixture);
}

/* Many more than fit: what is read stays, the rest comes and goes. */
static void what_is_read_often_stays(void **state)
{
    struct cache_fixture fixture;
    struct cache_copy copy;
    struct cache_stat stat;
    unsigned hits = 0;
    char key[32];

    (void)state;
    fixture_init(&fixture, BYTES);
    for (int i = 0; i < 30000; i++) {
        (void)snprintf(key, sizeof key, "cold-%d", i);
        assert_true(fixture_put(&fixture.cache, key, "c"));
        (void)snprintf(key, sizeof key, "hot-%d", i % 100);
        hits += fixture_get(&fixture.cache, key, &copy);
        if (i < 100)
            assert_true(fixture_put(&fixture.cache, key, "h"));
    }
    assert_true(hits > 29000);
    cache_stat(&fixture.cache, 1, &stat);
    assert_true(stat.counts[CACHE_EVICTIONS] > 10000);
    assert_true(stat.entries > stat.entries_limit / 2 && stat.entries <= stat.entries_limit);
    fixture_close(&fixture);
}

/* Live entries are not evicted while there are void ones in the set. */
static void void_entries_go_first(void **state)
{
    struct cache_fixture fixture;
    struct cache_stat stat;
    char key[32];

    (void)state;
    fixture_init(&fixture, BYTES);
    for (int i = 0; i < 20000; i++) {
        (void)snprintf(key, sizeof key, "key-%d", i);
        assert_true(fixture_put(&fixture.cache, key, "c"));
        cache_invalidate(&fixture.cache, bucket_of_hash(fixture_hash(key)));
    }
    cache_stat(&fixture.cache, 1, &stat);
    assert_int_equal(stat.counts[CACHE_EVICTIONS], 0);
    assert_int_equal(stat.counts[CACHE_FILLS], 20000);
    fixture_close(&fixture);
}

/* Small values take the slots of larger ones before they evict one another. */
static void small_values_use_all_the_room(void **state)
{
    struct cache_fixture fixture;
    struct cache_stat stat;
    char key[32];
    uint32_t small;

    (void)state;
    fixture_init(&fixture, BYTES);
    small = fixture.cache.geometry.classes[0].sets * CACHE_WAYS;
    for (uint32_t i = 0; i < 10 * small; i++) {
        (void)snprintf(key, sizeof key, "key-%u", i);
        assert_true(fixture_put(&fixture.cache, key, "c"));
    }
    cache_stat(&fixture.cache, 1, &stat);
    assert_true(stat.entries > small);
    fixture_close(&fixture);
}

/* A key missed once is worth a free slot, not one that another key has. */
static void a_modest_fill_displaces_nothing(void **state)
{
    struct cache_fixture fixture;
    struct cache_stat before, after;
    struct cache_note note;
    struct cache_copy copy;
    char key[32];

    (void)state;
    fixture_init(&fixture, BYTES);
    assert_true(fixture_note(&fixture.cache, "modest", &note));
    assert_true(note.displaces_none);
    for (int i = 0; i < 100000; i++) {
        (void)snprintf(key, sizeof key, "key-%d", i);
        assert_true(fixture_put(&fixture.cache, key, "c"));
    }
    cache_stat(&fixture.cache, 1, &before);
    assert_int_equal(before.entries, before.entries_limit);
    assert_false(fixture_fill(&fixture.cache, &note, "modest", "v", 1));
    assert_false(fixture_get(&fixture.cache, "modest", &copy));
    cache_stat(&fixture.cache, 1, &after);
    assert_int_equal(after.counts[CACHE_EVICTIONS], before.counts[CACHE_EVICTIONS]);
    assert_int_equal(after.counts[CACHE_SKIPPED], before.counts[CACHE_SKIPPED] + 1);
    note.displaces_none = false;
    assert_true(fixture_fill(&fixture.cache, &note, "modest", "v", 1));
    assert_true(fixture_get(&fixture.cache, "modest", &copy));
    fixture_close(&fixture);
}

/* What a reader goes by while the entry is written: an odd sequence, and never one that was. */
struct watched {
    struct cache_entry *entry;
    uint64_t before;
    int steps;
};

static void watch_sequence(void *context, const char *where)
{
    struct watched *watched = context;
    const uint64_t sequence = cache_load(&watched->entry->sequence);

    if (strcmp(where, "fill: words") != 0 && strcmp(where, "fill: tag") != 0)
        return;
    assert_true(sequence > watched->before && sequence % 2 == 1);
    watched->steps++;
}

static void a_sequence_is_odd_while_it_is_written_and_only_grows(void **state)
{
    const uint64_t hash = fixture_hash("k");
    struct watched watched = {0};
    const struct cache_hook hook = {watch_sequence, &watched};
    struct cache_fixture fixture;
    struct cache_copy copy;
    uint32_t way;

    (void)state;
    fixture_init(&fixture, BYTES);
    assert_true(fixture_put(&fixture.cache, "k", "v"));
    assert_true(fixture_get(&fixture.cache, "k", &copy));
    way = (uint32_t)((copy.tag_at - fixture.cache.geometry.classes[0].tags) / sizeof(cache_word) %
                     CACHE_WAYS);
    watched.entry = cache_entry_at(&fixture.cache, 0, cache_set_of(&fixture.cache, 0, hash), way);
    fixture.cache.hook = &hook;
    for (int i = 0; i < 5; i++) {
        watched.before = cache_load(&watched.entry->sequence);
        assert_true(watched.before > 0 && watched.before % 2 == 0);
        if (i == 3) /* its last writer died */
            cache_store(&watched.entry->sequence, ++watched.before);
        watched.steps = 0;
        assert_true(fixture_put(&fixture.cache, "k", "v"));
        assert_true(watched.steps >= 3);
        assert_true(cache_load(&watched.entry->sequence) > watched.before);
        assert_true(fixture_get(&fixture.cache, "k", &copy));
    }
    /* A wipe takes it on as well. */
    fixture.cache.hook = NULL;
    watched.before = cache_load(&watched.entry->sequence);
    cache_fixed(&fixture.cache)->stripes[cache_stripe_of(&fixture.cache, hash)].word |= 1;
    assert_true(fixture_put(&fixture.cache, "k", "v"));
    assert_true(cache_load(&watched.entry->sequence) > watched.before);
    fixture_close(&fixture);
}

static void nothing_is_touched_before_entries_are_open(void **state)
{
    struct cache_fixture fixture;
    struct cache_copy copy;
    struct cache_note note;

    (void)state;
    fixture_init(&fixture, BYTES);
    assert_true(fixture_note(&fixture.cache, "k", &note));
    cache_store(&cache_fixed(&fixture.cache)->live.entries, 1);
    assert_int_equal(mprotect((uint8_t *)fixture.memory + fixture.cache.geometry.map,
                              BYTES - fixture.cache.geometry.map, PROT_NONE),
                     0);
    assert_false(fixture_get(&fixture.cache, "k", &copy));
    assert_false(fixture_fill(&fixture.cache, &note, "k", "v", 1));
    assert_false(cache_note(&fixture.cache, fixture_hash("k"), FIXTURE_SERVER, 1, &note));
    fixture_close(&fixture);
}

static void sizes_are_rounded_and_bounded(void **state)
{
    struct cache_geometry geometry, again;

    (void)state;
    assert_int_equal(cache_geometry_of(CACHE_BYTES_MIN - 1, &geometry), CAIRN_EINVAL);
    assert_int_equal(cache_geometry_of(SIZE_MAX, &geometry), CAIRN_EINVAL);
    for (size_t bytes = CACHE_BYTES_MIN; bytes < (size_t)60 << 30; bytes += bytes / 3 + 12345) {
        const struct cache_class *last = &geometry.classes[CACHE_CLASSES - 1];

        assert_int_equal(cache_geometry_of(bytes, &geometry), 0);
        assert_int_equal(cache_geometry_of(geometry.bytes, &again), 0);
        assert_memory_equal(&geometry, &again, sizeof geometry);
        assert_true(geometry.bytes <= bytes && bytes - geometry.bytes < 65536);
        assert_true(geometry.map + geometry.map_limit <= geometry.entries);
        assert_true(last->slots + (size_t)last->sets * CACHE_WAYS * last->slot_bytes <=
                    geometry.bytes);
        for (int i = 0; i < CACHE_CLASSES; i++) {
            assert_true(geometry.classes[i].sets >= geometry.stripes);
            assert_int_equal(geometry.classes[i].tags % CACHE_LINE, 0);
            assert_int_equal(geometry.classes[i].slots % CACHE_LINE, 0);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pair_of_any_size_comes_back),
        cmocka_unit_test(what_does_not_fit_is_skipped),
        cmocka_unit_test(a_value_of_another_size_replaces_the_old_one),
        cmocka_unit_test(a_key_is_not_taken_for_another),
        cmocka_unit_test(what_is_read_often_stays),
        cmocka_unit_test(void_entries_go_first),
        cmocka_unit_test(small_values_use_all_the_room),
        cmocka_unit_test(a_modest_fill_displaces_nothing),
        cmocka_unit_test(a_sequence_is_odd_while_it_is_written_and_only_grows),
        cmocka_unit_test(nothing_is_touched_before_entries_are_open),
        cmocka_unit_test(sizes_are_rounded_and_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
