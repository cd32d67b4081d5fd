/* Any program that speaks workload mode as a target: one process for each session, one line for
 * each operation (`man cairn` tells which).
 *
 * Words are printable ASCII without spaces, as this driver's keys and values are. */
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/line_program.h"
#include "bench/target.h"

enum { REQUEST_MAX = 4 << 20 };

struct session {
    struct line_program program;
    struct buffer request;
    bool broken; /* after a failure: an answer may come that nobody awaits */
};

static int fail(struct session *session, int code, struct error *error, const char *what)
{
    session->broken = true;
    return error_set(error, code, "workload: %s: %s", session->program.command, what);
}

static bool is_word(struct bytes word)
{
    const unsigned char *bytes = word.data;
    for (size_t i = 0; i < word.length; i++)
        if (bytes[i] <= ' ' || bytes[i] > '~')
            return false;
    return word.length > 0;
}

/* Sends VERB and words. */
static int send_line(struct session *session, const char *verb, size_t count,
                     const struct bytes *words, struct error *error)
{
    struct buffer *request = &session->request;
    if (session->broken)
        return fail(session, CAIRN_EUNAVAILABLE, error, "failed before");
    buffer_clear(request);
    int status = buffer_append(request, verb, strlen(verb));
    for (size_t i = 0; i < count && status == 0; i++) {
        if (!is_word(words[i]))
            return error_set(error, CAIRN_EINVAL,
                             "workload: keys and values must be printable "
                             "ASCII without spaces, and not empty");
        status = buffer_append(request, " ", 1);
        if (status == 0)
            status = buffer_append(request, words[i].data, words[i].length);
    }
    if (status == 0)
        status = buffer_append(request, "\n", 1);
    if (status != 0)
        return error_set(error, status, "workload: a line: %s", error_text(status));
    status =
        line_program_send(&session->program, (const char *)request->data, request->length, error);
    session->broken = status != 0;
    return status;
}

/* Takes a line; it must begin with VERB and these words, each followed by a space. `*rest` is what
 * follows, valid until the next line. */
static int take_answer(struct session *session, const char *verb, size_t count,
                       const struct bytes *words, const char **rest, struct error *error)
{
    const char *line;
    size_t length;
    int status = line_program_line(&session->program, &line, &length, error);
    session->broken = status != 0;
    if (status != 0)
        return status;
    const char *at = line, *end = line + length;
    struct bytes expected = {verb, strlen(verb)};
    for (size_t i = 0; i <= count; i++) {
        if ((size_t)(end - at) <= expected.length ||
            memcmp(at, expected.data, expected.length) != 0 || at[expected.length] != ' ') {
            session->broken = true;
            return error_set(error, CAIRN_EPROTO, "workload: %s: answers a %s with \"%.80s\"",
                             session->program.command, verb, line);
        }
        at += expected.length + 1;
        if (i < count)
            expected = words[i];
    }
    *rest = at;
    return 0;
}

/* PUT and DELETE: whether the key was there before is told, and dropped. */
static int change(struct session *session, const char *verb, size_t count,
                  const struct bytes *words, struct error *error)
{
    const char *rest;
    int status = send_line(session, verb, count, words, error);
    if (status == 0)
        status = take_answer(session, verb, 1, words, &rest, error);
    if (status == 0 && strcmp(rest, "found") != 0 && strcmp(rest, "not_found") != 0)
        status = fail(session, CAIRN_EPROTO, error, "answers neither found nor not_found");
    return status;
}

static int put(struct session *session, struct bytes key, struct bytes value, struct error *error)
{
    return change(session, "PUT", 2, (const struct bytes[]){key, value}, error);
}

static int remove_key(struct session *session, struct bytes key, struct error *error)
{
    return change(session, "DELETE", 1, &key, error);
}

static int get(struct session *session, struct bytes key, bool *found, struct error *error)
{
    const char *rest;
    *found = false;
    int status = send_line(session, "GET", 1, &key, error);
    if (status == 0)
        status = take_answer(session, "GET", 1, &key, &rest, error);
    if (status == 0)
        *found = strcmp(rest, "null") != 0;
    return status;
}

/* Workload mode's SCAN takes the last key, not a limit. Of keys that end in their number, all of
 * one length, the one `limit - 1` further on ends the scan; of others as many pairs as there happen
 * to be. Writes it into `out`, of the key's length. */
static void last_key(struct bytes from, size_t limit, char *out)
{
    size_t more = limit > 0 ? limit - 1 : 0, at = from.length;
    memcpy(out, from.data, from.length);
    for (; at > 0 && out[at - 1] >= '0' && out[at - 1] <= '9'; at--) {
        more += (size_t)(out[at - 1] - '0');
        out[at - 1] = (char)('0' + more % 10);
        more /= 10;
    }
    if (more > 0) /* past the last number of this length: to the end */
        for (; at < from.length; at++)
            out[at] = '9';
}

/* Takes the pairs up to SCAN END. */
static int take_pairs(struct session *session, struct error *error)
{
    for (;;) {
        const char *line;
        size_t length;
        int status = line_program_line(&session->program, &line, &length, error);
        session->broken = status != 0;
        if (status != 0 || strcmp(line, "SCAN END") == 0)
            return status;
        if (length < 3 || memcmp(line, "  ", 2) != 0)
            return fail(session, CAIRN_EPROTO, error, "a line of a SCAN is no pair");
    }
}

static int scan(struct session *session, struct bytes from, size_t limit, struct error *error)
{
    const char *rest;
    char *last = malloc(from.length + 1);
    if (last == NULL)
        return error_set(error, CAIRN_ENOMEM, "workload: out of memory");
    last_key(from, limit, last);
    const struct bytes ends[] = {from, {last, from.length}};
    int status = send_line(session, "SCAN", 2, ends, error);
    if (status == 0)
        status = take_answer(session, "SCAN", 2, ends, &rest, error);
    free(last);
    if (status == 0 && strcmp(rest, "BEGIN") != 0)
        status = fail(session, CAIRN_EPROTO, error, "answers a SCAN without BEGIN");
    return status == 0 ? take_pairs(session, error) : status;
}

static void close_session(struct session *session)
{
    if (session == NULL)
        return;
    line_program_end(&session->program);
    buffer_free(&session->request);
    free(session);
}

static int open_session(const struct target_place *place, struct session **session,
                        struct error *error)
{
    bool found;
    *session = calloc(1, sizeof(**session));
    if (*session == NULL)
        return error_set(error, CAIRN_ENOMEM, "workload: out of memory");
    buffer_init(&(*session)->request, REQUEST_MAX);
    int status = line_program_start(&(*session)->program, place->address, LINE_PROGRAM_OWN_GROUP,
                                    place->timeout_ms, error);
    if (status == 0)
        status = get(*session, (struct bytes){"?", 1}, &found, error);
    if (status != 0) {
        close_session(*session);
        *session = NULL;
    }
    return status;
}

const struct target target_workload = {
    .name = "workload",
    .open = open_session,
    .close = close_session,
    .put = put,
    .get = get,
    .remove = remove_key,
    .scan = scan,
};
