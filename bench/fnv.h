/* The FNV-1a hash of a 64-bit number (isthe.com/chongo/tech/comp/fnv), as YCSB uses it to name
 * records and to scatter the popular ones. */
#ifndef CAIRN_BENCH_FNV_H
#define CAIRN_BENCH_FNV_H

#include <stdint.h>

/* Of the eight bytes from the lowest on; then, as in YCSB, the absolute value of the sum as a
 * signed number: so at most 2^63. */
uint64_t fnv_number(uint64_t number);

#endif
