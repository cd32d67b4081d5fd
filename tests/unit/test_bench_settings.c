/* The command line: what is measured, through which cache, and what does not go together. */
#include "tests/unit/bench_settings_fixture.h"

static void without_options_half_of_a_mix_is_read_by_calls(void **state)
{
    (void)state;
    assert_int_equal(parse(""), 0);
    assert_int_equal(settings.plan.workload.shares[BENCH_GET], 50);
    assert_int_equal(settings.plan.workload.shares[BENCH_PUT], 50);
    assert_false(settings.plan.place.cache);
    assert_int_equal(settings.processes.count, 1);
    assert_int_equal(settings.player.hosts, 0);
    assert_string_equal(settings.own_name, "");
    assert_true(settings.load);
}

static void a_run_without_a_name_has_a_cache_of_its_own(void **state)
{
    (void)state;
    assert_int_equal(parse("--cache --cache-bytes 8M"), 0);
    assert_true(settings.plan.place.cache);
    assert_memory_equal(settings.own_name, "bench-", 6);
    assert_string_equal(settings.plan.place.cache_name, settings.own_name);
    assert_int_equal(settings.plan.place.cache_bytes, 8 << 20);
    assert_int_equal(parse("--cache --cache-name shared --no-agent"), 0);
    assert_string_equal(settings.own_name, "");
    assert_string_equal(settings.plan.place.cache_name, "shared");
    assert_true(settings.plan.place.no_agent);
}

static void what_is_measured_follows_the_options(void **state)
{
    (void)state;
    assert_int_equal(
        parse("--operation get --order zipfian --batch 100 --rate 7 --processes 2 --keys 9"), 0);
    assert_int_equal(settings.plan.workload.order, KEYS_ZIPFIAN);
    assert_int_equal(settings.plan.workload.zipfian.count, 9);
    assert_int_equal(settings.plan.batch, 100);
    assert_int_equal(settings.plan.rate, 7);
    assert_int_equal(settings.processes.count, 2);
    assert_int_equal(parse("--play-hosts 10 --server 127.0.0.1:1 --keys 5"), 0);
    assert_int_equal(settings.player.hosts, 10);
    assert_int_equal(settings.player.workload.keys, 5);
}

static void each_target_has_its_place(void **state)
{
    static const struct {
        const char *line, *target, *address;
    } places[] = {
        {"--manager a:1,b:2", "cairn", "a:1,b:2"},
        {"--target redis --redis a:1 --lmdb x", "redis", "a:1"},
        {"--target lmdb --lmdb some/where", "lmdb", "some/where"},
        {"--target etcd --etcd a:1,b:2", "etcd", "a:1,b:2"},
        {"--target etcd", "etcd", "127.0.0.1:2379"},
        {"--target workload --command cat", "workload", "cat"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        assert_int_equal(parse(places[i].line), 0);
        assert_string_equal(settings.plan.target->name, places[i].target);
        assert_string_equal(settings.plan.place.address, places[i].address);
    }
    refuse("--target mysql", "--target mysql: not cairn, redis, lmdb, etcd or workload");
    refuse("--target lmdb", "needs --lmdb");
    refuse("--target workload", "needs --command");
    refuse("--target workload --command cat --value-size 0", "--value-size 0");
    assert_int_equal(parse("--target lmdb --lmdb x --value-size 0 --operation scan"), 0);
}

static void what_does_not_go_together_is_refused(void **state)
{
    (void)state;
    refuse("--batch 2", "--batch 2");
    refuse("--batch 2 --operation get --order sequential", "--batch 2");
    refuse("--count 2 --processes 3", "--count 2");
    refuse("--cache-name x", "without --cache");
    refuse("--no-agent", "without --cache");
    refuse("--cache --separate-caches", "--cache-name");
    refuse("--cache --target redis", "redis");
    refuse("--play-hosts 3", "--server");
    refuse("--server 127.0.0.1:1", "--play-hosts");
    refuse("--order random", "--order random");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_options_half_of_a_mix_is_read_by_calls),
        cmocka_unit_test(a_run_without_a_name_has_a_cache_of_its_own),
        cmocka_unit_test(what_is_measured_follows_the_options),
        cmocka_unit_test(each_target_has_its_place),
        cmocka_unit_test(what_does_not_go_together_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
