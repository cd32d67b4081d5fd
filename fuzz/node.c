/* See node.h. */
#include "fuzz/node.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "fuzz/node_process.h"

/* A killed process is gone within far less, unless the kernel waits for its disk. */
enum { KILL_LIMIT_MS = 30000 };

static void make_environment(struct node *node, const char *control, const char *preload)
{
    struct words *words = &node->environment;

    words_add_environment(words);
    words_add(words, "LD_PRELOAD=%s", preload);
    words_add(words, CONTROL_FILE_VARIABLE "=%s", control);
    words_add(words, CONTROL_PARENT_VARIABLE "=%ld", (long)getpid());
    /* The sanitizer's library need not be the first; its exit code is one that nothing else has. */
    if (getenv("ASAN_OPTIONS") == NULL)
        words_add(words, "ASAN_OPTIONS=exitcode=99:verify_asan_link_order=0");
    if (getenv("TSAN_OPTIONS") == NULL)
        words_add(words, "TSAN_OPTIONS=exitcode=66");
}

int node_init(struct node *node, const char *name, const char *folder, const char *preload,
              struct error *error)
{
    char control[NODE_PATH_MAX];

    *node = (struct node){.network = -1};
    (void)snprintf(node->name, sizeof node->name, "%s", name);
    if (snprintf(node->log, sizeof node->log, "%s/%s.log", folder, name) >= NODE_PATH_MAX ||
        snprintf(control, sizeof control, "%s/%s.control", folder, name) >= NODE_PATH_MAX)
        return error_set(error, CAIRN_EINVAL, "%s: the path is too long", folder);
    make_environment(node, control, preload);
    return control_open(control, &node->control, error);
}

void node_free(struct node *node)
{
    (void)node_kill(node, NULL);
    words_free(&node->command);
    words_free(&node->environment);
    control_close(node->control);
    node->control = NULL;
}

int node_start(struct node *node, struct error *error)
{
    if (node->process != 0)
        return 0;
    int log = open(node->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (log < 0)
        return error_set(error, CAIRN_EIO, "%s: %s", node->log, strerror(errno));
    struct process_start start = {.words = node->command.items,
                                  .environment = node->environment.items,
                                  .network = node->network,
                                  .input = -1,
                                  .output = log,
                                  .errors = log};
    int rc = process_start(&start, &node->process, error);
    if (rc != 0)
        node->process = 0;
    close(log);
    node->is_paused = false;
    return rc;
}

/* That a process has ended which should run. */
static int ended(struct node *node, int status, struct error *error)
{
    char how[48];

    node->process = 0;
    process_describe(status, how, sizeof how);
    return error_set(error, CAIRN_EIO, "%s %s by itself; see %s", node->name, how, node->log);
}

int node_check(struct node *node, struct error *error)
{
    int status;

    if (node->process == 0)
        return 0;
    pid_t found = waitpid(node->process, &status, WNOHANG);
    CHECK(found == node->process || found == 0);
    return found == 0 ? 0 : ended(node, status, error);
}

int node_kill(struct node *node, struct error *error)
{
    int status;

    if (node->process == 0)
        return 0;
    int rc = node_check(node, error);
    if (rc != 0)
        return rc;
    CHECK(kill(node->process, SIGKILL) == 0);
    if (process_wait(node->process, KILL_LIMIT_MS, &status) != 0)
        return error_set(error, CAIRN_ETIMEDOUT, "%s: still there %d s after kill -9; see %s",
                         node->name, KILL_LIMIT_MS / 1000, node->log);
    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
        return ended(node, status, error);
    node->process = 0;
    node->is_paused = false;
    return 0;
}

void node_pause(struct node *node)
{
    if (node->process == 0)
        return;
    CHECK(kill(node->process, SIGSTOP) == 0);
    node->is_paused = true;
}

void node_resume(struct node *node)
{
    if (node->process == 0 || !node->is_paused)
        return;
    CHECK(kill(node->process, SIGCONT) == 0);
    node->is_paused = false;
}
