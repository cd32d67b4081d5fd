/* Starts, feeds and ends one program. */
#include "base/line_program.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"

enum {
    LINE_MAX_BYTES = 4 << 20, /* a key and a value at their limits, twice over */
    READ_BYTES = 64 << 10,
    END_WAIT_MS = 2000,
    END_STEP_MS = 2,
};

extern char **environ;

/* --- starting -----------------------------------------------------------------------------------
 */

/* Two pipes; CLOEXEC keeps them from the programs of other sessions, which would hide an end of
 * file. The program's own ends block, as it expects. */
static int make_pipes(int child[2], int ours[2])
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
    child[0] = input[0];
    child[1] = output[1];
    ours[0] = output[0];
    ours[1] = input[1];
    fcntl(ours[0], F_SETFL, O_NONBLOCK);
    fcntl(ours[1], F_SETFL, O_NONBLOCK);
    return 0;
}

/* A group of its own lets us end what the shell itself has started, too. */
static int set_attributes(posix_spawnattr_t *attributes, enum line_program_group group)
{
    short flags = POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK;
    sigset_t defaults, none;
    sigemptyset(&none);
    sigemptyset(&defaults);
    sigaddset(&defaults, SIGPIPE); /* ignored here, and that would be inherited */
    int failure = posix_spawnattr_setsigdefault(attributes, &defaults);
    if (failure == 0)
        failure = posix_spawnattr_setsigmask(attributes, &none);
    if (failure == 0)
        failure = posix_spawnattr_setpgroup(attributes, 0);
    if (group == LINE_PROGRAM_OWN_GROUP)
        flags |= POSIX_SPAWN_SETPGROUP;
    return failure != 0 ? failure : posix_spawnattr_setflags(attributes, flags);
}

static int spawn(struct line_program *program, const int child[2])
{
    char shell[] = "/bin/sh", option[] = "-c";
    /* The new program gets a copy; what is here stays as it is. */
    char *words[] = {shell, option, (char *)(uintptr_t)program->command, NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int failure = posix_spawn_file_actions_init(&actions);
    if (failure != 0)
        return failure;
    failure = posix_spawnattr_init(&attributes);
    if (failure == 0) {
        failure = set_attributes(&attributes, program->group);
        if (failure == 0)
            failure = posix_spawn_file_actions_adddup2(&actions, child[0], STDIN_FILENO);
        if (failure == 0)
            failure = posix_spawn_file_actions_adddup2(&actions, child[1], STDOUT_FILENO);
        if (failure == 0)
            failure = posix_spawn(&program->pid, shell, &actions, &attributes, words, environ);
        posix_spawnattr_destroy(&attributes);
    }
    posix_spawn_file_actions_destroy(&actions);
    return failure;
}

int line_program_start(struct line_program *program, const char *command,
                       enum line_program_group group, uint64_t timeout_ms, struct error *error)
{
    int child[2] = {-1, -1}, ours[2] = {-1, -1};
    *program = (struct line_program){
        .command = command, .group = group, .timeout_ms = timeout_ms, .to = -1, .from = -1};
    int failure = make_pipes(child, ours);
    if (failure == 0) {
        failure = spawn(program, child);
        close(child[0]);
        close(child[1]);
        if (failure != 0) {
            close(ours[0]);
            close(ours[1]);
        }
    }
    if (failure != 0) {
        program->pid = 0;
        return error_set(error, CAIRN_EUNAVAILABLE, "workload: cannot start a shell: %s",
                         strerror(failure));
    }
    program->from = ours[0];
    program->to = ours[1];
    buffer_init(&program->input, LINE_MAX_BYTES);
    return 0;
}

/* --- ending -------------------------------------------------------------------------------------
 */

/* Waits up to `limit_ms` for the shell's end. It is left to be waited for, so that its number, and
 * its group's, stay its own. */
static bool await_end(const struct line_program *program, uint64_t limit_ms, siginfo_t *how)
{
    uint64_t deadline_ms = clock_now_ms() + limit_ms;
    for (;;) {
        how->si_pid = 0;
        int status = waitid(P_PID, (id_t)program->pid, how, WEXITED | WNOHANG | WNOWAIT);
        if (status == 0 && how->si_pid == program->pid)
            return true;
        if ((status != 0 && errno != EINTR) || clock_now_ms() >= deadline_ms)
            return false;
        clock_sleep_ms(END_STEP_MS);
    }
}

/* What the shell has started may outlive it: the whole group is ended, if it is its own. */
static void end_group(struct line_program *program)
{
    const pid_t ended = program->group == LINE_PROGRAM_OWN_GROUP ? -program->pid : program->pid;
    siginfo_t how;
    if (!await_end(program, END_WAIT_MS, &how)) {
        kill(ended, SIGTERM);
        (void)await_end(program, END_WAIT_MS, &how);
    }
    kill(ended, SIGKILL);
    while (waitpid(program->pid, NULL, 0) < 0 && errno == EINTR)
        continue;
    program->pid = 0;
}

void line_program_end(struct line_program *program)
{
    static const char STOP[] = "STOP\n";
    if (program->pid == 0)
        return;
    /* If it is gone, or busy with what it never answered, the end of file must do. */
    ssize_t written = write(program->to, STOP, sizeof(STOP) - 1);
    (void)written;
    close(program->to);
    end_group(program);
    close(program->from);
    buffer_free(&program->input);
}

/* The program has closed its output or input. Reports how it ended. */
static int report_end(struct line_program *program, struct error *error)
{
    siginfo_t how;
    if (!await_end(program, END_WAIT_MS, &how))
        return error_set(error, CAIRN_EUNAVAILABLE, "workload: %s: has no output any more",
                         program->command);
    if (how.si_code != CLD_EXITED)
        return error_set(error, CAIRN_EUNAVAILABLE, "workload: %s: ended by signal %d",
                         program->command, how.si_status);
    return error_set(error, CAIRN_EUNAVAILABLE, "workload: %s: ended with status %d",
                     program->command, how.si_status);
}

/* --- talking ------------------------------------------------------------------------------------
 */

static int await(struct line_program *program, int end, short events, struct error *error)
{
    struct pollfd waited = {.fd = end, .events = events};
    for (;;) {
        int left_ms = -1;
        uint64_t now_ms = clock_now_ms();
        if (now_ms >= program->deadline_ms)
            return error_set(error, CAIRN_ETIMEDOUT, "workload: %s: no answer in %llu ms",
                             program->command, (unsigned long long)program->timeout_ms);
        if (program->deadline_ms != UINT64_MAX)
            left_ms = (int)(program->deadline_ms - now_ms < INT_MAX ? program->deadline_ms - now_ms
                                                                    : INT_MAX);
        int ready = poll(&waited, 1, left_ms);
        if (ready > 0)
            return 0;
        if (ready < 0 && errno != EINTR)
            return error_set(error, CAIRN_EIO, "workload: poll: %s", strerror(errno));
    }
}

int line_program_send(struct line_program *program, const char *text, size_t length,
                      struct error *error)
{
    program->deadline_ms =
        program->timeout_ms == 0 ? UINT64_MAX : clock_now_ms() + program->timeout_ms;
    while (length > 0) {
        ssize_t written = write(program->to, text, length);
        int status = 0;
        if (written >= 0) {
            text += written;
            length -= (size_t)written;
        } else if (errno == EAGAIN) {
            status = await(program, program->to, POLLOUT, error);
        } else if (errno != EINTR) {
            status = report_end(program, error);
        }
        if (status != 0)
            return status;
    }
    return 0;
}

/* Appends what has come, waiting for something. */
static int receive(struct line_program *program, struct error *error)
{
    struct buffer *input = &program->input;
    buffer_consume(input, program->taken);
    program->taken = 0;
    int status = buffer_reserve(input, READ_BYTES);
    if (status != 0)
        return error_set(error, status, "workload: %s: a line of its answer: %s", program->command,
                         error_text(status));
    for (;;) {
        status = await(program, program->from, POLLIN, error);
        if (status != 0)
            return status;
        ssize_t got = read(program->from, input->data + input->length, READ_BYTES);
        if (got > 0) {
            input->length += (size_t)got;
            return 0;
        }
        if (got == 0 || (errno != EAGAIN && errno != EINTR))
            return report_end(program, error);
    }
}

int line_program_line(struct line_program *program, const char **line, size_t *length,
                      struct error *error)
{
    struct buffer *input = &program->input;
    size_t looked = 0; /* bytes without a newline, behind `taken` */
    for (;;) {
        char *start = input->length > program->taken ? (char *)input->data + program->taken : NULL;
        size_t have = input->length - program->taken;
        char *end = have > looked ? memchr(start + looked, '\n', have - looked) : NULL;
        if (end != NULL) {
            *end = '\0';
            *line = start;
            *length = (size_t)(end - start);
            program->taken += *length + 1;
            return 0;
        }
        looked = have;
        int status = receive(program, error);
        if (status != 0)
            return status;
    }
}
