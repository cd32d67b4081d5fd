/* How the client reacts to servers that redirect, refuse, fall silent and break connections
 * (ARCHITECTURE.md section 1, S3, S4). */
#include "tests/unit/client_fixture.h"

#include <sys/wait.h>
#include <unistd.h>

enum { LONG_MS = 20000, SHORT_MS = 400 };

static int setup(void **state)
{
    *state = fake_start();
    return 0;
}

static int teardown(void **state)
{
    fake_stop(*state);
    return 0;
}

static unsigned executed(struct fake *fake)
{
    pthread_mutex_lock(&fake->mutex);
    unsigned count = fake->executed;
    pthread_mutex_unlock(&fake->mutex);
    return count;
}

static unsigned calls(struct fake *fake, uint32_t server)
{
    pthread_mutex_lock(&fake->mutex);
    unsigned count = fake->servers[server].calls;
    pthread_mutex_unlock(&fake->mutex);
    return count;
}

static uint64_t last_client(struct fake *fake, uint32_t server, uint64_t *number)
{
    pthread_mutex_lock(&fake->mutex);
    uint64_t client = fake->servers[server].last_client;
    *number = fake->servers[server].last_number;
    pthread_mutex_unlock(&fake->mutex);
    return client;
}

/* Another server serves the partition from now on; `told` says whether the map knows. */
static void move(struct fake *fake, uint32_t partition, uint32_t to, bool told)
{
    pthread_mutex_lock(&fake->mutex);
    fake->truth[partition] = to;
    fake->epochs[partition]++;
    if (told) {
        fake->told[partition] = to;
        fake->version++;
    }
    pthread_mutex_unlock(&fake->mutex);
}

static void test_every_operation_and_its_results(void **state)
{
    cairn_t *db = fake_client(*state, LONG_MS);
    const char key[] = "k\0\n\xff";
    const void *value;
    size_t length;
    uint64_t version;
    int existed;

    assert_int_equal(cairn_get(db, key, 4, &value, &length, &version), CAIRN_ENOTFOUND);
    assert_null(value);
    assert_int_equal(cairn_put(db, key, 4, "a\0b", 3, &existed, &version), CAIRN_OK);
    assert_false(existed);
    assert_int_equal(version, 1);
    assert_int_equal(cairn_get(db, key, 4, &value, &length, &version), CAIRN_OK);
    assert_int_equal(length, 3);
    assert_memory_equal(value, "a\0b\0", 4);
    assert_int_equal(cairn_swap(db, key, 4, "", 0, &value, &length), CAIRN_OK);
    assert_int_equal(length, 3);
    assert_memory_equal(value, "a\0b\0", 4);
    assert_int_equal(cairn_get(db, key, 4, &value, &length, NULL), CAIRN_OK);
    assert_int_equal(length, 0);
    assert_non_null(value);
    assert_int_equal(cairn_put_if_version(db, key, 4, "x", 1, 1, 0, &existed, &version),
                     CAIRN_EMISMATCH);
    assert_int_equal(version, 2);
    assert_int_equal(cairn_put_if_version(db, key, 4, "x", 1, 2, 0, &existed, &version), CAIRN_OK);
    assert_int_equal(cairn_delete(db, key, 4, &existed), CAIRN_OK);
    assert_true(existed);
    assert_int_equal(cairn_delete(db, key, 4, &existed), CAIRN_OK);
    assert_false(existed);
    assert_int_equal(cairn_swap(db, key, 4, "n", 1, &value, &length), CAIRN_OK);
    assert_null(value);
    cairn_close(db);
}

static void test_limits_are_refused_without_a_call(void **state)
{
    cairn_t *db = fake_client(*state, LONG_MS);
    static char large[CAIRN_VALUE_MAX + 1];
    const void *value;
    size_t length;

    memset(large, 'x', sizeof(large));
    assert_int_equal(cairn_get(db, "", 0, &value, &length, NULL), CAIRN_EINVAL);
    assert_int_equal(cairn_get(db, NULL, 3, &value, &length, NULL), CAIRN_EINVAL);
    assert_int_equal(cairn_get(db, large, CAIRN_KEY_MAX + 1, &value, &length, NULL), CAIRN_EINVAL);
    assert_non_null(strstr(cairn_errmsg(db), "480"));
    assert_int_equal(cairn_put(db, "k", 1, large, sizeof(large), NULL, NULL), CAIRN_EINVAL);
    assert_non_null(strstr(cairn_errmsg(db), "1048576"));
    assert_int_equal(cairn_swap(db, "k", 1, NULL, 1, &value, &length), CAIRN_EINVAL);
    assert_int_equal(cairn_delete(db, large, 481, NULL), CAIRN_EINVAL);
    for (uint32_t i = 0; i < FAKE_SERVERS; i++) {
        assert_int_equal(calls(*state, i), 0);
    }
    assert_int_equal(cairn_put(db, large, CAIRN_KEY_MAX, large, CAIRN_VALUE_MAX, NULL, NULL),
                     CAIRN_OK);
    assert_int_equal(cairn_get(db, large, CAIRN_KEY_MAX, &value, &length, NULL), CAIRN_OK);
    assert_int_equal(length, CAIRN_VALUE_MAX);
    cairn_close(db);
}

static void test_a_redirect_is_followed_and_remembered(void **state)
{
    struct fake *fake = *state;
    cairn_t *db = fake_client(fake, LONG_MS);
    char key[32];
    char value[16];

    fake_key(fake, 0, 1, key);
    move(fake, fake_partition_of(key), 1, false);
    assert_int_equal(fake_put(db, key, "v"), CAIRN_OK);
    assert_int_equal(calls(fake, 0), 1);
    assert_int_equal(calls(fake, 1), 1);
    assert_int_equal(fake_get(db, key, value, sizeof(value)), CAIRN_OK);
    assert_string_equal(value, "v");
    assert_int_equal(calls(fake, 0), 1);
    cairn_close(db);
}

/* Two servers that name each other cannot make a client run to and fro. */
static void test_a_circle_of_redirects_ends_in_time_and_calm(void **state)
{
    struct fake *fake = *state;
    cairn_t *db = fake_client(fake, SHORT_MS);
    char key[32];
    char value[16];

    fake_key(fake, 0, 1, key);
    pthread_mutex_lock(&fake->mutex);
    fake->truth[fake_partition_of(key)] = 99;
    pthread_mutex_unlock(&fake->mutex);
    assert_int_equal(fake_get(db, key, value, sizeof(value)), CAIRN_ETIMEDOUT);
    assert_true(calls(fake, 0) + calls(fake, 1) + calls(fake, 2) < 40);
    cairn_close(db);
}

static void test_a_move_is_learnt_from_the_map(void **state)
{
    struct fake *fake = *state;
    cairn_t *db = fake_client(fake, LONG_MS);
    char key[32];
    char value[16];

    fake_key(fake, 0, 1, key);
    assert_int_equal(fake_put(db, key, "v"), CAIRN_OK);
    /* The old primary no longer says anything. */
    pthread_mutex_lock(&fake->mutex);
    fake->servers[0].silent = true;
    pthread_mutex_unlock(&fake->mutex);
    move(fake, fake_partition_of(key), 2, true);
    assert_int_equal(fake_get(db, key, value, sizeof(value)), CAIRN_OK);
    assert_string_equal(value, "v");
    cairn_close(db);
}

/* S3: the attempt that was executed and the one that repeats it are one mutation. */
static void test_a_mutation_whose_answer_was_lost_is_executed_once(void **state)
{
    struct fake *fake = *state;
    cairn_t *db = fake_client(fake, LONG_MS);
    char key[32];
    int existed;
    uint64_t version;

    fake_key(fake, 1, 1, key);
    fake_script(fake, 1, 2, FAKE_EXECUTE_DROP, FAKE_DROP);
    assert_int_equal(cairn_put(db, key, strlen(key), "v", 1, &existed, &version), CAIRN_OK);
    assert_false(existed);
    assert_int_equal(version, 1);
    assert_int_equal(executed(fake), 1);
    assert_int_equal(calls(fake, 1), 3);
    cairn_close(db);
}

static void test_after_a_lost_answer_the_error_is_unknown(void **state)
{
    struct fake *fake = *state;
    cairn_t *db = fake_client(fake, SHORT_MS);
    char key[32];
    const int full = FAKE_STATUS + SERVER_NO_SPACE;

    fake_key(fake, 1, 1, key);
    fake_script(fake, 1, 1, FAKE_EXECUTE_SILENT);
    assert_int_equal(fake_put(db, key, "v"), CAIRN_EUNKNOWN);
    fake_script(fake, 1, 1, FAKE_SILENT);
    assert_int_equal(fake_put(db, key, "v"), CAIRN_EUNKNOWN);
    fake_script(fake, 1, 10, FAKE_DROP, full, full, full, full, full, full, full, full, full);
    int status = fake_put(db, key, "v");
    assert_true(status == CAIRN_EUNKNOWN || status == CAIRN_OK);
    fake_script(fake, 1, 3, FAKE_DROP, FAKE_STATUS + SERVER_INVALID, FAKE_BEHAVE);
    assert_int_equal(fake_put(db, key, "v"), CAIRN_EUNKNOWN);
    cairn_close(db);
}

static void test_the_number_of_an_unknown_mutation_is_not_used_again(void **state)
{
    struct fake *fake = *state;
    cairn_t *db = fake_client(fake, SHORT_MS);
    char key[32];
    uint64_t lost;
    uint64_t next;

    fake_key(fake, 1, 1, key);
    fake_script(fake, 1, 1, FAKE_SILENT);
    assert_int_equal(fake_put(db, key, "lost"), CAIRN_EUNKNOWN);
    uint64_t client = last_client(fake, 1, &lost);
    assert_int_equal(fake_put(db, key, "next"), CAIRN_OK);
    assert_true(last_client(fake, 1, &next) != client || next > lost);
    cairn_close(db);
}

static void test_a_stale_number_ends_the_session(void **state)
{
    struct fake *fake = *state;
    cairn_t *db = fake_client(fake, LONG_MS);
    char key[32];
    uint64_t number;

    fake_key(fake, 1, 1, key);
    fake_script(fake, 1, 2, FAKE_DROP, FAKE_STATUS + SERVER_STALE_NUMBER);
    assert_int_equal(fake_put(db, key, "v"), CAIRN_EUNKNOWN);
    uint64_t client = last_client(fake, 1, &number);
    assert_int_equal(fake_put(db, key, "v"), CAIRN_OK);
    assert_true(last_client(fake, 1, &number) != client);
    cairn_close(db);
}

static void test_who_starts_or_is_overloaded_is_asked_again(void **state)
{
    struct fake *fake = *state;
    cairn_t *db = fake_client(fake, LONG_MS);
    char key[32];
    char value[16];

    fake_key(fake, 1, 1, key);
    fake_script(fake, 1, 3, FAKE_STATUS + SERVER_STARTING, FAKE_STATUS + SERVER_OVERLOADED,
                FAKE_STATUS + SERVER_UNKNOWN);
    assert_int_equal(fake_put(db, key, "v"), CAIRN_OK);
    assert_int_equal(calls(fake, 1), 4);
    fake_script(fake, 1, 2, FAKE_STATUS + SERVER_STARTING, FAKE_STATUS + 4711);
    assert_int_equal(fake_get(db, key, value, sizeof(value)), CAIRN_OK);
    assert_int_equal(calls(fake, 1), 3);
    cairn_close(db);
}

static void test_no_room_is_said_at_once_or_waited_out(void **state)
{
    struct fake *fake = *state;
    cairn_t *bounded = fake_client(fake, LONG_MS);
    cairn_t *patient = fake_client(fake, 0);
    char key[32];

    fake_key(fake, 1, 1, key);
    fake_script(fake, 1, 1, FAKE_STATUS + SERVER_NO_SPACE);
    assert_int_equal(fake_put(bounded, key, "v"), CAIRN_ENOSPC);
    assert_non_null(strstr(cairn_errmsg(bounded), "scripted"));
    fake_script(fake, 1, 1, FAKE_STATUS + SERVER_SESSIONS_FULL);
    assert_int_equal(fake_put(bounded, key, "v"), CAIRN_EFULL);
    fake_script(fake, 1, 2, FAKE_STATUS + SERVER_NO_SPACE, FAKE_STATUS + SERVER_SESSIONS_FULL);
    assert_int_equal(fake_put(patient, key, "v"), CAIRN_OK);
    assert_int_equal(calls(fake, 1), 3);
    cairn_close(bounded);
    cairn_close(patient);
}

static void test_a_silent_server_stops_nobody_else(void **state)
{
    struct fake *fake = *state;
    cairn_t *db = fake_client(fake, SHORT_MS);
    char dead[32];
    char alive[32];
    char value[16];

    fake_key(fake, 1, 1, dead);
    fake_key(fake, 2, 2, alive);
    pthread_mutex_lock(&fake->mutex);
    fake->servers[1].silent = true;
    pthread_mutex_unlock(&fake->mutex);
    assert_int_equal(fake_get(db, dead, value, sizeof(value)), CAIRN_ETIMEDOUT);
    assert_int_equal(fake_put(db, alive, "v"), CAIRN_OK);
    assert_int_equal(fake_get(db, alive, value, sizeof(value)), CAIRN_OK);
    pthread_mutex_lock(&fake->mutex);
    fake->servers[1].silent = false;
    pthread_mutex_unlock(&fake->mutex);
    assert_int_equal(fake_get(db, dead, value, sizeof(value)), CAIRN_ENOTFOUND);
    cairn_close(db);
}

static void test_a_manager_without_a_map_is_waited_for(void **state)
{
    struct fake *fake = *state;
    cairn_t *db = fake_client(fake, SHORT_MS);

    fake->manager_status = MANAGER_WAITING;
    assert_int_equal(fake_put(db, "k", "v"), CAIRN_ETIMEDOUT);
    pthread_mutex_lock(&fake->mutex);
    assert_true(fake->map_calls > 1 && fake->map_calls < 40);
    fake->manager_status = MANAGER_OK;
    pthread_mutex_unlock(&fake->mutex);
    assert_int_equal(fake_put(db, "k", "v"), CAIRN_OK);
    cairn_close(db);
}

static void test_another_cluster_is_an_error_at_once(void **state)
{
    struct fake *fake = *state;
    const struct cairn_options other = {.timeout_ms = 0, .cluster = 78, .no_cache = 1};
    char text[ADDRESS_TEXT_MAX];
    cairn_t *db;

    assert_int_equal(cairn_open(address_format(&fake->manager_address, text), &other, &db),
                     CAIRN_OK);
    assert_int_equal(fake_put(db, "k", "v"), CAIRN_ECONFLICT);
    cairn_close(db);
    db = fake_client(fake, LONG_MS);
    for (uint32_t i = 0; i < FAKE_SERVERS; i++) {
        fake_script(fake, i, 1, FAKE_STATUS + SERVER_WRONG_CLUSTER);
    }
    assert_int_equal(fake_put(db, "k", "v"), CAIRN_ECONFLICT);
    cairn_close(db);
}

static void test_any_manager_of_the_list_will_do(void **state)
{
    struct fake *fake = *state;
    const struct cairn_options options = {.timeout_ms = LONG_MS, .no_cache = 1};
    char text[ADDRESS_TEXT_MAX];
    char list[2 * ADDRESS_TEXT_MAX + 16];
    cairn_t *db;

    /* Port 1 refuses. */
    snprintf(list, sizeof(list), "127.0.0.1:1,%s", address_format(&fake->manager_address, text));
    assert_int_equal(cairn_open(list, &options, &db), CAIRN_OK);
    assert_int_equal(fake_put(db, "k", "v"), CAIRN_OK);
    cairn_close(db);
}

static void test_no_manager_at_all_times_out(void **state)
{
    const struct cairn_options options = {.timeout_ms = SHORT_MS, .no_cache = 1};
    cairn_t *db;

    (void)state;
    assert_int_equal(cairn_open("127.0.0.1:1", &options, &db), CAIRN_OK);
    assert_int_equal(fake_put(db, "k", "v"), CAIRN_ETIMEDOUT);
    assert_non_null(strstr(cairn_errmsg(db), "127.0.0.1:1"));
    cairn_close(db);
    assert_int_equal(cairn_open("nonsense", &options, &db), CAIRN_EINVAL);
    assert_non_null(strstr(cairn_errmsg(db), "nonsense"));
    assert_int_equal(fake_put(db, "k", "v"), CAIRN_EINVAL);
    cairn_close(db);
    assert_int_equal(cairn_open(NULL, NULL, &db), CAIRN_EINVAL);
    cairn_close(db);
    cairn_close(NULL);
}

static unsigned retired(struct fake *fake)
{
    unsigned count = 0;

    pthread_mutex_lock(&fake->mutex);
    for (uint32_t i = 0; i < FAKE_SERVERS; i++) {
        count += fake->servers[i].retired;
    }
    pthread_mutex_unlock(&fake->mutex);
    return count;
}

/* S4: a clean close retires. Where a copy of a mutation may still be under way it must not: without
 * the session the copy would be executed again. */
static void test_close_retires_what_is_settled(void **state)
{
    struct fake *fake = *state;
    cairn_t *db = fake_client(fake, LONG_MS);
    char first[32];
    char second[32];
    char lost[32];
    char value[16];

    fake_key(fake, 0, 1, first);
    fake_key(fake, 1, 1, second);
    fake_key(fake, 2, 1, lost);
    assert_int_equal(fake_put(db, first, "v"), CAIRN_OK);
    assert_int_equal(fake_put(db, second, "v"), CAIRN_OK);
    fake_script(fake, 2, 1, FAKE_EXECUTE_DROP);
    assert_int_equal(fake_put(db, lost, "v"), CAIRN_OK);
    cairn_close(db);
    assert_int_equal(retired(fake), 2);

    db = fake_client(fake, LONG_MS);
    assert_int_equal(fake_get(db, first, value, sizeof(value)), CAIRN_OK);
    cairn_close(db);
    assert_int_equal(retired(fake), 2);
}

/* A child that closes the handle takes nothing from its parent. */
static void test_a_child_may_close_the_handle(void **state)
{
    struct fake *fake = *state;
    cairn_t *db = fake_client(fake, LONG_MS);
    char value[16];
    int status = 1;

    uint32_t server = fake->told[fake_partition_of("k")];
    assert_int_equal(fake_put(db, "k", "v"), CAIRN_OK);
    pid_t child = fork();
    if (child == 0) {
        cairn_close(db);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(retired(fake), 0);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(fake_get(db, "k", value, sizeof(value)), CAIRN_OK);
    }
    /* Had the child taken the connection out of the loop, calls would have been repeated. */
    assert_int_equal(calls(fake, server), 101);
    cairn_close(db);
    assert_int_equal(retired(fake), 1);
}

static void test_status_names_who_does_not_answer(void **state)
{
    struct fake *fake = *state;
    cairn_t *db = fake_client(fake, SHORT_MS);
    const char *json;

    fake->servers[2].silent = true;
    assert_int_equal(cairn_status(db, &json), CAIRN_OK);
    assert_non_null(strstr(json, "\"unreachable\""));
    assert_non_null(strstr(json, "\"ok\""));
    assert_non_null(strstr(json, "\"lag\": 0"));
    assert_non_null(strstr(json, "\"lag\": null"));
    assert_non_null(strstr(json, "timed out"));
    cairn_close(db);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_every_operation_and_its_results),
        TEST(test_limits_are_refused_without_a_call),
        TEST(test_a_redirect_is_followed_and_remembered),
        TEST(test_a_circle_of_redirects_ends_in_time_and_calm),
        TEST(test_a_move_is_learnt_from_the_map),
        TEST(test_a_mutation_whose_answer_was_lost_is_executed_once),
        TEST(test_after_a_lost_answer_the_error_is_unknown),
        TEST(test_the_number_of_an_unknown_mutation_is_not_used_again),
        TEST(test_a_stale_number_ends_the_session),
        TEST(test_who_starts_or_is_overloaded_is_asked_again),
        TEST(test_no_room_is_said_at_once_or_waited_out),
        TEST(test_a_silent_server_stops_nobody_else),
        TEST(test_a_manager_without_a_map_is_waited_for),
        TEST(test_another_cluster_is_an_error_at_once),
        TEST(test_any_manager_of_the_list_will_do),
        TEST(test_no_manager_at_all_times_out),
        TEST(test_close_retires_what_is_settled),
        TEST(test_a_child_may_close_the_handle),
        TEST(test_status_names_who_does_not_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
