/* Latencies in nanoseconds in fixed memory: a log-linear histogram, the idea of HdrHistogram by
 * Gil Tene (hdrhistogram.org).
 *
 * Values below 256 ns are kept exactly; each power of two above is cut into 128 equal buckets, so
 * that a percentile is at most 1/128 (0.8%) above the true value and never below it. Count, mean,
 * minimum and maximum are exact. A value above one hour counts as one hour. Not thread-safe: one
 * per thread, merged at the end. About 36 KiB, no memory of its own. */
#ifndef CAIRN_BASE_HISTOGRAM_H
#define CAIRN_BASE_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_LIMIT_NS UINT64_C(3600000000000)

/* 35 powers of two from 2^7 up to the limit's, 2^41, each of 128 buckets, behind 128 for the rest.
 */
enum { HISTOGRAM_PART_BITS = 7, HISTOGRAM_BUCKETS = 36 << HISTOGRAM_PART_BITS };

struct histogram {
    uint64_t count, sum_ns, minimum_ns, maximum_ns;
    uint64_t buckets[HISTOGRAM_BUCKETS];
};

void histogram_init(struct histogram *histogram);
void histogram_record(struct histogram *histogram, uint64_t value_ns);
/* Adds all of `from`. */
void histogram_merge(struct histogram *histogram, const struct histogram *from);

uint64_t histogram_count(const struct histogram *histogram);
/* 0 of an empty histogram, like all that follow. */
uint64_t histogram_minimum(const struct histogram *histogram);
uint64_t histogram_maximum(const struct histogram *histogram);
double histogram_mean(const struct histogram *histogram);
/* The smallest value that at least `percent` of all values do not exceed; `percent` from 0 to 100,
 * four decimals count (99.99). 0 gives the minimum, 100 the maximum. */
uint64_t histogram_percentile(const struct histogram *histogram, double percent);

#endif
