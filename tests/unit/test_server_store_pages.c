/* Whatever bit of a store's file flips: it is refused with file and offset, or each key is read as
 * it was written, or as damaged; nothing else (W8). Nor does reading it end the process. */
#include <fcntl.h>
#include <sys/stat.h>

#include "base/random.h"
#include "server/store_pages.h"
#include "server/value.h"
#include "tests/unit/store_fixture.h"

enum { KEYS = 300, LARGE = 3000, FLIPS = 400 };

static const char *const refusal = "data.mdb: damaged at offset ";

static void name_key(char key[16], int number)
{
    snprintf(key, 16, "key%d", number);
}

/* Now and then one of its own pages. */
static uint32_t name_value(char value[LARGE], int number)
{
    uint32_t length = number % 50 == 0 ? LARGE : 20;
    memset(value, 'a' + number % 26, length);
    return (uint32_t)snprintf(value, 16, "value%d", number) > 0 ? length : 0;
}

static void put_number(struct fixture *fixture, const char *key, const char *value, uint32_t length,
                       uint64_t ttl_ms)
{
    struct entry *entry =
        fixture_entry(fixture, 0, COMMAND_PUT, key, (uint32_t)strlen(key), value, length);
    entry->client = 1 + (uint64_t)length % 9;
    entry->number = entry->index;
    entry->ttl_ms = ttl_ms;
    fixture_apply(fixture, entry);
}

/* Rows in all tables, and pages that were given up by a checkpoint after the first. */
static void fill(struct fixture *fixture)
{
    char key[16], value[LARGE];
    for (int i = 0; i < KEYS; i++) {
        name_key(key, i);
        put_number(fixture, key, "before", 6, 0);
        snprintf(key, sizeof(key), "gone%d", i);
        put_number(fixture, key, "before", 6, 0);
    }
    store_checkpoint_now(fixture->store);
    for (int i = 0; i < KEYS; i++) {
        name_key(key, i);
        put_number(fixture, key, value, name_value(value, i), i % 10 == 0 ? 1000000 : 0);
        snprintf(key, sizeof(key), "gone%d", i);
        delete_key(fixture, key);
    }
    store_checkpoint_now(fixture->store);
    store_close(fixture->store);
    fixture->store = NULL;
}

static void name_file(const struct fixture *fixture, char path[SCRATCH_PATH_MAX + 16])
{
    snprintf(path, SCRATCH_PATH_MAX + 16, "%s/data.mdb", fixture->directory);
}

/* The whole file, as far as it has pages. */
static uint8_t *take_file(const struct fixture *fixture, size_t *length)
{
    char path[SCRATCH_PATH_MAX + 16];
    struct stat stat;
    name_file(fixture, path);
    int descriptor = open(path, O_RDONLY);
    assert_true(descriptor >= 0 && fstat(descriptor, &stat) == 0);
    uint8_t *bytes = malloc((size_t)stat.st_size);
    assert_non_null(bytes);
    assert_int_equal(read(descriptor, bytes, (size_t)stat.st_size), stat.st_size);
    close(descriptor);
    *length = (size_t)stat.st_size;
    return bytes;
}

/* What an opened store may have changed goes back, too. */
static void write_file(const struct fixture *fixture, const uint8_t *bytes, size_t used)
{
    char path[SCRATCH_PATH_MAX + 16];
    name_file(fixture, path);
    int descriptor = open(path, O_WRONLY);
    assert_true(descriptor >= 0);
    assert_int_equal(pwrite(descriptor, bytes, used, 0), used);
    close(descriptor);
}

static size_t used_of(const uint8_t *bytes, size_t length)
{
    while (length > 0 && bytes[length - 1] == 0)
        length--;
    return length;
}

/* Reads all keys; how many are told to be damaged. */
static int read_all(struct fixture *fixture)
{
    int damaged = 0;
    for (int i = 0; i < KEYS; i++) {
        char key[16], value[LARGE];
        struct store_value found;
        uint32_t length = name_value(value, i);
        name_key(key, i);
        int code =
            store_get(fixture->store, 0, (const uint8_t *)key, (uint32_t)strlen(key), &found);
        damaged += code == CAIRN_ECORRUPT;
        if (code == CAIRN_ECORRUPT)
            continue;
        assert_int_equal(code, CAIRN_OK);
        assert_int_equal(found.length, length);
        assert_memory_equal(found.data, value, length);
        snprintf(key, sizeof(key), "gone%d", i);
        assert_int_equal(
            store_get(fixture->store, 0, (const uint8_t *)key, (uint32_t)strlen(key), &found),
            CAIRN_ENOTFOUND);
    }
    return damaged;
}

/* What became of it: 'r'efused, 'd'amaged values, or 'f'ine. */
static char try_flip(struct fixture *fixture, uint8_t *bytes, size_t used, size_t at, uint8_t bit)
{
    struct error error = {0};
    char outcome = 'r';
    bytes[at] ^= bit;
    write_file(fixture, bytes, used);
    int code = store_open(&fixture->options, &fixture->store, &error);
    if (code == CAIRN_OK) {
        outcome = read_all(fixture) > 0 ? 'd' : 'f';
    } else if (code == CAIRN_EVERSION) { /* a version's bit */
        assert_non_null(strstr(error.message, fixture->directory));
    } else {
        assert_int_equal(code, CAIRN_ECORRUPT);
        if (strstr(error.message, refusal) == NULL &&
            strstr(error.message, "holds no store of this program") == NULL)
            fail_msg("byte %zu: %s", at, error.message);
    }
    store_close(fixture->store);
    fixture->store = NULL;
    bytes[at] ^= bit;
    return outcome;
}

static void any_flipped_bit_is_noticed_or_does_no_harm(void **state)
{
    struct fixture *fixture = *state;
    struct random random;
    int outcomes[128] = {0};
    size_t length;
    fill(fixture);
    uint8_t *bytes = take_file(fixture, &length);
    size_t used = used_of(bytes, length);
    const char *more = getenv("FLIPS");
    int flips = more == NULL ? FLIPS : (int)strtol(more, NULL, 10);
    random_seed(&random, more == NULL ? 7 : random_id());
    for (int i = 0; i < flips; i++) {
        size_t at = (size_t)random_below(&random, used);
        outcomes[(int)try_flip(fixture, bytes, used, at,
                               (uint8_t)(1 << random_below(&random, 8)))]++;
    }
    /* A test that meets only one of them tests little. */
    assert_true(outcomes['r'] > 10 && outcomes['d'] > 10 && outcomes['f'] > 10);
    write_file(fixture, bytes, used);
    fixture_open(fixture);
    assert_int_equal(read_all(fixture), 0);
    free(bytes);
}

/* The bytes that say most: both first pages, as far as they say anything. */
static void any_bit_of_the_first_pages(void **state)
{
    struct fixture *fixture = *state;
    size_t length;
    fill(fixture);
    uint8_t *bytes = take_file(fixture, &length);
    size_t used = used_of(bytes, length);
    for (size_t page = 0; page < 2; page++)
        for (size_t at = 0; at < 152; at++)
            (void)try_flip(fixture, bytes, used, page * 4096 + at, (uint8_t)(1 << at % 8));
    write_file(fixture, bytes, used);
    fixture_open(fixture);
    free(bytes);
}

/* The sums follow what checkpoints and sweeps do: each state opens. */
static void keys_are_counted_whatever_becomes_of_them(void **state)
{
    struct fixture *fixture = *state;
    put(fixture, "stays", "1");
    put_ttl(fixture, "expires", "1", 10);
    put_ttl(fixture, "written over", "1", 10);
    fixture_reopen(fixture);
    put(fixture, "written over", "2");
    put(fixture, "stays", "2");
    delete_key(fixture, "never was");
    fixture_reopen(fixture);
    fixture->log_time_ms += 100;
    put(fixture, "later", "1"); /* the sweep takes what has expired */
    fixture_reopen(fixture);
    delete_key(fixture, "stays");
    put_ttl(fixture, "short", "1", 10);
    fixture->log_time_ms += 100;
    put(fixture, "last", "1"); /* one that expired before it was ever written */
    fixture_reopen(fixture);
    assert_string_equal(get_text(fixture, "written over"), "2");
    assert_null(get_text(fixture, "stays"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(any_flipped_bit_is_noticed_or_does_no_harm, fixture_setup,
                                        fixture_teardown),
        cmocka_unit_test_setup_teardown(any_bit_of_the_first_pages, fixture_setup,
                                        fixture_teardown),
        cmocka_unit_test_setup_teardown(keys_are_counted_whatever_becomes_of_them, fixture_setup,
                                        fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
