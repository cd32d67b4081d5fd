/* The latency histogram: exact where it promises it, within 1/128 elsewhere. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/histogram.h"
#include "base/random.h"

static struct histogram subject, other;

static void empty_is_all_zero(void **state)
{
    (void)state;
    histogram_init(&subject);
    assert_int_equal(histogram_count(&subject), 0);
    assert_int_equal(histogram_minimum(&subject), 0);
    assert_int_equal(histogram_maximum(&subject), 0);
    assert_true(histogram_mean(&subject) == 0.0);
    assert_int_equal(histogram_percentile(&subject, 0), 0);
    assert_int_equal(histogram_percentile(&subject, 99.99), 0);
}

static void small_values_are_exact(void **state)
{
    (void)state;
    histogram_init(&subject);
    for (uint64_t i = 0; i < 256; i++)
        histogram_record(&subject, i);
    assert_int_equal(histogram_count(&subject), 256);
    assert_int_equal(histogram_minimum(&subject), 0);
    assert_int_equal(histogram_maximum(&subject), 255);
    assert_true(histogram_mean(&subject) == 127.5);
    for (uint64_t i = 1; i <= 256; i++)
        assert_int_equal(histogram_percentile(&subject, ((double)i - 0.5) * 100.0 / 256.0), i - 1);
}

/* Each value alone: the percentile is it, not below it, and at most 1/128 above. A second, larger
 * value keeps the maximum from hiding the bucket's width. */
static void error_is_bounded_at_every_scale(void **state)
{
    struct random random;

    (void)state;
    random_seed(&random, 7);
    for (int bits = 1; bits <= 41; bits++) {
        const uint64_t edge = UINT64_C(1) << bits;
        const uint64_t values[] = {edge - 1, edge, edge + 1, edge + random_below(&random, edge)};

        for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
            const uint64_t value = values[i] > HISTOGRAM_LIMIT_NS ? HISTOGRAM_LIMIT_NS : values[i];
            uint64_t found;

            histogram_init(&subject);
            histogram_record(&subject, value);
            histogram_record(&subject, HISTOGRAM_LIMIT_NS);
            found = histogram_percentile(&subject, 50);
            assert_true(found >= value);
            assert_true(found - value <= value / 128);
        }
    }
}

static void ranks_have_no_rounding_error(void **state)
{
    (void)state;
    histogram_init(&subject);
    for (int i = 0; i < 9999; i++)
        histogram_record(&subject, 10);
    histogram_record(&subject, 200);
    assert_int_equal(histogram_percentile(&subject, 99.99), 10);
    assert_int_equal(histogram_percentile(&subject, 99.9901), 200);
    assert_int_equal(histogram_percentile(&subject, 100), 200);
}

static int ascending(const void *left, const void *right)
{
    const uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;

    return (a > b) - (a < b);
}

static void percentiles_match_a_sorted_array(void **state)
{
    enum { COUNT = 20000 };
    static const struct {
        double percent;
        size_t rank;
    } wanted[] = {{1, 200},      {50, 10000},    {90, 18000},     {99, 19800},
                  {99.9, 19980}, {99.99, 19998}, {99.995, 19999}, {100, 20000}};
    uint64_t *values = calloc(COUNT, sizeof *values);
    struct random random;

    (void)state;
    assert_non_null(values);
    random_seed(&random, 11);
    histogram_init(&subject);
    for (size_t i = 0; i < COUNT; i++) {
        values[i] = random_next(&random) >> (24 + random_below(&random, 40));
        histogram_record(&subject, values[i]);
    }
    qsort(values, COUNT, sizeof *values, ascending);
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
        const uint64_t truth = values[wanted[i].rank - 1];
        const uint64_t found = histogram_percentile(&subject, wanted[i].percent);

        assert_true(found >= truth);
        assert_true(found - truth <= truth / 128);
    }
    assert_int_equal(histogram_percentile(&subject, 0), values[0]);
    free(values);
}

static void too_long_counts_as_one_hour(void **state)
{
    (void)state;
    histogram_init(&subject);
    histogram_record(&subject, UINT64_MAX);
    assert_int_equal(histogram_maximum(&subject), HISTOGRAM_LIMIT_NS);
    assert_int_equal(histogram_percentile(&subject, 50), HISTOGRAM_LIMIT_NS);
    assert_true(histogram_mean(&subject) == (double)HISTOGRAM_LIMIT_NS);
}

static void merging_equals_recording_all(void **state)
{
    static struct histogram all;
    struct random random;

    (void)state;
    random_seed(&random, 3);
    histogram_init(&subject);
    histogram_init(&other);
    histogram_init(&all);
    for (int i = 0; i < 5000; i++) {
        const uint64_t value =
            random_below(&random, UINT64_C(1) << (1 + random_below(&random, 40)));

        histogram_record(i % 3 == 0 ? &subject : &other, value);
        histogram_record(&all, value);
    }
    histogram_merge(&subject, &other);
    assert_memory_equal(&subject, &all, sizeof all);
    histogram_init(&other);
    histogram_merge(&subject, &other); /* an empty one changes nothing, the minimum included */
    assert_memory_equal(&subject, &all, sizeof all);
    histogram_merge(&other, &subject);
    assert_memory_equal(&other, &all, sizeof all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(empty_is_all_zero),
        cmocka_unit_test(small_values_are_exact),
        cmocka_unit_test(error_is_bounded_at_every_scale),
        cmocka_unit_test(ranks_have_no_rounding_error),
        cmocka_unit_test(percentiles_match_a_sorted_array),
        cmocka_unit_test(too_long_counts_as_one_hour),
        cmocka_unit_test(merging_equals_recording_all),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
