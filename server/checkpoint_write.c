/* What one checkpoint transaction writes: items in key order, expiry rows, sessions, positions.
 *
 * W5: a partition's data, sessions and position are in one transaction, so that LMDB always holds
 * the state at exactly the position it names. Every function may run twice on the same frozen
 * state: the transaction starts anew when the map grew (W7). */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "server/checkpoint.h"
#include "server/position_write.h"
#include "server/value.h"

struct transaction {
    struct frozen *frozen;
    size_t first, count;
    uint64_t sweep_limit;
    struct checkpoint_pace *pace;
    uint64_t rows_before; /* it: a transaction that starts anew counts its rows anew */
};

static struct slice key_slice(const struct stored_key *key)
{
    return (struct slice){.data = key->bytes, .length = key->length};
}

static const struct slice nothing = {NULL, 0};

/* An absent row is no failure where a row is to go. */
static int absent_is_fine(int code)
{
    return code == CAIRN_ENOTFOUND ? CAIRN_OK : code;
}

static bool is_expired(uint64_t expires_ms, uint64_t log_time_ms)
{
    return expires_ms != 0 && expires_ms <= log_time_ms;
}

/* --- data and expiry ----------------------------------------------------------------------------
 */

/* Keeps the expiry table in step: one row for each row of data that expires. It is written even if
 * it should be there (repair_expiry_put). */
static int move_expiry(struct lmdb_writer *writer, uint32_t partition, const struct item *item,
                       uint64_t old_ms, uint64_t new_ms)
{
    struct stored_key key;
    int code = CAIRN_OK;
    if (old_ms != 0 && old_ms != new_ms) {
        expiry_key(&key, partition, old_ms, item->bytes, item->key_length);
        code = absent_is_fine(lmdb_delete(writer, LMDB_EXPIRY, key_slice(&key)));
    }
    if (code == CAIRN_OK && new_ms != 0) {
        expiry_key(&key, partition, new_ms, item->bytes, item->key_length);
        code = lmdb_put(writer, LMDB_EXPIRY, key_slice(&key), nothing, nothing);
    }
    return code;
}

/* Finds the row's expiry as LMDB has it; 0 without a row or an expiry. */
static int stored_expiry(struct lmdb_writer *writer, struct slice key, bool *found,
                         uint64_t *expires_ms)
{
    struct slice row;
    struct store_value value;
    uint64_t checksum;
    int code = lmdb_find(writer, LMDB_DATA, key, &row);
    *found = code == CAIRN_OK;
    *expires_ms = 0;
    /* A damaged row is about to be replaced; its expiry row, if any, is the sweep's to drop. */
    if (*found && value_decode(row.data, row.length, &value, &checksum) == CAIRN_OK)
        *expires_ms = value.expires_ms;
    return absent_is_fine(code);
}

static int write_item(struct lmdb_writer *writer, uint32_t partition, const struct item *item,
                      uint64_t log_time_ms, struct store_keys *keys)
{
    struct stored_key key;
    bool found;
    uint64_t old_ms;
    data_key(&key, partition, item->bytes, item->key_length);
    int code = stored_expiry(writer, key_slice(&key), &found, &old_ms);
    if (code != CAIRN_OK)
        return code;
    /* S2: an entry with this log time is committed, so the key is absent for good. */
    bool gone = item->version == 0 || is_expired(item->expires_ms, log_time_ms);
    if (gone && found)
        store_keys_take(keys, item->bytes, item->key_length);
    else if (!gone && !found)
        store_keys_add(keys, item->bytes, item->key_length);
    if (gone && found) {
        code = lmdb_delete(writer, LMDB_DATA, key_slice(&key));
    } else if (!gone) {
        uint8_t header[VALUE_HEADER_BYTES];
        value_encode_header(header, item);
        code = lmdb_put(writer, LMDB_DATA, key_slice(&key), (struct slice){header, sizeof(header)},
                        (struct slice){item_value(item), item->value_length});
    }
    if (code != CAIRN_OK)
        return code;
    return move_expiry(writer, partition, item, old_ms, gone ? 0 : item->expires_ms);
}

static int write_items(struct lmdb_writer *writer, const struct frozen_partition *frozen,
                       struct store_keys *keys, struct checkpoint_pace *pace)
{
    for (struct item *item = memtable_first(&frozen->items); item != NULL;
         item = memtable_next(item)) {
        int code = write_item(writer, frozen->partition, item, frozen->position.log_time_ms, keys);
        if (code != CAIRN_OK)
            return code;
        checkpoint_pace_row(pace);
    }
    return CAIRN_OK;
}

/* Drops one expired key that the expiry row names, and the row. */
static int reclaim(struct lmdb_writer *writer, uint32_t partition, const struct stored_key *row,
                   uint64_t expires_ms, struct store_keys *keys)
{
    struct stored_key key;
    bool found;
    uint64_t stored_ms;
    data_key(&key, partition, row->bytes + EXPIRY_PREFIX_BYTES, row->length - EXPIRY_PREFIX_BYTES);
    int code = stored_expiry(writer, key_slice(&key), &found, &stored_ms);
    if (code == CAIRN_OK && found && stored_ms == expires_ms) {
        store_keys_take(keys, key.bytes + PREFIX_BYTES, key.length - PREFIX_BYTES);
        code = lmdb_delete(writer, LMDB_DATA, key_slice(&key));
    }
    if (code != CAIRN_OK)
        return code;
    return lmdb_delete(writer, LMDB_EXPIRY, key_slice(row));
}

/* Reclaims expired keys that nobody touches. What readers see does not change: the frozen log time
 * is beyond their expiry (S2). */
static int sweep(struct lmdb_writer *writer, struct frozen_partition *frozen, uint64_t *limit,
                 struct store_keys *keys)
{
    frozen->sweep_left = false;
    for (;;) {
        struct stored_key from, row;
        struct slice found, value;
        expiry_key(&from, frozen->partition, 0, NULL, 0);
        int code = lmdb_find_from(writer, LMDB_EXPIRY, key_slice(&from), &found, &value);
        if (code != CAIRN_OK)
            return absent_is_fine(code);
        if (found.length < EXPIRY_PREFIX_BYTES || found.length > sizeof(row.bytes))
            return CAIRN_ECORRUPT;
        uint64_t expires_ms = big_endian_u64(found.data + PREFIX_BYTES);
        if (partition_prefix(found.data) != frozen->partition ||
            expires_ms > frozen->position.log_time_ms)
            return CAIRN_OK;
        if (*limit == 0) {
            frozen->sweep_left = true;
            return CAIRN_OK;
        }
        --*limit;
        memcpy(row.bytes, found.data, found.length);
        row.length = (uint32_t)found.length;
        code = reclaim(writer, frozen->partition, &row, expires_ms, keys);
        if (code != CAIRN_OK)
            return code;
    }
}

/* --- sessions and positions ---------------------------------------------------------------------
 */

static int compare_clients(const void *left, const void *right)
{
    const struct session_frozen *a = left, *b = right;
    return (a->record.client > b->record.client) - (a->record.client < b->record.client);
}

static int write_sessions(struct lmdb_writer *writer, const struct frozen_partition *frozen)
{
    struct stored_key key;
    const struct session *session;
    /* Removed ones first: a client may have come back under its number. */
    TAILQ_FOREACH(session, &frozen->removed, used)
    {
        session_key(&key, frozen->partition, session->client);
        int code = absent_is_fine(lmdb_delete(writer, LMDB_SESSIONS, key_slice(&key)));
        if (code != CAIRN_OK)
            return code;
    }
    for (size_t i = 0; i < frozen->session_count; i++) {
        const struct session_record *record = &frozen->sessions[i].record;
        uint8_t header[SESSION_HEADER_BYTES];
        session_key(&key, frozen->partition, record->client);
        session_encode_header(header, &key, record);
        int code =
            lmdb_put(writer, LMDB_SESSIONS, key_slice(&key), (struct slice){header, sizeof(header)},
                     (struct slice){record->old_value, record->old_value_length});
        if (code != CAIRN_OK)
            return code;
    }
    return CAIRN_OK;
}

static int write_partition(struct lmdb_writer *writer, struct frozen_partition *frozen,
                           uint64_t *sweep_limit, struct checkpoint_pace *pace)
{
    const struct store_position *position = &frozen->position;
    /* The record may say by now that the install has ended, or not yet that it began. */
    if (position->installing)
        return position_write_seen(writer, frozen->partition, position->history,
                                   position->seen_epoch);
    struct store_keys keys;
    bool known;
    int code = position_keys_find(writer, frozen->partition, &keys, &known);
    if (code == CAIRN_OK)
        code = write_items(writer, frozen, &keys, pace);
    if (code == CAIRN_OK)
        code = sweep(writer, frozen, sweep_limit, &keys);
    if (code == CAIRN_OK && known)
        code = position_keys_put(writer, frozen->partition, &keys);
    if (code == CAIRN_OK)
        code = write_sessions(writer, frozen);
    if (code == CAIRN_OK)
        code = position_write(writer, frozen->partition, position);
    return code;
}

static int fill(void *context, struct lmdb_writer *writer)
{
    const struct transaction *transaction = context;
    uint64_t limit = transaction->sweep_limit;
    int code = CAIRN_OK;
    transaction->pace->rows = transaction->rows_before;
    for (size_t i = 0; code == CAIRN_OK && i < transaction->count; i++)
        code = write_partition(writer, &transaction->frozen->partitions[transaction->first + i],
                               &limit, transaction->pace);
    return code;
}

int checkpoint_write(struct lmdb *lmdb, struct frozen *frozen, size_t first, size_t count,
                     uint64_t sweep_limit, struct checkpoint_pace *pace, struct error *error)
{
    CHECK(count > 0 && first + count <= frozen->count);
    struct transaction transaction = {frozen, first, count, sweep_limit, pace, pace->rows};
    uint64_t bytes = 0;
    for (size_t i = first; i < first + count; i++) {
        struct frozen_partition *partition = &frozen->partitions[i];
        bytes += partition->estimate_bytes;
        if (partition->session_count > 1)
            qsort(partition->sessions, partition->session_count, sizeof(*partition->sessions),
                  compare_clients);
    }
    /* Twice for the expiry rows, once more for pages above the leaves. */
    return lmdb_write(lmdb, 3 * bytes, fill, &transaction, error);
}
