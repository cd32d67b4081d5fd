/* The clients' RPC program (proto/server.x): handlers over a node. */
#ifndef CAIRN_SERVER_REQUESTS_H
#define CAIRN_SERVER_REQUESTS_H

#include "proto/server_rpc.h"
#include "rpc/server.h"
#include "server/node.h"

/* The service with its handlers; `node` outlives it. Each handler answers its call exactly once,
 * now or when what it waits for is applied. */
struct rpc_service requests_service(struct node *node);

/* One handler per file of requests_*.c. */
void request_get(void *node, struct rpc_call *call, const void *args);
void request_put(void *node, struct rpc_call *call, const void *args);
void request_swap(void *node, struct rpc_call *call, const void *args);
void request_delete(void *node, struct rpc_call *call, const void *args);
void request_scan(void *node, struct rpc_call *call, const void *args);
void request_status(void *node, struct rpc_call *call, const void *args);
void request_retire(void *node, struct rpc_call *call, const void *args);
void request_scrub(void *node, struct rpc_call *call, const void *args);

/* --- shared by the handlers ------------------------------------------------------------------ */

/* C3: whether a reply says anything about keys of a bucket. */
struct telling {
    bool tells;
    uint32_t bucket;
};

/* Answers with `result`: at once, or when hosts read nothing any more that it may contradict. */
void requests_reply(struct node *node, struct rpc_call *call, const struct telling *telling,
                    const void *result);

/* Why a request is not carried out. */
struct refusal {
    server_status status;
    const char *message;      /* static text; with statuses that carry one */
    uint32_t partition;       /* NOT_PRIMARY */
    uint64_t current_version; /* VERSION_MISMATCH */
    struct telling telling;   /* what a result says that is no success */
};

/* Of what waited for the log, in vain: to be told unless requests_serves knows better. Nothing
 * waits anew then, for nobody would answer it. */
extern const struct refusal requests_abandoned;

/* Answers procedure `number` of the program with a refusal. */
void requests_refuse(struct node *node, struct rpc_call *call, uint32_t number,
                     const struct refusal *refusal);
/* Checks the cluster id and the key. On success `*partition` is the key's; else false and `refusal`
 * filled. */
bool requests_route(struct node *node, uint64_t cluster, const cairn_key *key,
                    struct partition **partition, struct refusal *refusal);
/* False and `refusal` filled unless this process answers for the partition at `now_ms` (R3, L1,
 * L4, C7). What was read may be told only if this held at a time read after it; asked before, too,
 * it saves the work. */
bool requests_serves(const struct node *node, const struct partition *partition, uint64_t now_ms,
                     struct refusal *refusal);
/* False and `refusal` filled unless mutations of the partition are taken into its log here. */
bool requests_accepts(const struct node *node, const struct partition *partition,
                      struct refusal *refusal);
/* False and `refusal` filled if the key's value fails its checksum (W8). */
bool requests_sound(struct node *node, const struct partition *partition, const uint8_t *key,
                    uint32_t key_length, struct refusal *refusal);
/* Why a value that was read, and fails its checksum, is refused: it is put onto the list of those
 * that are to be repaired. */
struct refusal requests_unsound(struct node *node, uint32_t partition, const uint8_t *key,
                                uint32_t key_length);
bool requests_cluster(const struct node *node, uint64_t cluster, struct refusal *refusal);

#endif
