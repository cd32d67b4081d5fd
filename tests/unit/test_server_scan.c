/* SCAN merges partitions and layers in bytewise order, hides deletions, keeps its bounds. */
#include "tests/unit/store_fixture.h"

#include "base/random.h"

struct collected {
    char text[65536]; /* "key=value " of each pair */
    size_t length, pairs, stop_after;
};

static bool collect(void *context, uint32_t partition, const uint8_t *key, uint32_t key_length,
                    const struct store_value *value)
{
    struct collected *collected = context;
    (void)partition;
    int length =
        snprintf(collected->text + collected->length, sizeof(collected->text) - collected->length,
                 "%.*s=%.*s ", (int)key_length, (const char *)key, (int)value->length,
                 (const char *)value->data);
    collected->length += (size_t)length;
    collected->pairs++;
    return collected->pairs != collected->stop_after;
}

static const uint32_t every_partition[FIXTURE_PARTITIONS] = {3, 0, 2, 1};
static struct collected result;

static const char *scan(struct fixture *fixture, const char *from, const char *to, bool after_from)
{
    struct store_scan bounds = {.partitions = every_partition,
                                .partition_count = FIXTURE_PARTITIONS,
                                .from = (const uint8_t *)from,
                                .to = (const uint8_t *)to,
                                .from_length = (uint32_t)strlen(from),
                                .to_length = (uint32_t)strlen(to),
                                .after_from = after_from};
    size_t stop_after = result.stop_after;
    result = (struct collected){.stop_after = stop_after};
    assert_int_equal(store_scan(fixture->store, &bounds, collect, &result), CAIRN_OK);
    return result.text;
}

static void put_in(struct fixture *fixture, uint32_t partition, const char *key, const char *value)
{
    fixture_apply(fixture, fixture_entry(fixture, partition, COMMAND_PUT, key,
                                         (uint32_t)strlen(key), value, (uint32_t)strlen(value)));
}

static void delete_in(struct fixture *fixture, uint32_t partition, const char *key)
{
    fixture_apply(fixture, fixture_entry(fixture, partition, COMMAND_DELETE, key,
                                         (uint32_t)strlen(key), NULL, 0));
}

static void partitions_merge_in_order(void **state)
{
    struct fixture *fixture = *state;
    assert_string_equal(scan(fixture, "", "", false), "");
    put_in(fixture, 0, "d", "1");
    put_in(fixture, 1, "a", "2");
    put_in(fixture, 2, "c", "3");
    put_in(fixture, 3, "b", "4");
    put_in(fixture, 0, "a\x01", "5");
    put_in(fixture, 0, "aa", "6");
    for (int layer = IN_MEMTABLE; layer < LAYER_COUNT; layer++) {
        settle_in(fixture, (enum layer)layer);
        assert_string_equal(scan(fixture, "", "", false), "a=2 a\x01=5 aa=6 b=4 c=3 d=1 ");
    }
}

static void bounds_are_inclusive(void **state)
{
    struct fixture *fixture = *state;
    put_in(fixture, 0, "a", "1");
    put_in(fixture, 1, "b", "2");
    put_in(fixture, 2, "bb", "3");
    put_in(fixture, 3, "c", "4");
    for (int layer = IN_MEMTABLE; layer < LAYER_COUNT; layer++) {
        settle_in(fixture, (enum layer)layer);
        assert_string_equal(scan(fixture, "b", "c", false), "b=2 bb=3 c=4 ");
        assert_string_equal(scan(fixture, "b", "c", true), "bb=3 c=4 ");
        assert_string_equal(scan(fixture, "b", "b", false), "b=2 ");
        assert_string_equal(scan(fixture, "b", "b", true), "");
        assert_string_equal(scan(fixture, "", "b", false), "a=1 b=2 ");
        assert_string_equal(scan(fixture, "", "b", true), "a=1 b=2 ");
        assert_string_equal(scan(fixture, "ba", "", true), "bb=3 c=4 ");
        assert_string_equal(scan(fixture, "c", "a", false), "");
        assert_string_equal(scan(fixture, "d", "", false), "");
    }
}

static void only_named_partitions_are_scanned(void **state)
{
    struct fixture *fixture = *state;
    static const uint32_t one[] = {2};
    struct store_scan bounds = {.partitions = one, .partition_count = 1};
    put_in(fixture, 1, "a", "1");
    put_in(fixture, 2, "b", "2");
    put_in(fixture, 3, "c", "3");
    for (int layer = IN_MEMTABLE; layer < LAYER_COUNT; layer++) {
        settle_in(fixture, (enum layer)layer);
        result = (struct collected){0};
        assert_int_equal(store_scan(fixture->store, &bounds, collect, &result), CAIRN_OK);
        assert_string_equal(result.text, "b=2 ");
    }
    bounds.partition_count = 0;
    result = (struct collected){0};
    assert_int_equal(store_scan(fixture->store, &bounds, collect, &result), CAIRN_OK);
    assert_int_equal(result.pairs, 0);
}

/* Newer layers win, and a deletion in each of them hides what lies below. */
static void newer_layers_hide_older_ones(void **state)
{
    struct fixture *fixture = *state;
    for (int key = 'a'; key <= 'i'; key++)
        put_in(fixture, 0, (char[]){(char)key, 0}, "lmdb");
    settle_in(fixture, IN_LMDB);
    put_in(fixture, 0, "b", "frozen");
    put_in(fixture, 0, "c", "frozen");
    put_in(fixture, 0, "d", "frozen");
    delete_in(fixture, 0, "e");
    delete_in(fixture, 0, "f");
    put_in(fixture, 0, "x", "frozen");
    settle_in(fixture, IN_FROZEN);
    put_in(fixture, 0, "c", "live");
    delete_in(fixture, 0, "d");
    put_in(fixture, 0, "f", "live");
    put_in(fixture, 0, "g", "live");
    delete_in(fixture, 0, "h");
    delete_in(fixture, 0, "x");
    put_in(fixture, 0, "y", "live");
    delete_in(fixture, 0, "i");
    const char *expected = "a=lmdb b=frozen c=live f=live g=live y=live ";
    assert_string_equal(scan(fixture, "", "", false), expected);
    assert_string_equal(scan(fixture, "c", "g", false), "c=live f=live g=live ");
    for (int layer = IN_LMDB; layer < LAYER_COUNT; layer++) {
        settle_in(fixture, (enum layer)layer);
        assert_string_equal(scan(fixture, "", "", false), expected);
    }
}

static void a_visitor_may_stop(void **state)
{
    struct fixture *fixture = *state;
    for (int key = 'a'; key <= 'z'; key++)
        put_in(fixture, (uint32_t)(key % FIXTURE_PARTITIONS), (char[]){(char)key, 0}, "v");
    for (int layer = IN_MEMTABLE; layer < LAYER_COUNT; layer++) {
        settle_in(fixture, (enum layer)layer);
        result.stop_after = 3;
        assert_string_equal(scan(fixture, "m", "", false), "m=v n=v o=v ");
        assert_string_equal(scan(fixture, "o", "", true), "p=v q=v r=v ");
        result.stop_after = 0;
    }
}

/* Expired keys are the caller's to hide: it knows the log time of its answer. */
static void expiry_comes_with_the_pair(void **state)
{
    struct fixture *fixture = *state;
    struct entry *entry = fixture_entry(fixture, 0, COMMAND_PUT, "a", 1, "v", 1);
    entry->ttl_ms = 10;
    fixture_apply(fixture, entry);
    fixture->log_time_ms = 5000;
    noop(fixture);
    assert_string_equal(scan(fixture, "", "", false), "a=v ");
    settle_in(fixture, IN_LMDB); /* where it is dropped */
    assert_string_equal(scan(fixture, "", "", false), "");
}

struct order {
    uint8_t last[480];
    uint32_t last_length;
    size_t pairs;
    bool wrong;
};

static bool check_order(void *context, uint32_t partition, const uint8_t *key, uint32_t key_length,
                        const struct store_value *value)
{
    struct order *order = context;
    (void)partition;
    size_t common = key_length < order->last_length ? key_length : order->last_length;
    int compared = memcmp(order->last, key, common);
    if (order->pairs > 0 && (compared > 0 || (compared == 0 && order->last_length >= key_length)))
        order->wrong = true;
    if (value->length != key_length || memcmp(value->data, key, key_length) != 0)
        order->wrong = true;
    memcpy(order->last, key, key_length);
    order->last_length = key_length;
    order->pairs++;
    return true;
}

/* Random binary keys spread over partitions and layers; every pair comes once, in order. */
static void random_keys_come_once_in_order(void **state)
{
    struct fixture *fixture = *state;
    struct random random;
    random_seed(&random, 5);
    for (int layer = LAYER_COUNT - 1; layer >= IN_MEMTABLE; layer--) {
        for (uint32_t i = 0; i < 1000; i++) {
            uint8_t key[480];
            uint32_t length = 4 + (uint32_t)random_below(&random, i % 50 == 0 ? 476 : 4);
            for (uint32_t b = 0; b < length; b++)
                key[b] = random_below(&random, 3) == 0 ? 0xff : (uint8_t)random_below(&random, 2);
            uint32_t id = (uint32_t)layer * 1000 + i; /* makes it unique */
            memcpy(key + 1 + random_below(&random, length - 3), &id, 3);
            fixture_apply(fixture, fixture_entry(fixture, id % FIXTURE_PARTITIONS, COMMAND_PUT, key,
                                                 length, key, length));
        }
        settle_in(fixture, (enum layer)layer);
    }
    struct store_scan bounds = {.partitions = every_partition,
                                .partition_count = FIXTURE_PARTITIONS};
    static struct order order;
    order = (struct order){0};
    assert_int_equal(store_scan(fixture->store, &bounds, check_order, &order), CAIRN_OK);
    assert_false(order.wrong);
    assert_true(order.pairs > 3900); /* few of the keys may have come out alike */
}

#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(partitions_merge_in_order),
        T(bounds_are_inclusive),
        T(only_named_partitions_are_scanned),
        T(newer_layers_hide_older_ones),
        T(a_visitor_may_stop),
        T(expiry_comes_with_the_pair),
        T(random_keys_come_once_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
