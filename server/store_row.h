/* The rows of a snapshot, as one store gives them to another (FORMATS.md).
 *
 *   pair                            session                         end
 *    0  u8  1                        0  u8  2                        0  u8  3
 *    1  u16 length of the key        1  u64 client                   1  u64 pairs before it
 *    3  u32 length of the record     9  u32 length of the record     9  u64 sessions before it
 *    7  user key                    13  session record
 *       value record
 *
 * Little-endian; the records are those of the store (value.h), with their checksums, so that each
 * row is verified on both sides (W8). Pairs come in key order, then sessions in order of clients,
 * then the end: what is missing, twice there or not in its place is seen. */
#ifndef CAIRN_SERVER_STORE_ROW_H
#define CAIRN_SERVER_STORE_ROW_H

#include "base/buffer.h"
#include "server/store_lmdb.h"
#include "server/value.h"

enum row_kind { ROW_PAIR = 1, ROW_SESSION = 2, ROW_END = 3 };

enum {
    ROW_PAIR_HEADER_BYTES = 7,
    ROW_SESSION_HEADER_BYTES = 13,
    ROW_END_BYTES = 17,
    ROW_LIMIT_BYTES = ROW_SESSION_HEADER_BYTES + CAIRN_KEY_LIMIT + SESSION_HEADER_BYTES +
                      CAIRN_VALUE_LIMIT, /* above the longest row */
};
_Static_assert((int)ROW_LIMIT_BYTES <= (int)CAIRN_RECORDS_LIMIT, "a row fits a message");

/* A row within somebody's bytes. */
struct row {
    enum row_kind kind;
    struct slice key;                   /* PAIR: the user key */
    struct slice record;                /* PAIR, SESSION */
    struct store_value value;           /* PAIR */
    struct session_record session;      /* SESSION */
    uint64_t pair_count, session_count; /* END */
};

/* Verifies all of a pair or session that LMDB has under `key`. CAIRN_ECORRUPT (W8). */
int row_of_pair(struct row *row, struct slice key, struct slice record);
int row_of_session(struct row *row, uint32_t partition, struct slice key, struct slice record);
size_t row_bytes(const struct row *row);
int row_append(struct buffer *out, const struct row *row);

/* Takes the row at the front of `*rest` and moves behind it. CAIRN_EPROTO: malformed, or it fails
 * its checksums as a row of the partition. */
int row_take(struct slice *rest, uint32_t partition, struct row *row);

/* How far a stream of rows has come. */
struct row_progress {
    uint64_t pair_count, session_count;
    bool ended;
    uint64_t last_client;
    uint32_t last_key_length; /* 0: no pair yet */
    uint8_t last_key[CAIRN_KEY_LIMIT];
};
/* CAIRN_EPROTO if the row cannot come next. */
int row_follow(struct row_progress *progress, const struct row *row);

#endif
