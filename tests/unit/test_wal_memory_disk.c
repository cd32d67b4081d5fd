/* The disk in memory keeps its word: what is synced stays, what is not may go, and faults strike
 * when they are ordered. A disk that loses nothing would make every crash test pass. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "wal/io_memory.h"

enum { LENGTH = 4096, SEEDS = 200 };

static struct io_file *open_file(const struct io *io, const char *name, bool create)
{
    struct io_file *file;
    assert_int_equal(io->open(io->context, name, create, &file), 0);
    return file;
}

/* A disk with a file of synced `a` under a durable name, and open. */
static struct memory_disk *disk_with_file(struct io_file **file)
{
    uint8_t bytes[LENGTH];
    memset(bytes, 'a', sizeof bytes);
    struct memory_disk *disk = memory_disk_create();
    const struct io *io = memory_disk_io(disk);
    *file = open_file(io, "dir/file", true);
    assert_int_equal(io->write(io->context, *file, 0, bytes, sizeof bytes), 0);
    assert_int_equal(io->sync(io->context, *file), 0);
    assert_int_equal(io->sync_directory(io->context, "dir"), 0);
    return disk;
}

static void write_b(const struct io *io, struct io_file *file, size_t length)
{
    uint8_t bytes[LENGTH];
    memset(bytes, 'b', sizeof bytes);
    assert_int_equal(io->write(io->context, file, 0, bytes, length), 0);
}

/* How many bytes of the file are `b`. */
static size_t count_b(struct memory_disk *disk)
{
    size_t length, count = 0;
    const uint8_t *bytes = memory_disk_file(disk, "file", &length);
    assert_int_equal(length, LENGTH);
    for (size_t i = 0; i < length; i++) {
        assert_true(bytes[i] == 'a' || bytes[i] == 'b');
        count += bytes[i] == 'b';
    }
    return count;
}

static void test_unsynced_writes_are_lost_kept_and_torn(void **state)
{
    (void)state;
    unsigned lost = 0, kept = 0, by_sector = 0, torn = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct io_file *file;
        struct memory_disk *disk = disk_with_file(&file);
        const struct io *io = memory_disk_io(disk);
        write_b(io, file, LENGTH);
        assert_int_equal(count_b(disk), LENGTH); /* the process sees its write */
        memory_disk_restart(disk, seed);
        size_t count = count_b(disk);
        lost += count == 0;
        kept += count == LENGTH;
        by_sector += count % LENGTH != 0 && count % 512 == 0;
        torn += count % 512 != 0;
        io->close(io->context, file);
        memory_disk_free(disk);
    }
    assert_true(lost > 10 && kept > 10 && by_sector > 10 && torn > 10);
}

static void test_synced_writes_stay(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct io_file *file;
        struct memory_disk *disk = disk_with_file(&file);
        const struct io *io = memory_disk_io(disk);
        write_b(io, file, 1000);
        assert_int_equal(io->sync(io->context, file), 0);
        memory_disk_restart(disk, seed);
        assert_int_equal(count_b(disk), 1000);
        size_t got;
        uint8_t byte;
        assert_int_equal(io->read(io->context, file, 0, &byte, 1, &got), -EIO); /* a dead handle */
        io->close(io->context, file);
        memory_disk_free(disk);
    }
}

/* Linux marks pages clean after a failed sync: a second one succeeds and writes nothing (W2). */
static void test_a_failed_sync_loses_for_good(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct io_file *file;
        struct memory_disk *disk = disk_with_file(&file);
        const struct io *io = memory_disk_io(disk);
        write_b(io, file, 1000);
        memory_disk_fail(disk, MEMORY_SYNC, 1, -EIO, false);
        assert_int_equal(io->sync(io->context, file), -EIO);
        assert_int_equal(io->sync(io->context, file), 0);
        assert_int_equal(count_b(disk), 1000); /* still in the page cache */
        memory_disk_restart(disk, seed);
        assert_int_equal(count_b(disk), 0);
        io->close(io->context, file);
        memory_disk_free(disk);
    }
}

static void test_names_last_when_the_directory_is_synced(void **state)
{
    (void)state;
    unsigned old_names = 0, new_names = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct io_file *file;
        struct memory_disk *disk = disk_with_file(&file);
        const struct io *io = memory_disk_io(disk);
        io->close(io->context, file);
        assert_int_equal(io->rename(io->context, "dir/file", "dir/renamed"), 0);
        bool synced = seed % 2;
        if (synced)
            assert_int_equal(io->sync_directory(io->context, "dir"), 0);
        memory_disk_restart(disk, seed);
        size_t length;
        bool has_new = memory_disk_file(disk, "renamed", &length);
        bool has_old = memory_disk_file(disk, "file", &length);
        assert_true(has_new != has_old); /* a rename is atomic */
        assert_true(has_new || !synced);
        new_names += has_new && !synced;
        old_names += has_old;
        memory_disk_free(disk);
    }
    assert_true(old_names > 10 && new_names > 10);
}

static void test_a_limit_is_a_full_disk(void **state)
{
    (void)state;
    struct io_file *file;
    struct memory_disk *disk = disk_with_file(&file);
    const struct io *io = memory_disk_io(disk);
    memory_disk_limit(disk, 2 * LENGTH);
    struct io_file *second = open_file(io, "dir/second", true);
    assert_int_equal(io->preallocate(io->context, second, LENGTH + 1), -ENOSPC);
    assert_int_equal(io->preallocate(io->context, second, LENGTH), 0);
    write_b(io, file, LENGTH); /* within its room */
    assert_int_equal(io->write(io->context, second, LENGTH, "x", 1), -ENOSPC);
    /* Removed, closed and synced: its room is free. */
    io->close(io->context, second);
    assert_int_equal(io->remove(io->context, "dir/second"), 0);
    assert_int_equal(io->sync_directory(io->context, "dir"), 0);
    second = open_file(io, "dir/third", true);
    assert_int_equal(io->preallocate(io->context, second, LENGTH), 0);
    io->close(io->context, second);
    io->close(io->context, file);
    memory_disk_free(disk);
}

static void test_the_nth_call_fails_once_or_for_ever(void **state)
{
    (void)state;
    for (int forever = 0; forever < 2; forever++) {
        struct io_file *file;
        struct memory_disk *disk = disk_with_file(&file);
        const struct io *io = memory_disk_io(disk);
        uint64_t bytes;
        memory_disk_fail(disk, MEMORY_WRITE, 3, -ENOSPC, forever);
        for (int i = 1; i <= 5; i++) {
            bool fails = i == 3 || (forever && i > 3);
            assert_int_equal(io->write(io->context, file, 0, "x", 1), fails ? -ENOSPC : 0);
            assert_int_equal(io->size(io->context, file, &bytes), 0);
        }
        memory_disk_crash_at(disk, 2);
        assert_int_equal(io->size(io->context, file, &bytes), 0);
        for (int i = 0; i < 3; i++)
            assert_int_equal(io->size(io->context, file, &bytes), -EIO);
        assert_true(memory_disk_crashed(disk));
        io->close(io->context, file);
        memory_disk_free(disk);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unsynced_writes_are_lost_kept_and_torn),
        cmocka_unit_test(test_synced_writes_stay),
        cmocka_unit_test(test_a_failed_sync_loses_for_good),
        cmocka_unit_test(test_names_last_when_the_directory_is_synced),
        cmocka_unit_test(test_a_limit_is_a_full_disk),
        cmocka_unit_test(test_the_nth_call_fails_once_or_for_ever),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
