/* One operation on one key.
 *
 * Attempts are made one after another, each with a limit of its own, so that a server that takes a
 * call and says nothing is noticed. Every attempt of a mutation repeats client and number (S3); an
 * attempt that may have been executed is remembered to the end, whatever the later ones say. */
#include "client/operation.h"

#include <stdio.h>

#include "base/clock.h"
#include "client/handle.h"
#include "client/operation_cache.h"
#include "client/operation_result.h"
#include "client/text.h"

enum {
    BACKOFF_FIRST_MS = 10,
    BACKOFF_LIMIT_MS = 500,
    ATTEMPT_FIRST_MS = 2000,
    ATTEMPT_LIMIT_MS = 8000,
    WATCH_MS = 500, /* a call is unanswered so long: ask the manager whether it is still due */
    HOPS_LIMIT = 4,
    EXCERPT_SIZE = 64,
};

/* Less than the 24 h after which servers forget an idle session (S4). */
static const uint64_t unknown_limit_ms = UINT64_C(20) * 3600 * 1000;

static bool is_mutation(const struct operation *operation)
{
    return operation->procedure != SERVER_GET;
}

static int fail(struct operation *operation, int code, const char *why)
{
    char excerpt[EXCERPT_SIZE];

    return error_set(
        &operation->db->error, code, "%s %s: %s%s%s", operation->name,
        text_excerpt(operation->key.data, operation->key.length, excerpt, sizeof(excerpt)),
        code == CAIRN_EUNKNOWN ? "the outcome is unknown: " : "",
        code == CAIRN_ETIMEDOUT ? "out of time: " : "", why);
}

/* --- one attempt ------------------------------------------------------------------------- */

/* The connection that a call went out on may have been closed and its server replaced while the
 * loop ran; then the call has ended or is about to. */
static void cancel(struct operation *operation, const struct rpc_client *rpc, uint64_t call_id)
{
    struct route_server *server = route_server_by_id(&operation->db->route, operation->server);

    if (server != NULL && server->rpc == rpc && rpc != NULL) {
        rpc_client_cancel(server->rpc, call_id);
    }
    while (!operation->answered) {
        uv_run(&operation->db->loop, UV_RUN_ONCE);
    }
}

static void never_sent(struct operation *operation, int code, const char *why)
{
    operation->answered = true;
    operation->rpc_status = code;
    error_set(&operation->error, code, "%s", why);
}

static uint64_t attempt_limit(struct operation *operation)
{
    uint64_t limit_ms = operation->attempt_ms;
    uint64_t left_ms = client_left_ms(operation->deadline_ms);

    operation->attempt_ms = limit_ms * 2 > ATTEMPT_LIMIT_MS ? ATTEMPT_LIMIT_MS : limit_ms * 2;
    return left_ms < limit_ms ? left_ms : limit_ms;
}

static void on_watch(uv_timer_t *timer)
{
    managers_refresh(timer->data);
}

/* Waits for the answer. A server that stopped, or whose network was cut, says nothing, while its
 * backups may long have made one of them the primary: then the attempt is given up, with its
 * outcome unknown, and the next one goes there with the same number (S3). */
static void await_in_loop(struct operation *operation, const struct rpc_client *rpc,
                          uint64_t call_id)
{
    cairn_t *db = operation->db;
    uint64_t first_ms = WATCH_MS - random_below(&db->random, WATCH_MS / 4);

    uv_update_time(&db->loop);
    uv_timer_start(&db->watch, on_watch, first_ms, WATCH_MS);
    while (!operation->answered) {
        if (!client_run(db) ||
            route_has_moved(&db->route, operation->partition, operation->server)) {
            cancel(operation, rpc, call_id);
        }
    }
    uv_timer_stop(&db->watch);
}

/* The usual answer comes soon, and nothing else does: it is waited for on its connection alone. */
static void await_answer(struct operation *operation, struct rpc_client *rpc, uint64_t call_id)
{
    while (!operation->answered && client_may_skip_loop(operation->db) && rpc_client_await(rpc)) {
    }
    if (!operation->answered) {
        await_in_loop(operation, rpc, call_id);
    }
}

/* Leaves how it went in rpc_status, status and error. */
static void attempt(struct operation *operation)
{
    cairn_t *db = operation->db;
    struct route_server *server = route_primary(&db->route, operation->partition);
    uint64_t call_id = 0;

    if (server == NULL) {
        never_sent(operation, CAIRN_EUNAVAILABLE, "the key's primary is not known");
        return;
    }
    operation->server = server->id;
    operation->epoch = route_epoch(&db->route, operation->partition);
    operation->answered = false;
    struct rpc_client *rpc = route_connection(&db->route, server);
    if (rpc == NULL) {
        never_sent(operation, CAIRN_ENOMEM, error_text(CAIRN_ENOMEM));
        return;
    }
    if (operation->procedure == SERVER_GET) {
        operation_cache_note(operation);
    }
    int status = rpc_client_call(rpc, &program_server, operation->procedure, &operation->args,
                                 attempt_limit(operation), operation_on_done, operation, &call_id);
    if (status != CAIRN_OK) {
        never_sent(operation, status, error_text(status));
        return;
    }
    await_answer(operation, rpc, call_id);
    server = route_server_by_id(&db->route, operation->server);
    if (server != NULL) {
        route_note(&db->route, server, operation->rpc_status);
    }
    if (operation->procedure == SERVER_GET) {
        operation_cache_fill(operation);
    }
}

/* --- between attempts -------------------------------------------------------------------- */

static bool has_news(const struct operation *operation)
{
    return route_has_news(&operation->db->route, operation->partition, operation->server,
                          operation->epoch);
}

/* Waits a jittered delay; a fresh map that knows more of the partition ends it early, and the next
 * delay will be short: who has just become primary soon serves. False when the handle was
 * interrupted. */
static bool pause_between(struct operation *operation)
{
    cairn_t *db = operation->db;
    uint64_t delay_ms = backoff_next_ms(&operation->backoff, &db->random);
    uint64_t left_ms = client_left_ms(operation->deadline_ms);
    uint64_t begin_ms = clock_now_ms();
    bool knew = has_news(operation);

    delay_ms = left_ms < delay_ms ? left_ms : delay_ms;
    if (db->managers.refreshing) {
        if (!client_wait(db, &db->managers.ended, delay_ms)) {
            return false;
        }
        if (!knew && has_news(operation)) {
            backoff_reset(&operation->backoff);
            return true;
        }
    }
    uint64_t passed_ms = clock_now_ms() - begin_ms;
    return passed_ms >= delay_ms || client_wait(db, NULL, delay_ms - passed_ms);
}

/* --- the whole operation ------------------------------------------------------------------- */

static void fill_session(struct operation *operation)
{
    cairn_t *db = operation->db;
    union operation_args *args = &operation->args;

    if (operation->procedure == SERVER_GET) {
        args->get.cluster = db->route.cluster;
        return;
    }
    uint64_t number = session_next(&db->session, operation->partition);
    if (operation->procedure == SERVER_PUT) {
        args->put.cluster = db->route.cluster;
        args->put.client = db->session.client;
        args->put.number = number;
    } else if (operation->procedure == SERVER_SWAP) {
        args->swap.cluster = db->route.cluster;
        args->swap.client = db->session.client;
        args->swap.number = number;
    } else {
        args->remove.cluster = db->route.cluster;
        args->remove.client = db->session.client;
        args->remove.number = number;
    }
}

/* Time is up or the caller gave up: the last word. */
static int give_up(struct operation *operation, int code)
{
    char where[ERROR_MESSAGE_MAX];
    const struct route_server *server =
        route_server_by_id(&operation->db->route, operation->server);

    if (operation->had_unknown) {
        code = CAIRN_EUNKNOWN;
    }
    const char *address = server != NULL ? server->address_text : "an unknown address";
    snprintf(where, sizeof(where), "server %u at %s: %.200s", operation->server, address,
             route_reason(operation->error.message, address));
    return fail(operation, code, where);
}

static void note_unknown(struct operation *operation)
{
    if (!operation->had_unknown) {
        uint64_t limit_ms = clock_now_ms() + unknown_limit_ms;
        if (limit_ms < operation->deadline_ms) {
            operation->deadline_ms = limit_ms;
        }
    }
    operation->had_unknown = true;
    session_unsettle(&operation->db->session, operation->partition);
}

/* Whether the next attempt may go out at once, because a redirect or a map that came meanwhile told
 * more than was known when the last one did. Not without end: servers that contradict one another
 * must not make a client run to and fro. */
static bool follow_news(struct operation *operation)
{
    const cairn_t *db = operation->db;

    if (!has_news(operation) || db->interrupted || client_left_ms(operation->deadline_ms) == 0 ||
        operation->hops >= HOPS_LIMIT) {
        return false;
    }
    operation->hops++;
    backoff_reset(&operation->backoff);
    return true;
}

/* Routes the operation and gives it its number. */
static int prepare(struct operation *operation)
{
    cairn_t *db = operation->db;

    (void)handle_cache_look(db);
    if (!route_is_ready(&db->route)) {
        int status = managers_await(db, operation->name, operation->deadline_ms);
        if (status != CAIRN_OK) {
            return status;
        }
    }
    operation->partition = route_partition(&db->route, operation->key.data, operation->key.length);
    fill_session(operation);
    return CAIRN_OK;
}

/* The map that another process left in the shared segment may be that of a cluster that is no more:
 * then the managers, asked anew, name the one that is. Not once an attempt may have been executed.
 */
static bool start_over(struct operation *operation, int code, int *status)
{
    if (code != CAIRN_ECONFLICT || operation->had_unknown || !handle_cache_disown(operation->db)) {
        return false;
    }
    *status = prepare(operation);
    return true;
}

/* Prepares the next attempt. 0, or the error that ends the operation. */
static int prepare_retry(struct operation *operation, const struct outcome *outcome)
{
    cairn_t *db = operation->db;
    int status;

    if (operation->rpc_status == CAIRN_OK && operation->status == SERVER_NOT_PRIMARY) {
        if (route_redirect(&db->route, operation->partition, &operation->redirect)) {
            handle_cache_redirected(db, operation->partition);
        }
    }
    (void)handle_cache_look(db);
    if (follow_news(operation)) {
        return CAIRN_OK;
    }
    if (outcome->refresh) {
        managers_refresh(db);
    }
    if (db->interrupted || !pause_between(operation)) {
        return give_up(operation, CAIRN_ECANCELED);
    }
    if (managers_hopeless(db)) {
        if (start_over(operation, db->managers.status, &status)) {
            return status;
        }
        return fail(operation, operation->had_unknown ? CAIRN_EUNKNOWN : db->managers.status,
                    db->managers.error.message);
    }
    if (client_left_ms(operation->deadline_ms) == 0) {
        return give_up(operation, CAIRN_ETIMEDOUT);
    }
    return CAIRN_OK;
}

static int conclude(struct operation *operation, const struct outcome *outcome)
{
    if (outcome->new_session) {
        session_begin(&operation->db->session, random_id());
    }
    if (outcome->code == CAIRN_OK) {
        operation->db->error.code = CAIRN_OK;
        return CAIRN_OK;
    }
    if (outcome->code == CAIRN_ENOTFOUND) {
        return fail(operation, CAIRN_ENOTFOUND, "not found");
    }
    if (outcome->code == CAIRN_EMISMATCH) {
        char why[64];
        snprintf(why, sizeof(why), "the version is %llu", (unsigned long long)operation->version);
        return fail(operation, CAIRN_EMISMATCH, why);
    }
    return fail(operation, outcome->code, operation->error.message);
}

static int begin(struct operation *operation)
{
    cairn_t *db = operation->db;

    operation->deadline_ms = client_deadline(db);
    operation->attempt_ms = ATTEMPT_FIRST_MS;
    operation->had_unknown = false;
    operation->hops = 0;
    operation->existed = false;
    operation->version = 0;
    operation->server = UINT32_MAX;
    operation->epoch = 0;
    operation->status = SERVER_OK;
    operation->error.code = CAIRN_OK;
    operation->error.message[0] = '\0';
    backoff_init(&operation->backoff, BACKOFF_FIRST_MS, BACKOFF_LIMIT_MS);
    return prepare(operation);
}

int operation_run(struct operation *operation)
{
    int status = begin(operation);

    while (status == CAIRN_OK) {
        attempt(operation);
        const struct outcome_context context = {
            .mutation = is_mutation(operation),
            .had_unknown = operation->had_unknown,
            .patient = operation->db->timeout_ms == 0,
        };
        struct outcome outcome = outcome_of(operation->rpc_status, operation->status, &context);
        if (outcome.unknown) {
            note_unknown(operation);
        }
        if (outcome.action == OUTCOME_RETRY) {
            status = prepare_retry(operation, &outcome);
        } else if (!start_over(operation, outcome.code, &status)) {
            return conclude(operation, &outcome);
        }
    }
    return status;
}
