/* A process that may open few files: opening a handle and a call are errors, and end no process. */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "client/cairn.h"

enum { MOST = 40, TIMEOUT_MS = 20 };

/* The lowest number that no file has; standard streams are open. */
static unsigned first_free(void)
{
    int fd = dup(STDIN_FILENO);

    assert_true(fd >= 0);
    close(fd);
    return (unsigned)fd;
}

/* In a child, which has made no event loop yet. Returns its exit status. */
static int use_handle(unsigned files)
{
    pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0) {
        struct rlimit limit = {.rlim_cur = files, .rlim_max = files};
        struct cairn_options options = {.timeout_ms = TIMEOUT_MS, .no_cache = 1};
        cairn_t *db = NULL;
        const void *value = NULL;
        size_t length = 0;
        if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
            _exit(2);
        int status = cairn_open("127.0.0.1:1", &options, &db);
        int got = status == 0 ? cairn_get(db, "k", 1, &value, &length, NULL) : -1;
        cairn_close(db);
        _exit(status != 0 ? 3 : got != 0 ? 4 : 5);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void test_few_files_are_an_error_and_no_end(void **state)
{
    (void)state;
    unsigned first = first_free(), refused = 0, opened = 0;

    for (unsigned more = 0; more < MOST; more++) {
        int status = use_handle(first + more);
        assert_in_range(status, 3, 4);
        refused += status == 3;
        opened += status == 4;
    }
    assert_true(refused > 0);
    assert_true(opened > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_few_files_are_an_error_and_no_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
