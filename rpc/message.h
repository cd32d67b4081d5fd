/* RPC messages (RFC 5531 section 9) between records and structs, by libtirpc's codecs.
 *
 * What is encoded is appended to a buffer as a whole record with its mark. Nothing here allocates
 * except the buffer when it grows and generated XDR for arrays. */
#ifndef CAIRN_RPC_MESSAGE_H
#define CAIRN_RPC_MESSAGE_H

#include <rpc/rpc.h>
#include <stdint.h>

#include "base/buffer.h"
#include "proto/programs.h"
#include "rpc/record.h"

/* A procedure of a program, or NULL where there is none. Number 0 always exists. */
const struct rpc_procedure *message_procedure(const struct rpc_program *program, uint32_t number);

/* A call's header as it came, before anything is known about its program. */
struct message_call {
    uint32_t xid, program, version, procedure;
    XDR arguments; /* stands at the arguments; of the record that was decoded */
};

enum message_kind {
    MESSAGE_CALL,        /* a call whose header is valid */
    MESSAGE_RPC_VERSION, /* a call in another version of RPC itself; only the xid is known */
    MESSAGE_GARBAGE      /* nothing one could answer */
};

/* `message` is set as far as its kind says. Credentials and verifiers of any flavour up to 400
 * bytes are accepted and ignored: this is no authentication. */
enum message_kind message_call_decode(const struct record *record, struct message_call *message);

/* Appends a call. CAIRN_ETOOBIG if it exceeds `limit` or a field its own limit, CAIRN_EFULL if the
 * buffer's limit is reached, CAIRN_ENOMEM; then the buffer is as before. */
int message_call_encode(struct buffer *buffer, uint32_t limit, uint32_t xid,
                        const struct rpc_program *program, uint32_t number, const void *args);
/* The offset of the procedure number in a record of message_call_encode, its mark included. */
enum { MESSAGE_PROCEDURE_OFFSET = RECORD_MARK_SIZE + 20 };

/* Append replies: accepted with a result; accepted with a status other than SUCCESS (low and high
 * for PROG_MISMATCH only); denied because the version of RPC is not 2. Errors as above. */
int message_reply_encode(struct buffer *buffer, uint32_t limit, uint32_t xid, xdrproc_t xdr_result,
                         const void *result);
int message_refusal_encode(struct buffer *buffer, uint32_t xid, enum accept_stat status,
                           uint32_t low, uint32_t high);
int message_denial_encode(struct buffer *buffer, uint32_t xid);

/* The xid of a reply; CAIRN_EPROTO if the record is none. */
int message_reply_xid(const struct record *record, uint32_t *xid);
/* Decodes a reply into `result` (zeroed by the caller; freed with xdr_free by the caller, also
 * after failure). 0; CAIRN_EVERSION or CAIRN_EPROTO with a static text in `*reason`. */
int message_reply_decode(const struct record *record, xdrproc_t xdr_result, void *result,
                         const char **reason);

#endif
