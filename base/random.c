/* See random.h. */
#include "base/random.h"

#include <errno.h>
#include <sys/random.h>

#include "base/check.h"

static uint64_t rotate_left(uint64_t value, int bits)
{
    return (value << bits) | (value >> (64 - bits));
}

/* SplitMix64 (Steele, Lea, Flood, OOPSLA 2014). */
static uint64_t split_mix(uint64_t *state)
{
    uint64_t mixed = (*state += UINT64_C(0x9e3779b97f4a7c15));

    mixed = (mixed ^ (mixed >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    mixed = (mixed ^ (mixed >> 27)) * UINT64_C(0x94d049bb133111eb);
    return mixed ^ (mixed >> 31);
}

void random_seed(struct random *random, uint64_t seed)
{
    for (int i = 0; i < 4; i++)
        random->state[i] = split_mix(&seed);
}

uint64_t random_next(struct random *random)
{
    uint64_t *state = random->state;
    uint64_t result = rotate_left(state[1] * 5, 7) * 9;
    uint64_t shifted = state[1] << 17;

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
    threshold = (0 - bound) % bound; /* values below it would favour small remainders */
    do
        value = random_next(random);
    while (value < threshold);
    return value % bound;
}

double random_unit(struct random *random)
{
    return (double)(random_next(random) >> 11) * 0x1.0p-53;
}

void random_entropy(void *out, size_t length)
{
    uint8_t *bytes = out;

    while (length > 0) {
        ssize_t got = getrandom(bytes, length, 0);

        CHECK(got > 0 || errno == EINTR);
        if (got > 0) {
            bytes += got;
            length -= (size_t)got;
        }
    }
}

uint64_t random_id(void)
{
    uint64_t id = 0;

    while (id == 0)
        random_entropy(&id, sizeof id);
    return id;
}
