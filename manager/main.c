/* cairn-manager: options, signals, exit codes. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <uv.h>

#include "base/address.h"
#include "base/descriptors.h"
#include "base/log.h"
#include "base/options.h"
#include "manager/driver.h"
#include "proto/limits.h"

enum { EXIT_INVALID = 2, REPLACE_AFTER_LIMIT_S = 366 * 86400 };

struct program {
    uv_loop_t loop;
    uv_signal_t signals[2];
    struct manager *manager;
};

struct settings {
    struct manager_options manager;
    struct address_list servers;
    uint64_t replicas, partitions, replace_after_s;
    bool servers_given, replicas_given, partitions_given, listen_given;
    const char *log_level;
};

static const struct options_usage usage = {
    .program = "cairn-manager",
    .summary = "Keeps the cluster's map: which servers there are and which of them hold each "
               "partition.",
    .epilog = "The first start on an empty --data founds a cluster and needs --servers; later ones "
              "take what\nis stored, and refuse options that contradict it.",
};

static int parse(int argc, char **argv, struct settings *settings, enum options_result *result,
                 struct error *error)
{
    const struct option_spec specs[] = {
        {"listen", OPTION_ADDRESS, &settings->manager.listen, 0, 0, "HOST:PORT",
         "address to serve on (required)", &settings->listen_given, false},
        {"servers", OPTION_ADDRESS_LIST, &settings->servers, 0, 0, "HOST:PORT,...",
         "public addresses of the servers; the one with --id i is the i-th, from 0",
         &settings->servers_given, false},
        {"replicas", OPTION_NUMBER, &settings->replicas, 1, CAIRN_REPLICAS_LIMIT, "N",
         "copies of each partition, the primary included (2, or 1 with a single server)",
         &settings->replicas_given, false},
        {"partitions", OPTION_NUMBER, &settings->partitions, 1, CAIRN_PARTITIONS_LIMIT, "P",
         "hash partitions of the cluster, fixed for its life (64)", &settings->partitions_given,
         false},
        {"data", OPTION_STRING, &settings->manager.data, 0, 0, "DIR",
         "data directory, created if missing (required)", NULL, false},
        {"replace-after", OPTION_NUMBER, &settings->replace_after_s, 1, REPLACE_AFTER_LIMIT_S,
         "SECONDS", "copies of a server that is silent for so long are made elsewhere (300)", NULL,
         false},
        {"log-level", OPTION_STRING, &settings->log_level, 0, 0, "LEVEL",
         "debug, info, warn or error (info)", NULL, false},
    };
    int positional = 0;
    int status = options_parse(&usage, specs, sizeof specs / sizeof specs[0], argc, argv, false,
                               &positional, result, error);

    if (status != 0 || *result == OPTIONS_EXIT)
        return status;
    if (positional > 0)
        return error_set(error, CAIRN_EINVAL, "%.200s: not an option; see --help", argv[1]);
    if (!settings->listen_given)
        return error_set(error, CAIRN_EINVAL, "--listen is needed; see --help");
    if (settings->manager.data == NULL || settings->manager.data[0] == '\0')
        return error_set(error, CAIRN_EINVAL, "--data is needed; see --help");
    return 0;
}

static int apply(struct settings *settings, struct error *error)
{
    enum log_level level = LOG_INFO;

    if (settings->log_level != NULL && log_level_parse(settings->log_level, &level) != 0)
        return error_set(error, CAIRN_EINVAL,
                         "--log-level %.64s: not one of debug, info, warn, error",
                         settings->log_level);
    log_set_level(level);
    if (settings->servers_given)
        settings->manager.servers = &settings->servers;
    settings->manager.replace_after_ms = settings->replace_after_s * 1000;
    settings->manager.replicas = settings->replicas_given ? (uint32_t)settings->replicas : 0;
    settings->manager.partitions = settings->partitions_given ? (uint32_t)settings->partitions : 0;
    return 0;
}

static void stop(uv_signal_t *signal, int number)
{
    struct program *program = signal->data;

    log_info("manager", "stopping signal=%d", number);
    for (int i = 0; i < 2; i++)
        uv_close((uv_handle_t *)&program->signals[i], NULL);
    manager_stop(program->manager, NULL, NULL);
}

static int watch_signals(struct program *program)
{
    static const int numbers[2] = {SIGTERM, SIGINT};

    for (int i = 0; i < 2; i++) {
        program->signals[i].data = program;
        if (uv_signal_init(&program->loop, &program->signals[i]) != 0 ||
            uv_signal_start(&program->signals[i], stop, numbers[i]) != 0)
            return CAIRN_EIO;
    }
    return 0;
}

static int run(const struct settings *settings, struct error *error)
{
    static struct program program;
    struct address address = settings->manager.listen;
    char text[ADDRESS_TEXT_MAX];
    int status;

    (void)signal(SIGPIPE, SIG_IGN); /* a peer that went away is a failed write */
    if (!descriptors_left(DESCRIPTORS_OF_A_LOOP) || uv_loop_init(&program.loop) != 0)
        return error_set(error, CAIRN_EIO, "event loop: cannot be made");
    status = manager_start(&program.loop, &settings->manager, &program.manager, error);
    if (status != 0)
        return status;
    if (watch_signals(&program) != 0)
        return error_set(error, CAIRN_EIO, "signals: cannot be watched");
    address.port = manager_port(program.manager);
    log_info("manager", "listening address=%s cluster=%016llx data=%s",
             address_format(&address, text), (unsigned long long)manager_cluster(program.manager),
             settings->manager.data);
    (void)uv_run(&program.loop, UV_RUN_DEFAULT);
    (void)uv_loop_close(&program.loop);
    log_info("manager", "stopped");
    return 0;
}

int main(int argc, char **argv)
{
    static struct settings settings;
    enum options_result result = OPTIONS_RUN;
    struct error error = {0};
    int status = parse(argc, argv, &settings, &result, &error);

    if (status == 0 && result == OPTIONS_EXIT)
        return EXIT_SUCCESS;
    if (status == 0)
        status = apply(&settings, &error);
    if (status == 0)
        status = run(&settings, &error);
    if (status == 0)
        return EXIT_SUCCESS;
    (void)fprintf(stderr, "ERROR: %s\n", error.message);
    return EXIT_INVALID;
}
