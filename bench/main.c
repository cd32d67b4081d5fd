/* cairn-bench: measures Cairn and other stores with the same driver. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bench/host_cache.h"
#include "bench/report.h"
#include "bench/settings.h"

/* As a shell tells that a program ended by SIGINT. */
enum { LOAD_CONNECTIONS_MIN = 30, EXIT_STOPPED = 130 };

/* A run, with what it shares between its processes and with its user. */
struct job {
    const struct settings *settings;
    struct shared *shared;
    struct progress_options progress;
    bool fork_it;
};

/* In this process, or in others if it is to be several: those are forked before there are threads.
 */
static int run_plan(struct job *job, const char *label, const struct run_plan *plan,
                    const struct processes *processes, struct run_result *result,
                    struct error *error)
{
    const struct settings *settings = job->settings;
    struct run_plan mine = *plan;
    bool in_place = isatty(STDERR_FILENO) != 0;
    job->progress = (struct progress_options){stderr, in_place,        settings->status_ms,
                                              label,  mine.operations, mine.measure_ms};
    mine.shared = job->shared;
    if (in_place || settings->progress)
        mine.progress = &job->progress;
    if (settings->phase != YCSB_NONE) {
        mine.workload.space = &job->shared->keys;
        key_space_init(mine.workload.space,
                       ycsb_first_insert(&settings->properties, settings->phase));
    }
    return job->fork_it ? processes_run(&mine, processes, result, error)
                        : run_workload(&mine, result, error);
}

/* Writes every key once. */
static int load_keys(struct job *job, struct error *error)
{
    struct run_plan load = job->settings->plan;
    static struct run_result result;
    const struct processes alone = {.count = 1};
    memset(load.workload.shares, 0, sizeof(load.workload.shares));
    load.workload.shares[BENCH_PUT] = 100;
    load.workload.order = KEYS_SEQUENTIAL;
    load.operations = load.workload.keys;
    load.warm_up_ms = 0;
    load.measure_ms = 0;
    load.batch = 1;
    load.rate = 0;
    load.place.cache = false;
    if (load.connections < LOAD_CONNECTIONS_MIN)
        load.connections = LOAD_CONNECTIONS_MIN;
    return run_plan(job, "load", &load, &alone, &result, error);
}

/* `*stopped`: the user ended it early; what was measured until then is printed. */
static int measure(struct job *job, bool *stopped, struct error *error)
{
    const struct settings *settings = job->settings;
    static struct run_result result;
    int status = settings->load ? load_keys(job, error) : 0;
    if (status == 0 && atomic_load(&job->shared->stop))
        fprintf(stderr, "stopped while all keys were written: nothing was measured\n");
    if (status == 0 && !atomic_load(&job->shared->stop)) {
        status = run_plan(job, settings->phase == YCSB_LOAD ? "load" : "run", &settings->plan,
                          &settings->processes, &result, error);
        if (status == 0)
            status = report_print(settings, &result, stdout, error);
    }
    *stopped = atomic_load(&job->shared->stop);
    return status;
}

static int run(const struct settings *settings, bool *stopped, struct error *error)
{
    struct job job = {.settings = settings,
                      .fork_it =
                          settings->processes.count > 1 || settings->processes.separate_caches};
    for (size_t i = 0; i < settings->properties.count; i++) {
        const struct property *property = &settings->properties.list[i];
        const char *because = ycsb_ignored(property->name);
        if (because != NULL)
            fprintf(stderr, "note: property %s has no effect: %s\n", property->name, because);
    }
    int status = shared_create(&job.shared, error);
    if (status != 0)
        return status;
    shared_stop_on_interrupt(job.shared);
    status = measure(&job, stopped, error);
    shared_free(job.shared);
    if (settings->own_name[0] != '\0')
        host_cache_unlink(settings->own_name);
    return status;
}

int main(int argc, char **argv)
{
    static struct settings settings;
    struct error error = {0};
    enum options_result next = OPTIONS_RUN;
    bool stopped = false;
    signal(SIGPIPE, SIG_IGN);
    int status = settings_parse(argc, argv, &settings, &next, &error);
    if (status == 0 && next == OPTIONS_RUN)
        status = settings.player.hosts > 0 ? player_run(&settings.player, STDIN_FILENO, &error)
                                           : run(&settings, &stopped, &error);
    if (status == 0)
        return stopped ? EXIT_STOPPED : 0;
    fprintf(stderr, "ERROR: %s\n", error.message);
    return 2;
}
