/* A program that speaks workload mode: one line a call, and its answer.
 *
 * The client that uses it is alone in its process, whose group the program joins: whoever ends the
 * group ends both. */
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/line_program.h"
#include "fuzz/subject_internal.h"

enum { REQUEST_HEAD_MAX = 4 * PLAN_KEY_SIZE };

struct session {
    struct line_program program;
    struct buffer request;
};

/* A call takes as long as it takes: whoever waits no more ends the group. */
static int open_program(struct subject *subject, const struct subject_place *place,
                        struct error *error)
{
    struct session *session = calloc(1, sizeof(*session));
    if (session == NULL)
        return error_set(error, CAIRN_ENOMEM, "client: out of memory");
    int status =
        line_program_start(&session->program, place->command, LINE_PROGRAM_THIS_GROUP, 0, error);
    if (status != 0) {
        free(session);
        return status;
    }
    buffer_init(&session->request, PLAN_VALUE_MAX + REQUEST_HEAD_MAX);
    subject->state = session;
    return 0;
}

static void close_program(struct subject *subject)
{
    struct session *session = subject->state;
    line_program_end(&session->program);
    buffer_free(&session->request);
    free(session);
}

/* --- calls --------------------------------------------------------------------------------------
 */

static int refuse_line(const struct session *session, const char *line, struct error *error)
{
    return error_set(error, CAIRN_EPROTO, "%s: answered with: %.200s", session->program.command,
                     line);
}

/* What follows `VERB KEY ` in the line, or NULL. */
static const char *behind(const char *line, const char *verb, const char *key)
{
    size_t verb_length = strlen(verb), key_length = strlen(key);
    if (strncmp(line, verb, verb_length) != 0 || line[verb_length] != ' ')
        return NULL;
    line += verb_length + 1;
    if (strncmp(line, key, key_length) != 0 || line[key_length] != ' ')
        return NULL;
    return line + key_length + 1;
}

/* The answer of a call that is told by a value. */
static int take_value(struct subject *subject, const char *rest, struct answer *answer)
{
    answer->outcome = OUTCOME_ANSWERED;
    answer->result = strcmp(rest, "null") == 0 ? 0 : subject_value(subject, rest, strlen(rest));
    return 0;
}

/* The answer of a call that is told by whether the key existed. */
static int take_presence(const struct session *session, const char *line, const char *rest,
                         struct answer *answer, struct error *error)
{
    bool found = strcmp(rest, "found") == 0;
    if (!found && strcmp(rest, "not_found") != 0)
        return refuse_line(session, line, error);
    answer->outcome = OUTCOME_ANSWERED;
    answer->result = found ? RESULT_FOUND : RESULT_NOT_FOUND;
    return 0;
}

static int take_pairs(struct subject *subject, const struct call *call, struct answer *answer,
                      struct error *error)
{
    struct session *session = subject->state;
    uint64_t last = 0;
    for (;;) {
        const char *line;
        size_t length;
        int status = line_program_line(&session->program, &line, &length, error);
        if (status != 0)
            return status;
        if (strcmp(line, "SCAN END") == 0)
            break;
        const char *key = line + 2;
        const char *space = strncmp(line, "  ", 2) == 0 ? strchr(key, ' ') : NULL;
        if (space == NULL)
            return refuse_line(session, line, error);
        status = subject_pair(subject, call, answer, key, (size_t)(space - key), space + 1,
                              strlen(space + 1), &last, error);
        if (status != 0)
            return status;
    }
    answer->outcome = OUTCOME_ANSWERED;
    return 0;
}

static const char *const VERBS[] = {[CALL_GET] = "GET",
                                    [CALL_PUT] = "PUT",
                                    [CALL_SWAP] = "SWAP",
                                    [CALL_DELETE] = "DELETE",
                                    [CALL_SCAN] = "SCAN"};

static int append_word(struct buffer *request, const char *word, size_t length)
{
    int status = buffer_append(request, " ", 1);
    return status == 0 ? buffer_append(request, word, length) : status;
}

static int send_call(struct subject *subject, const struct call *call, const char *key,
                     struct error *error)
{
    struct session *session = subject->state;
    struct buffer *request = &session->request;
    char to[PLAN_KEY_SIZE];
    buffer_clear(request);
    int status = buffer_append(request, VERBS[call->kind], strlen(VERBS[call->kind]));
    if (status == 0)
        status = append_word(request, key, strlen(key));
    if (status == 0 && call->value != 0)
        status = append_word(request, subject->value,
                             plan_value_text(subject->plan, call->value, subject->value));
    if (status == 0 && call->kind == CALL_SCAN)
        status =
            append_word(request, to, plan_key_text(subject->plan, call->key + call->keys - 1, to));
    if (status == 0)
        status = buffer_append(request, "\n", 1);
    if (status != 0)
        return error_set(error, status, "client: a call's line: %s", error_text(status));
    return line_program_send(&session->program, (const char *)request->data, request->length,
                             error);
}

static int call_program(struct subject *subject, const struct call *call, struct answer *answer,
                        struct error *error)
{
    struct session *session = subject->state;
    char key[PLAN_KEY_SIZE];
    const char *line;
    size_t length;
    plan_key_text(subject->plan, call->key, key);
    int status = send_call(subject, call, key, error);
    if (status == 0)
        status = line_program_line(&session->program, &line, &length, error);
    if (status != 0)
        return status;
    const char *rest = behind(line, VERBS[call->kind], key);
    if (rest == NULL)
        return refuse_line(session, line, error);
    if (call->kind == CALL_SCAN)
        return take_pairs(subject, call, answer, error);
    if (call->kind == CALL_GET || call->kind == CALL_SWAP)
        return take_value(subject, rest, answer);
    return take_presence(session, line, rest, answer, error);
}

const struct subject_kind subject_program = {open_program, call_program, close_program};
