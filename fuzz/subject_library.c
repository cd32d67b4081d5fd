/* Cairn through its client library, the shared cache included. */
#include <string.h>

#include "client/cairn.h"
#include "fuzz/subject_internal.h"

static int open_library(struct subject *subject, const struct subject_place *place,
                        struct error *error)
{
    const struct cairn_options options = {.timeout_ms = place->timeout_ms,
                                          .no_cache = place->no_cache,
                                          .cache_bytes = place->cache_bytes,
                                          .cache_name = place->cache_name};
    cairn_t *db = NULL;
    int status = cairn_open(place->managers, &options, &db);
    if (status != CAIRN_OK) {
        error_set(error, status, "cairn: %s",
                  db != NULL ? cairn_errmsg(db) : cairn_strerror(status));
        cairn_close(db);
        return status;
    }
    subject->state = db;
    return 0;
}

/* What a code that is no answer says about the call. */
static int take_failure(const cairn_t *db, int code, struct answer *answer, struct error *error)
{
    switch (code) {
    case CAIRN_EUNKNOWN:
        answer->outcome = OUTCOME_OPEN;
        return 0;
    case CAIRN_ETIMEDOUT:
    case CAIRN_EUNAVAILABLE:
    case CAIRN_ENOSPC:
    case CAIRN_EFULL:
    case CAIRN_EFENCED:
        answer->outcome = OUTCOME_NOT_APPLIED;
        return 0;
    default:
        return error_set(error, code, "cairn: %s", cairn_errmsg(db));
    }
}

static int get(struct subject *subject, const char *key, size_t length, struct answer *answer,
               struct error *error)
{
    const void *value;
    size_t value_length;
    uint64_t version = 0;
    int code = cairn_get(subject->state, key, length, &value, &value_length, &version);
    if (code != CAIRN_OK && code != CAIRN_ENOTFOUND)
        return take_failure(subject->state, code, answer, error);
    answer->outcome = OUTCOME_ANSWERED;
    answer->result = code == CAIRN_OK ? subject_value(subject, value, value_length) : 0;
    answer->version = code == CAIRN_OK ? version : 0;
    return 0;
}

static int put(struct subject *subject, const struct call *call, const char *key, size_t length,
               struct answer *answer, struct error *error)
{
    size_t value_length = plan_value_text(subject->plan, call->value, subject->value);
    int existed = 0;
    uint64_t version = 0;
    int code = call->kind == CALL_PUT
                   ? cairn_put(subject->state, key, length, subject->value, value_length, &existed,
                               &version)
                   : cairn_put_if_version(subject->state, key, length, subject->value, value_length,
                                          call->if_version, 0, &existed, &version);
    if (code != CAIRN_OK && code != CAIRN_EMISMATCH)
        return take_failure(subject->state, code, answer, error);
    answer->outcome = OUTCOME_ANSWERED;
    answer->version = version;
    answer->result = existed ? RESULT_FOUND : RESULT_NOT_FOUND;
    if (code == CAIRN_EMISMATCH)
        answer->result = RESULT_MISMATCH;
    return 0;
}

static int swap(struct subject *subject, const struct call *call, const char *key, size_t length,
                struct answer *answer, struct error *error)
{
    size_t value_length = plan_value_text(subject->plan, call->value, subject->value), old_length;
    const void *old;
    int code =
        cairn_swap(subject->state, key, length, subject->value, value_length, &old, &old_length);
    if (code != CAIRN_OK)
        return take_failure(subject->state, code, answer, error);
    answer->outcome = OUTCOME_ANSWERED;
    answer->result = old != NULL ? subject_value(subject, old, old_length) : 0;
    return 0;
}

static int remove_key(struct subject *subject, const char *key, size_t length,
                      struct answer *answer, struct error *error)
{
    int existed = 0;
    int code = cairn_delete(subject->state, key, length, &existed);
    if (code != CAIRN_OK)
        return take_failure(subject->state, code, answer, error);
    answer->outcome = OUTCOME_ANSWERED;
    answer->result = existed ? RESULT_FOUND : RESULT_NOT_FOUND;
    return 0;
}

static int scan(struct subject *subject, const struct call *call, const char *key, size_t length,
                struct answer *answer, struct error *error)
{
    char to[PLAN_KEY_SIZE];
    size_t to_length = plan_key_text(subject->plan, call->key + call->keys - 1, to);
    cairn_cursor_t *cursor = NULL;
    uint64_t last = 0;
    int wrong = 0;
    int code = cairn_scan(subject->state, key, length, to, to_length, &cursor);
    while (code == CAIRN_OK && wrong == 0) {
        const void *found, *value;
        size_t found_length, value_length;
        code = cairn_scan_next(cursor, &found, &found_length, &value, &value_length);
        if (code == CAIRN_OK)
            wrong = subject_pair(subject, call, answer, found, found_length, value, value_length,
                                 &last, error);
    }
    if (code == CAIRN_ENOTFOUND)
        answer->outcome = OUTCOME_ANSWERED;
    else if (wrong == 0)
        wrong = take_failure(subject->state, code, answer, error);
    cairn_scan_close(cursor);
    return wrong;
}

static int call_library(struct subject *subject, const struct call *call, struct answer *answer,
                        struct error *error)
{
    char key[PLAN_KEY_SIZE];
    size_t length = plan_key_text(subject->plan, call->key, key);
    switch (call->kind) {
    case CALL_GET:
        return get(subject, key, length, answer, error);
    case CALL_PUT:
    case CALL_PUT_IF:
        return put(subject, call, key, length, answer, error);
    case CALL_SWAP:
        return swap(subject, call, key, length, answer, error);
    case CALL_DELETE:
        return remove_key(subject, key, length, answer, error);
    case CALL_SCAN:
        break;
    }
    return scan(subject, call, key, length, answer, error);
}

static void close_library(struct subject *subject)
{
    cairn_close(subject->state);
}

const struct subject_kind subject_library = {open_library, call_library, close_library};
