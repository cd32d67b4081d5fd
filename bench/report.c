/* A run's result as a table or as JSON. */
#include "bench/report.h"

#include <inttypes.h>

#include <jansson.h>

static const struct {
    const char *name;
    double percent;
} PERCENTILES[] = {{"p50_us", 50}, {"p90_us", 90}, {"p99_us", 99}, {"p999_us", 99.9}};

enum { PERCENTILE_COUNT = sizeof(PERCENTILES) / sizeof(PERCENTILES[0]) };

static double per_second(const struct run_result *result, uint64_t operations)
{
    return result->seconds > 0 ? (double)operations / result->seconds : 0;
}

static uint64_t all_operations(const struct run_result *result)
{
    uint64_t sum = 0;
    for (int i = 0; i < BENCH_OPERATIONS; i++)
        sum += result->operations[i];
    return sum;
}

static void print_row(const char *name, const struct run_result *result, uint64_t operations,
                      const struct histogram *latency_ns, FILE *out)
{
    fprintf(out, "%-7s %12" PRIu64 " %12.0f %10.1f", name, operations,
            per_second(result, operations), histogram_mean(latency_ns) / 1e3);
    for (int i = 0; i < PERCENTILE_COUNT; i++)
        fprintf(out, " %10.1f",
                (double)histogram_percentile(latency_ns, PERCENTILES[i].percent) / 1e3);
    fprintf(out, " %10.1f\n", (double)histogram_maximum(latency_ns) / 1e3);
}

static void print_table(const struct run_plan *plan, const struct run_result *result, FILE *out)
{
    fprintf(out, "%s: %u connections, %" PRIu64 " keys of %zu bytes, values of %zu bytes, %.2f s\n",
            plan->target->name, plan->connections, plan->workload.keys, plan->workload.key_bytes,
            plan->workload.value_bytes, result->seconds);
    fprintf(out, "%-7s %12s %12s %10s %10s %10s %10s %10s %10s\n", "", "operations", "per second",
            "mean us", "p50 us", "p90 us", "p99 us", "p99.9 us", "max us");
    for (int i = 0; i < BENCH_OPERATIONS; i++)
        if (result->operations[i] > 0)
            print_row(operation_name((enum bench_operation)i), result, result->operations[i],
                      &result->latency_ns[i], out);
    if (result->missing > 0)
        fprintf(out, "%" PRIu64 " gets found nothing\n", result->missing);
    fprintf(out, "driver: %.2f s of CPU, %" PRIu64 " waits\n", result->driver_cpu_seconds,
            result->driver_switches);
}

static json_t *operation_json(const struct run_result *result, int operation)
{
    const struct histogram *latency_ns = &result->latency_ns[operation];
    json_t *object = json_pack(
        "{s:I, s:f, s:f, s:f}", "count", (json_int_t)result->operations[operation], "per_second",
        per_second(result, result->operations[operation]), "mean_us",
        histogram_mean(latency_ns) / 1e3, "max_us", (double)histogram_maximum(latency_ns) / 1e3);
    for (int i = 0; object != NULL && i < PERCENTILE_COUNT; i++)
        json_object_set_new(
            object, PERCENTILES[i].name,
            json_real((double)histogram_percentile(latency_ns, PERCENTILES[i].percent) / 1e3));
    return object;
}

static int print_json(const struct run_plan *plan, const struct run_result *result, FILE *out)
{
    json_t *operations = json_object();
    for (int i = 0; i < BENCH_OPERATIONS; i++)
        if (result->operations[i] > 0)
            json_object_set_new(operations, operation_name((enum bench_operation)i),
                                operation_json(result, i));
    json_t *object = json_pack(
        "{s:s, s:i, s:I, s:I, s:I, s:f, s:I, s:I, s:f, s:I, s:f, s:I, s:o}", "target",
        plan->target->name, "connections", (int)plan->connections, "keys",
        (json_int_t)plan->workload.keys, "key_bytes", (json_int_t)plan->workload.key_bytes,
        "value_bytes", (json_int_t)plan->workload.value_bytes, "seconds", result->seconds,
        "all_operations", (json_int_t)all_operations(result), "executed",
        (json_int_t)result->executed, "per_second", per_second(result, all_operations(result)),
        "missing", (json_int_t)result->missing, "driver_cpu_seconds", result->driver_cpu_seconds,
        "driver_waits", (json_int_t)result->driver_switches, "operations", operations);
    if (object == NULL)
        return CAIRN_ENOMEM;
    int status = json_dumpf(object, out, JSON_COMPACT | JSON_REAL_PRECISION(9));
    json_decref(object);
    fprintf(out, "\n");
    return status == 0 ? 0 : CAIRN_EIO;
}

int report_print(const struct run_plan *plan, const struct run_result *result, bool json, FILE *out,
                 struct error *error)
{
    int status = 0;
    if (json)
        status = print_json(plan, result, out);
    else
        print_table(plan, result, out);
    if (status == 0 && fflush(out) != 0)
        status = CAIRN_EIO;
    return status == 0 ? 0 : error_set(error, status, "report: %s", error_text(status));
}
