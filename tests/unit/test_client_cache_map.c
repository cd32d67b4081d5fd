/* The map, hints, lists of managers and figures in the segment: whole or not there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/error.h"
#include "tests/unit/cache_fixture.h"

static struct cache_fixture fixture;
static struct cache *cache;

static int set_up(void **state)
{
    (void)state;
    fixture_init(&fixture, CACHE_BYTES_MIN);
    cache = &fixture.cache;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    fixture_close(&fixture);
    return 0;
}

static void check_map(uint64_t version, const uint8_t *wanted, size_t wanted_length)
{
    uint8_t *bytes;
    size_t length;

    assert_true(cache_map_version(cache) == version);
    assert_int_equal(cache_map_read(cache, &bytes, &length), 0);
    assert_int_equal(length, wanted_length);
    assert_memory_equal(bytes, wanted, length);
    free(bytes);
}

static void a_map_comes_back_until_a_newer_one(void **state)
{
    static uint8_t map[200000];
    uint8_t *bytes;
    size_t length;
    uint64_t count;

    (void)state;
    assert_true(cache_map_version(cache) == 0);
    assert_int_equal(cache_map_read(cache, &bytes, &length), CAIRN_ENOTFOUND);
    assert_null(bytes);
    for (size_t i = 0; i < sizeof map; i++)
        map[i] = (uint8_t)(i * 7);
    assert_true(cache_map_write(cache, 5, map, 13));
    check_map(5, map, 13);
    count = cache_hint_count(cache);
    assert_false(cache_map_write(cache, 4, map, 100));
    assert_false(cache_map_write(cache, 5, map, 13));
    assert_true(cache_hint_count(cache) == count);
    assert_true(cache_map_write(cache, 6, map, sizeof map));
    check_map(6, map, sizeof map);
    assert_true(cache_hint_count(cache) > count);
    assert_false(cache_map_write(cache, 7, map, 0));
    assert_false(cache_map_write(cache, 0, map, 1));
    assert_false(cache_map_write(cache, 8, map, cache->geometry.map_limit + 1));
    check_map(6, map, sizeof map);
}

static void a_map_that_fails_its_check_is_none_and_is_replaced(void **state)
{
    uint8_t map[100] = {1};
    uint8_t *bytes;
    size_t length;

    (void)state;
    assert_true(cache_map_write(cache, 5, map, sizeof map));
    cache->memory[cache->geometry.map + 50] ^= 1;
    assert_int_equal(cache_map_read(cache, &bytes, &length), CAIRN_ENOTFOUND);
    assert_true(cache_map_write(cache, 4, map, sizeof map));
    check_map(4, map, sizeof map);
    /* A version that nobody wrote neither shows nor keeps others away. */
    cache_fixed(cache)->map.version = UINT64_MAX;
    assert_true(cache_map_version(cache) == 0);
    assert_true(cache_map_write(cache, 3, map, sizeof map));
    check_map(3, map, sizeof map);
    cache_fixed(cache)->map.length = UINT64_MAX;
    assert_int_equal(cache_map_read(cache, &bytes, &length), CAIRN_ENOTFOUND);
    cache_fixed(cache)->map.sequence |= 1;
    assert_int_equal(cache_map_read(cache, &bytes, &length), CAIRN_EBUSY);
    assert_true(cache_map_write(cache, 2, map, sizeof map));
    check_map(2, map, sizeof map);
}

static void a_hint_of_an_older_epoch_changes_nothing(void **state)
{
    const uint32_t last = CAIRN_PARTITIONS_LIMIT - 1;
    uint64_t epoch, count;
    uint32_t server;

    (void)state;
    assert_false(cache_hint_read(cache, last, &epoch, &server));
    cache_hint_write(cache, last, 7, CAIRN_SERVERS_LIMIT - 1);
    assert_true(cache_hint_read(cache, last, &epoch, &server));
    assert_int_equal(epoch, 7);
    assert_int_equal(server, CAIRN_SERVERS_LIMIT - 1);
    count = cache_hint_count(cache);
    cache_hint_write(cache, last, 6, 1);
    cache_hint_write(cache, last, 7, 1);
    cache_hint_write(cache, last, 0, 1);
    cache_hint_write(cache, last, UINT64_MAX, 1);
    cache_hint_write(cache, last, 8, CAIRN_SERVERS_LIMIT);
    cache_hint_write(cache, CAIRN_PARTITIONS_LIMIT, 8, 1);
    assert_true(cache_hint_count(cache) == count);
    assert_true(cache_hint_read(cache, last, &epoch, &server) && epoch == 7);
    cache_hint_write(cache, last, 8, 1);
    assert_true(cache_hint_read(cache, last, &epoch, &server) && epoch == 8 && server == 1);
    assert_true(cache_hint_count(cache) > count);
    assert_false(cache_hint_read(cache, CAIRN_PARTITIONS_LIMIT, &epoch, &server));
    /* Garbage is none, and is written over. */
    cache_fixed(cache)->hints[last].word = UINT64_MAX;
    assert_false(cache_hint_read(cache, last, &epoch, &server));
    cache_hint_write(cache, last, 2, 3);
    assert_true(cache_hint_read(cache, last, &epoch, &server) && epoch == 2 && server == 3);
}

static void the_oldest_list_of_managers_goes(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 2 * CACHE_MANAGERS; i++)
        cache_note_managers(cache, 1000 + i, 10 + i);
    for (uint64_t i = 0; i < 2 * CACHE_MANAGERS; i++)
        assert_true(cache_managers_noted_ms(cache, 1000 + i) == (i < CACHE_MANAGERS ? 0 : 10 + i));
    cache_note_managers(cache, 1000 + CACHE_MANAGERS, 5000);
    cache_note_managers(cache, 1, 5001);
    assert_true(cache_managers_noted_ms(cache, 1000 + CACHE_MANAGERS) == 5000);
    assert_true(cache_managers_noted_ms(cache, 1001 + CACHE_MANAGERS) == 0);
    cache_forget_managers(cache, 1);
    cache_forget_managers(cache, 2);
    assert_true(cache_managers_noted_ms(cache, 1) == 0);
    cache_fixed(cache)->managers[0].noted_ms = UINT64_MAX;
    cache_note_managers(cache, 3, 1);
    assert_true(cache_managers_noted_ms(cache, 3) == 1);
}

static void figures_add_up(void **state)
{
    struct cache_stat stat;

    (void)state;
    cache_add(cache, CACHE_HITS, 5);
    cache_add(cache, CACHE_HITS, 6);
    cache_add(cache, CACHE_COUNTS, 6);
    assert_true(fixture_put(cache, "k", "v"));
    cache_set_session(cache, 255, 5, 100);
    assert_true(cache_map_write(cache, 3, (const uint8_t *)"map", 3));
    cache_stat(cache, 99, &stat);
    assert_int_equal(stat.counts[CACHE_HITS], 11);
    assert_int_equal(stat.counts[CACHE_FILLS], 1);
    assert_int_equal(stat.entries, 1);
    assert_int_equal(stat.bytes, CACHE_BYTES_MIN);
    assert_int_equal(stat.cluster, FIXTURE_CLUSTER);
    assert_int_equal(stat.generation, 1);
    assert_int_equal(stat.map_version, 3);
    assert_int_equal(stat.sessions, 2);
    cache_stat(cache, 100, &stat);
    assert_int_equal(stat.sessions, 1);
}

static int attached(uint64_t cluster, uint64_t owner, uint64_t boot, size_t bytes)
{
    struct cache other;
    const int code = cache_attach(&other, fixture.memory, bytes, cluster, owner, boot, NULL);

    assert_true(code == 0 || other.memory == NULL);
    return code;
}

static void only_the_right_segment_is_taken(void **state)
{
    struct cache_header *header = cache->header;

    (void)state;
    assert_int_equal(attached(FIXTURE_CLUSTER, FIXTURE_OWNER, FIXTURE_BOOT, fixture.bytes), 0);
    assert_int_equal(attached(0, FIXTURE_OWNER, FIXTURE_BOOT, fixture.bytes), 0);
    assert_int_equal(attached(1, FIXTURE_OWNER, FIXTURE_BOOT, fixture.bytes), CAIRN_ECORRUPT);
    assert_int_equal(attached(0, 1, FIXTURE_BOOT, fixture.bytes), CAIRN_ECORRUPT);
    assert_int_equal(attached(0, FIXTURE_OWNER, 1, fixture.bytes), CAIRN_ECORRUPT);
    assert_int_equal(attached(0, FIXTURE_OWNER, FIXTURE_BOOT, fixture.bytes + 65536),
                     CAIRN_ECORRUPT);
    assert_int_equal(attached(0, FIXTURE_OWNER, FIXTURE_BOOT, 4096), CAIRN_ECORRUPT);
    assert_true(cache_is_sound(cache));
    header->version += (uint64_t)1 << 32;
    assert_int_equal(attached(0, FIXTURE_OWNER, FIXTURE_BOOT, fixture.bytes), CAIRN_EVERSION);
    assert_false(cache_is_sound(cache));
    header->version -= (uint64_t)1 << 32;
    for (size_t i = 0; i < 64; i++) {
        fixture.cache.memory[i] ^= 0x10;
        assert_int_not_equal(attached(0, FIXTURE_OWNER, FIXTURE_BOOT, fixture.bytes), 0);
        assert_false(cache_is_sound(cache));
        fixture.cache.memory[i] ^= 0x10;
    }
    assert_true(cache_is_sound(cache));
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_map_comes_back_until_a_newer_one),
        TEST(a_map_that_fails_its_check_is_none_and_is_replaced),
        TEST(a_hint_of_an_older_epoch_changes_nothing),
        TEST(the_oldest_list_of_managers_goes),
        TEST(figures_add_up),
        TEST(only_the_right_segment_is_taken),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
