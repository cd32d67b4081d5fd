/* XDR routines of the fields that decode into views of the record (RFC 4506, 4.10). */
#include "proto/views.h"

#include <string.h>

enum { XDR_UNIT = 4 };

/* `length` is at most a field's limit, so that rounding up cannot overflow. */
static uint32_t padded(uint32_t length)
{
    return (length + XDR_UNIT - 1) & ~(uint32_t)(XDR_UNIT - 1);
}

static bool_t encode(XDR *xdrs, const struct view *view, uint32_t limit)
{
    static const char zeros[XDR_UNIT];
    uint32_t length = view->length;

    if (length > limit || !xdr_u_int(xdrs, &length))
        return FALSE;
    if (length > 0 && !XDR_PUTBYTES(xdrs, (const char *)view->data, length))
        return FALSE;
    return padded(length) == length || XDR_PUTBYTES(xdrs, zeros, padded(length) - length);
}

/* Decoding works on xdrmem streams only, the only ones that Cairn decodes from: x_handy is what
 * remains of the record, and x_base its first byte. */
static bool_t decode(XDR *xdrs, struct view *view, uint32_t limit)
{
    uint32_t length, room;
    const void *at;
    u_int position;

    *view = (struct view){.data = (const uint8_t *)"", .length = 0};
    if (!xdr_u_int(xdrs, &length) || length > limit)
        return FALSE;
    room = padded(length);
    if (room > xdrs->x_handy)
        return FALSE;
    if (length == 0)
        return TRUE;
    at = XDR_INLINE(xdrs, room);
    if (at == NULL) {
        /* A record that does not lie at a multiple of four: step over the bytes by position. */
        position = XDR_GETPOS(xdrs);
        at = xdrs->x_base + position;
        if (!XDR_SETPOS(xdrs, position + room))
            return FALSE;
    }
    *view = (struct view){.data = at, .length = length};
    return TRUE;
}

static bool_t xdr_view(XDR *xdrs, struct view *view, uint32_t limit)
{
    switch (xdrs->x_op) {
    case XDR_ENCODE:
        return encode(xdrs, view, limit);
    case XDR_DECODE:
        return decode(xdrs, view, limit);
    case XDR_FREE:
        return TRUE; /* the bytes belong to the record */
    }
    return FALSE;
}

bool_t xdr_cairn_key(XDR *xdrs, cairn_key *view)
{
    return xdr_view(xdrs, view, CAIRN_KEY_LIMIT);
}

bool_t xdr_cairn_value(XDR *xdrs, cairn_value *view)
{
    return xdr_view(xdrs, view, CAIRN_VALUE_LIMIT);
}

bool_t xdr_cairn_message(XDR *xdrs, cairn_message *view)
{
    return xdr_view(xdrs, view, CAIRN_MESSAGE_LIMIT);
}

bool_t xdr_cairn_address(XDR *xdrs, cairn_address *view)
{
    return xdr_view(xdrs, view, CAIRN_ADDRESS_LIMIT);
}

bool_t xdr_cairn_map(XDR *xdrs, cairn_map *view)
{
    return xdr_view(xdrs, view, CAIRN_MAP_LIMIT);
}

bool_t xdr_cairn_packed(XDR *xdrs, cairn_packed *view)
{
    return xdr_view(xdrs, view, CAIRN_PACKED_LIMIT);
}

bool_t xdr_cairn_records(XDR *xdrs, cairn_records *view)
{
    return xdr_view(xdrs, view, CAIRN_RECORDS_LIMIT);
}

/* What a decoder finds behind the end of a message that lacks a tail. */
enum {
    TAIL_FIXED_BYTES = 64
}; /* what the longest tail has beside its arrays' and views' contents */

bool_t xdr_cairn_tail(XDR *xdrs, cairn_tail *tail)
{
    static uint64_t zeros[TAIL_FIXED_BYTES / sizeof(uint64_t)];

    if (xdrs->x_op != XDR_DECODE)
        return TRUE;
    tail->absent = xdrs->x_handy == 0;
    if (tail->absent) {
        /* As in decode() above: nothing but xdrmem is decoded from. */
        xdrs->x_private = (char *)zeros;
        xdrs->x_handy = sizeof zeros;
    }
    return TRUE;
}

struct view view_of_text(const char *text)
{
    const size_t length = strlen(text);

    /* No field is that long: the encoder refuses it by its limit. */
    return (struct view){
        .data = (const uint8_t *)text,
        .length = length > UINT32_MAX ? UINT32_MAX : (uint32_t)length,
    };
}
