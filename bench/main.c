/* cairn-bench: measures Cairn and Redis with the same driver. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bench/host_cache.h"
#include "bench/report.h"
#include "bench/settings.h"

enum { LOAD_CONNECTIONS_MIN = 30 };

/* In this process, or in others if it is to be several: those are forked before there are threads.
 */
static int run_plan(const struct run_plan *plan, const struct processes *processes, bool fork_it,
                    struct run_result *result, struct error *error)
{
    return fork_it ? processes_run(plan, processes, result, error)
                   : run_workload(plan, result, error);
}

/* Writes every key once. */
static int load_keys(const struct settings *settings, bool fork_it, struct error *error)
{
    struct run_plan load = settings->plan;
    struct run_result result;
    const struct processes alone = {.count = 1};
    memset(load.workload.shares, 0, sizeof(load.workload.shares));
    load.workload.shares[BENCH_PUT] = 100;
    load.workload.order = KEYS_SEQUENTIAL;
    load.operations = load.workload.keys;
    load.warm_up_ms = 0;
    load.batch = 1;
    load.rate = 0;
    load.place.cache = false;
    if (load.connections < LOAD_CONNECTIONS_MIN)
        load.connections = LOAD_CONNECTIONS_MIN;
    return run_plan(&load, &alone, fork_it, &result, error);
}

static int run(const struct settings *settings, struct error *error)
{
    struct run_result result;
    bool fork_it = settings->processes.count > 1 || settings->processes.separate_caches;
    int status = settings->load ? load_keys(settings, fork_it, error) : 0;
    if (status == 0)
        status = run_plan(&settings->plan, &settings->processes, fork_it, &result, error);
    if (settings->own_name[0] != '\0')
        host_cache_unlink(settings->own_name);
    if (status == 0)
        status = report_print(settings, &result, stdout, error);
    return status;
}

int main(int argc, char **argv)
{
    struct settings settings;
    struct error error = {0};
    enum options_result next = OPTIONS_RUN;
    signal(SIGPIPE, SIG_IGN);
    int status = settings_parse(argc, argv, &settings, &next, &error);
    if (status == 0 && next == OPTIONS_RUN)
        status = settings.player.hosts > 0 ? player_run(&settings.player, STDIN_FILENO, &error)
                                           : run(&settings, &error);
    if (status == 0)
        return 0;
    fprintf(stderr, "ERROR: %s\n", error.message);
    return 2;
}
