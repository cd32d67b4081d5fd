/* The runner counts what it did, ends as told, and reports failures; against a store in memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "bench/runner.h"

enum { KEYS = 64, SLOW_MS = 200 };

/* What the sessions of a run share: which keys were written how often. */
static struct {
    _Atomic uint64_t puts[KEYS], calls, sessions, open_sessions;
    uint64_t fail_at; /* this call fails; 0: none */
    bool refuse;      /* the third session cannot be opened */
    uint64_t slow_at; /* this call takes SLOW_MS; 0: none */
    /* Of runs that insert: when a key is put, it is there; what was read and was not. */
    bool inserts;
    atomic_bool there[KEYS * 100];
    _Atomic uint64_t unknown;
    struct shared *stops; /* are told to stop by the 100th call */
} store;

struct session {
    bool busy;
};

static int open_session(const struct target_place *place, struct session **session,
                        struct error *error)
{
    (void)place;
    *session = NULL;
    if (atomic_fetch_add(&store.sessions, 1) == 2 && store.refuse)
        return error_set(error, CAIRN_EUNAVAILABLE, "memory: refused");
    atomic_fetch_add(&store.open_sessions, 1);
    *session = calloc(1, sizeof(**session));
    return 0;
}

static void close_session(struct session *session)
{
    atomic_fetch_sub(&store.open_sessions, 1);
    free(session);
}

static int count_call(struct session *session, struct error *error)
{
    assert_false(session->busy);
    uint64_t number = atomic_fetch_add(&store.calls, 1) + 1;
    if (number == store.slow_at)
        clock_sleep_ms(SLOW_MS);
    if (number == 100 && store.stops != NULL)
        atomic_store(&store.stops->stop, true);
    if (number == store.fail_at)
        return error_set(error, CAIRN_EUNAVAILABLE, "memory: the call failed");
    return 0;
}

static uint64_t number_of(struct bytes key)
{
    char text[32] = {0};
    memcpy(text, key.data, key.length);
    return strtoul(text + 1, NULL, 10);
}

static int put(struct session *session, struct bytes key, struct bytes value, struct error *error)
{
    (void)value;
    if (!store.inserts) {
        atomic_fetch_add(&store.puts[number_of(key)], 1);
        return count_call(session, error);
    }
    int status = count_call(session, error);
    assert_false(atomic_exchange(&store.there[number_of(key)], true));
    return status;
}

static int get(struct session *session, struct bytes key, bool *found, struct error *error)
{
    *found = store.inserts && atomic_load(&store.there[number_of(key)]);
    if (store.inserts && !*found)
        atomic_fetch_add(&store.unknown, 1);
    return count_call(session, error);
}

/* A hit and two misses for each call. */
static void count_calls(const struct target_place *place, struct target_counts *counts)
{
    assert_true(place->cache);
    *counts = (struct target_counts){.hits = store.calls, .misses = 2 * store.calls};
}

static const struct target target_memory = {.name = "memory",
                                            .open = open_session,
                                            .close = close_session,
                                            .put = put,
                                            .get = get,
                                            .count = count_calls};

static struct run_plan make_plan(uint32_t connections, uint64_t operations)
{
    memset(&store, 0, sizeof(store));
    return (struct run_plan){
        .target = &target_memory,
        .workload = {.shares = {100, 0, 0, 0}, .keys = KEYS, .key_bytes = 8, .value_bytes = 10},
        .connections = connections,
        .operations = operations,
        .seed = 1,
    };
}

static struct run_result result;

static void a_count_is_done_exactly(void **state)
{
    (void)state;
    struct error error = {0};
    struct run_plan plan = make_plan(8, KEYS * 3);
    plan.workload.order = KEYS_SEQUENTIAL;
    assert_int_equal(run_workload(&plan, &result, &error), 0);
    assert_int_equal(store.calls, KEYS * 3);
    assert_int_equal(result.operations[BENCH_PUT], KEYS * 3);
    assert_int_equal(histogram_count(&result.latency_ns[BENCH_PUT]), KEYS * 3);
    for (size_t i = 0; i < KEYS; i++)
        assert_int_equal(store.puts[i], 3);
    assert_int_equal(store.sessions, 8);
    assert_int_equal(store.open_sessions, 0);
}

static void a_time_ends_the_run_and_the_warm_up_is_not_counted(void **state)
{
    (void)state;
    struct error error = {0};
    struct run_plan plan = make_plan(2, 0);
    plan.warm_up_ms = 50;
    plan.measure_ms = 50;
    assert_int_equal(run_workload(&plan, &result, &error), 0);
    assert_true(result.operations[BENCH_PUT] > 0);
    assert_true(store.calls > result.operations[BENCH_PUT]);
    assert_int_equal(result.executed, store.calls);
    assert_true(result.seconds > 0);
}

static void batches_are_counted_by_their_operations(void **state)
{
    (void)state;
    struct error error = {0};
    struct run_plan plan = make_plan(2, 1000);
    plan.batch = 100;
    assert_int_equal(run_workload(&plan, &result, &error), 0);
    assert_int_equal(store.calls, 1000);
    assert_int_equal(result.operations[BENCH_PUT], 1000);
    assert_int_equal(result.executed, 1000);
    assert_int_equal(histogram_count(&result.latency_ns[BENCH_PUT]), 10);
    uint64_t written = 0;
    for (size_t i = 0; i < KEYS; i++)
        written += store.puts[i] > 0;
    assert_true(written > KEYS / 2);
}

/* Two operations of four are due at once, one for each connection, the others 50 ms later. */
static void a_rate_spreads_the_operations(void **state)
{
    (void)state;
    struct error error = {0};
    struct run_plan plan = make_plan(2, 4);
    plan.rate = 40;
    assert_int_equal(run_workload(&plan, &result, &error), 0);
    assert_int_equal(store.calls, 4);
    assert_true(result.seconds >= 0.05);
}

/* The second of ten operations that are due each 10 ms takes 200 ms: the service times of the
 * others do not show it, but those that waited behind it were late. */
static void intended_latencies_count_the_wait_behind_a_slow_operation(void **state)
{
    (void)state;
    struct error error = {0};
    struct run_plan plan = make_plan(1, 10);
    plan.rate = 100;
    store.slow_at = 2;
    assert_int_equal(run_workload(&plan, &result, &error), 0);
    const struct histogram *service = &result.latency_ns[BENCH_PUT],
                           *intended = &result.intended_ns[BENCH_PUT];
    assert_int_equal(histogram_count(service), 10);
    assert_int_equal(histogram_count(intended), 10);
    assert_true(histogram_maximum(service) >= SLOW_MS * UINT64_C(1000000));
    /* Those due 10 to 80 ms after the slow one were served at least 120 to 190 ms late. */
    assert_true(histogram_percentile(intended, 20) >= (SLOW_MS - 80) * UINT64_C(1000000));
    assert_true(histogram_mean(intended) > 5 * histogram_mean(service));
    plan = make_plan(1, 10);
    assert_int_equal(run_workload(&plan, &result, &error), 0);
    assert_int_equal(histogram_count(&result.intended_ns[BENCH_PUT]), 0);
}

/* While four clients insert, they read the newest keys: each must be there. */
static void no_key_is_read_before_its_insert_is_acknowledged(void **state)
{
    (void)state;
    struct error error = {0};
    struct shared *shared;
    struct run_plan plan = make_plan(4, 10000);
    assert_int_equal(shared_create(&shared, &error), 0);
    store.inserts = true;
    for (int i = 0; i < KEYS; i++)
        store.there[i] = true;
    key_space_init(&shared->keys, KEYS);
    plan.shared = shared;
    plan.workload = (struct workload){.shares = {[BENCH_GET] = 80, [BENCH_INSERT] = 20},
                                      .order = KEYS_LATEST,
                                      .keys = KEYS,
                                      .form = KEY_ORDERED,
                                      .prefix = "k",
                                      .space = &shared->keys};
    assert_int_equal(workload_prepare(&plan.workload, &error), 0);
    assert_int_equal(run_workload(&plan, &result, &error), 0);
    assert_int_equal(result.missing, 0);
    assert_int_equal(store.unknown, 0);
    assert_int_equal(key_space_limit(&shared->keys), KEYS + result.operations[BENCH_INSERT]);
    assert_true(result.operations[BENCH_INSERT] > 1500);
    assert_int_equal(result.finished, 10000);
    shared_free(shared);
}

static void a_change_of_what_was_read_counts_as_three(void **state)
{
    (void)state;
    struct error error = {0};
    struct run_plan plan = make_plan(2, 100);
    plan.workload.shares[BENCH_PUT] = 0;
    plan.workload.shares[BENCH_MODIFY] = 100;
    assert_int_equal(run_workload(&plan, &result, &error), 0);
    assert_int_equal(store.calls, 200);
    assert_int_equal(result.finished, 100);
    assert_int_equal(result.operations[BENCH_MODIFY], 100);
    assert_int_equal(result.operations[BENCH_GET], 100);
    assert_int_equal(result.operations[BENCH_PUT], 100);
    assert_true(histogram_minimum(&result.latency_ns[BENCH_MODIFY]) >=
                histogram_minimum(&result.latency_ns[BENCH_GET]) +
                    histogram_minimum(&result.latency_ns[BENCH_PUT]));
}

static void a_run_that_is_stopped_tells_what_it_measured(void **state)
{
    (void)state;
    struct error error = {0};
    struct run_plan plan = make_plan(2, UINT64_C(1) << 60);
    assert_int_equal(shared_create(&store.stops, &error), 0);
    plan.shared = store.stops;
    assert_int_equal(run_workload(&plan, &result, &error), 0);
    assert_true(result.stopped);
    assert_true(result.finished >= 100);
    /* What each connection had under way at the stop may come too late to be counted. */
    assert_in_range(result.finished, store.calls - plan.connections, store.calls);
    shared_free(store.stops);
}

static int count_ready(void *context, struct error *error)
{
    int *times = context;
    assert_int_equal(store.open_sessions, 3);
    assert_int_equal(store.calls, 0);
    return ++*times == 2 ? error_set(error, CAIRN_ECANCELED, "not today") : 0;
}

static void all_are_connected_before_anything_is_done_and_it_may_be_refused(void **state)
{
    (void)state;
    struct error error = {0};
    int times = 0;
    const struct run_ready ready = {count_ready, &times};
    struct run_plan plan = make_plan(3, 100);
    plan.ready = &ready;
    assert_int_equal(run_workload(&plan, &result, &error), 0);
    assert_int_equal(store.calls, 100);
    plan = make_plan(3, 100);
    plan.ready = &ready;
    assert_int_equal(run_workload(&plan, &result, &error), CAIRN_ECANCELED);
    assert_string_equal(error.message, "not today");
    assert_int_equal(store.calls, 0);
    assert_int_equal(times, 2);
}

static void what_the_cache_counted_meanwhile_is_told(void **state)
{
    (void)state;
    struct error error = {0};
    struct run_plan plan = make_plan(1, 10);
    assert_int_equal(run_workload(&plan, &result, &error), 0);
    assert_int_equal(result.counts.hits, 0);
    plan.place.cache = true;
    assert_int_equal(run_workload(&plan, &result, &error), 0);
    assert_int_equal(result.counts.hits, 10);
    assert_int_equal(result.counts.misses, 20);
}

static void gets_that_find_nothing_are_counted(void **state)
{
    (void)state;
    struct error error = {0};
    struct run_plan plan = make_plan(3, 100);
    plan.workload.shares[BENCH_PUT] = 0;
    plan.workload.shares[BENCH_GET] = 100;
    assert_int_equal(run_workload(&plan, &result, &error), 0);
    assert_int_equal(result.missing, 100);
}

static void a_failure_ends_the_run_with_its_message(void **state)
{
    (void)state;
    struct error error = {0};
    struct run_plan plan = make_plan(4, UINT64_C(1) << 60);
    store.fail_at = 1000;
    assert_int_equal(run_workload(&plan, &result, &error), CAIRN_EUNAVAILABLE);
    assert_string_equal(error.message, "memory: the call failed");
    assert_int_equal(store.open_sessions, 0);
}

static void a_session_that_cannot_be_opened_ends_the_run_before_it_begins(void **state)
{
    (void)state;
    struct error error = {0};
    struct run_plan plan = make_plan(4, 1000);
    store.refuse = true;
    assert_int_equal(run_workload(&plan, &result, &error), CAIRN_EUNAVAILABLE);
    assert_string_equal(error.message, "memory: refused");
    assert_int_equal(store.calls, 0);
    assert_int_equal(store.open_sessions, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_count_is_done_exactly),
        cmocka_unit_test(a_time_ends_the_run_and_the_warm_up_is_not_counted),
        cmocka_unit_test(batches_are_counted_by_their_operations),
        cmocka_unit_test(a_rate_spreads_the_operations),
        cmocka_unit_test(intended_latencies_count_the_wait_behind_a_slow_operation),
        cmocka_unit_test(no_key_is_read_before_its_insert_is_acknowledged),
        cmocka_unit_test(a_change_of_what_was_read_counts_as_three),
        cmocka_unit_test(a_run_that_is_stopped_tells_what_it_measured),
        cmocka_unit_test(all_are_connected_before_anything_is_done_and_it_may_be_refused),
        cmocka_unit_test(what_the_cache_counted_meanwhile_is_told),
        cmocka_unit_test(gets_that_find_nothing_are_counted),
        cmocka_unit_test(a_failure_ends_the_run_with_its_message),
        cmocka_unit_test(a_session_that_cannot_be_opened_ends_the_run_before_it_begins),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
