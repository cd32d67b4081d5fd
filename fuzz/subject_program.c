/* A program that speaks workload mode: one line a call, and its answer.
 *
 * The client that uses it is alone in its process, whose group the program joins: whoever ends the
 * group ends both. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "fuzz/subject_internal.h"

enum { END_WAIT_MS = 2000, END_STEP_MS = 2, EXIT_NO_SHELL = 127 };

struct program {
    const char *command;
    pid_t pid;
    FILE *to, *from;
    char *line; /* the last one read, without its newline */
    size_t line_size;
};

/* --- the program --------------------------------------------------------------------------------
 */

static _Noreturn void become(const char *command, const int input[2], const int output[2])
{
    sigset_t none;
    sigemptyset(&none);
    signal(SIGPIPE, SIG_DFL);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (dup2(input[0], STDIN_FILENO) >= 0 && dup2(output[1], STDOUT_FILENO) >= 0)
        execl("/bin/sh", "sh", "-c", command, (char *)NULL);
    _exit(EXIT_NO_SHELL);
}

static int start(struct program *program)
{
    int input[2], output[2];
    if (pipe2(input, O_CLOEXEC) != 0)
        return errno;
    if (pipe2(output, O_CLOEXEC) != 0) {
        int failure = errno;
        close(input[0]);
        close(input[1]);
        return failure;
    }
    program->pid = fork();
    if (program->pid == 0)
        become(program->command, input, output);
    int failure = program->pid < 0 ? errno : 0;
    close(input[0]);
    close(output[1]);
    program->to = fdopen(input[1], "w");
    program->from = fdopen(output[0], "r");
    return program->to == NULL || program->from == NULL ? ENOMEM : failure;
}

/* Waits a moment for its end, then ends it. */
static void end(struct program *program)
{
    uint64_t deadline_ms = clock_now_ms() + END_WAIT_MS;
    if (program->to != NULL) {
        (void)fputs("STOP\n", program->to);
        (void)fclose(program->to);
    }
    while (program->pid > 0 && waitpid(program->pid, NULL, WNOHANG) == 0) {
        if (clock_now_ms() > deadline_ms) {
            kill(program->pid, SIGKILL);
            (void)waitpid(program->pid, NULL, 0);
            break;
        }
        clock_sleep_ms(END_STEP_MS);
    }
    if (program->from != NULL)
        (void)fclose(program->from);
    free(program->line);
    free(program);
}

static int open_program(struct subject *subject, const struct subject_place *place,
                        struct error *error)
{
    struct program *program = calloc(1, sizeof(*program));
    if (program == NULL)
        return error_set(error, CAIRN_ENOMEM, "client: out of memory");
    program->command = place->command;
    int failure = start(program);
    if (failure != 0) {
        end(program);
        return error_set(error, CAIRN_EUNAVAILABLE, "%s: cannot be started: %s", place->command,
                         strerror(failure));
    }
    subject->state = program;
    return 0;
}

static void close_program(struct subject *subject)
{
    end(subject->state);
}

/* --- calls --------------------------------------------------------------------------------------
 */

static int read_line(struct program *program, struct error *error)
{
    ssize_t length = getline(&program->line, &program->line_size, program->from);
    if (length <= 0)
        return error_set(error, CAIRN_EUNAVAILABLE, "%s: ended during a call", program->command);
    if (program->line[length - 1] == '\n')
        program->line[length - 1] = '\0';
    return 0;
}

static int refuse_line(const struct program *program, struct error *error)
{
    return error_set(error, CAIRN_EPROTO, "%s: answered with: %.200s", program->command,
                     program->line);
}

/* What follows `VERB KEY ` in the line, or NULL. */
static const char *behind(const struct program *program, const char *verb, const char *key)
{
    size_t verb_length = strlen(verb), key_length = strlen(key);
    const char *line = program->line;
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
static int take_presence(const struct program *program, const char *rest, struct answer *answer,
                         struct error *error)
{
    bool found = strcmp(rest, "found") == 0;
    if (!found && strcmp(rest, "not_found") != 0)
        return refuse_line(program, error);
    answer->outcome = OUTCOME_ANSWERED;
    answer->result = found ? RESULT_FOUND : RESULT_NOT_FOUND;
    return 0;
}

static int take_pairs(struct subject *subject, const struct call *call, struct answer *answer,
                      struct error *error)
{
    struct program *program = subject->state;
    uint64_t last = 0;
    for (;;) {
        int status = read_line(program, error);
        if (status != 0)
            return status;
        if (strcmp(program->line, "SCAN END") == 0)
            break;
        char *key = program->line + 2;
        char *space = strncmp(program->line, "  ", 2) == 0 ? strchr(key, ' ') : NULL;
        if (space == NULL)
            return refuse_line(program, error);
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

static int send_call(struct subject *subject, const struct call *call, const char *key,
                     struct error *error)
{
    struct program *program = subject->state;
    char to[PLAN_KEY_SIZE];
    (void)fprintf(program->to, "%s %s", VERBS[call->kind], key);
    if (call->value != 0) {
        size_t length = plan_value_text(subject->plan, call->value, subject->value);
        (void)fprintf(program->to, " %.*s", (int)length, subject->value);
    } else if (call->kind == CALL_SCAN) {
        plan_key_text(subject->plan, call->key + call->keys - 1, to);
        (void)fprintf(program->to, " %s", to);
    }
    (void)fputc('\n', program->to);
    if (fflush(program->to) != 0)
        return error_set(error, CAIRN_EUNAVAILABLE, "%s: ended before a call", program->command);
    return 0;
}

static int call_program(struct subject *subject, const struct call *call, struct answer *answer,
                        struct error *error)
{
    struct program *program = subject->state;
    char key[PLAN_KEY_SIZE];
    plan_key_text(subject->plan, call->key, key);
    int status = send_call(subject, call, key, error);
    if (status == 0)
        status = read_line(program, error);
    if (status != 0)
        return status;
    const char *rest = behind(program, VERBS[call->kind], key);
    if (rest == NULL)
        return refuse_line(program, error);
    if (call->kind == CALL_SCAN)
        return take_pairs(subject, call, answer, error);
    if (call->kind == CALL_GET || call->kind == CALL_SWAP)
        return take_value(subject, rest, answer);
    return take_presence(program, rest, answer, error);
}

const struct subject_kind subject_program = {open_program, call_program, close_program};
