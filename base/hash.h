/* XXH3-64 as hash of keys and as checksum of everything stored (xxhash.com). */
#ifndef CAIRN_BASE_HASH_H
#define CAIRN_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

struct iovec;

uint64_t hash_bytes(const void *data, size_t length);
uint64_t hash_seeded(const void *data, size_t length, uint64_t seed);
/* The hash of the parts' concatenation. */
uint64_t hash_parts(const struct iovec *parts, int count, uint64_t seed);

#endif
