/* The cluster's state as JSON: what the manager says, and what every server says of itself.
 *
 *   {"cluster": "9f…", "uptime_ms": n, "version": n, "partition_count": n, "replicas": n,
 *    "replace_after_ms": n, "missing_copies": partitions with fewer members than "replicas",
 *    "moving": [partition whose copies are not yet where they shall be],
 *    "servers": [{"id", "address", "state": "ok"|"unreachable"|"unregistered"|"removed",
 *       "silent_ms", "store", "incarnation", "draining", "copies", "primaries", and if it answered:
 *       "uptime_ms", "operations": {"put", "get", "swap", "delete", "scan"}, "log_bytes",
 *       "log_syncs", "memtable_bytes", "store_bytes", "disk_free_bytes", "checkpoints",
 *       "checksum_errors", "read_only", "scrub": {"running", "rate_bytes", "passes", "values",
 *       "bytes", "bad_values", "repaired", "waiting", "unrepaired", "comparisons", "differences",
 *       "stepped_aside"} (not from a server that knows no scrub); else "error"}],
 *    "partitions": [{"partition", "primary", "backups": [id], "members": [id], "learners": [id],
 *       "epoch", "state": "ok"|"starting"|"waiting"|"unreachable", "copies": members,
 *       "wanted", "lag", and if the primary answered: "role", "last_index", "commit_index",
 *       "applied_index", "checkpoint_index", "sessions"}]}
 *
 * Identifiers of 64 bits are hexadecimal strings, since not every JSON reader keeps such numbers.
 * "lag" counts the entries by which the slowest member is behind the primary's log; null when the
 * primary does not answer, does not lead, or does not know. */
#include <stdlib.h>
#include <string.h>

#include "base/backoff.h"
#include "client/handle.h"
#include "client/status_report.h"
#include "client/text.h"
#include "proto/manager_rpc.h"
#include "proto/map.h"
#include "proto/server_rpc.h"

enum { STATUS_CALL_MS = 2000, BACKOFF_FIRST_MS = 10, BACKOFF_LIMIT_MS = 1000 };

/* --- the manager ------------------------------------------------------------------------------ */

struct manager_question {
    struct status_report *report;
    unsigned pending;
    struct error error;
};

struct manager_asked {
    struct manager_question *question;
    struct manager_peer *peer;
    const struct rpc_client *rpc;
    uint64_t call_id;
    bool pending;
};

static void on_manager(void *context, int status, const void *result, const struct error *error)
{
    struct manager_asked *asked = context;
    struct manager_question *question = asked->question;
    const manager_status_result *answer = result;

    question->pending--;
    asked->pending = false;
    if (status != CAIRN_OK) {
        error_set(&question->error, status, "manager %s", error->message);
    } else if (answer->status == MANAGER_OK) {
        const manager_report *said = &answer->manager_status_result_u.report;
        if (!question->report->has_manager) {
            /* A report that is not valid leaves its reason; another manager may do better. */
            (void)status_take_manager(question->report, said, &question->error);
        }
    } else {
        const cairn_message *message = &answer->manager_status_result_u.message;
        error_set(&question->error,
                  answer->status == MANAGER_WRONG_CLUSTER ? CAIRN_ECONFLICT : CAIRN_EPROTO,
                  "manager %s: %.*s", asked->peer->address_text, (int)message->length,
                  (const char *)message->data);
    }
}

static uint64_t call_limit(uint64_t deadline_ms)
{
    uint64_t left_ms = client_left_ms(deadline_ms);

    return left_ms < STATUS_CALL_MS ? left_ms : STATUS_CALL_MS;
}

static void ask_manager(struct manager_asked *asked, uint64_t deadline_ms)
{
    cairn_t *db = asked->peer->db;
    const manager_status_args args = {.cluster = db->managers.cluster};
    struct rpc_client *rpc = managers_connection(db, asked->peer);

    asked->rpc = rpc;
    asked->pending = rpc != NULL && rpc_client_call(rpc, &program_manager, MANAGER_STATUS, &args,
                                                    call_limit(deadline_ms), on_manager, asked,
                                                    &asked->call_id) == CAIRN_OK;
    asked->question->pending += asked->pending;
}

/* A connection that was closed meanwhile ends its calls by itself. */
static void cancel_asked(struct manager_asked *asked)
{
    if (asked->pending && asked->peer->rpc == asked->rpc && asked->peer->rpc != NULL) {
        rpc_client_cancel(asked->peer->rpc, asked->call_id);
    }
}

/* Asks all managers once, until one has answered or all have failed. False when the handle was
 * interrupted. All calls have ended then: their contexts live here. */
static bool ask_managers(cairn_t *db, struct manager_question *question, uint64_t deadline_ms)
{
    struct manager_asked *asked = calloc(db->managers.count, sizeof(*asked));
    bool go_on = true;

    question->pending = 0;
    if (asked == NULL) {
        error_set(&question->error, CAIRN_ENOMEM, "out of memory");
        return true;
    }
    uv_update_time(&db->loop);
    for (size_t i = 0; i < db->managers.count; i++) {
        asked[i].question = question;
        asked[i].peer = &db->managers.peers[i];
        ask_manager(&asked[i], deadline_ms);
    }
    while (go_on && question->pending > 0 && !question->report->has_manager) {
        go_on = client_turn(db);
    }
    for (size_t i = 0; i < db->managers.count; i++) {
        cancel_asked(&asked[i]);
    }
    while (question->pending > 0) {
        uv_run(&db->loop, UV_RUN_ONCE);
    }
    free(asked);
    return go_on;
}

int status_ask_manager(cairn_t *db, const char *name, struct status_report *report,
                       uint64_t deadline_ms)
{
    struct manager_question question = {.report = report};
    struct backoff backoff;

    backoff_init(&backoff, BACKOFF_FIRST_MS, BACKOFF_LIMIT_MS);
    for (;;) {
        bool go_on = ask_managers(db, &question, deadline_ms);
        if (report->has_manager) {
            return CAIRN_OK;
        }
        int code = question.error.code;
        if (code == CAIRN_ECONFLICT || code == CAIRN_EVERSION || code == CAIRN_ENOMEM ||
            (code == CAIRN_EPROTO && db->timeout_ms != 0)) {
            return error_set(&db->error, code, "%s: %s", name, question.error.message);
        }
        uint64_t left_ms = client_left_ms(deadline_ms);
        uint64_t delay_ms = backoff_next_ms(&backoff, &db->random);
        if (!go_on || !client_wait(db, NULL, delay_ms < left_ms ? delay_ms : left_ms)) {
            return error_set(&db->error, CAIRN_ECANCELED, "%s: interrupted", name);
        }
        if (client_left_ms(deadline_ms) == 0) {
            return error_set(&db->error, CAIRN_ETIMEDOUT, "%s: out of time: %s", name,
                             question.error.message);
        }
    }
}

/* --- the servers ------------------------------------------------------------------------------ */

struct server_asked {
    struct status_server *server;
    unsigned *pending;
    struct rpc_client *rpc;
};

static void on_server(void *context, int status, const void *result, const struct error *error)
{
    struct server_asked *asked = context;
    const status_result *answer = result;

    (*asked->pending)--;
    if (status != CAIRN_OK) {
        text_excerpt(error->message, strlen(error->message), asked->server->error,
                     sizeof(asked->server->error));
    } else if (answer->status == SERVER_OK) {
        status_take_server(asked->server, &answer->status_result_u.report);
    } else {
        const cairn_message *message = &answer->status_result_u.message;
        text_excerpt(message->data, message->length, asked->server->error,
                     sizeof(asked->server->error));
    }
}

/* A server that knows no scrub says nothing of it. */
static void on_scrub(void *context, int status, const void *result, const struct error *error)
{
    struct server_asked *asked = context;
    const scrub_result *answer = result;

    (void)error;
    (*asked->pending)--;
    if (status == CAIRN_OK && answer->status == SERVER_OK) {
        asked->server->scrub = answer->scrub_result_u.report;
        asked->server->scrub.partitions.partitions_val = NULL;
        asked->server->scrub.partitions.partitions_len = 0;
        asked->server->scrub.damaged.damaged_val = NULL;
        asked->server->scrub.damaged.damaged_len = 0;
        asked->server->scrub_answered = true;
    }
}

static void ask_scrub(struct server_asked *asked, uint64_t cluster, uint64_t deadline_ms)
{
    const scrub_args args = {.cluster = cluster, .kind = SCRUB_LOOK};

    if (rpc_client_call(asked->rpc, &program_server, SERVER_SCRUB, &args, call_limit(deadline_ms),
                        on_scrub, asked, NULL) == CAIRN_OK) {
        (*asked->pending)++;
    }
}

/* With connections of their own: the report may name servers that the handle's map does not. */
static int ask_servers(cairn_t *db, struct status_report *report, uint64_t deadline_ms)
{
    const status_args args = {.cluster = report->cluster};
    struct server_asked *asked = calloc(report->server_count, sizeof(*asked));
    unsigned pending = 0;

    if (asked == NULL) {
        return error_set(&db->error, CAIRN_ENOMEM, "status: out of memory");
    }
    uv_update_time(&db->loop);
    for (size_t i = 0; i < report->server_count; i++) {
        asked[i].server = &report->servers[i];
        asked[i].pending = &pending;
        if (report->servers[i].removed) {
            continue;
        }
        if (rpc_client_open(&db->loop, &report->servers[i].address, NULL, &asked[i].rpc) !=
            CAIRN_OK) {
            asked[i].rpc = NULL;
        } else if (rpc_client_call(asked[i].rpc, &program_server, SERVER_STATUS, &args,
                                   call_limit(deadline_ms), on_server, &asked[i],
                                   NULL) == CAIRN_OK) {
            pending++;
            ask_scrub(&asked[i], report->cluster, deadline_ms);
        }
    }
    while (pending > 0) {
        uv_run(&db->loop, UV_RUN_ONCE);
    }
    for (size_t i = 0; i < report->server_count; i++) {
        route_drop_connection(&db->closing, &asked[i].rpc);
    }
    free(asked);
    return CAIRN_OK;
}

int cairn_status(cairn_t *db, const char **json)
{
    struct status_report report;

    *json = NULL;
    if (db == NULL) {
        return CAIRN_EINVAL;
    }
    if (!db->usable) {
        return error_set(&db->error, CAIRN_EINVAL, "the handle was not opened");
    }
    uint64_t deadline_ms = client_deadline(db);
    status_report_init(&report);
    int status = status_ask_manager(db, "status", &report, deadline_ms);
    if (status == CAIRN_OK) {
        status = ask_servers(db, &report, deadline_ms);
    }
    if (status == CAIRN_OK) {
        free(db->status);
        db->status = status_report_json(&report);
        status = db->status != NULL ? CAIRN_OK
                                    : error_set(&db->error, CAIRN_ENOMEM, "status: out of memory");
    }
    status_report_free(&report);
    *json = status == CAIRN_OK ? db->status : NULL;
    return status;
}
