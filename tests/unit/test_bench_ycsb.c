/* YCSB's properties: where they come from, which wins, what they mean, and which are refused. */
#include <unistd.h>

#include "tests/unit/bench_settings_fixture.h"

enum { UNIT = 1000000 };

static const struct workload *workload(void)
{
    return &settings.plan.workload;
}

static void expect_shares(unsigned read, unsigned update, unsigned insert, unsigned scan,
                          unsigned modify)
{
    const unsigned *shares = workload()->shares;
    assert_int_equal(shares[BENCH_GET], read * (UNIT / 100));
    assert_int_equal(shares[BENCH_PUT], update * (UNIT / 100));
    assert_int_equal(shares[BENCH_INSERT], insert * (UNIT / 100));
    assert_int_equal(shares[BENCH_SCAN], scan * (UNIT / 100));
    assert_int_equal(shares[BENCH_MODIFY], modify * (UNIT / 100));
    assert_int_equal(shares[BENCH_REMOVE], 0);
}

/* As the table of YCSB's core workloads says. */
static void the_core_workloads_are_those_of_ycsb(void **state)
{
    (void)state;
    const struct {
        const char *letter;
        unsigned read, update, insert, scan, modify;
        enum key_order order;
    } core[] = {
        {"a", 50, 50, 0, 0, 0, KEYS_SCRAMBLED}, {"b", 95, 5, 0, 0, 0, KEYS_SCRAMBLED},
        {"c", 100, 0, 0, 0, 0, KEYS_SCRAMBLED}, {"d", 95, 0, 5, 0, 0, KEYS_LATEST},
        {"e", 0, 0, 5, 95, 0, KEYS_SCRAMBLED},  {"f", 50, 0, 0, 0, 50, KEYS_SCRAMBLED},
    };
    char line[64];
    for (size_t i = 0; i < sizeof(core) / sizeof(core[0]); i++) {
        snprintf(line, sizeof(line), "run --workload %s", core[i].letter);
        assert_int_equal(parse(line), 0);
        expect_shares(core[i].read, core[i].update, core[i].insert, core[i].scan, core[i].modify);
        assert_int_equal(workload()->order, core[i].order);
        assert_int_equal(workload()->keys, 1000);
        assert_int_equal(workload()->value_bytes, 100);
        assert_int_equal(settings.plan.operations, 1000);
    }
    assert_int_equal(parse("run --workload workloade"), 0);
    assert_int_equal(workload()->scan_minimum, 1);
    assert_int_equal(workload()->scan_limit, 100);
    assert_false(workload()->scan_zipfian);
}

static void the_load_inserts_every_record_once(void **state)
{
    (void)state;
    assert_int_equal(parse("load --workload d -p recordcount=500 -p insertstart=100 --warm-up 9"),
                     0);
    for (int i = 0; i < BENCH_OPERATIONS; i++)
        assert_int_equal(workload()->shares[i] > 0, i == BENCH_INSERT);
    assert_int_equal(settings.plan.operations, 400);
    assert_int_equal(settings.plan.warm_up_ms, 0);
    assert_false(settings.load);
    assert_int_equal(ycsb_first_insert(&settings.properties, YCSB_LOAD), 100);
    assert_int_equal(ycsb_first_insert(&settings.properties, YCSB_RUN), 500);
}

static void later_properties_win_and_options_win_over_all(void **state)
{
    (void)state;
    char path[] = "/tmp/test-bench-ycsb-XXXXXX", line[256];
    int descriptor = mkstemp(path);
    const char text[] = "# a comment\n\n! another\n recordcount = 7 \noperationcount:8\n"
                        "requestdistribution=uniform\nthreadcount=3";
    assert_true(descriptor >= 0);
    assert_int_equal(write(descriptor, text, sizeof(text) - 1), sizeof(text) - 1);
    close(descriptor);
    snprintf(line, sizeof(line), "run -p recordcount=5 -P %s -p operationcount=9 --workload a",
             path);
    assert_int_equal(parse(line), 0);
    assert_int_equal(workload()->keys, 7);
    assert_int_equal(settings.plan.operations, 9);
    assert_int_equal(workload()->order, KEYS_UNIFORM);
    assert_int_equal(settings.plan.connections, 3);
    snprintf(line, sizeof(line), "run --keys 11 --threads 4 -P %s -threads 5 -target 77 -s -t",
             path);
    assert_int_equal(parse(line), 0);
    assert_int_equal(workload()->keys, 11);
    assert_int_equal(settings.plan.connections, 4);
    assert_int_equal(settings.plan.rate, 77);
    assert_true(settings.progress);
    unlink(path);
}

static void time_or_number_ends_a_run(void **state)
{
    (void)state;
    assert_int_equal(parse("run --workload a --seconds 3"), 0);
    assert_int_equal(settings.plan.operations, 0);
    assert_int_equal(settings.plan.measure_ms, 3000);
    assert_int_equal(settings.plan.warm_up_ms, 1000);
    assert_int_equal(parse("run --workload a -p maxexecutiontime=3"), 0);
    assert_int_equal(settings.plan.operations, 1000);
    assert_int_equal(settings.plan.measure_ms, 3000);
    assert_int_equal(settings.plan.warm_up_ms, 0);
    refuse("run", "operationcount");
}

static void records_and_keys_are_as_the_properties_say(void **state)
{
    (void)state;
    char text[BENCH_KEY_MAX + 1] = {0};
    assert_int_equal(parse("run --workload a -p fieldcount=10 -p fieldlength=100"), 0);
    assert_int_equal(workload()->value_bytes, 1000);
    /* YCSB's names of its first records. */
    assert_int_equal(workload_key_text(workload(), 0, text).length, 23);
    assert_memory_equal(text, "user6284781860667377211", 23);
    workload_key_text(workload(), 1, text);
    assert_memory_equal(text, "user8517097267634966620", 23);
    assert_int_equal(
        parse("run --workload a -p insertorder=ordered -p zeropadding=6 -p keyprefix=x"), 0);
    assert_int_equal(workload_key_text(workload(), 42, text).length, 7);
    assert_memory_equal(text, "x000042", 7);
}

static void ycsbs_other_properties_are_known_and_others_are_not(void **state)
{
    (void)state;
    assert_int_equal(parse("run --workload a -p table=t -p dataintegrity=true"), 0);
    assert_non_null(ycsb_ignored("table"));
    assert_null(ycsb_ignored("recordcount"));
    refuse("run --workload a -p recordcuont=5", "recordcuont: unknown");
}

static void what_is_wrong_is_named(void **state)
{
    (void)state;
    refuse("run --workload g", "--workload g");
    refuse("--workload a", "--workload");
    refuse("run --workload a -p recordcount=x", "recordcount=x");
    refuse("run --workload a -p recordcount=-1", "recordcount=-1");
    refuse("run --workload a -p readproportion=1.5", "readproportion=1.5");
    refuse("run --workload a -p readproportion=0 -p updateproportion=0", "all proportions are 0");
    refuse("run --workload a -p requestdistribution=hotspot", "hotspot: none of uniform");
    refuse("run --workload a -p insertstart=900 -p insertcount=200", "recordcount=1000");
    refuse("run --workload a -p fieldcount=1000000 -p fieldlength=1000", "fieldlength");
    refuse("run --workload e --target redis", "scanproportion");
    refuse("run --workload a --order zipfian", "--order");
    refuse("run --workload a -p nothing", "NAME=VALUE");
    refuse("run -p", "-p: needs a value");
    refuse("load -t", "-t");
    assert_int_equal(parse("run -P /nonexistent/file"), CAIRN_EIO);
    assert_non_null(strstr(error.message, "/nonexistent/file"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_core_workloads_are_those_of_ycsb),
        cmocka_unit_test(the_load_inserts_every_record_once),
        cmocka_unit_test(later_properties_win_and_options_win_over_all),
        cmocka_unit_test(time_or_number_ends_a_run),
        cmocka_unit_test(records_and_keys_are_as_the_properties_say),
        cmocka_unit_test(ycsbs_other_properties_are_known_and_others_are_not),
        cmocka_unit_test(what_is_wrong_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
