/* RPC messages: what a call's header says is what an encoder of it would have said; replies decode
 * to what was encoded, whatever else they may be. */
#include <stdlib.h>

#include "base/check.h"
#include "base/error.h"
#include "proto/limits.h"
#include "proto/server_rpc.h"
#include "rpc/message.h"
#include "tests/fuzz/lib/fuzz.h"

static const struct rpc_program *const programs[] = {&program_server, &program_manager,
                                                     &program_replica, &program_cache};
enum { PROGRAMS = sizeof programs / sizeof *programs };

static struct record record_of(const struct buffer *bytes)
{
    return (struct record){bytes->data + RECORD_MARK_SIZE,
                           (uint32_t)(bytes->length - RECORD_MARK_SIZE)};
}

/* Arguments as a server decodes them; the call is then encoded anew. */
static void take_arguments(struct message_call *call, const struct rpc_program *program,
                           const struct rpc_procedure *procedure)
{
    void *args = calloc(1, procedure->args_size > 0 ? procedure->args_size : 1);
    struct message_call again;
    struct buffer bytes;
    struct record record;

    CHECK(args != NULL);
    buffer_init(&bytes, CAIRN_RECORD_LIMIT + RECORD_MARK_SIZE);
    if (procedure->xdr_args(&call->arguments, args)) {
        fuzz_accepted++;
        CHECK(message_call_encode(&bytes, CAIRN_RECORD_LIMIT, call->xid, program, call->procedure,
                                  args) == 0);
        record = record_of(&bytes);
        CHECK(message_call_decode(&record, &again) == MESSAGE_CALL);
        CHECK(again.xid == call->xid && again.program == call->program &&
              again.version == call->version && again.procedure == call->procedure);
        CHECK(record_word(bytes.data + MESSAGE_PROCEDURE_OFFSET) == call->procedure);
    }
    xdr_free(procedure->xdr_args, args);
    buffer_free(&bytes);
    free(args);
}

static void take_call(const struct record *record)
{
    struct message_call call;
    uint32_t xid;
    const enum message_kind kind = message_call_decode(record, &call);

    if (kind == MESSAGE_GARBAGE)
        return;
    CHECK(call.xid == record_word(record->data));
    CHECK(message_reply_xid(record, &xid) != 0);
    if (kind == MESSAGE_RPC_VERSION)
        return;
    CHECK(XDR_GETPOS(&call.arguments) <= record->length);
    for (size_t i = 0; i < PROGRAMS; i++) {
        const struct rpc_procedure *procedure = message_procedure(programs[i], call.procedure);

        if (programs[i]->number == call.program && programs[i]->version == call.version &&
            procedure != NULL)
            take_arguments(&call, programs[i], procedure);
    }
}

static void encode_again(const get_result *result, uint32_t xid)
{
    struct buffer once, twice;
    struct record record;
    const char *reason = NULL;
    get_result again = {0};

    buffer_init(&once, CAIRN_RECORD_LIMIT);
    buffer_init(&twice, CAIRN_RECORD_LIMIT);
    CHECK(message_reply_encode(&once, CAIRN_RECORD_LIMIT, xid, (xdrproc_t)xdr_get_result, result) ==
          0);
    record = record_of(&once);
    CHECK(message_reply_decode(&record, (xdrproc_t)xdr_get_result, &again, &reason) == 0);
    CHECK(message_reply_encode(&twice, CAIRN_RECORD_LIMIT, xid, (xdrproc_t)xdr_get_result,
                               &again) == 0);
    CHECK(once.length == twice.length && memcmp(once.data, twice.data, once.length) == 0);
    xdr_free((xdrproc_t)xdr_get_result, &again);
    buffer_free(&once);
    buffer_free(&twice);
}

static void take_reply(const struct record *record)
{
    get_result result = {0};
    const char *reason = NULL;
    uint32_t xid;
    int status;

    if (message_reply_xid(record, &xid) != 0)
        return;
    CHECK(xid == record_word(record->data));
    status = message_reply_decode(record, (xdrproc_t)xdr_get_result, &result, &reason);
    CHECK(status == 0 || status == CAIRN_EPROTO || status == CAIRN_EVERSION);
    CHECK((status == 0) == (reason == NULL));
    if (status == 0)
        encode_again(&result, xid);
    fuzz_accepted++;
    xdr_free((xdrproc_t)xdr_get_result, &result);
}

/* The input: the record. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *copy = fuzz_copy(data, size);
    const struct record record = {copy, (uint32_t)size};

    take_call(&record);
    take_reply(&record);
    free(copy);
    return 0;
}

/* Without its mark. */
static void put_record(struct buffer *out, struct buffer *bytes)
{
    seed_bytes(out, bytes->data + RECORD_MARK_SIZE, bytes->length - RECORD_MARK_SIZE);
    buffer_free(bytes);
}

static bool seed_reply(unsigned number, struct buffer *bytes)
{
    get_result found = {.status = SERVER_OK};
    get_result redirect = {.status = SERVER_NOT_PRIMARY};

    found.get_result_u.found.value = view_of_text("value");
    redirect.get_result_u.redirect.address = view_of_text("127.0.0.1:3777");
    switch (number) {
    case 0:
        return message_reply_encode(bytes, CAIRN_RECORD_LIMIT, 3, (xdrproc_t)xdr_get_result,
                                    &found) == 0;
    case 1:
        return message_reply_encode(bytes, CAIRN_RECORD_LIMIT, 4, (xdrproc_t)xdr_get_result,
                                    &redirect) == 0;
    case 2:
        return message_refusal_encode(bytes, 5, PROG_MISMATCH, 1, 1) == 0;
    case 3:
        return message_refusal_encode(bytes, 6, GARBAGE_ARGS, 0, 0) == 0;
    case 4:
        return message_denial_encode(bytes, 7) == 0;
    default:
        return false;
    }
}

bool fuzz_seed(unsigned number, struct buffer *out)
{
    struct buffer bytes;
    get_args args = {.cluster = 9};

    args.key = view_of_text("key");
    buffer_init(&bytes, CAIRN_RECORD_LIMIT);
    if (number < PROGRAMS)
        CHECK(message_call_encode(&bytes, CAIRN_RECORD_LIMIT, 1, programs[number], 0, NULL) == 0);
    else if (number == PROGRAMS)
        CHECK(message_call_encode(&bytes, CAIRN_RECORD_LIMIT, 2, &program_server, SERVER_GET,
                                  &args) == 0);
    else if (!seed_reply(number - PROGRAMS - 1, &bytes))
        return false;
    put_record(out, &bytes);
    return true;
}
