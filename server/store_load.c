/* What opening a store reads from LMDB: format, positions, sessions (W9, S3); whether all keys are
 * there (W8). */
#include <inttypes.h>

#include "base/check.h"
#include "server/store_state.h"
#include "server/value.h"

static struct slice key_slice(const struct stored_key *key)
{
    return (struct slice){.data = key->bytes, .length = key->length};
}

/* W8: what cannot be read is told with its place in the file. */
static uint64_t row_offset(const struct store *store, struct slice row)
{
    return row.data == NULL ? 0 : lmdb_offset(store->lmdb, row.data);
}

static int unreadable(const struct store *store, uint64_t offset, const char *what,
                      struct error *error)
{
    return error_set(error, CAIRN_ECORRUPT, "%s: damaged at offset %" PRIu64 ": %s",
                     lmdb_path(store->lmdb), offset, what);
}

static int damaged(const struct store *store, struct slice row, uint32_t partition,
                   const char *what, struct error *error)
{
    return error_set(error, CAIRN_ECORRUPT,
                     "%s: damaged at offset %" PRIu64 ": %s of partition %" PRIu32,
                     lmdb_path(store->lmdb), row_offset(store, row), what, partition);
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
static int format_create(struct store *store, const struct store_pages *pages, struct error *error)
{
    struct lmdb_cursor *cursor;
    struct slice key, value;
    int code = lmdb_cursor_open(store->lmdb, LMDB_META, &cursor);
    if (code == CAIRN_OK)
        code = lmdb_cursor_seek(cursor, (struct slice){NULL, 0}, &key, &value);
    uint64_t offset = code == CAIRN_OK ? row_offset(store, key) : pages->stranger_at;
    lmdb_cursor_close(cursor);
    lmdb_end_read(store->lmdb);
    if (code != CAIRN_ENOTFOUND || !lmdb_complete(store->lmdb))
        return error_set(error, CAIRN_ECORRUPT,
                         "%s: offset %" PRIu64 ": holds no store of this program",
                         lmdb_path(store->lmdb), offset);
    return lmdb_write(store->lmdb, 0, write_format, store, error);
}

static int format_check(struct store *store, const struct store_pages *pages, struct error *error)
{
    struct stored_key key;
    struct slice value;
    uint32_t major = 0, partitions = 0;
    format_key(&key);
    int code = lmdb_read(store->lmdb, LMDB_META, key_slice(&key), &value);
    if (code == CAIRN_ENOTFOUND)
        return format_create(store, pages, error);
    if (code == CAIRN_OK)
        code = format_decode(value.data, value.length, &major, &partitions);
    if (code != CAIRN_OK)
        return unreadable(store, row_offset(store, value), "its format cannot be read", error);
    if (major > STORE_FORMAT_MAJOR) /* W9 */
        return error_set(error, CAIRN_EVERSION,
                         "%s: offset %" PRIu64 ": store has format %u, this program knows up to %u",
                         lmdb_path(store->lmdb), row_offset(store, value), (unsigned)major,
                         (unsigned)STORE_FORMAT_MAJOR);
    if (major < STORE_FORMAT_OLDEST)
        return unreadable(store, row_offset(store, value), "its format", error);
    if (!lmdb_complete(store->lmdb))
        return unreadable(store, pages->stranger_at, "a table is missing", error);
    if (partitions != store->options.partitions)
        return error_set(error, CAIRN_ECONFLICT,
                         "%s: offset %" PRIu64 ": store has %u partitions, the cluster has %u",
                         lmdb_path(store->lmdb), row_offset(store, value), (unsigned)partitions,
                         (unsigned)store->options.partitions);
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
        if (code != CAIRN_OK)
            return error_set(error, code, "%s: position of partition %u cannot be read", directory,
                             (unsigned)i);
        if (position_decode(value.data, value.length, i, &partition->applied) != CAIRN_OK)
            return damaged(store, value, i, "the position", error);
        partition->checkpointed = partition->applied;
    }
    return CAIRN_OK;
}

/* --- keys ---------------------------------------------------------------------------------------
 */

/* The row that fails its checksum, for a message; without one, the partition's first. */
static struct slice suspect(struct store *store, uint32_t partition)
{
    struct lmdb_cursor *cursor;
    struct stored_key from;
    struct slice key, row, first = {NULL, 0};
    struct store_value value;
    data_key(&from, partition, NULL, 0);
    int code = lmdb_cursor_open(store->lmdb, LMDB_DATA, &cursor);
    if (code == CAIRN_OK)
        code = lmdb_cursor_seek(cursor, key_slice(&from), &key, &row);
    while (code == CAIRN_OK && partition_prefix(key.data) == partition) {
        if (first.data == NULL)
            first = row;
        if (value_decode_checked(row.data, row.length, key.data + PREFIX_BYTES,
                                 (uint32_t)(key.length - PREFIX_BYTES), &value) != CAIRN_OK) {
            first = row;
            break;
        }
        code = lmdb_cursor_next(cursor, &key, &row);
    }
    lmdb_cursor_close(cursor);
    return first;
}

/* W8: a lookup that finds nothing says that the key is absent. */
static int check_keys(struct store *store, uint32_t partition, const struct store_keys *found,
                      struct error *error)
{
    const struct store_position *position = &store->partitions[partition].applied;
    struct stored_key key;
    struct slice row;
    struct store_keys wanted;
    keys_key(&key, partition);
    int code = lmdb_read(store->lmdb, LMDB_META, key_slice(&key), &row);
    if (code == CAIRN_OK && keys_decode(row.data, row.length, partition, &wanted) != CAIRN_OK)
        return damaged(store, row, partition, "the record of the keys", error);
    if (position->installing)
        return CAIRN_OK;
    if (code == CAIRN_OK && (wanted.rows != found->rows || wanted.sum != found->sum))
        return damaged(store, suspect(store, partition), partition, "a key", error);
    /* Both records come together. */
    if (code == CAIRN_OK && position->index == 0 && position->history == 0 &&
        position->seen_epoch == 0)
        return damaged(store, row, partition, "the position", error);
    return CAIRN_OK;
}

static int check_all_keys(struct store *store, const struct store_keys *found, struct error *error)
{
    for (uint32_t i = 0; i < store->options.partitions; i++) {
        int code = check_keys(store, i, &found[i], error);
        if (code != CAIRN_OK)
            return code;
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
        return damaged(store, row, 0, "a session's key", error);
    uint32_t partition = partition_prefix(row_key.data);
    session_key(&key, partition % CAIRN_PARTITIONS_LIMIT,
                big_endian_u64(row_key.data + PREFIX_BYTES));
    /* Of a partition left installing nothing counts but that. */
    if (partition < store->options.partitions && store->partitions[partition].applied.installing)
        return CAIRN_OK;
    /* Old values stay in LMDB until a duplicate asks: they may be a mebibyte each. */
    if (partition >= store->options.partitions ||
        session_decode(&key, row.data, row.length, false, &record) != CAIRN_OK)
        return damaged(store, row, partition, "a session", error);
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

int store_load(struct store *store, const char *directory, const struct store_pages *pages,
               struct error *error)
{
    int code = format_check(store, pages, error);
    if (code == CAIRN_OK)
        code = load_positions(store, directory, error);
    if (code == CAIRN_OK)
        code = check_all_keys(store, pages->keys, error);
    if (code == CAIRN_OK)
        code = load_sessions(store, directory, error);
    lmdb_end_read(store->lmdb);
    return code;
}
