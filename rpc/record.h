/* Record marking on a byte stream (RFC 5531 section 11): bytes in, whole records out. */
#ifndef CAIRN_RPC_RECORD_H
#define CAIRN_RPC_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"

enum {
    RECORD_MARK_SIZE = 4,
    RECORD_EMPTY_FRAGMENTS = 16,    /* of one record; a peer that sends more is not worth it */
    RECORD_DIRECT_SIZE = 16 << 10,  /* a fragment missing more is read straight into its place */
    RECORD_KEEP_CAPACITY = 64 << 10 /* what is kept between records */
};

struct record {
    const uint8_t *data; /* aligned to 4 */
    uint32_t length;     /* more than 0 */
};

/* Bytes that arrived and were not consumed yet. */
struct record_input {
    const uint8_t *data;
    size_t length;
};

struct record_reader {
    struct buffer assembled; /* payload of a record that did not arrive in one piece */
    uint32_t limit;
    uint32_t fragment_left; /* payload bytes of the current fragment still to come */
    uint32_t empty_fragments;
    uint8_t mark[RECORD_MARK_SIZE];
    uint8_t mark_length; /* of a mark that arrived in parts */
    bool in_fragment;
    bool last_fragment;
    bool started;   /* some but not all bytes of a record have arrived */
    bool delivered; /* `assembled` holds the record returned last */
};

void record_reader_init(struct record_reader *reader, uint32_t limit);
void record_reader_free(struct record_reader *reader);

/* Consumes input until a record is whole. 1: `*record` points into the input if the record lies
 * there whole and aligned, else into the reader; valid until the next call. 0: all input is
 * consumed, more is needed. CAIRN_ETOOBIG past the limit, CAIRN_EPROTO for an empty record or too
 * many empty fragments, CAIRN_ENOMEM; then the stream cannot be read further. */
int record_next(struct record_reader *reader, struct record_input *input, struct record *record);

/* Where the next bytes of a large fragment belong, so that they need not be copied there, and how
 * many fit; NULL when they should be read elsewhere. The room grows with what has arrived, never
 * with what the peer merely claims. */
uint8_t *record_space(struct record_reader *reader, size_t *room);
/* Tells that `length` bytes (at most the room) were put there; record_next goes on from there. */
void record_filled(struct record_reader *reader, size_t length);

/* Frees memory that is kept for speed only; the record returned last is gone. */
void record_reader_trim(struct record_reader *reader);

/* Memory held, for accounting. */
static inline size_t record_reader_memory(const struct record_reader *reader)
{
    return reader->assembled.capacity;
}

/* Bytes of a record that is not whole yet. */
static inline size_t record_reader_holds(const struct record_reader *reader)
{
    return reader->delivered ? 0 : reader->assembled.length;
}

/* Writes the mark of a record sent as a single fragment. */
static inline void record_mark_put(uint8_t mark[RECORD_MARK_SIZE], uint32_t length)
{
    mark[0] = (uint8_t)(0x80U | (length >> 24));
    mark[1] = (uint8_t)(length >> 16);
    mark[2] = (uint8_t)(length >> 8);
    mark[3] = (uint8_t)length;
}

static inline uint32_t record_word(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 |
           (uint32_t)bytes[3];
}

#endif
