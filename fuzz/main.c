/* cairn-fuzz: concurrent clients, and whether all that they saw fits one order. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz/harm.h"
#include "fuzz/output.h"
#include "fuzz/own_cache.h"
#include "fuzz/probe.h"
#include "fuzz/run.h"
#include "fuzz/settings.h"

enum { EXIT_PASSED = 0, EXIT_FAILED = 1, EXIT_CANNOT_RUN = 2, PATIENCE_MS = 20000 };

static volatile sig_atomic_t interrupted;

static void on_interrupt(int number)
{
    (void)number;
    interrupted = 1;
}

static bool is_interrupted(void)
{
    return interrupted != 0;
}

static void catch_signals(void)
{
    struct sigaction action = {.sa_handler = on_interrupt};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
}

static void say_plan(const struct settings *settings, struct output *output)
{
    const struct plan *plan = &settings->plan;
    char operations[48] = "without end";
    if (settings->operations > 0)
        (void)snprintf(operations, sizeof(operations), "%llu operations each",
                       (unsigned long long)settings->operations);
    output_say(output, "seed %llu", (unsigned long long)plan->seed);
    output_say(output, "%u clients, %s, %u keys %s, %s-...", plan->clients, operations, plan->keys,
               plan->disjoint ? "of each" : "shared", plan->prefix);
}

/* Clients of a cluster that somebody else looks after, or of any program. */
static int fuzz_alone(const struct settings *settings, struct output *output, bool *passed,
                      struct error *error)
{
    static struct run run;
    const struct clients_options options = {0};
    int status = 0;
    if (settings->place.command == NULL)
        status =
            probe(settings->place.managers, settings->place.timeout_ms, settings->servers, error);
    if (status == 0) {
        run.patience_ms = PATIENCE_MS;
        status = run_begin(&run, settings, output, &options, error);
    }
    if (status != 0)
        return status;
    run_loop(&run, is_interrupted);
    bool complete = run_is_complete(&run, is_interrupted());
    *passed = run_end(&run) && complete;
    *error = run.error;
    return run.error.code;
}

/* A wrong answer is the store's fault, and so is all that was found before something else failed.
 */
static int exit_code(int status, bool passed)
{
    if (status == CAIRN_EPROTO || status == CAIRN_ECORRUPT || (status == 0 && !passed))
        return EXIT_FAILED;
    return status == 0 ? EXIT_PASSED : EXIT_CANNOT_RUN;
}

static int fuzz(struct settings *settings, struct error *error)
{
    static struct output output;
    bool passed = true;
    int status = output_open(&output, settings->log, error);
    if (status != 0)
        return EXIT_CANNOT_RUN;
    (void)own_cache_remove_dead();
    say_plan(settings, &output);
    status = settings->nemesis != NULL ? harm_run(settings, &output, is_interrupted, &passed, error)
                                       : fuzz_alone(settings, &output, &passed, error);
    if (settings->own_cache[0] != '\0')
        own_cache_remove(settings->own_cache);
    int code = passed ? exit_code(status, passed) : EXIT_FAILED;
    if (status != 0)
        output_progress(&output, false, "ERROR: %s", error->message);
    if (code != EXIT_CANNOT_RUN)
        output_say(&output, "Fuzz testing result: %s", code == EXIT_PASSED ? "PASSED" : "FAILED");
    output_close(&output);
    error->code = 0; /* said */
    return code;
}

int main(int argc, char **argv)
{
    static struct settings settings;
    struct error error = {0};
    enum options_result next = OPTIONS_RUN;
    int code = EXIT_CANNOT_RUN;
    catch_signals();
    int status = settings_parse(argc, argv, &settings, &next, &error);
    if (status == 0)
        code = next == OPTIONS_RUN ? fuzz(&settings, &error) : EXIT_PASSED;
    if (error.code != 0)
        fprintf(stderr, "ERROR: %s\n", error.message);
    return code;
}
