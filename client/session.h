/* The session under which a handle's mutations run (ARCHITECTURE.md S3, S4). Pure. */
#ifndef CAIRN_CLIENT_SESSION_H
#define CAIRN_CLIENT_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/limits.h"

struct session {
    uint64_t client;                               /* random, non-zero */
    uint64_t number;                               /* of the last mutation; 0: none yet */
    uint8_t used[CAIRN_PARTITIONS_LIMIT / 8];      /* partitions where mutations were sent */
    uint8_t unsettled[CAIRN_PARTITIONS_LIMIT / 8]; /* where an attempt may still be under way */
};

/* Starts a new session under this id. */
void session_begin(struct session *session, uint64_t client);
/* Takes the next number, for a mutation in `partition`. All its attempts use it. */
uint64_t session_next(struct session *session, uint32_t partition);
/* An attempt's outcome in `partition` is unknown: a copy of it may still arrive, at any time, and
 * only the session's memory keeps it from being executed twice. */
void session_unsettle(struct session *session, uint32_t partition);
/* Whether the session may be retired in `partition`: it was used there and nothing is under way. */
bool session_retirable(const struct session *session, uint32_t partition);

#endif
