/* A log-linear histogram of latencies.
 *
 * A value v of e + 8 significant bits (e >= 0) lies in bucket e * 128 + (v >> e), where v >> e is
 * 128 to 255; so buckets are 2^e wide there, and values below 128 have bucket v. */
#include "base/histogram.h"

#include "base/check.h"

enum { PARTS = 1 << HISTOGRAM_PART_BITS };

/* percent * MILLIONTHS is a whole number for every percentile that people ask for, so that ranks
 * are computed without rounding errors: 99.99% of 10,000 values is rank 9999. */
enum { MILLIONTHS = 10000, WHOLE = 100 * MILLIONTHS };

static uint32_t exponent_of(uint64_t value)
{
    if (value < PARTS)
        return 0;
    return (uint32_t)(63 - __builtin_clzll(value)) - HISTOGRAM_PART_BITS;
}

static uint32_t bucket_of(uint64_t value)
{
    const uint32_t exponent = exponent_of(value);

    return exponent * PARTS + (uint32_t)(value >> exponent);
}

/* The largest value in the bucket. */
static uint64_t top_of(uint32_t bucket)
{
    const uint32_t exponent = bucket < 2 * PARTS ? 0 : bucket / PARTS - 1;
    const uint64_t part = bucket - exponent * PARTS;

    return ((part + 1) << exponent) - 1;
}

void histogram_init(struct histogram *histogram)
{
    *histogram = (struct histogram){.minimum_ns = UINT64_MAX};
}

void histogram_record(struct histogram *histogram, uint64_t value_ns)
{
    if (value_ns > HISTOGRAM_LIMIT_NS)
        value_ns = HISTOGRAM_LIMIT_NS;
    histogram->buckets[bucket_of(value_ns)]++;
    histogram->count++;
    histogram->sum_ns += value_ns;
    if (value_ns < histogram->minimum_ns)
        histogram->minimum_ns = value_ns;
    if (value_ns > histogram->maximum_ns)
        histogram->maximum_ns = value_ns;
}

void histogram_merge(struct histogram *histogram, const struct histogram *from)
{
    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++)
        histogram->buckets[i] += from->buckets[i];
    histogram->count += from->count;
    histogram->sum_ns += from->sum_ns;
    if (from->minimum_ns < histogram->minimum_ns)
        histogram->minimum_ns = from->minimum_ns;
    if (from->maximum_ns > histogram->maximum_ns)
        histogram->maximum_ns = from->maximum_ns;
}

uint64_t histogram_count(const struct histogram *histogram)
{
    return histogram->count;
}

uint64_t histogram_minimum(const struct histogram *histogram)
{
    return histogram->count == 0 ? 0 : histogram->minimum_ns;
}

uint64_t histogram_maximum(const struct histogram *histogram)
{
    return histogram->maximum_ns;
}

double histogram_mean(const struct histogram *histogram)
{
    return histogram->count == 0 ? 0.0 : (double)histogram->sum_ns / (double)histogram->count;
}

/* ceil(count * share / WHOLE), from 1; the product is taken in two parts that cannot overflow. */
static uint64_t rank_of(uint64_t count, uint64_t share)
{
    const uint64_t rank = count / WHOLE * share + (count % WHOLE * share + WHOLE - 1) / WHOLE;

    return rank == 0 ? 1 : rank;
}

uint64_t histogram_percentile(const struct histogram *histogram, double percent)
{
    uint64_t seen = 0, rank;

    CHECK(percent >= 0.0 && percent <= 100.0);
    if (histogram->count == 0)
        return 0;
    if (percent <= 0.0)
        return histogram->minimum_ns;
    rank = rank_of(histogram->count, (uint64_t)(percent * MILLIONTHS + 0.5));
    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += histogram->buckets[i];
        if (seen >= rank)
            return top_of(i) < histogram->maximum_ns ? top_of(i) : histogram->maximum_ns;
    }
    check_failed(__FILE__, __LINE__, __func__, "the buckets hold all values counted");
}
