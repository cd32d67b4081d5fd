/* Variable-length XDR fields as views into the record they came with.
 *
 * rpcgen's own `opaque x<N>` allocates what the peer claims. With CAIRN_VIEWS the .x files leave
 * these types to us: decoding checks the length against the field's limit and what the record
 * still holds, and points into the record, without a copy or an allocation; encoding copies once.
 * A decoded view lives as long as the record's bytes. xdr_free on a view does nothing. On the wire
 * both are the same (RFC 4506, 4.10 and 4.11). */
#ifndef CAIRN_PROTO_VIEWS_H
#define CAIRN_PROTO_VIEWS_H

#include <rpc/rpc.h>
#include <stdint.h>

#include "proto/limits.h"

struct view {
    const uint8_t *data;
    uint32_t length;
};

typedef struct view
    cairn_key; /* 0 to CAIRN_KEY_LIMIT bytes; emptiness is the handler's to refuse */
typedef struct view cairn_value;   /* 0 to CAIRN_VALUE_LIMIT */
typedef struct view cairn_message; /* text for a person, 0 to 512 bytes, not NUL-terminated */
typedef struct view cairn_address; /* HOST:PORT, 0 to 263 bytes, not NUL-terminated */
typedef struct view cairn_map;     /* a packed cairn.ClusterMap */
typedef struct view cairn_packed;  /* a packed cairn.Configuration */
typedef struct view cairn_records; /* log records as they lie in the WAL */

bool_t xdr_cairn_key(XDR *xdrs, cairn_key *view);
bool_t xdr_cairn_value(XDR *xdrs, cairn_value *view);
bool_t xdr_cairn_message(XDR *xdrs, cairn_message *view);
bool_t xdr_cairn_address(XDR *xdrs, cairn_address *view);
bool_t xdr_cairn_map(XDR *xdrs, cairn_map *view);
bool_t xdr_cairn_packed(XDR *xdrs, cairn_packed *view);
bool_t xdr_cairn_records(XDR *xdrs, cairn_records *view);

/* Nothing on the wire: stands in front of what a message has had since a later release. A message
 * of an older peer ends there; what follows is decoded as zeros then: false, 0, empty. Only for
 * structs that end their message. */
typedef struct tail {
    bool_t absent; /* after decoding: the peer sent nothing of what follows */
} cairn_tail;

bool_t xdr_cairn_tail(XDR *xdrs, cairn_tail *tail);

/* A view of a NUL-terminated text, which must outlive it. */
struct view view_of_text(const char *text);

#endif
