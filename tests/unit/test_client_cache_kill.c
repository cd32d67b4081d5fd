/* A process may be killed at every step of every change: the others go on, see no half of it, and
 * the change can be made anew. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "client/segment.h"
#include "tests/unit/cache_fixture.h"
#include "tests/unit/cache_values.h"

enum { KEYS = 40, STEPS_LIMIT = 1000 };
#define CLUSTER UINT64_C(0x6b)

static char name[SEGMENT_NAME_LIMIT + 1];
static struct segment *segment;
static struct cache *cache;

static struct segment *opened(void)
{
    struct segment *own;
    bool replaced;

    assert_int_equal(segment_open(name, CLUSTER, CACHE_BYTES_MIN, &own, &replaced, NULL), 0);
    return own;
}

static int set_up(void **state)
{
    (void)state;
    segment = opened();
    cache = &segment->cache;
    assert_int_equal(segment_reserve_entries(segment), 0);
    assert_int_equal(segment_reserve_map(segment, cache->geometry.map_limit), 0);
    cache_open_entries(cache);
    cache_set_session(cache, FIXTURE_SERVER, FIXTURE_SESSION, UINT64_MAX);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    assert_int_equal(segment_unlink(segment->path), 0);
    segment_close(segment);
    return 0;
}

/* --- dying --------------------------------------------------------------------------------------
 */

static void die_at_zero(void *context, const char *where)
{
    int *left = context;

    (void)where;
    if (--*left == 0)
        (void)raise(SIGKILL);
}

/* Carries out `change` in a child that is killed at its `step`th step. False: it came to its end.
 */
static bool killed_at(int step, void (*change)(const struct cache *cache))
{
    const pid_t child = fork();
    int status;

    assert_true(child >= 0);
    if (child == 0) {
        struct cache_hook hook = {die_at_zero, &step};
        struct segment *own;

        segment_abandon(segment);
        own = opened();
        own->cache.hook = &hook;
        change(&own->cache);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) || (WIFEXITED(status) && WEXITSTATUS(status) == 0));
    return WIFSIGNALED(status);
}

/* At every step, `check` after each; returns how many there were. */
static int kill_everywhere(void (*before)(void), void (*change)(const struct cache *cache),
                           void (*check)(bool finished))
{
    for (int step = 1; step < STEPS_LIMIT; step++) {
        bool killed;

        if (before != NULL)
            before();
        killed = killed_at(step, change);
        check(!killed);
        if (!killed)
            return step - 1;
    }
    fail_msg("it never ends");
    return 0;
}

/* --- entries ------------------------------------------------------------------------------------
 */

static bool put(const struct cache *to, uint32_t number, uint32_t seed)
{
    uint8_t value[CACHE_VALUE_LIMIT];
    const size_t length = values_expand(number, seed, value);
    char key[VALUES_KEY_MAX];
    struct cache_note note;

    values_key(number, key);
    return fixture_note(to, key, &note) && fixture_fill(to, &note, key, value, length);
}

static bool get(uint32_t number)
{
    static struct cache_copy copy;
    char key[VALUES_KEY_MAX];

    values_key(number, key);
    if (!fixture_get(cache, key, &copy))
        return false;
    assert_true(values_check(number, copy.value, copy.length));
    return true;
}

static void put_all(void)
{
    for (uint32_t i = 1; i < KEYS; i++)
        assert_true(put(cache, i, i));
}

static uint32_t child_seed;

static void put_in_child(const struct cache *to)
{
    if (!put(to, 0, child_seed))
        _exit(2);
}

static void check_entries(bool finished)
{
    unsigned left = 0;

    assert_true(get(0) || !finished);
    for (uint32_t i = 1; i < KEYS; i++)
        left += get(i);
    assert_true(left >= KEYS / 2); /* one stripe at most is lost */
    for (uint32_t i = 0; i < KEYS; i++) {
        assert_true(put(cache, i, i + 4));
        assert_true(get(i));
    }
    child_seed++;
}

static void a_fill_is_cut_short(void **state)
{
    (void)state;
    for (child_seed = 0; child_seed < 4;) {
        const uint32_t first = child_seed;

        assert_true(kill_everywhere(put_all, put_in_child, check_entries) >= 6);
        child_seed = first + 1;
    }
}

/* The mark of a stripe that somebody died in: the next one who fills it may die as well. */
static void mark_stripe(void)
{
    char key[VALUES_KEY_MAX];
    uint32_t stripe;

    put_all();
    values_key(0, key);
    stripe = cache_stripe_of(cache, fixture_hash(key));
    assert_true(put(cache, 0, 1));
    cache_fixed(cache)->stripes[stripe].word |= 1;
}

static void a_wipe_is_cut_short(void **state)
{
    (void)state;
    child_seed = 0;
    assert_true(kill_everywhere(mark_stripe, put_in_child, check_entries) >= 7);
}

/* All that a stripe holds is void once somebody died in it, not only what was being written. */
static void a_stripe_in_which_somebody_died_is_wiped(void **state)
{
    char key[VALUES_KEY_MAX];
    uint32_t stripe, same = 0;

    (void)state;
    values_key(0, key);
    stripe = cache_stripe_of(cache, fixture_hash(key));
    for (uint32_t i = 1; i < 1000 && same == 0; i++) {
        values_key(i, key);
        if (cache_stripe_of(cache, fixture_hash(key)) == stripe)
            same = i;
    }
    assert_true(same != 0);
    assert_true(put(cache, same, 1));
    assert_true(killed_at(2, put_in_child));
    assert_true(get(same)); /* whole, hence readable, until somebody has the lock */
    assert_true(put(cache, 0, 1));
    assert_true(get(0));
    assert_false(get(same));
}

/* --- the map ------------------------------------------------------------------------------------
 */

static uint64_t map_version;

static void write_map_of(const struct cache *to, uint64_t version)
{
    uint8_t map[3000];

    memset(map, (int)(version & 0xff), sizeof map);
    (void)cache_map_write(to, version, map, 100 + version % 100);
}

static void write_old_map(void)
{
    map_version += 3;
    write_map_of(cache, map_version);
    assert_true(cache_map_version(cache) == map_version);
}

static void write_map_in_child(const struct cache *to)
{
    write_map_of(to, map_version + 1);
}

static void check_map(bool finished)
{
    const uint64_t version = cache_map_version(cache);
    uint8_t *bytes;
    size_t length;
    int code = cache_map_read(cache, &bytes, &length);

    assert_true(code == 0 || !finished);
    if (code == 0) {
        assert_true(version == map_version || version == map_version + 1);
        assert_int_equal(length, 100 + version % 100);
        for (size_t i = 0; i < length; i++)
            assert_int_equal(bytes[i], version & 0xff);
        free(bytes);
    }
    write_map_of(cache, map_version + 2);
    assert_true(cache_map_version(cache) == map_version + 2);
    assert_int_equal(cache_map_read(cache, &bytes, &length), 0);
    free(bytes);
}

static void a_map_is_cut_short(void **state)
{
    (void)state;
    map_version = 1;
    assert_true(kill_everywhere(write_old_map, write_map_in_child, check_map) >= 6);
}

/* --- the agent ----------------------------------------------------------------------------------
 */

static void old_session(void)
{
    cache_set_session(cache, FIXTURE_SERVER, FIXTURE_SESSION, 1000);
    assert_true(put(cache, 1, 1));
}

/* Never the old number with the new expiry, nor the reverse. */
static void check_session(bool finished)
{
    const uint64_t early = cache_session(cache, FIXTURE_SERVER, 999);
    const uint64_t late = cache_session(cache, FIXTURE_SERVER, 1000);

    assert_true(late == 0 || late == FIXTURE_SESSION + 1);
    assert_true(early == 0 || early == FIXTURE_SESSION || early == FIXTURE_SESSION + 1);
    if (finished)
        assert_true(late == FIXTURE_SESSION + 1);
    assert_false(get(1)); /* was of the old one, which is over by the clock */
    cache_set_session(cache, FIXTURE_SERVER, FIXTURE_SESSION + 2, UINT64_MAX);
    assert_true(put(cache, 1, 2) && get(1));
}

static void set_session_in_child(const struct cache *to)
{
    cache_set_session(to, FIXTURE_SERVER, FIXTURE_SESSION + 1, UINT64_MAX);
}

static void a_new_session_is_cut_short(void **state)
{
    (void)state;
    assert_true(kill_everywhere(old_session, set_session_in_child, check_session) >= 4);
}

static void live_session(void)
{
    cache_set_session(cache, FIXTURE_SERVER, FIXTURE_SESSION, UINT64_MAX);
    assert_true(put(cache, 1, 1) && get(1));
}

static void check_void(bool finished)
{
    const uint64_t session = cache_session(cache, FIXTURE_SERVER, 1);

    assert_true(session == 0 || (!finished && session == FIXTURE_SESSION));
    cache_void_session(cache, FIXTURE_SERVER);
    assert_int_equal(cache_session(cache, FIXTURE_SERVER, 1), 0);
    assert_false(get(1));
}

static void void_session_in_child(const struct cache *to)
{
    cache_void_session(to, FIXTURE_SERVER);
}

static void the_end_of_a_session_is_cut_short(void **state)
{
    (void)state;
    assert_true(kill_everywhere(live_session, void_session_in_child, check_void) >= 4);
}

static uint64_t generation;

static void put_under_generation(void)
{
    cache_set_session(cache, FIXTURE_SERVER, FIXTURE_SESSION, UINT64_MAX);
    generation = cache_raise_generation(cache);
    assert_true(put(cache, 1, 1) && get(1));
}

/* C6: whoever raises it next voids all, though it died in between. */
static void check_generation(bool finished)
{
    assert_true(!finished || !get(1));
    assert_true(cache_raise_generation(cache) != generation);
    assert_false(get(1));
    assert_true(put(cache, 1, 2) && get(1));
}

static void raise_in_child(const struct cache *to)
{
    (void)cache_raise_generation(to);
}

static void a_raise_is_cut_short(void **state)
{
    (void)state;
    assert_true(kill_everywhere(put_under_generation, raise_in_child, check_generation) >= 3);
}

/* --- hints, managers, the layout
 * ------------------------------------------------------------------
 */

static uint64_t epoch = 1;

static void hint_in_child(const struct cache *to)
{
    cache_hint_write(to, 5, epoch + 1, 2);
    cache_note_managers(to, 77, epoch + 1);
}

static void write_hint(void)
{
    epoch += 3;
    cache_hint_write(cache, 5, epoch, 1);
    cache_note_managers(cache, 77, epoch);
}

static void check_hint(bool finished)
{
    const uint64_t noted_ms = cache_managers_noted_ms(cache, 77);
    uint64_t seen;
    uint32_t server;
    const bool there = cache_hint_read(cache, 5, &seen, &server);

    assert_true(there || !finished);
    if (there)
        assert_true((seen == epoch && server == 1) || (seen == epoch + 1 && server == 2));
    assert_true(noted_ms == epoch + 1 || (!finished && (noted_ms == epoch || noted_ms == 0)));
    cache_hint_write(cache, 5, epoch + 2, 3);
    assert_true(cache_hint_read(cache, 5, &seen, &server) && seen == epoch + 2 && server == 3);
}

static void a_hint_is_cut_short(void **state)
{
    (void)state;
    assert_true(kill_everywhere(write_hint, hint_in_child, check_hint) >= 4);
}

static void a_layout_is_cut_short(void **state)
{
    const size_t bytes = CACHE_BYTES_MIN;
    int status = 1;

    (void)state;
    for (int step = 1; status != 0; step++) {
        void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        const pid_t child = (assert_true(memory != MAP_FAILED), fork());
        struct cache attached;
        int code;

        assert_true(child >= 0);
        if (child == 0) {
            const struct cache_hook hook = {die_at_zero, &step};

            _exit(cache_format_hooked(memory, bytes, 1, 2, 3, &hook) == 0 ? 0 : 1);
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        code = cache_attach(&attached, memory, bytes, 1, 2, 3, NULL);
        if (step < 4 || status == 0)
            assert_int_equal(code, status == 0 ? 0 : CAIRN_ECORRUPT);
        assert_true(step < 10);
        assert_int_equal(munmap(memory, bytes), 0);
    }
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_fill_is_cut_short),
        TEST(a_wipe_is_cut_short),
        TEST(a_stripe_in_which_somebody_died_is_wiped),
        TEST(a_map_is_cut_short),
        TEST(a_new_session_is_cut_short),
        TEST(the_end_of_a_session_is_cut_short),
        TEST(a_raise_is_cut_short),
        TEST(a_hint_is_cut_short),
        cmocka_unit_test(a_layout_is_cut_short),
    };

    (void)snprintf(name, sizeof name, "kill.%d", (int)getpid());
    return cmocka_run_group_tests(tests, NULL, NULL);
}
