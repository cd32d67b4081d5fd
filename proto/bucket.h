/* The bucket of a key: what servers grant and revoke, and hosts count invalidations by
 * (ARCHITECTURE.md C1 to C4). Part of the wire's contract: both sides compute it. */
#ifndef CAIRN_PROTO_BUCKET_H
#define CAIRN_PROTO_BUCKET_H

#include <stddef.h>
#include <stdint.h>

#include "base/hash.h"

enum { CAIRN_BUCKETS = 65536, CAIRN_BATCH_BUCKETS_LIMIT = 4096 };

/* `hash` is that of the whole key, hash tag or not (hash_bytes). The low bits choose partitions. */
static inline uint32_t bucket_of_hash(uint64_t hash)
{
    return (uint32_t)(hash >> 40) & (CAIRN_BUCKETS - 1);
}

static inline uint32_t bucket_of(const uint8_t *key, size_t length)
{
    return bucket_of_hash(hash_bytes(key, length));
}

#endif
