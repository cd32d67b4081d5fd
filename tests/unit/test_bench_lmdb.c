/* LMDB as a target: what is put is found, in order, by other sessions and after all were closed;
 * what does not work is an error that names the directory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <lmdb.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/target.h"
#include "tests/lib/scratch.h"

enum { THREADS = 4, PUTS = 20, PATH_SIZE = SCRATCH_PATH_MAX + 16 };

static char scratch[SCRATCH_PATH_MAX];
static char directory[PATH_SIZE]; /* not there at the start of a test */

static int setup(void **state)
{
    (void)state;
    scratch_create(scratch);
    snprintf(directory, sizeof(directory), "%s/store", scratch);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    scratch_remove(scratch);
    return 0;
}

static struct bytes text(const char *characters)
{
    return (struct bytes){characters, strlen(characters)};
}

static struct session *open_at(const char *path)
{
    const struct target_place place = {.address = path, .timeout_ms = 5000};
    struct session *session = NULL;
    struct error error = {0};
    if (target_lmdb.open(&place, &session, &error) != 0)
        fail_msg("%s", error.message);
    return session;
}

static void put(struct session *session, const char *key, const char *value)
{
    assert_int_equal(target_lmdb.put(session, text(key), text(value), NULL), 0);
}

static bool has(struct session *session, const char *key)
{
    bool found;
    assert_int_equal(target_lmdb.get(session, text(key), &found, NULL), 0);
    return found;
}

/* How many keys the directory holds, looked at without the target. */
static size_t keys_in(const char *path)
{
    MDB_env *env;
    MDB_stat stat;
    assert_int_equal(mdb_env_create(&env), 0);
    assert_int_equal(mdb_env_open(env, path, MDB_RDONLY, 0), 0);
    assert_int_equal(mdb_env_stat(env, &stat), 0);
    mdb_env_close(env);
    return stat.ms_entries;
}

static void what_is_put_is_found_until_it_is_deleted(void **state)
{
    struct session *session = open_at(directory);

    (void)state;
    assert_false(has(session, "a"));
    put(session, "a", "1");
    put(session, "a", "2");
    put(session, "empty", "");
    assert_true(has(session, "a"));
    assert_true(has(session, "empty"));
    assert_int_equal(target_lmdb.remove(session, text("a"), NULL), 0);
    assert_false(has(session, "a"));
    assert_int_equal(target_lmdb.remove(session, text("a"), NULL), 0);
    target_lmdb.close(session);
}

static void it_is_still_there_when_all_sessions_were_closed(void **state)
{
    struct session *session = open_at(directory);

    (void)state;
    put(session, "a", "1");
    target_lmdb.close(session);
    assert_int_equal(keys_in(directory), 1);
    session = open_at(directory);
    assert_true(has(session, "a"));
    target_lmdb.close(session);
}

static void sessions_of_one_thread_see_one_anothers_writes(void **state)
{
    struct session *first = open_at(directory), *second = open_at(directory);

    (void)state;
    assert_false(has(second, "a"));
    put(first, "a", "1");
    assert_true(has(second, "a"));
    target_lmdb.close(first);
    assert_true(has(second, "a"));
    target_lmdb.close(second);
}

static void *put_some(void *number)
{
    struct session *session = open_at(directory);
    char key[16];
    for (int i = 0; i < PUTS; i++) {
        snprintf(key, sizeof(key), "k%d-%d", *(int *)number, i);
        put(session, key, "value");
    }
    target_lmdb.close(session);
    return NULL;
}

static void threads_put_at_the_same_time(void **state)
{
    pthread_t threads[THREADS];
    int numbers[THREADS];

    (void)state;
    for (int i = 0; i < THREADS; i++) {
        numbers[i] = i;
        assert_int_equal(pthread_create(&threads[i], NULL, put_some, &numbers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(keys_in(directory), THREADS * PUTS);
}

static void another_process_uses_the_same_directory(void **state)
{
    int status = 0;
    pid_t child = fork();

    (void)state;
    if (child == 0) {
        struct session *session = open_at(directory);
        put(session, "a", "1");
        _exit(0); /* in the middle of it: nothing is closed */
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    struct session *session = open_at(directory);
    assert_true(has(session, "a"));
    target_lmdb.close(session);
}

static void a_scan_begins_at_a_key_or_behind_it_and_ends_with_the_keys(void **state)
{
    struct session *session = open_at(directory);

    (void)state;
    assert_int_equal(target_lmdb.scan(session, text("a"), 3, NULL), 0);
    put(session, "b", "1");
    put(session, "c", "2");
    assert_int_equal(target_lmdb.scan(session, text("a"), 1, NULL), 0);
    assert_int_equal(target_lmdb.scan(session, text("a"), 50, NULL), 0);
    assert_int_equal(target_lmdb.scan(session, text("d"), 50, NULL), 0);
    assert_true(has(session, "b"));
    target_lmdb.close(session);
}

static void a_key_that_is_too_long_is_an_error_and_the_session_goes_on(void **state)
{
    struct session *session = open_at(directory);
    struct error error = {0};
    char key[600];

    (void)state;
    memset(key, 'k', sizeof(key));
    assert_int_equal(target_lmdb.put(session, (struct bytes){key, sizeof(key)}, text("v"), &error),
                     CAIRN_EINVAL);
    assert_non_null(strstr(error.message, directory));
    put(session, "a", "1");
    assert_true(has(session, "a"));
    target_lmdb.close(session);
}

static int open_fails(const char *path, struct error *error)
{
    const struct target_place place = {.address = path, .timeout_ms = 5000};
    struct session *session = (struct session *)&place;
    int status = target_lmdb.open(&place, &session, error);
    assert_null(session);
    return status;
}

static void a_directory_that_cannot_be_made_is_an_error(void **state)
{
    struct error error = {0};
    char path[PATH_SIZE + 16];

    (void)state;
    snprintf(path, sizeof(path), "%s/below", directory);
    assert_int_equal(open_fails(path, &error), CAIRN_EIO);
    assert_non_null(strstr(error.message, path));
    assert_non_null(strstr(error.message, "No such file"));
}

static void a_file_of_something_else_is_an_error(void **state)
{
    struct error error = {0};
    char path[PATH_SIZE + 16];
    char block[8192];

    (void)state;
    assert_int_equal(mkdir(directory, 0700), 0);
    snprintf(path, sizeof(path), "%s/data.mdb", directory);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    memset(block, 'x', sizeof(block));
    assert_int_equal(fwrite(block, sizeof(block), 1, file), 1);
    fclose(file);
    assert_int_equal(open_fails(directory, &error), CAIRN_ECORRUPT);
    assert_non_null(strstr(error.message, directory));
}

static void two_directories_at_a_time_are_refused(void **state)
{
    struct session *session = open_at(directory);
    struct error error = {0};

    (void)state;
    assert_int_equal(open_fails(scratch, &error), CAIRN_EBUSY);
    assert_non_null(strstr(error.message, scratch));
    target_lmdb.close(session);
    session = open_at(scratch);
    target_lmdb.close(session);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(what_is_put_is_found_until_it_is_deleted),
        TEST(it_is_still_there_when_all_sessions_were_closed),
        TEST(sessions_of_one_thread_see_one_anothers_writes),
        TEST(threads_put_at_the_same_time),
        TEST(another_process_uses_the_same_directory),
        TEST(a_scan_begins_at_a_key_or_behind_it_and_ends_with_the_keys),
        TEST(a_key_that_is_too_long_is_an_error_and_the_session_goes_on),
        TEST(a_directory_that_cannot_be_made_is_an_error),
        TEST(a_file_of_something_else_is_an_error),
        TEST(two_directories_at_a_time_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
