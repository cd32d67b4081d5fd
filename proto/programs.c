/* See programs.h. */
#include "proto/programs.h"

#include "proto/manager_rpc.h"
#include "proto/replica_rpc.h"
#include "proto/server_rpc.h"

/* rpcgen's XDR routines take their own types; libtirpc calls them through xdrproc_t. */
#define PROCEDURE(title, args, result)                                                             \
    {                                                                                              \
        title, (xdrproc_t)(void (*)(void))xdr_##args, sizeof(args),                                \
            (xdrproc_t)(void (*)(void))xdr_##result, sizeof(result)                                \
    }
#define COUNT(table) ((uint32_t)(sizeof(table) / sizeof((table)[0])))

static const struct rpc_procedure server_procedures[] = {
    [SERVER_GET] = PROCEDURE("get", get_args, get_result),
    [SERVER_PUT] = PROCEDURE("put", put_args, put_result),
    [SERVER_SWAP] = PROCEDURE("swap", swap_args, swap_result),
    [SERVER_DELETE] = PROCEDURE("delete", delete_args, delete_result),
    [SERVER_SCAN] = PROCEDURE("scan", scan_args, scan_result),
    [SERVER_STATUS] = PROCEDURE("status", status_args, status_result),
    [SERVER_RETIRE] = PROCEDURE("retire", retire_args, retire_result),
};

static const struct rpc_procedure manager_procedures[] = {
    [MANAGER_REGISTER] = PROCEDURE("register", register_args, register_result),
    [MANAGER_HEARTBEAT] = PROCEDURE("heartbeat", heartbeat_args, heartbeat_result),
    [MANAGER_GET_MAP] = PROCEDURE("get-map", map_args, map_result),
    [MANAGER_PROPOSE] = PROCEDURE("propose", propose_args, propose_result),
    [MANAGER_STATUS] = PROCEDURE("status", manager_status_args, manager_status_result),
};

static const struct rpc_procedure replica_procedures[] = {
    [REPLICA_APPEND] = PROCEDURE("append", append_args, append_result),
    [REPLICA_BEACON] = PROCEDURE("beacon", beacon_args, beacon_result),
    [REPLICA_SNAPSHOT] = PROCEDURE("snapshot", snapshot_args, snapshot_result),
};

const struct rpc_program program_server = {CAIRN_SERVER, CAIRN_SERVER_V1, COUNT(server_procedures),
                                           server_procedures};
const struct rpc_program program_manager = {CAIRN_MANAGER, CAIRN_MANAGER_V1,
                                            COUNT(manager_procedures), manager_procedures};
const struct rpc_program program_replica = {CAIRN_REPLICA, CAIRN_REPLICA_V1,
                                            COUNT(replica_procedures), replica_procedures};
