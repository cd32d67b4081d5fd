/* Rows of a snapshot: encoding, verifying, order (see store_row.h). */
#include "server/store_row.h"

#include <endian.h>
#include <string.h>

#include "server/memtable.h"

static uint64_t get_number(const uint8_t *bytes, size_t length)
{
    uint64_t little = 0;
    memcpy(&little, bytes, length);
    return le64toh(little);
}

static void put_number(uint8_t *out, size_t length, uint64_t number)
{
    uint64_t little = htole64(number);
    memcpy(out, &little, length);
}

/* --- from LMDB ----------------------------------------------------------------------------------
 */

static int pair_check(struct row *row)
{
    if (row->key.length == 0 || row->key.length > CAIRN_KEY_LIMIT)
        return CAIRN_ECORRUPT;
    return value_decode_checked(row->record.data, row->record.length, row->key.data,
                                (uint32_t)row->key.length, &row->value);
}

static int session_check(struct row *row, uint32_t partition, uint64_t client)
{
    struct stored_key key;
    session_key(&key, partition, client);
    return session_decode(&key, row->record.data, row->record.length, true, &row->session);
}

int row_of_pair(struct row *row, struct slice key, struct slice record)
{
    if (key.length <= PREFIX_BYTES)
        return CAIRN_ECORRUPT;
    *row = (struct row){.kind = ROW_PAIR, .record = record};
    row->key = (struct slice){key.data + PREFIX_BYTES, key.length - PREFIX_BYTES};
    return pair_check(row);
}

int row_of_session(struct row *row, uint32_t partition, struct slice key, struct slice record)
{
    if (key.length != PREFIX_BYTES + sizeof(uint64_t))
        return CAIRN_ECORRUPT;
    *row = (struct row){.kind = ROW_SESSION, .record = record};
    return session_check(row, partition, big_endian_u64(key.data + PREFIX_BYTES));
}

/* --- to bytes -----------------------------------------------------------------------------------
 */

size_t row_bytes(const struct row *row)
{
    switch (row->kind) {
    case ROW_PAIR:
        return ROW_PAIR_HEADER_BYTES + row->key.length + row->record.length;
    case ROW_SESSION:
        return ROW_SESSION_HEADER_BYTES + row->record.length;
    case ROW_END:
        break;
    }
    return ROW_END_BYTES;
}

static size_t header_encode(uint8_t out[ROW_END_BYTES], const struct row *row)
{
    out[0] = (uint8_t)row->kind;
    switch (row->kind) {
    case ROW_PAIR:
        put_number(out + 1, 2, row->key.length);
        put_number(out + 3, 4, row->record.length);
        return ROW_PAIR_HEADER_BYTES;
    case ROW_SESSION:
        put_number(out + 1, 8, row->session.client);
        put_number(out + 9, 4, row->record.length);
        return ROW_SESSION_HEADER_BYTES;
    case ROW_END:
        break;
    }
    put_number(out + 1, 8, row->pair_count);
    put_number(out + 9, 8, row->session_count);
    return ROW_END_BYTES;
}

int row_append(struct buffer *out, const struct row *row)
{
    uint8_t header[ROW_END_BYTES];
    int code = buffer_reserve(out, row_bytes(row)); /* all of the row or nothing */
    if (code == CAIRN_OK)
        code = buffer_append(out, header, header_encode(header, row));
    if (code == CAIRN_OK)
        code = buffer_append(out, row->key.data, row->key.length);
    if (code == CAIRN_OK)
        code = buffer_append(out, row->record.data, row->record.length);
    return code;
}

/* --- from bytes ---------------------------------------------------------------------------------
 */

/* Cuts `length` bytes off the front. */
static bool cut(struct slice *rest, size_t length, struct slice *front)
{
    if (length > rest->length)
        return false;
    *front = (struct slice){rest->data, length};
    rest->data += length;
    rest->length -= length;
    return true;
}

static int take_pair(struct slice *rest, struct row *row)
{
    struct slice header;
    if (!cut(rest, ROW_PAIR_HEADER_BYTES, &header) ||
        !cut(rest, (size_t)get_number(header.data + 1, 2), &row->key) ||
        !cut(rest, (size_t)get_number(header.data + 3, 4), &row->record))
        return CAIRN_EPROTO;
    return pair_check(row);
}

static int take_session(struct slice *rest, uint32_t partition, struct row *row)
{
    struct slice header;
    if (!cut(rest, ROW_SESSION_HEADER_BYTES, &header) ||
        !cut(rest, (size_t)get_number(header.data + 9, 4), &row->record))
        return CAIRN_EPROTO;
    return session_check(row, partition, get_number(header.data + 1, 8));
}

static int take_end(struct slice *rest, struct row *row)
{
    struct slice bytes;
    if (!cut(rest, ROW_END_BYTES, &bytes))
        return CAIRN_EPROTO;
    row->pair_count = get_number(bytes.data + 1, 8);
    row->session_count = get_number(bytes.data + 9, 8);
    return CAIRN_OK;
}

int row_take(struct slice *rest, uint32_t partition, struct row *row)
{
    int code = CAIRN_EPROTO;
    if (rest->length == 0)
        return CAIRN_EPROTO;
    *row = (struct row){.kind = (enum row_kind)rest->data[0]};
    if (row->kind == ROW_PAIR)
        code = take_pair(rest, row);
    else if (row->kind == ROW_SESSION)
        code = take_session(rest, partition, row);
    else if (row->kind == ROW_END)
        code = take_end(rest, row);
    return code == CAIRN_OK ? CAIRN_OK : CAIRN_EPROTO;
}

/* --- order --------------------------------------------------------------------------------------
 */

static int follow_pair(struct row_progress *progress, const struct row *row)
{
    if (progress->session_count > 0 ||
        (progress->last_key_length > 0 &&
         key_compare(row->key.data, row->key.length, progress->last_key,
                     progress->last_key_length) <= 0))
        return CAIRN_EPROTO;
    memcpy(progress->last_key, row->key.data, row->key.length);
    progress->last_key_length = (uint32_t)row->key.length;
    progress->pair_count++;
    return CAIRN_OK;
}

int row_follow(struct row_progress *progress, const struct row *row)
{
    if (progress->ended)
        return CAIRN_EPROTO;
    if (row->kind == ROW_PAIR)
        return follow_pair(progress, row);
    if (row->kind == ROW_SESSION) {
        if (progress->session_count > 0 && row->session.client <= progress->last_client)
            return CAIRN_EPROTO;
        progress->last_client = row->session.client;
        progress->session_count++;
        return CAIRN_OK;
    }
    progress->ended = true;
    return row->pair_count == progress->pair_count && row->session_count == progress->session_count
               ? CAIRN_OK
               : CAIRN_EPROTO;
}
