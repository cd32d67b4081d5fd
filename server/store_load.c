/* What opening a store reads from LMDB: format, positions, sessions (W9, S3). */
#include "base/check.h"
#include "server/store_state.h"
#include "server/value.h"

static struct slice key_slice(const struct stored_key *key)
{
    return (struct slice){.data = key->bytes, .length = key->length};
}

/* --- format -------------------------------------------------------------------------------------
 */

static int write_format(void *context, struct lmdb_writer *writer)
{
    const struct store *store = context;
    struct stored_key key;
    uint8_t bytes[FORMAT_BYTES];
    format_key(&key);
    format_encode(bytes, store->options.partitions);
    return lmdb_put(writer, LMDB_META, key_slice(&key), (struct slice){bytes, sizeof(bytes)},
                    (struct slice){NULL, 0});
}

/* A store without a format is one whose creation was cut short, if it is empty. */
static int format_create(struct store *store, const char *directory, struct error *error)
{
    struct lmdb_cursor *cursor;
    struct slice key, value;
    int code = lmdb_cursor_open(store->lmdb, LMDB_META, &cursor);
    if (code == CAIRN_OK)
        code = lmdb_cursor_seek(cursor, (struct slice){NULL, 0}, &key, &value);
    lmdb_cursor_close(cursor);
    lmdb_end_read(store->lmdb);
    if (code != CAIRN_ENOTFOUND || !lmdb_complete(store->lmdb))
        return error_set(error, CAIRN_ECORRUPT, "%s: holds no store of this program", directory);
    return lmdb_write(store->lmdb, 0, write_format, store, error);
}

static int format_check(struct store *store, const char *directory, struct error *error)
{
    struct stored_key key;
    struct slice value;
    uint32_t major = 0, partitions = 0;
    format_key(&key);
    int code = lmdb_read(store->lmdb, LMDB_META, key_slice(&key), &value);
    if (code == CAIRN_ENOTFOUND)
        return format_create(store, directory, error);
    if (code == CAIRN_OK)
        code = format_decode(value.data, value.length, &major, &partitions);
    if (code != CAIRN_OK)
        return error_set(error, code, "%s: its format cannot be read", directory);
    if (major > STORE_FORMAT_MAJOR) /* W9 */
        return error_set(error, CAIRN_EVERSION,
                         "%s: store has format %u, this program knows up to %u", directory,
                         (unsigned)major, (unsigned)STORE_FORMAT_MAJOR);
    if (major < STORE_FORMAT_OLDEST || !lmdb_complete(store->lmdb))
        return error_set(error, CAIRN_ECORRUPT, "%s: its format or a table is damaged", directory);
    if (partitions != store->options.partitions)
        return error_set(error, CAIRN_ECONFLICT, "%s: store has %u partitions, the cluster has %u",
                         directory, (unsigned)partitions, (unsigned)store->options.partitions);
    return CAIRN_OK;
}

/* --- positions ----------------------------------------------------------------------------------
 */

static int load_positions(struct store *store, const char *directory, struct error *error)
{
    for (uint32_t i = 0; i < store->options.partitions; i++) {
        struct store_partition *partition = &store->partitions[i];
        struct stored_key key;
        struct slice value;
        position_key(&key, i);
        int code = lmdb_read(store->lmdb, LMDB_META, key_slice(&key), &value);
        if (code == CAIRN_ENOTFOUND)
            continue;
        if (code == CAIRN_OK)
            code = position_decode(value.data, value.length, i, &partition->applied);
        if (code != CAIRN_OK)
            return error_set(error, code, "%s: position of partition %u is damaged", directory,
                             (unsigned)i);
        partition->checkpointed = partition->applied;
    }
    return CAIRN_OK;
}

/* --- sessions -----------------------------------------------------------------------------------
 */

static int load_session(struct store *store, struct slice row_key, struct slice row,
                        const char *directory, struct error *error)
{
    struct stored_key key;
    struct session_record record;
    if (row_key.length != PREFIX_BYTES + sizeof(record.client))
        return error_set(error, CAIRN_ECORRUPT, "%s: a session's key is damaged", directory);
    uint32_t partition = partition_prefix(row_key.data);
    session_key(&key, partition % CAIRN_PARTITIONS_LIMIT,
                big_endian_u64(row_key.data + PREFIX_BYTES));
    /* Of a partition left installing nothing counts but that. */
    if (partition < store->options.partitions && store->partitions[partition].applied.installing)
        return CAIRN_OK;
    /* Old values stay in LMDB until a duplicate asks: they may be a mebibyte each. */
    if (partition >= store->options.partitions ||
        session_decode(&key, row.data, row.length, false, &record) != CAIRN_OK)
        return error_set(error, CAIRN_ECORRUPT, "%s: a session of partition %u is damaged",
                         directory, (unsigned)partition);
    int code = session_restore(&store->partitions[partition].sessions, &record);
    return code == CAIRN_OK ? code : error_set(error, code, "%s: out of memory", directory);
}

static int load_sessions(struct store *store, const char *directory, struct error *error)
{
    struct lmdb_cursor *cursor;
    struct slice key, row;
    int code = lmdb_cursor_open(store->lmdb, LMDB_SESSIONS, &cursor);
    if (code == CAIRN_OK)
        code = lmdb_cursor_seek(cursor, (struct slice){NULL, 0}, &key, &row);
    while (code == CAIRN_OK) {
        code = load_session(store, key, row, directory, error);
        if (code != CAIRN_OK) {
            lmdb_cursor_close(cursor);
            return code;
        }
        code = lmdb_cursor_next(cursor, &key, &row);
    }
    lmdb_cursor_close(cursor);
    if (code != CAIRN_ENOTFOUND)
        return error_set(error, code, "%s: sessions cannot be read", directory);
    for (uint32_t i = 0; i < store->options.partitions; i++) {
        if (session_table_order(&store->partitions[i].sessions) != CAIRN_OK)
            return error_set(error, CAIRN_ENOMEM, "%s: out of memory", directory);
    }
    return CAIRN_OK;
}

int store_load(struct store *store, const char *directory, struct error *error)
{
    int code = format_check(store, directory, error);
    if (code == CAIRN_OK)
        code = load_positions(store, directory, error);
    if (code == CAIRN_OK)
        code = load_sessions(store, directory, error);
    lmdb_end_read(store->lmdb);
    return code;
}
