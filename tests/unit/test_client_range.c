/* Which ranges lie in one partition. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include "base/random.h"
#include "client/range.h"
#include "proto/partition.h"

static bool in_one(const char *from, const char *to)
{
    return range_in_one_partition((const uint8_t *)from, strlen(from), (const uint8_t *)to,
                                  strlen(to));
}

static void test_one_key(void **state)
{
    (void)state;
    assert_true(in_one("k", "k"));
    assert_false(in_one("k", "kk"));
    assert_false(in_one("", ""));
    assert_false(in_one("k", ""));
    assert_false(in_one("", "k"));
}

static void test_one_hash_tag(void **state)
{
    (void)state;
    assert_true(in_one("{t}a", "{t}b"));
    assert_true(in_one("{t}", "{t}zzz"));
    assert_true(in_one("x{t}a", "x{t}b"));
    assert_true(in_one("{{t}a", "{{t}b"));
    assert_false(in_one("{t", "{t}"));
    assert_false(in_one("{t}a", "{u}a"));
    assert_false(in_one("a{t}", "b{t}"));
    assert_false(in_one("{}a", "{}b"));
    /* The first brace decides, and nothing lies in it. */
    assert_false(in_one("{}{t}a", "{}{t}b"));
    assert_false(in_one("t}a", "t}b"));
}

/* Every key between two ends that are called one partition is in it, by proto's own rule. */
static void test_random_ranges_against_the_partition_rule(void **state)
{
    static const char alphabet[] = "{}ab";
    struct random random;
    uint8_t keys[3][10];
    size_t lengths[3];
    unsigned hits = 0;

    (void)state;
    random_seed(&random, 7);
    for (int round = 0; round < 400000; round++) {
        /* The three share a beginning, so that one partition and the right order are common. */
        size_t shared = random_below(&random, 7);
        for (int k = 0; k < 3; k++) {
            lengths[k] = shared + 1 + random_below(&random, 9 - shared);
            for (size_t i = 0; i < lengths[k]; i++) {
                keys[k][i] =
                    k > 0 && i < shared ? keys[0][i] : (uint8_t)alphabet[random_below(&random, 4)];
            }
        }
        if (!range_in_one_partition(keys[0], lengths[0], keys[2], lengths[2]) ||
            range_compare(keys[0], lengths[0], keys[1], lengths[1]) > 0 ||
            range_compare(keys[1], lengths[1], keys[2], lengths[2]) > 0) {
            continue;
        }
        hits++;
        assert_int_equal(partition_of(keys[1], lengths[1], 1009),
                         partition_of(keys[0], lengths[0], 1009));
    }
    assert_true(hits > 1000);
}

static void test_order_and_emptiness(void **state)
{
    const uint8_t a[] = {'a'};
    const uint8_t ab[] = {'a', 'b'};
    const uint8_t high[] = {0xff};

    (void)state;
    assert_true(range_compare(a, 1, ab, 2) < 0);
    assert_true(range_compare(ab, 2, a, 1) > 0);
    assert_true(range_compare(ab, 2, high, 1) < 0);
    assert_int_equal(range_compare(ab, 2, ab, 2), 0);
    assert_true(range_is_empty(ab, 2, a, 1));
    assert_false(range_is_empty(a, 1, ab, 2));
    assert_false(range_is_empty(a, 1, a, 1));
    assert_false(range_is_empty(high, 1, NULL, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_key),
        cmocka_unit_test(test_one_hash_tag),
        cmocka_unit_test(test_random_ranges_against_the_partition_rule),
        cmocka_unit_test(test_order_and_emptiness),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
