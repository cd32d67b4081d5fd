/* XXH3-64 (Yann Collet) of one piece and of several. */
#include "base/hash.h"

#include <string.h>
#include <sys/uio.h>

/* Inlined: hashing a 16-byte key costs less than a call through the PLT. */
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/check.h"

uint64_t hash_bytes(const void *data, size_t length)
{
    return XXH3_64bits(data, length);
}

uint64_t hash_seeded(const void *data, size_t length, uint64_t seed)
{
    return XXH3_64bits_withSeed(data, length, seed);
}

/* Joins the parts in `out` if they fit; else leaves what was copied and returns 0. */
static int join(const struct iovec *parts, int count, uint8_t *out, size_t size, size_t *length)
{
    *length = 0;
    for (int i = 0; i < count; i++) {
        if (parts[i].iov_len > size - *length)
            return 0;
        if (parts[i].iov_len > 0)
            memcpy(out + *length, parts[i].iov_base, parts[i].iov_len);
        *length += parts[i].iov_len;
    }
    return 1;
}

uint64_t hash_parts(const struct iovec *parts, int count, uint64_t seed)
{
    uint8_t joined[512];
    size_t length;
    XXH3_state_t state;

    XXH3_INITSTATE(&state);
    /* Below some hundred bytes a copy costs less than filling and folding the streaming state. */
    if (join(parts, count, joined, sizeof joined, &length))
        return XXH3_64bits_withSeed(joined, length, seed);
    CHECK(XXH3_64bits_reset_withSeed(&state, seed) == XXH_OK);
    for (int i = 0; i < count; i++)
        if (parts[i].iov_len > 0)
            CHECK(XXH3_64bits_update(&state, parts[i].iov_base, parts[i].iov_len) == XXH_OK);
    return XXH3_64bits_digest(&state);
}
