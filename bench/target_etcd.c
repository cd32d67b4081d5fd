/* etcd v3 as a target: its KV service, one connection for each session. A get is linearizable,
 * which is what etcd does unless told otherwise; a put is what a majority has on disk. */
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/address.h"
#include "bench/etcd.pb-c.h"
#include "bench/target.h"
#include "bench/target_etcd_grpc.h"

struct session {
    struct grpc *grpc;
};

static ProtobufCBinaryData to_field(struct bytes bytes)
{
    /* Packing only reads it. */
    return (ProtobufCBinaryData){.len = bytes.length, .data = (uint8_t *)(uintptr_t)bytes.data};
}

static int put(struct session *session, struct bytes key, struct bytes value, struct error *error)
{
    Etcdserverpb__PutRequest request = ETCDSERVERPB__PUT_REQUEST__INIT;
    ProtobufCMessage *answer;
    request.key = to_field(key);
    request.value = to_field(value);
    int status = grpc_call(session->grpc, "/etcdserverpb.KV/Put", &request.base,
                           &etcdserverpb__put_response__descriptor, &answer, error);
    if (status == 0)
        protobuf_c_message_free_unpacked(answer, NULL);
    return status;
}

static int remove_key(struct session *session, struct bytes key, struct error *error)
{
    Etcdserverpb__DeleteRangeRequest request = ETCDSERVERPB__DELETE_RANGE_REQUEST__INIT;
    ProtobufCMessage *answer;
    request.key = to_field(key);
    int status = grpc_call(session->grpc, "/etcdserverpb.KV/DeleteRange", &request.base,
                           &etcdserverpb__delete_range_response__descriptor, &answer, error);
    if (status == 0)
        protobuf_c_message_free_unpacked(answer, NULL);
    return status;
}

/* `*pairs` is how many came. */
static int range(struct session *session, const Etcdserverpb__RangeRequest *request, size_t *pairs,
                 struct error *error)
{
    ProtobufCMessage *answer;
    *pairs = 0;
    int status = grpc_call(session->grpc, "/etcdserverpb.KV/Range", &request->base,
                           &etcdserverpb__range_response__descriptor, &answer, error);
    if (status != 0)
        return status;
    *pairs = ((const Etcdserverpb__RangeResponse *)answer)->n_kvs;
    protobuf_c_message_free_unpacked(answer, NULL);
    return 0;
}

static int get(struct session *session, struct bytes key, bool *found, struct error *error)
{
    Etcdserverpb__RangeRequest request = ETCDSERVERPB__RANGE_REQUEST__INIT;
    size_t pairs;
    request.key = to_field(key);
    int status = range(session, &request, &pairs, error);
    *found = pairs > 0;
    return status;
}

static int scan(struct session *session, struct bytes from, size_t limit, struct error *error)
{
    Etcdserverpb__RangeRequest request = ETCDSERVERPB__RANGE_REQUEST__INIT;
    size_t pairs;
    if (limit == 0) /* which would be no limit */
        return 0;
    request.key = to_field(from);
    request.range_end = to_field((struct bytes){"", 1}); /* one zero byte: to the end */
    request.limit = (int64_t)limit;
    return range(session, &request, &pairs, error);
}

static void close_session(struct session *session)
{
    if (session != NULL)
        grpc_close(session->grpc);
    free(session);
}

/* Sessions take the members in turn. Processes that were forked together count alike, but have
 * consecutive numbers. */
static size_t next_turn(void)
{
    static atomic_size_t turns;
    return atomic_fetch_add_explicit(&turns, 1, memory_order_relaxed) + (size_t)getpid();
}

static int open_session(const struct target_place *place, struct session **session,
                        struct error *error)
{
    struct address_list members;
    bool found;
    *session = NULL;
    if (address_list_parse(place->address, &members, error) != 0)
        return CAIRN_EINVAL;
    *session = calloc(1, sizeof(**session));
    if (*session == NULL)
        return error_set(error, CAIRN_ENOMEM, "etcd: out of memory");
    const struct address *member = &members.items[next_turn() % members.count];
    int status = grpc_open(member, place->timeout_ms, &(*session)->grpc, error);
    if (status == 0)
        status = get(*session, (struct bytes){"?", 1}, &found, error);
    if (status != 0) {
        close_session(*session);
        *session = NULL;
    }
    return status;
}

const struct target target_etcd = {
    .name = "etcd",
    .open = open_session,
    .close = close_session,
    .put = put,
    .get = get,
    .remove = remove_key,
    .scan = scan,
};
