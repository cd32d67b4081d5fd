/* The properties of YCSB's core workload, as a plan. */
#include "bench/ycsb.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"

/* Shares are counted in millionths, which is finer than anybody writes them. */
enum { SHARE_UNIT = 1000000, RECORD_BYTES_MAX = 1 << 20, PADDING_MAX = 400, SCAN_MAX = 100000 };
/* Of new records: more are not waited for by draws that they are a part of. */
enum { NEW_KEYS_FACTOR = 10 };
#define RECORDS_MAX (UINT64_C(1) << 40)

static const char *const ORDERS[] = {"uniform", "sequential", "zipfian", "latest", NULL};
static const enum key_order ORDER_OF[] = {KEYS_UNIFORM, KEYS_SEQUENTIAL, KEYS_SCRAMBLED,
                                          KEYS_LATEST};
static const char *const LENGTHS[] = {"uniform", "zipfian", NULL};
static const char *const FORMS[] = {"hashed", "ordered", NULL};

static const struct {
    const char *name;
    enum bench_operation operation;
    double usual;
} SHARES[] = {
    {"readproportion", BENCH_GET, 0.95},
    {"updateproportion", BENCH_PUT, 0.05},
    {"insertproportion", BENCH_INSERT, 0},
    {"scanproportion", BENCH_SCAN, 0},
    {"readmodifywriteproportion", BENCH_MODIFY, 0},
};

enum { SHARE_COUNT = sizeof(SHARES) / sizeof(SHARES[0]) };

/* The others that have an effect. */
static const char *const USED[] = {
    "recordcount",    "operationcount", "insertstart",         "insertcount",
    "fieldcount",     "fieldlength",    "requestdistribution", "minscanlength",
    "maxscanlength",  "insertorder",    "zeropadding",         "keyprefix",
    "threadcount",    "target",         "maxexecutiontime",    "scanlengthdistribution",
    "status.interval"};

static const struct {
    const char *name, *because;
} IGNORED[] = {
    {"workload", "this is always the core workload"},
    {"table", "keys are in no table"},
    {"readallfields", "a record is one value, read as a whole"},
    {"writeallfields", "a record is one value, written as a whole"},
    {"readallfieldsbyname", "a record is one value"},
    {"fieldnameprefix", "a record is one value"},
    {"fieldlengthdistribution", "all records have the same length"},
    {"minfieldlength", "all records have the same length"},
    {"fieldlengthhistogram", "all records have the same length"},
    {"dataintegrity", "values are not checked"},
    {"core_workload_insertion_retry_limit", "a failure ends the run"},
    {"core_workload_insertion_retry_interval", "a failure ends the run"},
    {"hotspotdatafraction", "there is no hotspot distribution"},
    {"hotspotopnfraction", "there is no hotspot distribution"},
    {"exponential.percentile", "there is no exponential distribution"},
    {"exponential.frac", "there is no exponential distribution"},
    {"dotransactions", "load or run says it"},
    {"db", "--target says it"},
    {"label", "the summary has none"},
    {"status", "--progress says it"},
    {"measurementtype", "latencies are kept in histograms"},
    {"measurement.interval", "with a target both kinds are told"},
    {"measurement.trackjvm", "there is no JVM"},
    {"measurement.histogram.verbose", "latencies are told as percentiles"},
    {"hdrhistogram.percentiles", "the percentiles are always the same"},
    {"hdrhistogram.fileoutput", "latencies are told as percentiles"},
    {"hdrhistogram.output.path", "latencies are told as percentiles"},
    {"histogram.buckets", "latencies are kept within 1%"},
    {"timeseries.granularity", "latencies are kept in histograms"},
    {"exporter", "--json says it"},
    {"exportfile", "the summary goes to stdout"},
    {"reportlatencyforeacherror", "a failure ends the run"},
    {"latencytrackederrors", "a failure ends the run"},
};

const char *ycsb_ignored(const char *name)
{
    for (size_t i = 0; i < sizeof(IGNORED) / sizeof(IGNORED[0]); i++)
        if (strcmp(IGNORED[i].name, name) == 0)
            return IGNORED[i].because;
    return NULL;
}

const char *ycsb_operation_name(enum bench_operation operation)
{
    static const char *const names[BENCH_OPERATIONS] = {"UPDATE", "READ",   "SCAN",
                                                        "DELETE", "INSERT", "READ-MODIFY-WRITE"};
    CHECK(operation < BENCH_OPERATIONS);
    return names[operation];
}

static bool is_used(const char *name)
{
    for (size_t i = 0; i < sizeof(USED) / sizeof(USED[0]); i++)
        if (strcmp(USED[i], name) == 0)
            return true;
    for (size_t i = 0; i < SHARE_COUNT; i++)
        if (strcmp(SHARES[i].name, name) == 0)
            return true;
    return false;
}

static int check_names(const struct properties *properties, struct error *error)
{
    for (size_t i = 0; i < properties->count; i++) {
        const char *name = properties->list[i].name;
        if (!is_used(name) && ycsb_ignored(name) == NULL)
            return error_set(error, CAIRN_EINVAL, "property %s: unknown", name);
    }
    return 0;
}

static int set_shares(const struct properties *properties, struct workload *workload,
                      struct error *error)
{
    unsigned sum = 0;
    memset(workload->shares, 0, sizeof(workload->shares));
    for (size_t i = 0; i < SHARE_COUNT; i++) {
        double share = SHARES[i].usual;
        if (properties_share(properties, SHARES[i].name, &share, error) != 0)
            return CAIRN_EINVAL;
        workload->shares[SHARES[i].operation] = (unsigned)(share * SHARE_UNIT + 0.5);
        sum += workload->shares[SHARES[i].operation];
    }
    return sum > 0
               ? 0
               : error_set(error, CAIRN_EINVAL, "property readproportion: all proportions are 0");
}

/* Numbers of records as YCSB counts them. */
struct extent {
    uint64_t records, start, count, operations;
};

static int read_extent(const struct properties *properties, struct extent *extent,
                       struct error *error)
{
    *extent = (struct extent){.records = 1000};
    int status =
        properties_number(properties, "recordcount", 1, RECORDS_MAX, &extent->records, error);
    if (status == 0)
        status =
            properties_number(properties, "insertstart", 0, RECORDS_MAX, &extent->start, error);
    extent->count = extent->records > extent->start ? extent->records - extent->start : 0;
    if (status == 0)
        status =
            properties_number(properties, "insertcount", 1, RECORDS_MAX, &extent->count, error);
    if (status == 0)
        status = properties_number(properties, "operationcount", 0, RECORDS_MAX,
                                   &extent->operations, error);
    if (status == 0 && (extent->count == 0 || extent->start + extent->count > extent->records))
        status = error_set(error, CAIRN_EINVAL,
                           "property recordcount=%llu: insertstart and insertcount go beyond",
                           (unsigned long long)extent->records);
    return status;
}

uint64_t ycsb_first_insert(const struct properties *properties, enum ycsb_phase phase)
{
    struct extent extent;
    CHECK(read_extent(properties, &extent, NULL) == 0);
    return phase == YCSB_LOAD ? extent.start : extent.records;
}

static int set_records(const struct properties *properties, const struct extent *extent,
                       struct workload *workload, struct error *error)
{
    uint64_t fields = 1, bytes = 100, padding = 1;
    size_t form = 0;
    const char *prefix = properties_get(properties, "keyprefix");
    int status = properties_number(properties, "fieldcount", 1, RECORD_BYTES_MAX, &fields, error);
    if (status == 0)
        status = properties_number(properties, "fieldlength", 0, RECORD_BYTES_MAX, &bytes, error);
    if (status == 0 && fields * bytes > RECORD_BYTES_MAX)
        status = error_set(error, CAIRN_EINVAL,
                           "property fieldlength=%llu: a record is longer than %d bytes",
                           (unsigned long long)bytes, RECORD_BYTES_MAX);
    if (status == 0)
        status = properties_number(properties, "zeropadding", 0, PADDING_MAX, &padding, error);
    if (status == 0)
        status = properties_choice(properties, "insertorder", FORMS, &form, error);
    if (status == 0 && prefix != NULL && strlen(prefix) > BENCH_PREFIX_MAX)
        status = error_set(error, CAIRN_EINVAL, "property keyprefix: longer than %d bytes",
                           BENCH_PREFIX_MAX);
    if (status != 0)
        return status;
    snprintf(workload->prefix, sizeof(workload->prefix), "%s", prefix != NULL ? prefix : "user");
    workload->keys = extent->count;
    workload->first_key = extent->start;
    workload->value_bytes = fields * bytes;
    workload->zero_padding = padding;
    workload->form = form == 0 ? KEY_HASHED : KEY_ORDERED;
    return 0;
}

static int set_choices(const struct properties *properties, struct workload *workload,
                       struct error *error)
{
    uint64_t least = 1, most = 1000;
    size_t order = 0, lengths = 0;
    int status = properties_choice(properties, "requestdistribution", ORDERS, &order, error);
    if (status == 0)
        status = properties_choice(properties, "scanlengthdistribution", LENGTHS, &lengths, error);
    if (status == 0)
        status = properties_number(properties, "maxscanlength", 1, SCAN_MAX, &most, error);
    if (status == 0)
        status = properties_number(properties, "minscanlength", 1, most, &least, error);
    workload->order = ORDER_OF[order];
    workload->scan_minimum = least;
    workload->scan_limit = most;
    workload->scan_zipfian = lengths == 1;
    return status;
}

/* YCSB expects twice as many inserts as there are likely to be. */
static uint64_t expected_inserts(const struct workload *workload, uint64_t operations)
{
    double all = 0;
    for (int i = 0; i < BENCH_OPERATIONS; i++)
        all += workload->shares[i];
    double inserts = 2 * (double)operations * workload->shares[BENCH_INSERT] / all;
    double most = (double)workload->keys * NEW_KEYS_FACTOR;
    return (uint64_t)(inserts < most ? inserts : most);
}

static int set_length(const struct properties *properties, const struct extent *extent,
                      enum ycsb_phase phase, struct run_plan *plan, struct error *error)
{
    uint64_t threads = 1, rate = 0, seconds = 0;
    int status =
        properties_number(properties, "threadcount", 1, RUN_CONNECTIONS_MAX, &threads, error);
    if (status == 0)
        status = properties_number(properties, "target", 0, UINT32_MAX, &rate, error);
    if (status == 0)
        status = properties_number(properties, "maxexecutiontime", 0, 86400, &seconds, error);
    plan->connections = (uint32_t)threads;
    plan->rate = rate;
    plan->measure_ms = seconds * 1000;
    plan->operations = phase == YCSB_LOAD ? extent->count : extent->operations;
    if (status == 0 && plan->operations == 0 && plan->measure_ms == 0)
        status = error_set(error, CAIRN_EINVAL,
                           "property operationcount: neither it nor "
                           "maxexecutiontime says when the run ends");
    return status;
}

int ycsb_plan(const struct properties *properties, enum ycsb_phase phase, struct run_plan *plan,
              struct error *error)
{
    struct extent extent;
    struct workload *workload = &plan->workload;
    int status = check_names(properties, error);
    if (status == 0)
        status = read_extent(properties, &extent, error);
    if (status == 0)
        status = set_shares(properties, workload, error);
    if (status == 0)
        status = set_records(properties, &extent, workload, error);
    if (status == 0)
        status = set_choices(properties, workload, error);
    if (status == 0)
        status = set_length(properties, &extent, phase, plan, error);
    if (status != 0)
        return status;
    if (phase == YCSB_LOAD) {
        memset(workload->shares, 0, sizeof(workload->shares));
        workload->shares[BENCH_INSERT] = 1;
        return 0;
    }
    workload->new_keys = expected_inserts(workload, extent.operations);
    return 0;
}
