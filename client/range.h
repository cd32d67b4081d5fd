/* Which partitions a range of keys can touch. Pure. */
#ifndef CAIRN_CLIENT_RANGE_H
#define CAIRN_CLIENT_RANGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* True if every key with from <= key <= to lies in the partition of `from`: one key only, or one
 * hash tag that all keys between share. A length of 0 leaves an end open. */
bool range_in_one_partition(const uint8_t *from, size_t from_length, const uint8_t *to,
                            size_t to_length);
/* True if no key can lie in the range: both ends given and from > to in bytewise order. */
bool range_is_empty(const uint8_t *from, size_t from_length, const uint8_t *to, size_t to_length);
/* Bytewise order, a prefix before what it is a prefix of: below, at or above 0. */
int range_compare(const uint8_t *left, size_t left_length, const uint8_t *right,
                  size_t right_length);

#endif
