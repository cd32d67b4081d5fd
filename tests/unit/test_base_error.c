/* Errors carry a code and a message that fits; a failed CHECK ends the process. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/error.h"

static void message_is_formatted_and_code_returned(void **state)
{
    struct error error = {.code = 0};

    (void)state;
    assert_int_equal(error_set(&error, CAIRN_EIO, "%s: %d", "file", 5), CAIRN_EIO);
    assert_int_equal(error.code, CAIRN_EIO);
    assert_string_equal(error.message, "file: 5");
    assert_int_equal(error_set(NULL, CAIRN_EBUSY, "unused"), CAIRN_EBUSY);
}

static void long_message_is_cut(void **state)
{
    char text[2 * ERROR_MESSAGE_MAX];
    struct error error;

    (void)state;
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    error_set(&error, CAIRN_EINVAL, "%s", text);
    assert_int_equal(strlen(error.message), ERROR_MESSAGE_MAX - 1);
}

static void own_message_may_be_an_argument(void **state)
{
    struct error error;

    (void)state;
    error_set(&error, CAIRN_EIO, "inner");
    for (int i = 0; i < 200; i++)
        error_set(&error, error.code, "outer: %s", error.message);
    assert_int_equal(strncmp(error.message, "outer: outer: ", 14), 0);
    assert_int_equal(strlen(error.message), ERROR_MESSAGE_MAX - 1);
}

static void message_is_one_printable_line(void **state)
{
    struct error error;

    (void)state;
    error_set(&error, CAIRN_EINVAL, "--%s: unknown", "a\nERROR: b\x1b[2J\x7f\t\xc3\xa4");
    assert_string_equal(error.message, "--a?ERROR: b?[2J??\xc3\xa4: unknown");
}

static void every_code_has_its_own_text(void **state)
{
    (void)state;
    for (int code = CAIRN_OK; code >= CAIRN_EFENCED; code--) {
        assert_string_not_equal(error_text(code), "unknown error");
        for (int other = code - 1; other >= CAIRN_EFENCED; other--)
            assert_string_not_equal(error_text(code), error_text(other));
    }
    assert_string_equal(error_text(1), "unknown error");
    assert_string_equal(error_text(CAIRN_EFENCED - 1), "unknown error");
    assert_string_equal(error_text(INT32_MIN), "unknown error");
}

static void fail_a_check(int descriptor)
{
    const struct rlimit none = {0, 0};
    const int two = 2;

    (void)setrlimit(RLIMIT_CORE, &none);
    (void)signal(SIGABRT, SIG_DFL);
    (void)dup2(descriptor, STDERR_FILENO);
    CHECK(two == 3);
    _exit(0);
}

static void failed_check_aborts_and_says_where(void **state)
{
    char text[512] = "";
    int ends[2], status;
    pid_t child;

    (void)state;
    assert_int_equal(pipe(ends), 0);
    (void)fflush(NULL);
    child = fork();
    if (child == 0)
        fail_a_check(ends[1]);
    assert_true(child > 0);
    assert_int_equal(close(ends[1]), 0);
    assert_true(read(ends[0], text, sizeof text - 1) > 0);
    assert_int_equal(close(ends[0]), 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    assert_non_null(strstr(text, "test_base_error.c:"));
    assert_non_null(strstr(text, "fail_a_check: check failed: two == 3\n"));
}

static void passed_check_evaluates_once(void **state)
{
    int count = 0;

    (void)state;
    CHECK(++count == 1);
    assert_int_equal(count, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(message_is_formatted_and_code_returned),
        cmocka_unit_test(long_message_is_cut),
        cmocka_unit_test(own_message_may_be_an_argument),
        cmocka_unit_test(message_is_one_printable_line),
        cmocka_unit_test(every_code_has_its_own_text),
        cmocka_unit_test(failed_check_aborts_and_says_where),
        cmocka_unit_test(passed_check_evaluates_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
