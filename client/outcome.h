/* What one attempt's result means for the operation: done, try again, or give up. Pure. */
#ifndef CAIRN_CLIENT_OUTCOME_H
#define CAIRN_CLIENT_OUTCOME_H

#include <stdbool.h>

#include "proto/server_rpc.h"

enum outcome_action {
    OUTCOME_ANSWER, /* the operation's answer, positive or negative: `code` */
    OUTCOME_RETRY,
    OUTCOME_FAIL, /* final: `code` */
};

struct outcome {
    enum outcome_action action;
    int code;         /* of ANSWER and FAIL; of RETRY: what to say when time runs out */
    bool unknown;     /* this attempt may have been, or may yet be, executed */
    bool refresh;     /* the map may be out of date */
    bool new_session; /* the session must not be used again */
};

struct outcome_context {
    bool mutation;
    bool had_unknown; /* an earlier attempt of this operation ended unknown */
    bool patient;     /* no time limit: also wait for room */
};

/* `rpc_status` as rpc_done gives it; `status` counts only if that is 0. */
struct outcome outcome_of(int rpc_status, server_status status,
                          const struct outcome_context *context);

#endif
