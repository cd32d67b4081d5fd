/* Reading the first numbers of a packed cairn.Entry, without making one. */
#include "server/entry_peek.h"

#include <string.h>

#include "base/error.h"
#include "proto/limits.h"
#include "server/wire.h"

/* Numbers of the fields in cairn.Entry (durable.proto). */
enum { FIELD_PARTITION = 1, FIELD_HISTORY = 2, FIELD_EPOCH = 3, FIELD_INDEX = 4 };

static bool take_field(struct wire *wire, struct entry_head *head)
{
    struct wire_field field;

    if (!wire_take(wire, &field))
        return false;
    if (field.number >= FIELD_PARTITION && field.number <= FIELD_INDEX && field.type != WIRE_VARINT)
        return false;
    if (field.number == FIELD_PARTITION)
        head->partition = (uint32_t)field.value;
    else if (field.number == FIELD_HISTORY)
        head->history = field.value;
    else if (field.number == FIELD_EPOCH)
        head->epoch = field.value;
    else if (field.number == FIELD_INDEX)
        head->index = field.value;
    return true;
}

int entry_peek(const uint8_t *bytes, uint32_t length, struct entry_head *head)
{
    struct wire rest = {.next = bytes, .end = bytes + length};

    memset(head, 0, sizeof *head);
    while (rest.next < rest.end)
        if (!take_field(&rest, head))
            return CAIRN_ECORRUPT;
    if (head->index == 0 || head->partition >= CAIRN_PARTITIONS_LIMIT)
        return CAIRN_ECORRUPT;
    return CAIRN_OK;
}
