/* See requests.h: the table of handlers, and what all of them check and refuse alike. */
#include "server/requests.h"

#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "proto/limits.h"
#include "proto/partition.h"
#include "server/hosts.h"
#include "server/repair.h"
#include "server/repair_store.h"

static const rpc_handler handlers[] = {
    [SERVER_GET] = request_get,       [SERVER_PUT] = request_put,
    [SERVER_SWAP] = request_swap,     [SERVER_DELETE] = request_delete,
    [SERVER_SCAN] = request_scan,     [SERVER_STATUS] = request_status,
    [SERVER_RETIRE] = request_retire, [SERVER_SCRUB] = request_scrub,
};

const struct refusal requests_abandoned = {.status = SERVER_STARTING,
                                           .message = "the partition stops on this server"};

struct rpc_service requests_service(struct node *node)
{
    CHECK(program_server.procedure_count == sizeof handlers / sizeof handlers[0]);
    return (struct rpc_service){.program = &program_server, .handlers = handlers, .context = node};
}

bool requests_cluster(const struct node *node, uint64_t cluster, struct refusal *refusal)
{
    if (node->partition_count == 0) { /* a new server that has not heard its cluster's facts */
        *refusal = (struct refusal){.status = SERVER_STARTING,
                                    .message = "the server waits for the manager"};
        return false;
    }
    if (cluster == 0 || cluster == node->identity.cluster)
        return true;
    *refusal = (struct refusal){.status = SERVER_WRONG_CLUSTER,
                                .message = "this server belongs to another cluster"};
    return false;
}

/* Why the partition is not answered for, or taken mutations for, here and now. */
static void explain(const struct partition *partition, struct refusal *refusal)
{
    const struct replica *replica = &partition->replica;

    *refusal = (struct refusal){.partition = replica->partition, .status = SERVER_STARTING};
    if (replica->role == REPLICA_PRIMARY && replica->yields_to.store != 0)
        refusal->message = "the partition is being handed over to another server";
    else if (replica->role == REPLICA_PRIMARY)
        refusal->message = "the partition waits for its backups' leases";
    else if (replica->role == REPLICA_STARTING ||
             (replica->role == REPLICA_NONE && replica->configuration.history == 0))
        refusal->message = "the partition is starting on this server";
    else
        refusal->status = SERVER_NOT_PRIMARY;
}

/* C7: what is told now could contradict what hosts read. */
static bool is_quiet(const struct node *node, uint64_t now_ms, struct refusal *refusal)
{
    if (!node_is_quiet(node, now_ms))
        return false;
    *refusal = (struct refusal){.status = SERVER_STARTING,
                                .message = "values that hosts may have cached run out first"};
    return true;
}

bool requests_serves(const struct node *node, const struct partition *partition, uint64_t now_ms,
                     struct refusal *refusal)
{
    if (replica_serves(&partition->replica, now_ms))
        return !is_quiet(node, now_ms, refusal);
    explain(partition, refusal);
    return false;
}

bool requests_accepts(const struct node *node, const struct partition *partition,
                      struct refusal *refusal)
{
    if (replica_accepts(&partition->replica)) /* the clock is looked at only while it matters */
        return node->quiet_until_ms == 0 || !is_quiet(node, clock_now_ms(), refusal);
    explain(partition, refusal);
    return false;
}

bool requests_route(struct node *node, uint64_t cluster, const cairn_key *key,
                    struct partition **partition, struct refusal *refusal)
{
    if (!requests_cluster(node, cluster, refusal))
        return false;
    if (key->length == 0) {
        *refusal = (struct refusal){.status = SERVER_INVALID, .message = "the key is empty"};
        return false;
    }
    *partition = &node->partitions[partition_of(key->data, key->length, node->partition_count)];
    return true;
}

/* W8: damage is never data. It is an error for good only if no other copy can help. */
static struct refusal refusal_of(enum repair_state state)
{
    if (state == REPAIR_WAITING)
        return (struct refusal){.status = SERVER_STARTING,
                                .message = "the value is being fetched from another copy"};
    return (struct refusal){.status = SERVER_CORRUPT,
                            .message = "the stored value fails its checksum"};
}

bool requests_sound(struct node *node, const struct partition *partition, const uint8_t *key,
                    uint32_t key_length, struct refusal *refusal)
{
    uint32_t number = partition->replica.partition;
    uint64_t offset;

    if (repair_row_look(node->store, number, key, key_length, &offset) != REPAIR_ROW_BAD)
        return true;
    *refusal = requests_unsound(node, number, key, key_length);
    return false;
}

struct refusal requests_unsound(struct node *node, uint32_t partition, const uint8_t *key,
                                uint32_t key_length)
{
    enum repair_state state = REPAIR_FAILED;

    if (node->repairs != NULL)
        state = repairs_note(node->repairs, node, partition, key, key_length, clock_now_ms());
    return refusal_of(state);
}

/* --- replies ------------------------------------------------------------------------------------
 */

/* Where the client should turn to, as far as this server knows. */
static server_redirect redirect_of(const struct node *node, uint32_t partition)
{
    const struct replica_configuration *configuration =
        &node->partitions[partition].replica.configuration;
    server_redirect redirect = {.primary = UINT32_MAX, .address = {.data = NULL, .length = 0}};
    const struct map_server *server;

    if (configuration->history == 0)
        return redirect;
    redirect.epoch = configuration->epoch;
    redirect.primary = configuration->primary.server;
    server = cluster_map_server(&node->map, redirect.primary);
    if (server != NULL)
        redirect.address = view_of_text(server->address_text);
    return redirect;
}

void requests_reply(struct node *node, struct rpc_call *call, const struct telling *telling,
                    const void *result)
{
    if (telling->tells)
        hosts_reply(node, call, telling->bucket, result);
    else
        rpc_reply(call, result);
}

static void refuse_get(struct node *node, struct rpc_call *call, const struct refusal *refusal)
{
    get_result result = {.status = refusal->status};

    if (refusal->status == SERVER_NOT_PRIMARY)
        result.get_result_u.redirect = redirect_of(node, refusal->partition);
    else
        result.get_result_u.message = view_of_text(refusal->message);
    requests_reply(node, call, &refusal->telling, &result);
}

static void refuse_put(struct node *node, struct rpc_call *call, const struct refusal *refusal)
{
    put_result result = {.status = refusal->status};

    if (refusal->status == SERVER_NOT_PRIMARY)
        result.put_result_u.redirect = redirect_of(node, refusal->partition);
    else if (refusal->status == SERVER_VERSION_MISMATCH)
        result.put_result_u.current_version = refusal->current_version;
    else
        result.put_result_u.message = view_of_text(refusal->message);
    requests_reply(node, call, &refusal->telling, &result);
}

static void refuse_swap(struct node *node, struct rpc_call *call, const struct refusal *refusal)
{
    swap_result result = {.status = refusal->status};

    if (refusal->status == SERVER_NOT_PRIMARY)
        result.swap_result_u.redirect = redirect_of(node, refusal->partition);
    else
        result.swap_result_u.message = view_of_text(refusal->message);
    requests_reply(node, call, &refusal->telling, &result);
}

static void refuse_delete(struct node *node, struct rpc_call *call, const struct refusal *refusal)
{
    delete_result result = {.status = refusal->status};

    if (refusal->status == SERVER_NOT_PRIMARY)
        result.delete_result_u.redirect = redirect_of(node, refusal->partition);
    else
        result.delete_result_u.message = view_of_text(refusal->message);
    requests_reply(node, call, &refusal->telling, &result);
}

static void refuse_scan(struct node *node, struct rpc_call *call, const struct refusal *refusal)
{
    scan_result result = {.status = refusal->status};

    if (refusal->status == SERVER_NOT_PRIMARY) {
        result.scan_result_u.refused.partition = refusal->partition;
        result.scan_result_u.refused.redirect = redirect_of(node, refusal->partition);
    } else {
        result.scan_result_u.message = view_of_text(refusal->message);
    }
    rpc_reply(call, &result);
}

void requests_refuse(struct node *node, struct rpc_call *call, uint32_t number,
                     const struct refusal *refusal)
{
    struct refusal said = *refusal;

    CHECK(said.status != SERVER_OK);
    if (said.message == NULL)
        said.message = "";
    switch (number) {
    case SERVER_GET:
        refuse_get(node, call, &said);
        return;
    case SERVER_PUT:
        refuse_put(node, call, &said);
        return;
    case SERVER_SWAP:
        refuse_swap(node, call, &said);
        return;
    case SERVER_DELETE:
        refuse_delete(node, call, &said);
        return;
    case SERVER_SCAN:
        refuse_scan(node, call, &said);
        return;
    default:
        CHECK(number == SERVER_GET); /* STATUS and RETIRE answer refusals themselves */
    }
}
