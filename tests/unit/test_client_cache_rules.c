/* C1: each of generation, session, counter, expiry alone voids an entry. C4: also one that is
 * filled late. C5, C6: what the agent writes is valid whole or not at all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/cache_fixture.h"

static struct cache_fixture fixture;
static struct cache *cache;
static struct cache_copy copy;

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

static uint32_t bucket_of_key(const char *key)
{
    return bucket_of_hash(fixture_hash(key));
}

static bool copied(const char *key)
{
    return cache_copy(cache, (const uint8_t *)key, strlen(key), fixture_hash(key), &copy);
}

static void a_generation_voids(void **state)
{
    uint64_t until_ms;

    (void)state;
    assert_true(fixture_put(cache, "k", "v"));
    assert_true(copied("k"));
    assert_true(cache_check(cache, &copy, &until_ms));
    assert_int_equal(cache_raise_generation(cache), 2);
    assert_false(cache_check(cache, &copy, &until_ms));
    assert_int_equal(until_ms, 0);
    assert_false(fixture_get(cache, "k", &copy));
    assert_true(copied("k"));
}

static void a_session_voids(void **state)
{
    uint64_t until_ms;

    (void)state;
    assert_true(fixture_put(cache, "k", "v"));
    cache_set_session(cache, FIXTURE_SERVER, FIXTURE_SESSION + 1, UINT64_MAX);
    assert_false(fixture_get(cache, "k", &copy));
    assert_true(copied("k"));
    assert_false(cache_check(cache, &copy, &until_ms));
    /* Of another server there is one with the same number. */
    cache_set_session(cache, FIXTURE_SERVER + 1, FIXTURE_SESSION, UINT64_MAX);
    assert_false(fixture_get(cache, "k", &copy));
}

static void a_session_that_ended_voids(void **state)
{
    (void)state;
    assert_true(fixture_put(cache, "k", "v"));
    cache_void_session(cache, FIXTURE_SERVER);
    assert_false(fixture_get(cache, "k", &copy));
    assert_int_equal(cache_session(cache, FIXTURE_SERVER, 0), 0);
}

static void a_counter_voids(void **state)
{
    uint64_t until_ms;

    (void)state;
    assert_true(fixture_put(cache, "k", "v"));
    cache_invalidate(cache, bucket_of_key("k") ^ 1);
    assert_true(fixture_get(cache, "k", &copy));
    cache_invalidate(cache, bucket_of_key("k"));
    assert_false(cache_check(cache, &copy, &until_ms));
    assert_false(fixture_get(cache, "k", &copy));
}

static void an_expiry_voids(void **state)
{
    uint64_t until_ms;

    (void)state;
    assert_true(fixture_put(cache, "k", "v"));
    cache_set_session(cache, FIXTURE_SERVER, FIXTURE_SESSION, clock_now_ms());
    assert_false(fixture_get(cache, "k", &copy));
    assert_true(copied("k"));
    cache_set_session(cache, FIXTURE_SERVER, FIXTURE_SESSION, 12345);
    assert_true(cache_check(cache, &copy, &until_ms));
    assert_int_equal(until_ms, 12345);
    cache_set_session(cache, FIXTURE_SERVER, FIXTURE_SESSION, UINT64_MAX);
    assert_true(fixture_get(cache, "k", &copy));
}

/* S2: the key's own end. */
static void a_keys_own_expiry_voids(void **state)
{
    struct cache_note note;
    uint64_t until_ms;

    (void)state;
    assert_true(fixture_note(cache, "k", &note));
    assert_true(cache_fill(cache, &note, (const uint8_t *)"k", 1, fixture_hash("k"),
                           (const uint8_t *)"v", 1, 1, 1000));
    assert_true(copied("k"));
    assert_true(cache_check(cache, &copy, &until_ms));
    assert_int_equal(until_ms, 1000);
    assert_false(fixture_get(cache, "k", &copy));
}

static void a_late_fill_is_refused(void **state)
{
    struct cache_note note, other;
    struct cache_stat stat;

    (void)state;
    assert_true(fixture_note(cache, "k", &note));
    cache_invalidate(cache, bucket_of_key("k"));
    assert_false(fixture_fill(cache, &note, "k", "v", 1));
    assert_true(fixture_note(cache, "l", &note));
    (void)cache_raise_generation(cache);
    assert_false(fixture_fill(cache, &note, "l", "v", 1));
    assert_true(fixture_note(cache, "m", &note));
    cache_void_session(cache, FIXTURE_SERVER);
    assert_false(fixture_fill(cache, &note, "m", "v", 1));
    assert_false(fixture_note(cache, "m", &other)); /* no session, no grant */
    cache_set_session(cache, FIXTURE_SERVER, FIXTURE_SESSION + 1, UINT64_MAX);
    assert_false(fixture_fill(cache, &note, "m", "v", 1));
    cache_stat(cache, 1, &stat);
    assert_int_equal(stat.counts[CACHE_REFUSED], 4);
    assert_int_equal(stat.entries, 0);
}

/* C4: between the filler's last look and its last store the bucket is counted. */
static void invalidate_at_the_tag(void *context, const char *where)
{
    (void)context;
    if (strcmp(where, "fill: tag") == 0)
        cache_invalidate(cache, bucket_of_key("k"));
}

static void a_fill_that_a_write_overtakes_is_void(void **state)
{
    const struct cache_hook hook = {invalidate_at_the_tag, NULL};
    struct cache_note note;

    (void)state;
    assert_true(fixture_note(cache, "k", &note));
    cache->hook = &hook;
    assert_true(fixture_fill(cache, &note, "k", "v", 1));
    cache->hook = NULL;
    assert_true(copied("k"));
    assert_false(fixture_get(cache, "k", &copy));
}

static void no_live_session_no_grant(void **state)
{
    struct cache_note note;

    (void)state;
    cache_set_session(cache, FIXTURE_SERVER, FIXTURE_SESSION, 50);
    assert_int_equal(cache_session(cache, FIXTURE_SERVER, 49), FIXTURE_SESSION);
    assert_int_equal(cache_session(cache, FIXTURE_SERVER, 50), 0);
    (void)cache_note(cache, 1, FIXTURE_SERVER, 49, &note);
    assert_true(cache_note(cache, 1, FIXTURE_SERVER, 49, &note));
    assert_false(cache_note(cache, 1, FIXTURE_SERVER, 50, &note));
    assert_false(cache_note(cache, 1, FIXTURE_SERVER + 1, 49, &note));
    assert_false(cache_note(cache, 1, CAIRN_SERVERS_LIMIT, 49, &note));
    assert_int_equal(cache_session(cache, UINT32_MAX, 49), 0);
}

/* --- garbage over what makes entries valid -------------------------------------------------------
 */

static void an_expiry_that_nobody_wrote_is_none(void **state)
{
    struct cache_session_line *line = &cache_fixed(cache)->sessions[FIXTURE_SERVER];

    (void)state;
    assert_true(fixture_put(cache, "k", "v"));
    cache_set_session(cache, FIXTURE_SERVER, FIXTURE_SESSION, 1);
    line->until_ms = UINT64_MAX;
    assert_false(fixture_get(cache, "k", &copy));
    line->until_ms = 1;
    assert_int_equal(cache_session(cache, FIXTURE_SERVER, 0), FIXTURE_SESSION);
    line->check = 0;
    assert_int_equal(cache_session(cache, FIXTURE_SERVER, 0), 0);
    cache_set_session(cache, FIXTURE_SERVER, FIXTURE_SESSION, UINT64_MAX);
    assert_true(fixture_get(cache, "k", &copy));
    /* A line copied from another server's does not pass either. */
    cache_fixed(cache)->sessions[7] = *line;
    assert_int_equal(cache_session(cache, 7, 1), 0);
}

static void a_generation_that_was_lost_does_not_come_back(void **state)
{
    uint64_t generation;

    (void)state;
    assert_true(fixture_put(cache, "k", "v")); /* under 1 */
    cache_fixed(cache)->live.generation = 0;
    assert_false(fixture_get(cache, "k", &copy));
    generation = cache_raise_generation(cache);
    assert_true(generation > 1);
    assert_false(fixture_get(cache, "k", &copy));
    assert_true(fixture_put(cache, "k", "w"));
    assert_true(fixture_get(cache, "k", &copy));
}

/* Zeros over the counters, again and again: no value comes back that was noted under before. */
static void counters_that_were_zeroed_void(void **state)
{
    cache_word *counter = &cache_fixed(cache)->counters[bucket_of_key("k")];
    struct cache_note note, again;

    (void)state;
    for (uint64_t before = 0; before < 2; before++) {
        cache_store(counter, before);
        assert_true(fixture_note(cache, "k", &note));
        assert_true(fixture_fill(cache, &note, "k", "old", 3));
        assert_true(fixture_get(cache, "k", &copy));
        cache_invalidate(cache, bucket_of_key("k"));
        cache_store(counter, before); /* as when the entry was noted, if counting began at 0 */
        assert_false(fixture_get(cache, "k", &copy));
        assert_false(fixture_fill(cache, &note, "k", "old", 3));
        (void)cache_note(cache, fixture_hash("k"), FIXTURE_SERVER, 1, &again);
        assert_false(again.counter == note.counter);
        assert_false(fixture_get(cache, "k", &copy));
        assert_false(fixture_fill(cache, &note, "k", "old", 3));
    }
}

static void a_bucket_of_another_division_voids_all(void **state)
{
    (void)state;
    assert_true(fixture_put(cache, "k", "v"));
    cache_invalidate(cache, CAIRN_BUCKETS);
    assert_false(fixture_get(cache, "k", &copy));
}

/* --- admission
 * ------------------------------------------------------------------------------------
 */

static bool asked(const char *key)
{
    struct cache_note note;

    return cache_note(cache, fixture_hash(key), FIXTURE_SERVER, 1, &note);
}

/* No slot is empty any more. */
static void occupy_all(void)
{
    for (int class = 0; class < CACHE_CLASSES; class ++)
        for (uint32_t set = 0; set < cache->geometry.classes[class].sets; set++)
            for (uint32_t way = 0; way < CACHE_WAYS; way++)
                cache_store(&cache_tags_at(cache, class, set)->tags[way],
                            cache_tag_of(UINT64_MAX - 7 * way));
}

static void a_key_is_worth_a_free_slot_from_its_first_miss(void **state)
{
    struct cache_note note;

    (void)state;
    assert_true(cache_note(cache, fixture_hash("k"), FIXTURE_SERVER, 1, &note));
    assert_true(note.displaces_none);
    assert_true(cache_note(cache, fixture_hash("k"), FIXTURE_SERVER, 1, &note));
    assert_false(note.displaces_none);
}

static void a_key_is_worth_a_taken_slot_from_its_second_miss(void **state)
{
    struct cache_note note;

    (void)state;
    occupy_all();
    assert_false(asked("k"));
    assert_false(asked("l"));
    assert_true(asked("k"));
    assert_true(asked("k"));
    assert_true(cache_note(cache, fixture_hash("l"), FIXTURE_SERVER, 1, &note));
    assert_false(note.displaces_none);
}

/* Of a hundred keys that are missed once more; a collision in all rows may stand in for a miss. */
static int asked_of_hundred(const char *prefix)
{
    int count = 0;
    char key[32];

    for (int i = 0; i < 100; i++) {
        (void)snprintf(key, sizeof key, "%s-%d", prefix, i);
        count += asked(key);
    }
    return count;
}

static void a_miss_is_forgotten_in_time(void **state)
{
    char key[32];

    (void)state;
    occupy_all();
    assert_true(asked_of_hundred("once") < 5);
    assert_true(asked_of_hundred("once") == 100);
    assert_true(asked_of_hundred("again") < 5);
    for (uint32_t i = 0; i < cache->geometry.sketch_row; i++) {
        (void)snprintf(key, sizeof key, "other-%u", i);
        (void)asked(key);
    }
    assert_true(asked_of_hundred("again") < 10);
}

/* Read once, voided before the second time, again and again; returns how often it was asked for. */
static int write_and_read(int rounds)
{
    struct cache_note note;
    int grants = 0;

    for (int i = 0; i < rounds; i++) {
        if (!fixture_get(cache, "k", &copy) &&
            cache_note(cache, fixture_hash("k"), FIXTURE_SERVER, 1, &note)) {
            grants++;
            assert_true(fixture_fill(cache, &note, "k", "v", 1));
        }
        cache_invalidate(cache, bucket_of_key("k"));
    }
    return grants;
}

static void a_key_written_more_than_read_is_left_alone_until_that_changes(void **state)
{
    int first, second, hits = 0;

    (void)state;
    first = write_and_read(500);
    second = write_and_read(500);
    assert_true(first <= 12);
    assert_true(second < first);
    for (int i = 0; i < 300; i++) {
        hits += fixture_get(cache, "k", &copy);
        if (copy.length == 0 || hits == 0)
            (void)fixture_put(cache, "k", "v");
    }
    assert_true(hits > 150);
    /* Read between writes: worth it again. */
    for (int i = 0; i < 40; i++) {
        struct cache_note note;

        cache_invalidate(cache, bucket_of_key("k"));
        for (int read = 0; read < 20; read++)
            if (!fixture_get(cache, "k", &copy) &&
                cache_note(cache, fixture_hash("k"), FIXTURE_SERVER, 1, &note))
                assert_true(fixture_fill(cache, &note, "k", "v", 1));
    }
    cache_invalidate(cache, bucket_of_key("k"));
    hits = 0;
    for (int i = 0; i < 3; i++)
        hits += asked("k");
    assert_true(hits >= 2);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_generation_voids),
        TEST(a_session_voids),
        TEST(a_session_that_ended_voids),
        TEST(a_counter_voids),
        TEST(an_expiry_voids),
        TEST(a_keys_own_expiry_voids),
        TEST(a_late_fill_is_refused),
        TEST(a_fill_that_a_write_overtakes_is_void),
        TEST(no_live_session_no_grant),
        TEST(an_expiry_that_nobody_wrote_is_none),
        TEST(a_generation_that_was_lost_does_not_come_back),
        TEST(counters_that_were_zeroed_void),
        TEST(a_bucket_of_another_division_voids_all),
        TEST(a_key_is_worth_a_free_slot_from_its_first_miss),
        TEST(a_key_is_worth_a_taken_slot_from_its_second_miss),
        TEST(a_miss_is_forgotten_in_time),
        TEST(a_key_written_more_than_read_is_left_alone_until_that_changes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
