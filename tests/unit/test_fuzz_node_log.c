/* What nodes say of damage or defects is found in their logs, and what is ordinary is not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "fuzz/node.h"
#include "tests/lib/scratch.h"

static int check_line(const char *line, struct error *error)
{
    char folder[SCRATCH_PATH_MAX];
    struct node node = {.name = "s1"};
    scratch_create(folder);
    assert_true(snprintf(node.log, sizeof(node.log), "%s/s1.log", folder) > 0);
    FILE *file = fopen(node.log, "w");
    assert_non_null(file);
    assert_true(fprintf(file, "INFO  server: listening port=3000\n%s\nINFO  more\n", line) > 0);
    assert_int_equal(fclose(file), 0);
    int status = node_check_log(&node, error);
    scratch_remove(folder);
    return status;
}

static void complaints_are_found(void **state)
{
    (void)state;
    static const char *const LINES[] = {
        "server/apply.c:30: check failed: index > 0",
        "==1==ERROR: AddressSanitizer: heap-use-after-free",
        "server/apply.c:3:5: runtime error: signed integer overflow",
        "ERROR scrub: a copy differs partition=3 index=17 server=1",
        "ERROR scrub: a session fails its checksum partition=3",
        "ERROR store: data.mdb: offset 4096: the value of key k of partition 1 fails its checksum",
        "ERROR scrub: this copy is to be installed anew partition=2",
    };
    for (size_t i = 0; i < sizeof(LINES) / sizeof(*LINES); i++) {
        struct error error = {0};
        assert_int_equal(check_line(LINES[i], &error), CAIRN_EIO);
        assert_non_null(strstr(error.message, "s1 complained: "));
        assert_non_null(strstr(error.message, LINES[i]));
    }
}

static void what_faults_bring_about_is_no_complaint(void **state)
{
    (void)state;
    struct error error = {0};
    assert_int_equal(check_line("ERROR disk: no room: writes are refused", &error), 0);
    assert_int_equal(check_line("INFO  scrub: copies cannot be compared partition=1", &error), 0);
    assert_int_equal(check_line("INFO  server: a copy is installed partition=1", &error), 0);
}

static void a_node_that_never_ran_said_nothing(void **state)
{
    (void)state;
    const struct node node = {.name = "s1", .log = "/nowhere/s1.log"};
    struct error error = {0};
    assert_int_equal(node_check_log(&node, &error), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(complaints_are_found),
        cmocka_unit_test(what_faults_bring_about_is_no_complaint),
        cmocka_unit_test(a_node_that_never_ran_said_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
