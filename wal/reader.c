/* Sequential reading of a segment through a window that slides forward. The window is small enough
 * to stay in the processor's cache between the copy out of the kernel and the checksum. */
#include "wal/reader.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

enum { WINDOW_BYTES = 512 << 10 };

int reader_open(struct reader *reader, const struct io *io, const char *path)
{
    reader_close(reader);
    reader->io = io;
    reader->start = 0;
    reader->length = 0;
    int rc = io->open(io->context, path, false, &reader->file);
    if (rc == 0)
        rc = io->size(io->context, reader->file, &reader->size);
    return rc;
}

void reader_close(struct reader *reader)
{
    if (reader->file)
        reader->io->close(reader->io->context, reader->file);
    reader->file = NULL;
}

void reader_forget(struct reader *reader)
{
    reader->length = 0;
}

void reader_free(struct reader *reader)
{
    reader_close(reader);
    free(reader->window);
    reader->window = NULL;
    reader->capacity = 0;
}

static int grow(struct reader *reader, size_t length)
{
    /* Hardly more than the file has. */
    size_t capacity =
        reader->size < WINDOW_BYTES ? (size_t)block_ceiling(reader->size + 1) : WINDOW_BYTES;
    if (capacity < reader->capacity)
        capacity = reader->capacity;
    while (capacity < length)
        capacity *= 2;
    if (capacity == reader->capacity)
        return 0;
    uint8_t *window = aligned_alloc(WAL_BLOCK_BYTES, capacity);
    if (!window)
        return -ENOMEM;
    if (reader->length > 0)
        memcpy(window, reader->window, reader->length);
    free(reader->window);
    reader->window = window;
    reader->capacity = capacity;
    return 0;
}

int reader_need(struct reader *reader, uint64_t offset, size_t length, const uint8_t **bytes)
{
    CHECK(offset <= reader->size && length <= reader->size - offset);
    if (offset >= reader->start && offset - reader->start <= reader->length &&
        length <= reader->length - (offset - reader->start)) {
        *bytes = reader->window + (offset - reader->start);
        return 0;
    }
    int rc = grow(reader, length);
    if (rc != 0)
        return rc;
    /* Keep what the window already has from `offset` on. */
    size_t kept = 0;
    if (offset >= reader->start && offset - reader->start < reader->length) {
        kept = reader->length - (size_t)(offset - reader->start);
        memmove(reader->window, reader->window + (offset - reader->start), kept);
    }
    uint64_t rest = reader->size - offset - kept;
    size_t wanted = rest < reader->capacity - kept ? (size_t)rest : reader->capacity - kept;
    size_t got;
    reader->start = offset;
    reader->length = kept;
    rc = reader->io->read(reader->io->context, reader->file, offset + kept, reader->window + kept,
                          wanted, &got);
    if (rc != 0)
        return rc;
    reader->length += got;
    *bytes = reader->window;
    return got == wanted ? 0 : -EIO; /* the file shrank meanwhile */
}

int reader_record(struct reader *reader, uint64_t offset, uint64_t segment_id,
                  enum record_result *result, struct record_header *header, const uint8_t **bytes)
{
    *result = RECORD_BAD;
    memset(header, 0, sizeof *header);
    if (offset + sizeof *header > reader->size)
        return 0;
    const uint8_t *record;
    int rc = reader_need(reader, offset, sizeof *header, &record);
    if (rc != 0)
        return rc;
    memcpy(header, record, sizeof *header);
    if (!record_plausible(header, segment_id, reader->size - offset))
        return 0;
    rc = reader_need(reader, offset, record_bytes(header->length), &record);
    if (rc == 0 && record_intact(record)) {
        *result = RECORD_GOOD;
        *bytes = record;
    }
    return rc;
}
