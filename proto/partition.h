/* Which partition a key belongs to: XXH3_64bits(key) % partitions.
 *
 * If the key holds a `{`, and a `}` behind it with at least one byte between, only the bytes
 * between the first `{` and the first `}` after it are hashed (Redis Cluster specification, "Hash
 * tags"). */
#ifndef CAIRN_PROTO_PARTITION_H
#define CAIRN_PROTO_PARTITION_H

#include <stddef.h>
#include <stdint.h>

uint32_t partition_of(const uint8_t *key, size_t length, uint32_t partitions);
/* The hash that partition_of reduces; also picks cache buckets. */
uint64_t partition_hash(const uint8_t *key, size_t length);

#endif
