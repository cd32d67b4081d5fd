/* The RPC programs as tables, from what rpcgen made of the .x files. */
#include "proto/programs.h"

#include "proto/cache_rpc.h"
#include "proto/manager_rpc.h"
#include "proto/replica_rpc.h"
#include "proto/server_rpc.h"

#define PROCEDURE(number, args, result)                                                            \
    [number] = {                                                                                   \
        .name = #number,                                                                           \
        .xdr_args = (xdrproc_t)xdr_##args,                                                         \
        .args_size = sizeof(args),                                                                 \
        .xdr_result = (xdrproc_t)xdr_##result,                                                     \
        .result_size = sizeof(result),                                                             \
    }

/* xdr_void has another type than its users call it by. */
static bool_t xdr_nothing(XDR *xdrs, ...)
{
    (void)xdrs;
    return TRUE;
}

/* RFC 5531, 12.1: procedure 0 takes and returns nothing, so that anybody can ask who is there. */
#define NULL_PROCEDURE                                                                             \
    [0] = {                                                                                        \
        .name = "NULL",                                                                            \
        .xdr_args = xdr_nothing,                                                                   \
        .xdr_result = xdr_nothing,                                                                 \
    }

static const struct rpc_procedure server_procedures[] = {
    NULL_PROCEDURE,
    PROCEDURE(SERVER_GET, get_args, get_result),
    PROCEDURE(SERVER_PUT, put_args, put_result),
    PROCEDURE(SERVER_SWAP, swap_args, swap_result),
    PROCEDURE(SERVER_DELETE, delete_args, delete_result),
    PROCEDURE(SERVER_SCAN, scan_args, scan_result),
    PROCEDURE(SERVER_STATUS, status_args, status_result),
    PROCEDURE(SERVER_RETIRE, retire_args, retire_result),
    PROCEDURE(SERVER_SCRUB, scrub_args, scrub_result),
};

static const struct rpc_procedure manager_procedures[] = {
    NULL_PROCEDURE,
    PROCEDURE(MANAGER_REGISTER, register_args, register_result),
    PROCEDURE(MANAGER_HEARTBEAT, heartbeat_args, heartbeat_result),
    PROCEDURE(MANAGER_GET_MAP, map_args, map_result),
    PROCEDURE(MANAGER_PROPOSE, propose_args, propose_result),
    PROCEDURE(MANAGER_STATUS, manager_status_args, manager_status_result),
    PROCEDURE(MANAGER_ADMIN, admin_args, admin_result),
};

static const struct rpc_procedure replica_procedures[] = {
    NULL_PROCEDURE,
    PROCEDURE(REPLICA_APPEND, append_args, append_result),
    PROCEDURE(REPLICA_BEACON, beacon_args, beacon_result),
    PROCEDURE(REPLICA_SNAPSHOT, snapshot_args, snapshot_result),
    PROCEDURE(REPLICA_FETCH, fetch_args, fetch_result),
    PROCEDURE(REPLICA_DIGEST, digest_args, digest_result),
    PROCEDURE(REPLICA_DIFFERS, differs_args, differs_result),
};

static const struct rpc_procedure cache_procedures[] = {
    NULL_PROCEDURE,
    PROCEDURE(CACHE_OPEN, cache_open_args, cache_lease),
    PROCEDURE(CACHE_RENEW, cache_renew_args, cache_lease),
    PROCEDURE(CACHE_LISTEN, cache_listen_args, cache_batch),
    PROCEDURE(CACHE_CLOSE, cache_close_args, cache_closed),
};

#define COUNT(table) (sizeof(table) / sizeof(table)[0])

const struct rpc_program program_server = {
    .number = CAIRN_SERVER,
    .version = CAIRN_SERVER_V1,
    .procedure_count = COUNT(server_procedures),
    .procedures = server_procedures,
};

const struct rpc_program program_manager = {
    .number = CAIRN_MANAGER,
    .version = CAIRN_MANAGER_V1,
    .procedure_count = COUNT(manager_procedures),
    .procedures = manager_procedures,
};

const struct rpc_program program_replica = {
    .number = CAIRN_REPLICA,
    .version = CAIRN_REPLICA_V1,
    .procedure_count = COUNT(replica_procedures),
    .procedures = replica_procedures,
};

const struct rpc_program program_cache = {
    .number = CAIRN_CACHE,
    .version = CAIRN_CACHE_V1,
    .procedure_count = COUNT(cache_procedures),
    .procedures = cache_procedures,
};
