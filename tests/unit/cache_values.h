/* Values that tell by themselves whether they are whole and of which key. */
#ifndef CAIRN_TESTS_UNIT_CACHE_VALUES_H
#define CAIRN_TESTS_UNIT_CACHE_VALUES_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/random.h"
#include "client/cache.h"

enum { VALUES_KEY_MAX = 32 };

static inline void values_key(uint32_t number, char key[VALUES_KEY_MAX])
{
    (void)snprintf(key, VALUES_KEY_MAX, "key-%u", number);
}

/* The key's number, a seed, and bytes that follow from both; of a length that the seed decides. */
static inline size_t values_expand(uint32_t number, uint32_t seed, uint8_t *value)
{
    const uint32_t limits[] = {100, 150, 900, CACHE_VALUE_LIMIT};
    struct random random;
    size_t length;

    random_seed(&random, (uint64_t)number << 32 | seed);
    length = 8 + random_below(&random, limits[seed % 4] - 7);
    memcpy(value, &number, 4);
    memcpy(value + 4, &seed, 4);
    for (size_t i = 8; i < length; i++)
        value[i] = (uint8_t)(seed + i * (number + 1));
    return length;
}

static inline size_t values_make(uint32_t number, struct random *random, uint8_t *value)
{
    return values_expand(number, (uint32_t)random_next(random), value);
}

static inline bool values_check(uint32_t number, const uint8_t *value, size_t length)
{
    uint8_t wanted[CACHE_VALUE_LIMIT];
    uint32_t seed;

    if (length < 8)
        return false;
    memcpy(&seed, value + 4, 4);
    return values_expand(number, seed, wanted) == length && memcmp(value, wanted, length) == 0;
}

#endif
