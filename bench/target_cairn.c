/* Cairn as a target, through its client library. */
#include <stdlib.h>

#include "bench/host_cache.h"
#include "bench/target.h"
#include "client/cairn.h"

struct session {
    cairn_t *db;
};

static int fail(const struct session *session, int code, struct error *error)
{
    return error_set(error, code, "cairn: %s", cairn_errmsg(session->db));
}

static void close_session(struct session *session)
{
    if (session != NULL)
        cairn_close(session->db);
    free(session);
}

static int get(struct session *session, struct bytes key, bool *found, struct error *error)
{
    const void *value;
    size_t length;
    int status = cairn_get(session->db, key.data, key.length, &value, &length, NULL);
    *found = status == CAIRN_OK;
    return status == CAIRN_OK || status == CAIRN_ENOTFOUND ? 0 : fail(session, status, error);
}

/* The library connects when it is first used: asks for some key. */
static int open_session(const struct target_place *place, struct session **session,
                        struct error *error)
{
    struct cairn_options options = {.timeout_ms = place->timeout_ms,
                                    .no_cache = !place->cache,
                                    .cache_bytes = place->cache_bytes,
                                    .cache_name = place->cache_name,
                                    .no_agent = place->no_agent};
    bool found;
    *session = calloc(1, sizeof(**session));
    if (*session == NULL)
        return error_set(error, CAIRN_ENOMEM, "cairn: out of memory");
    int status = cairn_open(place->address, &options, &(*session)->db);
    if (status == CAIRN_ENOMEM)
        error_set(error, status, "cairn: out of memory");
    else if (status != CAIRN_OK)
        fail(*session, status, error);
    else
        status = get(*session, (struct bytes){"?", 1}, &found, error);
    if (status != 0) {
        close_session(*session);
        *session = NULL;
    }
    return status;
}

static int put(struct session *session, struct bytes key, struct bytes value, struct error *error)
{
    int status = cairn_put(session->db, key.data, key.length, value.data, value.length, NULL, NULL);
    return status == CAIRN_OK ? 0 : fail(session, status, error);
}

static int remove_key(struct session *session, struct bytes key, struct error *error)
{
    int status = cairn_delete(session->db, key.data, key.length, NULL);
    return status == CAIRN_OK ? 0 : fail(session, status, error);
}

static int scan(struct session *session, struct bytes from, size_t limit, struct error *error)
{
    cairn_cursor_t *cursor = NULL;
    int status = cairn_scan(session->db, from.data, from.length, NULL, 0, &cursor);
    while (status == CAIRN_OK && limit-- > 0) {
        const void *key, *value;
        size_t key_length, value_length;
        status = cairn_scan_next(cursor, &key, &key_length, &value, &value_length);
    }
    if (status != CAIRN_OK && status != CAIRN_ENOTFOUND)
        fail(session, status, error);
    else
        status = 0;
    cairn_scan_close(cursor);
    return status;
}

static void count(const struct target_place *place, struct target_counts *counts)
{
    host_cache_count(place->cache_name != NULL ? place->cache_name : "", counts);
}

const struct target target_cairn = {
    .name = "cairn",
    .open = open_session,
    .close = close_session,
    .put = put,
    .get = get,
    .remove = remove_key,
    .scan = scan,
    .count = count,
};
