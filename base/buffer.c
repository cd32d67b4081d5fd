/* A growable byte buffer with a limit. */
#include "base/buffer.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/error.h"

enum { CAPACITY_FIRST = 256 };

void buffer_init(struct buffer *buffer, size_t limit)
{
    *buffer = (struct buffer){.limit = limit};
}

void buffer_free(struct buffer *buffer)
{
    free(buffer->data);
    *buffer = (struct buffer){.limit = buffer->limit};
}

int buffer_reserve(struct buffer *buffer, size_t more)
{
    size_t needed, capacity;
    uint8_t *data;

    CHECK(buffer->length <= buffer->limit && buffer->length <= buffer->capacity);
    if (more > buffer->limit - buffer->length)
        return CAIRN_ETOOBIG;
    needed = buffer->length + more;
    if (needed <= buffer->capacity)
        return 0;
    /* Doubling keeps the cost of a byte constant; never more than the limit is held. */
    capacity = buffer->capacity > SIZE_MAX / 2 ? SIZE_MAX : buffer->capacity * 2;
    if (capacity < CAPACITY_FIRST)
        capacity = CAPACITY_FIRST;
    if (capacity < needed)
        capacity = needed;
    if (capacity > buffer->limit)
        capacity = buffer->limit;
    data = realloc(buffer->data, capacity);
    if (data == NULL)
        return CAIRN_ENOMEM;
    buffer->data = data;
    buffer->capacity = capacity;
    return 0;
}

int buffer_append(struct buffer *buffer, const void *data, size_t length)
{
    const int status = buffer_reserve(buffer, length);

    if (status != 0)
        return status;
    if (length > 0)
        memcpy(buffer->data + buffer->length, data, length);
    buffer->length += length;
    return 0;
}

void buffer_consume(struct buffer *buffer, size_t length)
{
    CHECK(length <= buffer->length);
    buffer->length -= length;
    if (length > 0 && buffer->length > 0)
        memmove(buffer->data, buffer->data + length, buffer->length);
}

void buffer_clear(struct buffer *buffer)
{
    buffer->length = 0;
}
