/* Reading the first numbers of a packed cairn.Entry: each field is a key (its number and wire type)
 * and a value; all but the command are varints (protobuf.dev, "Encoding"). */
#include "server/entry_peek.h"

#include <stdbool.h>
#include <string.h>

#include "base/error.h"
#include "proto/limits.h"

enum { WIRE_VARINT = 0, WIRE_64_BITS = 1, WIRE_BYTES = 2, WIRE_32_BITS = 5 };

/* Numbers of the fields in cairn.Entry (durable.proto). */
enum { FIELD_PARTITION = 1, FIELD_HISTORY = 2, FIELD_EPOCH = 3, FIELD_INDEX = 4 };

struct bytes {
    const uint8_t *next, *end;
};

static bool take_varint(struct bytes *bytes, uint64_t *value)
{
    *value = 0;
    for (unsigned shift = 0; shift < 64 && bytes->next < bytes->end; shift += 7) {
        uint8_t byte = *bytes->next++;

        *value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            return true;
    }
    return false;
}

static bool skip(struct bytes *bytes, uint64_t length)
{
    if (length > (uint64_t)(bytes->end - bytes->next))
        return false;
    bytes->next += length;
    return true;
}

/* The value of a field; `*value` is a varint's or the length. */
static bool take_value(struct bytes *bytes, unsigned wire, uint64_t *value)
{
    *value = 0;
    switch (wire) {
    case WIRE_VARINT:
        return take_varint(bytes, value);
    case WIRE_64_BITS:
        return skip(bytes, sizeof(uint64_t));
    case WIRE_32_BITS:
        return skip(bytes, sizeof(uint32_t));
    case WIRE_BYTES:
        return take_varint(bytes, value) && skip(bytes, *value);
    default:
        return false;
    }
}

static bool take_field(struct bytes *bytes, struct entry_head *head)
{
    uint64_t key, value;

    if (!take_varint(bytes, &key) || !take_value(bytes, (unsigned)(key & 7), &value))
        return false;
    if ((key >> 3) >= FIELD_PARTITION && (key >> 3) <= FIELD_INDEX && (key & 7) != WIRE_VARINT)
        return false;
    if (key >> 3 == FIELD_PARTITION)
        head->partition = (uint32_t)value;
    else if (key >> 3 == FIELD_HISTORY)
        head->history = value;
    else if (key >> 3 == FIELD_EPOCH)
        head->epoch = value;
    else if (key >> 3 == FIELD_INDEX)
        head->index = value;
    return true;
}

int entry_peek(const uint8_t *bytes, uint32_t length, struct entry_head *head)
{
    struct bytes rest = {.next = bytes, .end = bytes + length};

    memset(head, 0, sizeof *head);
    while (rest.next < rest.end)
        if (!take_field(&rest, head))
            return CAIRN_ECORRUPT;
    if (head->index == 0 || head->partition >= CAIRN_PARTITIONS_LIMIT)
        return CAIRN_ECORRUPT;
    return CAIRN_OK;
}
