/* Round trips of XDR through rpc/message.h: what decodes encodes again, to as many bytes as were
 * read, and these decode to the same. */
#include "tests/fuzz/lib/program.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/error.h"
#include "base/random.h"
#include "proto/limits.h"
#include "rpc/message.h"

enum { XID = 77, CALL_HEADER = 40, REPLY_HEADER = 24 };
enum { SEED_KINDS = 2, SEED_TRIES = 20000, SEED_WORDS = 200 };

struct subject {
    const struct rpc_program *program;
    const struct rpc_procedure *procedure;
    uint32_t number;
    bool is_result;
    xdrproc_t xdr;
    size_t size;
};

static struct subject choose(const struct rpc_program *program, unsigned number, bool is_result)
{
    const uint32_t chosen = 1 + number % (program->procedure_count - 1);
    const struct rpc_procedure *procedure = message_procedure(program, chosen);

    CHECK(procedure != NULL);
    return (struct subject){.program = program,
                            .procedure = procedure,
                            .number = chosen,
                            .is_result = is_result,
                            .xdr = is_result ? procedure->xdr_result : procedure->xdr_args,
                            .size = is_result ? procedure->result_size : procedure->args_size};
}

/* As the server and the client do: zeroed, decoded, freed also after a failure. */
static bool decode(const struct subject *subject, XDR *xdrs, void **value)
{
    *value = calloc(1, subject->size);
    CHECK(*value != NULL);
    return subject->xdr(xdrs, *value) != 0;
}

static void drop(const struct subject *subject, void *value)
{
    xdr_free(subject->xdr, value);
    free(value);
}

static void encode(const struct subject *subject, const void *value, struct buffer *out)
{
    int status;

    buffer_init(out, CAIRN_RECORD_LIMIT + RECORD_MARK_SIZE);
    status = subject->is_result
                 ? message_reply_encode(out, CAIRN_RECORD_LIMIT, XID, subject->xdr, value)
                 : message_call_encode(out, CAIRN_RECORD_LIMIT, XID, subject->program,
                                       subject->number, value);
    CHECK(status == 0);
}

/* The message as a whole, by what the server and the client decode it with. */
static void decode_message(const struct subject *subject, const struct buffer *bytes, void **value)
{
    const struct record record = {bytes->data + RECORD_MARK_SIZE,
                                  (uint32_t)(bytes->length - RECORD_MARK_SIZE)};
    struct message_call call;
    const char *reason;
    uint32_t xid;

    if (subject->is_result) {
        *value = calloc(1, subject->size);
        CHECK(*value != NULL);
        CHECK(message_reply_xid(&record, &xid) == 0 && xid == XID);
        CHECK(message_reply_decode(&record, subject->xdr, *value, &reason) == 0);
        return;
    }
    CHECK(message_call_decode(&record, &call) == MESSAGE_CALL);
    CHECK(call.xid == XID && call.program == subject->program->number &&
          call.version == subject->program->version && call.procedure == subject->number);
    CHECK(decode(subject, &call.arguments, value));
    CHECK(XDR_GETPOS(&call.arguments) == record.length);
}

/* Whether the message ended where an older peer's does, so that zeros were read behind it
 * (views.h). */
static bool lacks_tail(const XDR *xdrs, const void *bytes, size_t size)
{
    const uintptr_t at = (uintptr_t)xdrs->x_private, first = (uintptr_t)bytes;

    return at < first || at > first + size;
}

/* `consumed`: 0 if the message comes back longer, with its tail. */
static void round_trip(const struct subject *subject, const void *value, u_int consumed)
{
    const size_t header = subject->is_result ? REPLY_HEADER : CALL_HEADER;
    struct buffer once, twice;
    void *again;

    encode(subject, value, &once);
    CHECK(consumed == 0 || once.length == RECORD_MARK_SIZE + header + consumed);
    decode_message(subject, &once, &again);
    encode(subject, again, &twice);
    CHECK(twice.length == once.length && memcmp(twice.data, once.data, once.length) == 0);
    drop(subject, again);
    buffer_free(&once);
    buffer_free(&twice);
}

void program_input(const struct rpc_program *program, const uint8_t *data, size_t size)
{
    struct input input = {data, size};
    const unsigned number = input_u8(&input), flags = input_u8(&input);
    const struct subject subject = choose(program, number, (flags & 1) != 0);
    const size_t shift = (flags & 2) != 0 ? 1 : 0;
    uint8_t *bytes = malloc(shift + input.left + (input.left == 0));
    void *value;
    XDR xdrs;

    CHECK(bytes != NULL);
    if (input.left > 0)
        memcpy(bytes + shift, input.data, input.left);
    xdrmem_create(&xdrs, (char *)bytes + shift, (u_int)input.left, XDR_DECODE);
    if (decode(&subject, &xdrs, &value)) {
        fuzz_accepted++;
        round_trip(&subject, value,
                   lacks_tail(&xdrs, bytes + shift, input.left) ? 0 : XDR_GETPOS(&xdrs));
    }
    drop(&subject, value);
    free(bytes);
}

/* --- valid inputs -------------------------------------------------------------------------------
 */

/* Small numbers at random often are a message: short arrays and texts, known numbers of unions. The
 * first that decodes is taken, without what is behind it. */
static void seed_message(const struct subject *subject, uint64_t seed, struct buffer *out)
{
    uint8_t words[4 * SEED_WORDS];
    struct random random;

    random_seed(&random, seed);
    for (int i = 0; i < SEED_TRIES; i++) {
        void *value;
        bool decoded;
        XDR xdrs;

        memset(words, 0, sizeof words);
        for (size_t word = 0; word < SEED_WORDS; word++)
            words[4 * word + 3] = (uint8_t)random_below(&random, 3);
        xdrmem_create(&xdrs, (char *)words, sizeof words, XDR_DECODE);
        decoded = decode(subject, &xdrs, &value);
        drop(subject, value);
        if (decoded && !lacks_tail(&xdrs, words, sizeof words)) {
            seed_bytes(out, words, XDR_GETPOS(&xdrs));
            return;
        }
    }
    CHECK(false);
}

bool program_seed(const struct rpc_program *program, unsigned number, struct buffer *out)
{
    const unsigned each = 2 * SEED_KINDS;
    const struct subject subject = choose(program, number / each, number % 2 == 1);

    if (number / each >= program->procedure_count - 1)
        return false;
    seed_number(out, number / each, 1);
    seed_number(out, number % 2, 1);
    seed_message(&subject, number, out);
    return true;
}
