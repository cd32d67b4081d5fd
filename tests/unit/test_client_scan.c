/* Scans: merging in order, paging, ranges of one partition, partitions that move meanwhile. */
#include "tests/unit/client_fixture.h"

#include "base/random.h"

enum { LONG_MS = 20000, SHORT_MS = 400 };

static int setup(void **state)
{
    *state = fake_start();
    return 0;
}

static int teardown(void **state)
{
    fake_stop(*state);
    return 0;
}

/* Straight into the fake's memory. */
static void fill(struct fake *fake, unsigned count, const char *format, uint32_t value_length)
{
    char *value = calloc(1, value_length + 1U);
    char key[64];

    assert_non_null(value);
    pthread_mutex_lock(&fake->mutex);
    for (unsigned i = 0; i < count; i++) {
        snprintf(key, sizeof(key), "%s%05u", format, i);
        const struct view name = view_of_text(key);
        const struct view bytes = {(const uint8_t *)value, value_length};
        fake_store(fake, &name, &bytes);
    }
    pthread_mutex_unlock(&fake->mutex);
    free(value);
}

static void limit_pages(struct fake *fake, uint32_t pairs)
{
    pthread_mutex_lock(&fake->mutex);
    for (uint32_t i = 0; i < FAKE_SERVERS; i++) {
        fake->servers[i].page_limit = pairs;
    }
    pthread_mutex_unlock(&fake->mutex);
}

static cairn_cursor_t *open_scan(cairn_t *db, const char *from, const char *to)
{
    cairn_cursor_t *cursor;

    assert_int_equal(cairn_scan(db, from, strlen(from), to, strlen(to), &cursor), CAIRN_OK);
    return cursor;
}

/* Reads on to the end, comparing with the fake's pairs from `at` on, as far as `to`. Returns how
 * many there were. */
static unsigned compare_all(const struct fake *fake, cairn_cursor_t *cursor, uint32_t at)
{
    const void *key;
    const void *value;
    size_t key_length;
    size_t value_length;
    unsigned count = 0;
    int status;

    while ((status = cairn_scan_next(cursor, &key, &key_length, &value, &value_length)) ==
           CAIRN_OK) {
        assert_true(at < fake->pair_count);
        const struct fake_pair *pair = &fake->pairs[at++];
        assert_int_equal(key_length, pair->key_length);
        assert_memory_equal(key, pair->key, key_length);
        assert_int_equal(value_length, pair->value_length);
        count++;
    }
    assert_int_equal(status, CAIRN_ENOTFOUND);
    assert_int_equal(cairn_scan_next(cursor, &key, &key_length, &value, &value_length),
                     CAIRN_ENOTFOUND);
    return count;
}

static void test_all_pairs_come_once_and_in_order(void **state)
{
    struct fake *fake = *state;
    cairn_t *db = fake_client(fake, LONG_MS);
    const uint32_t limits[] = {0, 1, 7};

    fill(fake, 1000, "k", 3);
    for (size_t i = 0; i < 3; i++) {
        limit_pages(fake, limits[i]);
        cairn_cursor_t *cursor = open_scan(db, "", "");
        assert_int_equal(compare_all(fake, cursor, 0), 1000);
        cairn_scan_close(cursor);
    }
    cairn_close(db);
}

static void test_an_empty_store_and_an_empty_range(void **state)
{
    cairn_t *db = fake_client(*state, LONG_MS);
    cairn_cursor_t *cursor = open_scan(db, "", "");

    assert_int_equal(compare_all(*state, cursor, 0), 0);
    cairn_scan_close(cursor);
    fill(*state, 10, "k", 1);
    cursor = open_scan(db, "z", "a");
    assert_int_equal(compare_all(*state, cursor, 0), 0);
    cairn_scan_close(cursor);
    cairn_scan_close(NULL);
    cairn_close(db);
}

static void test_limits_of_the_ends(void **state)
{
    cairn_t *db = fake_client(*state, LONG_MS);
    static char large[CAIRN_KEY_MAX + 1];
    cairn_cursor_t *cursor;

    memset(large, 'x', sizeof(large));
    assert_int_equal(cairn_scan(db, large, sizeof(large), "z", 1, &cursor), CAIRN_EINVAL);
    assert_null(cursor);
    assert_int_equal(cairn_scan(db, "a", 1, large, sizeof(large), &cursor), CAIRN_EINVAL);
    assert_int_equal(cairn_scan(db, NULL, 1, "z", 1, &cursor), CAIRN_EINVAL);
    cairn_close(db);
}

/* Random ends against the sorted array; both ends inclusive. */
static void test_random_ranges(void **state)
{
    struct fake *fake = *state;
    cairn_t *db = fake_client(fake, LONG_MS);
    struct random random;

    random_seed(&random, 3);
    fill(fake, 300, "k", 0);
    limit_pages(fake, 5);
    for (int round = 0; round < 60; round++) {
        uint32_t first = (uint32_t)random_below(&random, 300);
        uint32_t last = first + (uint32_t)random_below(&random, 300 - first);
        cairn_cursor_t *cursor;

        assert_int_equal(cairn_scan(db, fake->pairs[first].key, fake->pairs[first].key_length,
                                    fake->pairs[last].key, fake->pairs[last].key_length, &cursor),
                         CAIRN_OK);
        assert_int_equal(compare_all(fake, cursor, first), last - first + 1);
        cairn_scan_close(cursor);
    }
    cairn_close(db);
}

static void silence(struct fake *fake, uint32_t server, bool silent)
{
    pthread_mutex_lock(&fake->mutex);
    fake->servers[server].silent = silent;
    pthread_mutex_unlock(&fake->mutex);
}

static void test_a_range_of_one_partition_needs_its_server_only(void **state)
{
    struct fake *fake = *state;
    cairn_t *db = fake_client(fake, SHORT_MS);
    const void *bytes;
    size_t length;
    char key[32];

    fill(fake, 20, "{tag}", 1);
    fake_key(fake, 1, 9, key);
    assert_int_equal(fake_put(db, key, "v"), CAIRN_OK);
    uint32_t tagged = fake->told[partition_of((const uint8_t *)"tag", 3, FAKE_PARTITIONS)];
    for (uint32_t i = 0; i < FAKE_SERVERS; i++) {
        silence(fake, i, i != 1);
    }
    cairn_cursor_t *cursor = open_scan(db, key, key);
    assert_int_equal(cairn_scan_next(cursor, &bytes, &length, &bytes, &length), CAIRN_OK);
    assert_int_equal(cairn_scan_next(cursor, &bytes, &length, &bytes, &length), CAIRN_ENOTFOUND);
    cairn_scan_close(cursor);
    cursor = open_scan(db, "a", "z");
    assert_int_equal(cairn_scan_next(cursor, &bytes, &length, &bytes, &length), CAIRN_ETIMEDOUT);
    cairn_scan_close(cursor);
    for (uint32_t i = 0; i < FAKE_SERVERS; i++) {
        silence(fake, i, i != tagged);
    }
    cursor = open_scan(db, "{tag}", "{tag}99999");
    assert_int_equal(compare_all(fake, cursor, fake_position(fake, (const uint8_t *)"{tag}", 5)),
                     20);
    cairn_scan_close(cursor);
    cairn_close(db);
}

static void take(cairn_cursor_t *cursor, unsigned count)
{
    const void *bytes;
    size_t length;

    for (unsigned i = 0; i < count; i++) {
        assert_int_equal(cairn_scan_next(cursor, &bytes, &length, &bytes, &length), CAIRN_OK);
    }
}

static void test_partitions_that_move_meanwhile_are_followed(void **state)
{
    struct fake *fake = *state;
    cairn_t *db = fake_client(fake, LONG_MS);

    fill(fake, 600, "k", 3);
    limit_pages(fake, 10);
    cairn_cursor_t *cursor = open_scan(db, "", "");
    take(cursor, 100);
    /* One half is told by redirects only, the other by the map too. */
    pthread_mutex_lock(&fake->mutex);
    for (uint32_t p = 0; p < FAKE_PARTITIONS; p++) {
        fake->truth[p] = (fake->truth[p] + 1 + p % 2) % FAKE_SERVERS;
        fake->epochs[p]++;
        if (p % 2 == 0) {
            fake->told[p] = fake->truth[p];
        }
    }
    fake->version++;
    pthread_mutex_unlock(&fake->mutex);
    assert_int_equal(compare_all(fake, cursor, 100), 500);
    cairn_scan_close(cursor);
    cairn_close(db);
}

static void test_a_server_that_comes_back_is_waited_for(void **state)
{
    struct fake *fake = *state;
    cairn_t *db = fake_client(fake, SHORT_MS);
    const void *bytes;
    size_t length;
    int status = CAIRN_OK;
    unsigned count = 0;

    fill(fake, 200, "k", 3);
    limit_pages(fake, 10);
    cairn_cursor_t *cursor = open_scan(db, "", "");
    take(cursor, 50);
    silence(fake, 2, true);
    while ((status = cairn_scan_next(cursor, &bytes, &length, &bytes, &length)) == CAIRN_OK) {
        count++;
    }
    assert_int_equal(status, CAIRN_ETIMEDOUT);
    silence(fake, 2, false);
    cairn_set_timeout(db, LONG_MS);
    assert_int_equal(compare_all(fake, cursor, 50 + count), 150 - count);
    cairn_scan_close(cursor);
    cairn_close(db);
}

static void test_broken_connections_and_refusals_lose_nothing(void **state)
{
    struct fake *fake = *state;
    cairn_t *db = fake_client(fake, LONG_MS);

    fill(fake, 300, "k", 3);
    limit_pages(fake, 10);
    fake_script(fake, 0, 4, FAKE_BEHAVE, FAKE_DROP, FAKE_STATUS + SERVER_STARTING, FAKE_DROP);
    fake_script(fake, 1, 3, FAKE_STATUS + SERVER_OVERLOADED, FAKE_BEHAVE, FAKE_EXECUTE_DROP);
    cairn_cursor_t *cursor = open_scan(db, "", "");
    assert_int_equal(compare_all(fake, cursor, 0), 300);
    cairn_scan_close(cursor);
    cairn_close(db);
}

static void test_large_values_come_in_pages_of_bounded_size(void **state)
{
    struct fake *fake = *state;
    cairn_t *db = fake_client(fake, LONG_MS);

    fill(fake, 40, "k", CAIRN_VALUE_MAX);
    cairn_cursor_t *cursor = open_scan(db, "", "");
    assert_int_equal(compare_all(fake, cursor, 0), 40);
    cairn_scan_close(cursor);
    cairn_close(db);
}

static void test_pages_that_break_the_rules_end_nowhere(void **state)
{
    struct fake *fake = *state;
    cairn_t *db = fake_client(fake, SHORT_MS);
    const void *bytes;
    size_t length;

    fake->servers[0].bad_pages = true;
    cairn_cursor_t *cursor = open_scan(db, "", "");
    assert_int_equal(cairn_scan_next(cursor, &bytes, &length, &bytes, &length), CAIRN_ETIMEDOUT);
    pthread_mutex_lock(&fake->mutex);
    assert_true(fake->servers[0].calls < 40);
    pthread_mutex_unlock(&fake->mutex);
    cairn_scan_close(cursor);
    cairn_close(db);
}

static void test_errors_of_a_server_end_the_scan(void **state)
{
    struct fake *fake = *state;
    cairn_t *db = fake_client(fake, LONG_MS);
    const void *bytes;
    size_t length;

    fake_script(fake, 1, 1, FAKE_STATUS + SERVER_CORRUPT);
    cairn_cursor_t *cursor = open_scan(db, "", "");
    assert_int_equal(cairn_scan_next(cursor, &bytes, &length, &bytes, &length), CAIRN_ECORRUPT);
    assert_non_null(strstr(cairn_errmsg(db), "scripted"));
    cairn_scan_close(cursor);
    cairn_close(db);
}

/* A cursor may be closed while its calls are under way, and other operations go on around it. */
static void test_closing_early_and_mixing_with_other_operations(void **state)
{
    struct fake *fake = *state;
    cairn_t *db = fake_client(fake, LONG_MS);
    char key[32];
    char value[16];

    fill(fake, 500, "k", 3);
    limit_pages(fake, 10);
    fake_key(fake, 0, 5, key);
    for (int round = 0; round < 20; round++) {
        cairn_cursor_t *cursor = open_scan(db, "", "");
        take(cursor, 1 + (unsigned)round * 7);
        assert_int_equal(fake_put(db, key, "v"), CAIRN_OK);
        take(cursor, 20);
        cairn_scan_close(cursor);
        assert_int_equal(fake_get(db, key, value, sizeof(value)), CAIRN_OK);
    }
    cairn_set_timeout(db, SHORT_MS);
    silence(fake, 1, true);
    const void *bytes;
    size_t length;
    cairn_cursor_t *cursor = open_scan(db, "", "");
    assert_int_equal(cairn_scan_next(cursor, &bytes, &length, &bytes, &length), CAIRN_ETIMEDOUT);
    cairn_scan_close(cursor);
    assert_int_equal(fake_get(db, key, value, sizeof(value)), CAIRN_OK);
    cursor = open_scan(db, "", "");
    assert_int_equal(cairn_scan_next(cursor, &bytes, &length, &bytes, &length), CAIRN_ETIMEDOUT);
    cairn_scan_close(cursor);
    cairn_close(db);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_all_pairs_come_once_and_in_order),
        TEST(test_an_empty_store_and_an_empty_range),
        TEST(test_limits_of_the_ends),
        TEST(test_random_ranges),
        TEST(test_a_range_of_one_partition_needs_its_server_only),
        TEST(test_partitions_that_move_meanwhile_are_followed),
        TEST(test_a_server_that_comes_back_is_waited_for),
        TEST(test_broken_connections_and_refusals_lose_nothing),
        TEST(test_large_values_come_in_pages_of_bounded_size),
        TEST(test_pages_that_break_the_rules_end_nowhere),
        TEST(test_errors_of_a_server_end_the_scan),
        TEST(test_closing_early_and_mixing_with_other_operations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
