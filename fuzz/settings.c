/* Parses and checks cairn-fuzz's options. */
#include "fuzz/settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/random.h"

enum { OPTIONS_MAX = 40, OPERATIONS_DEFAULT = 5000, KEYS_TOTAL_MAX = 100000, LEASE_MS = 250 };

/* The options as given. */
struct raw {
    const char *manager, *client, *cache_name;
    uint64_t clients, keys, reads, value_size, round, seed, timeout_ms, cache_bytes, caches,
        readers;
    bool disjoint, no_cache;
    bool operations_given, seed_given, manager_given, caches_given, readers_given;
    struct settings settings;
};

static const struct options_usage USAGE = {
    .program = "cairn-fuzz",
    .summary = "Runs concurrent clients, and checks that all their answers fit one order of their\n"
               "calls (linearizability), while they run.\n\n"
               "  cairn-fuzz [OPTION...]                          clients of a running cluster\n"
               "  cairn-fuzz --client COMMAND [OPTION...]         of any store, in workload mode\n"
               "  cairn-fuzz --nemesis KINDS [OPTION...]          of a cluster with faults",
    .epilog =
        "Without --nemesis the cluster at --manager is used, under keys that nobody has used "
        "before.\nThe calls of each client follow from the seed, the client and the options alone: "
        "SEED,\nprinted first, replays them. Every value is written once. A call whose outcome is "
        "not known\nmay take effect at any time from its start on, or never.\n\n"
        "--client: one program a client, run by sh; it reads PUT, SWAP, GET, DELETE and SCAN "
        "lines and\nanswers them as `man cairn` tells. Its shared cache is one of this run's "
        "own.\n\n"
        "--history writes one line of JSON a call; fuzz/history_file.h describes them:\n"
        "  {\"process\":0,\"op\":\"put\",\"key\":\"k\",\"value\":\"v\",\"result\":\"not_found\","
        "\"start\":10,\"end\":25}\n"
        "op is get, put, put_if, swap, delete or scan; times are in ns of one clock; end is null "
        "if the\noutcome is not known.\n\n"
        "A key's history is checked each time it has grown, and forgotten up to a point where "
        "nothing\nwas under way and an answer tells what the key holds. What nothing explains is "
        "shrunk to the\nfewest operations that still contradict each other, and printed, the "
        "answer that does not\nfit marked with >.\n\n"
        "--nemesis: kill (servers), pause, partition (needs root), slow-disk, disk-full, clock,\n"
        "restart-manager, move; all: those that this machine allows; none. Copies must be equal at "
        "the\nend (cairn admin verify). With slow-disk, and disk-full without root, the servers' "
        "logs are written\nby threads, where io_uring's writes would not be seen. Each cache of "
        "the "
        "clients is a host.\nAfter a fault was found data and logs are kept; what killed runs left "
        "is removed by the next.\n\n"
        "A history takes about 150 bytes a call; without --history nothing grows with the run but "
        "the\nlogs of its own cluster.\n\n"
        "Ctrl-C ends a run: what was recorded is checked, copies are not compared.\n"
        "Exit 0 passed; 1 a violation, no verdict, a wrong answer, calls that never end, or a "
        "cluster\nthat did not recover; 2 could not run.",
};

static void add_options(struct option_spec *out, size_t *count, const struct option_spec *specs,
                        size_t more)
{
    CHECK(*count + more <= OPTIONS_MAX);
    memcpy(out + *count, specs, more * sizeof(*specs));
    *count += more;
}

static void add_store_options(struct raw *raw, struct option_spec *out, size_t *count)
{
    struct settings *settings = &raw->settings;
    const struct option_spec specs[] = {
        {"manager", OPTION_STRING, &raw->manager, .value = "HOST:PORT,...",
         .given = &raw->manager_given, .help = "the cluster's managers (default 127.0.0.1:3666)"},
        {"client", OPTION_STRING, &raw->client, .value = "COMMAND",
         .help = "what each client runs instead of using the library"},
        {"timeout", OPTION_NUMBER, &raw->timeout_ms, 0, 3600000, .value = "MS",
         .help = "of one call of the library (default 0: none)"},
        {"no-cache", OPTION_FLAG, &raw->no_cache, .help = "read through no shared cache"},
        {"cache-name", OPTION_STRING, &raw->cache_name, .value = "NAME",
         .help = "use the shared cache of this name, and leave it (default: this run's own)"},
        {"caches", OPTION_NUMBER, &raw->caches, 1, OWN_CACHES_MAX, .value = "N",
         .given = &raw->caches_given,
         .help = "of this run, shared out to the processes as if on so many hosts (default 2)"},
        {"cache-bytes", OPTION_BYTES, &raw->cache_bytes, 0, UINT64_C(1) << 40, .value = "BYTES",
         .help = "of a cache that is made (default 8M)"},
        {"servers", OPTION_NUMBER, &settings->servers, 1, 1000, .value = "N",
         .help = "refuse a cluster of another size; with --nemesis: its size (default 3)"},
    };
    add_options(out, count, specs, sizeof(specs) / sizeof(specs[0]));
}

static void add_run_options(struct raw *raw, struct option_spec *out, size_t *count)
{
    struct settings *settings = &raw->settings;
    const struct option_spec specs[] = {
        {"clients", OPTION_NUMBER, &raw->clients, 1, PLAN_CLIENTS_MAX, .value = "N",
         .help = "that run at the same time (default 5)"},
        {"processes", OPTION_NUMBER, &settings->processes, 1, PLAN_CLIENTS_MAX, .value = "N",
         .help = "in which they are threads (default 4; --client: one each)"},
        {"operations", OPTION_NUMBER, &settings->operations, 0, UINT64_C(1) << 39, .value = "N",
         .given = &raw->operations_given,
         .help = "of each client; 0: no end (default 5000, or 0 with --seconds or --nemesis)"},
        {"seconds", OPTION_NUMBER, &settings->seconds, 0, 1000000, .value = "N",
         .help = "end after so long (default 0: no limit)"},
        {"keys", OPTION_NUMBER, &raw->keys, 1, PLAN_KEYS_MAX, .value = "N",
         .help = "shared by all clients at a time; --disjoint: of each (default 5)"},
        {"disjoint", OPTION_FLAG, &raw->disjoint, .help = "no two clients use the same keys"},
        {"round", OPTION_NUMBER, &raw->round, 0, UINT32_MAX, .value = "N",
         .help = "new keys after so many operations of a client; 0: never (default 5000)"},
        {"reads", OPTION_NUMBER, &raw->reads, 0, 100, .value = "PERCENT",
         .help = "of the operations that are gets (default 40)"},
        {"readers", OPTION_NUMBER, &raw->readers, 0, PLAN_CLIENTS_MAX, .value = "N",
         .given = &raw->readers_given,
         .help = "of the clients do nothing but gets (default 0; --nemesis: one of five)"},
        {"value-size", OPTION_BYTES, &raw->value_size, 0, PLAN_VALUE_MAX, .value = "BYTES",
         .help = "of the longest values (default 0: all short)"},
        {"seed", OPTION_NUMBER, &raw->seed, 0, UINT64_MAX, .value = "N", .given = &raw->seed_given,
         .help = "of the calls, and of the faults (default: random)"},
        {"history", OPTION_STRING, &settings->history, .value = "FILE",
         .help = "write what all clients did and were answered"},
        {"log", OPTION_STRING, &settings->log, .value = "FILE",
         .help = "write what is told there, too"},
        {"budget", OPTION_NUMBER, &settings->configurations, 0, UINT64_MAX, .value = "N",
         .help = "of configurations visited for one verdict (default 0: 20 million)"},
    };
    add_options(out, count, specs, sizeof(specs) / sizeof(specs[0]));
}

static void add_nemesis_options(struct raw *raw, struct option_spec *out, size_t *count)
{
    struct settings *settings = &raw->settings;
    const struct option_spec specs[] = {
        {"nemesis", OPTION_STRING, &settings->nemesis, .value = "KINDS",
         .help = "start a cluster and do it harm: kill,pause,...; all; none"},
        {"cycles", OPTION_NUMBER, &settings->cycles, 0, UINT32_MAX, .value = "N",
         .help = "of faults and recovery (default 20, or without end with --seconds)"},
        {"hold", OPTION_NUMBER, &settings->hold_ms, 0, 1000000, .value = "MS",
         .help = "that a fault lasts (default 0: drawn, from 20 to 1500)"},
        {"lease", OPTION_NUMBER, &settings->lease_ms, 50, 60000, .value = "MS",
         .help = "of its servers and their hosts (default 250)"},
        {"replicas", OPTION_NUMBER, &settings->replicas, 0, 16, .value = "N",
         .help = "its copies of each partition (default 2)"},
        {"partitions", OPTION_NUMBER, &settings->partitions, 0, 4096, .value = "N",
         .help = "of it (default 8)"},
        {"programs", OPTION_STRING, &settings->programs, .value = "DIR",
         .help = "where its programs are (default: where this one is)"},
        {"data", OPTION_STRING, &settings->folder, .value = "DIR",
         .help = "for its data and logs (default: a temporary one)"},
        {"keep", OPTION_FLAG, &settings->keep, .help = "keep its data and logs in any case"},
    };
    add_options(out, count, specs, sizeof(specs) / sizeof(specs[0]));
}

static int parse(int argc, char **argv, struct raw *raw, enum options_result *result,
                 struct error *error)
{
    struct option_spec specs[OPTIONS_MAX];
    size_t count = 0;
    int positional = 0;
    add_store_options(raw, specs, &count);
    add_run_options(raw, specs, &count);
    add_nemesis_options(raw, specs, &count);
    int status = options_parse(&USAGE, specs, count, argc, argv, false, &positional, result, error);
    if (status == 0 && *result == OPTIONS_RUN && positional > 0)
        return error_set(error, CAIRN_EINVAL, "%s: no argument expected", argv[1]);
    return status;
}

static int check(const struct raw *raw, struct error *error)
{
    const struct settings *settings = &raw->settings;
    if (raw->client != NULL && settings->nemesis != NULL)
        return error_set(error, CAIRN_EINVAL, "--client and --nemesis do not go together");
    if (raw->client != NULL && settings->servers > 0)
        return error_set(error, CAIRN_EINVAL, "--client and --servers do not go together");
    if (raw->cache_name != NULL && raw->caches_given)
        return error_set(error, CAIRN_EINVAL, "--cache-name and --caches do not go together");
    if (raw->manager_given && settings->nemesis != NULL)
        return error_set(error, CAIRN_EINVAL, "--manager and --nemesis do not go together");
    if (settings->nemesis == NULL && (settings->cycles > 0 || settings->hold_ms > 0))
        return error_set(error, CAIRN_EINVAL, "%s: only with --nemesis",
                         settings->cycles > 0 ? "--cycles" : "--hold");
    if (raw->readers > 0 && (raw->disjoint || raw->readers >= raw->clients))
        return error_set(error, CAIRN_EINVAL, "--readers: others have to write their keys");
    if (raw->disjoint && raw->keys * raw->clients > KEYS_TOTAL_MAX)
        return error_set(error, CAIRN_EINVAL, "--keys %llu of %llu clients: more than %d",
                         (unsigned long long)raw->keys, (unsigned long long)raw->clients,
                         KEYS_TOTAL_MAX);
    return 0;
}

static uint64_t readers_of(const struct raw *raw)
{
    if (raw->readers_given)
        return raw->readers;
    return raw->settings.nemesis != NULL && !raw->disjoint ? raw->clients / 5 : 0;
}

static void set_plan(const struct raw *raw, struct plan *plan)
{
    *plan = (struct plan){.seed = raw->seed_given ? raw->seed : random_id() >> 32,
                          .clients = (uint32_t)raw->clients,
                          .readers = (uint32_t)readers_of(raw),
                          .keys = (uint32_t)raw->keys,
                          .disjoint = raw->disjoint,
                          .versions = raw->client == NULL,
                          .reads_percent = (uint32_t)raw->reads,
                          .round_operations = raw->round,
                          .value_bytes = (uint32_t)raw->value_size};
    (void)snprintf(plan->prefix, sizeof(plan->prefix), "fuzz-%012llx",
                   (unsigned long long)(random_id() >> 16));
}

static int make_settings(const struct raw *raw, struct settings *settings, struct error *error)
{
    int status = check(raw, error);
    *settings = raw->settings;
    set_plan(raw, &settings->plan);
    if (!raw->operations_given)
        settings->operations =
            settings->seconds > 0 || settings->nemesis != NULL ? 0 : OPERATIONS_DEFAULT;
    if (raw->cache_name == NULL)
        own_cache_name(settings->own_cache);
    settings->place = (struct subject_place){
        .command = raw->client,
        .managers = raw->manager,
        .cache_name = raw->cache_name != NULL ? raw->cache_name : settings->own_cache,
        .caches = raw->cache_name != NULL ? 0 : (uint32_t)raw->caches,
        .cache_bytes = raw->cache_bytes,
        .timeout_ms = raw->timeout_ms,
        .no_cache = raw->no_cache,
    };
    return status;
}

int settings_parse(int argc, char **argv, struct settings *settings, enum options_result *result,
                   struct error *error)
{
    struct raw raw = {.manager = "127.0.0.1:3666",
                      .clients = 5,
                      .keys = 5,
                      .round = 5000,
                      .reads = 40,
                      .cache_bytes = 8 << 20,
                      .caches = 2,
                      .settings = {.processes = 4, .lease_ms = LEASE_MS}};
    int status = parse(argc, argv, &raw, result, error);
    return status == 0 && *result == OPTIONS_RUN ? make_settings(&raw, settings, error) : status;
}
