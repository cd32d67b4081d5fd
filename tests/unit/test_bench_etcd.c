/* etcd as a target: what it sends to a member, and what it makes of each answer that HTTP/2 and
 * gRPC allow. Against members of our own, of one connection each, which answer as told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <nghttp2/nghttp2.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buffer.h"
#include "bench/etcd.pb-c.h"
#include "bench/target.h"

enum {
    PREFIX_BYTES = 5,
    MESSAGE_LIMIT = 4 << 20,
    TEXT_SIZE = 128,
    LONG_MS = 30000,
    SHORT_MS = 200,
    PING_EVERY_MS = 20,
    PAIRS_OF_A_SCAN = 3,
};

/* How a member answers all calls but the first, which opening makes. */
enum manner {
    WELL,
    WITH_ERROR,        /* trailers alone, as gRPC does without a message */
    WITH_HTTP_ERROR,   /* 503, of a proxy */
    WITHOUT_STATUS,    /* no trailers */
    WITH_WRONG_LENGTH, /* before the message */
    COMPRESSED,        /* says the prefix */
    WITH_NO_MESSAGE,   /* no message at all */
    WITH_GARBAGE,      /* no protobuf */
    BY_RESET,          /* of the stream */
    BY_CLOSING,        /* the connection */
    NEVER,
    WITH_PINGS_ALONE,
};

struct member {
    int listener, link;
    char address[TEXT_SIZE];
    pthread_t thread;
    enum manner manner;
    nghttp2_session *http2;
    bool over;
    unsigned calls;
    char path[TEXT_SIZE], type[TEXT_SIZE], te[TEXT_SIZE]; /* of the last call */
    struct buffer request, answer;                        /* with prefixes */
    size_t sent;                                          /* of the answer */
    size_t value_bytes;                                   /* of what a Range finds */
};

/* --- the member ---------------------------------------------------------------------------------
 */

static nghttp2_nv header(const char *name, const char *value)
{
    return (nghttp2_nv){(uint8_t *)(uintptr_t)name, (uint8_t *)(uintptr_t)value, strlen(name),
                        strlen(value), NGHTTP2_NV_FLAG_NONE};
}

static void keep(char out[TEXT_SIZE], const uint8_t *value, size_t length)
{
    snprintf(out, TEXT_SIZE, "%.*s", (int)length, (const char *)value);
}

static int on_header(nghttp2_session *http2, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_length, const uint8_t *value, size_t length, uint8_t flags,
                     void *context)
{
    struct member *member = context;
    (void)http2, (void)frame, (void)flags;
    if (name_length == 5 && memcmp(name, ":path", 5) == 0)
        keep(member->path, value, length);
    else if (name_length == 12 && memcmp(name, "content-type", 12) == 0)
        keep(member->type, value, length);
    else if (name_length == 2 && memcmp(name, "te", 2) == 0)
        keep(member->te, value, length);
    return 0;
}

static int on_data(nghttp2_session *http2, uint8_t flags, int32_t stream, const uint8_t *data,
                   size_t length, void *context)
{
    (void)http2, (void)flags, (void)stream;
    return buffer_append(&((struct member *)context)->request, data, length);
}

static ssize_t read_answer(nghttp2_session *http2, int32_t stream, uint8_t *out, size_t size,
                           uint32_t *flags, nghttp2_data_source *source, void *context)
{
    struct member *member = context;
    size_t left = member->answer.length - member->sent;
    const nghttp2_nv trailer = header("grpc-status", "0");
    (void)source;
    if (size >= left) {
        size = left;
        *flags |= NGHTTP2_DATA_FLAG_EOF;
        if (member->manner != WITHOUT_STATUS || member->calls == 1) {
            *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
            nghttp2_submit_trailer(http2, stream, &trailer, 1);
        }
    }
    if (size > 0)
        memcpy(out, member->answer.data + member->sent, size);
    member->sent += size;
    return (ssize_t)size;
}

static void set_answer(struct member *member, const ProtobufCMessage *message)
{
    size_t length = protobuf_c_message_get_packed_size(message);
    const uint8_t prefix[PREFIX_BYTES] = {0, (uint8_t)(length >> 24), (uint8_t)(length >> 16),
                                          (uint8_t)(length >> 8), (uint8_t)length};
    buffer_clear(&member->answer);
    if (buffer_reserve(&member->answer, PREFIX_BYTES + length) != 0)
        abort();
    memcpy(member->answer.data, prefix, PREFIX_BYTES);
    protobuf_c_message_pack(message, member->answer.data + PREFIX_BYTES);
    member->answer.length = PREFIX_BYTES + length;
}

/* A member finds every key but "?" and "missing"; a scan finds three. */
static void answer_range(struct member *member)
{
    Etcdserverpb__RangeRequest *request = etcdserverpb__range_request__unpack(
        NULL, member->request.length - PREFIX_BYTES, member->request.data + PREFIX_BYTES);
    Etcdserverpb__RangeResponse answer = ETCDSERVERPB__RANGE_RESPONSE__INIT;
    Etcdserverpb__ResponseHeader head = ETCDSERVERPB__RESPONSE_HEADER__INIT;
    Etcdserverpb__KeyValue pair = ETCDSERVERPB__KEY_VALUE__INIT;
    Etcdserverpb__KeyValue *pairs[PAIRS_OF_A_SCAN] = {&pair, &pair, &pair};
    bool missing = request->key.len == 1 ||
                   (request->key.len == 7 && memcmp(request->key.data, "missing", 7) == 0);
    head.revision = INT64_MAX;
    pair.key = request->key;
    pair.value.len = member->value_bytes;
    pair.value.data = calloc(1, member->value_bytes + 1);
    answer.header = &head;
    answer.kvs = pairs;
    answer.n_kvs = missing ? 0 : request->range_end.len > 0 ? PAIRS_OF_A_SCAN : 1;
    set_answer(member, &answer.base);
    free(pair.value.data);
    etcdserverpb__range_request__free_unpacked(request, NULL);
}

static void answer_well(struct member *member)
{
    const Etcdserverpb__PutResponse put = ETCDSERVERPB__PUT_RESPONSE__INIT;
    const Etcdserverpb__DeleteRangeResponse removed = ETCDSERVERPB__DELETE_RANGE_RESPONSE__INIT;
    if (strcmp(member->path, "/etcdserverpb.KV/Range") == 0)
        answer_range(member);
    else if (strcmp(member->path, "/etcdserverpb.KV/Put") == 0)
        set_answer(member, &put.base);
    else
        set_answer(member, &removed.base);
}

static void spoil(struct member *member, enum manner manner)
{
    static const uint8_t garbage[] = {0, 0, 0, 0, 2, 0x0a, 0x7f};
    if (manner == WITH_WRONG_LENGTH)
        member->answer.data[PREFIX_BYTES - 1]++;
    if (manner == COMPRESSED)
        member->answer.data[0] = 1;
    if (manner == WITH_NO_MESSAGE || manner == WITH_GARBAGE)
        buffer_clear(&member->answer);
    if (manner == WITH_GARBAGE)
        (void)buffer_append(&member->answer, garbage, sizeof(garbage));
}

static void answer_call(struct member *member, int32_t stream)
{
    enum manner manner = member->calls++ == 0 ? WELL : member->manner;
    const nghttp2_nv good[] = {header(":status", "200"),
                               header("content-type", "application/grpc")};
    const nghttp2_nv failed[] = {header(":status", "200"), header("grpc-status", "8"),
                                 header("grpc-message", "etcdserver: mvcc: no space left")};
    const nghttp2_nv refused[] = {header(":status", "503")};
    const nghttp2_data_provider body = {.read_callback = read_answer};
    if (manner == NEVER || manner == WITH_PINGS_ALONE)
        return;
    if (manner == WITH_ERROR) {
        nghttp2_submit_response(member->http2, stream, failed, 3, NULL);
    } else if (manner == WITH_HTTP_ERROR) {
        nghttp2_submit_response(member->http2, stream, refused, 1, NULL);
    } else if (manner == BY_RESET) {
        nghttp2_submit_rst_stream(member->http2, NGHTTP2_FLAG_NONE, stream, NGHTTP2_REFUSED_STREAM);
    } else if (manner == BY_CLOSING) {
        member->over = true;
    } else {
        answer_well(member);
        spoil(member, manner);
        member->sent = 0;
        nghttp2_submit_response(member->http2, stream, good, 2, &body);
    }
}

static int on_frame(nghttp2_session *http2, const nghttp2_frame *frame, void *context)
{
    struct member *member = context;
    (void)http2;
    if (frame->hd.type == NGHTTP2_HEADERS)
        buffer_clear(&member->request);
    if (frame->hd.type == NGHTTP2_DATA && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0)
        answer_call(member, frame->hd.stream_id);
    return 0;
}

static ssize_t send_out(nghttp2_session *http2, const uint8_t *data, size_t length, int flags,
                        void *context)
{
    ssize_t sent = send(((struct member *)context)->link, data, length, MSG_NOSIGNAL);
    (void)http2, (void)flags;
    return sent < 0 ? NGHTTP2_ERR_CALLBACK_FAILURE : sent;
}

/* One connection, until the peer or the manner ends it. */
static void converse(struct member *member)
{
    uint8_t data[4096];
    while (!member->over && nghttp2_session_send(member->http2) == 0) {
        struct pollfd waited = {.fd = member->link, .events = POLLIN};
        int ready = poll(&waited, 1, member->manner == WITH_PINGS_ALONE ? PING_EVERY_MS : -1);
        if (ready == 0) {
            nghttp2_submit_ping(member->http2, NGHTTP2_FLAG_NONE, NULL);
            continue;
        }
        ssize_t got = recv(member->link, data, sizeof(data), 0);
        if (got <= 0 || nghttp2_session_mem_recv(member->http2, data, (size_t)got) < 0)
            return;
    }
}

static void *serve(void *argument)
{
    struct member *member = argument;
    nghttp2_session_callbacks *callbacks;
    const int on = 1;
    member->link = accept(member->listener, NULL, NULL);
    setsockopt(member->link, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (member->link < 0 || nghttp2_session_callbacks_new(&callbacks) != 0)
        return NULL;
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_send_callback(callbacks, send_out);
    if (nghttp2_session_server_new(&member->http2, callbacks, member) != 0)
        abort();
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_submit_settings(member->http2, NGHTTP2_FLAG_NONE, NULL, 0);
    converse(member);
    nghttp2_session_del(member->http2);
    close(member->link);
    return NULL;
}

static void start(struct member *member, enum manner manner)
{
    struct sockaddr_in local = {.sin_family = AF_INET};
    socklen_t length = sizeof(local);
    *member = (struct member){.manner = manner, .value_bytes = 10};
    buffer_init(&member->request, MESSAGE_LIMIT);
    buffer_init(&member->answer, MESSAGE_LIMIT);
    local.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    member->listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(member->listener, (struct sockaddr *)&local, sizeof(local)), 0);
    assert_int_equal(listen(member->listener, 1), 0);
    assert_int_equal(getsockname(member->listener, (struct sockaddr *)&local, &length), 0);
    snprintf(member->address, sizeof(member->address), "127.0.0.1:%u", ntohs(local.sin_port));
    assert_int_equal(pthread_create(&member->thread, NULL, serve, member), 0);
}

/* After its session was closed; then what it got may be looked at. */
static void join(struct member *member)
{
    pthread_join(member->thread, NULL);
    close(member->listener);
}

static void release(struct member *member)
{
    buffer_free(&member->request);
    buffer_free(&member->answer);
}

/* --- the tests ----------------------------------------------------------------------------------
 */

static struct bytes text(const char *characters)
{
    return (struct bytes){characters, strlen(characters)};
}

static struct session *open_at(const char *address, uint64_t timeout_ms)
{
    const struct target_place place = {.address = address, .timeout_ms = timeout_ms};
    struct session *session = NULL;
    struct error error = {0};
    if (target_etcd.open(&place, &session, &error) != 0)
        fail_msg("%s", error.message);
    return session;
}

/* Of the last call: path, headers, and the message in its bytes. */
static void assert_called(const struct member *member, const char *path, const void *message,
                          size_t length)
{
    const uint8_t prefix[PREFIX_BYTES] = {0, 0, 0, 0, (uint8_t)length};
    assert_string_equal(member->path, path);
    assert_string_equal(member->type, "application/grpc");
    assert_string_equal(member->te, "trailers");
    assert_int_equal(member->request.length, PREFIX_BYTES + length);
    assert_memory_equal(member->request.data, prefix, PREFIX_BYTES);
    assert_memory_equal(member->request.data + PREFIX_BYTES, message, length);
}

static void a_put_is_one_call_with_key_and_value(void **state)
{
    struct member member;

    (void)state;
    start(&member, WELL);
    struct session *session = open_at(member.address, LONG_MS);
    assert_int_equal(target_etcd.put(session, text("key"), text("value"), NULL), 0);
    target_etcd.close(session);
    join(&member);
    assert_called(&member, "/etcdserverpb.KV/Put", "\x0a\x03key\x12\x05value", 12);
    release(&member);
}

static void a_get_is_a_linearizable_range_of_one_key(void **state)
{
    struct member member;
    bool found = false;

    (void)state;
    start(&member, WELL);
    struct session *session = open_at(member.address, LONG_MS);
    assert_int_equal(target_etcd.get(session, text("missing"), &found, NULL), 0);
    assert_false(found);
    assert_int_equal(target_etcd.get(session, text("key"), &found, NULL), 0);
    assert_true(found);
    target_etcd.close(session);
    join(&member);
    /* Field 7, serializable, is not there: false. */
    assert_called(&member, "/etcdserverpb.KV/Range", "\x0a\x03key", 5);
    release(&member);
}

static void a_scan_is_a_range_to_the_end_with_its_limit(void **state)
{
    struct member member;

    (void)state;
    start(&member, WELL);
    struct session *session = open_at(member.address, LONG_MS);
    assert_int_equal(target_etcd.scan(session, text("key"), 50, NULL), 0);
    assert_int_equal(target_etcd.scan(session, text("key"), 0, NULL), 0); /* no call */
    target_etcd.close(session);
    join(&member);
    assert_int_equal(member.calls, 2);
    assert_called(&member, "/etcdserverpb.KV/Range", "\x0a\x03key\x12\x01\x00\x18\x32", 10);
    release(&member);
}

static void a_delete_is_a_delete_range_of_one_key(void **state)
{
    struct member member;

    (void)state;
    start(&member, WELL);
    struct session *session = open_at(member.address, LONG_MS);
    assert_int_equal(target_etcd.remove(session, text("key"), NULL), 0);
    target_etcd.close(session);
    join(&member);
    assert_called(&member, "/etcdserverpb.KV/DeleteRange", "\x0a\x03key", 5);
    release(&member);
}

/* Many frames, and more than the windows of both sides, so that updates have to be sent. */
static void what_is_longer_than_all_windows_goes_both_ways(void **state)
{
    enum { LENGTH = 1 << 20, TIMES = 12 };
    struct member member;
    char *value = calloc(1, LENGTH);
    bool found = false;

    (void)state;
    assert_non_null(value);
    start(&member, WELL);
    member.value_bytes = LENGTH;
    struct session *session = open_at(member.address, LONG_MS);
    for (int i = 0; i < TIMES; i++) {
        const struct bytes bytes = {value, LENGTH};
        assert_int_equal(target_etcd.put(session, text("key"), bytes, NULL), 0);
        assert_int_equal(target_etcd.get(session, text("key"), &found, NULL), 0);
        assert_true(found);
    }
    target_etcd.close(session);
    join(&member);
    assert_int_equal(member.calls, 1 + 2 * TIMES);
    free(value);
    release(&member);
}

static void sessions_take_the_members_in_turn(void **state)
{
    struct member members[3];
    struct session *sessions[3];
    char all[3 * TEXT_SIZE + 3];

    (void)state;
    for (int i = 0; i < 3; i++)
        start(&members[i], WELL);
    snprintf(all, sizeof(all), "%s,%s,%s", members[0].address, members[1].address,
             members[2].address);
    for (int i = 0; i < 3; i++)
        sessions[i] = open_at(all, LONG_MS);
    for (int i = 0; i < 3; i++)
        target_etcd.close(sessions[i]);
    for (int i = 0; i < 3; i++) {
        join(&members[i]);
        assert_int_equal(members[i].calls, 1);
        release(&members[i]);
    }
}

/* What a get gives that is answered in this manner, and whether the session is still of use. */
static int get_answered(enum manner manner, uint64_t timeout_ms, bool still_of_use,
                        struct error *error)
{
    struct member member;
    bool found;
    start(&member, manner);
    struct session *session = open_at(member.address, timeout_ms);
    int status = target_etcd.get(session, text("key"), &found, error);
    assert_non_null(strstr(error->message, member.address));
    assert_int_equal(target_etcd.put(session, text("key"), text("v"), NULL),
                     still_of_use ? status : CAIRN_EUNAVAILABLE);
    target_etcd.close(session);
    join(&member);
    assert_int_equal(member.calls, still_of_use ? 3 : 2);
    release(&member);
    return status;
}

static void what_the_server_reports_is_passed_on(void **state)
{
    struct error error = {0};

    (void)state;
    assert_int_equal(get_answered(WITH_ERROR, LONG_MS, true, &error), CAIRN_EFULL);
    assert_non_null(strstr(error.message, "etcdserver: mvcc: no space left (gRPC status 8)"));
}

static void an_answer_that_is_not_grpc_is_an_error(void **state)
{
    struct error error = {0};

    (void)state;
    assert_int_equal(get_answered(WITH_HTTP_ERROR, LONG_MS, true, &error), CAIRN_EPROTO);
    assert_non_null(strstr(error.message, "HTTP status 503"));
    assert_int_equal(get_answered(WITHOUT_STATUS, LONG_MS, true, &error), CAIRN_EPROTO);
    assert_non_null(strstr(error.message, "without a gRPC status"));
}

static void an_answer_without_a_whole_message_is_an_error(void **state)
{
    static const enum manner manners[] = {WITH_WRONG_LENGTH, COMPRESSED, WITH_NO_MESSAGE,
                                          WITH_GARBAGE};

    (void)state;
    for (size_t i = 0; i < sizeof(manners) / sizeof(manners[0]); i++) {
        struct error error = {0};
        assert_int_equal(get_answered(manners[i], LONG_MS, true, &error), CAIRN_EPROTO);
        assert_non_null(strstr(error.message, "is no RangeResponse"));
    }
}

static void a_call_that_is_ended_is_an_error(void **state)
{
    struct error error = {0};

    (void)state;
    assert_int_equal(get_answered(BY_RESET, LONG_MS, true, &error), CAIRN_EUNAVAILABLE);
    assert_non_null(strstr(error.message, "REFUSED_STREAM"));
    assert_int_equal(get_answered(BY_CLOSING, LONG_MS, false, &error), CAIRN_EUNAVAILABLE);
    assert_non_null(strstr(error.message, "connection was closed"));
}

static void no_answer_in_time_is_an_error_whatever_else_is_sent(void **state)
{
    static const enum manner manners[] = {NEVER, WITH_PINGS_ALONE};

    (void)state;
    for (size_t i = 0; i < sizeof(manners) / sizeof(manners[0]); i++) {
        struct error error = {0};
        assert_int_equal(get_answered(manners[i], SHORT_MS, false, &error), CAIRN_ETIMEDOUT);
        assert_non_null(strstr(error.message, "no answer in time"));
    }
}

static void a_member_that_is_not_there_is_an_error(void **state)
{
    struct target_place place = {.address = "127.0.0.1:1", .timeout_ms = LONG_MS};
    struct session *session = (struct session *)&place;
    struct error error = {0};

    (void)state;
    assert_int_equal(target_etcd.open(&place, &session, &error), CAIRN_EUNAVAILABLE);
    assert_null(session);
    assert_string_equal(error.message, "etcd 127.0.0.1:1: Connection refused");
    place.address = "127.0.0.1";
    session = (struct session *)&place;
    assert_int_equal(target_etcd.open(&place, &session, &error), CAIRN_EINVAL);
    assert_null(session);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_put_is_one_call_with_key_and_value),
        cmocka_unit_test(a_get_is_a_linearizable_range_of_one_key),
        cmocka_unit_test(a_scan_is_a_range_to_the_end_with_its_limit),
        cmocka_unit_test(a_delete_is_a_delete_range_of_one_key),
        cmocka_unit_test(what_is_longer_than_all_windows_goes_both_ways),
        cmocka_unit_test(sessions_take_the_members_in_turn),
        cmocka_unit_test(what_the_server_reports_is_passed_on),
        cmocka_unit_test(an_answer_that_is_not_grpc_is_an_error),
        cmocka_unit_test(an_answer_without_a_whole_message_is_an_error),
        cmocka_unit_test(a_call_that_is_ended_is_an_error),
        cmocka_unit_test(no_answer_in_time_is_an_error_whatever_else_is_sent),
        cmocka_unit_test(a_member_that_is_not_there_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
