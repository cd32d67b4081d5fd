/* Scans: the public cursor, which merges one stream of pairs for each server.
 *
 * A pair may be returned only when every stream has either a pair to compare with or ended. What is
 * missing is asked of all servers in parallel. Memory is bounded by one page for each stream; the
 * pages get smaller when there are many streams. */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "client/handle.h"
#include "client/range.h"
#include "client/stream.h"

enum {
    PAGES_BYTES = 16 << 20, /* of all streams together, unless that makes pages too small */
    PAGE_BYTES_MIN = 16 << 10,
    PAGE_BYTES_MAX = 1 << 20,
};

struct cairn_cursor {
    cairn_t *db;
    struct scan_range range;
    bool planned;
    bool returned;    /* a pair was */
    uint64_t cluster; /* that it was planned for */
    bool closed;      /* frees itself when the last answer has come */
    bool moved;
    unsigned calls;
    uint32_t count, capacity;
    struct stream **streams;
    struct stream *current; /* whose first pair was returned last */
};

static void cursor_free(cairn_cursor_t *cursor)
{
    for (uint32_t i = 0; i < cursor->count; i++) {
        stream_free(cursor->streams[i]);
    }
    free(cursor->streams);
    free(cursor);
}

static void on_orphaned(void *owner)
{
    cairn_cursor_t *cursor = owner;

    if (cursor->calls == 0) {
        cursor_free(cursor);
    }
}

static int check_end(cairn_t *db, const char *name, const void *key, size_t length)
{
    if (length > CAIRN_KEY_MAX) {
        return error_set(&db->error, CAIRN_EINVAL, "scan: %s has %zu bytes, the limit is %d", name,
                         length, CAIRN_KEY_MAX);
    }
    if (length > 0 && key == NULL) {
        return error_set(&db->error, CAIRN_EINVAL, "scan: %s is not given", name);
    }
    return CAIRN_OK;
}

int cairn_scan(cairn_t *db, const void *from, size_t from_length, const void *to, size_t to_length,
               cairn_cursor_t **cursor)
{
    *cursor = NULL;
    if (db == NULL) {
        return CAIRN_EINVAL;
    }
    if (!db->usable) {
        return error_set(&db->error, CAIRN_EINVAL, "the handle was not opened");
    }
    if (check_end(db, "the first key", from, from_length) != CAIRN_OK ||
        check_end(db, "the last key", to, to_length) != CAIRN_OK) {
        return CAIRN_EINVAL;
    }
    cairn_cursor_t *created = calloc(1, sizeof(*created));
    if (created == NULL) {
        return error_set(&db->error, CAIRN_ENOMEM, "scan: out of memory");
    }
    created->db = db;
    created->range.from_length = (uint32_t)from_length;
    created->range.to_length = (uint32_t)to_length;
    if (from_length > 0) {
        memcpy(created->range.from, from, from_length);
    }
    if (to_length > 0) {
        memcpy(created->range.to, to, to_length);
    }
    *cursor = created;
    return CAIRN_OK;
}

void cairn_scan_close(cairn_cursor_t *cursor)
{
    if (cursor == NULL) {
        return;
    }
    cursor->closed = true;
    if (cursor->calls == 0) {
        cursor_free(cursor);
        return;
    }
    for (uint32_t i = 0; i < cursor->count; i++) {
        cursor->streams[i]->orphaned = on_orphaned;
        cursor->streams[i]->owner = cursor;
    }
    for (uint32_t i = 0; i < cursor->count; i++) {
        stream_cancel(cursor->streams[i]);
    }
}

/* --- planning ------------------------------------------------------------------------------- */

static int add_stream(cairn_cursor_t *cursor, struct stream *stream)
{
    if (cursor->count == cursor->capacity) {
        uint32_t capacity = cursor->capacity == 0 ? 8 : cursor->capacity * 2;
        struct stream **grown = realloc(cursor->streams, capacity * sizeof(struct stream *));
        if (grown == NULL) {
            return CAIRN_ENOMEM;
        }
        cursor->streams = grown;
        cursor->capacity = capacity;
    }
    cursor->streams[cursor->count++] = stream;
    return CAIRN_OK;
}

/* One stream with all partitions that the range can touch; it splits by primaries before it asks.
 */
static int plan(cairn_cursor_t *cursor)
{
    const struct scan_range *range = &cursor->range;
    const struct route *route = &cursor->db->route;
    bool single =
        range_in_one_partition(range->from, range->from_length, range->to, range->to_length);
    uint32_t count = single ? 1 : route->partitions;
    uint32_t *partitions = calloc(count, sizeof(*partitions));

    if (partitions == NULL) {
        return CAIRN_ENOMEM;
    }
    for (uint32_t p = 0; p < count; p++) {
        partitions[p] = single ? route_partition(route, range->from, range->from_length) : p;
    }
    struct stream *stream = stream_create(cursor->db, range, partitions, count);
    if (stream == NULL) {
        free(partitions);
        return CAIRN_ENOMEM;
    }
    stream->moved = &cursor->moved;
    stream->calls = &cursor->calls;
    if (add_stream(cursor, stream) != CAIRN_OK) {
        stream_free(stream);
        return CAIRN_ENOMEM;
    }
    cursor->planned = true;
    cursor->cluster = route->cluster;
    return CAIRN_OK;
}

static uint32_t page_bytes(const cairn_cursor_t *cursor)
{
    uint32_t share = PAGES_BYTES / cursor->count;

    if (share < PAGE_BYTES_MIN) {
        return PAGE_BYTES_MIN;
    }
    return share > PAGE_BYTES_MAX ? PAGE_BYTES_MAX : share;
}

/* --- merging --------------------------------------------------------------------------------- */

static bool is_missing(const struct stream *stream)
{
    return stream->page_at >= stream->page.length && !stream->ended;
}

/* Settles and asks one stream whose page is dry. CAIRN_OK or the error that ends the scan. */
static int drive(cairn_cursor_t *cursor, struct stream *stream, uint64_t now_ms)
{
    struct stream *rest = NULL;

    if (stream->asked || stream->not_before_ms > now_ms) {
        return CAIRN_OK;
    }
    int status = stream_split(stream, &rest);
    if (status == CAIRN_OK && rest != NULL) {
        status = add_stream(cursor, rest);
        if (status != CAIRN_OK) {
            stream_free(rest);
        }
    }
    if (status != CAIRN_OK) {
        return error_set(&stream->error, status, "out of memory");
    }
    stream_ask(stream, page_bytes(cursor));
    return CAIRN_OK;
}

static int fail(cairn_cursor_t *cursor, int code, const struct stream *stream, const char *prefix)
{
    cairn_t *db = cursor->db;
    const struct route_server *server = route_server_by_id(&db->route, stream->server);

    const char *address = server != NULL ? server->address_text : "an unknown address";

    return error_set(&db->error, code, "scan: %sserver %u at %s: %.300s", prefix, stream->server,
                     address, route_reason(stream->error.message, address));
}

/* Takes in what came and asks for what is missing. `*missing` says how many streams lack a page,
 * `*next_ms` when there is something to do for one of them if nothing comes. */
static int drive_all(cairn_cursor_t *cursor, uint32_t *missing, uint64_t *next_ms)
{
    uint64_t now_ms = clock_now_ms();

    *missing = 0;
    *next_ms = UINT64_MAX;
    cursor->moved = false;
    /* Streams that split off are appended and driven in the same pass. */
    for (uint32_t i = 0; i < cursor->count; i++) {
        struct stream *stream = cursor->streams[i];
        int status = CAIRN_OK;

        if (stream->settled) {
            status = stream_settle(stream);
        }
        if (status == CAIRN_OK && is_missing(stream)) {
            (*missing)++;
            stream_reconsider(stream, now_ms);
            status = drive(cursor, stream, now_ms);
        }
        if (status != CAIRN_OK) {
            return fail(cursor, status, stream, "");
        }
        if (is_missing(stream) && stream_next_ms(stream) < *next_ms) {
            *next_ms = stream_next_ms(stream);
        }
    }
    return CAIRN_OK;
}

static const struct stream *first_missing(const cairn_cursor_t *cursor)
{
    const struct stream *found = cursor->streams[0];

    for (uint32_t i = 0; i < cursor->count; i++) {
        if (is_missing(cursor->streams[i])) {
            found = cursor->streams[i];
            /* Prefer one that has something to say about why. */
            if (found->error.code != CAIRN_OK) {
                break;
            }
        }
    }
    return found;
}

/* Waits until every stream has a pair or ended. */
static int fill(cairn_cursor_t *cursor, uint64_t deadline_ms)
{
    cairn_t *db = cursor->db;
    uint32_t missing;
    uint64_t next_ms;

    for (;;) {
        int status = drive_all(cursor, &missing, &next_ms);
        if (status != CAIRN_OK || missing == 0) {
            return status;
        }
        if (db->cache.unconfirmed && managers_hopeless(db)) {
            return error_set(&db->error, db->managers.status, "scan: %s",
                             db->managers.error.message);
        }
        uint64_t left_ms = client_left_ms(deadline_ms);
        if (left_ms == 0) {
            return fail(cursor, CAIRN_ETIMEDOUT, first_missing(cursor), "out of time: ");
        }
        uint64_t delay_ms = client_left_ms(next_ms);
        db->managers.listener = &cursor->moved;
        bool go_on = client_wait(db, &cursor->moved, delay_ms < left_ms ? delay_ms : left_ms);
        db->managers.listener = NULL;
        if (!go_on) {
            return error_set(&db->error, CAIRN_ECANCELED, "scan: interrupted");
        }
    }
}

static bool any_missing(const cairn_cursor_t *cursor)
{
    for (uint32_t i = 0; i < cursor->count; i++) {
        if (is_missing(cursor->streams[i])) {
            return true;
        }
    }
    return false;
}

static struct stream *smallest(const cairn_cursor_t *cursor, struct stream_pair *pair)
{
    struct stream *best = NULL;
    struct stream_pair head;

    for (uint32_t i = 0; i < cursor->count; i++) {
        if (stream_head(cursor->streams[i], &head) &&
            (best == NULL ||
             range_compare(head.key, head.key_length, pair->key, pair->key_length) < 0)) {
            best = cursor->streams[i];
            *pair = head;
        }
    }
    return best;
}

static int begin(cairn_cursor_t *cursor, uint64_t deadline_ms)
{
    cairn_t *db = cursor->db;

    (void)handle_cache_look(db);
    int status = managers_await(db, "scan", deadline_ms);

    if (status == CAIRN_OK && plan(cursor) != CAIRN_OK) {
        status = error_set(&db->error, CAIRN_ENOMEM, "scan: out of memory");
    }
    return status;
}

/* What another process left in the shared segment was the map of a cluster that is no more, and no
 * pair of it was returned: the streams end with the connections that are closed now. */
static bool start_over(cairn_cursor_t *cursor, int code)
{
    cairn_t *db = cursor->db;

    if (code != CAIRN_ECONFLICT || cursor->returned || cursor->cluster != db->route.cluster ||
        !handle_cache_disown(db)) {
        return false;
    }
    while (cursor->calls > 0) {
        uv_run(&db->loop, UV_RUN_ONCE);
    }
    for (uint32_t i = 0; i < cursor->count; i++) {
        stream_free(cursor->streams[i]);
    }
    cursor->count = 0;
    cursor->planned = false;
    return true;
}

/* Plans, and waits until every stream has a pair or ended. */
static int go_on(cairn_cursor_t *cursor)
{
    uint64_t deadline_ms = client_deadline(cursor->db);
    int status;

    do {
        status = cursor->planned ? CAIRN_OK : begin(cursor, deadline_ms);
        if (status == CAIRN_OK && cursor->cluster != cursor->db->route.cluster) {
            status = error_set(&cursor->db->error, CAIRN_ECONFLICT,
                               "scan: the handle works with another cluster now");
        } else if (status == CAIRN_OK) {
            status = fill(cursor, deadline_ms);
        }
    } while (status != CAIRN_OK && start_over(cursor, status));
    return status;
}

int cairn_scan_next(cairn_cursor_t *cursor, const void **key, size_t *key_length,
                    const void **value, size_t *value_length)
{
    const struct scan_range *range = &cursor->range;
    struct stream_pair pair = {NULL, NULL, 0, 0};
    int status = CAIRN_OK;

    *key = *value = NULL;
    *key_length = *value_length = 0;
    if (range_is_empty(range->from, range->from_length, range->to, range->to_length)) {
        return CAIRN_ENOTFOUND;
    }
    if (cursor->current != NULL) {
        stream_advance(cursor->current);
        cursor->current = NULL;
    }
    if (!cursor->planned || any_missing(cursor)) {
        status = go_on(cursor);
        if (status != CAIRN_OK) {
            return status;
        }
    }
    cursor->current = smallest(cursor, &pair);
    if (cursor->current == NULL) {
        return CAIRN_ENOTFOUND;
    }
    cursor->returned = true;
    *key = pair.key;
    *key_length = pair.key_length;
    *value = pair.value;
    *value_length = pair.value_length;
    return CAIRN_OK;
}
