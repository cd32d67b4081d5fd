/* Codecs of the records in LMDB; the byte tables are in value.h. */
#include "server/value.h"

#include <endian.h>
#include <string.h>

#include "base/check.h"
#include "base/hash.h"

enum { RECORD_FORMAT = 1 };

static void put_u64(uint8_t *out, uint64_t number)
{
    uint64_t little = htole64(number);
    memcpy(out, &little, sizeof(little));
}

static uint64_t get_u64(const uint8_t *bytes)
{
    uint64_t little;
    memcpy(&little, bytes, sizeof(little));
    return le64toh(little);
}

static void put_u32(uint8_t *out, uint32_t number)
{
    uint32_t little = htole32(number);
    memcpy(out, &little, sizeof(little));
}

static uint32_t get_u32(const uint8_t *bytes)
{
    uint32_t little;
    memcpy(&little, bytes, sizeof(little));
    return le32toh(little);
}

static void put_prefix(uint8_t *out, uint32_t partition)
{
    CHECK(partition < CAIRN_PARTITIONS_LIMIT);
    uint16_t big = htobe16((uint16_t)partition);
    memcpy(out, &big, sizeof(big));
}

static void put_big_u64(uint8_t *out, uint64_t number)
{
    uint64_t big = htobe64(number);
    memcpy(out, &big, sizeof(big));
}

uint16_t partition_prefix(const uint8_t *key)
{
    uint16_t big;
    memcpy(&big, key, sizeof(big));
    return be16toh(big);
}

uint64_t big_endian_u64(const uint8_t *bytes)
{
    uint64_t big;
    memcpy(&big, bytes, sizeof(big));
    return be64toh(big);
}

/* --- keys ---------------------------------------------------------------------------------------
 */

void data_key(struct stored_key *out, uint32_t partition, const uint8_t *key, uint32_t key_length)
{
    CHECK(key_length <= CAIRN_KEY_LIMIT);
    put_prefix(out->bytes, partition);
    if (key_length > 0)
        memcpy(out->bytes + PREFIX_BYTES, key, key_length);
    out->length = PREFIX_BYTES + key_length;
}

void expiry_key(struct stored_key *out, uint32_t partition, uint64_t expires_ms, const uint8_t *key,
                uint32_t key_length)
{
    CHECK(key_length <= CAIRN_KEY_LIMIT);
    put_prefix(out->bytes, partition);
    put_big_u64(out->bytes + PREFIX_BYTES, expires_ms);
    if (key_length > 0)
        memcpy(out->bytes + EXPIRY_PREFIX_BYTES, key, key_length);
    out->length = EXPIRY_PREFIX_BYTES + key_length;
}

void session_key(struct stored_key *out, uint32_t partition, uint64_t client)
{
    put_prefix(out->bytes, partition);
    put_big_u64(out->bytes + PREFIX_BYTES, client);
    out->length = PREFIX_BYTES + sizeof(client);
}

void position_key(struct stored_key *out, uint32_t partition)
{
    out->bytes[0] = 'p';
    put_prefix(out->bytes + 1, partition);
    out->length = 1 + PREFIX_BYTES;
}

void keys_key(struct stored_key *out, uint32_t partition)
{
    out->bytes[0] = 'k';
    put_prefix(out->bytes + 1, partition);
    out->length = 1 + PREFIX_BYTES;
}

void format_key(struct stored_key *out)
{
    static const char name[] = "format";
    memcpy(out->bytes, name, sizeof(name) - 1);
    out->length = sizeof(name) - 1;
}

/* --- values -------------------------------------------------------------------------------------
 */

uint64_t value_checksum(const uint8_t *key, uint32_t key_length, const struct store_value *value)
{
    /* A hash of hashes: as strong as one over the concatenation, and three one-shot calls are much
     * faster than XXH3's streaming state. */
    uint8_t parts[48];
    put_u64(parts, value->version);
    put_u64(parts + 8, value->modified);
    put_u64(parts + 16, value->expires_ms);
    put_u64(parts + 24, hash_bytes(key, key_length));
    put_u64(parts + 32, value->length == 0 ? 0 : hash_bytes(value->data, value->length));
    put_u32(parts + 40, key_length);
    put_u32(parts + 44, value->length);
    return hash_bytes(parts, sizeof(parts));
}

void value_encode_header(uint8_t out[VALUE_HEADER_BYTES], const struct item *item)
{
    out[0] = RECORD_FORMAT;
    put_u64(out + 1, item->version);
    put_u64(out + 9, item->modified);
    put_u64(out + 17, item->expires_ms);
    put_u64(out + 25, item->checksum);
}

int value_decode(const uint8_t *bytes, size_t length, struct store_value *value, uint64_t *checksum)
{
    if (length < VALUE_HEADER_BYTES || length > VALUE_HEADER_BYTES + (size_t)CAIRN_VALUE_LIMIT ||
        bytes[0] != RECORD_FORMAT)
        return CAIRN_ECORRUPT;
    value->version = get_u64(bytes + 1);
    value->modified = get_u64(bytes + 9);
    value->expires_ms = get_u64(bytes + 17);
    *checksum = get_u64(bytes + 25);
    value->data = bytes + VALUE_HEADER_BYTES;
    value->length = (uint32_t)(length - VALUE_HEADER_BYTES);
    return CAIRN_OK;
}

int value_decode_checked(const uint8_t *bytes, size_t length, const uint8_t *key,
                         uint32_t key_length, struct store_value *value)
{
    uint64_t checksum;
    int result = value_decode(bytes, length, value, &checksum);
    if (result != CAIRN_OK)
        return result;
    return value_checksum(key, key_length, value) == checksum ? CAIRN_OK : CAIRN_ECORRUPT;
}

/* --- sessions -----------------------------------------------------------------------------------
 */

enum { SESSION_CHECKED_BYTES = 36 };

static uint64_t session_checksum(const struct stored_key *key,
                                 const uint8_t header[SESSION_HEADER_BYTES])
{
    return hash_seeded(header, SESSION_CHECKED_BYTES, hash_bytes(key->bytes, key->length));
}

static uint64_t old_value_checksum(const struct session_record *record)
{
    return record->old_value_length == 0 ? 0
                                         : hash_bytes(record->old_value, record->old_value_length);
}

void session_encode_header(uint8_t out[SESSION_HEADER_BYTES], const struct stored_key *key,
                           const struct session_record *record)
{
    out[0] = RECORD_FORMAT;
    out[1] = (uint8_t)record->code;
    out[2] = record->existed ? 1 : 0;
    out[3] = record->has_old_value ? 1 : 0;
    put_u64(out + 4, record->number);
    put_u64(out + 12, record->used_ms);
    put_u64(out + 20, record->version);
    put_u64(out + 28, old_value_checksum(record));
    put_u64(out + SESSION_CHECKED_BYTES, session_checksum(key, out));
}

int session_decode(const struct stored_key *key, const uint8_t *bytes, size_t length,
                   bool with_old_value, struct session_record *record)
{
    if (key->length != PREFIX_BYTES + sizeof(record->client) || length < SESSION_HEADER_BYTES ||
        length > SESSION_HEADER_BYTES + (size_t)CAIRN_VALUE_LIMIT || bytes[0] != RECORD_FORMAT ||
        get_u64(bytes + SESSION_CHECKED_BYTES) != session_checksum(key, bytes))
        return CAIRN_ECORRUPT;
    record->client = big_endian_u64(key->bytes + PREFIX_BYTES);
    record->code = (enum outcome_code)bytes[1];
    record->existed = bytes[2] != 0;
    record->has_old_value = bytes[3] != 0;
    record->number = get_u64(bytes + 4);
    record->used_ms = get_u64(bytes + 12);
    record->version = get_u64(bytes + 20);
    record->old_value = bytes + SESSION_HEADER_BYTES;
    record->old_value_length = (uint32_t)(length - SESSION_HEADER_BYTES);
    if (with_old_value && old_value_checksum(record) != get_u64(bytes + 28))
        return CAIRN_ECORRUPT;
    return CAIRN_OK;
}

/* --- positions and the format -------------------------------------------------------------------
 */

enum { POSITION_CHECKED_BYTES = POSITION_BYTES - 8 };

/* The checksum is the last field in each version. */
static bool position_is_whole(const uint8_t *bytes, size_t length, uint32_t partition)
{
    if (length != POSITION_BYTES && length != POSITION_BYTES_1_0)
        return false;
    size_t checked = length - sizeof(uint64_t);
    return get_u64(bytes + checked) == hash_seeded(bytes, checked, partition);
}

void position_encode(uint8_t out[POSITION_BYTES], uint32_t partition,
                     const struct store_position *position)
{
    put_u64(out, position->history);
    put_u64(out + 8, position->epoch);
    put_u64(out + 16, position->index);
    put_u64(out + 24, position->log_time_ms);
    put_u64(out + 32, position->seen_epoch);
    put_u64(out + 40, position->install);
    put_u64(out + 48, position->installing ? 1 : 0);
    put_u64(out + POSITION_CHECKED_BYTES, hash_seeded(out, POSITION_CHECKED_BYTES, partition));
}

int position_decode(const uint8_t *bytes, size_t length, uint32_t partition,
                    struct store_position *position)
{
    *position = (struct store_position){0};
    if (!position_is_whole(bytes, length, partition))
        return CAIRN_ECORRUPT;
    position->history = get_u64(bytes);
    position->epoch = get_u64(bytes + 8);
    position->index = get_u64(bytes + 16);
    position->log_time_ms = get_u64(bytes + 24);
    position->seen_epoch = get_u64(bytes + 32);
    if (length == POSITION_BYTES_1_0)
        return CAIRN_OK;
    position->install = get_u64(bytes + 40);
    position->installing = get_u64(bytes + 48) != 0;
    return CAIRN_OK;
}

bool position_raise_seen(struct store_position *position, uint64_t history, uint64_t epoch)
{
    if (history < position->history ||
        (history == position->history && epoch <= position->seen_epoch))
        return false;
    position->history = history;
    position->seen_epoch = epoch;
    return true;
}

void store_keys_add(struct store_keys *keys, const uint8_t *key, size_t key_length)
{
    keys->rows++;
    keys->sum += hash_bytes(key, key_length);
}

void store_keys_take(struct store_keys *keys, const uint8_t *key, size_t key_length)
{
    keys->rows--;
    keys->sum -= hash_bytes(key, key_length);
}

void keys_encode(uint8_t out[KEYS_BYTES], uint32_t partition, const struct store_keys *keys)
{
    put_u64(out, keys->rows);
    put_u64(out + 8, keys->sum);
    put_u64(out + 16, hash_seeded(out, 16, partition));
}

int keys_decode(const uint8_t *bytes, size_t length, uint32_t partition, struct store_keys *keys)
{
    *keys = (struct store_keys){0};
    if (length != KEYS_BYTES || get_u64(bytes + 16) != hash_seeded(bytes, 16, partition))
        return CAIRN_ECORRUPT;
    *keys = (struct store_keys){.rows = get_u64(bytes), .sum = get_u64(bytes + 8)};
    return CAIRN_OK;
}

void format_encode(uint8_t out[FORMAT_BYTES], uint32_t partitions)
{
    put_u32(out, STORE_FORMAT_MAJOR);
    put_u32(out + 4, STORE_FORMAT_MINOR);
    put_u32(out + 8, partitions);
}

int format_decode(const uint8_t *bytes, size_t length, uint32_t *major, uint32_t *partitions)
{
    if (length < FORMAT_BYTES) /* a newer one may be longer, but begins alike */
        return CAIRN_ECORRUPT;
    *major = get_u32(bytes);
    *partitions = get_u32(bytes + 8);
    return CAIRN_OK;
}
