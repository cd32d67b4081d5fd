/* What an operator asks of the manager, and how to see whether it is done. Not part of the public
 * interface: the command line uses it. */
#ifndef CAIRN_CLIENT_ADMIN_H
#define CAIRN_CLIENT_ADMIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/cairn.h"
#include "proto/limits.h"
#include "proto/manager_rpc.h"

#define ADMIN_ANY_SERVER UINT32_MAX /* UNSAFE_RECOVER: the manager chooses */

struct admin_request {
    const char *name; /* for messages: "admin move" */
    admin_kind kind;
    bool dry_run;
    uint32_t partition, server; /* 0 where the kind does not take them */
    const char *address;        /* "" where the kind does not take one */
};

struct admin_answer {
    uint32_t server; /* see manager.x */
    char message[CAIRN_MESSAGE_LIMIT + 1];
    size_t move_count;
    planned_move *moves;
};

/* What of a request the manager has still to do. */
struct admin_rest {
    uint32_t moving; /* partitions */
    uint32_t copies; /* that the request's server still holds */
};

/* Asks, one manager after another, until one has answered or the handle's time limit is over.
 * CAIRN_OK: end the answer with admin_answer_free. CAIRN_EINVAL: refused; CAIRN_ETIMEDOUT:
 * certainly not done; CAIRN_EUNKNOWN; CAIRN_ECANCELED; CAIRN_ECONFLICT, CAIRN_EVERSION,
 * CAIRN_EPROTO, CAIRN_ENOMEM; with the message in the handle. On error the answer is empty. What
 * may be repeated without harm is repeated when an answer is lost; UNSAFE_RECOVER is not. */
int admin_ask(cairn_t *db, const struct admin_request *request, struct admin_answer *answer);
void admin_answer_free(struct admin_answer *answer);

/* Looks, within the handle's time limit, how much of a MOVE, DRAIN or REBALANCE the manager has
 * still to do: of the answer's moves, and of what already moved for the same reason when a request
 * was repeated. Errors as of admin_ask. */
int admin_look(cairn_t *db, const struct admin_request *request, const struct admin_answer *answer,
               struct admin_rest *rest);

#endif
