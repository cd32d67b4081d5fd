/* What the driver draws: shares of operations, keys of the asked length, all of them in order. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "bench/fnv.h"
#include "bench/workload.h"

static struct key_space space;

static void shares_decide_what_is_drawn(void **state)
{
    (void)state;
    struct workload workload = {.shares = {30, 60, 0, 10}};
    unsigned drawn[BENCH_OPERATIONS] = {0};
    struct random random;
    random_seed(&random, 1);
    for (int i = 0; i < 100000; i++)
        drawn[workload_operation(&workload, &random)]++;
    assert_in_range(drawn[BENCH_PUT], 29000, 31000);
    assert_in_range(drawn[BENCH_GET], 59000, 61000);
    assert_int_equal(drawn[BENCH_SCAN], 0);
    assert_in_range(drawn[BENCH_REMOVE], 9000, 11000);
    workload = (struct workload){.shares = {0, 0, 100, 0}};
    assert_int_equal(workload_operation(&workload, &random), BENCH_SCAN);
}

static void keys_have_their_length_and_keep_their_order(void **state)
{
    (void)state;
    const struct workload workload = {.keys = 1000, .key_bytes = 16};
    char first[BENCH_KEY_MAX], second[BENCH_KEY_MAX];
    assert_int_equal(workload_key_text(&workload, 0, first).length, 16);
    assert_memory_equal(first, "k000000000000000", 16);
    workload_key_text(&workload, 99, first);
    workload_key_text(&workload, 100, second);
    assert_memory_equal(first, "k000000000000099", 16);
    assert_true(memcmp(first, second, 16) < 0);
}

static void keys_that_do_not_fit_are_refused(void **state)
{
    (void)state;
    struct error error = {0};
    struct workload workload = {.keys = 1000, .key_bytes = 4};
    char text[BENCH_KEY_MAX];
    assert_int_equal(workload_prepare(&workload, &error), 0);
    assert_memory_equal(workload_key_text(&workload, 999, text).data, "k999", 4);
    workload.keys = 1001;
    assert_int_equal(workload_prepare(&workload, &error), CAIRN_EINVAL);
    assert_non_null(strstr(error.message, "--key-size 4"));
    workload.keys = 1000;
    workload.first_key = 1;
    assert_int_equal(workload_prepare(&workload, &error), CAIRN_EINVAL);
}

static void sequential_keys_visit_each_once(void **state)
{
    (void)state;
    const struct workload workload = {.order = KEYS_SEQUENTIAL, .keys = 100};
    bool seen[100] = {false};
    for (uint64_t i = 0; i < 100; i++)
        seen[workload_key(&workload, NULL, i)] = true;
    for (size_t i = 0; i < 100; i++)
        assert_true(seen[i]);
    assert_int_equal(workload_key(&workload, NULL, 100), 0);
}

static void keys_begin_where_they_are_told_to(void **state)
{
    (void)state;
    struct workload workload = {.keys = 10, .first_key = 50, .key_bytes = 8};
    struct error error = {0};
    struct random random;
    random_seed(&random, 5);
    assert_int_equal(workload_prepare(&workload, &error), 0);
    for (int order = KEYS_UNIFORM; order <= KEYS_ZIPFIAN; order++) {
        workload.order = (enum key_order)order;
        for (uint64_t i = 0; i < 1000; i++)
            assert_in_range(workload_key(&workload, &random, i), 50, 59);
    }
}

static void uniform_keys_stay_in_range_and_spread(void **state)
{
    (void)state;
    const struct workload workload = {.order = KEYS_UNIFORM, .keys = 10};
    unsigned drawn[10] = {0};
    struct random random;
    random_seed(&random, 7);
    for (uint64_t i = 0; i < 100000; i++)
        drawn[workload_key(&workload, &random, i)]++;
    for (size_t i = 0; i < 10; i++)
        assert_in_range(drawn[i], 9000, 11000);
}

/* Against the law itself: number k as often as 1 / (k + 1)^0.99 says, within the noise of the draw.
 */
static void zipfian_keys_follow_the_law(void **state)
{
    (void)state;
    enum { KEYS = 10, DRAWS = 1000000 };
    struct workload workload = {.order = KEYS_ZIPFIAN, .keys = KEYS, .key_bytes = 8};
    static unsigned drawn[KEYS];
    struct error error = {0};
    struct random random;
    double sum = 0;
    random_seed(&random, 11);
    assert_int_equal(workload_prepare(&workload, &error), 0);
    for (int i = 0; i < DRAWS; i++)
        drawn[workload_key(&workload, &random, 0)]++;
    for (int i = 0; i < KEYS; i++)
        sum += pow(i + 1, -BENCH_ZIPFIAN);
    for (int i = 0; i < KEYS; i++) {
        double expected = DRAWS * pow(i + 1, -BENCH_ZIPFIAN) / sum;
        assert_true(fabs(drawn[i] - expected) < 4 * sqrt(expected));
    }
    workload.keys = 1;
    assert_int_equal(workload_prepare(&workload, &error), 0);
    assert_int_equal(workload_key(&workload, &random, 0), 0);
}

/* The popular ones are those that the hash says, as popular as the law says, whatever keys there
 * are.
 */
static void scrambled_keys_are_ycsbs(void **state)
{
    (void)state;
    enum { KEYS = 1000, DRAWS = 1000000 };
    struct workload workload = {
        .order = KEYS_SCRAMBLED, .first_key = 7, .keys = KEYS, .form = KEY_HASHED};
    static unsigned drawn[KEYS];
    struct random random;
    random_seed(&random, 13);
    assert_int_equal(workload_prepare(&workload, NULL), 0);
    for (int i = 0; i < DRAWS; i++) {
        uint64_t key = workload_key(&workload, &random, 0);
        assert_in_range(key, 7, 7 + KEYS - 1);
        drawn[key - 7]++;
    }
    /* 26.47 is the sum of 1 / k^0.99 for k up to 10^10; each key also gets its part of all ranks
     * that no other key is popular for. */
    unsigned first = drawn[fnv_number(0) % KEYS], second = drawn[fnv_number(1) % KEYS], most = 0,
             never = 0;
    for (int i = 0; i < KEYS; i++) {
        most = drawn[i] > most ? drawn[i] : most;
        never += drawn[i] == 0;
    }
    assert_int_equal(most, first);
    assert_in_range(first, DRAWS / 26.47, DRAWS / 26.47 + 3 * DRAWS / KEYS);
    assert_in_range(second, DRAWS / 26.47 / 2, DRAWS / 26.47 / 2 + 3 * DRAWS / KEYS);
    assert_int_equal(never, 0);
}

/* Some are popular that are not there yet; they are drawn from when they are. */
static void scrambled_keys_are_never_ahead_of_the_inserts(void **state)
{
    (void)state;
    enum { KEYS = 100, MORE = 50 };
    struct workload workload = {.order = KEYS_SCRAMBLED,
                                .keys = KEYS,
                                .new_keys = MORE,
                                .form = KEY_HASHED,
                                .space = &space};
    struct random random;
    bool new_one = false;
    random_seed(&random, 17);
    key_space_init(&space, KEYS);
    assert_int_equal(workload_prepare(&workload, NULL), 0);
    for (int i = 0; i < 10000; i++)
        assert_in_range(workload_key(&workload, &random, 0), 0, KEYS - 1);
    for (int i = 0; i < MORE; i++)
        assert_true(key_space_acknowledge(&space, key_space_claim(&space)));
    for (int i = 0; i < 10000; i++)
        new_one |= workload_key(&workload, &random, 0) >= KEYS;
    assert_true(new_one);
}

static void latest_keys_favour_the_newest(void **state)
{
    (void)state;
    enum { KEYS = 10, DRAWS = 100000 };
    struct workload workload = {
        .order = KEYS_LATEST, .keys = KEYS, .form = KEY_HASHED, .space = &space};
    unsigned drawn[2 * KEYS] = {0};
    struct random random;
    random_seed(&random, 19);
    key_space_init(&space, KEYS);
    assert_int_equal(workload_prepare(&workload, NULL), 0);
    for (int i = 0; i < KEYS; i++)
        assert_true(key_space_acknowledge(&space, key_space_claim(&space)));
    key_space_claim(&space); /* not acknowledged */
    for (int i = 0; i < DRAWS; i++) {
        uint64_t key = workload_key(&workload, &random, 0);
        assert_in_range(key, 0, 2 * KEYS - 1);
        drawn[key]++;
    }
    double sum = 0;
    for (int i = 0; i < 2 * KEYS; i++)
        sum += pow(i + 1, -BENCH_ZIPFIAN);
    for (int age = 0; age < 2 * KEYS; age++) {
        double expected = DRAWS * pow(age + 1, -BENCH_ZIPFIAN) / sum;
        assert_true(fabs(drawn[2 * KEYS - 1 - age] - expected) < 4 * sqrt(expected));
    }
}

static void scans_have_lengths_between_their_limits(void **state)
{
    (void)state;
    enum { MOST = 5 };
    struct workload workload = {.keys = 10, .key_bytes = 8, .scan_limit = MOST};
    struct random random;
    random_seed(&random, 23);
    assert_int_equal(workload_scan_length(&workload, &random), MOST);
    workload.scan_minimum = 2;
    for (int zipfian = 0; zipfian <= 1; zipfian++) {
        unsigned drawn[MOST + 1] = {0};
        workload.scan_zipfian = zipfian == 1;
        assert_int_equal(workload_prepare(&workload, NULL), 0);
        for (int i = 0; i < 10000; i++) {
            size_t length = workload_scan_length(&workload, &random);
            assert_in_range(length, 2, MOST);
            drawn[length]++;
        }
        for (int i = 2; i < MOST; i++)
            assert_true(drawn[i] > 1000);
        assert_in_range(drawn[2], zipfian ? 4000 : 2000, zipfian ? 6000 : 3000);
    }
}

static void values_have_their_length_and_differ(void **state)
{
    (void)state;
    struct values values;
    struct random random;
    random_seed(&random, 3);
    assert_int_equal(values_init(&values, 100, 5), 0);
    struct bytes one = values_pick(&values, &random), two = values_pick(&values, &random);
    assert_int_equal(one.length, 100);
    assert_memory_not_equal(one.data, two.data, 100);
    for (size_t i = 0; i < 1000; i++) {
        struct bytes value = values_pick(&values, &random);
        assert_true((const char *)value.data + value.length <= values.pool + 100 + 4096);
    }
    values_free(&values);
    assert_int_equal(values_init(&values, 0, 5), 0);
    assert_int_equal(values_pick(&values, &random).length, 0);
    values_free(&values);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shares_decide_what_is_drawn),
        cmocka_unit_test(keys_have_their_length_and_keep_their_order),
        cmocka_unit_test(keys_that_do_not_fit_are_refused),
        cmocka_unit_test(sequential_keys_visit_each_once),
        cmocka_unit_test(keys_begin_where_they_are_told_to),
        cmocka_unit_test(uniform_keys_stay_in_range_and_spread),
        cmocka_unit_test(zipfian_keys_follow_the_law),
        cmocka_unit_test(scrambled_keys_are_ycsbs),
        cmocka_unit_test(scrambled_keys_are_never_ahead_of_the_inserts),
        cmocka_unit_test(latest_keys_favour_the_newest),
        cmocka_unit_test(scans_have_lengths_between_their_limits),
        cmocka_unit_test(values_have_their_length_and_differ),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
