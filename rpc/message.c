/* Encodes and decodes RPC messages with libtirpc's xdr_callmsg and xdr_replymsg on xdrmem. */
#include "rpc/message.h"

#include <string.h>

#include "base/check.h"
#include "base/error.h"

static bool_t xdr_nothing(XDR *xdrs, ...)
{
    (void)xdrs;
    return TRUE;
}

static const struct rpc_procedure null_procedure = {
    .name = "NULL", .xdr_args = xdr_nothing, .xdr_result = xdr_nothing};

const struct rpc_procedure *message_procedure(const struct rpc_program *program, uint32_t number)
{
    if (number == 0) {
        return &null_procedure;
    }
    if (number >= program->procedure_count || program->procedures[number].name == NULL) {
        return NULL;
    }
    return &program->procedures[number];
}

/* --- decoding calls -------------------------------------------------------- */

enum message_kind message_call_decode(const struct record *record, struct message_call *message)
{
    /* xdr_callmsg refuses other versions of RPC without saying so: look first. */
    if (record->length < 12 || record_word(record->data + 4) != CALL) {
        return MESSAGE_GARBAGE;
    }
    message->xid = record_word(record->data);
    if (record_word(record->data + 8) != RPC_MSG_VERSION) {
        return MESSAGE_RPC_VERSION;
    }
    /* With the bodies' memory preset nothing is allocated for them. */
    char bodies[2][MAX_AUTH_BYTES];
    struct rpc_msg header;
    header.rm_call.cb_cred.oa_base = bodies[0];
    header.rm_call.cb_verf.oa_base = bodies[1];
    xdrmem_create(&message->arguments, (char *)(uintptr_t)record->data, record->length, XDR_DECODE);
    if (!xdr_callmsg(&message->arguments, &header)) {
        return MESSAGE_GARBAGE;
    }
    message->program = (uint32_t)header.rm_call.cb_prog;
    message->version = (uint32_t)header.rm_call.cb_vers;
    message->procedure = (uint32_t)header.rm_call.cb_proc;
    return MESSAGE_CALL;
}

/* --- encoding -------------------------------------------------------------- */

enum { FIRST_ROOM = 1024 };

struct encoding {
    struct rpc_msg *header;
    bool_t (*xdr_header)(XDR *xdrs, struct rpc_msg *header);
    xdrproc_t xdr_body; /* behind the header */
    void *body;
};

/* Encodes into the buffer's free room; the record's length, or 0 if it does not fit. */
static uint32_t encode_in_room(struct buffer *buffer, uint32_t limit, const struct encoding *what)
{
    size_t room = buffer->capacity - buffer->length - RECORD_MARK_SIZE;
    uint32_t size = room < limit ? (uint32_t)room : limit;
    uint8_t *at = buffer->data + buffer->length;
    XDR xdrs;
    xdrmem_create(&xdrs, (char *)at + RECORD_MARK_SIZE, size, XDR_ENCODE);
    if (!what->xdr_header(&xdrs, what->header) || !what->xdr_body(&xdrs, what->body)) {
        return 0;
    }
    uint32_t length = XDR_GETPOS(&xdrs);
    record_mark_put(at, length);
    buffer->length += RECORD_MARK_SIZE + length;
    return length;
}

static int reserve(struct buffer *buffer, size_t more)
{
    if (buffer->capacity - buffer->length >= more) {
        return 0;
    }
    int rc = buffer_reserve(buffer, more);
    return rc == CAIRN_ETOOBIG ? CAIRN_EFULL : rc;
}

static int append_record(struct buffer *buffer, uint32_t limit, const struct encoding *what)
{
    int rc = reserve(buffer, FIRST_ROOM);
    if (rc != 0) {
        return rc;
    }
    if (encode_in_room(buffer, limit, what) > 0) {
        return 0;
    }
    /* Too little room, or a value that cannot be encoded at all: measure it. */
    u_long body = xdr_sizeof(what->xdr_body, what->body);
    u_long header = xdr_sizeof((xdrproc_t)(void (*)(void))what->xdr_header, what->header);
    if (body == 0 || body > limit || header + body > limit) {
        return CAIRN_ETOOBIG;
    }
    rc = reserve(buffer, RECORD_MARK_SIZE + header + body);
    if (rc != 0) {
        return rc;
    }
    return encode_in_room(buffer, limit, what) > 0 ? 0 : CAIRN_ETOOBIG;
}

int message_call_encode(struct buffer *buffer, uint32_t limit, uint32_t xid,
                        const struct rpc_program *program, uint32_t number, const void *args)
{
    const struct rpc_procedure *procedure = message_procedure(program, number);
    CHECK(procedure != NULL);
    struct rpc_msg header = {.rm_xid = xid, .rm_direction = CALL};
    header.rm_call.cb_rpcvers = RPC_MSG_VERSION;
    header.rm_call.cb_prog = program->number;
    header.rm_call.cb_vers = program->version;
    header.rm_call.cb_proc = number;
    struct encoding what = {&header, xdr_callmsg, procedure->xdr_args, (void *)(uintptr_t)args};
    return append_record(buffer, limit, &what);
}

/* --- replies --------------------------------------------------------------- */

int message_reply_encode(struct buffer *buffer, uint32_t limit, uint32_t xid, xdrproc_t xdr_result,
                         const void *result)
{
    struct rpc_msg header = {.rm_xid = xid, .rm_direction = REPLY};
    header.rm_reply.rp_stat = MSG_ACCEPTED;
    header.acpted_rply.ar_stat = SUCCESS;
    header.acpted_rply.ar_results.proc = xdr_nothing;
    struct encoding what = {&header, xdr_replymsg, xdr_result, (void *)(uintptr_t)result};
    return append_record(buffer, limit, &what);
}

int message_refusal_encode(struct buffer *buffer, uint32_t xid, enum accept_stat status,
                           uint32_t low, uint32_t high)
{
    CHECK(status != SUCCESS);
    struct rpc_msg header = {.rm_xid = xid, .rm_direction = REPLY};
    header.rm_reply.rp_stat = MSG_ACCEPTED;
    header.acpted_rply.ar_stat = status;
    header.acpted_rply.ar_vers.low = low;
    header.acpted_rply.ar_vers.high = high;
    struct encoding what = {&header, xdr_replymsg, xdr_nothing, NULL};
    return append_record(buffer, FIRST_ROOM, &what);
}

int message_denial_encode(struct buffer *buffer, uint32_t xid)
{
    struct rpc_msg header = {.rm_xid = xid, .rm_direction = REPLY};
    header.rm_reply.rp_stat = MSG_DENIED;
    header.rjcted_rply.rj_stat = RPC_MISMATCH;
    header.rjcted_rply.rj_vers.low = RPC_MSG_VERSION;
    header.rjcted_rply.rj_vers.high = RPC_MSG_VERSION;
    struct encoding what = {&header, xdr_replymsg, xdr_nothing, NULL};
    return append_record(buffer, FIRST_ROOM, &what);
}

int message_reply_xid(const struct record *record, uint32_t *xid)
{
    if (record->length < 12 || record_word(record->data + 4) != REPLY) {
        return CAIRN_EPROTO;
    }
    *xid = record_word(record->data);
    return 0;
}

static int refuse(int code, const char *text, const char **reason)
{
    *reason = text;
    return code;
}

int message_reply_decode(const struct record *record, xdrproc_t xdr_result, void *result,
                         const char **reason)
{
    char body[MAX_AUTH_BYTES];
    struct rpc_msg header;
    XDR xdrs;
    memset(&header, 0, sizeof header);
    header.acpted_rply.ar_verf.oa_base = body;
    header.acpted_rply.ar_results.where = result;
    header.acpted_rply.ar_results.proc = xdr_result;
    xdrmem_create(&xdrs, (char *)(uintptr_t)record->data, record->length, XDR_DECODE);
    if (!xdr_replymsg(&xdrs, &header)) {
        return refuse(CAIRN_EPROTO, "the reply is not valid", reason);
    }
    if (header.rm_reply.rp_stat != MSG_ACCEPTED) {
        return header.rjcted_rply.rj_stat == RPC_MISMATCH
                   ? refuse(CAIRN_EVERSION, "the server speaks another version of RPC", reason)
                   : refuse(CAIRN_EPROTO, "the server refused the credentials", reason);
    }
    switch (header.acpted_rply.ar_stat) {
    case SUCCESS:
        return 0;
    case PROG_UNAVAIL:
        return refuse(CAIRN_EPROTO, "the server does not serve this program", reason);
    case PROG_MISMATCH:
        return refuse(CAIRN_EVERSION, "the server speaks another version of the program", reason);
    case PROC_UNAVAIL:
        return refuse(CAIRN_EPROTO, "the server does not know this procedure", reason);
    case GARBAGE_ARGS:
        return refuse(CAIRN_EPROTO, "the server could not decode the arguments", reason);
    case SYSTEM_ERR:
        return refuse(CAIRN_EPROTO, "the server had an internal error", reason);
    }
    return refuse(CAIRN_EPROTO, "the reply has an unknown status", reason);
}
