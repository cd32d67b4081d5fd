/* Ranges inside one partition.
 *
 * If both ends begin with the same bytes P, so does every key between them: a key that differs from
 * P within its length, or ends within it, sorts before `from` or after `to`. So a hash tag that
 * lies whole inside P (the first `{`, and the first `}` behind it with something between) is the
 * hash tag of every key in the range. */
#include "client/range.h"

#include <string.h>

int range_compare(const uint8_t *left, size_t left_length, const uint8_t *right,
                  size_t right_length)
{
    size_t common = left_length < right_length ? left_length : right_length;
    int order = common == 0 ? 0 : memcmp(left, right, common);

    if (order != 0) {
        return order;
    }
    return left_length < right_length ? -1 : left_length > right_length;
}

bool range_is_empty(const uint8_t *from, size_t from_length, const uint8_t *to, size_t to_length)
{
    return from_length > 0 && to_length > 0 && range_compare(from, from_length, to, to_length) > 0;
}

static bool has_hash_tag(const uint8_t *prefix, size_t length)
{
    const uint8_t *open = memchr(prefix, '{', length);

    if (open == NULL) {
        return false;
    }
    const uint8_t *tag = open + 1;
    const uint8_t *close = memchr(tag, '}', (size_t)(prefix + length - tag));
    return close != NULL && close > tag;
}

bool range_in_one_partition(const uint8_t *from, size_t from_length, const uint8_t *to,
                            size_t to_length)
{
    size_t shorter = from_length < to_length ? from_length : to_length;
    size_t common = 0;

    if (shorter == 0) {
        return false;
    }
    while (common < shorter && from[common] == to[common]) {
        common++;
    }
    if (common == from_length && common == to_length) {
        return true;
    }
    return common > 0 && has_hash_tag(from, common);
}
