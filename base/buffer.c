/* See buffer.h. */
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
    size_t capacity = buffer->capacity > 0 ? buffer->capacity : CAPACITY_FIRST;
    size_t needed;
    uint8_t *data;

    if (more > buffer->limit - buffer->length)
        return CAIRN_ETOOBIG;
    needed = buffer->length + more;
    if (needed <= buffer->capacity)
        return CAIRN_OK;
    while (capacity < needed)
        capacity = capacity > SIZE_MAX / 2 ? needed : capacity * 2;
    if (capacity > buffer->limit)
        capacity = buffer->limit;
    data = realloc(buffer->data, capacity);
    if (data == NULL)
        return CAIRN_ENOMEM;
    buffer->data = data;
    buffer->capacity = capacity;
    return CAIRN_OK;
}

int buffer_append(struct buffer *buffer, const void *data, size_t length)
{
    int status = buffer_reserve(buffer, length);

    if (status != CAIRN_OK || length == 0)
        return status;
    memcpy(buffer->data + buffer->length, data, length);
    buffer->length += length;
    return CAIRN_OK;
}

void buffer_consume(struct buffer *buffer, size_t length)
{
    CHECK(length <= buffer->length);
    if (length == 0)
        return;
    buffer->length -= length;
    memmove(buffer->data, buffer->data + length, buffer->length);
}

void buffer_clear(struct buffer *buffer)
{
    buffer->length = 0;
}
