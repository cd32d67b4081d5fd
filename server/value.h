/* How values, sessions and positions lie in LMDB, byte by byte (W8, W9).
 *
 * All numbers in values are little-endian; numbers in keys are big-endian, so that LMDB's bytewise
 * order is theirs. One environment holds four tables:
 *
 *   table     key                                          value
 *   data      u16 partition, user key (1 to 480)           value record
 *   expiry    u16 partition, u64 expires_ms, user key      empty
 *   sessions  u16 partition, u64 client                    session record
 *   meta      "format"                                     u32 major, u32 minor, u32 partitions
 *             'p', u16 partition                           position record
 *             'k', u16 partition                           keys record
 *
 *   value record                      session record                    position record
 *    0  u8  format, 1                  0  u8  format, 1                  0  u64 history
 *    1  u64 version, from 1            1  u8  outcome code               8  u64 epoch
 *    9  u64 modified, a log index      2  u8  existed, 0 or 1           16  u64 index
 *   17  u64 expires_ms, 0 never        3  u8  has an old value, 0 or 1  24  u64 log_time_ms
 *   25  u64 checksum                   4  u64 number                    32  u64 seen_epoch
 *   33  the value                     12  u64 used_ms                   40  u64 install
 *                                     20  u64 version                   48  u64 installing, 0 or 1
 *                                     28  u64 checksum of the old value 56  u64 checksum
 *                                     36  u64 checksum of key and 0..35
 *                                     44  the old value
 *
 * A keys record: u64 pairs of the partition; u64 sum of the hashes of their keys; u64 checksum of
 * these, seeded with the partition's number.
 *
 * Format 2. A position record of format 1 ends with its checksum at 40: never installed (W9). The
 * first position that is written raises the format.
 * The expiry table has exactly one row for each row of data whose expires_ms is not 0.
 * Checksums are XXH3-64 (see value_checksum). */
#ifndef CAIRN_SERVER_VALUE_H
#define CAIRN_SERVER_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/limits.h"
#include "server/store.h"

enum {
    STORE_FORMAT_MAJOR = 2,
    STORE_FORMAT_MINOR = 0,
    STORE_FORMAT_OLDEST = 1, /* major; still read */
    VALUE_HEADER_BYTES = 33,
    SESSION_HEADER_BYTES = 44,
    POSITION_BYTES = 64,
    POSITION_BYTES_1_0 = 48, /* of format 1: still read, never written */
    KEYS_BYTES = 24,
    FORMAT_BYTES = 12,
    PREFIX_BYTES = 2,
    EXPIRY_PREFIX_BYTES = 10,
    STORED_KEY_BYTES = EXPIRY_PREFIX_BYTES + CAIRN_KEY_LIMIT, /* the longest key of any table */
};
_Static_assert((int)STORED_KEY_BYTES <= 511, "LMDB's longest key");

/* A key of a table, with the room for the longest one. */
struct stored_key {
    uint32_t length;
    uint8_t bytes[STORED_KEY_BYTES];
};

void data_key(struct stored_key *out, uint32_t partition, const uint8_t *key, uint32_t key_length);
void expiry_key(struct stored_key *out, uint32_t partition, uint64_t expires_ms, const uint8_t *key,
                uint32_t key_length);
void session_key(struct stored_key *out, uint32_t partition, uint64_t client);
void position_key(struct stored_key *out, uint32_t partition);
void keys_key(struct stored_key *out, uint32_t partition);
void format_key(struct stored_key *out);

/* W8: of the user key, the header's fields and the value. */
uint64_t value_checksum(const uint8_t *key, uint32_t key_length, const struct store_value *value);
void value_encode_header(uint8_t out[VALUE_HEADER_BYTES], const struct item *item);
/* Splits a record into `value` and its checksum, unverified. CAIRN_ECORRUPT if it cannot be one. */
int value_decode(const uint8_t *bytes, size_t length, struct store_value *value,
                 uint64_t *checksum);
/* The same, verified (W8). */
int value_decode_checked(const uint8_t *bytes, size_t length, const uint8_t *key,
                         uint32_t key_length, struct store_value *value);

/* What is durable of a session (S3). */
struct session_record {
    uint64_t client, number, used_ms, version;
    enum outcome_code code;
    bool existed, has_old_value;
    const uint8_t *old_value;
    uint32_t old_value_length;
};
void session_encode_header(uint8_t out[SESSION_HEADER_BYTES], const struct stored_key *key,
                           const struct session_record *record);
/* Verifies the header, and the old value if `with_old_value`. CAIRN_ECORRUPT. */
int session_decode(const struct stored_key *key, const uint8_t *bytes, size_t length,
                   bool with_old_value, struct session_record *record);

void position_encode(uint8_t out[POSITION_BYTES], uint32_t partition,
                     const struct store_position *position);
/* Both lengths. CAIRN_ECORRUPT. */
int position_decode(const uint8_t *bytes, size_t length, uint32_t partition,
                    struct store_position *position);
/* Raises the highest epoch seen (R2), which never falls; a newer history (R9) starts anew. True if
 * that changed something. */
bool position_raise_seen(struct store_position *position, uint64_t history, uint64_t epoch);

/* The keys of one partition's pairs: how many, and the sum of their hashes. That a key is gone no
 * checksum of a row can tell; these can (W8). */
struct store_keys {
    uint64_t rows, sum;
};
void store_keys_add(struct store_keys *keys, const uint8_t *key, size_t key_length);
void store_keys_take(struct store_keys *keys, const uint8_t *key, size_t key_length);
void keys_encode(uint8_t out[KEYS_BYTES], uint32_t partition, const struct store_keys *keys);
int keys_decode(const uint8_t *bytes, size_t length, uint32_t partition, struct store_keys *keys);

void format_encode(uint8_t out[FORMAT_BYTES], uint32_t partitions);
int format_decode(const uint8_t *bytes, size_t length, uint32_t *major, uint32_t *partitions);

uint16_t partition_prefix(const uint8_t *key);
uint64_t big_endian_u64(const uint8_t *bytes);

#endif
