/* A run in several processes: all begin together, results add up, a failure of one ends all with
 * its message. Against a store in memory that the processes share. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "bench/processes.h"

enum { KEYS = 64, NAME_SIZE = 32 };

/* Seen by all processes. */
static struct store {
    _Atomic uint64_t calls, sessions, too_early;
    uint64_t expected; /* sessions, before the first call */
    uint64_t refused;  /* the session with this number cannot be opened; 0: none */
    uint64_t dies;     /* so with the process that opens this one */
    char names[4][NAME_SIZE];
    _Atomic unsigned inserted[1000];
} * store;

struct session {
    bool used;
};

static int open_session(const struct target_place *place, struct session **session,
                        struct error *error)
{
    uint64_t number = atomic_fetch_add(&store->sessions, 1) + 1;
    *session = NULL;
    if (number == store->refused)
        return error_set(error, CAIRN_EUNAVAILABLE, "memory: refused");
    if (number == store->dies)
        _exit(3);
    if (place->cache_name != NULL && number <= 4)
        snprintf(store->names[number - 1], NAME_SIZE, "%s", place->cache_name);
    *session = calloc(1, sizeof(**session));
    return 0;
}

static void close_session(struct session *session)
{
    free(session);
}

static int put(struct session *session, struct bytes key, struct bytes value, struct error *error)
{
    char text[32] = {0};
    (void)session, (void)value, (void)error;
    memcpy(text, key.data, key.length);
    atomic_fetch_add(&store->inserted[strtoul(text + 1, NULL, 10)], 1);
    atomic_fetch_add(&store->calls, 1);
    if (store->sessions < store->expected)
        atomic_fetch_add(&store->too_early, 1);
    return 0;
}

static const struct target target_memory = {
    .name = "memory", .open = open_session, .close = close_session, .put = put};

static struct run_result result;

static struct run_plan make_plan(uint32_t connections, uint64_t operations)
{
    memset(store, 0, sizeof(*store));
    return (struct run_plan){
        .target = &target_memory,
        .workload = {.shares = {100, 0, 0, 0}, .keys = KEYS, .key_bytes = 8, .value_bytes = 10},
        .connections = connections,
        .operations = operations,
        .seed = 1,
    };
}

static void no_child_is_left(void)
{
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

static void results_add_up_and_none_begins_before_all_are_connected(void **state)
{
    (void)state;
    struct error error = {0};
    const struct processes processes = {.count = 3};
    struct run_plan plan = make_plan(2, 1000);
    store->expected = 6;
    assert_int_equal(processes_run(&plan, &processes, &result, &error), 0);
    assert_int_equal(store->calls, 1000);
    assert_int_equal(store->sessions, 6);
    assert_int_equal(store->too_early, 0);
    assert_int_equal(result.operations[BENCH_PUT], 1000);
    assert_int_equal(result.executed, 1000);
    assert_int_equal(histogram_count(&result.latency_ns[BENCH_PUT]), 1000);
    assert_true(result.seconds > 0);
    no_child_is_left();
}

static void all_of_them_insert_each_key_once(void **state)
{
    (void)state;
    struct error error = {0};
    struct shared *shared;
    const struct processes processes = {.count = 3};
    struct run_plan plan = make_plan(2, 900);
    assert_int_equal(shared_create(&shared, &error), 0);
    key_space_init(&shared->keys, 100);
    plan.shared = shared;
    plan.workload = (struct workload){.shares = {[BENCH_INSERT] = 1},
                                      .keys = 900,
                                      .first_key = 100,
                                      .form = KEY_ORDERED,
                                      .prefix = "k",
                                      .space = &shared->keys};
    assert_int_equal(processes_run(&plan, &processes, &result, &error), 0);
    assert_int_equal(result.operations[BENCH_INSERT], 900);
    assert_int_equal(result.finished, 900);
    assert_int_equal(key_space_limit(&shared->keys), 1000);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(store->inserted[i], i >= 100);
    shared_free(shared);
}

static void one_that_is_told_to_stop_stops_all(void **state)
{
    (void)state;
    struct error error = {0};
    struct shared *shared;
    const struct processes processes = {.count = 2};
    struct run_plan plan = make_plan(1, UINT64_C(1) << 60);
    assert_int_equal(shared_create(&shared, &error), 0);
    plan.shared = shared;
    atomic_store(&shared->stop, true);
    assert_int_equal(processes_run(&plan, &processes, &result, &error), 0);
    assert_true(result.stopped);
    shared_free(shared);
    no_child_is_left();
}

static void each_may_have_a_cache_of_its_own(void **state)
{
    (void)state;
    struct error error = {0};
    const struct processes processes = {.count = 2, .separate_caches = true};
    struct run_plan plan = make_plan(1, 10);
    plan.place.cache_name = "host";
    assert_int_equal(processes_run(&plan, &processes, &result, &error), 0);
    bool in_order = strcmp(store->names[0], "host-0") == 0;
    assert_string_equal(store->names[0], in_order ? "host-0" : "host-1");
    assert_string_equal(store->names[1], in_order ? "host-1" : "host-0");
}

static void a_failure_of_one_ends_all_with_its_message(void **state)
{
    (void)state;
    struct error error = {0};
    const struct processes processes = {.count = 3};
    struct run_plan plan = make_plan(2, UINT64_C(1) << 60);
    store->refused = 4;
    assert_int_equal(processes_run(&plan, &processes, &result, &error), CAIRN_EUNAVAILABLE);
    assert_string_equal(error.message, "memory: refused");
    assert_int_equal(store->calls, 0);
    no_child_is_left();
}

static void the_death_of_one_ends_all(void **state)
{
    (void)state;
    struct error error = {0};
    const struct processes processes = {.count = 2};
    struct run_plan plan = make_plan(1, UINT64_C(1) << 60);
    store->dies = 1;
    assert_int_equal(processes_run(&plan, &processes, &result, &error), CAIRN_EUNAVAILABLE);
    assert_string_equal(error.message, "run: a process of it died");
    assert_int_equal(store->calls, 0);
    no_child_is_left();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(results_add_up_and_none_begins_before_all_are_connected),
        cmocka_unit_test(all_of_them_insert_each_key_once),
        cmocka_unit_test(one_that_is_told_to_stop_stops_all),
        cmocka_unit_test(each_may_have_a_cache_of_its_own),
        cmocka_unit_test(a_failure_of_one_ends_all_with_its_message),
        cmocka_unit_test(the_death_of_one_ends_all),
    };
    store = mmap(NULL, sizeof(*store), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (store == MAP_FAILED)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
