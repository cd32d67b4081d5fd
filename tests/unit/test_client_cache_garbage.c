/* Whatever is written over the segment, nobody crashes, hangs, or gets a value that was not filled
 * for the key that was asked for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/random.h"
#include "tests/unit/cache_fixture.h"
#include "tests/unit/cache_values.h"

enum { KEYS = 24, ROUNDS_OF_A_RUN = 100 };

static struct cache_fixture fixture;
static struct cache *cache;
static struct random source;
static struct cache_copy copy;
static unsigned hits;

static int set_up(void **state)
{
    (void)state;
    fixture_init(&fixture, CACHE_BYTES_MIN);
    cache = &fixture.cache;
    random_seed(&source, 20);
    hits = 0;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    fixture_close(&fixture);
    return 0;
}

/* CAIRN_TEST_RUNS=n says how many times ROUNDS_OF_A_RUN. */
static int rounds(void)
{
    const char *runs = getenv("CAIRN_TEST_RUNS");

    return ROUNDS_OF_A_RUN * (runs != NULL ? (int)strtol(runs, NULL, 10) : 8);
}

/* --- what everybody does ------------------------------------------------------------------------
 */

static void read_all(void)
{
    for (uint32_t i = 0; i < KEYS; i++) {
        char key[VALUES_KEY_MAX];

        values_key(i, key);
        if (fixture_get(cache, key, &copy)) {
            hits++;
            assert_true(values_check(i, copy.value, copy.length));
        }
    }
}

static void fill_some(void)
{
    for (int i = 0; i < 3; i++) {
        const uint32_t number = (uint32_t)random_below(&source, KEYS);
        uint8_t value[CACHE_VALUE_LIMIT];
        const size_t length = values_make(number, &source, value);
        char key[VALUES_KEY_MAX];
        struct cache_note note;

        values_key(number, key);
        if (fixture_note(cache, key, &note))
            (void)fixture_fill(cache, &note, key, value, length);
    }
}

static void do_agents_work(void)
{
    const uint32_t server = (uint32_t)random_below(&source, CAIRN_SERVERS_LIMIT + 2);

    switch (random_below(&source, 5)) {
    case 0:
        (void)cache_raise_generation(cache);
        break;
    case 1:
        cache_set_session(cache, server, random_next(&source), random_next(&source));
        break;
    case 2:
        cache_void_session(cache, server);
        break;
    case 3:
        cache_invalidate(cache, (uint32_t)random_below(&source, CAIRN_BUCKETS + 2));
        break;
    default:
        (void)cache_session(cache, server, 1);
    }
    cache_open_entries(cache);
    cache_set_session(cache, FIXTURE_SERVER, FIXTURE_SESSION, UINT64_MAX);
}

static void use_map(void)
{
    const uint32_t partition = (uint32_t)random_below(&source, CAIRN_PARTITIONS_LIMIT);
    uint8_t map[3000], *bytes;
    size_t length;
    uint64_t epoch;
    uint32_t server;

    memset(map, (int)random_below(&source, 256), sizeof map);
    (void)cache_map_write(cache, 1 + random_below(&source, 100), map,
                          1 + random_below(&source, sizeof map));
    if (cache_map_read(cache, &bytes, &length) == 0) {
        for (size_t i = 0; i < length; i++)
            assert_int_equal(bytes[i], bytes[0]);
        free(bytes);
    }
    assert_true(cache_map_version(cache) <= 100);
    cache_hint_write(cache, partition, 1 + random_below(&source, 1000), partition % 7);
    if (cache_hint_read(cache, partition, &epoch, &server))
        assert_true(epoch <= 1000 && server == partition % 7);
    cache_note_managers(cache, random_below(&source, 5), 1 + random_below(&source, 1000));
    assert_true(cache_managers_noted_ms(cache, random_below(&source, 5)) <= 1000);
    cache_forget_managers(cache, random_below(&source, 5));
}

static void use_all(void)
{
    struct cache_stat stat;

    read_all();
    fill_some();
    read_all();
    do_agents_work();
    use_map();
    if (random_below(&source, 16) == 0)
        cache_stat(cache, 1, &stat);
    (void)cache_is_sound(cache);
}

/* --- garbage ------------------------------------------------------------------------------------
 */

struct area {
    size_t offset, bytes;
};

static struct area choose_area(struct random *random)
{
    const struct cache_geometry *geometry = &cache->geometry;
    const struct area areas[] = {
        {0, sizeof(struct cache_header)},
        {offsetof(struct cache_fixed, live), sizeof(struct cache_live)},
        {offsetof(struct cache_fixed, hint_count), 2 * sizeof(struct cache_line)},
        {offsetof(struct cache_fixed, map), sizeof(struct cache_map_head)},
        {offsetof(struct cache_fixed, counts), sizeof(struct cache_line) * CACHE_COUNT_LINES},
        {offsetof(struct cache_fixed, stripes), sizeof(struct cache_line) * CACHE_STRIPES},
        {offsetof(struct cache_fixed, sessions), 4 * sizeof(struct cache_session_line)},
        {offsetof(struct cache_fixed, managers),
         sizeof(struct cache_managers_entry) * CACHE_MANAGERS},
        {offsetof(struct cache_fixed, counters), sizeof(cache_word) * CAIRN_BUCKETS},
        {offsetof(struct cache_fixed, hints), sizeof(struct cache_hint) * CAIRN_PARTITIONS_LIMIT},
        {geometry->sketch, geometry->map - geometry->sketch},
        {geometry->map, 4096},
        {geometry->entries, geometry->bytes - geometry->entries},
        {geometry->classes[0].tags, geometry->classes[0].slots - geometry->classes[0].tags},
        {geometry->classes[1].tags, geometry->classes[1].slots - geometry->classes[1].tags},
        {geometry->classes[2].tags, geometry->classes[2].slots - geometry->classes[2].tags},
    };

    return areas[random_below(random, sizeof areas / sizeof *areas)];
}

/* Where a key's entry is likely to lie: of all the bytes of the entries only few are in use. */
static struct area area_of_a_key(struct random *random)
{
    const int class = (int)random_below(random, CACHE_CLASSES);
    const uint32_t way = (uint32_t)random_below(random, CACHE_WAYS);
    char key[VALUES_KEY_MAX];
    uint32_t set;

    values_key((uint32_t)random_below(random, KEYS), key);
    set = cache_set_of(cache, class, fixture_hash(key));
    return (struct area){
        (size_t)((uint8_t *)cache_entry_at(cache, class, set, way) - cache->memory), 200};
}

/* A byte, a word, many, all of one value, or what lies elsewhere. */
static void spoil(struct random *random)
{
    const struct area area =
        random_below(random, 2) == 0 ? choose_area(random) : area_of_a_key(random);
    const size_t at = area.offset + random_below(random, area.bytes);
    const size_t room = area.offset + area.bytes - at;
    size_t length = 1 + random_below(random, random_below(random, 2) == 0 ? 16 : 2048);
    const uint64_t kind = random_below(random, 4);

    if (length > room)
        length = room;
    if (kind == 0) {
        memmove(cache->memory + at, cache->memory + random_below(random, fixture.bytes - length),
                length);
        return;
    }
    for (size_t i = 0; i < length; i++)
        cache->memory[at + i] = kind == 1 ? 0xff : (kind == 2 ? 0 : (uint8_t)random_next(random));
}

/* Between uses: each round is decided by the seed. */
static void garbage_between_uses(void **state)
{
    (void)state;
    for (int round = 0; round < rounds(); round++) {
        spoil(&source);
        use_all();
    }
    assert_true(hits > (unsigned)rounds()); /* it goes on working, too */
}

/* Beside all uses, from another process. */
static void garbage_at_the_same_time(void **state)
{
    const pid_t parent = getpid(), child = fork();

    (void)state;
    assert_true(child >= 0);
    if (child == 0) {
        struct random random;

        fixture_end_with_parent(parent);
        random_seed(&random, random_id());
        for (;;)
            spoil(&random);
    }
    for (int round = 0; round < rounds(); round++)
        use_all();
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, NULL, 0), child);
}

/* All of it at once: noise, zeros, ones. Nothing is found, and after the agent wrote its words anew
 * it works. */
static void garbage_everywhere(void **state)
{
    char key[VALUES_KEY_MAX];
    struct cache_note note;

    (void)state;
    for (int kind = 0; kind < 3; kind++) {
        for (size_t i = 0; i < fixture.bytes / 8; i++)
            ((uint64_t *)fixture.memory)[i] =
                kind == 0 ? random_next(&source) : (kind == 1 ? 0 : UINT64_MAX);
        hits = 0;
        read_all();
        assert_int_equal(hits, 0);
        assert_false(cache_is_sound(cache));
        values_key(0, key);
        assert_false(fixture_note(cache, key, &note));
        (void)cache_raise_generation(cache);
        cache_open_entries(cache);
        cache_set_session(cache, FIXTURE_SERVER, FIXTURE_SESSION, UINT64_MAX);
        for (int round = 0; round < 50; round++)
            use_all();
        assert_true(hits > 50);
    }
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(garbage_between_uses),
        TEST(garbage_at_the_same_time),
        TEST(garbage_everywhere),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
