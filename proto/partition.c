/* See partition.h. */
#include "proto/partition.h"

#include <string.h>

#include "base/check.h"
#include "base/hash.h"

uint64_t partition_hash(const uint8_t *key, size_t length)
{
    const uint8_t *open = memchr(key, '{', length);

    if (open != NULL) {
        const uint8_t *tag = open + 1;
        const uint8_t *close = memchr(tag, '}', length - (size_t)(tag - key));

        if (close != NULL && close > tag)
            return hash_bytes(tag, (size_t)(close - tag));
    }
    return hash_bytes(key, length);
}

uint32_t partition_of(const uint8_t *key, size_t length, uint32_t partitions)
{
    CHECK(partitions > 0);
    return (uint32_t)(partition_hash(key, length) % partitions);
}
