/* How operations and scans get to a partition's new primary when the old one redirects, refuses or
 * says nothing (ARCHITECTURE.md S3). What counts is how often whom is asked, never how long it
 * took.
 */
#include "tests/unit/client_fixture.h"

#include <limits.h>

enum { LONG_MS = 20000 };

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

static unsigned read_count(struct fake *fake, const unsigned *count)
{
    pthread_mutex_lock(&fake->mutex);
    unsigned value = *count;
    pthread_mutex_unlock(&fake->mutex);
    return value;
}

/* All that `from` serves is `to`'s from now on; the map says so from its `call`-th reading on. */
static void take_over(struct fake *fake, uint32_t from, uint32_t to, unsigned call)
{
    pthread_mutex_lock(&fake->mutex);
    for (uint32_t p = 0; p < FAKE_PARTITIONS; p++) {
        if (fake->truth[p] == from) {
            fake->truth[p] = to;
            fake->epochs[p]++;
        }
    }
    fake->tell_at_call = call;
    pthread_mutex_unlock(&fake->mutex);
}

static void test_a_redirect_with_news_needs_no_map(void **state)
{
    struct fake *fake = *state;
    cairn_t *db = fake_client(fake, LONG_MS);
    char key[32];

    fake_key(fake, 0, 1, key);
    assert_int_equal(fake_put(db, key, "v"), CAIRN_OK);
    take_over(fake, 0, 1, 0);
    assert_int_equal(fake_put(db, key, "w"), CAIRN_OK);
    assert_int_equal(read_count(fake, &fake->servers[0].calls), 2);
    assert_int_equal(read_count(fake, &fake->servers[1].calls), 1);
    assert_int_equal(read_count(fake, &fake->map_calls), 1);
    cairn_close(db);
}

/* The map is asked again and again until it knows the new primary, also behind the limit of
 * immediate repetitions. */
static void test_a_refused_connection_leads_to_the_new_primary(void **state)
{
    struct fake *fake = *state;
    cairn_t *db = fake_client(fake, LONG_MS);
    char key[32];
    char value[16];

    fake_key(fake, 0, 1, key);
    assert_int_equal(fake_put(db, key, "v"), CAIRN_OK);
    fake_script(fake, 0, 1, FAKE_LEAVE);
    take_over(fake, 0, 2, 7);
    assert_int_equal(fake_put(db, key, "w"), CAIRN_OK);
    assert_int_equal(read_count(fake, &fake->servers[0].calls), 1);
    assert_int_equal(read_count(fake, &fake->servers[2].calls), 1);
    assert_int_equal(read_count(fake, &fake->map_calls), 7);
    assert_int_equal(fake_get(db, key, value, sizeof(value)), CAIRN_OK);
    assert_string_equal(value, "w");
    cairn_close(db);
}

/* S3: the attempt that was given up may be executed yet, so the next one repeats its number. */
static void test_an_unanswered_call_is_given_up_when_another_leads(void **state)
{
    struct fake *fake = *state;
    cairn_t *db = fake_client(fake, LONG_MS);
    char key[32];

    fake_key(fake, 0, 1, key);
    assert_int_equal(fake_put(db, key, "v"), CAIRN_OK);
    fake_script(fake, 0, 1, FAKE_SILENT);
    take_over(fake, 0, 2, 3);
    assert_int_equal(fake_put(db, key, "w"), CAIRN_OK);
    /* The map was read twice while the first call waited: it was not repeated there. */
    assert_int_equal(read_count(fake, &fake->servers[0].calls), 1);
    assert_int_equal(read_count(fake, &fake->servers[2].calls), 1);
    assert_int_equal(read_count(fake, &fake->map_calls), 3);
    pthread_mutex_lock(&fake->mutex);
    assert_true(fake->servers[0].last_number == fake->servers[2].last_number);
    assert_true(fake->servers[0].last_client == fake->servers[2].last_client);
    pthread_mutex_unlock(&fake->mutex);
    cairn_close(db);
}

static void test_an_operation_given_up_for_good_is_unknown(void **state)
{
    struct fake *fake = *state;
    cairn_t *db = fake_client(fake, LONG_MS);
    char key[32];

    fake_key(fake, 0, 1, key);
    fake_script(fake, 0, 1, FAKE_EXECUTE_SILENT);
    fake_script(fake, 2, 1, FAKE_STATUS + SERVER_INVALID);
    take_over(fake, 0, 2, 2);
    assert_int_equal(fake_put(db, key, "w"), CAIRN_EUNKNOWN);
    assert_int_equal(read_count(fake, &fake->servers[2].calls), 1);
    cairn_close(db);
}

static void fill(struct fake *fake, unsigned count)
{
    char key[32];

    pthread_mutex_lock(&fake->mutex);
    for (unsigned i = 0; i < count; i++) {
        snprintf(key, sizeof(key), "k%05u", i);
        const struct view name = view_of_text(key);
        const struct view bytes = view_of_text("v");
        fake_store(fake, &name, &bytes);
    }
    for (uint32_t i = 0; i < FAKE_SERVERS; i++) {
        fake->servers[i].page_limit = 5;
    }
    pthread_mutex_unlock(&fake->mutex);
}

static unsigned count_pairs(cairn_cursor_t *cursor, unsigned limit)
{
    const void *key;
    const void *value;
    size_t key_length;
    size_t value_length;
    unsigned count = 0;
    int status = CAIRN_OK;

    while (count < limit) {
        status = cairn_scan_next(cursor, &key, &key_length, &value, &value_length);
        if (status != CAIRN_OK) {
            assert_int_equal(status, CAIRN_ENOTFOUND);
            break;
        }
        count++;
    }
    return count;
}

/* The scan goes on behind the last pair, without losing or repeating one. */
static void scan_through(struct fake *fake, int action)
{
    cairn_t *db = fake_client(fake, LONG_MS);
    cairn_cursor_t *cursor;

    fill(fake, 200);
    assert_int_equal(cairn_scan(db, "", 0, "", 0, &cursor), CAIRN_OK);
    assert_int_equal(count_pairs(cursor, 10), 10);
    fake_script(fake, 0, 1, action);
    take_over(fake, 0, 2, 3);
    assert_int_equal(count_pairs(cursor, UINT_MAX), 190);
    assert_int_equal(read_count(fake, &fake->servers[0].calls), 1);
    cairn_scan_close(cursor);
    cairn_close(db);
}

static void test_a_scan_goes_on_at_the_new_primary(void **state)
{
    scan_through(*state, FAKE_LEAVE);
}

static void test_a_scan_does_not_wait_for_a_silent_primary(void **state)
{
    scan_through(*state, FAKE_SILENT);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_a_redirect_with_news_needs_no_map),
        TEST(test_a_refused_connection_leads_to_the_new_primary),
        TEST(test_an_unanswered_call_is_given_up_when_another_leads),
        TEST(test_an_operation_given_up_for_good_is_unknown),
        TEST(test_a_scan_goes_on_at_the_new_primary),
        TEST(test_a_scan_does_not_wait_for_a_silent_primary),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
