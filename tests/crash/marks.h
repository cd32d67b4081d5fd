/* What clients did and were told, key by key: which values a key may have after a power loss.
 *
 * A text file, one operation a line, those of a key in order (a key has one writer):
 *
 *   OPERATION KEY TAG LENGTH SUBMITTED ACKNOWLEDGED
 *
 * OPERATION: P (the value is TAG again and again, LENGTH bytes) or D (there is no value then; TAG
 * is -). SUBMITTED and ACKNOWLEDGED are the events before it was sent and when its answer had come;
 * 0: it never came. */
#ifndef CAIRN_TESTS_CRASH_MARKS_H
#define CAIRN_TESTS_CRASH_MARKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum { MARK_KEY_LIMIT = 64, MARK_TAG_LIMIT = 32 };

struct mark {
    bool present;
    char tag[MARK_TAG_LIMIT];
    uint32_t length;
    uint64_t submitted, acknowledged;
};

struct mark_key {
    char key[MARK_KEY_LIMIT];
    struct mark *marks;
    size_t count, capacity;
};

struct marks {
    struct mark_key *keys;
    size_t count, capacity;
};

/* CAIRN_EINVAL names the line; what failed needs no marks_free. */
int marks_open(struct marks *marks, const char *path, struct error *error);
void marks_free(struct marks *marks);
/* How many operations were acknowledged. */
size_t marks_acknowledged(const struct marks *marks);
/* Whether the key may have this value (NULL: none) after a power loss behind the event `number`:
 * that of its last acknowledged operation, or of one submitted later. */
bool marks_allow(const struct mark_key *key, uint64_t number, const uint8_t *value,
                 uint32_t length);
/* For people: what is allowed, with its end, cut to `limit`. */
void marks_describe(const struct mark_key *key, uint64_t number, char *text, size_t limit);
/* The key of that name, or NULL. */
const struct mark_key *marks_find(const struct marks *marks, const uint8_t *key, uint32_t length);

#endif
