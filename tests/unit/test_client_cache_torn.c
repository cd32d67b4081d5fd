/* While writers of other processes change entries and the map, a reader never sees a mixture. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/random.h"
#include "client/segment.h"
#include "tests/unit/cache_fixture.h"
#include "tests/unit/cache_values.h"

enum { KEYS = 12, WRITERS = 2, HITS_OF_A_RUN = 2000, LOOKS_OF_A_HIT = 300 };
#define CLUSTER UINT64_C(0x74)

static char name[SEGMENT_NAME_LIMIT + 1];

static struct segment *opened(void)
{
    struct segment *segment;
    bool replaced;

    assert_int_equal(segment_open(name, CLUSTER, CACHE_BYTES_MIN, &segment, &replaced, NULL), 0);
    return segment;
}

static void write_map(const struct cache *cache, uint64_t version, struct random *random)
{
    uint8_t map[5000];
    const size_t length = sizeof(uint64_t) + random_below(random, sizeof map - sizeof(uint64_t));

    memset(map, (uint8_t)version, length);
    (void)cache_map_write(cache, version, map, length);
}

static void check_map(const struct cache *cache)
{
    uint8_t *bytes;
    size_t length;

    if (cache_map_read(cache, &bytes, &length) != 0)
        return;
    for (size_t i = 1; i < length; i++)
        assert_int_equal(bytes[i], bytes[0]);
    free(bytes);
}

static _Atomic bool stop;

/* Fills all keys with values of all sizes until it is stopped. */
static void *write_entries(void *argument)
{
    struct segment *segment = argument;
    struct random random;

    random_seed(&random, random_id());
    for (uint64_t round = 1; !atomic_load(&stop); round++) {
        const uint32_t number = (uint32_t)random_below(&random, KEYS);
        uint8_t value[CACHE_VALUE_LIMIT];
        char key[VALUES_KEY_MAX];
        struct cache_note note;
        size_t length;

        values_key(number, key);
        length = values_make(number, &random, value);
        if (fixture_note(&segment->cache, key, &note))
            (void)fixture_fill(&segment->cache, &note, key, value, length);
        if (round % 16 == 0)
            write_map(&segment->cache, round, &random);
    }
    return NULL;
}

/* CAIRN_TEST_RUNS=n says how many times HITS_OF_A_RUN. */
static unsigned hits_wanted(void)
{
    const char *runs = getenv("CAIRN_TEST_RUNS");

    return HITS_OF_A_RUN * (runs != NULL ? (unsigned)strtoul(runs, NULL, 10) : 8);
}

static void read_entries(const struct cache *cache)
{
    const unsigned wanted = hits_wanted();
    static struct cache_copy copy;
    unsigned hits = 0;

    for (unsigned look = 0; hits < wanted && look < LOOKS_OF_A_HIT * wanted; look++) {
        char key[VALUES_KEY_MAX];

        values_key(look % KEYS, key);
        if (fixture_get(cache, key, &copy)) {
            hits++;
            assert_true(values_check(look % KEYS, copy.value, copy.length));
        }
        if (look % 64 == 0)
            check_map(cache);
    }
    assert_true(hits > 0);
}

static void writers_of_other_processes(void **state)
{
    struct segment *segment = opened();
    const pid_t parent = getpid();
    pid_t writers[WRITERS];

    (void)state;
    assert_int_equal(segment_reserve_entries(segment), 0);
    assert_int_equal(segment_reserve_map(segment, 5000), 0);
    cache_open_entries(&segment->cache);
    cache_set_session(&segment->cache, FIXTURE_SERVER, FIXTURE_SESSION, UINT64_MAX);
    for (int i = 0; i < WRITERS; i++) {
        writers[i] = fork();
        assert_true(writers[i] >= 0);
        if (writers[i] == 0) {
            fixture_end_with_parent(parent);
            segment_abandon(segment);
            (void)write_entries(opened());
        }
    }
    read_entries(&segment->cache);
    for (int i = 0; i < WRITERS; i++) {
        assert_int_equal(kill(writers[i], SIGKILL), 0);
        assert_int_equal(waitpid(writers[i], NULL, 0), writers[i]);
    }
    assert_int_equal(segment_unlink(segment->path), 0);
    segment_close(segment);
}

static void writers_of_other_threads(void **state)
{
    struct segment *segment = opened();
    pthread_t writers[WRITERS];

    (void)state;
    assert_int_equal(segment_reserve_entries(segment), 0);
    assert_int_equal(segment_reserve_map(segment, 5000), 0);
    cache_open_entries(&segment->cache);
    cache_set_session(&segment->cache, FIXTURE_SERVER, FIXTURE_SESSION, UINT64_MAX);
    for (int i = 0; i < WRITERS; i++)
        assert_int_equal(pthread_create(&writers[i], NULL, write_entries, segment), 0);
    read_entries(&segment->cache);
    atomic_store(&stop, true);
    for (int i = 0; i < WRITERS; i++)
        assert_int_equal(pthread_join(writers[i], NULL), 0);
    assert_int_equal(segment_unlink(segment->path), 0);
    segment_close(segment);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writers_of_other_processes),
        cmocka_unit_test(writers_of_other_threads),
    };

    (void)snprintf(name, sizeof name, "torn.%d", (int)getpid());
    return cmocka_run_group_tests(tests, NULL, NULL);
}
