/* Record marking: whatever the pieces in which a stream arrives, the records are the same, and so
 * is the fault that ends it. */
#include <stdlib.h>

#include "base/check.h"
#include "base/error.h"
#include "base/random.h"
#include "proto/limits.h"
#include "rpc/record.h"
#include "tests/fuzz/lib/fuzz.h"

enum { MEMORY_SLACK = 2 * RECORD_KEEP_CAPACITY };

enum pieces { WHOLE, AT_RANDOM, DIRECT };

/* What came out: every record behind its length, and how the stream ended. */
struct outcome {
    struct buffer records;
    int status;
};

struct stream {
    struct record_reader reader;
    size_t arrived;
    struct outcome *outcome;
};

/* The next records of what has arrived. False: the stream cannot be read further. */
static bool take_records(struct stream *stream, const uint8_t *bytes, size_t length)
{
    struct record_input input = {bytes, length};
    struct record record;
    int status = 1;

    stream->arrived += length;
    while (status == 1) {
        status = record_next(&stream->reader, &input, &record);
        if (status != 1)
            break;
        CHECK(record.length > 0 && record.length <= stream->reader.limit);
        CHECK((uintptr_t)record.data % 4 == 0);
        seed_number(&stream->outcome->records, record.length, 4);
        seed_bytes(&stream->outcome->records, record.data, record.length);
    }
    /* Never what the peer merely claims. */
    CHECK(record_reader_memory(&stream->reader) <= 4 * stream->arrived + MEMORY_SLACK);
    CHECK(status != 0 || input.length == 0);
    stream->outcome->status = status;
    return status == 0;
}

/* As rpc/connection.c does: a large fragment is read straight into its place. */
static size_t fill_direct(struct stream *stream, const uint8_t *bytes, size_t length)
{
    size_t room;
    uint8_t *space = record_space(&stream->reader, &room);

    if (space == NULL || length == 0)
        return 0;
    CHECK(room > 0);
    length = length < room ? length : room;
    memcpy(space, bytes, length);
    record_filled(&stream->reader, length);
    stream->arrived += length;
    return length;
}

static void read_stream(const uint8_t *data, size_t size, uint32_t limit, enum pieces pieces,
                        uint64_t seed, struct outcome *outcome)
{
    struct stream stream = {.outcome = outcome};
    struct random random;
    bool goes_on = true;

    random_seed(&random, seed);
    record_reader_init(&stream.reader, limit);
    buffer_init(&outcome->records, 2 * size + 4);
    outcome->status = 0;
    for (size_t at = 0; at < size && goes_on;) {
        size_t length = pieces == WHOLE ? size - at : 1 + random_below(&random, size - at);
        const size_t direct = pieces == DIRECT ? fill_direct(&stream, data + at, length) : 0;
        uint8_t *copy;

        at += direct;
        length = direct > 0 ? 0 : length;
        copy = fuzz_copy(data + at, length);
        goes_on = take_records(&stream, copy, length);
        free(copy);
        at += length;
        if (random_below(&random, 8) == 0)
            record_reader_trim(&stream.reader);
    }
    record_reader_free(&stream.reader);
}

static void require_same(const struct outcome *left, const struct outcome *right)
{
    CHECK(left->status == right->status && left->records.length == right->records.length);
    CHECK(left->records.length == 0 ||
          memcmp(left->records.data, right->records.data, left->records.length) == 0);
}

/* The same records, each sent as one fragment, come out as they are. */
static void send_again(const struct outcome *outcome, uint32_t limit)
{
    struct input records = {outcome->records.data, outcome->records.length};
    struct outcome again;
    struct buffer sent;

    buffer_init(&sent, outcome->records.length + 1);
    while (records.left > 0) {
        const uint32_t length = (uint32_t)input_number(&records, 4);
        uint8_t mark[RECORD_MARK_SIZE];
        size_t got;
        const uint8_t *bytes = input_bytes(&records, length, &got);

        record_mark_put(mark, length);
        seed_bytes(&sent, mark, sizeof mark);
        seed_bytes(&sent, bytes, length);
    }
    read_stream(sent.data, sent.length, limit, WHOLE, 1, &again);
    CHECK(again.status == 0 && again.records.length == outcome->records.length);
    CHECK(again.records.length == 0 ||
          memcmp(again.records.data, outcome->records.data, again.records.length) == 0);
    buffer_free(&again.records);
    buffer_free(&sent);
}

/* The input: a byte that chooses the limit, one that decides the pieces, then the stream. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint32_t limits[] = {8, 100, 3 * RECORD_DIRECT_SIZE, CAIRN_RECORD_LIMIT};
    struct input input = {data, size};
    const uint32_t limit = limits[input_u8(&input) % 4];
    const uint64_t seed = input_u8(&input);
    struct outcome whole, others[2];

    read_stream(input.data, input.left, limit, WHOLE, 0, &whole);
    read_stream(input.data, input.left, limit, AT_RANDOM, seed, &others[0]);
    read_stream(input.data, input.left, limit, DIRECT, seed, &others[1]);
    require_same(&whole, &others[0]);
    require_same(&whole, &others[1]);
    if (whole.records.length > 0)
        send_again(&whole, limit);
    if (whole.status == 0)
        fuzz_accepted++;
    buffer_free(&whole.records);
    buffer_free(&others[0].records);
    buffer_free(&others[1].records);
    return 0;
}

static void put_fragment(struct buffer *out, bool last, const char *text)
{
    uint8_t mark[RECORD_MARK_SIZE];

    record_mark_put(mark, (uint32_t)strlen(text));
    if (!last)
        mark[0] = 0;
    seed_bytes(out, mark, sizeof mark);
    seed_text(out, text);
}

bool fuzz_seed(unsigned number, struct buffer *out)
{
    seed_number(out, 2 + number % 2, 1);
    seed_number(out, number, 1);
    switch (number) {
    case 0:
        put_fragment(out, true, "one record");
        return true;
    case 1:
        put_fragment(out, true, "two ");
        put_fragment(out, true, "records.");
        return true;
    case 2:
        put_fragment(out, false, "a record ");
        put_fragment(out, false, "");
        put_fragment(out, true, "in three fragments");
        put_fragment(out, true, "and one");
        return true;
    case 3: /* of a large fragment, the beginning */
        seed_bytes(out, "\x00\x01\x00\x00", 4);
        seed_text(out, "the rest does not come");
        return true;
    case 4: /* half a mark */
        seed_bytes(out, "\x80\x00", 2);
        return true;
    default:
        return false;
    }
}
