/* The rules of retrying, in one place (ARCHITECTURE.md section 1, S3).
 *
 * A GET may always be tried again. A mutation may, because every attempt repeats client and number
 * and is executed at most once (S3). What differs is the last word: "not applied" is said only if
 * no attempt can have been executed. An answer that a session gives (OK, a version mismatch) is the
 * answer of all attempts alike, whatever happened to the earlier ones. */
#include "client/outcome.h"

#include "base/error.h"

static struct outcome answer(int code)
{
    return (struct outcome){.action = OUTCOME_ANSWER, .code = code};
}

static struct outcome fail(int code, const struct outcome_context *context)
{
    bool unknown = context->mutation && context->had_unknown;

    return (struct outcome){.action = OUTCOME_FAIL, .code = unknown ? CAIRN_EUNKNOWN : code};
}

static struct outcome retry(int code, bool refresh)
{
    return (struct outcome){.action = OUTCOME_RETRY, .code = code, .refresh = refresh};
}

static struct outcome retry_unknown(int code, const struct outcome_context *context)
{
    return (struct outcome){
        .action = OUTCOME_RETRY, .code = code, .unknown = context->mutation, .refresh = true};
}

/* Room that somebody has to make: an error at once, unless the caller waits for ever, or an earlier
 * attempt may have been executed and the next one may still learn its answer. */
static struct outcome no_room(int code, const struct outcome_context *context)
{
    if (context->patient || (context->mutation && context->had_unknown)) {
        return retry(code, false);
    }
    return fail(code, context);
}

static struct outcome of_rpc(int rpc_status, const struct outcome_context *context)
{
    switch (rpc_status) {
    case CAIRN_EUNAVAILABLE: /* never sent */
        return retry(CAIRN_EUNAVAILABLE, true);
    case CAIRN_EFULL: /* the queue of our own connection; never sent */
        return retry(CAIRN_EFULL, false);
    case CAIRN_EVERSION:
    case CAIRN_ETOOBIG:
    case CAIRN_ENOMEM:
        return fail(rpc_status, context);
    default: /* CAIRN_EUNKNOWN, CAIRN_EPROTO */
        return retry_unknown(rpc_status, context);
    }
}

/* The session knows a higher number: whatever this one did is no longer known, and the session is
 * not ours alone. */
static struct outcome stale(void)
{
    return (struct outcome){
        .action = OUTCOME_FAIL, .code = CAIRN_EUNKNOWN, .unknown = true, .new_session = true};
}

/* Whether a server can have meant this status for this kind of call. */
static bool fits(server_status status, bool mutation)
{
    switch (status) {
    case SERVER_NOT_FOUND:
        return !mutation;
    case SERVER_VERSION_MISMATCH:
    case SERVER_STALE_NUMBER:
        return mutation;
    default:
        return true;
    }
}

struct outcome outcome_of(int rpc_status, server_status status,
                          const struct outcome_context *context)
{
    if (rpc_status != CAIRN_OK) {
        return of_rpc(rpc_status, context);
    }
    if (!fits(status, context->mutation)) {
        return retry_unknown(CAIRN_EPROTO, context);
    }
    switch (status) {
    case SERVER_OK:
        return answer(CAIRN_OK);
    case SERVER_NOT_FOUND:
        return answer(CAIRN_ENOTFOUND);
    case SERVER_VERSION_MISMATCH:
        return answer(CAIRN_EMISMATCH);
    case SERVER_NOT_PRIMARY:
    case SERVER_STARTING:
        return retry(CAIRN_EUNAVAILABLE, true);
    case SERVER_OVERLOADED:
        return retry(CAIRN_EFULL, false);
    case SERVER_NO_SPACE:
        return no_room(CAIRN_ENOSPC, context);
    case SERVER_SESSIONS_FULL:
        return no_room(CAIRN_EFULL, context);
    case SERVER_STALE_NUMBER:
        return stale();
    case SERVER_INVALID:
        return fail(CAIRN_EINVAL, context);
    case SERVER_CORRUPT:
        return fail(CAIRN_ECORRUPT, context);
    case SERVER_WRONG_CLUSTER:
        return fail(CAIRN_ECONFLICT, context);
    case SERVER_UNKNOWN:
    default: /* a status of a newer server: it may mean anything */
        return retry_unknown(CAIRN_EPROTO, context);
    }
}
