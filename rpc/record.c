/* Reassembles RPC records from a byte stream: in place where possible, bounded always.
 *
 * The usual record arrives whole in one read and is one fragment: it is handed out where it lies.
 * Anything else (split across reads, several fragments, misaligned) is gathered in `assembled`. */
#include "rpc/record.h"

#include <string.h>

#include "base/check.h"
#include "base/error.h"

static const uint32_t LAST_FRAGMENT = 0x80000000U;

void record_reader_init(struct record_reader *reader, uint32_t limit)
{
    memset(reader, 0, sizeof *reader);
    reader->limit = limit;
    buffer_init(&reader->assembled, limit);
}

void record_reader_free(struct record_reader *reader)
{
    buffer_free(&reader->assembled);
}

/* Drops the record returned last; the memory of a large one does not stay with the connection. */
static void forget_delivered(struct record_reader *reader)
{
    reader->delivered = false;
    if (reader->assembled.capacity > RECORD_KEEP_CAPACITY) {
        buffer_free(&reader->assembled);
        buffer_init(&reader->assembled, reader->limit);
    } else {
        buffer_clear(&reader->assembled);
    }
}

void record_reader_trim(struct record_reader *reader)
{
    if (reader->delivered || reader->assembled.length == 0) {
        reader->delivered = false;
        buffer_free(&reader->assembled);
        buffer_init(&reader->assembled, reader->limit);
    }
}

/* The usual case: a single fragment that lies whole and aligned in the input. */
static bool take_in_place(const struct record_reader *reader, struct record_input *input,
                          struct record *record)
{
    if (input->length < RECORD_MARK_SIZE) {
        return false;
    }
    uint32_t mark = record_word(input->data);
    uint32_t length = mark & ~LAST_FRAGMENT;
    const uint8_t *data = input->data + RECORD_MARK_SIZE;
    if (!(mark & LAST_FRAGMENT) || length == 0 || length > reader->limit ||
        length > input->length - RECORD_MARK_SIZE || (uintptr_t)data % 4 != 0) {
        return false;
    }
    *record = (struct record){data, length};
    input->data = data + length;
    input->length -= RECORD_MARK_SIZE + length;
    return true;
}

/* Gathers the four bytes of a mark and begins the fragment. 1 begun, 0 needs more, or an error. */
static int take_mark(struct record_reader *reader, struct record_input *input)
{
    while (reader->mark_length < RECORD_MARK_SIZE) {
        if (input->length == 0) {
            return 0;
        }
        reader->mark[reader->mark_length++] = *input->data++;
        input->length--;
        reader->started = true;
    }
    uint32_t mark = record_word(reader->mark);
    uint32_t length = mark & ~LAST_FRAGMENT;
    reader->mark_length = 0;
    reader->last_fragment = (mark & LAST_FRAGMENT) != 0;
    CHECK(reader->assembled.length <= reader->limit);
    if (length > reader->limit - reader->assembled.length) {
        return CAIRN_ETOOBIG;
    }
    if (length == 0 && !reader->last_fragment &&
        ++reader->empty_fragments > RECORD_EMPTY_FRAGMENTS) {
        return CAIRN_EPROTO;
    }
    reader->fragment_left = length;
    reader->in_fragment = true;
    return 1;
}

/* Moves what the input has of the current fragment. 1 complete, 0 needs more, or an error. */
static int take_fragment(struct record_reader *reader, struct record_input *input)
{
    size_t take = reader->fragment_left < input->length ? reader->fragment_left : input->length;
    if (take > 0) {
        int rc = buffer_append(&reader->assembled, input->data, take);
        if (rc != 0) {
            return rc;
        }
        input->data += take;
        input->length -= take;
        reader->fragment_left -= (uint32_t)take;
    }
    if (reader->fragment_left > 0) {
        return 0;
    }
    reader->in_fragment = false;
    return 1;
}

int record_next(struct record_reader *reader, struct record_input *input, struct record *record)
{
    if (reader->delivered) {
        forget_delivered(reader);
    }
    if (!reader->started && take_in_place(reader, input, record)) {
        return 1;
    }
    do {
        int rc = reader->in_fragment ? 1 : take_mark(reader, input);
        if (rc == 1) {
            rc = take_fragment(reader, input);
        }
        if (rc != 1) {
            return rc;
        }
    } while (!reader->last_fragment);
    if (reader->assembled.length == 0) {
        return CAIRN_EPROTO;
    }
    reader->started = false;
    reader->delivered = true;
    reader->empty_fragments = 0;
    *record = (struct record){reader->assembled.data, (uint32_t)reader->assembled.length};
    return 1;
}

uint8_t *record_space(struct record_reader *reader, size_t *room)
{
    *room = 0;
    if (!reader->in_fragment || reader->delivered || reader->fragment_left < RECORD_DIRECT_SIZE) {
        return NULL;
    }
    size_t more = reader->assembled.length;
    if (more < RECORD_KEEP_CAPACITY) {
        more = RECORD_KEEP_CAPACITY;
    }
    if (more > reader->fragment_left) {
        more = reader->fragment_left;
    }
    if (buffer_reserve(&reader->assembled, more) != 0) {
        return NULL; /* record_next meets the same lack and reports it */
    }
    *room = more;
    return reader->assembled.data + reader->assembled.length;
}

void record_filled(struct record_reader *reader, size_t length)
{
    CHECK(reader->in_fragment && length <= reader->fragment_left);
    CHECK(length <= reader->assembled.capacity - reader->assembled.length);
    reader->assembled.length += length;
    reader->fragment_left -= (uint32_t)length;
}
