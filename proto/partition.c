/* Which partition a key belongs to. */
#include "proto/partition.h"

#include <string.h>

#include "base/check.h"
#include "base/hash.h"

uint64_t partition_hash(const uint8_t *key, size_t length)
{
    const uint8_t *open = length == 0 ? NULL : memchr(key, '{', length);
    const uint8_t *close;

    if (open == NULL)
        return hash_bytes(key, length);
    open++;
    close = memchr(open, '}', length - (size_t)(open - key));
    /* Redis Cluster's rule: an empty tag counts as none, and only the first braces count. */
    if (close == NULL || close == open)
        return hash_bytes(key, length);
    return hash_bytes(open, (size_t)(close - open));
}

uint32_t partition_of(const uint8_t *key, size_t length, uint32_t partitions)
{
    CHECK(partitions > 0);
    return (uint32_t)(partition_hash(key, length) % partitions);
}
