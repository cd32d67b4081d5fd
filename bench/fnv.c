/* Hashes a number. */
#include "bench/fnv.h"

#define FNV_START UINT64_C(0xcbf29ce484222325)
#define FNV_PRIME UINT64_C(0x100000001b3)

uint64_t fnv_number(uint64_t number)
{
    uint64_t hash = FNV_START;
    for (int i = 0; i < 8; i++, number >>= 8)
        hash = (hash ^ (number & 0xff)) * FNV_PRIME;
    return hash >> 63 != 0 ? 0 - hash : hash;
}
