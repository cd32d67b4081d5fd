/* See views.h. */
#include "proto/views.h"

#include <string.h>

static uint32_t round_up(uint32_t length)
{
    return (length + 3u) & ~3u; /* RFC 4506: everything is a multiple of four bytes */
}

/* The next `rounded` bytes of the record, or NULL if it does not hold them. XDR_INLINE refuses
 * memory that is not aligned; bytes do not mind, so there the position is moved by hand. */
static const uint8_t *take(XDR *xdrs, uint32_t rounded)
{
    const void *inlined = XDR_INLINE(xdrs, rounded);
    const uint8_t *bytes;
    u_int position;

    if (inlined != NULL)
        return inlined;
    position = XDR_GETPOS(xdrs);
    bytes = (const uint8_t *)xdrs->x_base + position;
    if (rounded > xdrs->x_handy || !XDR_SETPOS(xdrs, position + rounded))
        return NULL;
    return bytes;
}

static bool_t decode(XDR *xdrs, struct view *view, uint32_t limit)
{
    uint32_t length;

    *view = (struct view){.data = NULL, .length = 0};
    if (!xdr_uint32_t(xdrs, &length) || length > limit)
        return FALSE;
    if (length == 0)
        return TRUE;
    view->data = take(xdrs, round_up(length));
    if (view->data == NULL)
        return FALSE;
    view->length = length;
    return TRUE;
}

static bool_t encode(XDR *xdrs, const struct view *view, uint32_t limit)
{
    uint32_t length = view->length;

    if (length > limit || !xdr_uint32_t(xdrs, &length))
        return FALSE;
    /* xdr_opaque only reads when it encodes. */
    return length == 0 || xdr_opaque(xdrs, (char *)(uintptr_t)view->data, length);
}

static bool_t code(XDR *xdrs, struct view *view, uint32_t limit)
{
    switch (xdrs->x_op) {
    case XDR_DECODE:
        return decode(xdrs, view, limit);
    case XDR_ENCODE:
        return encode(xdrs, view, limit);
    case XDR_FREE:
        return TRUE; /* a view owns nothing */
    }
    return FALSE;
}

bool_t xdr_cairn_key(XDR *xdrs, cairn_key *view)
{
    return code(xdrs, view, CAIRN_KEY_LIMIT);
}

bool_t xdr_cairn_value(XDR *xdrs, cairn_value *view)
{
    return code(xdrs, view, CAIRN_VALUE_LIMIT);
}

bool_t xdr_cairn_message(XDR *xdrs, cairn_message *view)
{
    return code(xdrs, view, CAIRN_MESSAGE_LIMIT);
}

bool_t xdr_cairn_address(XDR *xdrs, cairn_address *view)
{
    return code(xdrs, view, CAIRN_ADDRESS_LIMIT);
}

bool_t xdr_cairn_map(XDR *xdrs, cairn_map *view)
{
    return code(xdrs, view, CAIRN_MAP_LIMIT);
}

bool_t xdr_cairn_packed(XDR *xdrs, cairn_packed *view)
{
    return code(xdrs, view, CAIRN_PACKED_LIMIT);
}

bool_t xdr_cairn_records(XDR *xdrs, cairn_records *view)
{
    return code(xdrs, view, CAIRN_RECORDS_LIMIT);
}

struct view view_of_text(const char *text)
{
    return (struct view){.data = (const uint8_t *)text, .length = (uint32_t)strlen(text)};
}
