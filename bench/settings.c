/* Parses and checks cairn-bench's options. */
#include "bench/settings.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "bench/settings_ycsb.h"

#define TARGET_NAMES "cairn, redis, lmdb, etcd or workload"

enum { OPTIONS_MAX = 64 };

/* Options of which it matters whether they were given. */
enum given {
    GIVEN_OPERATION,
    GIVEN_GET_PERCENT,
    GIVEN_ORDER,
    GIVEN_KEY_SIZE,
    GIVEN_BATCH,
    GIVEN_NO_LOAD,
    GIVEN_CONNECTIONS,
    GIVEN_KEYS,
    GIVEN_FIRST_KEY,
    GIVEN_VALUE_SIZE,
    GIVEN_SCAN_LIMIT,
    GIVEN_SECONDS,
    GIVEN_COUNT,
    GIVEN_WARM_UP,
    GIVEN_RATE,
    GIVEN_STATUS,
    GIVEN_OPTIONS
};

/* The options as given, before they become a plan. */
struct raw {
    const char *target, *manager, *redis, *lmdb, *etcd, *command, *operation, *order, *cache_name,
        *server, *workload;
    uint64_t get_percent, connections, keys, first_key, key_bytes, value_bytes, seconds, count,
        warm_up;
    uint64_t timeout_ms, seed, scan_limit, redis_wait, processes, batch, rate, cache_bytes;
    uint64_t play_hosts;
    uint64_t status;
    bool no_load, json, cache, no_agent, separate_caches, progress;
    bool given[GIVEN_OPTIONS];
    enum ycsb_phase phase;
    struct ycsb_words words;
};

static const struct options_usage USAGE = {
    .program = "cairn-bench",
    .summary = "Measures a store: each of N connections has one operation outstanding.\n\n"
               "  cairn-bench [OPTION...]      what the options say\n"
               "  cairn-bench load [OPTION...] [-P FILE] [-p NAME=VALUE]   YCSB: insert records\n"
               "  cairn-bench run  [OPTION...] [-P FILE] [-p NAME=VALUE]   YCSB: its operations",
    .epilog =
        "Reads need keys: without --no-load all keys are written before the measurement, "
        "unless\nonly puts are measured. With --rate, latencies are also counted from the "
        "time when an\noperation should have begun.\n\n"
        "load and run take YCSB's properties from --workload, from files (-P) and one by one "
        "(-p);\nlater ones win, and what options say wins over all: --keys is recordcount, "
        "--count\noperationcount, --seconds maxexecutiontime, --connections threadcount, "
        "--rate target,\n--first-key insertstart, --value-size fieldlength with one field, "
        "--scan-limit\nmaxscanlength. A record is one value of fieldcount * fieldlength bytes "
        "(1 * 100). YCSB's\n-threads N, -target N, -s and -t are understood.\n\n"
        "Exit 0; 2 for bad options or a store that cannot be reached or fails; 130 after "
        "Ctrl-C,\nwith what was measured until then.",
};

/* Copies a table behind the `*count` options at `out`. */
static void add_options(struct option_spec *out, size_t *count, const struct option_spec *specs,
                        size_t more)
{
    CHECK(*count + more <= OPTIONS_MAX);
    memcpy(out + *count, specs, more * sizeof(*specs));
    *count += more;
}

static void add_store_options(struct raw *raw, struct option_spec *out, size_t *count)
{
    const struct option_spec specs[] = {
        {"target", OPTION_STRING, &raw->target, .value = "NAME",
         .help = TARGET_NAMES " (default cairn)"},
        {"manager", OPTION_STRING, &raw->manager, .value = "HOST:PORT,...",
         .help = "Cairn's managers (default 127.0.0.1:3666)"},
        {"redis", OPTION_STRING, &raw->redis, .value = "HOST:PORT",
         .help = "the Redis server (default 127.0.0.1:6379)"},
        {"redis-wait", OPTION_NUMBER, &raw->redis_wait, 0, 16, .value = "N",
         .help = "redis: send WAIT N 0 with each put or delete, and await both (default 0: none)"},
        {"lmdb", OPTION_STRING, &raw->lmdb, .value = "DIR",
         .help = "lmdb: its directory, made if it is missing, and left"},
        {"etcd", OPTION_STRING, &raw->etcd, .value = "HOST:PORT,...",
         .help = "etcd's members, which connections take in turn (default 127.0.0.1:2379)"},
        {"command", OPTION_STRING, &raw->command, .value = "COMMAND",
         .help =
             "workload: run by sh for each connection, reads and answers workload mode's lines"},
    };
    add_options(out, count, specs, sizeof(specs) / sizeof(specs[0]));
}

static void add_run_options(struct raw *raw, struct option_spec *out, size_t *count)
{
    const struct option_spec specs[] = {
        {"operation", OPTION_STRING, &raw->operation, .value = "OP",
         .given = &raw->given[GIVEN_OPERATION],
         .help = "put, get, mix, scan or delete (default mix)"},
        {"get-percent", OPTION_NUMBER, &raw->get_percent, 0, 100, .value = "N",
         .given = &raw->given[GIVEN_GET_PERCENT],
         .help = "of mix: share of gets, the rest are puts (default 50)"},
        {"connections", OPTION_NUMBER, &raw->connections, 1, RUN_CONNECTIONS_MAX, .value = "N",
         .given = &raw->given[GIVEN_CONNECTIONS], .help = "default 1"},
        {"keys", OPTION_NUMBER, &raw->keys, 1, UINT64_C(1) << 40, .value = "N",
         .given = &raw->given[GIVEN_KEYS], .help = "number of keys (default 100000)"},
        {"first-key", OPTION_NUMBER, &raw->first_key, 0, UINT64_C(1) << 40, .value = "N",
         .given = &raw->given[GIVEN_FIRST_KEY], .help = "of them (default 0)"},
        {"key-size", OPTION_NUMBER, &raw->key_bytes, BENCH_KEY_MIN, BENCH_KEY_MAX, .value = "BYTES",
         .given = &raw->given[GIVEN_KEY_SIZE], .help = "default 16"},
        {"value-size", OPTION_BYTES, &raw->value_bytes, 0, 1 << 20, .value = "BYTES",
         .given = &raw->given[GIVEN_VALUE_SIZE], .help = "default 100"},
        {"order", OPTION_STRING, &raw->order, .value = "ORDER", .given = &raw->given[GIVEN_ORDER],
         .help = "of keys: uniform, sequential, or zipfian (0.99) (default uniform)"},
        {"scan-limit", OPTION_NUMBER, &raw->scan_limit, 1, 100000, .value = "N",
         .given = &raw->given[GIVEN_SCAN_LIMIT], .help = "pairs of a scan (default 50)"},
        {"seconds", OPTION_NUMBER, &raw->seconds, 1, 86400, .value = "N",
         .given = &raw->given[GIVEN_SECONDS], .help = "length of the measurement (default 10)"},
        {"count", OPTION_NUMBER, &raw->count, 1, UINT64_C(1) << 40, .value = "N",
         .given = &raw->given[GIVEN_COUNT], .help = "measure this many operations instead"},
        {"warm-up", OPTION_NUMBER, &raw->warm_up, 0, 3600, .value = "SECONDS",
         .given = &raw->given[GIVEN_WARM_UP], .help = "before the measurement (default 1)"},
        {"no-load", OPTION_FLAG, &raw->no_load, .given = &raw->given[GIVEN_NO_LOAD],
         .help = "do not write all keys first"},
        {"processes", OPTION_NUMBER, &raw->processes, 1, PROCESSES_MAX, .value = "N",
         .help = "that begin together, each with its connections (default 1)"},
        {"batch", OPTION_NUMBER, &raw->batch, 1, RUN_BATCH_MAX, .value = "N",
         .given = &raw->given[GIVEN_BATCH],
         .help = "operations between two looks at the clock, their keys drawn before (default 1)"},
        {"rate", OPTION_NUMBER, &raw->rate, 0, UINT32_MAX, .value = "N",
         .given = &raw->given[GIVEN_RATE],
         .help = "of operations a second at most, over all connections (default 0: no limit)"},
        {"target-rate", OPTION_NUMBER, &raw->rate, 0, UINT32_MAX, .value = "N", .is_alias = true,
         .given = &raw->given[GIVEN_RATE], .help = "the same"},
        {"threads", OPTION_NUMBER, &raw->connections, 1, RUN_CONNECTIONS_MAX, .value = "N",
         .is_alias = true, .given = &raw->given[GIVEN_CONNECTIONS], .help = "the same"},
        {"timeout", OPTION_NUMBER, &raw->timeout_ms, 1, 3600000, .value = "MS",
         .help = "of one operation (default 10000)"},
        {"seed", OPTION_NUMBER, &raw->seed, 0, UINT32_MAX, .value = "N",
         .help = "of keys and values (default 1)"},
        {"json", OPTION_FLAG, &raw->json, .help = "print one JSON object"},
        {"progress", OPTION_FLAG, &raw->progress,
         .help = "tell how far it is on stderr, even if that is no terminal"},
        {"status", OPTION_NUMBER, &raw->status, 1, 3600, .value = "SECONDS",
         .given = &raw->given[GIVEN_STATUS],
         .help = "from one word of progress to the next (default 1)"},
        {"workload", OPTION_STRING, &raw->workload, .value = "NAME",
         .help = "of load and run: YCSB's core workload a, b, c, d, e or f"},
    };
    add_options(out, count, specs, sizeof(specs) / sizeof(specs[0]));
}

static void add_cache_options(struct raw *raw, struct option_spec *out, size_t *count)
{
    const struct option_spec specs[] = {
        {"cache", OPTION_FLAG, &raw->cache,
         .help = "cairn: read through a cache of this host, made for this run and then removed"},
        {"cache-name", OPTION_STRING, &raw->cache_name, .value = "NAME",
         .help = "cairn: with --cache, use the one of this name, and leave it"},
        {"separate-caches", OPTION_FLAG, &raw->separate_caches,
         .help = "cairn: as if each process ran on a host of its own: caches NAME-0, NAME-1..."},
        {"cache-bytes", OPTION_BYTES, &raw->cache_bytes, 0, UINT64_C(1) << 40, .value = "BYTES",
         .help = "cairn: of a cache that is made (default 64M)"},
        {"no-agent", OPTION_FLAG, &raw->no_agent,
         .help = "cairn: run no agent of the cache here; a `cairn agent` does"},
        {"play-hosts", OPTION_NUMBER, &raw->play_hosts, 0, PLAYER_HOSTS_MAX, .value = "N",
         .help = "measure nothing: play N hosts' cache agents for --server, as stdin tells"},
        {"server", OPTION_STRING, &raw->server, .value = "HOST:PORT",
         .help = "with --play-hosts: the server, which leads all partitions"},
    };
    add_options(out, count, specs, sizeof(specs) / sizeof(specs[0]));
}

static int parse(int argc, char **argv, struct raw *raw, enum options_result *result,
                 struct error *error)
{
    struct option_spec specs[OPTIONS_MAX];
    size_t count = 0;
    add_store_options(raw, specs, &count);
    add_run_options(raw, specs, &count);
    add_cache_options(raw, specs, &count);
    int positional = 0;
    int status = options_parse(&USAGE, specs, count, argc, argv, false, &positional, result, error);
    if (status == 0 && *result == OPTIONS_RUN && positional > 0)
        return error_set(error, CAIRN_EINVAL, "%s: no argument expected", argv[1]);
    return status;
}

static int set_shares(const struct raw *raw, struct workload *workload, struct error *error)
{
    memset(workload->shares, 0, sizeof(workload->shares));
    if (strcmp(raw->operation, "mix") == 0) {
        workload->shares[BENCH_GET] = (unsigned)raw->get_percent;
        workload->shares[BENCH_PUT] = 100 - (unsigned)raw->get_percent;
        return 0;
    }
    for (int i = 0; i <= BENCH_REMOVE; i++) {
        if (strcmp(raw->operation, operation_name((enum bench_operation)i)) == 0) {
            workload->shares[i] = 100;
            return 0;
        }
    }
    return error_set(error, CAIRN_EINVAL, "--operation %s: none of put, get, mix, scan, delete",
                     raw->operation);
}

static int set_order(const struct raw *raw, struct workload *workload, struct error *error)
{
    workload->order = KEYS_UNIFORM;
    if (strcmp(raw->order, "sequential") == 0)
        workload->order = KEYS_SEQUENTIAL;
    else if (strcmp(raw->order, "zipfian") == 0)
        workload->order = KEYS_ZIPFIAN;
    else if (strcmp(raw->order, "uniform") != 0)
        return error_set(error, CAIRN_EINVAL, "--order %s: none of uniform, sequential, zipfian",
                         raw->order);
    return 0;
}

/* Where the target is; NULL: nobody said. */
static const char *address_of(const struct raw *raw, const struct target *target)
{
    if (target == &target_redis)
        return raw->redis;
    if (target == &target_etcd)
        return raw->etcd;
    if (target == &target_lmdb)
        return raw->lmdb;
    return target == &target_workload ? raw->command : raw->manager;
}

static int set_target(const struct raw *raw, struct run_plan *plan, struct error *error)
{
    plan->target = target_find(raw->target);
    if (plan->target == NULL)
        return error_set(error, CAIRN_EINVAL, "--target %s: not " TARGET_NAMES, raw->target);
    if (plan->place.cache && plan->target->count == NULL)
        return error_set(error, CAIRN_EINVAL, "--cache: %s has none", raw->target);
    if (plan->workload.shares[BENCH_SCAN] > 0 && plan->target->scan == NULL)
        return error_set(error, CAIRN_EINVAL, "%s: %s has no scan in key order",
                         raw->phase == YCSB_NONE ? "--operation scan" : "property scanproportion",
                         raw->target);
    plan->place.address = address_of(raw, plan->target);
    if (plan->place.address == NULL)
        return error_set(error, CAIRN_EINVAL, "--target %s needs %s", raw->target,
                         plan->target == &target_lmdb ? "--lmdb" : "--command");
    if (plan->target == &target_workload && plan->workload.value_bytes == 0)
        return error_set(error, CAIRN_EINVAL, "--value-size 0: workload mode has no empty values");
    return 0;
}

/* What does not go together. */
static int check(const struct raw *raw, struct error *error)
{
    bool mixed = strcmp(raw->operation, "mix") == 0;
    if (raw->phase == YCSB_NONE && raw->workload != NULL)
        return error_set(error, CAIRN_EINVAL, "--workload: only of load and run");
    if (raw->batch > 1 && (mixed || strcmp(raw->order, "sequential") == 0))
        return error_set(error, CAIRN_EINVAL,
                         "--batch %llu: not of a mix, and not of keys in sequence",
                         (unsigned long long)raw->batch);
    if (!raw->cache && (raw->cache_name != NULL || raw->separate_caches || raw->no_agent))
        return error_set(error, CAIRN_EINVAL, "options of a cache without --cache");
    if (raw->separate_caches && raw->cache_name == NULL)
        return error_set(error, CAIRN_EINVAL, "--separate-caches needs --cache-name");
    if ((raw->play_hosts > 0) != (raw->server != NULL))
        return error_set(error, CAIRN_EINVAL, "--play-hosts and --server need each other");
    return 0;
}

static void set_place(const struct raw *raw, struct settings *settings)
{
    if (raw->cache && raw->cache_name == NULL)
        snprintf(settings->own_name, sizeof(settings->own_name), "bench-%ld", (long)getpid());
    settings->plan.place = (struct target_place){
        .timeout_ms = raw->timeout_ms,
        .cache = raw->cache,
        .cache_name = raw->cache_name != NULL ? raw->cache_name : settings->own_name,
        .cache_bytes = raw->cache_bytes,
        .no_agent = raw->no_agent,
        .redis_wait = (uint32_t)raw->redis_wait,
    };
}

static void set_extent(const struct raw *raw, struct settings *settings)
{
    struct run_plan *plan = &settings->plan;
    settings->processes = (struct processes){(uint32_t)raw->processes, raw->separate_caches};
    plan->workload.keys = raw->keys;
    plan->workload.first_key = raw->first_key;
    plan->workload.key_bytes = raw->key_bytes;
    plan->workload.value_bytes = raw->value_bytes;
    plan->workload.scan_limit = raw->scan_limit;
    plan->connections = (uint32_t)raw->connections;
    plan->batch = (uint32_t)raw->batch;
    plan->rate = raw->rate;
    plan->warm_up_ms = raw->warm_up * 1000;
    plan->measure_ms = raw->count > 0 ? 0 : raw->seconds * 1000;
    plan->operations = raw->count;
    plan->seed = raw->seed;
}

/* What the options say in a workload of YCSB's. */
static int add_given(const struct raw *raw, struct properties *properties, struct error *error)
{
    const struct {
        enum given given;
        const char *property;
        uint64_t value;
    } list[] = {
        {GIVEN_CONNECTIONS, "threadcount", raw->connections},
        {GIVEN_KEYS, "recordcount", raw->keys},
        {GIVEN_FIRST_KEY, "insertstart", raw->first_key},
        {GIVEN_VALUE_SIZE, "fieldcount", 1},
        {GIVEN_VALUE_SIZE, "fieldlength", raw->value_bytes},
        {GIVEN_SCAN_LIMIT, "maxscanlength", raw->scan_limit},
        {GIVEN_SECONDS, "operationcount", 0},
        {GIVEN_SECONDS, "maxexecutiontime", raw->seconds},
        {GIVEN_COUNT, "operationcount", raw->count},
        {GIVEN_RATE, "target", raw->rate},
        {GIVEN_STATUS, "status.interval", raw->status},
    };
    char text[32];
    int status = 0;
    for (size_t i = 0; i < sizeof(list) / sizeof(list[0]) && status == 0; i++) {
        if (!raw->given[list[i].given])
            continue;
        snprintf(text, sizeof(text), "%" PRIu64, list[i].value);
        status = properties_set(properties, list[i].property, text, error);
    }
    return status;
}

static int refuse_given(const struct raw *raw, struct error *error)
{
    static const struct {
        enum given given;
        const char *option, *instead;
    } list[] = {
        {GIVEN_OPERATION, "operation", "-p readproportion=... and the others"},
        {GIVEN_GET_PERCENT, "get-percent", "-p readproportion=... and the others"},
        {GIVEN_ORDER, "order", "-p requestdistribution=..."},
        {GIVEN_KEY_SIZE, "key-size", "-p keyprefix=... and zeropadding"},
        {GIVEN_BATCH, "batch", "cairn-bench without load or run"},
        {GIVEN_NO_LOAD, "no-load", "run, which never loads"},
    };
    for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++)
        if (raw->given[list[i].given])
            return error_set(error, CAIRN_EINVAL, "--%s: not of load and run; use %s",
                             list[i].option, list[i].instead);
    if (raw->play_hosts > 0)
        return error_set(error, CAIRN_EINVAL, "--play-hosts: not of load and run");
    return 0;
}

/* The plan of load and run. */
static int set_phase(const struct raw *raw, struct settings *settings, struct error *error)
{
    struct run_plan *plan = &settings->plan;
    uint64_t seconds = raw->status;
    int status = refuse_given(raw, error);
    settings->phase = raw->phase;
    settings->workload = raw->workload;
    if (status == 0)
        status = ycsb_read_words(&raw->words, raw->workload, &settings->properties, error);
    if (status == 0)
        status = add_given(raw, &settings->properties, error);
    if (status == 0)
        status = ycsb_plan(&settings->properties, raw->phase, plan, error);
    if (status == 0)
        status =
            properties_number(&settings->properties, "status.interval", 1, 3600, &seconds, error);
    settings->status_ms = seconds * 1000;
    /* What is counted is all there is, unless a warm-up is asked for. */
    if (raw->phase == YCSB_LOAD || (plan->operations > 0 && !raw->given[GIVEN_WARM_UP]))
        plan->warm_up_ms = 0;
    return status;
}

static int set_options(const struct raw *raw, struct settings *settings, struct error *error)
{
    struct workload *workload = &settings->plan.workload;
    int status = set_shares(raw, workload, error);
    if (status == 0)
        status = set_order(raw, workload, error);
    settings->load = !raw->no_load && workload->shares[BENCH_PUT] < 100;
    return status;
}

static int make_plan(const struct raw *raw, struct settings *settings, struct error *error)
{
    struct run_plan *plan = &settings->plan;
    memset(settings, 0, sizeof(*settings));
    settings->json = raw->json;
    settings->progress = raw->progress || raw->words.progress;
    settings->status_ms = raw->status * 1000;
    set_place(raw, settings);
    set_extent(raw, settings);
    int status = check(raw, error);
    if (status == 0)
        status = raw->phase == YCSB_NONE ? set_options(raw, settings, error)
                                         : set_phase(raw, settings, error);
    if (status == 0)
        status = set_target(raw, plan, error);
    if (status == 0 && plan->operations > 0 && plan->operations < raw->processes)
        status = error_set(error, CAIRN_EINVAL, "--count %llu: less than one for each process",
                           (unsigned long long)plan->operations);
    if (status == 0)
        status = workload_prepare(&plan->workload, error);
    settings->player =
        (struct player_options){raw->server, (uint32_t)raw->play_hosts, plan->workload};
    return status;
}

int settings_parse(int argc, char **argv, struct settings *settings, enum options_result *result,
                   struct error *error)
{
    struct raw raw = {.target = "cairn",
                      .manager = "127.0.0.1:3666",
                      .redis = "127.0.0.1:6379",
                      .etcd = "127.0.0.1:2379",
                      .operation = "mix",
                      .order = "uniform",
                      .get_percent = 50,
                      .connections = 1,
                      .keys = 100000,
                      .key_bytes = 16,
                      .value_bytes = 100,
                      .seconds = 10,
                      .warm_up = 1,
                      .timeout_ms = 10000,
                      .seed = 1,
                      .processes = 1,
                      .batch = 1,
                      .scan_limit = 50,
                      .status = 1};
    int status = ycsb_take_words(&argc, argv, &raw.phase, &raw.words, error);
    if (status == 0)
        status = parse(argc, argv, &raw, result, error);
    if (status == 0 && *result == OPTIONS_RUN)
        status = make_plan(&raw, settings, error);
    return status;
}
