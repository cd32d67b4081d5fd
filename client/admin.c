/* What an operator asks of the manager. */
#include "client/admin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/backoff.h"
#include "client/handle.h"
#include "client/status_report.h"

enum { ADMIN_CALL_MS = 5000, BACKOFF_FIRST_MS = 50, BACKOFF_LIMIT_MS = 1000 };

/* --- one call -------------------------------------------------------------------------------- */

struct question {
    struct admin_answer *answer;
    bool answered;
    int status;   /* CAIRN_OK, or why not */
    bool refused; /* the manager has spoken: asking again is to no avail */
    struct error error;
};

static int take_done(struct admin_answer *answer, const admin_done *done)
{
    size_t count = done->moves.moves_len;

    answer->moves = calloc(count + 1, sizeof(*answer->moves));
    if (answer->moves == NULL) {
        return CAIRN_ENOMEM;
    }
    for (size_t i = 0; i < count; i++) {
        answer->moves[i] = done->moves.moves_val[i];
    }
    answer->move_count = count;
    answer->server = done->server;
    snprintf(answer->message, sizeof(answer->message), "%.*s", (int)done->message.length,
             (const char *)done->message.data);
    return CAIRN_OK;
}

static int refusal_code(manager_status status)
{
    switch (status) {
    case MANAGER_WAITING:
        return CAIRN_EUNAVAILABLE;
    case MANAGER_WRONG_CLUSTER:
        return CAIRN_ECONFLICT;
    default:
        return CAIRN_EINVAL;
    }
}

static void on_answer(void *context, int status, const void *result, const struct error *error)
{
    struct question *question = context;
    const admin_result *said = result;

    question->answered = true;
    question->status = status;
    question->refused = false;
    if (status != CAIRN_OK) {
        question->error = *error;
    } else if (said->status == MANAGER_OK) {
        question->status = take_done(question->answer, &said->admin_result_u.done);
        error_set(&question->error, question->status, "out of memory");
    } else {
        const cairn_message *message = &said->admin_result_u.message;
        question->status = refusal_code(said->status);
        question->refused = said->status != MANAGER_WAITING;
        error_set(&question->error, question->status, "%.*s", (int)message->length,
                  (const char *)message->data);
    }
}

/* Leaves in `question` how it went. False when the handle was interrupted. */
static bool ask_one(cairn_t *db, struct manager_peer *peer, const admin_args *args,
                    uint64_t deadline_ms, struct question *question)
{
    uint64_t left_ms = client_left_ms(deadline_ms);
    uint64_t call_id;
    bool go_on = true;
    struct rpc_client *rpc = managers_connection(db, peer);
    int status = CAIRN_ENOMEM;

    question->answered = false;
    uv_update_time(&db->loop);
    if (rpc != NULL) {
        status = rpc_client_call(rpc, &program_manager, MANAGER_ADMIN, args,
                                 left_ms < ADMIN_CALL_MS ? left_ms : ADMIN_CALL_MS, on_answer,
                                 question, &call_id);
    }
    if (status != CAIRN_OK) {
        question->status = CAIRN_EUNAVAILABLE;
        question->refused = false;
        error_set(&question->error, CAIRN_EUNAVAILABLE, "%s", error_text(status));
        return true;
    }
    while (!question->answered) {
        go_on = client_turn(db);
        if (!go_on) {
            /* A refresh that runs beside it may have given the connection up, which ends its calls.
             */
            if (peer->rpc == rpc) {
                rpc_client_cancel(rpc, call_id);
            }
            uv_run(&db->loop, UV_RUN_ONCE);
        }
    }
    return go_on || question->status == CAIRN_OK;
}

/* --- until somebody answers ------------------------------------------------------------------ */

static int fail(cairn_t *db, const struct admin_request *request, int code, const char *why,
                const struct manager_peer *peer, const char *message)
{
    return error_set(&db->error, code, "%s: %smanager %s: %s", request->name, why,
                     peer->address_text, route_reason(message, peer->address_text));
}

/* Whether the question's end is the request's end. */
static bool is_final(const struct question *question)
{
    switch (question->status) {
    case CAIRN_EUNAVAILABLE:
    case CAIRN_EUNKNOWN:
        return question->refused;
    default:
        return true;
    }
}

/* What was said last, when nobody answered in time or the caller gave up. */
static int give_up(cairn_t *db, const struct admin_request *request, bool unknown, bool go_on,
                   const struct manager_peer *peer, const struct question *question)
{
    if (unknown) {
        return fail(db, request, CAIRN_EUNKNOWN, "the outcome is unknown: ", peer,
                    question->error.message);
    }
    return fail(db, request, go_on ? CAIRN_ETIMEDOUT : CAIRN_ECANCELED,
                go_on ? "out of time: " : "interrupted: ", peer, question->error.message);
}

int admin_ask(cairn_t *db, const struct admin_request *request, struct admin_answer *answer)
{
    const admin_args args = {
        .cluster = db->managers.cluster,
        .kind = request->kind,
        .dry_run = request->dry_run,
        .partition = request->partition,
        .server = request->server,
        .address = view_of_text(request->address),
    };
    bool repeatable = request->kind != ADMIN_UNSAFE_RECOVER || request->dry_run;
    uint64_t deadline_ms = client_deadline(db);
    struct question question = {.answer = answer};
    struct backoff backoff;
    bool unknown = false;

    memset(answer, 0, sizeof(*answer));
    backoff_init(&backoff, BACKOFF_FIRST_MS, BACKOFF_LIMIT_MS);
    for (size_t i = 0;; i = (i + 1) % db->managers.count) {
        struct manager_peer *peer = &db->managers.peers[i];
        bool go_on = ask_one(db, peer, &args, deadline_ms, &question);

        if (question.status == CAIRN_OK) {
            return CAIRN_OK;
        }
        if (is_final(&question)) {
            return fail(db, request, question.status, "", peer, question.error.message);
        }
        unknown = unknown || question.status == CAIRN_EUNKNOWN;
        if (unknown && !repeatable) {
            return give_up(db, request, true, go_on, peer, &question);
        }
        uint64_t left_ms = client_left_ms(deadline_ms);
        uint64_t delay_ms = i + 1 < db->managers.count ? 0 : backoff_next_ms(&backoff, &db->random);
        go_on = go_on && client_wait(db, NULL, delay_ms < left_ms ? delay_ms : left_ms);
        if (!go_on || client_left_ms(deadline_ms) == 0) {
            return give_up(db, request, unknown, go_on, peer, &question);
        }
    }
}

void admin_answer_free(struct admin_answer *answer)
{
    free(answer->moves);
    memset(answer, 0, sizeof(*answer));
}

/* --- what is left to do ---------------------------------------------------------------------- */

static bool is_planned(const struct admin_answer *answer, uint32_t partition)
{
    for (size_t i = 0; i < answer->move_count; i++) {
        if (answer->moves[i].partition == partition) {
            return true;
        }
    }
    return false;
}

static bool holds(const struct replica_id *replicas, uint32_t count, uint32_t server)
{
    for (uint32_t i = 0; i < count; i++) {
        if (replicas[i].server == server) {
            return true;
        }
    }
    return false;
}

/* Whether a partition that moves does so because of the request. */
static bool concerns(const struct admin_request *request, const struct admin_answer *answer,
                     const struct status_report *report, uint32_t partition)
{
    if (request->kind == ADMIN_MOVE) {
        return partition == request->partition;
    }
    if (is_planned(answer, partition)) {
        return true;
    }
    if (request->kind == ADMIN_REBALANCE) {
        return answer->move_count == 0;
    }
    if (report->map.configurations == NULL || partition >= report->map.partitions) {
        return false;
    }
    const struct configuration *configuration = &report->map.configurations[partition];
    return holds(configuration->members, configuration->member_count, request->server) ||
           holds(configuration->learners, configuration->learner_count, request->server);
}

int admin_look(cairn_t *db, const struct admin_request *request, const struct admin_answer *answer,
               struct admin_rest *rest)
{
    struct status_report report;

    memset(rest, 0, sizeof(*rest));
    status_report_init(&report);
    int status = status_ask_manager(db, request->name, &report, client_deadline(db));
    for (uint32_t i = 0; status == CAIRN_OK && i < report.moving_count; i++) {
        rest->moving += concerns(request, answer, &report, report.moving[i]);
    }
    for (size_t i = 0; status == CAIRN_OK && i < report.server_count; i++) {
        if (report.servers[i].id == request->server) {
            rest->copies = report.servers[i].copy_count;
        }
    }
    status_report_free(&report);
    return status;
}
