/* Replies in their XDR form: see replies.h. The views in them point into the reply, which outlives
 * rpc_reply's encoding. */
#include "manager/replies.h"

#include "base/check.h"
#include "base/clock.h"

static struct view map_view(const struct membership_reply *reply)
{
    struct view view = {0};

    if (reply->map != NULL) {
        view.data = reply->map->bytes.data;
        view.length = (uint32_t)reply->map->bytes.length;
    }
    return view;
}

static void send_register(const struct cluster_map *map, struct rpc_call *call,
                          const struct membership_reply *reply)
{
    struct register_result result = {.status = reply->status};
    struct register_done *done = &result.register_result_u.done;

    if (result.status == MANAGER_OK) {
        done->cluster = map->cluster;
        done->partitions = map->partitions;
        done->replicas = map->replicas;
        done->map = map_view(reply);
    } else {
        result.register_result_u.message = view_of_text(reply->message);
    }
    rpc_reply(call, &result);
}

static void send_heartbeat(struct rpc_call *call, const struct membership_reply *reply)
{
    struct heartbeat_result result = {.status = reply->status};

    if (result.status == MANAGER_OK) {
        result.heartbeat_result_u.done.map_version = reply->map_version;
        result.heartbeat_result_u.done.map = map_view(reply);
        result.heartbeat_result_u.done.wishes.wishes_len = reply->wish_count;
        result.heartbeat_result_u.done.wishes.wishes_val = reply->wishes;
    } else {
        result.heartbeat_result_u.message = view_of_text(reply->message);
    }
    rpc_reply(call, &result);
}

static void send_map(struct rpc_call *call, const struct membership_reply *reply)
{
    struct map_result result = {.status = reply->status};

    if (result.status == MANAGER_OK) {
        result.map_result_u.done.map_version = reply->map_version;
        result.map_result_u.done.map = map_view(reply);
    } else {
        result.map_result_u.message = view_of_text(reply->message);
    }
    rpc_reply(call, &result);
}

static void send_propose(struct rpc_call *call, const struct membership_reply *reply)
{
    struct propose_result result = {.status = reply->status};
    struct propose_done *done = &result.propose_result_u.done;

    if (result.status == MANAGER_OK) {
        done->map_version = reply->map_version;
        done->results.results_len = reply->result_count;
        done->results.results_val = reply->results;
    } else {
        result.propose_result_u.message = view_of_text(reply->message);
    }
    rpc_reply(call, &result);
}

static void send_status(const struct membership *membership, struct rpc_call *call,
                        const struct membership_reply *reply)
{
    struct manager_status_result result = {.status = reply->status};
    struct manager_report *report = &result.manager_status_result_u.report;

    if (result.status == MANAGER_OK) {
        report->cluster = membership->map.cluster;
        report->uptime_ms = clock_now_ms() - membership->started_ms;
        report->partitions = membership->map.partitions;
        report->replicas = membership->map.replicas;
        report->servers.servers_len = reply->server_count;
        report->servers.servers_val = reply->servers;
        report->map = map_view(reply);
        report->duties.duties_len = reply->server_count;
        report->duties.duties_val = reply->duties;
        report->replace_after_ms = reply->replace_after_ms;
        report->moving.moving_len = reply->moving_count;
        report->moving.moving_val = reply->moving;
    } else {
        result.manager_status_result_u.message = view_of_text(reply->message);
    }
    rpc_reply(call, &result);
}

static void send_admin(struct rpc_call *call, const struct membership_reply *reply)
{
    struct admin_result result = {.status = reply->status};
    struct admin_done *done = &result.admin_result_u.done;

    if (result.status == MANAGER_OK) {
        done->server = reply->server;
        done->message = view_of_text(reply->message);
        done->moves.moves_len = reply->move_count;
        done->moves.moves_val = reply->moves;
    } else {
        result.admin_result_u.message = view_of_text(reply->message);
    }
    rpc_reply(call, &result);
}

void manager_reply(const struct membership *membership, struct rpc_call *call, uint32_t procedure,
                   const struct membership_reply *reply)
{
    switch (procedure) {
    case MANAGER_REGISTER:
        send_register(&membership->map, call, reply);
        break;
    case MANAGER_HEARTBEAT:
        send_heartbeat(call, reply);
        break;
    case MANAGER_GET_MAP:
        send_map(call, reply);
        break;
    case MANAGER_PROPOSE:
        send_propose(call, reply);
        break;
    case MANAGER_STATUS:
        send_status(membership, call, reply);
        break;
    default:
        CHECK(procedure == MANAGER_ADMIN);
        send_admin(call, reply);
    }
}
