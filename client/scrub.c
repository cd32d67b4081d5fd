/* See scrub.h. */
#include "client/scrub.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "client/handle.h"
#include "client/route.h"
#include "client/status_report.h"
#include "client/text.h"

enum {
    CALL_MS = 3000,
    LOOK_EVERY_MS = 100,
    ROUND_EVERY_MS = 500,
    SETTLE_MS = 60000, /* after the first round: for copies to be installed, and led again */
};

/* One run over all servers. */
struct scrub_check {
    cairn_t *db;
    const struct scrub_request *request;
    struct scrub_outcome *result;
    uint64_t cluster;
    struct rpc_client **clients; /* [server_count] */
    unsigned pending;
    uint32_t *wanted; /* partitions of the round */
    uint32_t wanted_count;
    uint64_t settle_ms; /* 0: the first round is not over */
};

struct scrub_call {
    struct scrub_check *check;
    struct scrub_server *server;
    bool begins;
};

/* --- what servers say --------------------------------------------------------------------------
 */

static void take_partition(struct scrub_outcome *result, const compared_copies *said)
{
    static const enum scrub_state states[] = {
        [COMPARE_EQUAL] = SCRUB_EQUAL,
        [COMPARE_DIFFERS] = SCRUB_DIFFERS,
        [COMPARE_REPAIRING] = SCRUB_REPAIRING,
        [COMPARE_FAILED] = SCRUB_NOT_COMPARED,
    };
    struct scrub_partition *partition;

    if (said->partition >= result->partition_count) {
        return;
    }
    partition = &result->partitions[said->partition];
    partition->state = states[said->outcome];
    if (said->outcome == COMPARE_FAILED) {
        return;
    }
    /* A copy that is installed anew is no member meanwhile: what is left is always equal. */
    if (partition->state == SCRUB_EQUAL && partition->repaired &&
        said->copies < partition->had_copies) {
        partition->state = SCRUB_REPAIRING;
    }
    partition->repaired = partition->repaired || said->outcome == COMPARE_REPAIRING;
    partition->copies = said->copies;
    partition->index = said->index;
    partition->bad = said->bad;
    partition->differing_count = 0;
    for (u_int i = 0; i < said->differing.differing_len && i < CAIRN_REPLICAS_LIMIT; i++) {
        partition->differing[partition->differing_count++] = said->differing.differing_val[i];
    }
}

static void take_damaged(struct scrub_server *server, const scrub_report *said)
{
    server->damaged_count = 0;
    for (u_int i = 0; i < said->damaged.damaged_len && i < SCRUB_DAMAGED_LIMIT; i++) {
        const damaged_value *from = &said->damaged.damaged_val[i];
        struct scrub_damaged *to = &server->damaged[server->damaged_count++];

        to->partition = from->partition;
        to->lost = from->lost;
        to->key_length = from->key.length <= CAIRN_KEY_LIMIT ? from->key.length : 0;
        if (to->key_length > 0) {
            memcpy(to->key, from->key.data, to->key_length);
        }
    }
}

static void take_report(struct scrub_call *call, const scrub_report *said)
{
    struct scrub_server *server = call->server;
    bool other_process = !call->begins && said->incarnation != server->now.incarnation;

    server->now = *said;
    server->now.partitions.partitions_val = NULL;
    server->now.partitions.partitions_len = 0;
    server->now.damaged.damaged_val = NULL;
    server->now.damaged.damaged_len = 0;
    take_damaged(server, said);
    if (call->begins) {
        server->run = said->run;
        if (server->begun.incarnation != said->incarnation) {
            server->begun = server->now;
        }
    }
    /* Another operator's run, or another process: it says nothing about this one. */
    server->running = said->running && said->run == server->run && !other_process;
    if (server->running || said->run != server->run || other_process) {
        return;
    }
    for (u_int i = 0; i < said->partitions.partitions_len; i++) {
        take_partition(call->check->result, &said->partitions.partitions_val[i]);
    }
}

static void on_answer(void *context, int status, const void *result, const struct error *error)
{
    struct scrub_call *call = context;
    struct scrub_server *server = call->server;
    const scrub_result *said = result;

    call->check->pending--;
    server->answered = status == CAIRN_OK && said->status == SERVER_OK;
    if (server->answered) {
        take_report(call, &said->scrub_result_u.report);
    } else if (status != CAIRN_OK) {
        text_excerpt(error->message, strlen(error->message), server->error, sizeof(server->error));
    } else {
        const cairn_message *message = &said->scrub_result_u.message;
        text_excerpt(message->data, message->length, server->error, sizeof(server->error));
    }
    if (!server->answered) {
        server->lost = true;
        server->unable = status == CAIRN_EPROTO || status == CAIRN_EVERSION;
        server->running = false;
    }
}

/* --- asking them -------------------------------------------------------------------------------
 */

/* Asks every server that may answer, and waits for the answers. False: no memory. */
static bool ask_all(struct scrub_check *check, bool begins, bool values)
{
    const struct scrub_request *request = check->request;
    struct scrub_outcome *result = check->result;
    struct scrub_call *calls = calloc(result->server_count + 1, sizeof(*calls));
    const scrub_args args = {
        .cluster = check->cluster,
        .kind = !begins            ? SCRUB_LOOK
                : request->repairs ? SCRUB_REPAIR
                                   : SCRUB_VERIFY,
        .values = values,
        .partitions = {.partitions_val = check->wanted, .partitions_len = check->wanted_count},
    };

    if (calls == NULL) {
        return false;
    }
    uv_update_time(&check->db->loop);
    for (size_t i = 0; i < result->server_count; i++) {
        struct scrub_server *server = &result->servers[i];

        calls[i] = (struct scrub_call){check, server, begins};
        if (begins) {
            server->lost = false;
        } else if (!server->running) {
            continue;
        }
        if (check->clients[i] != NULL &&
            rpc_client_call(check->clients[i], &program_server, SERVER_SCRUB, &args, CALL_MS,
                            on_answer, &calls[i], NULL) == CAIRN_OK) {
            check->pending++;
        } else {
            server->lost = true;
            server->running = false;
        }
    }
    while (check->pending > 0) {
        uv_run(&check->db->loop, UV_RUN_ONCE);
    }
    free(calls);
    return true;
}

static bool any_runs(const struct scrub_outcome *result)
{
    for (size_t i = 0; i < result->server_count; i++) {
        if (result->servers[i].running) {
            return true;
        }
    }
    return false;
}

static void show(struct scrub_check *check)
{
    struct scrub_outcome *result = check->result;
    uint32_t done = 0;

    result->reading = false;
    if (check->settle_ms == 0) { /* later rounds read nothing */
        result->read_bytes = result->read_of = 0;
        for (size_t i = 0; i < result->server_count; i++) {
            const scrub_report *now = &result->servers[i].now;

            result->reading = result->reading || (result->servers[i].running && now->reading);
            result->read_bytes += now->run_bytes;
            result->read_of += now->store_bytes;
            done += result->servers[i].running ? now->compared : 0;
        }
    }
    for (uint32_t i = 0; i < result->partition_count; i++) {
        done += result->partitions[i].state == SCRUB_EQUAL ||
                result->partitions[i].state == SCRUB_DIFFERS;
    }
    result->compared = done < result->partition_count ? done : result->partition_count;
    check->request->progress(check->request->context, result);
}

static int pause_for(struct scrub_check *check, uint64_t delay_ms)
{
    const struct scrub_request *request = check->request;

    if (!client_wait(check->db, NULL, delay_ms)) {
        return error_set(&check->db->error, CAIRN_ECANCELED, "%s: interrupted", request->name);
    }
    if (client_left_ms(request->deadline_ms) == 0) {
        return error_set(&check->db->error, CAIRN_ETIMEDOUT, "%s: out of time", request->name);
    }
    return CAIRN_OK;
}

/* A server that is older than the call does not learn it while we wait. */
static int refuse_unable(struct scrub_check *check)
{
    for (size_t i = 0; i < check->result->server_count; i++) {
        const struct scrub_server *server = &check->result->servers[i];

        if (server->unable) {
            return error_set(&check->db->error, CAIRN_EPROTO, "%s: server %u: %s",
                             check->request->name, server->id, server->error);
        }
    }
    return CAIRN_OK;
}

static int run_round(struct scrub_check *check, bool values)
{
    if (!ask_all(check, true, values)) {
        return error_set(&check->db->error, CAIRN_ENOMEM, "out of memory");
    }
    int status = refuse_unable(check);
    while (status == CAIRN_OK && any_runs(check->result)) {
        show(check);
        status = pause_for(check, LOOK_EVERY_MS);
        if (status == CAIRN_OK && !ask_all(check, false, false)) {
            status = error_set(&check->db->error, CAIRN_ENOMEM, "out of memory");
        }
    }
    return status;
}

/* --- rounds ------------------------------------------------------------------------------------
 */

/* What is to be compared again; nothing: the work is done. */
static bool list_open(struct scrub_check *check)
{
    const struct scrub_outcome *result = check->result;

    check->wanted_count = 0;
    for (uint32_t i = 0; i < result->partition_count; i++) {
        enum scrub_state state = result->partitions[i].state;

        if (state != SCRUB_EQUAL && state != SCRUB_DIFFERS) {
            check->wanted[check->wanted_count++] = i;
        }
    }
    return check->wanted_count > 0;
}

/* As long as a server is missing its partitions may be led elsewhere soon; but it is not waited for
 * if everything else is done. */
static int run_rounds(struct scrub_check *check)
{
    int status = run_round(check, check->request->repairs);
    uint64_t limit_ms = clock_now_ms() + SETTLE_MS;

    check->settle_ms = limit_ms;
    while (status == CAIRN_OK && list_open(check) && clock_now_ms() < limit_ms) {
        show(check);
        status = pause_for(check, ROUND_EVERY_MS);
        if (status == CAIRN_OK) {
            status = run_round(check, false);
        }
    }
    return status;
}

static int take_cluster(struct scrub_check *check, const struct status_report *report)
{
    struct scrub_outcome *result = check->result;
    size_t count = report->server_count;

    check->cluster = report->cluster;
    result->servers = calloc(count + 1, sizeof(*result->servers));
    check->clients = calloc(count + 1, sizeof(struct rpc_client *));
    result->partitions = calloc(report->partitions + 1U, sizeof(*result->partitions));
    check->wanted = calloc(report->partitions + 1U, sizeof(*check->wanted));
    if (result->servers == NULL || check->clients == NULL || result->partitions == NULL ||
        check->wanted == NULL) {
        return CAIRN_ENOMEM;
    }
    result->partition_count = report->partitions;
    for (uint32_t i = 0; i < report->partitions && report->map.configurations != NULL; i++) {
        result->partitions[i].had_copies = report->map.configurations[i].member_count;
    }
    for (size_t i = 0; i < count; i++) {
        if (report->servers[i].removed) {
            continue;
        }
        result->servers[result->server_count].id = report->servers[i].id;
        if (rpc_client_open(&check->db->loop, &report->servers[i].address, NULL,
                            &check->clients[result->server_count]) != CAIRN_OK) {
            check->clients[result->server_count] = NULL;
        }
        result->server_count++;
    }
    return CAIRN_OK;
}

int scrub_run(cairn_t *db, const struct scrub_request *request, struct scrub_outcome *result)
{
    struct scrub_check check = {.db = db, .request = request, .result = result};
    struct status_report report;

    memset(result, 0, sizeof(*result));
    status_report_init(&report);
    int status = status_ask_manager(db, request->name, &report, client_deadline(db));
    if (status == CAIRN_OK && take_cluster(&check, &report) != CAIRN_OK) {
        status = error_set(&db->error, CAIRN_ENOMEM, "%s: out of memory", request->name);
    }
    status_report_free(&report);
    if (status == CAIRN_OK) {
        status = run_rounds(&check);
    }
    for (size_t i = 0; check.clients != NULL && i < result->server_count; i++) {
        route_drop_connection(&db->closing, &check.clients[i]);
    }
    free(check.clients);
    free(check.wanted);
    return status;
}

void scrub_result_free(struct scrub_outcome *result)
{
    free(result->servers);
    free(result->partitions);
    memset(result, 0, sizeof(*result));
}

void scrub_summarize(const struct scrub_outcome *result, struct scrub_summary *summary)
{
    memset(summary, 0, sizeof(*summary));
    summary->partitions = result->partition_count;
    for (uint32_t i = 0; i < result->partition_count; i++) {
        const struct scrub_partition *partition = &result->partitions[i];
        bool compared = partition->state == SCRUB_EQUAL || partition->state == SCRUB_DIFFERS;

        summary->copies += compared ? partition->copies : 0;
        summary->equal += partition->state == SCRUB_EQUAL;
        summary->differing += partition->state == SCRUB_DIFFERS;
        summary->not_compared += !compared;
        summary->reinstalled += partition->repaired;
    }
    for (size_t i = 0; i < result->server_count; i++) {
        const struct scrub_server *server = &result->servers[i];

        summary->unreachable += server->lost;
        if (server->now.incarnation != server->begun.incarnation) {
            continue;
        }
        summary->values += server->now.values - server->begun.values;
        summary->bytes += server->now.bytes - server->begun.bytes;
        summary->bad += server->now.bad_values - server->begun.bad_values;
        summary->repaired += server->now.repaired - server->begun.repaired;
        summary->unrepaired += server->now.unrepaired + server->now.waiting;
    }
}
