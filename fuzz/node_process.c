/* See node_process.h. */
#include "fuzz/node_process.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"

void process_enter(int network)
{
    CHECK(setns(network, CLONE_NEWNET) == 0);
}

static void prepare(const struct process_start *start, posix_spawn_file_actions_t *files,
                    posix_spawnattr_t *attributes)
{
    sigset_t none, all;

    sigemptyset(&none);
    sigfillset(&all);
    CHECK(posix_spawn_file_actions_init(files) == 0);
    if (start->input >= 0)
        CHECK(posix_spawn_file_actions_adddup2(files, start->input, STDIN_FILENO) == 0);
    else
        CHECK(posix_spawn_file_actions_addopen(files, STDIN_FILENO, "/dev/null", O_RDONLY, 0) == 0);
    CHECK(posix_spawn_file_actions_adddup2(files, start->output, STDOUT_FILENO) == 0);
    CHECK(posix_spawn_file_actions_adddup2(files, start->errors, STDERR_FILENO) == 0);
    CHECK(posix_spawnattr_init(attributes) == 0);
    CHECK(posix_spawnattr_setsigmask(attributes, &none) == 0);
    CHECK(posix_spawnattr_setsigdefault(attributes, &all) == 0);
    CHECK(posix_spawnattr_setpgroup(attributes, 0) == 0);
    CHECK(posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
                                                   POSIX_SPAWN_SETPGROUP) == 0);
}

/* A child begins in the namespace of the thread that starts it. */
int process_start(const struct process_start *start, pid_t *process, struct error *error)
{
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    int home = -1;

    prepare(start, &files, &attributes);
    if (start->network >= 0) {
        home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
        CHECK(home >= 0);
        process_enter(start->network);
    }
    int rc = posix_spawnp(process, start->words[0], &files, &attributes, start->words,
                          start->environment);
    if (start->network >= 0) {
        process_enter(home);
        close(home);
    }
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&attributes);
    if (rc != 0)
        return error_set(error, CAIRN_EIO, "%s: cannot be started: %s", start->words[0],
                         strerror(rc));
    return 0;
}

int process_wait(pid_t process, uint64_t limit_ms, int *status)
{
    uint64_t deadline_ms = clock_now_ms() + limit_ms;

    for (;;) {
        pid_t found = waitpid(process, status, WNOHANG);
        CHECK(found == process || found == 0 || errno == EINTR);
        if (found == process)
            return 0;
        if (clock_now_ms() >= deadline_ms)
            return CAIRN_ETIMEDOUT;
        clock_sleep_ms(2);
    }
}

void process_describe(int status, char *out, size_t size)
{
    if (WIFSIGNALED(status))
        (void)snprintf(out, size, "was killed by signal %d", WTERMSIG(status));
    else
        (void)snprintf(out, size, "ended with %d", WEXITSTATUS(status));
}
