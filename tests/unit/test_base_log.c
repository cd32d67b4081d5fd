/* A record is one line in one write, whatever its arguments hold; levels filter. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/error.h"
#include "base/log.h"

static int saved_stderr, from_stderr;
static char text[16384];

/* A packet pipe keeps the borders of writes: what one read returns is what one write wrote. */
static int redirect(void **state)
{
    int ends[2];

    (void)state;
    (void)fflush(stderr);
    if (pipe2(ends, O_DIRECT | O_NONBLOCK | O_CLOEXEC) != 0)
        return -1;
    saved_stderr = dup(STDERR_FILENO);
    if (dup2(ends[1], STDERR_FILENO) < 0 || close(ends[1]) != 0)
        return -1;
    from_stderr = ends[0];
    log_set_level(LOG_INFO);
    return 0;
}

static int restore(void **state)
{
    (void)state;
    if (dup2(saved_stderr, STDERR_FILENO) < 0 || close(saved_stderr) != 0)
        return -1;
    return close(from_stderr);
}

/* The next written record, or "" if there is none. */
static const char *next(void)
{
    const ssize_t length = read(from_stderr, text, sizeof text - 1);

    text[length > 0 ? length : 0] = '\0';
    return text;
}

static void record_has_its_form(void **state)
{
    (void)state;
    log_info("server", "recovered partitions=%d ms=%d", 22, 31);
    assert_int_equal(strlen(next()), 25 + strlen("INFO server recovered partitions=22 ms=31\n"));
    assert_int_equal(text[23], 'Z');
    assert_string_equal(text + 25, "INFO server recovered partitions=22 ms=31\n");
    assert_string_equal(next(), "");
}

static void levels_filter(void **state)
{
    (void)state;
    log_debug("x", "hidden");
    assert_string_equal(next(), "");
    log_set_level(LOG_DEBUG);
    log_debug("x", "shown");
    assert_non_null(strstr(next(), " DEBUG x shown\n"));
    log_set_level(LOG_ERROR);
    log_warn("x", "hidden");
    assert_string_equal(next(), "");
    log_error("x", "shown");
    assert_non_null(strstr(next(), " ERROR x shown\n"));
}

static void control_bytes_are_escaped(void **state)
{
    (void)state;
    log_warn("x", "key=%s end", "a\nb\x1b[31m\t\x7f\r\xc3\xa4");
    assert_non_null(strstr(next(), " WARN x key=a\\x0ab\\x1b[31m\\x09\\x7f\\x0d\xc3\xa4 end\n"));
    assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
}

/* 2,000 control bytes grow to 8,000 and still leave one line; packets of the pipe end at 4,096. */
static void long_records_are_cut_and_stay_one_line(void **state)
{
    char argument[5000], all[16384] = "";

    (void)state;
    memset(argument, '\1', sizeof argument - 1);
    argument[sizeof argument - 1] = '\0';
    log_info("x", "%s", argument);
    while (next()[0] != '\0') {
        assert_true(strlen(all) + strlen(text) < sizeof all);
        memcpy(all + strlen(all), text, strlen(text) + 1);
    }
    assert_ptr_equal(strchr(all, '\n'), all + strlen(all) - 1);
    assert_non_null(strstr(all, "\\x01...\n"));
}

static void long_component_is_cut(void **state)
{
    char component[300];

    (void)state;
    memset(component, 'c', sizeof component - 1);
    component[sizeof component - 1] = '\0';
    log_info(component, "message");
    assert_non_null(strstr(next(), "c message\n"));
}

/* Also where the line cannot be written: the caller's error is the one that counts. */
static void errno_survives(void **state)
{
    const int unwritable = open("/dev/null", O_RDONLY | O_CLOEXEC);

    (void)state;
    assert_true(unwritable >= 0);
    assert_true(dup2(unwritable, STDERR_FILENO) >= 0);
    assert_int_equal(close(unwritable), 0);
    errno = ENOSPC;
    log_info("x", "message");
    assert_int_equal(errno, ENOSPC);
}

static void level_names_parse(void **state)
{
    enum log_level level;

    (void)state;
    assert_int_equal(log_level_parse("debug", &level), 0);
    assert_int_equal(level, LOG_DEBUG);
    assert_int_equal(log_level_parse("info", &level), 0);
    assert_int_equal(level, LOG_INFO);
    assert_int_equal(log_level_parse("warn", &level), 0);
    assert_int_equal(level, LOG_WARN);
    assert_int_equal(log_level_parse("error", &level), 0);
    assert_int_equal(level, LOG_ERROR);
    assert_int_equal(log_level_parse("", &level), CAIRN_EINVAL);
    assert_int_equal(log_level_parse("INFO", &level), CAIRN_EINVAL);
    assert_int_equal(log_level_parse("infos", &level), CAIRN_EINVAL);
}

#define LOG_TEST(test) cmocka_unit_test_setup_teardown(test, redirect, restore)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOG_TEST(record_has_its_form),       LOG_TEST(levels_filter),
        LOG_TEST(control_bytes_are_escaped), LOG_TEST(long_records_are_cut_and_stay_one_line),
        LOG_TEST(long_component_is_cut),     LOG_TEST(errno_survives),
        cmocka_unit_test(level_names_parse),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
