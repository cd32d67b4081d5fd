/* cairn-bench: measures Cairn and Redis with the same driver. */
#include <signal.h>
#include <stdio.h>

#include "bench/report.h"
#include "bench/runner.h"
#include "bench/settings.h"

enum { LOAD_CONNECTIONS_MIN = 30 };

/* Writes every key once. */
static int load_keys(const struct run_plan *plan, struct error *error)
{
    struct run_plan load = *plan;
    struct run_result result;
    load.workload.shares[BENCH_PUT] = 100;
    for (int i = BENCH_PUT + 1; i < BENCH_OPERATIONS; i++)
        load.workload.shares[i] = 0;
    load.workload.order = KEYS_SEQUENTIAL;
    load.operations = load.workload.keys;
    load.warm_up_ms = 0;
    if (load.connections < LOAD_CONNECTIONS_MIN)
        load.connections = LOAD_CONNECTIONS_MIN;
    return run_workload(&load, &result, error);
}

static int run(const struct settings *settings, struct error *error)
{
    struct run_result result;
    int status = settings->load ? load_keys(&settings->plan, error) : 0;
    if (status == 0)
        status = run_workload(&settings->plan, &result, error);
    if (status == 0)
        status = report_print(&settings->plan, &result, settings->json, stdout, error);
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
        status = run(&settings, &error);
    if (status == 0)
        return 0;
    fprintf(stderr, "ERROR: %s\n", error.message);
    return 2;
}
