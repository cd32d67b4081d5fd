/* A memtable finds what was put last, in order and by key, however large it grows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/random.h"
#include "server/memtable.h"

enum { KEYS = 5000, PUTS = 20000 };

struct fixture {
    struct memtable memtable;
    uint64_t versions[KEYS]; /* 0: not put */
    uint64_t count;
};

/* Lengths differ, and some keys are prefixes of others. */
static uint32_t key_of(unsigned number, uint8_t key[16])
{
    int length = snprintf((char *)key, 16, "%u", number);
    return (uint32_t)length;
}

static void put(struct fixture *fixture, unsigned number, uint64_t version)
{
    uint8_t key[16];
    uint32_t length = key_of(number, key);
    struct item *item = item_create(key, length, key, version % 8);
    assert_non_null(item);
    item->version = version;
    memtable_put(&fixture->memtable, item);
    fixture->count += fixture->versions[number] == 0;
    fixture->versions[number] = version;
}

static void check(const struct fixture *fixture)
{
    for (unsigned number = 0; number < KEYS; number++) {
        uint8_t key[16];
        uint32_t length = key_of(number, key);
        const struct item *item = memtable_find(&fixture->memtable, key, length);
        if (fixture->versions[number] == 0)
            assert_null(item);
        else
            assert_true(item != NULL && item->version == fixture->versions[number]);
    }
    uint64_t bytes = key_index_bytes(&fixture->memtable.index);
    uint64_t count = 0;
    const struct item *before = NULL;
    struct item *item = memtable_first(&fixture->memtable);
    for (; item != NULL; item = memtable_next(item)) {
        assert_true(before == NULL || key_compare(before->bytes, before->key_length, item->bytes,
                                                  item->key_length) < 0);
        before = item;
        bytes += memtable_item_bytes(item);
        count++;
    }
    assert_int_equal(count, fixture->count);
    assert_int_equal(fixture->memtable.count, fixture->count);
    assert_int_equal(fixture->memtable.bytes, bytes);
}

static void put_many(struct fixture *fixture)
{
    struct random random;
    random_seed(&random, 7);
    for (uint64_t i = 1; i <= PUTS; i++) {
        put(fixture, (unsigned)random_below(&random, KEYS - 1), i);
        if (i == 10 || i == 100 || i == 1000)
            check(fixture);
    }
}

static struct fixture *fixture_create(void)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    assert_non_null(fixture);
    memtable_init(&fixture->memtable);
    return fixture;
}

static void fixture_free(struct fixture *fixture)
{
    memtable_free(&fixture->memtable);
    assert_int_equal(fixture->memtable.count, 0);
    assert_int_equal(fixture->memtable.bytes, 0);
    free(fixture);
}

static void test_finds_the_last_of_each_key(void **state)
{
    (void)state;
    struct fixture *fixture = fixture_create();
    check(fixture);
    put_many(fixture);
    assert_non_null(fixture->memtable.index.slots);
    check(fixture);
    fixture_free(fixture);
}

/* Without memory for its index it goes on with the tree. */
static void test_finds_without_an_index(void **state)
{
    (void)state;
    struct fixture *fixture = fixture_create();
    fixture->memtable.index.given_up = true;
    put_many(fixture);
    assert_null(fixture->memtable.index.slots);
    check(fixture);
    fixture_free(fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_finds_the_last_of_each_key),
        cmocka_unit_test(test_finds_without_an_index),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
