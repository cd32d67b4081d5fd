/* The cluster's RPC programs as tables: what rpc/ needs to serve or call them. */
#ifndef CAIRN_PROTO_PROGRAMS_H
#define CAIRN_PROTO_PROGRAMS_H

#include <rpc/rpc.h>
#include <stddef.h>
#include <stdint.h>

struct rpc_procedure {
    const char *name;
    xdrproc_t xdr_args;
    size_t args_size;
    xdrproc_t xdr_result;
    size_t result_size;
};

/* procedures[n] is number n. Procedure 0, the NULL procedure, always exists; any other without a
 * name does not. */
struct rpc_program {
    uint32_t number, version;
    uint32_t procedure_count;
    const struct rpc_procedure *procedures;
};

extern const struct rpc_program program_server;
extern const struct rpc_program program_manager;
extern const struct rpc_program program_replica;
extern const struct rpc_program program_cache;

#endif
