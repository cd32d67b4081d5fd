/* Exports: the rows of one partition as LMDB held them when the export was opened.
 *
 * The rows' form is in store_row.h. Expired pairs go along as they are: the log time that goes with
 * them says what they are worth (S2). */
#include <stdlib.h>

#include "server/store_row.h"
#include "server/store_state.h"

struct store_export {
    struct store *store;
    struct lmdb_snapshot *snapshot;
    uint32_t partition;
    enum row_kind kind; /* of the row at hand or, without one, of those to be looked for */
    bool at_hand;       /* `row` is the next one, verified */
    bool done;
    struct slice key, record; /* LMDB's, of the row at hand */
    struct row row;
    uint64_t pair_count, session_count; /* given away */
    int failure;                        /* of the last read; it is final */
};

static int read_position(struct store_export *export, struct store_position *position)
{
    struct stored_key key;
    struct slice value;
    *position = (struct store_position){0};
    if (!lmdb_snapshot_enter(export->snapshot))
        return CAIRN_EIO; /* the map moved at once */
    position_key(&key, export->partition);
    int code = lmdb_snapshot_read(export->snapshot, LMDB_META,
                                  (struct slice){key.bytes, key.length}, &value);
    if (code == CAIRN_OK)
        code = position_decode(value.data, value.length, export->partition, position);
    lmdb_snapshot_leave(export->snapshot);
    if (code == CAIRN_ENOTFOUND)
        return CAIRN_OK; /* nothing was applied yet */
    return code == CAIRN_OK || code == CAIRN_ENOMEM ? code : CAIRN_EIO;
}

int store_export_open(struct store *store, uint32_t partition, struct store_position *position,
                      struct store_export **result)
{
    CHECK(partition < store->options.partitions);
    *result = NULL;
    struct store_export *export = calloc(1, sizeof(*export));
    if (export == NULL)
        return CAIRN_ENOMEM;
    export->store = store;
    export->partition = partition;
    export->kind = ROW_PAIR;
    int code = lmdb_snapshot_open(store->lmdb, &export->snapshot);
    if (code == CAIRN_OK)
        code = read_position(export, position);
    if (code != CAIRN_OK) {
        store_export_close(export);
        return code;
    }
    *result = export;
    return CAIRN_OK;
}

void store_export_close(struct store_export *export)
{
    if (export == NULL)
        return;
    if (export->failure == CAIRN_ECORRUPT)
        export->store->checksum_errors++; /* W8; the counter is the loop thread's */
    lmdb_snapshot_close(export->snapshot);
    free(export);
}

/* --- rows ---------------------------------------------------------------------------------------
 */

/* The next row of the table; CAIRN_ENOTFOUND if the partition has no more there. */
static int next_of_table(struct store_export *export, enum lmdb_table table, bool first)
{
    struct stored_key from;
    data_key(&from, export->partition, NULL, 0);
    int code =
        first ? lmdb_snapshot_seek(export->snapshot, table, (struct slice){from.bytes, from.length},
                                   &export->key, &export->record)
              : lmdb_snapshot_next(export->snapshot, table, &export->key, &export->record);
    if (code == CAIRN_OK && export->key.length < PREFIX_BYTES)
        return CAIRN_ECORRUPT;
    if (code == CAIRN_OK && partition_prefix(export->key.data) != export->partition)
        return CAIRN_ENOTFOUND;
    return code;
}

/* Looks for the next row and verifies it. */
static int find_row(struct store_export *export)
{
    int code = CAIRN_ENOTFOUND;
    if (export->kind == ROW_PAIR) {
        code = next_of_table(export, LMDB_DATA, export->pair_count == 0);
        if (code == CAIRN_OK)
            return row_of_pair(&export->row, export->key, export->record);
        if (code == CAIRN_ENOTFOUND)
            export->kind = ROW_SESSION;
    }
    if (code == CAIRN_ENOTFOUND && export->kind == ROW_SESSION) {
        code = next_of_table(export, LMDB_SESSIONS, export->session_count == 0);
        if (code == CAIRN_OK)
            return row_of_session(&export->row, export->partition, export->key, export->record);
        if (code == CAIRN_ENOTFOUND)
            export->kind = ROW_END;
    }
    if (code != CAIRN_ENOTFOUND)
        return code;
    export->row = (struct row){
        .kind = ROW_END, .pair_count = export->pair_count, .session_count = export->session_count};
    return CAIRN_OK;
}

static void given(struct store_export *export)
{
    export->at_hand = false;
    export->pair_count += export->row.kind == ROW_PAIR ? 1 : 0;
    export->session_count += export->row.kind == ROW_SESSION ? 1 : 0;
    export->done = export->row.kind == ROW_END;
}

static int read_rows(struct store_export *export, size_t limit_bytes, struct buffer *out,
                     struct error *error)
{
    size_t begin = out->length;
    while (!export->done) {
        if (!export->at_hand && export->failure == CAIRN_OK)
            export->failure = find_row(export);
        if (export->failure != CAIRN_OK)
            return error_set(error, export->failure,
                             "store: partition %u: a row cannot be read: %s",
                             (unsigned)export->partition, error_text(export->failure));
        export->at_hand = true;
        size_t bytes = row_bytes(&export->row);
        if (out->length > begin && out->length - begin + bytes > limit_bytes)
            return CAIRN_OK;
        int code = row_append(out, &export->row);
        if (code != CAIRN_OK)
            return error_set(error, code, "store: partition %u: no room for a row",
                             (unsigned)export->partition);
        given(export);
    }
    return CAIRN_OK;
}

int store_export_read(struct store_export *export, size_t limit_bytes, struct buffer *out,
                      bool *done, struct error *error)
{
    *done = false;
    if (limit_bytes > CAIRN_RECORDS_LIMIT)
        limit_bytes = CAIRN_RECORDS_LIMIT;
    if (!lmdb_snapshot_enter(export->snapshot)) /* W7 */
        return error_set(error, CAIRN_EUNAVAILABLE,
                         "store: partition %u: the map grew during an export",
                         (unsigned)export->partition);
    int code = read_rows(export, limit_bytes, out, error);
    lmdb_snapshot_leave(export->snapshot);
    *done = code == CAIRN_OK && export->done;
    return code;
}
