/* Keys go to partitions by hash, and hash tags keep related keys together. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/hash.h"
#include "proto/partition.h"

static uint64_t hash_of(const char *key)
{
    return partition_hash((const uint8_t *)key, strlen(key));
}

/* The cases of the Redis Cluster specification, "Hash tags", and those around them. */
static void tags_follow_the_rule_of_redis_cluster(void **state)
{
    static const struct {
        const char *key, *hashed;
    } cases[] = {
        {"{user1000}.following", "user1000"},
        {"{user1000}.followers", "user1000"},
        {"foo{}{bar}", "foo{}{bar}"},
        {"foo{{bar}}zap", "{bar"},
        {"foo{bar}{zap}", "bar"},
        {"{}", "{}"},
        {"{", "{"},
        {"}", "}"},
        {"}{", "}{"},
        {"}{a}", "a"},
        {"{a", "{a"},
        {"a}", "a}"},
        {"{a}", "a"},
        {"key", "key"},
        {"", ""},
        {"x{ }y", " "},
        {"}}{{}", "{"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_true(hash_of(cases[i].key) == hash_bytes(cases[i].hashed, strlen(cases[i].hashed)));
}

static void keys_are_bytes_not_texts(void **state)
{
    static const uint8_t key[] = {0, '{', 0, 0xff, '}', 0};
    static const uint8_t tag[] = {0, 0xff};

    (void)state;
    assert_true(partition_hash(key, sizeof key) == hash_bytes(tag, sizeof tag));
    assert_true(partition_hash(NULL, 0) == hash_bytes(NULL, 0));
    /* The closing brace behind the key's end is not its own. */
    assert_true(partition_hash((const uint8_t *)"{a}", 2) == hash_bytes("{a", 2));
    assert_true(partition_hash((const uint8_t *)"{a}", 1) == hash_bytes("{", 1));
}

/* The numbers are part of the wire contract: clients and servers of all versions agree on them. */
static void partition_is_the_hash_modulo(void **state)
{
    (void)state;
    for (uint32_t partitions = 1; partitions < 300; partitions++)
        assert_int_equal(partition_of((const uint8_t *)"key", 3, partitions),
                         hash_bytes("key", 3) % partitions);
    assert_int_equal(partition_of(NULL, 0, 64), UINT64_C(0x2d06800538d394c2) % 64);
}

static void keys_spread(void **state)
{
    enum { PARTITIONS = 16, KEYS = 16000 };
    int counts[PARTITIONS] = {0};

    (void)state;
    for (uint32_t i = 0; i < KEYS; i++)
        counts[partition_of((const uint8_t *)&i, sizeof i, PARTITIONS)]++;
    for (int i = 0; i < PARTITIONS; i++)
        assert_in_range(counts[i], 850, 1150);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tags_follow_the_rule_of_redis_cluster),
        cmocka_unit_test(keys_are_bytes_not_texts),
        cmocka_unit_test(partition_is_the_hash_modulo),
        cmocka_unit_test(keys_spread),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
