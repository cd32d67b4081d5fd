/* What a packed entry is about, without unpacking it. */
#ifndef CAIRN_SERVER_ENTRY_PEEK_H
#define CAIRN_SERVER_ENTRY_PEEK_H

#include <stdint.h>

struct entry_head {
    uint32_t partition;
    uint64_t history, epoch, index;
};

/* 0 and the same numbers as entry_unpack, whenever that succeeds; CAIRN_ECORRUPT if the bytes
 * cannot be an entry. The command is skipped, not looked into. */
int entry_peek(const uint8_t *bytes, uint32_t length, struct entry_head *head);

#endif
