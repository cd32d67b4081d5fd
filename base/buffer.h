/* A growable byte buffer with a limit. */
#ifndef CAIRN_BASE_BUFFER_H
#define CAIRN_BASE_BUFFER_H

#include <stddef.h>
#include <stdint.h>

/* Owned by whoever initialised it; not thread-safe. `data` is aligned as malloc aligns and moves
 * when the buffer grows. */
struct buffer {
    uint8_t *data;
    size_t length;
    size_t capacity;
    size_t limit; /* length never exceeds it */
};

void buffer_init(struct buffer *buffer, size_t limit);
void buffer_free(struct buffer *buffer);
/* Makes room for `more` bytes behind length. 0, CAIRN_ETOOBIG past the limit, or CAIRN_ENOMEM. */
int buffer_reserve(struct buffer *buffer, size_t more);
int buffer_append(struct buffer *buffer, const void *data, size_t length);
/* Drops `length` bytes from the front, moving the rest down. */
void buffer_consume(struct buffer *buffer, size_t length);
/* Length 0; keeps the memory. */
void buffer_clear(struct buffer *buffer);

#endif
