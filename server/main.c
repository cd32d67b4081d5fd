/* cairn-server: command line, data directory, identity; then the driver. */
#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/file.h"
#include "base/log.h"
#include "base/options.h"
#include "base/random.h"
#include "proto/limits.h"
#include "server/driver.h"

enum { EXIT_BAD = 2, PATH_LIMIT = 4096, HOUR_MS = 60 * 60 * 1000 };

#define MIB (UINT64_C(1) << 20)

struct settings {
    struct driver_options driver;
    uint64_t id;
    const char *wal_backend;
    const char *scheduling;
    const char *log_level;
    bool id_given, manager_given, listen_given, host_lease_given;
};

static const struct options_usage usage = {
    .program = "cairn-server",
    .summary = "Serves partitions of a Cairn cluster: a durable, partitioned key-value store.",
    .epilog = "The server registers with the manager and retries for ever while it is not up.\n"
              "SIGTERM and SIGINT stop it cleanly: it checkpoints, so that the next start replays\n"
              "nothing.\n",
};

static int parse(struct settings *settings, int argc, char **argv, enum options_result *result,
                 struct error *error)
{
    struct driver_options *driver = &settings->driver;
    const struct option_spec specs[] = {
        {"id", OPTION_NUMBER, &settings->id, 0, CAIRN_SERVERS_LIMIT - 1, "N",
         "number of this server: the N-th of the manager's --servers, from 0", &settings->id_given,
         false},
        {"manager", OPTION_ADDRESS_LIST, &driver->managers, 0, 0, "HOST:PORT[,...]",
         "where the manager listens", &settings->manager_given, false},
        {"listen", OPTION_ADDRESS, &driver->listen, 0, 0, "HOST:PORT",
         "address to serve on; its port is the one that the manager knows", &settings->listen_given,
         false},
        {"data", OPTION_STRING, &driver->directory, 0, 0, "DIR",
         "data directory; created if missing", NULL, false},
        {"replace-store", OPTION_FLAG, &driver->replace_store, 0, 0, NULL,
         "this known server comes with an empty directory: take it as a new store", NULL, false},
        {"memtable-bytes", OPTION_BYTES, &driver->memtable_bytes, MIB, 4096 * MIB, "BYTES",
         "start a checkpoint when this much was written since the last one (default 48M)", NULL,
         false},
        {"segment-bytes", OPTION_BYTES, &driver->segment_bytes, 4 * MIB, 4096 * MIB, "BYTES",
         "size of the log's segments (default 64M)", NULL, false},
        {"map-bytes", OPTION_BYTES, &driver->map_bytes, MIB, UINT64_MAX / 2, "BYTES",
         "address space for the store at first; it grows (default 64G)", NULL, false},
        {"disk-reserve", OPTION_BYTES, &driver->disk_reserve_bytes, 0, UINT64_MAX / 2, "BYTES",
         "refuse writes while the disk has less free space (default 256M)", NULL, false},
        {"log-keep", OPTION_BYTES, &driver->log_keep_bytes, 0, UINT64_MAX / 2, "BYTES",
         "log kept for copies that were away for a while, beyond what a restart needs (default "
         "256M)",
         NULL, false},
        {"beacon", OPTION_NUMBER, &driver->beacon_ms, 1, HOUR_MS, "MS",
         "time between the beacons of a primary to its backups (default 250)", NULL, false},
        {"lease", OPTION_NUMBER, &driver->lease_ms, 2, HOUR_MS, "MS",
         "how long a primary answers after a backup's last sign of life (default 1000)", NULL,
         false},
        {"grace", OPTION_NUMBER, &driver->grace_ms, 3, HOUR_MS, "MS",
         "how long a backup waits for its primary before it takes over; the same on all servers "
         "(default 1500)",
         NULL, false},
        {"host-lease", OPTION_NUMBER, &driver->host_lease_ms, 0, HOUR_MS, "MS",
         "how long hosts may read cached values without a word from this server, at most --lease; "
         "0: they may cache nothing (default 1000, or --lease if that is less)",
         &settings->host_lease_given, false},
        {"scrub-rate", OPTION_BYTES, &driver->scrub_bytes, 0, 4096 * MIB, "BYTES",
         "values read a second, once an hour, to see whether they still fit their checksums; "
         "copies "
         "are compared afterwards; 0: only when asked to (default 8M)",
         NULL, false},
        {"wal-backend", OPTION_STRING, &settings->wal_backend, 0, 0, "NAME",
         "auto, io_uring or thread (default auto)", NULL, false},
        {"scheduling", OPTION_STRING, &settings->scheduling, 0, 0, "NAME",
         "batch: requests gather while others use the processor; normal: they interrupt (default "
         "batch)",
         NULL, false},
        {"connections", OPTION_NUMBER, &driver->connections_limit, 1, 1000000, "N",
         "most client connections (default 10000)", NULL, false},
        {"log-level", OPTION_STRING, &settings->log_level, 0, 0, "LEVEL",
         "debug, info, warn or error (default info)", NULL, false},
    };
    int positional = 0;
    int status = options_parse(&usage, specs, sizeof specs / sizeof specs[0], argc, argv, false,
                               &positional, result, error);

    if (status == CAIRN_OK && *result == OPTIONS_RUN && positional > 0)
        return error_set(error, CAIRN_EINVAL, "%s: unexpected argument", argv[1]);
    return status;
}

/* L3: clocks may run apart by 1 % either way. A lease that one lost beacon ends is of no use. */
static int check_times(const struct driver_options *driver, struct error *error)
{
    if (driver->lease_ms < 2 * driver->beacon_ms)
        return error_set(error, CAIRN_EINVAL,
                         "--lease %" PRIu64 ": less than two times --beacon %" PRIu64,
                         driver->lease_ms, driver->beacon_ms);
    if (driver->grace_ms * 99 <= driver->lease_ms * 101)
        return error_set(error, CAIRN_EINVAL,
                         "--grace %" PRIu64 ": not above --lease %" PRIu64
                         " by more than clocks may drift (2 %%)",
                         driver->grace_ms, driver->lease_ms);
    if (driver->host_lease_ms > driver->lease_ms)
        return error_set(error, CAIRN_EINVAL,
                         "--host-lease %" PRIu64 ": above --lease %" PRIu64
                         ", which it must not outlive",
                         driver->host_lease_ms, driver->lease_ms);
    return CAIRN_OK;
}

static int check_settings(struct settings *settings, struct error *error)
{
    static const struct {
        const char *name;
        enum wal_backend backend;
    } backends[] = {{"auto", WAL_BACKEND_AUTO},
                    {"io_uring", WAL_BACKEND_URING},
                    {"thread", WAL_BACKEND_THREAD}};
    enum log_level level;
    size_t i = 0;

    if (!settings->id_given || !settings->manager_given || !settings->listen_given ||
        settings->driver.directory == NULL)
        return error_set(error, CAIRN_EINVAL,
                         "--id, --manager, --listen and --data are needed; see --help");
    while (i < 3 && strcmp(settings->wal_backend, backends[i].name) != 0)
        i++;
    if (i == 3)
        return error_set(error, CAIRN_EINVAL, "--wal-backend %s: not auto, io_uring or thread",
                         settings->wal_backend);
    settings->driver.wal_backend = backends[i].backend;
    if (strcmp(settings->scheduling, "batch") != 0 && strcmp(settings->scheduling, "normal") != 0)
        return error_set(error, CAIRN_EINVAL, "--scheduling %s: not batch or normal",
                         settings->scheduling);
    if (log_level_parse(settings->log_level, &level) != CAIRN_OK)
        return error_set(error, CAIRN_EINVAL, "--log-level %s: not debug, info, warn or error",
                         settings->log_level);
    log_set_level(level);
    if (!settings->host_lease_given && settings->driver.host_lease_ms > settings->driver.lease_ms)
        settings->driver.host_lease_ms = settings->driver.lease_ms;
    return check_times(&settings->driver, error);
}

/* --- the data directory -------------------------------------------------------------------------
 */

/* Log or store without an IDENTITY: not ours to take over as if it were empty. */
static int check_empty(const char *directory, struct error *error)
{
    static const char *const parts[] = {"wal", "store"};
    char path[PATH_LIMIT];
    struct stat status;

    for (size_t i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/%s", directory, parts[i]);
        if (stat(path, &status) == 0)
            return error_set(error, CAIRN_ECORRUPT,
                             "%s: holds data but no IDENTITY file: it is damaged", directory);
    }
    return CAIRN_OK;
}

static int load_identity(const char *directory, uint32_t id, struct identity *identity,
                         struct error *error)
{
    int status = identity_load(directory, IDENTITY_SERVER, identity, error);

    if (status == CAIRN_ENOTFOUND) {
        *identity = (struct identity){
            .role = IDENTITY_SERVER, .server = id, .store = random_id(), .incarnation = 0};
        status = check_empty(directory, error);
    } else if (status == CAIRN_OK && identity->server != id) {
        status = error_set(error, CAIRN_ECONFLICT, "%s: belongs to server %u, not to %u", directory,
                           identity->server, id);
    }
    if (status != CAIRN_OK)
        return status;
    identity->incarnation++; /* R3: durable before anybody hears of it */
    return identity_save(directory, identity, error);
}

/* One descriptor per connection; the soft limit is often far below the hard one. */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max)
        return;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
        log_warn("server", "cannot raise the limit of open files error=\"%s\"", strerror(errno));
}

/* A thread that is woken does not take the processor from whoever has it (sched(7), SCHED_BATCH):
 * replies and Appends that it waits for come in fewer, larger turns. Threads inherit it. */
static void set_scheduling(const struct settings *settings)
{
    const struct sched_param none = {0};

    if (strcmp(settings->scheduling, "batch") == 0 &&
        sched_setscheduler(0, SCHED_BATCH, &none) != 0)
        log_warn("server", "cannot set the scheduling error=\"%s\"", strerror(errno));
}

static int run(struct settings *settings, struct error *error)
{
    struct driver_options *driver = &settings->driver;
    int lock = -1;
    int status = directory_create(driver->directory, error);

    if (status == CAIRN_OK)
        status = directory_lock(driver->directory, &lock, error);
    if (status != CAIRN_OK)
        return status;
    status = load_identity(driver->directory, (uint32_t)settings->id, &driver->identity, error);
    if (status == CAIRN_OK)
        status = driver_run(driver, error);
    close(lock);
    return status;
}

int main(int argc, char **argv)
{
    struct settings settings = {
        .wal_backend = "auto",
        .scheduling = "batch",
        .log_level = "info",
        .driver = {.memtable_bytes = 48 * MIB,
                   .disk_reserve_bytes = 256 * MIB,
                   .log_keep_bytes = 256 * MIB,
                   .beacon_ms = 250,
                   .lease_ms = 1000,
                   .host_lease_ms = 1000,
                   .scrub_bytes = 8 * MIB,
                   .grace_ms = 1500},
    };
    struct error error = {0};
    enum options_result result;

    signal(SIGPIPE, SIG_IGN);
    if (parse(&settings, argc, argv, &result, &error) == CAIRN_OK) {
        if (result == OPTIONS_EXIT)
            return EXIT_SUCCESS;
        raise_descriptor_limit();
        if (check_settings(&settings, &error) == CAIRN_OK) {
            set_scheduling(&settings);
            if (run(&settings, &error) == CAIRN_OK)
                return EXIT_SUCCESS;
        }
    }
    fprintf(stderr, "ERROR: %s\n", error.message);
    return EXIT_BAD;
}
