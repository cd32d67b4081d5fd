/* xoshiro256** (Blackman and Vigna, "Scrambled Linear Pseudorandom Number Generators", 2018), its
 * state filled by SplitMix64 as its authors advise, and entropy from getrandom(2). */
#include "base/random.h"

#include <errno.h>
#include <sys/random.h>

#include "base/check.h"

static uint64_t rotate_left(uint64_t value, unsigned count)
{
    return value << count | value >> (64 - count);
}

void random_seed(struct random *random, uint64_t seed)
{
    for (int i = 0; i < 4; i++) {
        uint64_t mixed = seed += UINT64_C(0x9e3779b97f4a7c15);

        mixed = (mixed ^ mixed >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
        mixed = (mixed ^ mixed >> 27) * UINT64_C(0x94d049bb133111eb);
        random->state[i] = mixed ^ mixed >> 31;
    }
}

uint64_t random_next(struct random *random)
{
    uint64_t *state = random->state;
    const uint64_t result = rotate_left(state[1] * 5, 7) * 9;
    const uint64_t shifted = state[1] << 17;

    state[2] ^= state[0];
    state[3] ^= state[1];
    state[1] ^= state[2];
    state[0] ^= state[3];
    state[2] ^= shifted;
    state[3] = rotate_left(state[3], 45);
    return result;
}

uint64_t random_below(struct random *random, uint64_t bound)
{
    uint64_t threshold, value;

    CHECK(bound > 0);
    /* The lowest 2^64 mod bound values would make some remainders likelier: draw again. */
    threshold = (0 - bound) % bound;
    do {
        value = random_next(random);
    } while (value < threshold);
    return value % bound;
}

double random_unit(struct random *random)
{
    return (double)(random_next(random) >> 11) * 0x1.0p-53;
}

void random_entropy(void *out, size_t length)
{
    uint8_t *to = out;

    while (length > 0) {
        const ssize_t got = getrandom(to, length, 0);

        CHECK(got > 0 || (got < 0 && errno == EINTR));
        if (got > 0) {
            to += got;
            length -= (size_t)got;
        }
    }
}

uint64_t random_id(void)
{
    uint64_t id;

    do {
        random_entropy(&id, sizeof id);
    } while (id == 0);
    return id;
}
