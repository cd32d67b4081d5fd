/* Processes of a run: forked, held until all are ready, asked for what they measured. */
#include "bench/processes.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"

enum { CACHE_NAME_SIZE = 128 };

enum stage { STAGE_READY, STAGE_OVER };

struct child {
    pid_t pid; /* 0: not started */
    int link;  /* to it: its stages come, one byte goes when it may begin */
    bool over; /* it said so */
};

/* What a process says at its end. */
struct outcome {
    int status;
    struct error error;
    struct run_result result;
};

static bool send_all(int link, const void *data, size_t length)
{
    const char *at = data;
    while (length > 0) {
        ssize_t sent = send(link, at, length, MSG_NOSIGNAL);
        if (sent < 0 && errno != EINTR)
            return false;
        at += sent > 0 ? sent : 0;
        length -= sent > 0 ? (size_t)sent : 0;
    }
    return true;
}

static bool receive_all(int link, void *data, size_t length)
{
    char *at = data;
    while (length > 0) {
        ssize_t got = recv(link, at, length, 0);
        if (got == 0 || (got < 0 && errno != EINTR))
            return false;
        at += got > 0 ? got : 0;
        length -= got > 0 ? (size_t)got : 0;
    }
    return true;
}

/* --- in the process ----------------------------------------------------------------------------
 */

/* Tells that all connections are open, and waits until those of all processes are. */
static int say_ready(void *context, struct error *error)
{
    const int *link = context;
    enum stage stage = STAGE_READY;
    char go;
    if (!send_all(*link, &stage, sizeof(stage)) || !receive_all(*link, &go, 1))
        return error_set(error, CAIRN_ECANCELED, "run: another process failed");
    return 0;
}

static struct run_plan plan_of(const struct run_plan *plan, const struct processes *processes,
                               uint32_t index, const char *cache_name)
{
    struct run_plan mine = *plan;
    mine.seed = plan->seed * PROCESSES_MAX + index;
    mine.operations =
        plan->operations / processes->count + (index < plan->operations % processes->count);
    mine.processes = processes->count;
    mine.process = index;
    if (index > 0)
        mine.progress = NULL;
    if (processes->separate_caches)
        mine.place.cache_name = cache_name;
    return mine;
}

static void run_child(const struct run_plan *plan, const struct processes *processes,
                      uint32_t index, int link)
{
    static struct outcome outcome;
    char cache_name[CACHE_NAME_SIZE];
    enum stage stage = STAGE_OVER;
    const char *name = plan->place.cache_name != NULL ? plan->place.cache_name : "";
    snprintf(cache_name, sizeof(cache_name), "%s-%u", name, index);
    struct run_plan mine = plan_of(plan, processes, index, cache_name);
    const struct run_ready ready = {say_ready, &link};
    mine.ready = &ready;
    outcome.status = run_workload(&mine, &outcome.result, &outcome.error);
    bool sent = send_all(link, &stage, sizeof(stage)) && send_all(link, &outcome, sizeof(outcome));
    _exit(sent ? 0 : 1);
}

/* --- in the one that started them --------------------------------------------------------------
 */

static int start(const struct run_plan *plan, const struct processes *processes,
                 struct child *children, uint32_t index, struct error *error)
{
    int ends[2];
    pid_t parent = getpid();
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
        return error_set(error, CAIRN_EIO, "run: socketpair: %s", strerror(errno));
    pid_t pid = fork();
    if (pid < 0) {
        close(ends[0]);
        close(ends[1]);
        return error_set(error, CAIRN_ENOMEM, "run: no process: %s", strerror(errno));
    }
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
            _exit(1);
        /* An end kept open here would hide from the others that nobody holds it any more. */
        for (uint32_t i = 0; i < index; i++)
            close(children[i].link);
        close(ends[0]);
        run_child(plan, processes, index, ends[1]);
    }
    close(ends[1]);
    children[index] = (struct child){.pid = pid, .link = ends[0]};
    return 0;
}

/* Whether the process is ready; false: it ended before. */
static bool await_ready(struct child *child)
{
    enum stage stage = STAGE_OVER;
    bool heard = receive_all(child->link, &stage, sizeof(stage));
    child->over = heard && stage == STAGE_OVER;
    return heard && stage == STAGE_READY;
}

static void take_outcome(struct child *child, struct outcome *outcome)
{
    enum stage stage = STAGE_OVER;
    bool over = child->over || receive_all(child->link, &stage, sizeof(stage));
    if (!over || !receive_all(child->link, outcome, sizeof(*outcome)))
        outcome->status =
            error_set(&outcome->error, CAIRN_EUNAVAILABLE, "run: a process of it died");
}

/* Keeps the failure that caused the others. */
static void keep_failure(const struct outcome *outcome, struct error *error)
{
    if (outcome->status != 0 && (error->code == 0 || error->code == CAIRN_ECANCELED))
        *error = outcome->error;
}

static void gather(struct child *children, uint32_t count, struct run_result *result,
                   struct error *error)
{
    struct outcome *outcome = malloc(sizeof(*outcome));
    bool first = true;
    for (uint32_t i = 0; i < count && outcome != NULL; i++) {
        take_outcome(&children[i], outcome);
        keep_failure(outcome, error);
        if (outcome->status == 0 && first)
            *result = outcome->result;
        else if (outcome->status == 0)
            run_merge(result, &outcome->result);
        first = first && outcome->status != 0;
    }
    if (outcome == NULL)
        error_set(error, CAIRN_ENOMEM, "run: out of memory");
    free(outcome);
}

/* Without the byte that lets them begin, those that are ready see the link's end. */
static void release(struct child *children, uint32_t count, bool begin)
{
    for (uint32_t i = 0; i < count; i++) {
        if (begin)
            send_all(children[i].link, "g", 1);
        else
            shutdown(children[i].link, SHUT_WR);
    }
}

int processes_run(const struct run_plan *plan, const struct processes *processes,
                  struct run_result *result, struct error *error)
{
    struct child children[PROCESSES_MAX];
    uint32_t started = 0;
    CHECK(processes->count >= 1 && processes->count <= PROCESSES_MAX);
    memset(result, 0, sizeof(*result));
    error->code = 0;
    while (started < processes->count && start(plan, processes, children, started, error) == 0)
        started++;
    bool ready = started == processes->count;
    for (uint32_t i = 0; i < started; i++)
        ready = await_ready(&children[i]) && ready;
    release(children, started, ready);
    gather(children, started, result, error);
    for (uint32_t i = 0; i < started; i++) {
        close(children[i].link);
        while (waitpid(children[i].pid, NULL, 0) < 0 && errno == EINTR)
            ;
    }
    return error->code;
}
