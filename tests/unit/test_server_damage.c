/* The file DAMAGED: what is marked is found again, and a file that says something else than was
 * written is refused (R13, W4, W9). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "proto/limits.h"
#include "server/damage.h"
#include "tests/lib/scratch.h"

enum { PARTITIONS = 100 };

static const char written[] = "cairn-damaged 1\n0\n7\n99\nchecksum 0a4c08942e11dacb\n";

struct place {
    char directory[SCRATCH_PATH_MAX];
    char path[SCRATCH_PATH_MAX + 16];
    struct damage damage;
    struct error error;
};

static int setup(void **state)
{
    struct place *place = calloc(1, sizeof *place);

    assert_non_null(place);
    scratch_create(place->directory);
    snprintf(place->path, sizeof place->path, "%s/DAMAGED", place->directory);
    *state = place;
    return 0;
}

static int teardown(void **state)
{
    struct place *place = *state;

    damage_close(&place->damage);
    scratch_remove(place->directory);
    free(place);
    return 0;
}

static int reopen(struct place *place, uint32_t partitions)
{
    damage_close(&place->damage);
    place->error = (struct error){0};
    return damage_open(&place->damage, place->directory, partitions, &place->error);
}

static void put_file(struct place *place, const void *data, size_t length)
{
    assert_int_equal(file_replace(place->path, data, length, &place->error), CAIRN_OK);
}

static bool file_exists(const struct place *place)
{
    return access(place->path, F_OK) == 0;
}

static void test_marks_are_found_again_R13(void **state)
{
    struct place *place = *state;
    struct buffer file;

    assert_int_equal(reopen(place, PARTITIONS), CAIRN_OK);
    damage_mark(&place->damage, 99);
    damage_mark(&place->damage, 0);
    damage_mark(&place->damage, 7);
    assert_int_equal(reopen(place, PARTITIONS), CAIRN_OK);
    for (uint32_t i = 0; i < PARTITIONS; i++)
        assert_int_equal(damage_has(&place->damage, i), i == 0 || i == 7 || i == 99);
    buffer_init(&file, 4096);
    assert_int_equal(file_read(place->path, &file, &place->error), CAIRN_OK);
    assert_int_equal(file.length, sizeof written - 1);
    assert_memory_equal(file.data, written, sizeof written - 1);
    buffer_free(&file);
}

static void test_the_last_mark_takes_the_file_with_it(void **state)
{
    struct place *place = *state;

    assert_int_equal(reopen(place, PARTITIONS), CAIRN_OK);
    damage_clear(&place->damage, 5); /* never marked */
    assert_false(file_exists(place));
    damage_mark(&place->damage, 5);
    damage_mark(&place->damage, 6);
    damage_clear(&place->damage, 5);
    assert_int_equal(reopen(place, PARTITIONS), CAIRN_OK);
    assert_true(!damage_has(&place->damage, 5) && damage_has(&place->damage, 6));
    damage_clear(&place->damage, 6);
    assert_false(file_exists(place));
    assert_int_equal(reopen(place, PARTITIONS), CAIRN_OK);
    assert_false(damage_has(&place->damage, 6));
}

static void test_all_partitions_may_be_damaged(void **state)
{
    struct place *place = *state;

    assert_int_equal(reopen(place, CAIRN_PARTITIONS_LIMIT), CAIRN_OK);
    memset(place->damage.marks, true, CAIRN_PARTITIONS_LIMIT);
    place->damage.unsaved = true;
    damage_retry(&place->damage);
    assert_false(place->damage.unsaved);
    assert_int_equal(reopen(place, CAIRN_PARTITIONS_LIMIT), CAIRN_OK);
    for (uint32_t i = 0; i < CAIRN_PARTITIONS_LIMIT; i++)
        assert_true(damage_has(&place->damage, i));
}

static void test_any_changed_or_missing_byte_is_refused(void **state)
{
    struct place *place = *state;
    char changed[sizeof written];
    const size_t length = sizeof written - 1;

    for (size_t at = 0; at < length; at++)
        for (int bit = 0; bit < 8; bit++) {
            memcpy(changed, written, length);
            changed[at] ^= (char)(1 << bit);
            put_file(place, changed, length);
            assert_int_not_equal(reopen(place, PARTITIONS), CAIRN_OK);
            assert_non_null(strstr(place->error.message, place->path));
        }
    for (size_t kept = 0; kept < length; kept++) {
        put_file(place, written, kept);
        assert_int_equal(reopen(place, PARTITIONS), CAIRN_ECORRUPT);
    }
    put_file(place, written, length);
    assert_int_equal(reopen(place, PARTITIONS), CAIRN_OK);
}

static void test_a_partition_that_there_is_not_is_refused(void **state)
{
    struct place *place = *state;

    put_file(place, written, sizeof written - 1);
    assert_int_equal(reopen(place, 99), CAIRN_ECORRUPT);
    assert_int_equal(reopen(place, 100), CAIRN_OK);
}

static void test_a_newer_format_is_refused_W9(void **state)
{
    struct place *place = *state;
    static const char newer[] = "cairn-damaged 2\nanything\n";

    put_file(place, newer, sizeof newer - 1);
    assert_int_equal(reopen(place, PARTITIONS), CAIRN_EVERSION);
    assert_non_null(strstr(place->error.message, place->path));
}

static void test_a_file_far_too_big_is_refused(void **state)
{
    struct place *place = *state;
    const size_t length = 1 << 20;
    char *bytes = malloc(length);

    assert_non_null(bytes);
    memset(bytes, '1', length);
    put_file(place, bytes, length);
    free(bytes);
    assert_int_equal(reopen(place, PARTITIONS), CAIRN_ECORRUPT);
}

static void test_what_could_not_be_written_is_tried_again(void **state)
{
    struct place *place = *state;
    char obstacle[SCRATCH_PATH_MAX + 32];

    snprintf(obstacle, sizeof obstacle, "%s.new", place->path);
    assert_int_equal(mkdir(obstacle, 0700), 0);
    assert_int_equal(reopen(place, PARTITIONS), CAIRN_OK);
    damage_mark(&place->damage, 3);
    assert_true(place->damage.unsaved && damage_has(&place->damage, 3));
    damage_retry(&place->damage);
    assert_true(place->damage.unsaved);
    assert_int_equal(rmdir(obstacle), 0);
    damage_retry(&place->damage);
    assert_false(place->damage.unsaved);
    assert_int_equal(reopen(place, PARTITIONS), CAIRN_OK);
    assert_true(damage_has(&place->damage, 3));
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_marks_are_found_again_R13),
        T(test_the_last_mark_takes_the_file_with_it),
        T(test_all_partitions_may_be_damaged),
        T(test_any_changed_or_missing_byte_is_refused),
        T(test_a_partition_that_there_is_not_is_refused),
        T(test_a_newer_format_is_refused_W9),
        T(test_a_file_far_too_big_is_refused),
        T(test_what_could_not_be_written_is_tried_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
