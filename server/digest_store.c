/* See digest_store.h.
 *
 * Rows that have expired at the state's log time do not count, whether they are still there or not:
 * checkpoints sweep them away when they come to it, which is not the same on every copy (S2). */
#include "server/digest_store.h"

#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/check.h"
#include "server/scrub_store.h"
#include "server/store_state.h"
#include "server/value.h"

/* Noted in one turn: some milliseconds at most. */
enum { ITEMS_LIMIT = 1 << 16, HIDDEN_LIMIT_BYTES = 8 << 20 };

struct digest_capture {
    struct lmdb_snapshot *snapshot;
    uint32_t partition;
    uint64_t index, log_time_ms;
    struct buffer hidden; /* keys that hide LMDB's rows: u16 length, bytes; ascending */
    size_t hidden_at;
    enum lmdb_table table; /* that is being read */
    bool begun;            /* its cursor stands at the row that was counted last */
    struct digest digest;
    struct bad_key *bad;
    uint32_t bad_count;
};

/* --- the turn's part ---------------------------------------------------------------------------
 */

static bool is_visible(uint64_t version, uint64_t expires_ms, uint64_t log_time_ms)
{
    return version != 0 && (expires_ms == 0 || expires_ms > log_time_ms);
}

static int note_item(struct digest_capture *capture, const struct item *item)
{
    uint16_t length = item->key_length;
    int code = buffer_append(&capture->hidden, &length, sizeof(length));
    if (code == CAIRN_OK)
        code = buffer_append(&capture->hidden, item->bytes, length);
    if (is_visible(item->version, item->expires_ms, capture->log_time_ms))
        digest_add_pair(&capture->digest, item->checksum);
    return code;
}

/* Both tables' items in key order; of a key in both the live one. */
static int note_items(struct digest_capture *capture, const struct store_partition *at)
{
    struct item *live = memtable_first(&at->live);
    struct item *frozen = at->frozen == NULL ? NULL : memtable_first(at->frozen);
    int code = CAIRN_OK;
    while (code == CAIRN_OK && (live != NULL || frozen != NULL)) {
        int order = frozen == NULL ? -1
                    : live == NULL ? 1
                                   : key_compare(live->bytes, live->key_length, frozen->bytes,
                                                 frozen->key_length);
        code = note_item(capture, order <= 0 ? live : frozen);
        if (order <= 0)
            live = memtable_next(live);
        if (order >= 0)
            frozen = memtable_next(frozen);
    }
    return code;
}

static void note_sessions(struct digest_capture *capture, const struct session_table *sessions)
{
    const struct session *session;
    TAILQ_FOREACH(session, &sessions->used, used)
    {
        const struct digest_session noted = {
            .client = session->client,
            .number = session->number,
            .used_ms = session->used_ms,
            .version = session->version,
            .code = session->code,
            .existed = session->existed,
            .has_old_value = session->old_value != NULL || session->stored,
        };
        digest_add_session(&capture->digest, &noted);
    }
}

static struct digest_capture *create(uint32_t partition, const struct store_position *applied)
{
    struct digest_capture *capture = calloc(1, sizeof(*capture));
    if (capture == NULL)
        return NULL;
    capture->partition = partition;
    capture->index = applied->index;
    capture->log_time_ms = applied->log_time_ms;
    capture->table = LMDB_DATA;
    buffer_init(&capture->hidden, HIDDEN_LIMIT_BYTES);
    capture->bad = calloc(DIGEST_BAD_KEYS_LIMIT, sizeof(*capture->bad));
    if (capture->bad != NULL)
        return capture;
    digest_capture_close(capture);
    return NULL;
}

int digest_capture_open(struct store *store, uint32_t partition, struct digest_capture **result)
{
    const struct store_partition *at = store_at(store, partition);
    uint64_t items = at->live.count + (at->frozen == NULL ? 0 : at->frozen->count);
    CHECK(!at->applied.installing);
    *result = NULL;
    if (items > ITEMS_LIMIT)
        return CAIRN_EFULL;
    struct digest_capture *capture = create(partition, &at->applied);
    if (capture == NULL)
        return CAIRN_ENOMEM;
    int code = lmdb_snapshot_open(store->lmdb, &capture->snapshot);
    if (code == CAIRN_OK)
        code = note_items(capture, at);
    if (code != CAIRN_OK) {
        digest_capture_close(capture);
        return code;
    }
    note_sessions(capture, &at->sessions);
    *result = capture;
    return CAIRN_OK;
}

void digest_capture_close(struct digest_capture *capture)
{
    if (capture == NULL)
        return;
    lmdb_snapshot_close(capture->snapshot);
    buffer_free(&capture->hidden);
    free(capture->bad);
    free(capture);
}

/* --- counting -----------------------------------------------------------------------------------
 */

/* Whether the memory tables had something newer. Keys come ascending, so what lies before is passed
 * for good. */
static bool is_hidden(struct digest_capture *capture, struct slice key)
{
    const struct buffer *hidden = &capture->hidden;
    while (capture->hidden_at < hidden->length) {
        const uint8_t *at = hidden->data + capture->hidden_at;
        uint16_t length;
        memcpy(&length, at, sizeof(length));
        int order = key_compare(at + sizeof(length), length, key.data, key.length);
        if (order >= 0)
            return order == 0;
        capture->hidden_at += sizeof(length) + length;
    }
    return false;
}

static void note_bad(struct digest_capture *capture, struct slice key)
{
    capture->digest.bad++;
    if (capture->bad_count == DIGEST_BAD_KEYS_LIMIT || key.length == 0 ||
        key.length > CAIRN_KEY_LIMIT)
        return;
    struct bad_key *bad = &capture->bad[capture->bad_count++];
    bad->length = (uint32_t)key.length;
    memcpy(bad->bytes, key.data, key.length);
}

static void count_pair(struct digest_capture *capture, struct slice key, struct slice record)
{
    struct store_value value;
    uint64_t checksum;
    if (is_hidden(capture, key))
        return;
    if (key.length == 0 || key.length > CAIRN_KEY_LIMIT ||
        value_decode(record.data, record.length, &value, &checksum) != CAIRN_OK ||
        value_checksum(key.data, (uint32_t)key.length, &value) != checksum)
        note_bad(capture, key);
    else if (is_visible(value.version, value.expires_ms, capture->log_time_ms))
        digest_add_pair(&capture->digest, checksum);
}

/* Sessions are in memory, and counted: what LMDB keeps of them is verified alone. */
static void verify_session(struct digest_capture *capture, struct slice rest, struct slice record)
{
    struct stored_key key;
    struct session_record session;
    bool sound = rest.length == sizeof(uint64_t);
    if (sound) {
        session_key(&key, capture->partition, big_endian_u64(rest.data));
        sound = session_decode(&key, record.data, record.length, true, &session) == CAIRN_OK;
    }
    if (!sound)
        note_bad(capture, (struct slice){NULL, 0});
}

static int next_row(struct digest_capture *capture, struct slice *key, struct slice *record)
{
    struct stored_key from;
    if (capture->begun)
        return lmdb_snapshot_next(capture->snapshot, capture->table, key, record);
    capture->begun = true;
    data_key(&from, capture->partition, NULL, 0);
    return lmdb_snapshot_seek(capture->snapshot, capture->table,
                              (struct slice){from.bytes, from.length}, key, record);
}

/* One row of the table at hand; CAIRN_ENOTFOUND behind the partition's last one. */
static int count_row(struct digest_capture *capture, size_t *bytes)
{
    struct slice key, record;
    int code = next_row(capture, &key, &record);
    if (code == CAIRN_OK && key.length < PREFIX_BYTES)
        code = CAIRN_ECORRUPT;
    if (code == CAIRN_OK && partition_prefix(key.data) != capture->partition)
        code = CAIRN_ENOTFOUND;
    if (code != CAIRN_OK)
        return code;
    *bytes += key.length + record.length + SCRUB_ROW_BYTES;
    struct slice rest = {key.data + PREFIX_BYTES, key.length - PREFIX_BYTES};
    if (capture->table == LMDB_DATA)
        count_pair(capture, rest, record);
    else
        verify_session(capture, rest, record);
    return CAIRN_OK;
}

int digest_capture_count(struct digest_capture *capture, size_t limit_bytes, bool *done)
{
    size_t bytes = 0;
    *done = false;
    if (!lmdb_snapshot_enter(capture->snapshot))
        return CAIRN_EUNAVAILABLE;
    while (!*done && bytes < limit_bytes) {
        int code = count_row(capture, &bytes);
        if (code == CAIRN_OK)
            continue;
        if (code != CAIRN_ENOTFOUND) /* a page: what lies behind it cannot be read */
            note_bad(capture, (struct slice){NULL, 0});
        *done = capture->table == LMDB_SESSIONS;
        capture->table = LMDB_SESSIONS;
        capture->begun = false;
    }
    lmdb_snapshot_leave(capture->snapshot);
    return CAIRN_OK;
}

const struct digest *digest_capture_result(const struct digest_capture *capture)
{
    return &capture->digest;
}

uint64_t digest_capture_value(const struct digest_capture *capture)
{
    return digest_value(&capture->digest, capture->index, capture->log_time_ms);
}

uint32_t digest_capture_bad(const struct digest_capture *capture, const struct bad_key **keys)
{
    *keys = capture->bad;
    return capture->bad_count;
}
