/* Fetching the cluster map. */
#include "client/managers.h"

#include <stdlib.h>
#include <string.h>

#include "base/backoff.h"
#include "client/handle.h"
#include "proto/manager_rpc.h"
#include "proto/map.h"

enum { SILENT_LIMIT = 2, BACKOFF_FIRST_MS = 10, BACKOFF_LIMIT_MS = 1000 };

int managers_init(cairn_t *db, const struct address_list *list, uint64_t cluster)
{
    struct managers *managers = &db->managers;

    managers->peers = calloc(list->count, sizeof(*managers->peers));
    if (managers->peers == NULL) {
        return CAIRN_ENOMEM;
    }
    for (size_t i = 0; i < list->count; i++) {
        managers->peers[i].db = db;
        managers->peers[i].address = list->items[i];
        address_format(&list->items[i], managers->peers[i].address_text);
    }
    managers->count = list->count;
    managers->cluster = cluster;
    return CAIRN_OK;
}

void managers_close(struct managers *managers)
{
    for (size_t i = 0; i < managers->count; i++) {
        route_drop_connection(&managers->peers[i].db->closing, &managers->peers[i].rpc);
    }
}

void managers_start_over(cairn_t *db)
{
    managers_close(&db->managers);
    db->managers.ended = false;
    db->managers.status = CAIRN_EUNAVAILABLE;
    db->managers.error.code = CAIRN_OK;
}

void managers_free(struct managers *managers)
{
    free(managers->peers);
    managers->peers = NULL;
    managers->count = 0;
}

struct rpc_client *managers_connection(cairn_t *db, struct manager_peer *peer)
{
    if (peer->rpc == NULL &&
        rpc_client_open(&db->loop, &peer->address, NULL, &peer->rpc) != CAIRN_OK) {
        peer->rpc = NULL;
    }
    return peer->rpc;
}

static int install(cairn_t *db, const map_done *done, struct error *error)
{
    struct cluster_map map;

    if (done->map.length == 0) {
        if (db->route.version == 0) {
            return error_set(error, CAIRN_EPROTO, "the manager sent no map to one who has none");
        }
        handle_cache_confirm(db, NULL, 0);
        return CAIRN_OK;
    }
    int status = cluster_map_unpack(done->map.data, done->map.length, &map, error);
    if (status != CAIRN_OK) {
        return status;
    }
    if (map.configurations == NULL) {
        status = error_set(error, CAIRN_EUNAVAILABLE, "the partitions are not placed yet");
    } else if (db->managers.cluster != 0 && map.cluster != db->managers.cluster) {
        status =
            error_set(error, CAIRN_ECONFLICT, "the manager's cluster is %016llx, not %016llx",
                      (unsigned long long)map.cluster, (unsigned long long)db->managers.cluster);
    } else {
        status = route_install(&db->route, &map, error);
    }
    cluster_map_free(&map);
    if (status == CAIRN_OK) {
        handle_cache_confirm(db, done->map.data, done->map.length);
    }
    return status;
}

/* What a manager that answered says. */
static int take_result(cairn_t *db, const map_result *result, struct error *error)
{
    if (result->status == MANAGER_OK) {
        return install(db, &result->map_result_u.done, error);
    }
    const cairn_message *message = &result->map_result_u.message;
    int code = CAIRN_EPROTO;
    if (result->status == MANAGER_WAITING) {
        code = CAIRN_EUNAVAILABLE;
    } else if (result->status == MANAGER_WRONG_CLUSTER) {
        code = CAIRN_ECONFLICT;
    }
    return error_set(error, code, "%.*s", (int)message->length, (const char *)message->data);
}

static void note_silence(struct manager_peer *peer, int status)
{
    if (!route_is_silence(peer->rpc, status)) {
        peer->silent = 0;
    } else if (++peer->silent >= SILENT_LIMIT) {
        peer->silent = 0;
        route_drop_connection(&peer->db->closing, &peer->rpc);
    }
}

static bool any_asked(const struct managers *managers)
{
    for (size_t i = 0; i < managers->count; i++) {
        if (managers->peers[i].asked) {
            return true;
        }
    }
    return false;
}

/* Contradictions outrank silence: they will not go away by waiting. */
static void note_failure(struct managers *managers, const struct manager_peer *peer, int code,
                         const char *message)
{
    if (managers->status != CAIRN_ECONFLICT && managers->status != CAIRN_EVERSION) {
        managers->status = code;
        error_set(&managers->error, code, "manager %s: %s", peer->address_text,
                  route_reason(message, peer->address_text));
    }
}

static void finish(struct managers *managers)
{
    managers->refreshing = false;
    managers->ended = true;
    if (managers->listener != NULL) {
        *managers->listener = true;
    }
}

static void on_map(void *context, int status, const void *result, const struct error *error)
{
    struct manager_peer *peer = context;
    struct managers *managers = &peer->db->managers;
    struct error own = {0};

    peer->asked = false;
    note_silence(peer, status);
    if (status == CAIRN_OK) {
        status = take_result(peer->db, result, &own);
    } else {
        own = *error;
        status = status == CAIRN_EUNKNOWN ? CAIRN_EUNAVAILABLE : status;
    }
    if (status == CAIRN_OK) {
        managers->status = CAIRN_OK;
        managers->error.code = CAIRN_OK;
        finish(managers);
        uv_stop(&peer->db->loop);
        return;
    }
    if (managers->refreshing) {
        note_failure(managers, peer, status, own.message);
        if (!any_asked(managers)) {
            finish(managers);
        }
    }
}

/* The whole map, if the segment lacks it: this handle has only what it needs of it. */
static uint64_t known_version(const cairn_t *db)
{
    const struct cache *segment = handle_cache_segment(db);

    return segment != NULL && cache_map_version(segment) < db->route.version ? 0
                                                                             : db->route.version;
}

static void ask(cairn_t *db, struct manager_peer *peer)
{
    const map_args args = {
        .cluster = db->route.cluster != 0 ? db->route.cluster : db->managers.cluster,
        .known_version = known_version(db),
    };
    struct rpc_client *rpc = managers_connection(db, peer);
    int status = CAIRN_ENOMEM;

    if (rpc != NULL) {
        status = rpc_client_call(rpc, &program_manager, MANAGER_GET_MAP, &args, MANAGER_CALL_MS,
                                 on_map, peer, NULL);
    }
    peer->asked = status == CAIRN_OK;
    if (status != CAIRN_OK) {
        note_failure(&db->managers, peer, CAIRN_EUNAVAILABLE, error_text(status));
    }
}

void managers_refresh(cairn_t *db)
{
    struct managers *managers = &db->managers;

    if (managers->refreshing) {
        return;
    }
    if (handle_cache_look(db)) {
        managers->status = CAIRN_OK;
        managers->error.code = CAIRN_OK;
        finish(managers);
        uv_stop(&db->loop);
        return;
    }
    uv_update_time(&db->loop);
    managers->refreshing = true;
    managers->ended = false;
    managers->status = CAIRN_EUNAVAILABLE;
    for (size_t i = 0; i < managers->count; i++) {
        if (!managers->peers[i].asked) {
            ask(db, &managers->peers[i]);
        }
    }
    if (!any_asked(managers)) {
        finish(managers);
    }
}

/* --- waiting for a map --- */

bool managers_hopeless(const cairn_t *db)
{
    int status = db->managers.status;

    return db->managers.ended && (status == CAIRN_ECONFLICT || status == CAIRN_EVERSION ||
                                  (status == CAIRN_EPROTO && db->timeout_ms != 0));
}

int managers_await(cairn_t *db, const char *name, uint64_t deadline_ms)
{
    struct managers *managers = &db->managers;
    struct backoff backoff;

    backoff_init(&backoff, BACKOFF_FIRST_MS, BACKOFF_LIMIT_MS);
    while (!route_is_ready(&db->route)) {
        managers_refresh(db);
        bool go_on =
            managers->ended || client_wait(db, &managers->ended, client_left_ms(deadline_ms));
        if (route_is_ready(&db->route)) {
            return CAIRN_OK;
        }
        if (managers_hopeless(db)) {
            return error_set(&db->error, managers->status, "%s: %s", name, managers->error.message);
        }
        uint64_t left_ms = client_left_ms(deadline_ms);
        if (go_on && left_ms > 0) {
            uint64_t delay_ms = backoff_next_ms(&backoff, &db->random);
            go_on = client_wait(db, NULL, delay_ms < left_ms ? delay_ms : left_ms);
        }
        if (!go_on) {
            return error_set(&db->error, CAIRN_ECANCELED, "%s: interrupted", name);
        }
        if (left_ms == 0) {
            return error_set(&db->error, CAIRN_ETIMEDOUT, "%s: out of time: %s", name,
                             managers->error.code != CAIRN_OK ? managers->error.message
                                                              : "no manager answers");
        }
    }
    return CAIRN_OK;
}
