/* A program in workload mode as a target: what is sent, which answers are taken, and that no
 * program is left, whatever becomes of it. The programs are small shell scripts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "bench/target.h"
#include "tests/lib/scratch.h"

enum { COMMAND_SIZE = 1024, FILE_SIZE = 4096, LONG_MS = 20000, SHORT_MS = 100 };

static char scratch[SCRATCH_PATH_MAX];

static int setup(void **state)
{
    (void)state;
    scratch_create(scratch);
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

/* A command that answers the first GET, notes all lines in the file `lines`, its number in `pids`,
 * and answers what comes after as `answers`, a piece of shell, tells; $verb, $key and $value hold
 * the line's words. */
static const char *command_of(const char *answers)
{
    static char command[COMMAND_SIZE];
    int length = snprintf(command, sizeof(command),
                          "cd %s; echo $$ >>pids; read line; echo 'GET ? null'; "
                          "while read verb key value; do echo \"$verb $key $value\" >>lines; "
                          "%s; done",
                          scratch, answers);
    assert_in_range(length, 1, COMMAND_SIZE - 1);
    return command;
}

static struct session *open_with(const char *command, uint64_t timeout_ms)
{
    const struct target_place place = {.address = command, .timeout_ms = timeout_ms};
    struct session *session = NULL;
    struct error error = {0};
    if (target_workload.open(&place, &session, &error) != 0)
        fail_msg("%s", error.message);
    return session;
}

static void read_file(const char *name, char out[FILE_SIZE])
{
    char path[SCRATCH_PATH_MAX + 16];
    snprintf(path, sizeof(path), "%s/%s", scratch, name);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    out[fread(out, 1, FILE_SIZE - 1, file)] = '\0';
    fclose(file);
}

/* No process that noted its number is left. What a shell started ends a moment after it was told
 * to. */
static void assert_all_ended(unsigned expected)
{
    char pids[FILE_SIZE], *at = pids, *next;
    unsigned count = 0;
    read_file("pids", pids);
    for (long pid = strtol(at, &next, 10); next != at; pid = strtol(at, &next, 10)) {
        uint64_t deadline_ms = clock_now_ms() + LONG_MS;
        while (kill((pid_t)pid, 0) == 0 && clock_now_ms() < deadline_ms)
            clock_sleep_ms(1);
        assert_int_equal(kill((pid_t)pid, 0), -1);
        assert_int_equal(errno, ESRCH);
        at = next;
        count++;
    }
    assert_int_equal(count, expected);
}

#define ANSWER_ALL                                                                                 \
    "case $verb$key in PUTa) echo PUT a not_found;; PUTb) echo PUT b found;; "                     \
    "GETa) echo GET a 1;; GETb) echo GET b null;; DELETEa) echo DELETE a found;; "                 \
    "DELETEb) echo DELETE b not_found;; STOP) echo STOP; exit 0;; esac"

static void each_operation_is_one_line_with_one_answer(void **state)
{
    struct session *session = open_with(command_of(ANSWER_ALL), LONG_MS);
    char lines[FILE_SIZE];
    bool found = false;

    (void)state;
    assert_int_equal(target_workload.put(session, text("a"), text("1"), NULL), 0);
    assert_int_equal(target_workload.put(session, text("b"), text("2"), NULL), 0);
    assert_int_equal(target_workload.get(session, text("a"), &found, NULL), 0);
    assert_true(found);
    assert_int_equal(target_workload.get(session, text("b"), &found, NULL), 0);
    assert_false(found);
    assert_int_equal(target_workload.remove(session, text("a"), NULL), 0);
    assert_int_equal(target_workload.remove(session, text("b"), NULL), 0);
    target_workload.close(session);
    read_file("lines", lines);
    assert_string_equal(lines, "PUT a 1\nPUT b 2\nGET a \nGET b \nDELETE a \nDELETE b \nSTOP  \n");
    assert_all_ended(1);
}

static void a_scan_ends_at_the_key_so_many_numbers_on(void **state)
{
    static const struct {
        const char *from;
        size_t limit;
        const char *sent;
    } scans[] = {
        {"k0008", 5, "SCAN k0008 k0012"},
        {"k0099", 1, "SCAN k0099 k0099"},
        {"k9990", 50, "SCAN k9990 k9999"},
        {"key", 50, "SCAN key key"},
    };
    struct session *session = open_with(
        command_of("[ $verb = STOP ] || printf '%s %s %s BEGIN\\n  k1 v\\n  k2 v\\nSCAN END\\n' "
                   "$verb $key $value"),
        LONG_MS);
    char lines[FILE_SIZE], *line = lines;

    (void)state;
    for (size_t i = 0; i < sizeof(scans) / sizeof(scans[0]); i++)
        assert_int_equal(target_workload.scan(session, text(scans[i].from), scans[i].limit, NULL),
                         0);
    target_workload.close(session);
    read_file("lines", lines);
    for (size_t i = 0; i < sizeof(scans) / sizeof(scans[0]); i++) {
        char *end = strchr(line, '\n');
        assert_non_null(end);
        *end = '\0';
        assert_string_equal(line, scans[i].sent);
        line = end + 1;
    }
}

static void a_value_longer_than_a_pipe_goes_both_ways(void **state)
{
    enum { LENGTH = 1 << 20 };
    struct session *session = open_with("exec sed -u -e 's/^GET ?$/GET ? null/' "
                                        "-e 's/^PUT k \\(.*\\)$/PUT k found/' "
                                        "-e 's/^GET \\(k*\\)$/GET \\1 v/'",
                                        LONG_MS);
    char *value = malloc(LENGTH);
    bool found = false;

    (void)state;
    assert_non_null(value);
    memset(value, 'k', LENGTH);
    assert_int_equal(target_workload.put(session, text("k"), (struct bytes){value, LENGTH}, NULL),
                     0);
    assert_int_equal(target_workload.get(session, (struct bytes){value, LENGTH}, &found, NULL), 0);
    assert_true(found);
    free(value);
    target_workload.close(session);
}

static void what_is_no_word_is_refused_and_never_sent(void **state)
{
    static const char *const bad[] = {"", "a b", "a\nGET b", "\t", "\x7f", "\xc3\xa4"};
    struct session *session = open_with(command_of(ANSWER_ALL), LONG_MS);
    struct error error = {0};
    char lines[FILE_SIZE];

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        bool found;
        assert_int_equal(target_workload.put(session, text("a"), text(bad[i]), &error),
                         CAIRN_EINVAL);
        assert_int_equal(target_workload.put(session, text(bad[i]), text("a"), &error),
                         CAIRN_EINVAL);
        assert_int_equal(target_workload.get(session, text(bad[i]), &found, &error), CAIRN_EINVAL);
    }
    assert_non_null(strstr(error.message, "without spaces"));
    assert_int_equal(target_workload.put(session, text("a"), text("1"), &error), 0);
    target_workload.close(session);
    read_file("lines", lines);
    assert_string_equal(lines, "PUT a 1\nSTOP  \n");
}

/* Of a put that the program answers by `answers`. */
static int put_answered(const char *answers, uint64_t timeout_ms, struct error *error)
{
    struct session *session = open_with(command_of(answers), timeout_ms);
    int status = target_workload.put(session, text("a"), text("1"), error);
    if (status != 0) /* an answer that comes late must not be taken for another's */
        assert_int_equal(target_workload.put(session, text("a"), text("1"), NULL),
                         CAIRN_EUNAVAILABLE);
    target_workload.close(session);
    return status;
}

static void an_answer_to_something_else_is_an_error(void **state)
{
    static const char *const wrong[] = {"echo PUT b found",    "echo GET a found",
                                        "echo PUT a",          "echo PUT a maybe",
                                        "echo PUT ab found",   "echo; echo PUT a found",
                                        "echo ' PUT a found'", "echo PUT a found found"};
    struct error error = {0};

    (void)state;
    assert_int_equal(put_answered("echo PUT a found", LONG_MS, &error), 0);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        if (put_answered(wrong[i], LONG_MS, &error) != CAIRN_EPROTO)
            fail_msg("%s is taken for an answer", wrong[i]);
}

static void an_answer_that_does_not_come_ends_the_session_and_the_program(void **state)
{
    struct session *session;
    struct error error = {0};

    (void)state;
    const struct target_place place = {.address = command_of("sleep 1000"), .timeout_ms = SHORT_MS};
    /* The first answer may take longer than so short a time: then that is the error. */
    int status = target_workload.open(&place, &session, &error);
    if (status == 0) {
        status = target_workload.put(session, text("a"), text("1"), &error);
        target_workload.close(session);
    }
    assert_int_equal(status, CAIRN_ETIMEDOUT);
    assert_non_null(strstr(error.message, "no answer in 100 ms"));
}

static void a_program_that_ends_is_noticed_with_its_status(void **state)
{
    struct error error = {0};

    (void)state;
    assert_int_equal(put_answered("exit 7", LONG_MS, &error), CAIRN_EUNAVAILABLE);
    assert_non_null(strstr(error.message, "ended with status 7"));
    assert_int_equal(put_answered("kill -9 $$", LONG_MS, &error), CAIRN_EUNAVAILABLE);
    assert_non_null(strstr(error.message, "ended by signal 9"));
    assert_all_ended(2);
}

static void a_command_that_does_not_exist_is_an_error(void **state)
{
    const struct target_place place = {.address = "/nonexistent/program 2>/dev/null",
                                       .timeout_ms = LONG_MS};
    struct session *session = (struct session *)scratch;
    struct error error = {0};

    (void)state;
    assert_int_equal(target_workload.open(&place, &session, &error), CAIRN_EUNAVAILABLE);
    assert_null(session);
    assert_non_null(strstr(error.message, "ended with status 127"));
}

static void a_program_that_does_not_stop_is_ended_with_all_it_started(void **state)
{
    struct session *session =
        open_with(command_of("if [ $verb = PUT ]; then sh -c 'trap \"\" TERM; echo $$ >>pids; "
                             "echo PUT a found; while :; do sleep 1; done'; fi"),
                  LONG_MS);

    (void)state;
    assert_int_equal(target_workload.put(session, text("a"), text("1"), NULL), 0);
    target_workload.close(session);
    assert_all_ended(2);
}

static void a_program_sees_the_end_of_its_input_though_others_run(void **state)
{
    struct session *first =
        open_with(command_of("true; done; echo ended >>lines; while false; do :"), LONG_MS);
    struct session *second = open_with(command_of(ANSWER_ALL), LONG_MS);
    char lines[FILE_SIZE];

    (void)state;
    target_workload.close(first);
    read_file("lines", lines);
    assert_string_equal(lines, "STOP  \nended\n");
    target_workload.close(second);
    assert_all_ended(2);
}

static void a_program_does_not_inherit_that_broken_pipes_are_ignored(void **state)
{
    struct error error = {0};

    (void)state;
    assert_int_equal(put_answered("sh -c 'kill -13 $$' && echo PUT a ignored || echo PUT a found",
                                  LONG_MS, &error),
                     0);
}

static void a_program_that_does_not_read_is_an_error(void **state)
{
    enum { LENGTH = 1 << 20 };
    const struct target_place place = {.address = "read line; echo 'GET ? null'; exec sleep 1000",
                                       .timeout_ms = SHORT_MS};
    struct session *session;
    struct error error = {0};
    char *value = malloc(LENGTH);

    (void)state;
    assert_non_null(value);
    memset(value, 'v', LENGTH);
    /* The first answer may take longer than so short a time: then that is the error. */
    int status = target_workload.open(&place, &session, &error);
    if (status == 0) {
        status = target_workload.put(session, text("k"), (struct bytes){value, LENGTH}, &error);
        target_workload.close(session);
    }
    assert_int_equal(status, CAIRN_ETIMEDOUT);
    free(value);
}

static void the_answer_for_a_longer_key_is_not_taken(void **state)
{
    struct session *session = open_with(command_of("echo GET ab null"), LONG_MS);
    struct error error = {0};
    bool found;

    (void)state;
    assert_int_equal(target_workload.get(session, text("a"), &found, &error), CAIRN_EPROTO);
    assert_non_null(strstr(error.message, "GET ab null"));
    target_workload.close(session);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(each_operation_is_one_line_with_one_answer),
        TEST(a_scan_ends_at_the_key_so_many_numbers_on),
        TEST(a_value_longer_than_a_pipe_goes_both_ways),
        TEST(what_is_no_word_is_refused_and_never_sent),
        TEST(an_answer_to_something_else_is_an_error),
        TEST(an_answer_that_does_not_come_ends_the_session_and_the_program),
        TEST(a_program_that_ends_is_noticed_with_its_status),
        TEST(a_command_that_does_not_exist_is_an_error),
        TEST(a_program_that_does_not_stop_is_ended_with_all_it_started),
        TEST(a_program_sees_the_end_of_its_input_though_others_run),
        TEST(a_program_does_not_inherit_that_broken_pipes_are_ignored),
        TEST(a_program_that_does_not_read_is_an_error),
        TEST(the_answer_for_a_longer_key_is_not_taken),
    };
    signal(SIGPIPE, SIG_IGN); /* as the program does */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
