/* What a run prints: YCSB's summary line by line, JSON with all of it, and the line of progress. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "bench/report.h"

static struct settings settings;
static struct run_result result;

/* Two GETs of 100 and 300 microseconds, one of which found nothing, due 1 ms before. */
static int setup(void **state)
{
    (void)state;
    memset(&settings, 0, sizeof(settings));
    memset(&result, 0, sizeof(result));
    for (int i = 0; i < BENCH_OPERATIONS; i++) {
        histogram_init(&result.latency_ns[i]);
        histogram_init(&result.intended_ns[i]);
    }
    settings.phase = YCSB_RUN;
    settings.workload = "c";
    settings.processes.count = 1;
    settings.plan.target = target_find("cairn");
    settings.plan.connections = 4;
    settings.plan.workload.value_bytes = 100;
    properties_set(&settings.properties, "recordcount", "7", NULL);
    result.seconds = 0.5;
    result.finished = 2;
    result.missing = 1;
    result.operations[BENCH_GET] = 2;
    for (uint64_t ns = 100000; ns <= 300000; ns += 200000) {
        histogram_record(&result.latency_ns[BENCH_GET], ns);
        histogram_record(&result.intended_ns[BENCH_GET], ns + 1000000);
    }
    return 0;
}

/* Ended by the caller with free. */
static char *print(void)
{
    char *text = NULL;
    size_t length;
    struct error error;
    FILE *out = open_memstream(&text, &length);
    assert_non_null(out);
    assert_int_equal(report_print(&settings, &result, out, &error), 0);
    fclose(out);
    return text;
}

static void the_summary_is_that_of_ycsb(void **state)
{
    (void)state;
    char *text = print();
    const char expected[] = "[OVERALL], RunTime(ms), 500\n"
                            "[OVERALL], Throughput(ops/sec), 4.000\n"
                            "[OVERALL], Operations, 2\n"
                            "[READ], Operations, 2\n"
                            "[READ], AverageLatency(us), 200.000\n"
                            "[READ], MinLatency(us), 100.000\n"
                            "[READ], MaxLatency(us), 300.000\n"
                            "[READ], 50thPercentileLatency(us), 100.351\n"
                            "[READ], 95thPercentileLatency(us), 300.000\n"
                            "[READ], 99thPercentileLatency(us), 300.000\n"
                            "[READ], 99.9PercentileLatency(us), 300.000\n"
                            "[READ], 99.99PercentileLatency(us), 300.000\n"
                            "[READ], Return=OK, 1\n"
                            "[READ], Return=NOT_FOUND, 1\n"
                            "[Intended-READ], Operations, 2\n"
                            "[Intended-READ], AverageLatency(us), 1200.000\n";
    char *overall = strstr(text, "[OVERALL]");
    assert_non_null(overall);
    assert_memory_equal(overall, expected, sizeof(expected) - 1);
    assert_non_null(strstr(text, "[SETUP], Target, cairn\n"));
    assert_non_null(strstr(text, "[SETUP], Workload, c\n"));
    assert_non_null(strstr(text, "[SETUP], recordcount, 7\n"));
    assert_null(strstr(text, "Stopped"));
    free(text);
    result.stopped = true;
    text = print();
    assert_non_null(strstr(text, "[SETUP], Stopped, early\n"));
    free(text);
}

static void json_has_all_of_it(void **state)
{
    (void)state;
    settings.json = true;
    char *text = print();
    json_t *object = json_loads(text, 0, NULL), *get, *intended;
    assert_non_null(object);
    get = json_object_get(json_object_get(object, "operations"), "get");
    intended = json_object_get(get, "intended");
    assert_string_equal(json_string_value(json_object_get(object, "version")), CAIRN_VERSION);
    assert_string_equal(json_string_value(json_object_get(object, "phase")), "run");
    assert_string_equal(
        json_string_value(json_object_get(json_object_get(object, "properties"), "recordcount")),
        "7");
    assert_int_equal(json_integer_value(json_object_get(object, "all_operations")), 2);
    assert_int_equal(json_integer_value(json_object_get(get, "count")), 2);
    assert_true(json_real_value(json_object_get(get, "p9999_us")) == 300);
    assert_true(json_real_value(json_object_get(intended, "mean_us")) == 1200);
    assert_true(json_is_false(json_object_get(object, "stopped")));
    json_decref(object);
    free(text);
}

static void progress_tells_rates_and_what_is_left(void **state)
{
    (void)state;
    char text[PROGRESS_LINE_SIZE];
    struct progress progress;
    struct progress_options options = {.label = "run", .operations = 4000};
    progress_begin(&progress, &options, 1000);
    progress.told_ms = 2000;
    progress.told_operations = 100;
    progress_text(&progress, 3000, 1000, text);
    assert_string_equal(text, "run 2 s: 1000 operations, 900/s now, 500/s so far, 25%, 6 s left");
    options = (struct progress_options){.label = "run", .milliseconds = 10000};
    progress_text(&progress, 3000, 1000, text);
    assert_non_null(strstr(text, ", 20%, 8 s left"));
}

static void progress_is_told_in_its_time_and_only_if_wanted(void **state)
{
    (void)state;
    char *text = NULL;
    size_t length;
    struct progress progress;
    FILE *out = open_memstream(&text, &length);
    const struct progress_options options = {
        .out = out, .interval_ms = 1000, .label = "load", .operations = 10};
    progress_begin(&progress, &options, 0);
    progress_tell(&progress, 999, 1);
    fflush(out);
    assert_int_equal(length, 0);
    progress_tell(&progress, 1000, 2);
    progress_tell(&progress, 1500, 3);
    progress_end(&progress);
    fclose(out);
    assert_string_equal(text, "load 1 s: 2 operations, 2/s now, 2/s so far, 20%, 4 s left\n");
    free(text);
    progress_begin(&progress, NULL, 0);
    progress_tell(&progress, 5000, 1);
    progress_end(&progress);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(the_summary_is_that_of_ycsb, setup),
        cmocka_unit_test_setup(json_has_all_of_it, setup),
        cmocka_unit_test(progress_tells_rates_and_what_is_left),
        cmocka_unit_test(progress_is_told_in_its_time_and_only_if_wanted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
