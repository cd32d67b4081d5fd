/* SCAN: merges many partitions, and in each of them memtable, frozen memtable and LMDB.
 *
 * Each partition is a stream whose newest layer wins for a key; a heap orders the streams. Keys and
 * values are never copied: they are the memtables' or LMDB's pages under the turn's snapshot. */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "server/store_state.h"
#include "server/value.h"

struct stream {
    uint32_t partition;
    struct item *live, *frozen; /* the next one of each layer; NULL: no more */
    struct lmdb_cursor *cursor;
    struct slice row_key, row; /* LMDB's next; key NULL: no more */
    /* The pair the stream stands at. */
    const uint8_t *key;
    uint32_t key_length;
    const struct item *item; /* NULL: it is LMDB's row */
};

struct merge {
    struct store *store;
    const struct store_scan *scan;
    struct stream *streams;
    struct stream **heap;
    size_t opened, count;
};

/* --- one partition ------------------------------------------------------------------------------
 */

/* Takes what the cursor found: a row of this partition, or the stream's end. */
static int take_row(struct stream *stream, int code, struct slice key, struct slice row)
{
    stream->row_key = (struct slice){NULL, 0};
    if (code == CAIRN_ENOTFOUND)
        return CAIRN_OK;
    if (code != CAIRN_OK)
        return code;
    if (key.length <= PREFIX_BYTES || partition_prefix(key.data) != stream->partition)
        return CAIRN_OK;
    stream->row_key = (struct slice){key.data + PREFIX_BYTES, key.length - PREFIX_BYTES};
    stream->row = row;
    return CAIRN_OK;
}

static int next_row(struct stream *stream)
{
    struct slice key, row;
    int code = lmdb_cursor_next(stream->cursor, &key, &row);
    return take_row(stream, code, key, row);
}

/* The smallest key of the three layers, the newest layer first. False at the stream's end. */
static bool pick(struct stream *stream)
{
    const struct item *item = stream->live;
    if (stream->frozen != NULL &&
        (item == NULL || key_compare(stream->frozen->bytes, stream->frozen->key_length, item->bytes,
                                     item->key_length) < 0))
        item = stream->frozen;
    stream->item = item;
    if (item != NULL) {
        stream->key = item->bytes;
        stream->key_length = item->key_length;
    }
    if (stream->row_key.data != NULL &&
        (item == NULL || key_compare(stream->row_key.data, stream->row_key.length, item->bytes,
                                     item->key_length) < 0)) {
        stream->item = NULL;
        stream->key = stream->row_key.data;
        stream->key_length = (uint32_t)stream->row_key.length;
    }
    return stream->item != NULL || stream->row_key.data != NULL;
}

static bool is_at(const struct stream *stream, const uint8_t *key, size_t key_length)
{
    return key_length == stream->key_length && memcmp(key, stream->key, key_length) == 0;
}

/* Moves every layer behind the key that the stream stands at. */
static int step(struct stream *stream)
{
    struct item *live = stream->live, *frozen = stream->frozen;
    bool row =
        stream->row_key.data != NULL && is_at(stream, stream->row_key.data, stream->row_key.length);
    if (live != NULL && is_at(stream, live->bytes, live->key_length))
        stream->live = memtable_next(live);
    if (frozen != NULL && is_at(stream, frozen->bytes, frozen->key_length))
        stream->frozen = memtable_next(frozen);
    return row ? next_row(stream) : CAIRN_OK;
}

/* Stands at the next visible pair within the scan's bounds, or sets key to NULL. */
static int settle(struct stream *stream, const struct store_scan *scan)
{
    while (pick(stream)) {
        if (scan->to_length > 0 &&
            key_compare(stream->key, stream->key_length, scan->to, scan->to_length) > 0)
            break;
        bool hidden = (stream->item != NULL && stream->item->version == 0) ||
                      (scan->after_from && is_at(stream, scan->from, scan->from_length));
        if (!hidden)
            return CAIRN_OK;
        int code = step(stream);
        if (code != CAIRN_OK)
            return code;
    }
    stream->key = NULL;
    return CAIRN_OK;
}

static int stream_open(struct merge *merge, struct stream *stream)
{
    const struct store_partition *at = store_at_const(merge->store, stream->partition);
    const struct store_scan *scan = merge->scan;
    struct stored_key from;
    struct slice key, row;
    data_key(&from, stream->partition, scan->from, scan->from_length);
    stream->live = memtable_seek(&at->live, scan->from, scan->from_length);
    if (at->frozen != NULL)
        stream->frozen = memtable_seek(at->frozen, scan->from, scan->from_length);
    int code = lmdb_cursor_open(merge->store->lmdb, LMDB_DATA, &stream->cursor);
    if (code != CAIRN_OK)
        return code;
    code = lmdb_cursor_seek(stream->cursor, (struct slice){from.bytes, from.length}, &key, &row);
    code = take_row(stream, code, key, row);
    return code == CAIRN_OK ? settle(stream, scan) : code;
}

static int stream_value(const struct stream *stream, struct store_value *value)
{
    if (stream->item != NULL) {
        value_of_item(stream->item, value);
        return CAIRN_OK;
    }
    return value_decode_checked(stream->row.data, stream->row.length, stream->key,
                                stream->key_length, value);
}

/* --- the heap -----------------------------------------------------------------------------------
 */

static bool is_before(const struct stream *left, const struct stream *right)
{
    int order = key_compare(left->key, left->key_length, right->key, right->key_length);
    return order != 0 ? order < 0 : left->partition < right->partition;
}

static void sift_down(struct merge *merge, size_t at)
{
    for (;;) {
        size_t least = at;
        for (size_t child = 2 * at + 1; child <= 2 * at + 2 && child < merge->count; child++) {
            if (is_before(merge->heap[child], merge->heap[least]))
                least = child;
        }
        if (least == at)
            return;
        struct stream *stream = merge->heap[at];
        merge->heap[at] = merge->heap[least];
        merge->heap[least] = stream;
        at = least;
    }
}

static int merge_open(struct merge *merge)
{
    for (size_t i = 0; i < merge->scan->partition_count; i++) {
        struct stream *stream = &merge->streams[i];
        stream->partition = merge->scan->partitions[i];
        merge->opened++;
        int code = stream_open(merge, stream);
        if (code != CAIRN_OK)
            return code;
        if (stream->key != NULL)
            merge->heap[merge->count++] = stream;
    }
    for (size_t i = merge->count / 2; i-- > 0;)
        sift_down(merge, i);
    return CAIRN_OK;
}

static void note_bad(struct store *store, const struct stream *stream)
{
    CHECK(stream->key_length <= CAIRN_KEY_LIMIT || stream->item == NULL);
    store->bad_partition = stream->partition;
    store->bad_key_length = stream->key_length <= CAIRN_KEY_LIMIT ? stream->key_length : 0;
    memcpy(store->bad_key, stream->key, store->bad_key_length);
}

const uint8_t *store_scan_bad(const struct store *store, uint32_t *partition, uint32_t *key_length)
{
    *partition = store->bad_partition;
    *key_length = store->bad_key_length;
    return store->bad_key_length == 0 ? NULL : store->bad_key;
}

static int merge_run(struct merge *merge, store_visit visit, void *context)
{
    while (merge->count > 0) {
        struct stream *stream = merge->heap[0];
        struct store_value value;
        int code = stream_value(stream, &value);
        if (code == CAIRN_ECORRUPT)
            note_bad(merge->store, stream);
        if (code != CAIRN_OK)
            return code;
        if (!visit(context, stream->partition, stream->key, stream->key_length, &value))
            return CAIRN_OK;
        code = step(stream);
        if (code == CAIRN_OK)
            code = settle(stream, merge->scan);
        if (code != CAIRN_OK)
            return code;
        if (stream->key == NULL)
            merge->heap[0] = merge->heap[--merge->count];
        sift_down(merge, 0);
    }
    return CAIRN_OK;
}

int store_scan(struct store *store, const struct store_scan *scan, store_visit visit, void *context)
{
    struct merge merge = {.store = store, .scan = scan};
    store->bad_key_length = 0;
    if (scan->partition_count == 0)
        return CAIRN_OK;
    merge.streams = calloc(scan->partition_count, sizeof(*merge.streams));
    merge.heap = calloc(scan->partition_count, sizeof(*merge.heap));
    int code = CAIRN_ENOMEM;
    if (merge.streams != NULL && merge.heap != NULL)
        code = merge_open(&merge);
    if (code == CAIRN_OK)
        code = merge_run(&merge, visit, context);
    for (size_t i = 0; i < merge.opened; i++)
        lmdb_cursor_close(merge.streams[i].cursor);
    free(merge.streams);
    free(merge.heap);
    if (code == CAIRN_ECORRUPT)
        store->checksum_errors++; /* W8 */
    return code;
}
