/* The wire format of Protocol Buffers (protobuf.dev, "Encoding"), by hand, for log entries alone:
 * each PUT packs one and unpacks one, and protobuf-c took a fifth of a server's instructions for
 * that (report/performance.md). What is packed is byte for byte what protobuf-c packs. */
#ifndef CAIRN_SERVER_WIRE_H
#define CAIRN_SERVER_WIRE_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum wire_type { WIRE_VARINT = 0, WIRE_64_BITS = 1, WIRE_BYTES = 2, WIRE_32_BITS = 5 };

/* --- writing: a field that holds 0 or nothing is left out (proto3) ------------------------------
 */

/* Field numbers are below 16: a key is one byte. */
static inline uint8_t wire_key(unsigned field, enum wire_type type)
{
    return (uint8_t)(field << 3 | type);
}

/* Seven bits a byte; 0 takes one, too. */
static inline uint32_t wire_varint_size(uint64_t value)
{
    const unsigned highest = 63 - (unsigned)__builtin_clzll(value | 1);

    return highest / 7 + 1;
}

static inline uint8_t *wire_put_varint(uint8_t *to, uint64_t value)
{
    while (value >= 0x80) {
        *to++ = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    *to++ = (uint8_t)value;
    return to;
}

static inline uint32_t wire_number_size(uint64_t value)
{
    return value == 0 ? 0 : 1 + wire_varint_size(value);
}

static inline uint8_t *wire_put_number(uint8_t *to, unsigned field, uint64_t value)
{
    if (value == 0)
        return to;
    *to++ = wire_key(field, WIRE_VARINT);
    return wire_put_varint(to, value);
}

static inline uint32_t wire_fixed_size(uint64_t value)
{
    return value == 0 ? 0 : 1 + sizeof value;
}

static inline uint8_t *wire_put_fixed(uint8_t *to, unsigned field, uint64_t value)
{
    if (value == 0)
        return to;
    *to++ = wire_key(field, WIRE_64_BITS);
    for (unsigned shift = 0; shift < 64; shift += 8)
        *to++ = (uint8_t)(value >> shift);
    return to;
}

static inline uint32_t wire_bytes_size(uint32_t length)
{
    return length == 0 ? 0 : 1 + wire_varint_size(length) + length;
}

static inline uint8_t *wire_put_bytes(uint8_t *to, unsigned field, const uint8_t *bytes,
                                      uint32_t length)
{
    if (length == 0)
        return to;
    *to++ = wire_key(field, WIRE_BYTES);
    to = wire_put_varint(to, length);
    memcpy(to, bytes, length);
    return to + length;
}

/* --- reading ------------------------------------------------------------------------------------
 */

/* What is left of a message. */
struct wire {
    const uint8_t *next, *end;
};

struct wire_field {
    uint64_t number; /* of the field */
    enum wire_type type;
    uint64_t value;       /* a number, or how many `bytes` */
    const uint8_t *bytes; /* WIRE_BYTES: within the message */
};

static inline bool wire_take_varint(struct wire *wire, uint64_t *value)
{
    *value = 0;
    for (unsigned shift = 0; shift < 64 && wire->next < wire->end; shift += 7) {
        const uint8_t byte = *wire->next++;

        *value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            return true;
    }
    return false;
}

/* `size` bytes, little endian. */
static inline bool wire_take_fixed(struct wire *wire, unsigned size, uint64_t *value)
{
    *value = 0;
    if (size > (size_t)(wire->end - wire->next))
        return false;
    for (unsigned i = 0; i < size; i++)
        *value |= (uint64_t)wire->next[i] << 8 * i;
    wire->next += size;
    return true;
}

static inline bool wire_take_value(struct wire *wire, struct wire_field *field)
{
    switch (field->type) {
    case WIRE_VARINT:
        return wire_take_varint(wire, &field->value);
    case WIRE_64_BITS:
        return wire_take_fixed(wire, sizeof(uint64_t), &field->value);
    case WIRE_32_BITS:
        return wire_take_fixed(wire, sizeof(uint32_t), &field->value);
    case WIRE_BYTES:
        if (!wire_take_varint(wire, &field->value) ||
            field->value > (size_t)(wire->end - wire->next))
            return false;
        field->bytes = wire->next;
        wire->next += field->value;
        return true;
    }
    return false; /* groups are gone from the format */
}

/* The next field, whatever its number; false: what is left is none. */
static inline bool wire_take(struct wire *wire, struct wire_field *field)
{
    uint64_t key;

    field->bytes = NULL;
    if (!wire_take_varint(wire, &key) || key < 8 || key > UINT32_MAX)
        return false; /* fields are numbered from 1 up to 29 bits */
    field->number = key >> 3;
    field->type = (enum wire_type)(key & 7);
    return wire_take_value(wire, field);
}

#endif
