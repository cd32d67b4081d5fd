/* One of the streams that a scan merges. */
#include "client/stream.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "client/handle.h"
#include "client/outcome.h"
#include "client/range.h"

enum {
    BACKOFF_FIRST_MS = 10,
    BACKOFF_LIMIT_MS = 500,
    ATTEMPT_FIRST_MS = 2000,
    ATTEMPT_LIMIT_MS = 8000,
    HOPS_LIMIT = 4,
    WATCH_MS = 500,    /* a call is unanswered so long: ask the manager whether it is still due */
    FIRST_PAIRS = 128, /* short scans are common: pages grow as a scan turns out to be long */
    FIRST_BYTES = 64 << 10,
    LENGTHS_SIZE = 2 * sizeof(uint32_t),
};

struct stream *stream_create(cairn_t *db, const struct scan_range *range, uint32_t *partitions,
                             uint32_t count)
{
    struct stream *stream = calloc(1, sizeof(*stream));

    if (stream == NULL) {
        return NULL;
    }
    stream->db = db;
    stream->range = range;
    stream->partitions = partitions;
    stream->partition_count = count;
    stream->attempt_ms = ATTEMPT_FIRST_MS;
    stream->limit_pairs = FIRST_PAIRS;
    stream->limit_bytes = FIRST_BYTES;
    backoff_init(&stream->backoff, BACKOFF_FIRST_MS, BACKOFF_LIMIT_MS);
    buffer_init(&stream->page, CAIRN_RECORD_LIMIT + (size_t)CAIRN_SCAN_PAIRS_LIMIT * LENGTHS_SIZE);
    return stream;
}

void stream_cancel(struct stream *stream)
{
    if (!stream->asked) {
        return;
    }
    struct route_server *server = route_server_by_id(&stream->db->route, stream->server);
    if (server != NULL && server->rpc != NULL && server->rpc == stream->rpc) {
        rpc_client_cancel(server->rpc, stream->call_id);
    }
}

void stream_free(struct stream *stream)
{
    CHECK(!stream->asked);
    buffer_free(&stream->page);
    free(stream->partitions);
    free(stream);
}

/* --- the page -------------------------------------------------------------------------------- */

bool stream_head(const struct stream *stream, struct stream_pair *pair)
{
    uint32_t lengths[2];

    if (stream->page_at >= stream->page.length) {
        return false;
    }
    const uint8_t *at = stream->page.data + stream->page_at;
    memcpy(lengths, at, LENGTHS_SIZE);
    pair->key = at + LENGTHS_SIZE;
    pair->key_length = lengths[0];
    pair->value = pair->key + lengths[0];
    pair->value_length = lengths[1];
    return true;
}

void stream_advance(struct stream *stream)
{
    struct stream_pair pair;

    CHECK(stream_head(stream, &pair));
    stream->page_at += LENGTHS_SIZE + (size_t)pair.key_length + pair.value_length;
}

/* Whether the key may come next: inside the range and behind the last one. */
static bool is_in_order(const struct stream *stream, const cairn_key *key)
{
    const struct scan_range *range = stream->range;

    if (key->length == 0) {
        return false;
    }
    if (stream->after_length > 0 &&
        range_compare(stream->after, stream->after_length, key->data, key->length) >= 0) {
        return false;
    }
    if (range->from_length > 0 &&
        range_compare(range->from, range->from_length, key->data, key->length) > 0) {
        return false;
    }
    return range->to_length == 0 ||
           range_compare(key->data, key->length, range->to, range->to_length) <= 0;
}

static int take_pair(struct stream *stream, const scan_pair *pair)
{
    const uint32_t lengths[2] = {pair->key.length, pair->value.length};

    if (!is_in_order(stream, &pair->key)) {
        return CAIRN_EPROTO;
    }
    int status = buffer_append(&stream->page, lengths, LENGTHS_SIZE);
    if (status == CAIRN_OK) {
        status = buffer_append(&stream->page, pair->key.data, pair->key.length);
    }
    if (status == CAIRN_OK && pair->value.length > 0) {
        status = buffer_append(&stream->page, pair->value.data, pair->value.length);
    }
    if (status == CAIRN_OK) {
        memcpy(stream->after, pair->key.data, pair->key.length);
        stream->after_length = pair->key.length;
    }
    return status;
}

/* A page that breaks the rules is dropped from the first bad pair on, and asked again from there.
 */
static int take_page(struct stream *stream, const scan_page *page)
{
    const struct scan_range *range = stream->range;
    int status = CAIRN_OK;

    if (page->more && page->pairs.pairs_len == 0) {
        return CAIRN_EPROTO;
    }
    for (uint32_t i = 0; i < page->pairs.pairs_len && status == CAIRN_OK; i++) {
        status = take_pair(stream, &page->pairs.pairs_val[i]);
    }
    bool at_end =
        range->to_length > 0 && stream->after_length > 0 &&
        range_compare(stream->after, stream->after_length, range->to, range->to_length) == 0;
    stream->ended = status == CAIRN_OK && (!page->more || at_end);
    return status;
}

static void take_result(struct stream *stream, const scan_result *result)
{
    stream->status = result->status;
    if (result->status == SERVER_OK) {
        stream->rpc_status = take_page(stream, &result->scan_result_u.page);
        if (stream->rpc_status != CAIRN_OK) {
            error_set(&stream->error, stream->rpc_status, "its page is not valid");
        }
    } else if (result->status == SERVER_NOT_PRIMARY) {
        stream->refused = result->scan_result_u.refused.partition;
        stream->redirect = result->scan_result_u.refused.redirect;
        stream->redirect.address = (cairn_address){NULL, 0};
        error_set(&stream->error, CAIRN_EUNAVAILABLE, "it is not the primary of partition %u",
                  stream->refused);
    } else {
        const cairn_message *message = &result->scan_result_u.message;
        error_set(&stream->error, CAIRN_EPROTO, "status %d: %.*s", (int)result->status,
                  (int)message->length, (const char *)message->data);
    }
}

static void on_page(void *context, int status, const void *result, const struct error *error)
{
    struct stream *stream = context;

    stream->asked = false;
    stream->settled = true;
    stream->rpc_status = status;
    if (status != CAIRN_OK) {
        stream->error = *error;
    } else {
        take_result(stream, result);
    }
    *stream->moved = true;
    (*stream->calls)--;
    if (stream->orphaned != NULL) {
        stream->orphaned(stream->owner);
    }
}

/* --- asking ---------------------------------------------------------------------------------- */

static uint32_t count_of_first(const struct stream *stream)
{
    const struct route *route = &stream->db->route;
    const struct route_server *first = route_primary(route, stream->partitions[0]);
    uint32_t count = 0;

    for (uint32_t i = 0; i < stream->partition_count; i++) {
        count += route_primary(route, stream->partitions[i]) == first;
    }
    return count;
}

/* Stable: the first one's partitions stay, the others go to `others`. */
static void divide(struct stream *stream, uint32_t *others)
{
    const struct route *route = &stream->db->route;
    const struct route_server *first = route_primary(route, stream->partitions[0]);
    uint32_t kept = 0;
    uint32_t gone = 0;

    for (uint32_t i = 0; i < stream->partition_count; i++) {
        uint32_t partition = stream->partitions[i];
        if (route_primary(route, partition) == first) {
            stream->partitions[kept++] = partition;
        } else {
            others[gone++] = partition;
        }
    }
    stream->partition_count = kept;
}

int stream_split(struct stream *stream, struct stream **rest)
{
    *rest = NULL;
    CHECK(stream->page_at >= stream->page.length && !stream->asked);
    if (stream->generation == stream->db->route.generation) {
        return CAIRN_OK;
    }
    uint32_t stays = count_of_first(stream);
    if (stays < stream->partition_count) {
        uint32_t count = stream->partition_count - stays;
        uint32_t *others = calloc(count, sizeof(*others));
        struct stream *created =
            others == NULL ? NULL : stream_create(stream->db, stream->range, others, count);

        if (created == NULL) {
            free(others);
            return CAIRN_ENOMEM;
        }
        created->moved = stream->moved;
        created->calls = stream->calls;
        created->owner = stream->owner;
        memcpy(created->after, stream->after, stream->after_length);
        created->after_length = stream->after_length;
        created->hops = stream->hops;
        divide(stream, others);
        *rest = created;
    }
    stream->generation = stream->db->route.generation;
    return CAIRN_OK;
}

static void never_sent(struct stream *stream, int code)
{
    stream->settled = true;
    stream->rpc_status = code;
    error_set(&stream->error, code, "%s", error_text(code));
    *stream->moved = true;
}

void stream_ask(struct stream *stream, uint32_t limit_bytes)
{
    cairn_t *db = stream->db;
    const struct scan_range *range = stream->range;
    struct route_server *server = route_primary(&db->route, stream->partitions[0]);
    bool resume = stream->after_length > 0;

    CHECK(!stream->asked && stream->page_at >= stream->page.length);
    buffer_clear(&stream->page);
    stream->page_at = 0;
    if (server == NULL) {
        never_sent(stream, CAIRN_EUNAVAILABLE);
        return;
    }
    stream->server = server->id;
    struct rpc_client *rpc = route_connection(&db->route, server);
    if (rpc == NULL) {
        never_sent(stream, CAIRN_ENOMEM);
        return;
    }
    const scan_args args = {
        .cluster = db->route.cluster,
        .from = {resume ? stream->after : range->from,
                 resume ? stream->after_length : range->from_length},
        .to = {range->to, range->to_length},
        .after_from = resume,
        .limit_pairs = stream->limit_pairs,
        .limit_bytes = stream->limit_bytes < limit_bytes ? stream->limit_bytes : limit_bytes,
        .partitions = {.partitions_len = stream->partition_count,
                       .partitions_val = stream->partitions},
    };
    uv_update_time(&db->loop);
    int status = rpc_client_call(rpc, &program_server, SERVER_SCAN, &args, stream->attempt_ms,
                                 on_page, stream, &stream->call_id);
    if (status != CAIRN_OK) {
        never_sent(stream, status);
        return;
    }
    stream->rpc = rpc;
    stream->look_ms = clock_now_ms() + WATCH_MS;
    stream->asked = true;
    (*stream->calls)++;
}

/* Whether one of the partitions that were asked for is another server's. */
static bool has_moved(const struct stream *stream)
{
    const struct route *route = &stream->db->route;

    for (uint32_t i = 0; i < stream->partition_count; i++) {
        if (route_has_moved(route, stream->partitions[i], stream->server)) {
            return true;
        }
    }
    return false;
}

void stream_reconsider(struct stream *stream, uint64_t now_ms)
{
    if (stream->generation != stream->db->route.generation && has_moved(stream)) {
        stream_cancel(stream);
        stream->not_before_ms = 0;
        backoff_reset(&stream->backoff);
    } else if (stream->asked && stream->look_ms <= now_ms) {
        managers_refresh(stream->db);
        stream->look_ms = now_ms + WATCH_MS;
    }
}

uint64_t stream_next_ms(const struct stream *stream)
{
    return stream->asked ? stream->look_ms : stream->not_before_ms;
}

/* --- after an answer ---------------------------------------------------------------------------
 */

static void grow_pages(struct stream *stream)
{
    stream->limit_pairs = stream->limit_pairs * 4 > CAIRN_SCAN_PAIRS_LIMIT
                              ? CAIRN_SCAN_PAIRS_LIMIT
                              : stream->limit_pairs * 4;
    stream->limit_bytes = stream->limit_bytes * 2 > CAIRN_SCAN_BYTES_LIMIT
                              ? CAIRN_SCAN_BYTES_LIMIT
                              : stream->limit_bytes * 2;
    stream->attempt_ms = ATTEMPT_FIRST_MS;
    stream->hops = 0;
    stream->not_before_ms = 0;
    backoff_reset(&stream->backoff);
}

static void plan_retry(struct stream *stream, const struct outcome *outcome)
{
    cairn_t *db = stream->db;

    if (stream->rpc_status == CAIRN_OK && stream->status == SERVER_NOT_PRIMARY) {
        if (route_redirect(&db->route, stream->refused, &stream->redirect)) {
            handle_cache_redirected(db, stream->refused);
        }
    }
    /* The server may have lost more than the one partition that it named. */
    if (outcome->refresh) {
        managers_refresh(db);
    }
    if (stream->hops < HOPS_LIMIT && has_moved(stream)) {
        stream->hops++;
        stream->not_before_ms = 0;
        backoff_reset(&stream->backoff);
        return;
    }
    stream->attempt_ms =
        stream->attempt_ms * 2 > ATTEMPT_LIMIT_MS ? ATTEMPT_LIMIT_MS : stream->attempt_ms * 2;
    stream->not_before_ms = clock_now_ms() + backoff_next_ms(&stream->backoff, &db->random);
}

int stream_settle(struct stream *stream)
{
    const struct outcome_context context = {.patient = stream->db->timeout_ms == 0};
    struct route_server *server = route_server_by_id(&stream->db->route, stream->server);
    struct outcome outcome = outcome_of(stream->rpc_status, stream->status, &context);

    stream->settled = false;
    if (server != NULL && server->rpc == stream->rpc) {
        route_note(&stream->db->route, server, stream->rpc_status);
    }
    if (outcome.action == OUTCOME_RETRY) {
        plan_retry(stream, &outcome);
        return CAIRN_OK;
    }
    if (outcome.code != CAIRN_OK) {
        return outcome.code;
    }
    grow_pages(stream);
    return CAIRN_OK;
}
