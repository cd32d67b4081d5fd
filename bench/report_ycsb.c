/* Prints sections and lines of YCSB's summary. */
#include "bench/report_ycsb.h"

#include <inttypes.h>

static const struct {
    const char *name;
    double percent;
} PERCENTILES[] = {{"50th", 50}, {"95th", 95}, {"99th", 99}, {"99.9", 99.9}, {"99.99", 99.99}};

/* YCSB prints whole microseconds; hits of a cache take less than one. */
static void print_us(const char *section, const char *name, double ns, FILE *out)
{
    fprintf(out, "[%s], %s(us), %.3f\n", section, name, ns / 1e3);
}

static void print_section(const char *section, uint64_t operations, uint64_t missing,
                          const struct histogram *latency_ns, FILE *out)
{
    char name[40];
    fprintf(out, "[%s], Operations, %" PRIu64 "\n", section, operations);
    print_us(section, "AverageLatency", histogram_mean(latency_ns), out);
    print_us(section, "MinLatency", (double)histogram_minimum(latency_ns), out);
    print_us(section, "MaxLatency", (double)histogram_maximum(latency_ns), out);
    for (size_t i = 0; i < sizeof(PERCENTILES) / sizeof(PERCENTILES[0]); i++) {
        snprintf(name, sizeof(name), "%sPercentileLatency", PERCENTILES[i].name);
        print_us(section, name, (double)histogram_percentile(latency_ns, PERCENTILES[i].percent),
                 out);
    }
    fprintf(out, "[%s], Return=OK, %" PRIu64 "\n", section, operations - missing);
    if (missing > 0)
        fprintf(out, "[%s], Return=NOT_FOUND, %" PRIu64 "\n", section, missing);
}

static void print_setup(const struct settings *settings, const struct run_result *result, FILE *out)
{
    const struct run_plan *plan = &settings->plan;
    fprintf(out, "[SETUP], Version, %s\n", CAIRN_VERSION);
    fprintf(out, "[SETUP], Target, %s\n", plan->target->name);
    fprintf(out, "[SETUP], Phase, %s\n", settings->phase == YCSB_LOAD ? "load" : "run");
    if (settings->workload != NULL)
        fprintf(out, "[SETUP], Workload, %s\n", settings->workload);
    for (size_t i = 0; i < settings->properties.count; i++)
        fprintf(out, "[SETUP], %s, %s\n", settings->properties.list[i].name,
                settings->properties.list[i].value);
    fprintf(out, "[SETUP], Cache, %s\n", plan->place.cache ? "yes" : "no");
    fprintf(out, "[SETUP], Processes, %u\n", settings->processes.count);
    fprintf(out, "[SETUP], Threads, %u\n", plan->connections);
    fprintf(out, "[SETUP], RecordBytes, %zu\n", plan->workload.value_bytes);
    if (result->stopped)
        fprintf(out, "[SETUP], Stopped, early\n");
}

/* Reads of the warm-up may have found nothing, too. */
static uint64_t missing_of(const struct run_result *result, int operation)
{
    uint64_t all = result->operations[operation];
    if (operation != BENCH_GET)
        return 0;
    return result->missing < all ? result->missing : all;
}

void report_ycsb(const struct settings *settings, const struct run_result *result, FILE *out)
{
    char section[40];
    double per_second = result->seconds > 0 ? (double)result->finished / result->seconds : 0;
    print_setup(settings, result, out);
    fprintf(out, "[OVERALL], RunTime(ms), %.0f\n", result->seconds * 1e3);
    fprintf(out, "[OVERALL], Throughput(ops/sec), %.3f\n", per_second);
    fprintf(out, "[OVERALL], Operations, %" PRIu64 "\n", result->finished);
    for (int i = 0; i < BENCH_OPERATIONS; i++) {
        const char *name = ycsb_operation_name((enum bench_operation)i);
        if (result->operations[i] == 0)
            continue;
        print_section(name, result->operations[i], missing_of(result, i), &result->latency_ns[i],
                      out);
        snprintf(section, sizeof(section), "Intended-%s", name);
        if (histogram_count(&result->intended_ns[i]) > 0)
            print_section(section, result->operations[i], missing_of(result, i),
                          &result->intended_ns[i], out);
    }
}
