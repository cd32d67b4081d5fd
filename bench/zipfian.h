/* Numbers by Zipf's law: number k is drawn with a probability proportional to 1 / (k + 1)^s.
 *
 * Exact and without a table, by rejection-inversion: W. Hormann, G. Derflinger,
 * "Rejection-inversion to generate variates from monotone discrete distributions", ACM TOMACS 6(3),
 * 1996. */
#ifndef CAIRN_BENCH_ZIPFIAN_H
#define CAIRN_BENCH_ZIPFIAN_H

#include <stdint.h>

#include "base/random.h"

struct zipfian {
    uint64_t count;
    double exponent;
    double low, high; /* of the integral of the density, half a step beyond either end */
    double certain;   /* distance from a number within which no density has to be compared */
};

/* `count` at least 1; `exponent` above 0 and other than 1. */
void zipfian_init(struct zipfian *zipfian, uint64_t count, double exponent);
/* The same law with another count, at least 1: cheaper than to begin anew. */
void zipfian_resize(struct zipfian *zipfian, uint64_t count);
/* In [0, count). */
uint64_t zipfian_draw(const struct zipfian *zipfian, struct random *random);

#endif
