/* Files appear whole (W4), directories are made and locked for one process. */
#include <dirent.h>
#include <ftw.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"

struct place {
    char root[32];
    char path[96];
    struct error error;
};

static int enter(void **state)
{
    struct place *place = calloc(1, sizeof *place);

    if (place == NULL)
        return -1;
    memcpy(place->root, "/tmp/cairn-file-XXXXXX", 23);
    if (mkdtemp(place->root) == NULL)
        return -1;
    *state = place;
    return 0;
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *walk)
{
    (void)status;
    (void)kind;
    (void)walk;
    return remove(path);
}

static int leave(void **state)
{
    struct place *place = *state;
    const int status = nftw(place->root, remove_one, 8, FTW_DEPTH | FTW_PHYS);

    free(place);
    return status;
}

static const char *in(struct place *place, const char *name)
{
    (void)snprintf(place->path, sizeof place->path, "%s/%s", place->root, name);
    return place->path;
}

static int count_files(const char *directory)
{
    DIR *opened = opendir(directory);
    int count = -2; /* without . and .. */

    assert_non_null(opened);
    while (readdir(opened) != NULL)
        count++;
    assert_int_equal(closedir(opened), 0);
    return count;
}

static void directories_are_made_with_parents(void **state)
{
    struct place *place = *state;
    struct stat status;

    assert_int_equal(directory_create(in(place, "a/b//c/"), &place->error), 0);
    assert_int_equal(directory_create(in(place, "a/b/c"), &place->error), 0);
    assert_int_equal(stat(in(place, "a/b/c"), &status), 0);
    assert_true(S_ISDIR(status.st_mode));
    assert_int_equal(status.st_mode & 0777, 0700);
    assert_int_equal(directory_create(place->root, &place->error), 0);
}

static void directory_errors_name_the_path(void **state)
{
    struct place *place = *state;
    char name[PATH_MAX + 100];

    assert_int_equal(file_replace(in(place, "file"), "x", 1, &place->error), 0);
    assert_int_equal(directory_create(in(place, "file"), &place->error), CAIRN_EIO);
    assert_non_null(strstr(place->error.message, "/file: exists and is not a directory"));
    assert_int_equal(directory_create(in(place, "file/x"), &place->error), CAIRN_EIO);
    assert_int_equal(directory_create("", &place->error), CAIRN_EINVAL);
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    assert_int_equal(directory_create(name, &place->error), CAIRN_EINVAL);
    assert_int_equal(directory_sync(in(place, "none"), &place->error), CAIRN_EIO);
    assert_int_equal(directory_sync(in(place, "file"), &place->error), CAIRN_EIO);
    assert_int_equal(directory_sync(place->root, &place->error), 0);
}

static void replaced_file_reads_back_whole(void **state)
{
    struct place *place = *state;
    struct buffer buffer;
    struct stat status;
    static uint8_t big[200000];

    for (size_t i = 0; i < sizeof big; i++)
        big[i] = (uint8_t)(i % 251);
    buffer_init(&buffer, sizeof big);
    assert_int_equal(file_replace(in(place, "f"), "old and longer", 14, &place->error), 0);
    assert_int_equal(file_replace(in(place, "f"), "new", 3, &place->error), 0);
    assert_int_equal(file_read(in(place, "f"), &buffer, &place->error), 0);
    assert_int_equal(buffer.length, 3);
    assert_memory_equal(buffer.data, "new", 3);
    buffer_clear(&buffer);
    assert_int_equal(file_replace(in(place, "f"), big, sizeof big, &place->error), 0);
    assert_int_equal(file_read(in(place, "f"), &buffer, &place->error), 0);
    assert_int_equal(buffer.length, sizeof big);
    assert_memory_equal(buffer.data, big, sizeof big);
    assert_int_equal(stat(in(place, "f"), &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    assert_int_equal(count_files(place->root), 1);
    buffer_free(&buffer);
}

/* What a crash left under the temporary name is not mixed into the new file. */
static void leftover_of_a_crash_is_overwritten(void **state)
{
    struct place *place = *state;
    struct buffer buffer;

    assert_int_equal(file_replace(in(place, "f.new"), "left by a crash", 15, &place->error), 0);
    assert_int_equal(file_replace(in(place, "f"), "new", 3, &place->error), 0);
    buffer_init(&buffer, 100);
    assert_int_equal(file_read(in(place, "f"), &buffer, &place->error), 0);
    assert_int_equal(buffer.length, 3);
    assert_memory_equal(buffer.data, "new", 3);
    assert_int_equal(count_files(place->root), 1);
    buffer_free(&buffer);
}

static void empty_files_work(void **state)
{
    struct place *place = *state;
    struct buffer buffer;

    buffer_init(&buffer, 0);
    assert_int_equal(file_replace(in(place, "empty"), NULL, 0, &place->error), 0);
    assert_int_equal(file_read(in(place, "empty"), &buffer, &place->error), 0);
    assert_int_equal(buffer.length, 0);
    buffer_free(&buffer);
}

static void relative_paths_work(void **state)
{
    struct place *place = *state;
    char before[PATH_MAX];

    assert_non_null(getcwd(before, sizeof before));
    assert_int_equal(chdir(place->root), 0);
    assert_int_equal(file_replace("here", "x", 1, &place->error), 0);
    assert_int_equal(directory_create("x/y", &place->error), 0);
    assert_int_equal(chdir(before), 0);
    assert_int_equal(access(in(place, "here"), F_OK), 0);
    assert_int_equal(access(in(place, "x/y"), F_OK), 0);
}

static void reading_appends_and_respects_the_limit(void **state)
{
    struct place *place = *state;
    struct buffer buffer;

    assert_int_equal(file_replace(in(place, "f"), "12345", 5, &place->error), 0);
    buffer_init(&buffer, 8);
    assert_int_equal(buffer_append(&buffer, "abc", 3), 0);
    assert_int_equal(file_read(in(place, "f"), &buffer, &place->error), 0);
    assert_int_equal(buffer.length, 8);
    assert_memory_equal(buffer.data, "abc12345", 8);
    buffer_free(&buffer);
    buffer_init(&buffer, 7);
    assert_int_equal(buffer_append(&buffer, "abc", 3), 0);
    assert_int_equal(file_read(in(place, "f"), &buffer, &place->error), CAIRN_ETOOBIG);
    assert_non_null(strstr(place->error.message, "/f: larger than 7 bytes"));
    assert_int_equal(buffer.length, 3);
    buffer_free(&buffer);
}

static void missing_and_unreadable_files(void **state)
{
    struct place *place = *state;
    struct buffer buffer;

    buffer_init(&buffer, 100);
    assert_int_equal(file_read(in(place, "none"), &buffer, &place->error), CAIRN_ENOTFOUND);
    assert_non_null(strstr(place->error.message, "/none: "));
    assert_int_equal(file_read(place->root, &buffer, &place->error), CAIRN_EIO);
    buffer_free(&buffer);
}

/* The target is a directory: the rename fails, and nothing is left behind. */
static void failed_replace_leaves_nothing(void **state)
{
    struct place *place = *state;

    assert_int_equal(directory_create(in(place, "d/inside"), &place->error), 0);
    assert_int_equal(file_replace(in(place, "d"), "x", 1, &place->error), CAIRN_EIO);
    assert_int_equal(count_files(place->root), 1);
    assert_int_equal(file_replace(in(place, "none/f"), "x", 1, &place->error), CAIRN_EIO);
    assert_non_null(strstr(place->error.message, "none/f"));
}

static void full_disk_is_told_apart(void **state)
{
    struct place *place = *state;

    if (access("/dev/full", W_OK) != 0 || symlink("/dev/full", in(place, "f.new")) != 0)
        fail_msg("no /dev/full to write to");
    assert_int_equal(file_replace(in(place, "f"), "x", 1, &place->error), CAIRN_ENOSPC);
    assert_int_equal(count_files(place->root), 0);
}

static void lock_excludes_and_names_the_holder(void **state)
{
    struct place *place = *state;
    char wanted[64];
    int lock, second = 0;

    assert_int_equal(directory_lock(place->root, &lock, &place->error), 0);
    assert_true(lock >= 0);
    assert_int_equal(directory_lock(place->root, &second, &place->error), CAIRN_EBUSY);
    assert_int_equal(second, -1);
    (void)snprintf(wanted, sizeof wanted, ": in use by process %ld", (long)getpid());
    assert_non_null(strstr(place->error.message, wanted));
    assert_int_equal(close(lock), 0);
    assert_int_equal(directory_lock(place->root, &second, &place->error), 0);
    assert_int_equal(close(second), 0);
    assert_int_equal(access(in(place, "LOCK"), F_OK), 0);
    assert_int_equal(directory_lock(in(place, "none"), &lock, &place->error), CAIRN_EIO);
    assert_int_equal(lock, -1);
}

/* What a longer pid or garbage left in the file is gone when the next holder has it. */
static void lock_file_holds_only_the_pid(void **state)
{
    struct place *place = *state;
    struct buffer buffer;
    char wanted[32];
    int lock;

    assert_int_equal(file_replace(in(place, "LOCK"), "99999999 garbage", 16, NULL), 0);
    assert_int_equal(directory_lock(place->root, &lock, &place->error), 0);
    buffer_init(&buffer, 100);
    assert_int_equal(file_read(in(place, "LOCK"), &buffer, &place->error), 0);
    (void)snprintf(wanted, sizeof wanted, "%ld\n", (long)getpid());
    assert_int_equal(buffer.length, strlen(wanted));
    assert_memory_equal(buffer.data, wanted, buffer.length);
    buffer_free(&buffer);
    assert_int_equal(close(lock), 0);
}

static void lock_ends_with_its_process(void **state)
{
    struct place *place = *state;
    int lock, status;
    const pid_t child = fork();

    if (child == 0)
        _exit(directory_lock(place->root, &lock, NULL) == 0 ? 0 : 1);
    assert_true(child > 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(directory_lock(place->root, &lock, &place->error), 0);
    assert_int_equal(close(lock), 0);
}

#define FILE_TEST(test) cmocka_unit_test_setup_teardown(test, enter, leave)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FILE_TEST(directories_are_made_with_parents),
        FILE_TEST(directory_errors_name_the_path),
        FILE_TEST(replaced_file_reads_back_whole),
        FILE_TEST(leftover_of_a_crash_is_overwritten),
        FILE_TEST(empty_files_work),
        FILE_TEST(relative_paths_work),
        FILE_TEST(reading_appends_and_respects_the_limit),
        FILE_TEST(missing_and_unreadable_files),
        FILE_TEST(failed_replace_leaves_nothing),
        FILE_TEST(full_disk_is_told_apart),
        FILE_TEST(lock_excludes_and_names_the_holder),
        FILE_TEST(lock_file_holds_only_the_pid),
        FILE_TEST(lock_ends_with_its_process),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
