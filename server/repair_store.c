/* See repair_store.h. */
#include "server/repair_store.h"

#include "base/check.h"
#include "server/store_state.h"
#include "server/value.h"

static bool is_in_memory(const struct store_partition *at, const uint8_t *key, uint32_t key_length)
{
    return memtable_find(&at->live, key, key_length) != NULL ||
           (at->frozen != NULL && memtable_find(at->frozen, key, key_length) != NULL);
}

enum repair_row repair_row_look(struct store *store, uint32_t partition, const uint8_t *key,
                                uint32_t key_length, uint64_t *offset)
{
    struct stored_key stored;
    struct slice row;
    struct store_value value;
    *offset = 0;
    if (is_in_memory(store_at_const(store, partition), key, key_length))
        return REPAIR_ROW_HIDDEN;
    data_key(&stored, partition, key, key_length);
    int code = lmdb_read(store->lmdb, LMDB_DATA, (struct slice){stored.bytes, stored.length}, &row);
    if (code == CAIRN_ENOTFOUND)
        return REPAIR_ROW_SOUND;
    if (code == CAIRN_OK)
        *offset = lmdb_offset(store->lmdb, row.data);
    if (code == CAIRN_OK &&
        value_decode_checked(row.data, row.length, key, key_length, &value) == CAIRN_OK)
        return REPAIR_ROW_SOUND;
    return REPAIR_ROW_BAD;
}

const char *repair_row_path(const struct store *store)
{
    return lmdb_path(store->lmdb);
}

bool repair_value_fits(const struct repair_value *from, const struct store_position *checkpointed,
                       const uint8_t *key, uint32_t key_length)
{
    return !checkpointed->installing && from->applied_index >= checkpointed->index &&
           from->value.modified <= checkpointed->index && from->value.version != 0 &&
           value_checksum(key, key_length, &from->value) == from->checksum;
}

static void put_live(struct store *store, struct store_partition *at, struct item *item)
{
    uint64_t before = at->live.bytes;
    CHECK(!is_in_memory(at, item->bytes, item->key_length) && !at->applied.installing);
    memtable_put(&at->live, item);
    store->live_bytes += at->live.bytes - before;
    store_touch(store, at);
}

int repair_absence_put(struct store *store, uint32_t partition, const uint8_t *key,
                       uint32_t key_length)
{
    struct store_partition *at = store_at(store, partition);
    struct item *item = item_create(key, key_length, NULL, 0);
    if (item == NULL)
        return CAIRN_ENOMEM;
    item->version = 0;
    item->modified = at->applied.index;
    put_live(store, at, item);
    return CAIRN_OK;
}

/* The sound row of a key that expires and is in no memory table. */
static int find_expiring(struct store *store, uint32_t partition, const uint8_t *key,
                         uint32_t key_length, struct store_value *value, uint64_t *checksum)
{
    struct stored_key stored;
    struct slice row;
    data_key(&stored, partition, key, key_length);
    int code = lmdb_read(store->lmdb, LMDB_DATA, (struct slice){stored.bytes, stored.length}, &row);
    if (code == CAIRN_OK)
        code = value_decode_checked(row.data, row.length, key, key_length, value);
    if (code == CAIRN_OK)
        code = value_decode(row.data, row.length, value, checksum);
    return code == CAIRN_OK && value->expires_ms != 0 ? CAIRN_OK : CAIRN_ENOTFOUND;
}

int repair_expiry_put(struct store *store, uint32_t partition, const uint8_t *key,
                      uint32_t key_length)
{
    struct store_partition *at = store_at(store, partition);
    struct stored_key stored;
    struct slice row;
    struct repair_value own = {0};
    if (is_in_memory(at, key, key_length))
        return CAIRN_ENOTFOUND;
    int code = find_expiring(store, partition, key, key_length, &own.value, &own.checksum);
    if (code != CAIRN_OK)
        return code;
    expiry_key(&stored, partition, own.value.expires_ms, key, key_length);
    code = lmdb_read(store->lmdb, LMDB_EXPIRY, (struct slice){stored.bytes, stored.length}, &row);
    if (code != CAIRN_ENOTFOUND)
        return CAIRN_ENOTFOUND;
    return repair_value_put(store, partition, key, key_length, &own);
}

int repair_value_put(struct store *store, uint32_t partition, const uint8_t *key,
                     uint32_t key_length, const struct repair_value *from)
{
    struct store_partition *at = store_at(store, partition);
    struct item *item = item_create(key, key_length, from->value.data, from->value.length);
    if (item == NULL)
        return CAIRN_ENOMEM;
    item->version = from->value.version;
    item->modified = from->value.modified;
    item->expires_ms = from->value.expires_ms;
    item->checksum = from->checksum;
    put_live(store, at, item);
    return CAIRN_OK;
}
