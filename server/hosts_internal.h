/* What hosts.c and hosts_hold.c share. */
#ifndef CAIRN_SERVER_HOSTS_INTERNAL_H
#define CAIRN_SERVER_HOSTS_INTERNAL_H

#include "server/hosts.h"

/* The calls of one session that wait. */
struct host_calls {
    uint64_t session; /* 0: free */
    struct rpc_call *listen;
    uint64_t answered; /* what it said */
    uint64_t since_ms;
    /* The earlier one goes first: the core answers them in their order. */
    struct rpc_call *renewals[2];
};

struct hosts {
    struct host_calls calls[LEASE_SESSIONS_LIMIT];
    struct hosts_stats stats;
    bool warned; /* that the record cannot be written, and it still cannot */
};

#endif
