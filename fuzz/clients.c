/* Starts processes of clients and follows them to their end. */
#include "fuzz/clients.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "fuzz/own_cache.h"

enum { STEP_MS = 1, AHEAD_MAX = 2000 };

/* Between all processes. */
struct shared {
    _Atomic bool stop;
    struct lane lanes[];
};

struct clients {
    struct clients_options options;
    struct shared *shared;
    size_t shared_bytes;
    pid_t *processes; /* 0: ended */
};

/* --- in a process of clients --------------------------------------------------------------------
 */

struct client {
    const struct clients *clients;
    const struct subject_place *place;
    uint32_t number;
    pthread_t thread;
};

/* The calls that the slowest of those began who write; `count` if there is none any more. */
static uint64_t slowest_writer(const struct clients *clients, uint64_t count)
{
    const struct plan *plan = clients->options.plan;
    uint64_t slowest = count;
    for (uint32_t i = 0; i < plan->clients; i++) {
        const struct lane *lane = &clients->shared->lanes[i];
        if (!plan_is_reader(plan, i) && !atomic_load(&lane->closed) && lane_count(lane) < slowest)
            slowest = lane_count(lane);
    }
    return slowest;
}

/* A reader keeps step with those that write, so that they use the same keys; but while they wait it
 * goes on for a while. False if it shall stop. */
static bool keep_step(const struct clients *clients, uint64_t count)
{
    const _Atomic bool *stop = &clients->shared->stop;
    uint64_t ahead = count - slowest_writer(clients, count);
    while (ahead > 0 && !atomic_load(stop)) {
        clock_sleep_ms(STEP_MS);
        if (ahead < AHEAD_MAX)
            break;
        ahead = count - slowest_writer(clients, count);
    }
    return !atomic_load(stop);
}

/* The calls of the plan, until one fails. */
static int make_calls(const struct client *client, struct subject *subject, struct lane *lane,
                      struct error *error)
{
    const struct clients_options *options = &client->clients->options;
    const _Atomic bool *stop = &client->clients->shared->stop;
    bool is_reader = plan_is_reader(options->plan, client->number);
    for (uint64_t n = 0; options->operations == 0 || n < options->operations; n++) {
        if (!lane_wait(lane, stop) || (is_reader && !keep_step(client->clients, n)))
            return 0;
        struct call call = plan_call(options->plan, client->number, n);
        struct answer answer;
        lane_begin(lane, &call);
        int status = subject_call(subject, &call, &answer, error);
        lane_end(lane, &answer);
        if (status != 0)
            return status;
    }
    return 0;
}

static void *run_client(void *context)
{
    const struct client *client = context;
    const struct clients *clients = client->clients;
    struct lane *lane = &clients->shared->lanes[client->number];
    struct subject *subject = NULL;
    struct error error = {0};
    int status = subject_open(client->place, clients->options.plan, lane, &subject, &error);
    if (status == 0)
        status = make_calls(client, subject, lane, &error);
    lane_close(lane, status != 0 ? &error : NULL);
    subject_close(subject);
    return NULL;
}

/* Where this process finds the store: of several caches it uses one, as does what it starts. */
static struct subject_place place_of(const struct clients_options *options, uint32_t process,
                                     char name[OWN_CACHE_NAME_SIZE])
{
    struct subject_place place = *options->place;
    if (place.caches > 0) {
        own_cache_numbered(place.cache_name, process % place.caches, name);
        place.cache_name = name;
        setenv("CAIRN_CACHE_NAME", name, 1);
    }
    return place;
}

/* Clients [first, end), of which the first runs in this thread. */
static void run_process(const struct clients *clients, uint32_t process, uint32_t first,
                        uint32_t end)
{
    const struct clients_options *options = &clients->options;
    char cache_name[OWN_CACHE_NAME_SIZE];
    const struct subject_place place = place_of(options, process, cache_name);
    struct error error = {0};
    int status = options->enter != NULL ? options->enter(options->context, process, &error) : 0;
    struct client *all = calloc(end - first, sizeof(*all));
    if (all == NULL)
        status = error_set(&error, CAIRN_ENOMEM, "client: out of memory");
    for (uint32_t i = first; i < end; i++) {
        struct client *client = &all[i - first];
        if (status == 0) {
            *client = (struct client){.clients = clients, .place = &place, .number = i};
            if (i > first && pthread_create(&client->thread, NULL, run_client, client) != 0)
                status = error_set(&error, CAIRN_ENOMEM, "client: no more threads");
        }
        if (status != 0)
            lane_close(&clients->shared->lanes[i], &error);
    }
    if (status == 0)
        run_client(&all[0]);
    for (uint32_t i = first + 1; i < end && status == 0; i++)
        pthread_join(all[i - first].thread, NULL);
    free(all);
    _exit(0);
}

/* --- in the one that started them ---------------------------------------------------------------
 */

static uint32_t first_of(const struct clients_options *options, uint32_t process)
{
    return (uint32_t)((uint64_t)options->plan->clients * process / options->processes);
}

static int start_process(struct clients *clients, uint32_t process, struct error *error)
{
    pid_t parent = getpid(), pid = fork();
    if (pid < 0)
        return error_set(error, CAIRN_EIO, "clients: fork: %s", strerror(errno));
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
            _exit(1);
        setpgid(0, 0); /* whom a terminal interrupts is the parent */
        signal(SIGINT, SIG_DFL);
        signal(SIGTERM, SIG_DFL);
        run_process(clients, process, first_of(&clients->options, process),
                    first_of(&clients->options, process + 1));
    }
    setpgid(pid, pid); /* whoever comes first; there must be a group to be killed */
    clients->processes[process] = pid;
    return 0;
}

int clients_start(const struct clients_options *options, struct clients **clients,
                  struct error *error)
{
    struct clients *made = calloc(1, sizeof(*made));
    int status = 0;
    *clients = NULL;
    if (made == NULL)
        return error_set(error, CAIRN_ENOMEM, "clients: out of memory");
    made->options = *options;
    if (options->place->command != NULL || options->processes > options->plan->clients)
        made->options.processes = options->plan->clients;
    made->shared_bytes = sizeof(struct shared) + options->plan->clients * sizeof(struct lane);
    made->processes = calloc(made->options.processes, sizeof(pid_t));
    made->shared =
        mmap(NULL, made->shared_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (made->processes == NULL || made->shared == MAP_FAILED) {
        made->shared = NULL;
        status = error_set(error, CAIRN_ENOMEM, "clients: out of memory");
    }
    for (uint32_t i = 0; status == 0 && i < made->options.processes; i++)
        status = start_process(made, i, error);
    if (status != 0) {
        clients_free(made);
        return status;
    }
    *clients = made;
    return 0;
}

struct lane *clients_lane(struct clients *clients, uint32_t client)
{
    return &clients->shared->lanes[client];
}

/* A client that was killed, or crashed, did not close its lane. */
static void close_lanes(struct clients *clients, uint32_t process, int how)
{
    struct error error;
    bool stopped = atomic_load(&clients->shared->stop);
    if (WIFSIGNALED(how))
        error_set(&error, CAIRN_EUNAVAILABLE, "clients: a process of them was ended by signal %d",
                  WTERMSIG(how));
    else
        error_set(&error, CAIRN_EUNAVAILABLE, "clients: a process of them ended with status %d",
                  WEXITSTATUS(how));
    for (uint32_t i = first_of(&clients->options, process);
         i < first_of(&clients->options, process + 1); i++) {
        struct lane *lane = &clients->shared->lanes[i];
        if (!atomic_load(&lane->closed))
            lane_close(lane, stopped ? NULL : &error);
    }
}

/* Whether the process has ended; what it started may outlive it, and is ended. It is waited for
 * last, so that its number, and its group's, are its own until then. */
static bool has_ended(pid_t process, int *how)
{
    siginfo_t ended = {0};
    if (waitid(P_PID, (id_t)process, &ended, WEXITED | WNOHANG | WNOWAIT) != 0 ||
        ended.si_pid != process)
        return false;
    kill(-process, SIGKILL);
    while (waitpid(process, how, 0) < 0 && errno == EINTR)
        continue;
    return true;
}

bool clients_run(struct clients *clients)
{
    bool runs = false;
    for (uint32_t i = 0; i < clients->options.processes; i++) {
        int how = 0;
        if (clients->processes[i] == 0)
            continue;
        if (has_ended(clients->processes[i], &how)) {
            clients->processes[i] = 0;
            close_lanes(clients, i, how);
        } else {
            runs = true;
        }
    }
    return runs;
}

void clients_stop(struct clients *clients)
{
    atomic_store(&clients->shared->stop, true);
}

void clients_kill(struct clients *clients)
{
    for (uint32_t i = 0; i < clients->options.processes; i++)
        if (clients->processes[i] > 0)
            kill(-clients->processes[i], SIGKILL);
}

void clients_free(struct clients *clients)
{
    if (clients == NULL)
        return;
    if (clients->shared != NULL) {
        clients_stop(clients);
        clients_kill(clients);
        for (uint32_t i = 0; i < clients->options.processes; i++)
            if (clients->processes[i] > 0)
                while (waitpid(clients->processes[i], NULL, 0) < 0 && errno == EINTR)
                    continue;
        munmap(clients->shared, clients->shared_bytes);
    }
    free(clients->processes);
    free(clients);
}
