/* Workload mode: one call a line on stdin, one answer on stdout, flushed after each. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "client/cli.h"
#include "client/line.h"
#include "client/text.h"

enum {
    READ_SIZE = 64 << 10,
    ANSWER_LIMIT = 16 << 20, /* more than one answer without pairs, or one pair, can need */
    ANSWER_HOLD = 4 << 20,   /* of a SCAN's answer is held back until it is known to succeed */
};

struct workload {
    struct cli *cli;
    struct line line;
    struct buffer answer;
    int failed; /* exit code of the last call that failed, 0: none */
};

/* --- answers ---------------------------------------------------------------------------------- */

static int add_text(struct workload *workload, const char *text)
{
    return buffer_append(&workload->answer, text, strlen(text));
}

/* " WORD" */
static int add_word(struct workload *workload, const void *data, size_t length)
{
    int status = add_text(workload, " ");

    return status != CAIRN_OK ? status : text_append_word(&workload->answer, data, length);
}

/* "VERB KEY" */
static int begin_answer(struct workload *workload, const char *verb, const struct line_word *key)
{
    buffer_clear(&workload->answer);
    int status = add_text(workload, verb);
    return status != CAIRN_OK ? status : add_word(workload, key->data, key->length);
}

static int write_answer(struct workload *workload)
{
    const struct buffer *answer = &workload->answer;
    size_t at = 0;

    while (at < answer->length) {
        ssize_t put = write(STDOUT_FILENO, answer->data + at, answer->length - at);
        if (put >= 0) {
            at += (size_t)put;
        } else if (errno != EINTR) {
            return cli_error(CLI_INVALID, "stdout: %s", strerror(errno));
        }
    }
    buffer_clear(&workload->answer);
    return CLI_DONE;
}

/* Ends an answer whose parts were appended with this status. */
static int end_answer(struct workload *workload, int status)
{
    if (status == CAIRN_OK) {
        status = add_text(workload, "\n");
    }
    if (status != CAIRN_OK) {
        return cli_error(CLI_INVALID, "stdout: %s", cairn_strerror(status));
    }
    return write_answer(workload);
}

/* A call that failed answers nothing; the next line is read, unless a signal ended the call. */
static int call_failed(struct workload *workload, int status)
{
    workload->failed = cli_failure(workload->cli, status);
    return cli_signal_caught() != 0 ? 128 + cli_signal_caught() : CLI_DONE;
}

/* --- calls --------------------------------------------------------------------------------------
 */

static int answer_found(struct workload *workload, const char *verb, const struct line_word *key,
                        int existed)
{
    int status = begin_answer(workload, verb, key);

    if (status == CAIRN_OK) {
        status = add_text(workload, existed ? " found" : " not_found");
    }
    return end_answer(workload, status);
}

static int answer_value(struct workload *workload, const char *verb, const struct line_word *key,
                        const void *value, size_t length)
{
    int status = begin_answer(workload, verb, key);

    if (status == CAIRN_OK) {
        status = value == NULL ? add_text(workload, " null") : add_word(workload, value, length);
    }
    return end_answer(workload, status);
}

static int call_put(struct workload *workload, const struct line_call *call)
{
    const struct line_word *key = &call->words[0];
    const struct line_word *value = &call->words[1];
    int existed;
    int status = cairn_put(workload->cli->db, key->data, key->length, value->data, value->length,
                           &existed, NULL);

    return status != CAIRN_OK ? call_failed(workload, status)
                              : answer_found(workload, "PUT", key, existed);
}

static int call_delete(struct workload *workload, const struct line_call *call)
{
    const struct line_word *key = &call->words[0];
    int existed;
    int status = cairn_delete(workload->cli->db, key->data, key->length, &existed);

    return status != CAIRN_OK ? call_failed(workload, status)
                              : answer_found(workload, "DELETE", key, existed);
}

static int call_swap(struct workload *workload, const struct line_call *call)
{
    const struct line_word *key = &call->words[0];
    const struct line_word *value = &call->words[1];
    const void *old;
    size_t length;
    int status = cairn_swap(workload->cli->db, key->data, key->length, value->data, value->length,
                            &old, &length);

    return status != CAIRN_OK ? call_failed(workload, status)
                              : answer_value(workload, "SWAP", key, old, length);
}

static int call_get(struct workload *workload, const struct line_call *call)
{
    const struct line_word *key = &call->words[0];
    const void *value;
    size_t length;
    int status = cairn_get(workload->cli->db, key->data, key->length, &value, &length, NULL);

    if (status != CAIRN_OK && status != CAIRN_ENOTFOUND) {
        return call_failed(workload, status);
    }
    return answer_value(workload, "GET", key, value, length);
}

/* --- SCAN ---------------------------------------------------------------------------------------
 */

static int begin_scan(struct workload *workload, const struct line_call *call)
{
    int status = begin_answer(workload, "SCAN", &call->words[0]);

    if (status == CAIRN_OK) {
        status = add_word(workload, call->words[1].data, call->words[1].length);
    }
    return status != CAIRN_OK ? status : add_text(workload, " BEGIN\n");
}

static int add_pair(struct workload *workload, const void *key, size_t key_length,
                    const void *value, size_t value_length)
{
    int status = add_text(workload, " ");

    if (status == CAIRN_OK) {
        status = add_word(workload, key, key_length);
    }
    if (status == CAIRN_OK) {
        status = add_word(workload, value, value_length);
    }
    return status != CAIRN_OK ? status : add_text(workload, "\n");
}

/* An answer is written whole if it is not too long to be held. If a longer one fails in the middle
 * the program ends: without `SCAN END` nobody can take the pairs for all, and no later answer can
 * be taken for one of them. */
static int print_scan(struct workload *workload, cairn_cursor_t *cursor)
{
    const void *key;
    const void *value;
    size_t key_length;
    size_t value_length;
    bool partly = false;
    int status;

    while ((status = cairn_scan_next(cursor, &key, &key_length, &value, &value_length)) ==
           CAIRN_OK) {
        if (add_pair(workload, key, key_length, value, value_length) != CAIRN_OK) {
            return cli_error(CLI_INVALID, "stdout: out of memory");
        }
        if (workload->answer.length > ANSWER_HOLD) {
            int code = write_answer(workload);
            if (code != CLI_DONE) {
                return code;
            }
            partly = true;
        }
    }
    if (status == CAIRN_ENOTFOUND) {
        return end_answer(workload, add_text(workload, "SCAN END"));
    }
    int code = call_failed(workload, status);
    return partly && code == CLI_DONE ? workload->failed : code;
}

static int call_scan(struct workload *workload, const struct line_call *call)
{
    const struct line_word *from = &call->words[0];
    const struct line_word *to = &call->words[1];
    cairn_cursor_t *cursor;
    int status =
        cairn_scan(workload->cli->db, from->data, from->length, to->data, to->length, &cursor);

    if (status != CAIRN_OK) {
        return call_failed(workload, status);
    }
    int code = begin_scan(workload, call) == CAIRN_OK
                   ? print_scan(workload, cursor)
                   : cli_error(CLI_INVALID, "stdout: out of memory");
    cairn_scan_close(cursor);
    return code;
}

/* --- lines --------------------------------------------------------------------------------------
 */

static int call_stop(struct workload *workload)
{
    buffer_clear(&workload->answer);
    int code = end_answer(workload, add_text(workload, "STOP"));

    return code == CLI_DONE ? CLI_LEAVE : code;
}

/* CLI_DONE to go on, CLI_LEAVE after STOP, else the exit code. */
static int run_line(struct workload *workload)
{
    struct line_call call;
    struct error error = {0};

    if (line_parse(&workload->line, &call, &error) != CAIRN_OK) {
        cli_error(CLI_INVALID, "%s", error.message);
        return CLI_DONE;
    }
    switch (call.verb) {
    case LINE_PUT:
        return call_put(workload, &call);
    case LINE_SWAP:
        return call_swap(workload, &call);
    case LINE_GET:
        return call_get(workload, &call);
    case LINE_DELETE:
        return call_delete(workload, &call);
    case LINE_SCAN:
        return call_scan(workload, &call);
    case LINE_STOP:
    default:
        return call_stop(workload);
    }
}

static int take_input(struct workload *workload, const uint8_t *data, size_t length)
{
    int code = CLI_DONE;
    size_t used;

    while (length > 0 && code == CLI_DONE) {
        if (line_feed(&workload->line, data, length, &used)) {
            code = run_line(workload);
            line_reset(&workload->line);
        }
        data += used;
        length -= used;
    }
    return code;
}

static int run_input(struct workload *workload)
{
    static uint8_t input[READ_SIZE];
    int code = CLI_DONE;

    while (code == CLI_DONE) {
        if (!cli_signal_wait(STDIN_FILENO)) {
            return 128 + cli_signal_caught();
        }
        ssize_t got = read(STDIN_FILENO, input, sizeof(input));
        if (got < 0 && errno != EINTR) {
            return cli_error(CLI_INVALID, "stdin: %s", strerror(errno));
        }
        if (got == 0) {
            code = workload->line.begun ? run_line(workload) : CLI_DONE;
            return code == CLI_DONE ? workload->failed : code;
        }
        if (got > 0) {
            code = take_input(workload, input, (size_t)got);
        }
    }
    return code;
}

int cli_workload(struct cli *cli)
{
    struct workload workload = {.cli = cli};

    line_init(&workload.line);
    buffer_init(&workload.answer, ANSWER_LIMIT);
    int code = run_input(&workload);
    buffer_free(&workload.answer);
    line_free(&workload.line);
    return code == CLI_LEAVE ? CLI_DONE : code;
}
