/* Random numbers: a seedable generator for everything that must replay, and the system's entropy
 * for identities. The generator is xoshiro256** by Blackman and Vigna (prng.di.unimi.it). */
#ifndef CAIRN_BASE_RANDOM_H
#define CAIRN_BASE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

struct random {
    uint64_t state[4];
};

/* Same seed, same sequence; seeds 0 and 1 differ as any others do (SplitMix64 fills the state). */
void random_seed(struct random *random, uint64_t seed);
uint64_t random_next(struct random *random);
/* Uniform in [0, bound), bound > 0, without modulo bias. */
uint64_t random_below(struct random *random, uint64_t bound);
/* Uniform in [0, 1). */
double random_unit(struct random *random);

/* Fills `out` from getrandom(2); aborts if the system has no entropy source. Thread-safe. */
void random_entropy(void *out, size_t length);
/* A non-zero 64-bit number from the system, for ids. Thread-safe. */
uint64_t random_id(void);

#endif
