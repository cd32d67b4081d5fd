/* Values that say what they are: `KEY/ID/LENGTH/` and bytes that a generator makes from it. */
#include "tests/lib/cache_client/value.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/hash.h"
#include "base/random.h"

size_t value_make(const char *key, const char *id, size_t length, char *out)
{
    CHECK(strlen(id) < VALUE_ID_MAX && length <= VALUE_LENGTH_MAX);
    length = length < VALUE_LENGTH_MIN ? VALUE_LENGTH_MIN : length;
    int head = snprintf(out, VALUE_LENGTH_MAX, "%s/%s/%zu/", key, id, length);
    CHECK(head > 0 && (size_t)head <= length);
    struct random random;
    random_seed(&random, hash_bytes(out, (size_t)head));
    for (size_t at = (size_t)head; at < length; at++)
        out[at] = (char)('!' + random_below(&random, '~' - '!'));
    return length;
}

bool value_check(const char *key, const void *value, size_t length, char *id)
{
    const char *text = value;
    size_t key_length = strlen(key);
    if (length < VALUE_LENGTH_MIN || length > VALUE_LENGTH_MAX ||
        memcmp(text, key, key_length) != 0 || text[key_length] != '/')
        return false;
    const char *begin = text + key_length + 1;
    const char *end = memchr(begin, '/', length - key_length - 1);
    if (end == NULL || end - begin >= VALUE_ID_MAX)
        return false;
    memcpy(id, begin, (size_t)(end - begin));
    id[end - begin] = '\0';
    char expected[VALUE_LENGTH_MAX];
    return value_make(key, id, length, expected) == length && memcmp(expected, value, length) == 0;
}
