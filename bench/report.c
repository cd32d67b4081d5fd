/* A run's result as a table or as JSON. */
#include "bench/report.h"

#include <inttypes.h>

#include <jansson.h>

#include "bench/report_ycsb.h"

static const struct {
    const char *name;
    double percent;
    bool in_table;
} PERCENTILES[] = {{"p50_us", 50, true}, {"p90_us", 90, true},    {"p95_us", 95, false},
                   {"p99_us", 99, true}, {"p999_us", 99.9, true}, {"p9999_us", 99.99, true}};

enum { PERCENTILE_COUNT = sizeof(PERCENTILES) / sizeof(PERCENTILES[0]), FINE_NS = 10000 };

static double per_second(const struct run_result *result, uint64_t operations)
{
    return result->seconds > 0 ? (double)operations / result->seconds : 0;
}

static void print_row(const char *name, const struct run_result *result, uint64_t operations,
                      const struct histogram *latency_ns, FILE *out)
{
    int decimals = histogram_mean(latency_ns) < FINE_NS ? 3 : 1;
    fprintf(out, "%-7s %12" PRIu64 " %12.0f %10.*f", name, operations,
            per_second(result, operations), decimals, histogram_mean(latency_ns) / 1e3);
    for (int i = 0; i < PERCENTILE_COUNT; i++)
        if (PERCENTILES[i].in_table)
            fprintf(out, " %10.*f", decimals,
                    (double)histogram_percentile(latency_ns, PERCENTILES[i].percent) / 1e3);
    fprintf(out, " %10.*f\n", decimals, (double)histogram_maximum(latency_ns) / 1e3);
}

static double hit_rate(const struct target_counts *counts)
{
    uint64_t reads = counts->hits + counts->misses;
    return reads > 0 ? (double)counts->hits / (double)reads : 0;
}

static void print_head(const struct settings *settings, const struct run_result *result, FILE *out)
{
    const struct run_plan *plan = &settings->plan;
    fprintf(out, "%s%s: ", plan->target->name, plan->place.cache ? " with its cache" : "");
    if (settings->processes.count > 1)
        fprintf(out, "%u processes of ", settings->processes.count);
    fprintf(out, "%u connections, %" PRIu64 " keys of %zu bytes, values of %zu bytes, %.2f s\n",
            plan->connections, plan->workload.keys, plan->workload.key_bytes,
            plan->workload.value_bytes, result->seconds);
}

static void print_foot(const struct run_plan *plan, const struct run_result *result, FILE *out)
{
    const struct target_counts *counts = &result->counts;
    if (result->stopped)
        fprintf(out, "stopped early\n");
    if (run_intends(plan))
        fprintf(out, "due: the same operations, from the time when each should have begun\n");
    if (result->missing > 0)
        fprintf(out, "%" PRIu64 " gets found nothing\n", result->missing);
    if (plan->batch > 1)
        fprintf(out, "latencies: means of %u operations; a look at the clock takes %.1f ns\n",
                plan->batch, run_clock_ns());
    if (plan->place.cache)
        fprintf(out,
                "cache: %.2f%% hits (%" PRIu64 " of %" PRIu64 "), %" PRIu64 " fills, %" PRIu64
                " invalidations\n",
                hit_rate(counts) * 100, counts->hits, counts->hits + counts->misses, counts->fills,
                counts->invalidations);
    fprintf(out, "driver: %.2f s of CPU, %" PRIu64 " waits\n", result->driver_cpu_seconds,
            result->driver_switches);
}

static void print_table(const struct settings *settings, const struct run_result *result, FILE *out)
{
    print_head(settings, result, out);
    fprintf(out, "%-7s %12s %12s %10s %10s %10s %10s %10s %10s %10s\n", "", "operations",
            "per second", "mean us", "p50 us", "p90 us", "p99 us", "p99.9 us", "p99.99 us",
            "max us");
    for (int i = 0; i < BENCH_OPERATIONS; i++) {
        if (result->operations[i] == 0)
            continue;
        print_row(operation_name((enum bench_operation)i), result, result->operations[i],
                  &result->latency_ns[i], out);
        if (histogram_count(&result->intended_ns[i]) > 0)
            print_row("  due", result, result->operations[i], &result->intended_ns[i], out);
    }
    print_foot(&settings->plan, result, out);
}

/* Adds the latencies' mean, limits and percentiles. */
static void add_latencies(json_t *object, const struct histogram *latency_ns)
{
    json_object_set_new(object, "mean_us", json_real(histogram_mean(latency_ns) / 1e3));
    json_object_set_new(object, "min_us", json_real((double)histogram_minimum(latency_ns) / 1e3));
    json_object_set_new(object, "max_us", json_real((double)histogram_maximum(latency_ns) / 1e3));
    for (int i = 0; i < PERCENTILE_COUNT; i++)
        json_object_set_new(
            object, PERCENTILES[i].name,
            json_real((double)histogram_percentile(latency_ns, PERCENTILES[i].percent) / 1e3));
}

static json_t *operation_json(const struct run_result *result, int operation)
{
    json_t *object = json_pack("{s:I, s:f}", "count", (json_int_t)result->operations[operation],
                               "per_second", per_second(result, result->operations[operation]));
    add_latencies(object, &result->latency_ns[operation]);
    if (histogram_count(&result->intended_ns[operation]) > 0) {
        json_t *intended = json_object();
        add_latencies(intended, &result->intended_ns[operation]);
        json_object_set_new(object, "intended", intended);
    }
    return object;
}

static json_t *cache_json(const struct target_counts *counts)
{
    return json_pack("{s:f, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "hit_rate", hit_rate(counts),
                     "hits", (json_int_t)counts->hits, "misses", (json_int_t)counts->misses,
                     "fills", (json_int_t)counts->fills, "refused", (json_int_t)counts->refused,
                     "skipped", (json_int_t)counts->skipped, "invalidations",
                     (json_int_t)counts->invalidations, "lapses", (json_int_t)counts->lapses,
                     "evictions", (json_int_t)counts->evictions);
}

static json_t *operations_json(const struct run_result *result)
{
    json_t *operations = json_object();
    for (int i = 0; i < BENCH_OPERATIONS; i++)
        if (result->operations[i] > 0)
            json_object_set_new(operations, operation_name((enum bench_operation)i),
                                operation_json(result, i));
    return operations;
}

static json_t *properties_json(const struct properties *properties)
{
    json_t *object = json_object();
    for (size_t i = 0; i < properties->count; i++)
        json_object_set_new(object, properties->list[i].name,
                            json_string(properties->list[i].value));
    return object;
}

/* What load and run have beside the rest. */
static void add_phase(json_t *object, const struct settings *settings)
{
    if (settings->phase == YCSB_NONE)
        return;
    /* They have keys of several lengths. */
    json_object_del(object, "key_bytes");
    json_object_set_new(object, "phase",
                        json_string(settings->phase == YCSB_LOAD ? "load" : "run"));
    if (settings->workload != NULL)
        json_object_set_new(object, "workload", json_string(settings->workload));
    json_object_set_new(object, "properties", properties_json(&settings->properties));
}

static json_t *plan_json(const struct settings *settings)
{
    const struct run_plan *plan = &settings->plan;
    json_t *object = json_pack(
        "{s:s, s:s, s:i, s:i, s:i, s:b, s:I, s:I, s:I, s:f}", "version", CAIRN_VERSION, "target",
        plan->target->name, "processes", (int)settings->processes.count, "connections",
        (int)plan->connections, "batch", (int)plan->batch, "cached", (int)plan->place.cache, "keys",
        (json_int_t)plan->workload.keys, "key_bytes", (json_int_t)plan->workload.key_bytes,
        "value_bytes", (json_int_t)plan->workload.value_bytes, "clock_ns", run_clock_ns());
    json_t *limits =
        json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "rate", (json_int_t)plan->rate, "warm_up_ms",
                  (json_int_t)plan->warm_up_ms, "measure_ms", (json_int_t)plan->measure_ms,
                  "operations_asked", (json_int_t)plan->operations, "seed", (json_int_t)plan->seed,
                  "timeout_ms", (json_int_t)plan->place.timeout_ms);
    json_object_update(object, limits);
    json_decref(limits);
    add_phase(object, settings);
    return object;
}

static int print_json(const struct settings *settings, const struct run_result *result, FILE *out)
{
    json_t *object = plan_json(settings);
    json_t *measured = json_pack(
        "{s:f, s:b, s:I, s:I, s:f, s:I, s:f, s:I, s:o}", "seconds", result->seconds, "stopped",
        (int)result->stopped, "all_operations", (json_int_t)result->finished, "executed",
        (json_int_t)result->executed, "per_second", per_second(result, result->finished), "missing",
        (json_int_t)result->missing, "driver_cpu_seconds", result->driver_cpu_seconds,
        "driver_waits", (json_int_t)result->driver_switches, "operations", operations_json(result));
    if (settings->plan.place.cache)
        json_object_set_new(measured, "cache", cache_json(&result->counts));
    int status = json_object_update(object, measured);
    json_decref(measured);
    if (status == 0)
        status = json_dumpf(object, out, JSON_COMPACT | JSON_REAL_PRECISION(9));
    json_decref(object);
    fprintf(out, "\n");
    return status == 0 ? 0 : CAIRN_EIO;
}

int report_print(const struct settings *settings, const struct run_result *result, FILE *out,
                 struct error *error)
{
    int status = 0;
    if (settings->json)
        status = print_json(settings, result, out);
    else if (settings->phase != YCSB_NONE)
        report_ycsb(settings, result, out);
    else
        print_table(settings, result, out);
    if (status == 0 && fflush(out) != 0)
        status = CAIRN_EIO;
    return status == 0 ? 0 : error_set(error, status, "report: %s", error_text(status));
}
