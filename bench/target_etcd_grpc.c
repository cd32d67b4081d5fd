/* One call is one HTTP/2 stream: HEADERS and DATA leave in one packet, the answer's headers, data
 * and trailers are collected until the stream closes. What HTTP/2 itself has to say besides (window
 * updates, answers to PING and SETTINGS) leaves with the next call, or before the next wait. */
#include "bench/target_etcd_grpc.h"

#include <nghttp2/nghttp2.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "bench/target_etcd_link.h"

enum {
    PREFIX_BYTES = 5,         /* before a message: 0 (not compressed), its length, big-endian */
    MESSAGE_MAX = 1 << 28,    /* of either way */
    OUTPUT_MAX = 1 << 29,     /* a message in frames */
    RECEIVE_BYTES = 64 << 10, /* at a time */
    WINDOW_BYTES = 4 << 20,   /* so that no answer of usual size waits for a window update */
    HTTP_OK = 200,
    STATUS_NONE = -1,
};

/* The gRPC statuses that mean something to us. */
enum {
    STATUS_OK = 0,
    STATUS_INVALID_ARGUMENT = 3,
    STATUS_DEADLINE_EXCEEDED = 4,
    STATUS_RESOURCE_EXHAUSTED = 8,
    STATUS_UNAVAILABLE = 14,
};

/* The call under way. */
struct call {
    int32_t stream;
    size_t sent; /* of grpc->request */
    bool closed;
    uint32_t reset;        /* HTTP/2 error code that closed it; 0: it came to its end */
    int http, status;      /* STATUS_NONE: did not come */
    char message[256];     /* grpc-message */
    bool too_big, no_room; /* the answer; memory for it */
};

struct grpc {
    int link;
    bool broken; /* the connection can carry no further call */
    uint64_t timeout_ms;
    char address[ADDRESS_TEXT_MAX];
    nghttp2_session *http2;
    struct buffer request, answer; /* each with its prefix */
    struct buffer output;          /* frames on their way out */
    struct call call;
};

/* An error of the connection, after which it is of no use. `error` may be `cause`. */
static int break_off(struct grpc *grpc, int code, const char *cause, struct error *error)
{
    grpc->broken = true;
    return error_set(error, code, "etcd %s: %s", grpc->address, cause);
}

/* --- what nghttp2 asks and tells ----------------------------------------------------------------
 */

static ssize_t read_request(nghttp2_session *http2, int32_t stream, uint8_t *out, size_t size,
                            uint32_t *flags, nghttp2_data_source *source, void *context)
{
    struct grpc *grpc = context;
    size_t left = grpc->request.length - grpc->call.sent;
    (void)http2, (void)stream, (void)source;
    if (size >= left) {
        size = left;
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    }
    memcpy(out, grpc->request.data + grpc->call.sent, size);
    grpc->call.sent += size;
    return (ssize_t)size;
}

static bool is_named(const char *name, const uint8_t *given, size_t length)
{
    return length == strlen(name) && memcmp(given, name, length) == 0;
}

/* A small decimal number; STATUS_NONE if it is none. */
static int number_of(const uint8_t *text, size_t length)
{
    int number = 0;
    if (length == 0 || length > 4)
        return STATUS_NONE;
    for (size_t i = 0; i < length; i++) {
        if (text[i] < '0' || text[i] > '9')
            return STATUS_NONE;
        number = number * 10 + (text[i] - '0');
    }
    return number;
}

/* Of headers and trailers. */
static int on_header(nghttp2_session *http2, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_length, const uint8_t *value, size_t length, uint8_t flags,
                     void *context)
{
    struct call *call = &((struct grpc *)context)->call;
    (void)http2, (void)flags;
    if (frame->hd.stream_id != call->stream)
        return 0;
    if (is_named(":status", name, name_length))
        call->http = number_of(value, length);
    else if (is_named("grpc-status", name, name_length))
        call->status = number_of(value, length);
    else if (is_named("grpc-message", name, name_length))
        snprintf(call->message, sizeof(call->message), "%.*s", (int)length, (const char *)value);
    return 0;
}

static int on_data(nghttp2_session *http2, uint8_t flags, int32_t stream, const uint8_t *data,
                   size_t length, void *context)
{
    struct grpc *grpc = context;
    (void)http2, (void)flags;
    if (stream != grpc->call.stream)
        return 0;
    int status = buffer_append(&grpc->answer, data, length);
    grpc->call.too_big = status == CAIRN_ETOOBIG;
    grpc->call.no_room = status == CAIRN_ENOMEM;
    return status == 0 ? 0 : NGHTTP2_ERR_CALLBACK_FAILURE;
}

static int on_close(nghttp2_session *http2, int32_t stream, uint32_t code, void *context)
{
    struct call *call = &((struct grpc *)context)->call;
    (void)http2;
    if (stream == call->stream) {
        call->closed = true;
        call->reset = code;
    }
    return 0;
}

/* --- opening ------------------------------------------------------------------------------------
 */

static int make_session(struct grpc *grpc)
{
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, WINDOW_BYTES},
    };
    nghttp2_session_callbacks *callbacks;
    int failure = nghttp2_session_callbacks_new(&callbacks);
    if (failure != 0)
        return failure;
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
    failure = nghttp2_session_client_new(&grpc->http2, callbacks, grpc);
    nghttp2_session_callbacks_del(callbacks);
    if (failure == 0)
        failure = nghttp2_submit_settings(grpc->http2, NGHTTP2_FLAG_NONE, settings,
                                          sizeof(settings) / sizeof(settings[0]));
    if (failure == 0)
        failure =
            nghttp2_session_set_local_window_size(grpc->http2, NGHTTP2_FLAG_NONE, 0, WINDOW_BYTES);
    return failure;
}

int grpc_open(const struct address *address, uint64_t timeout_ms, struct grpc **grpc,
              struct error *error)
{
    *grpc = calloc(1, sizeof(**grpc));
    if (*grpc == NULL)
        return error_set(error, CAIRN_ENOMEM, "etcd: out of memory");
    struct grpc *made = *grpc;
    made->timeout_ms = timeout_ms;
    address_format(address, made->address);
    buffer_init(&made->request, MESSAGE_MAX);
    buffer_init(&made->answer, MESSAGE_MAX);
    buffer_init(&made->output, OUTPUT_MAX);
    int status = link_open(address, timeout_ms, &made->link, error);
    if (status == 0 && make_session(made) != 0)
        status = error_set(error, CAIRN_ENOMEM, "etcd: out of memory");
    if (status != 0) {
        grpc_close(made);
        *grpc = NULL;
    }
    return status;
}

void grpc_close(struct grpc *grpc)
{
    if (grpc == NULL)
        return;
    nghttp2_session_del(grpc->http2);
    if (grpc->link >= 0)
        close(grpc->link);
    buffer_free(&grpc->request);
    buffer_free(&grpc->answer);
    buffer_free(&grpc->output);
    free(grpc);
}

/* --- one call -----------------------------------------------------------------------------------
 */

static int pack_request(struct grpc *grpc, const ProtobufCMessage *message, struct error *error)
{
    size_t length = protobuf_c_message_get_packed_size(message);
    const uint8_t prefix[PREFIX_BYTES] = {0, (uint8_t)(length >> 24), (uint8_t)(length >> 16),
                                          (uint8_t)(length >> 8), (uint8_t)length};
    buffer_clear(&grpc->request);
    buffer_clear(&grpc->answer);
    int status = length <= MESSAGE_MAX ? buffer_reserve(&grpc->request, PREFIX_BYTES + length)
                                       : CAIRN_ETOOBIG;
    if (status != 0)
        return error_set(error, status, "etcd: a request: %s", error_text(status));
    memcpy(grpc->request.data, prefix, PREFIX_BYTES);
    protobuf_c_message_pack(message, grpc->request.data + PREFIX_BYTES);
    grpc->request.length = PREFIX_BYTES + length;
    return 0;
}

static nghttp2_nv header(const char *name, const char *value)
{
    /* nghttp2 takes both without const and leaves them alone. */
    return (nghttp2_nv){
        .name = (uint8_t *)(uintptr_t)name,
        .value = (uint8_t *)(uintptr_t)value,
        .namelen = strlen(name),
        .valuelen = strlen(value),
        .flags = NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE,
    };
}

static int submit(struct grpc *grpc, const char *path, struct error *error)
{
    const nghttp2_nv headers[] = {
        header(":method", "POST"),
        header(":scheme", "http"),
        header(":path", path),
        header(":authority", grpc->address),
        header("content-type", "application/grpc"),
        header("te", "trailers"),
    };
    const nghttp2_data_provider body = {.read_callback = read_request};
    int32_t stream = nghttp2_submit_request(grpc->http2, NULL, headers,
                                            sizeof(headers) / sizeof(headers[0]), &body, NULL);
    if (stream < 0)
        return break_off(grpc, stream == NGHTTP2_ERR_NOMEM ? CAIRN_ENOMEM : CAIRN_EPROTO,
                         nghttp2_strerror(stream), error);
    grpc->call = (struct call){.stream = stream, .http = STATUS_NONE, .status = STATUS_NONE};
    return 0;
}

/* Sends all frames that are due. */
static int flush(struct grpc *grpc, struct error *error)
{
    struct error cause = {0};
    buffer_clear(&grpc->output);
    for (;;) {
        const uint8_t *data;
        ssize_t length = nghttp2_session_mem_send(grpc->http2, &data);
        if (length == 0)
            break;
        if (length < 0)
            return break_off(grpc, CAIRN_EPROTO, nghttp2_strerror((int)length), error);
        int status = buffer_append(&grpc->output, data, (size_t)length);
        if (status != 0)
            return break_off(grpc, status, error_text(status), error);
    }
    if (grpc->output.length == 0)
        return 0;
    int status = link_send(grpc->link, grpc->output.data, grpc->output.length, &cause);
    return status == 0 ? 0 : break_off(grpc, status, cause.message, error);
}

static int receive(struct grpc *grpc, struct error *error)
{
    uint8_t data[RECEIVE_BYTES];
    size_t length;
    struct error cause = {0};
    int status = link_receive(grpc->link, data, sizeof(data), &length, &cause);
    if (status != 0)
        return break_off(grpc, status, cause.message, error);
    ssize_t taken = nghttp2_session_mem_recv(grpc->http2, data, length);
    if (taken >= 0)
        return 0;
    if (grpc->call.too_big)
        return break_off(grpc, CAIRN_ETOOBIG, "an answer is too big", error);
    if (grpc->call.no_room || taken == NGHTTP2_ERR_NOMEM)
        return break_off(grpc, CAIRN_ENOMEM, "out of memory", error);
    return break_off(grpc, CAIRN_EPROTO, nghttp2_strerror((int)taken), error);
}

/* Sends and receives until the call's stream is closed. */
static int converse(struct grpc *grpc, struct error *error)
{
    uint64_t deadline_ms = clock_now_ms() + grpc->timeout_ms;
    for (;;) {
        int status = flush(grpc, error);
        if (status == 0 && !nghttp2_session_want_read(grpc->http2))
            status = break_off(grpc, CAIRN_EUNAVAILABLE, "the connection was ended", error);
        if (status == 0)
            status = receive(grpc, error);
        if (status != 0 || grpc->call.closed)
            return status;
        /* A server that sends anything but the answer would keep us for ever. */
        if (clock_now_ms() >= deadline_ms)
            return break_off(grpc, CAIRN_ETIMEDOUT, "no answer in time", error);
    }
}

static int code_of(int status)
{
    switch (status) {
    case STATUS_INVALID_ARGUMENT:
        return CAIRN_EINVAL;
    case STATUS_DEADLINE_EXCEEDED:
        return CAIRN_ETIMEDOUT;
    case STATUS_RESOURCE_EXHAUSTED:
        return CAIRN_EFULL;
    case STATUS_UNAVAILABLE:
        return CAIRN_EUNAVAILABLE;
    default:
        return CAIRN_EPROTO;
    }
}

static int check_outcome(const struct grpc *grpc, struct error *error)
{
    const struct call *call = &grpc->call;
    if (call->status > STATUS_OK)
        return error_set(error, code_of(call->status), "etcd %s: %s (gRPC status %d)",
                         grpc->address, call->message, call->status);
    if (call->reset != NGHTTP2_NO_ERROR)
        return error_set(error, CAIRN_EUNAVAILABLE, "etcd %s: the call was ended: %s",
                         grpc->address, nghttp2_http2_strerror(call->reset));
    if (call->http != HTTP_OK)
        return error_set(error, CAIRN_EPROTO, "etcd %s: HTTP status %d", grpc->address, call->http);
    if (call->status == STATUS_NONE)
        return error_set(error, CAIRN_EPROTO, "etcd %s: an answer without a gRPC status",
                         grpc->address);
    return 0;
}

static int unpack_answer(const struct grpc *grpc, const ProtobufCMessageDescriptor *type,
                         ProtobufCMessage **answer, struct error *error)
{
    const uint8_t *data = grpc->answer.data;
    size_t length = grpc->answer.length;
    if (length >= PREFIX_BYTES && data[0] == 0 &&
        ((size_t)data[1] << 24 | (size_t)data[2] << 16 | (size_t)data[3] << 8 | data[4]) ==
            length - PREFIX_BYTES)
        *answer = protobuf_c_message_unpack(type, NULL, length - PREFIX_BYTES, data + PREFIX_BYTES);
    return *answer != NULL ? 0
                           : error_set(error, CAIRN_EPROTO, "etcd %s: an answer that is no %s",
                                       grpc->address, type->short_name);
}

int grpc_call(struct grpc *grpc, const char *path, const ProtobufCMessage *request,
              const ProtobufCMessageDescriptor *type, ProtobufCMessage **answer,
              struct error *error)
{
    *answer = NULL;
    if (grpc->broken)
        return break_off(grpc, CAIRN_EUNAVAILABLE, "the connection failed before", error);
    int status = pack_request(grpc, request, error);
    if (status == 0)
        status = submit(grpc, path, error);
    if (status == 0)
        status = converse(grpc, error);
    if (status == 0)
        status = check_outcome(grpc, error);
    return status == 0 ? unpack_answer(grpc, type, answer, error) : status;
}
