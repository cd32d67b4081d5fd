/* See scrub_store.h. */
#include "server/scrub_store.h"

#include <string.h>

#include "base/check.h"
#include "server/store_state.h"

int scrub_slice_open(struct store *store, const struct scrub_pass *pass, struct scrub_slice *slice)
{
    slice->pass = *pass;
    slice->values = slice->bytes = slice->cost = 0;
    slice->bad_count = 0;
    if (slice->pass.table == LMDB_META) {
        slice->pass.table = LMDB_DATA;
        slice->pass.at.length = 0;
    }
    return lmdb_snapshot_open(store->lmdb, &slice->snapshot);
}

void scrub_slice_close(struct scrub_slice *slice)
{
    lmdb_snapshot_close(slice->snapshot);
    slice->snapshot = NULL;
}

static void note_bad(struct scrub_slice *slice, uint32_t partition, struct slice key)
{
    CHECK(slice->bad_count < SCRUB_BAD_LIMIT);
    struct scrub_bad *bad = &slice->bad[slice->bad_count++];
    bad->partition = partition;
    bad->expiry = false;
    bad->key.length = key.length <= CAIRN_KEY_LIMIT ? (uint32_t)key.length : 0;
    if (bad->key.length > 0)
        memcpy(bad->key.bytes, key.data, bad->key.length);
}

static bool is_sound_session(uint32_t partition, struct slice rest, struct slice record)
{
    struct stored_key key;
    struct session_record session;
    if (rest.length != sizeof(uint64_t) || partition >= CAIRN_PARTITIONS_LIMIT)
        return false;
    session_key(&key, partition, big_endian_u64(rest.data));
    return session_decode(&key, record.data, record.length, true, &session) == CAIRN_OK;
}

/* S2: without that row nothing would reclaim the value once it has expired. */
static void look_for_expiry(struct scrub_slice *slice, uint32_t partition, struct slice key,
                            uint64_t expires_ms)
{
    struct stored_key row;
    struct slice nothing;
    slice->cost += SCRUB_ROW_BYTES;
    expiry_key(&row, partition, expires_ms, key.data, (uint32_t)key.length);
    if (lmdb_snapshot_read(slice->snapshot, LMDB_EXPIRY, (struct slice){row.bytes, row.length},
                           &nothing) != CAIRN_ENOTFOUND)
        return;
    note_bad(slice, partition, key);
    slice->bad[slice->bad_count - 1].expiry = true;
}

static void look_at(struct scrub_slice *slice, struct slice key, struct slice record)
{
    struct store_value value;
    if (key.length < PREFIX_BYTES) {
        note_bad(slice, UINT32_MAX, (struct slice){NULL, 0});
        return;
    }
    uint32_t partition = partition_prefix(key.data);
    struct slice rest = {key.data + PREFIX_BYTES, key.length - PREFIX_BYTES};
    if (slice->pass.table == LMDB_SESSIONS) {
        if (!is_sound_session(partition, rest, record))
            note_bad(slice, partition, (struct slice){NULL, 0});
        return;
    }
    slice->values++;
    if (rest.length == 0 || rest.length > CAIRN_KEY_LIMIT ||
        value_decode_checked(record.data, record.length, rest.data, (uint32_t)rest.length,
                             &value) != CAIRN_OK)
        note_bad(slice, partition, rest);
    else if (value.expires_ms != 0)
        look_for_expiry(slice, partition, rest, value.expires_ms);
}

/* The row behind the last one that was read. */
static int find(struct scrub_slice *slice, bool first, struct slice *key, struct slice *record)
{
    const struct stored_key *at = &slice->pass.at;
    if (!first)
        return lmdb_snapshot_next(slice->snapshot, slice->pass.table, key, record);
    static const uint8_t least[PREFIX_BYTES]; /* LMDB takes no empty key */
    int code = lmdb_snapshot_seek(slice->snapshot, slice->pass.table,
                                  at->length == 0 ? (struct slice){least, sizeof(least)}
                                                  : (struct slice){at->bytes, at->length},
                                  key, record);
    if (code == CAIRN_OK && at->length > 0 && key->length == at->length &&
        memcmp(key->data, at->bytes, at->length) == 0)
        code = lmdb_snapshot_next(slice->snapshot, slice->pass.table, key, record);
    return code;
}

static void end_table(struct scrub_slice *slice)
{
    slice->pass.done = slice->pass.table == LMDB_SESSIONS;
    slice->pass.table = LMDB_SESSIONS;
    slice->pass.at.length = 0;
}

static void read_rows(struct scrub_slice *slice, size_t limit_bytes)
{
    bool first = true;
    while (slice->cost < limit_bytes && !slice->pass.done && slice->bad_count < SCRUB_BAD_LIMIT) {
        struct slice key, record;
        int code = find(slice, first, &key, &record);
        first = code != CAIRN_OK;
        if (code != CAIRN_OK) {
            if (code != CAIRN_ENOTFOUND) /* a page: what lies behind it cannot be read */
                note_bad(slice, UINT32_MAX, (struct slice){NULL, 0});
            end_table(slice);
            continue;
        }
        slice->bytes += key.length + record.length;
        slice->cost += key.length + record.length + SCRUB_ROW_BYTES;
        look_at(slice, key, record);
        slice->pass.at.length =
            key.length <= sizeof(slice->pass.at.bytes) ? (uint32_t)key.length : 0;
        memcpy(slice->pass.at.bytes, key.data, slice->pass.at.length);
    }
}

void scrub_slice_read(struct scrub_slice *slice, size_t limit_bytes)
{
    if (!lmdb_snapshot_enter(slice->snapshot))
        return; /* the map grew: the next slice reads it */
    read_rows(slice, limit_bytes);
    lmdb_snapshot_leave(slice->snapshot);
}
