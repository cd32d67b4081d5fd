/* Values that say what they are: their key, an identity, their length, and bytes that follow from
 * those, so that a reader notices a value that is torn, damaged, or another key's. */
#ifndef CAIRN_TESTS_CACHE_CLIENT_VALUE_H
#define CAIRN_TESTS_CACHE_CLIENT_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { VALUE_ID_MAX = 48, VALUE_LENGTH_MAX = 8192, VALUE_LENGTH_MIN = 96 };

/* Fills `out` (VALUE_LENGTH_MAX bytes) with `length` bytes, made longer if they would not hold the
 * head; returns how many they are. `id`: letters and digits, shorter than VALUE_ID_MAX. */
size_t value_make(const char *key, const char *id, size_t length, char *out);
/* Whether these are a value of the key, all of it; then its identity is in `id` (VALUE_ID_MAX). */
bool value_check(const char *key, const void *value, size_t length, char *id);

#endif
