/* A snapshot's rows: what is taken is whole (W8) and in order, is written again byte by byte, and
 * is the same when it comes from the store.
 *
 * The input: a byte whose bit 0 puts the checksums right, the partition (16 bits), the rows. */
#include <stdlib.h>

#include "base/check.h"
#include "base/hash.h"
#include "server/store_row.h"
#include "tests/fuzz/lib/fuzz.h"

enum { VALUE_CHECKSUM = 25, OLD_CHECKSUM = 28, SESSION_CHECKSUM = 36 };

static void put_at(uint8_t *to, uint64_t number)
{
    for (int i = 0; i < 8; i++)
        to[i] = (uint8_t)(number >> (8 * i));
}

/* --- checksums ----------------------------------------------------------------------------------
 */

static void fix_value(const uint8_t *key, size_t key_length, uint8_t *record, size_t length)
{
    struct store_value value;
    uint64_t checksum;

    if (key_length <= CAIRN_KEY_LIMIT && value_decode(record, length, &value, &checksum) == 0)
        put_at(record + VALUE_CHECKSUM, value_checksum(key, (uint32_t)key_length, &value));
}

static void fix_session(uint32_t partition, uint64_t client, uint8_t *record, size_t length)
{
    const uint8_t *old = record + SESSION_HEADER_BYTES;
    struct stored_key key;

    if (length < SESSION_HEADER_BYTES)
        return;
    session_key(&key, partition, client);
    put_at(record + OLD_CHECKSUM,
           length == SESSION_HEADER_BYTES ? 0 : hash_bytes(old, length - SESSION_HEADER_BYTES));
    put_at(record + SESSION_CHECKSUM,
           hash_seeded(record, SESSION_CHECKSUM, hash_bytes(key.bytes, key.length)));
}

/* As far as there are rows whose lengths fit. */
static void fix_rows(uint8_t *bytes, size_t size, uint32_t partition)
{
    struct input rows = {bytes, size};

    while (rows.left > 0) {
        const unsigned kind = input_u8(&rows);
        const uint64_t head = input_number(&rows, kind == ROW_PAIR ? 2 : 8);
        const uint64_t wanted = input_number(&rows, kind == ROW_END ? 8 : 4);
        size_t key_length = 0, length;
        const uint8_t *key = rows.data, *record;

        if (kind == ROW_PAIR)
            key = input_bytes(&rows, head, &key_length);
        record = input_bytes(&rows, kind == ROW_END ? 0 : wanted, &length);
        if (kind == ROW_PAIR)
            fix_value(key, key_length, bytes + (record - bytes), length);
        else if (kind == ROW_SESSION)
            fix_session(partition, head, bytes + (record - bytes), length);
        else if (kind != ROW_END)
            return;
    }
}

/* --- what must hold -----------------------------------------------------------------------------
 */

/* The row as it would come out of LMDB. */
static void take_stored(const struct row *row, uint32_t partition)
{
    struct stored_key key;
    struct row stored;
    struct slice slice;

    if (row->kind == ROW_PAIR) {
        data_key(&key, partition, row->key.data, (uint32_t)row->key.length);
        slice = (struct slice){key.bytes, key.length};
        CHECK(row_of_pair(&stored, slice, row->record) == 0);
        CHECK(stored.value.version == row->value.version &&
              stored.value.length == row->value.length);
    } else if (row->kind == ROW_SESSION) {
        session_key(&key, partition, row->session.client);
        slice = (struct slice){key.bytes, key.length};
        CHECK(row_of_session(&stored, partition, slice, row->record) == 0);
        CHECK(stored.session.number == row->session.number);
    } else {
        return;
    }
    CHECK(row_bytes(&stored) == row_bytes(row));
}

static void require_within_limits(const struct row *row)
{
    CHECK(row_bytes(row) <= ROW_LIMIT_BYTES);
    if (row->kind == ROW_PAIR)
        CHECK(row->key.length > 0 && row->key.length <= CAIRN_KEY_LIMIT &&
              row->value.length <= CAIRN_VALUE_LIMIT);
    if (row->kind == ROW_SESSION)
        CHECK(row->session.old_value_length <= CAIRN_VALUE_LIMIT);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {data, size};
    const unsigned flags = input_u8(&input);
    const uint32_t partition = (uint32_t)input_number(&input, 2) % CAIRN_PARTITIONS_LIMIT;
    uint8_t *bytes = fuzz_copy(input.data, input.left);
    struct slice rest = {bytes, input.left};
    struct row_progress progress = {0};
    struct buffer again;
    struct row row;
    int status = 0;

    if ((flags & 1) != 0)
        fix_rows(bytes, input.left, partition);
    buffer_init(&again, input.left + 1);
    while (rest.length > 0 && status == 0) {
        status = row_take(&rest, partition, &row);
        if (status != 0)
            break;
        require_within_limits(&row);
        take_stored(&row, partition);
        CHECK(row_append(&again, &row) == 0);
        CHECK(again.length == input.left - rest.length);
        status = row_follow(&progress, &row);
    }
    CHECK(again.length == 0 || memcmp(again.data, bytes, again.length) == 0);
    if (status == 0 && progress.ended)
        fuzz_accepted++;
    buffer_free(&again);
    free(bytes);
    return 0;
}

/* --- valid inputs -------------------------------------------------------------------------------
 */

static void put_pair(struct buffer *out, const char *key, const char *text)
{
    uint8_t record[VALUE_HEADER_BYTES + 64];
    struct item item = {.version = 3, .modified = 9, .expires_ms = 1000};
    struct store_value value = {3, 9, 1000, (const uint8_t *)text, (uint32_t)strlen(text)};
    struct row row = {.kind = ROW_PAIR,
                      .key = {(const uint8_t *)key, strlen(key)},
                      .record = {record, VALUE_HEADER_BYTES + strlen(text)}};

    item.checksum = value_checksum(row.key.data, (uint32_t)row.key.length, &value);
    value_encode_header(record, &item);
    memcpy(record + VALUE_HEADER_BYTES, text, strlen(text));
    CHECK(row_append(out, &row) == 0);
}

static void put_session(struct buffer *out, uint64_t client, const char *text)
{
    uint8_t record[SESSION_HEADER_BYTES + 64];
    struct stored_key key;
    struct row row = {.kind = ROW_SESSION,
                      .record = {record, SESSION_HEADER_BYTES + strlen(text)},
                      .session = {.client = client, .number = 7, .used_ms = 5, .version = 2}};

    row.session.has_old_value = text[0] != '\0';
    row.session.old_value = (const uint8_t *)text;
    row.session.old_value_length = (uint32_t)strlen(text);
    session_key(&key, 0, client);
    session_encode_header(record, &key, &row.session);
    memcpy(record + SESSION_HEADER_BYTES, text, strlen(text));
    CHECK(row_append(out, &row) == 0);
}

static void put_end(struct buffer *out, uint64_t pairs, uint64_t sessions)
{
    const struct row row = {.kind = ROW_END, .pair_count = pairs, .session_count = sessions};

    CHECK(row_append(out, &row) == 0);
}

bool fuzz_seed(unsigned number, struct buffer *out)
{
    const unsigned pairs = number % 3, sessions = number % 4;

    if (number >= 8)
        return false;
    seed_number(out, number % 2, 1);
    seed_number(out, 0, 2);
    for (unsigned i = 0; i < pairs; i++)
        put_pair(out, i == 0 ? "a" : "another key", i == 0 ? "" : "value");
    for (unsigned i = 0; i < sessions; i++)
        put_session(out, 5 + i, i == 1 ? "old value" : "");
    put_end(out, pairs, sessions);
    return true;
}
