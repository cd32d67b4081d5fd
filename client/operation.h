/* One operation on one key: routing, attempts, retries, and what is said in the end.
 *
 * Fill procedure, key, what to send and `name`; run it; read the answer. A value that came with the
 * answer is in db->value, followed by a NUL. */
#ifndef CAIRN_CLIENT_OPERATION_H
#define CAIRN_CLIENT_OPERATION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/backoff.h"
#include "base/error.h"
#include "client/cache.h"
#include "client/cairn.h"
#include "client/outcome.h"
#include "proto/server_rpc.h"

union operation_args {
    get_args get;
    put_args put;
    swap_args swap;
    delete_args remove;
};

struct operation {
    cairn_t *db;
    const char *name;   /* for messages: "put" */
    uint32_t procedure; /* SERVER_GET, SERVER_PUT, SERVER_SWAP or SERVER_DELETE */
    struct view key;
    uint64_t hash;             /* of the key; only for SERVER_GET */
    union operation_args args; /* cluster, client and number are filled in */

    /* the answer */
    bool existed;
    uint64_t version; /* of the key: now, or, on CAIRN_EMISMATCH, the current one */

    /* of the attempt under way */
    bool answered;
    int rpc_status;
    server_status status;
    server_redirect redirect; /* without its address */
    struct error error;
    struct cache_note note; /* what was current when it left (C1) */
    uint64_t noted_ms;      /* when it left */
    uint64_t granted;       /* the reply's: session that may cache the value; 0: none */
    uint64_t expires_in_ms; /* the reply's; 0: never */

    /* of the whole operation */
    uint32_t partition;
    uint32_t server; /* id that the last attempt went to */
    uint64_t epoch;  /* of the configuration that named it */
    bool had_unknown;
    uint64_t deadline_ms;
    uint64_t attempt_ms; /* limit of the next attempt */
    uint32_t hops;       /* times that fresh news were followed at once */
    struct backoff backoff;
};

/* CAIRN_OK, CAIRN_ENOTFOUND or CAIRN_EMISMATCH; else an error, with the message in db->error. */
int operation_run(struct operation *operation);

#endif
