/* Joins the nemesis, which belongs to the first thread, and the run, which gets one of its own. */
#include "fuzz/harm.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "fuzz/nemesis.h"
#include "fuzz/own_cache.h"
#include "fuzz/run.h"

enum { PATIENCE_MS = 60000, CYCLES_DEFAULT = 20, PATH_SIZE = 4096 };

struct harm {
    const struct settings *settings;
    struct output *output;
    bool (*interrupted)(void);
    struct nemesis *nemesis;
    struct run run;
};

/* Where this program is. */
static const char *own_folder(char path[PATH_SIZE])
{
    ssize_t length = readlink("/proc/self/exe", path, PATH_SIZE - 1);
    path[length > 0 ? length : 0] = '\0';
    char *slash = strrchr(path, '/');
    if (slash == NULL)
        return "bin";
    *slash = '\0';
    return path;
}

static void say(void *context, const char *line)
{
    struct harm *harm = context;
    output_progress(harm->output, false, "%s", line);
}

static bool is_cancelled(void *context)
{
    struct harm *harm = context;
    return harm->interrupted() || atomic_load(&harm->run.over);
}

static int enter(void *context, uint32_t process, struct error *error)
{
    const struct harm *harm = context;
    return nemesis_enter(harm->nemesis, process, error);
}

/* Processes that share a cache are on one host. */
static unsigned hosts_of(const struct settings *settings)
{
    if (settings->place.caches > 0)
        return settings->place.caches;
    return (unsigned)(settings->processes < OWN_CACHES_MAX ? settings->processes : OWN_CACHES_MAX);
}

static int open_nemesis(struct harm *harm, struct error *error)
{
    const struct settings *settings = harm->settings;
    char programs[PATH_SIZE];
    struct nemesis_options options = {
        .seed = settings->plan.seed,
        .servers = (unsigned)settings->servers,
        .replicas = (unsigned)settings->replicas,
        .partitions = (unsigned)settings->partitions,
        .client_hosts = hosts_of(settings),
        .lease_ms = (unsigned)settings->lease_ms,
        .hold_min_ms = settings->hold_ms,
        .hold_max_ms = settings->hold_ms,
        .programs = settings->programs != NULL ? settings->programs : own_folder(programs),
        .folder = settings->folder,
        .say = say,
        .is_cancelled = is_cancelled,
        .context = harm,
    };
    int status = nemesis_parse(settings->nemesis, &options.kinds, error);
    return status == 0 ? nemesis_open(&options, &harm->nemesis, error) : status;
}

static void *loop(void *context)
{
    struct harm *harm = context;
    run_loop(&harm->run, harm->interrupted);
    return NULL;
}

/* Faults until there were enough of them, time is over, or something was found. */
static int cycles(struct harm *harm, struct error *error)
{
    const struct settings *settings = harm->settings;
    uint64_t end_ms = clock_now_ms() + settings->seconds * 1000;
    uint64_t count = settings->cycles;
    if (count == 0)
        count = settings->seconds > 0 ? UINT64_MAX : CYCLES_DEFAULT;
    int status = 0;
    while (status == 0 && nemesis_cycles(harm->nemesis) < count && !is_cancelled(harm) &&
           (settings->seconds == 0 || clock_now_ms() < end_ms))
        status = nemesis_cycle(harm->nemesis, error);
    return status;
}

static void say_faults(struct harm *harm)
{
    char line[512];
    int length =
        snprintf(line, sizeof(line), "%" PRIu64 " cycles, faults:", nemesis_cycles(harm->nemesis));
    for (unsigned kind = 0; kind < NEMESIS_KINDS; kind++) {
        uint64_t faults = nemesis_faults(harm->nemesis, (enum nemesis_kind)kind);
        if (faults > 0 && length > 0 && (size_t)length < sizeof(line))
            length += snprintf(line + length, sizeof(line) - (size_t)length, " %s %" PRIu64,
                               nemesis_kind_name((enum nemesis_kind)kind), faults);
    }
    output_say(harm->output, "%s", line);
}

/* The clients run during the cycles and complete after them. */
static int run_clients(struct harm *harm, bool *passed, struct error *error)
{
    const struct clients_options options = {.enter = enter, .context = harm};
    pthread_t thread;
    harm->run.patience_ms = PATIENCE_MS;
    int status = run_begin(&harm->run, harm->settings, harm->output, &options, error);
    if (status != 0)
        return status;
    if (pthread_create(&thread, NULL, loop, harm) != 0)
        status = error_set(error, CAIRN_ENOMEM, "run: no more threads");
    if (status == 0) {
        status = cycles(harm, error);
        atomic_store(&harm->run.stop, true);
        pthread_join(thread, NULL);
    }
    if (status == CAIRN_ECANCELED)
        status = 0; /* by whom is known */
    bool complete = run_is_complete(&harm->run, harm->interrupted());
    *passed = run_end(&harm->run) && status == 0 && complete;
    if (harm->run.error.code != 0 && status == 0) {
        *error = harm->run.error;
        status = error->code;
    }
    return status;
}

int harm_run(struct settings *settings, struct output *output, bool (*interrupted)(void),
             bool *passed, struct error *error)
{
    static struct harm harm;
    struct error closing = {0};
    harm.settings = settings;
    harm.output = output;
    harm.interrupted = interrupted;
    int status = open_nemesis(&harm, error);
    if (status != 0)
        return status;
    settings->place.managers = nemesis_managers(harm.nemesis);
    status = run_clients(&harm, passed, error);
    if (status == 0 && *passed && !interrupted()) {
        atomic_store(&harm.run.over, false); /* what settles may be interrupted, no more */
        status = nemesis_settle(harm.nemesis, error);
        *passed = status == 0;
    }
    if (interrupted() && *passed)
        output_say(output, "interrupted: the copies are not compared");
    say_faults(&harm);
    bool keep = settings->keep || !*passed;
    if (keep)
        output_say(output, "data and logs: %s", nemesis_folder(harm.nemesis));
    if (nemesis_close(harm.nemesis, keep, &closing) != 0 && status == 0) {
        *passed = false;
        *error = closing;
        status = closing.code;
    }
    return status;
}
