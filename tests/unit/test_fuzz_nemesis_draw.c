/* What the nemesis draws: the same by the same seed, of the kinds asked for, within the cluster and
 * within what the protocol allows. And its clocks, which change their rate without a jump. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fuzz/fault.h"
#include "fuzz/nemesis.h"
#include "fuzz/preload/control.h"

enum { DRAWS = 2000, SERVERS = 3, CLIENT_HOSTS = 2, HOSTS = 1 + SERVERS + CLIENT_HOSTS };

static const uint32_t every_kind = (1U << NEMESIS_KINDS) - 1;

static struct fault_plan plan_of(uint32_t kinds)
{
    return (struct fault_plan){.kinds = kinds,
                               .servers = SERVERS,
                               .partitions = 8,
                               .client_hosts = CLIENT_HOSTS,
                               .hold_min_ms = 20,
                               .hold_max_ms = 90};
}

static void test_kinds_are_parsed_and_a_wrong_one_is_named_with_the_right_ones(void **state)
{
    struct nemesis_kinds kinds;
    struct error error = {0};

    (void)state;
    assert_int_equal(nemesis_parse("clock,kill", &kinds, &error), 0);
    assert_int_equal(kinds.bits, 1U << NEMESIS_CLOCK | 1U << NEMESIS_KILL);
    assert_false(kinds.where_usable);
    assert_int_equal(nemesis_parse(nemesis_kind_names(), &kinds, &error), 0);
    assert_int_equal(kinds.bits, every_kind);
    assert_int_equal(nemesis_parse("all", &kinds, &error), 0);
    assert_int_equal(kinds.bits, every_kind);
    assert_true(kinds.where_usable);
    assert_int_equal(nemesis_parse("none", &kinds, &error), 0);
    assert_int_equal(kinds.bits, 0);
    assert_int_equal(nemesis_parse("kill,tsunami,clock", &kinds, &error), CAIRN_EINVAL);
    assert_non_null(strstr(error.message, "tsunami"));
    assert_null(strstr(error.message, "tsunami,clock"));
    assert_non_null(strstr(error.message, nemesis_kind_names()));
    assert_int_equal(nemesis_parse("kill,", &kinds, &error), CAIRN_EINVAL);
    assert_int_equal(nemesis_parse("kil", &kinds, &error), CAIRN_EINVAL);
    assert_int_equal(nemesis_parse("kills", &kinds, &error), CAIRN_EINVAL);
}

static void test_a_seed_names_the_faults_of_a_run(void **state)
{
    struct fault_plan plan = plan_of(every_kind);
    struct random left, right, other;
    struct fault of_left[2], of_right[2], of_other[2];
    unsigned differ = 0;

    (void)state;
    random_seed(&left, 7);
    random_seed(&right, 7);
    random_seed(&other, 8);
    for (int i = 0; i < DRAWS; i++) {
        unsigned count = fault_draw(&left, &plan, of_left);
        assert_int_equal(fault_draw(&right, &plan, of_right), count);
        assert_memory_equal(of_left, of_right, count * sizeof *of_left);
        unsigned other_count = fault_draw(&other, &plan, of_other);
        differ += other_count != count || memcmp(of_left, of_other, sizeof *of_left) != 0;
    }
    assert_true(differ > DRAWS / 2);
}

static void test_all_kinds_asked_for_are_drawn_and_no_others(void **state)
{
    const uint32_t kinds = 1U << NEMESIS_PAUSE | 1U << NEMESIS_MOVE | 1U << NEMESIS_DISK_FULL;
    struct fault_plan plan = plan_of(kinds);
    struct fault faults[2];
    struct random random;
    unsigned pairs = 0;
    uint32_t seen = 0;

    (void)state;
    random_seed(&random, 1);
    for (int i = 0; i < DRAWS; i++) {
        unsigned count = fault_draw(&random, &plan, faults);
        for (unsigned j = 0; j < count; j++)
            seen |= 1U << faults[j].kind;
        pairs += count == 2;
        if (count == 2)
            assert_int_not_equal(faults[0].kind, faults[1].kind);
    }
    assert_int_equal(seen, kinds);
    assert_in_range(pairs, DRAWS / 10, DRAWS - DRAWS / 10);
}

static void check_fault(const struct fault *fault)
{
    assert_in_range(fault->hold_ms, 20, 90);
    assert_int_equal(fault->hosts >> HOSTS, 0);
    if (fault->kind == NEMESIS_KILL || fault->kind == NEMESIS_SLOW_DISK ||
        fault->kind == NEMESIS_DISK_FULL) {
        assert_int_not_equal(fault->hosts, 0);
        assert_int_equal(fault->hosts & ~(((1U << SERVERS) - 1) << 1), 0);
    }
    for (uint32_t i = 0; i < fault->move_count; i++) {
        assert_in_range(fault->moves[i].partition, 0, 7);
        assert_in_range(fault->moves[i].server, 0, SERVERS - 1);
    }
    for (unsigned i = 0; i < NETWORK_HOSTS_MAX; i++) {
        assert_int_equal(fault->cut[i] >> i & 1, 0);
        assert_true(i < HOSTS ? fault->cut[i] >> HOSTS == 0 : fault->cut[i] == 0);
        assert_true(llabs(fault->rate_ppm[i]) < 10000);
    }
}

static void test_faults_stay_within_the_cluster_and_spare_the_operator(void **state)
{
    struct fault_plan plan = plan_of(every_kind);
    struct fault faults[2];
    struct random random;

    (void)state;
    random_seed(&random, 2);
    for (int i = 0; i < DRAWS; i++) {
        unsigned count = fault_draw(&random, &plan, faults);
        for (unsigned j = 0; j < count; j++)
            check_fault(&faults[j]);
    }
}

/* Whether the cut is one way only, of one link both ways, or of more than one link. */
static void classify(const struct fault *fault, unsigned seen[3])
{
    unsigned links = 0;

    for (unsigned i = 0; i < HOSTS; i++)
        links += (unsigned)__builtin_popcount(fault->cut[i]);
    assert_true(links > 0);
    seen[links <= 1 ? 0 : links == 2 ? 1 : 2]++;
}

static void test_links_are_cut_one_way_both_ways_and_in_groups(void **state)
{
    struct fault_plan plan = plan_of(1U << NEMESIS_PARTITION);
    unsigned seen[3] = {0};
    struct fault faults[2];
    struct random random;

    (void)state;
    random_seed(&random, 3);
    for (int i = 0; i < DRAWS; i++) {
        assert_int_equal(fault_draw(&random, &plan, faults), 1);
        classify(&faults[0], seen);
    }
    for (int i = 0; i < 3; i++)
        assert_true(seen[i] > DRAWS / 10);
}

/* Alone, or with one server that it can still ask. */
static void test_a_host_of_clients_is_cut_off_alone_and_with_a_server(void **state)
{
    const uint32_t all = (1U << HOSTS) - 1, servers = ((1U << SERVERS) - 1) << 1;
    struct fault_plan plan = plan_of(1U << NEMESIS_PARTITION);
    unsigned alone = 0, with_server = 0;
    struct fault faults[2];
    struct random random;

    (void)state;
    random_seed(&random, 5);
    for (int i = 0; i < DRAWS; i++) {
        fault_draw(&random, &plan, faults);
        for (unsigned client = 1 + SERVERS; client < HOSTS; client++) {
            uint32_t group = all & ~faults[0].cut[client], others = group & ~(1U << client);
            alone += others == 0;
            with_server += __builtin_popcount(others) == 1 && (others & servers) == others;
        }
    }
    assert_true(alone > DRAWS / 10 && with_server > DRAWS / 10);
}

static void test_links_are_cut_before_anything_else_happens(void **state)
{
    struct fault_plan plan = plan_of(1U << NEMESIS_PARTITION | 1U << NEMESIS_KILL);
    unsigned pairs = 0, at_once = 0;
    struct fault faults[2];
    struct random random;

    (void)state;
    random_seed(&random, 6);
    for (int i = 0; i < DRAWS; i++) {
        if (fault_draw(&random, &plan, faults) == 1)
            continue;
        assert_int_equal(faults[0].kind, NEMESIS_PARTITION);
        pairs++;
        at_once += faults[1].at_once;
    }
    assert_true(pairs > DRAWS / 10);
    assert_in_range(at_once, pairs / 3, pairs * 2 / 3);
}

static void test_clocks_reach_both_ends_of_what_is_allowed(void **state)
{
    struct fault_plan plan = plan_of(1U << NEMESIS_CLOCK);
    bool apart = false;
    struct fault faults[2];
    struct random random;

    (void)state;
    random_seed(&random, 4);
    for (int i = 0; i < DRAWS; i++) {
        fault_draw(&random, &plan, faults);
        for (int j = 1; j <= SERVERS; j++)
            for (int k = 1; k <= SERVERS; k++)
                apart |= faults[0].rate_ppm[j] - faults[0].rate_ppm[k] == 2 * FAULT_RATE_MAX_PPM;
    }
    assert_true(apart);
}

static void test_a_clock_changes_its_rate_without_a_jump(void **state)
{
    const int64_t second = 1000000000;
    const struct control_clock clock = {
        .from_ns = 50 * second, .skew_ns = 7, .rate_before_ppm = 9900, .rate_ppm = -9900};
    int64_t last_ns = 0;

    (void)state;
    assert_int_equal(control_clock_skew(&clock, 50 * second), 7);
    assert_int_equal(control_clock_skew(&clock, 51 * second), 7 - 9900000);
    assert_int_equal(control_clock_skew(&clock, 49 * second), 7 - 9900000);
    for (int64_t now_ns = 49 * second; now_ns < 51 * second; now_ns += 1717) {
        int64_t shown_ns = now_ns + control_clock_skew(&clock, now_ns);
        if (last_ns != 0)
            assert_in_range(shown_ns - last_ns, 1717 - 19, 1717 + 19);
        last_ns = shown_ns;
    }
    /* A century of one percent. */
    assert_int_equal(control_clock_skew(&clock, 50 * second + 3000000000 * second),
                     7 - 29700000 * second);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kinds_are_parsed_and_a_wrong_one_is_named_with_the_right_ones),
        cmocka_unit_test(test_a_seed_names_the_faults_of_a_run),
        cmocka_unit_test(test_all_kinds_asked_for_are_drawn_and_no_others),
        cmocka_unit_test(test_faults_stay_within_the_cluster_and_spare_the_operator),
        cmocka_unit_test(test_links_are_cut_one_way_both_ways_and_in_groups),
        cmocka_unit_test(test_a_host_of_clients_is_cut_off_alone_and_with_a_server),
        cmocka_unit_test(test_links_are_cut_before_anything_else_happens),
        cmocka_unit_test(test_clocks_reach_both_ends_of_what_is_allowed),
        cmocka_unit_test(test_a_clock_changes_its_rate_without_a_jump),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
