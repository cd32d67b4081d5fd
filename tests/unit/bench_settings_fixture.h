/* What the tests of cairn-bench's command line share: settings parsed from one line. */
#ifndef CAIRN_TESTS_BENCH_SETTINGS_FIXTURE_H
#define CAIRN_TESTS_BENCH_SETTINGS_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bench/settings.h"

enum { WORDS_MAX = 24 };

static struct settings settings;
static struct error error;

/* Of words separated by single blanks. */
static inline int parse(const char *line)
{
    static char copy[512], program[] = "cairn-bench";
    char *words[WORDS_MAX + 1] = {program}, *rest = NULL;
    int count = 1;
    enum options_result next = OPTIONS_EXIT;
    error.message[0] = '\0';
    assert_true(strlen(line) < sizeof(copy));
    snprintf(copy, sizeof(copy), "%s", line);
    for (char *word = strtok_r(copy, " ", &rest); word != NULL; word = strtok_r(NULL, " ", &rest)) {
        assert_true(count < WORDS_MAX);
        words[count++] = word;
    }
    int status = settings_parse(count, words, &settings, &next, &error);
    assert_true(status != 0 || next == OPTIONS_RUN);
    return status;
}

static inline void refuse(const char *line, const char *because)
{
    assert_int_equal(parse(line), CAIRN_EINVAL);
    assert_non_null(strstr(error.message, because));
}

#endif
