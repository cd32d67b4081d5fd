/* XDR's numbers (RFC 4506, 4.1 to 4.5) taken straight from the stream's memory where it lets us,
 * else by libtirpc, which makes two calls through pointers of each half of a hyper. What rpcgen
 * makes is compiled with this in front: nothing else includes it. */
#ifndef CAIRN_PROTO_WORDS_H
#define CAIRN_PROTO_WORDS_H

#include <arpa/inet.h>
#include <rpc/rpc.h>
#include <stdint.h>

enum { WORD_BYTES = 4 };

static inline bool_t words_u32(XDR *xdrs, uint32_t *value)
{
    int32_t *at;

    if (xdrs->x_op == XDR_FREE)
        return TRUE;
    at = XDR_INLINE(xdrs, WORD_BYTES);
    if (at == NULL)
        return xdr_u_int(xdrs, value); /* the stream has none, or they are not aligned */
    if (xdrs->x_op == XDR_ENCODE)
        *at = (int32_t)htonl(*value);
    else
        *value = ntohl((uint32_t)*at);
    return TRUE;
}

static inline bool_t words_u64(XDR *xdrs, uint64_t *value)
{
    int32_t *at;

    if (xdrs->x_op == XDR_FREE)
        return TRUE;
    at = XDR_INLINE(xdrs, 2 * WORD_BYTES);
    if (at == NULL)
        return xdr_u_quad_t(xdrs, value);
    if (xdrs->x_op == XDR_ENCODE) {
        at[0] = (int32_t)htonl((uint32_t)(*value >> 32));
        at[1] = (int32_t)htonl((uint32_t)*value);
    } else {
        *value = (uint64_t)ntohl((uint32_t)at[0]) << 32 | ntohl((uint32_t)at[1]);
    }
    return TRUE;
}

/* An enum is a signed number, kept as one, whatever it says: its users check it. */
static inline bool_t words_enum(XDR *xdrs, enum_t *value)
{
    return words_u32(xdrs, (uint32_t *)value);
}

static inline bool_t words_bool(XDR *xdrs, bool_t *value)
{
    uint32_t word = *value != FALSE;

    if (!words_u32(xdrs, &word))
        return FALSE;
    if (xdrs->x_op == XDR_DECODE)
        *value = word != FALSE;
    return TRUE;
}

#define xdr_bool     words_bool
#define xdr_enum     words_enum
#define xdr_u_int    words_u32
#define xdr_u_quad_t words_u64

#endif
