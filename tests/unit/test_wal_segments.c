/* The log rolls over segments, cuts and recycles them; what a file held before never comes back. */
#include <stdarg.h>

#include "base/clock.h"
#include "wal_fixture.h"

static unsigned count_files(struct memory_disk *disk, const char *prefix)
{
    unsigned count = 0;
    const char *name;
    for (size_t i = 0; (name = memory_disk_name(disk, i)); i++)
        count += strncmp(name, prefix, strlen(prefix)) == 0;
    return count;
}

static void test_records_roll_over_segments(void **state)
{
    (void)state;
    struct memory_disk *disk = memory_disk_create();
    struct fixture f;
    fixture_init(&f, disk, "/log", WAL_BACKEND_INLINE);
    assert_int_equal(fixture_open(&f), 0);
    fixture_fill(&f, 300, 1000);
    assert_int_equal(wal_bytes(f.wal), 6 * WAL_SEGMENT_BYTES_MINIMUM);
    fixture_close(&f);
    fixture_reopen(&f);
    assert_int_equal(f.count, 300);
    assert_int_equal(f.recovery.segments, 6);
    fixture_close(&f);
    memory_disk_free(disk);
}

/* A batch larger than a segment is split; its parts are synced in order. */
static void test_a_batch_spans_segments(void **state)
{
    (void)state;
    struct memory_disk *disk = memory_disk_create();
    struct fixture f;
    fixture_init(&f, disk, "/log", WAL_BACKEND_INLINE);
    f.options.batch_bytes = 1 << 20;
    f.options.spare_segments = 5;
    assert_int_equal(fixture_open(&f), 0);
    for (int i = 0; i < 30; i++)
        assert_true(fixture_append(&f, 10000));
    fixture_flush(&f);
    assert_int_equal(wal_syncs(f.wal), 5); /* six of them fit a segment */
    fixture_abandon(&f);
    memory_disk_restart(disk, 0);
    fixture_reopen(&f);
    assert_int_equal(f.count, 30);
    fixture_close(&f);
    memory_disk_free(disk);
}

static void test_cut_segments_are_recycled_and_spares_bounded(void **state)
{
    (void)state;
    struct memory_disk *disk = memory_disk_create();
    struct fixture f;
    fixture_init(&f, disk, "/log", WAL_BACKEND_INLINE);
    assert_int_equal(fixture_open(&f), 0);
    fixture_fill(&f, 1500, 1000);
    assert_true(wal_bytes(f.wal) > 20 * WAL_SEGMENT_BYTES_MINIMUM);
    f.cut = 1490;
    wal_cut(f.wal, f.cut);
    assert_true(wal_bytes(f.wal) <= 2 * WAL_SEGMENT_BYTES_MINIMUM);
    assert_true(count_files(disk, "wal-") <= 3);
    assert_int_equal(count_files(disk, "spare-"), KEEPER_SPARES_MAX);
    /* From now on no new file is made. */
    uint64_t made = memory_disk_calls(disk, MEMORY_PREALLOCATE);
    for (int i = 0; i < 10; i++) {
        fixture_fill(&f, 100, 1000);
        f.cut = f.durable;
        wal_cut(f.wal, f.cut);
    }
    assert_int_equal(memory_disk_calls(disk, MEMORY_PREALLOCATE), made);
    fixture_close(&f);
    fixture_reopen(&f);
    assert_true(f.count > 0 && f.count < 200);
    fixture_close(&f);
    memory_disk_free(disk);
}

/* Every segment here is a recycled one full of good records of its earlier lives. */
static void test_records_of_a_recycled_segment_never_match(void **state)
{
    (void)state;
    struct memory_disk *disk = memory_disk_create();
    struct fixture f;
    fixture_init(&f, disk, "/log", WAL_BACKEND_INLINE);
    for (int life = 0; life < 40; life++) {
        fixture_reopen(&f);
        fixture_fill(&f, 70, 1000);
        f.cut = f.durable - 1;
        wal_cut(f.wal, f.cut);
        /* Lost at once: the next life uses the same LSNs again, at the same places. */
        for (int i = 0; i < 5; i++)
            fixture_append(&f, 1000);
        fixture_abandon(&f);
        memory_disk_restart(disk, (uint64_t)life);
    }
    fixture_reopen(&f);
    fixture_close(&f);
    memory_disk_free(disk);
}

/* A cut never takes what tells where the LSNs stand: here the last segment that has a durable
 * record, while the first one of the next segment is still on its way. */
static void test_a_log_cut_to_its_end_goes_on_counting(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct memory_disk *disk = memory_disk_create();
        struct fixture f;
        fixture_init(&f, disk, "/log", WAL_BACKEND_INLINE);
        fixture_reopen(&f);
        fixture_fill(&f, 2 * 59, 1000); /* two segments full */
        assert_true(fixture_append(&f, 1000));
        f.cut = f.durable + 1;
        wal_cut(f.wal, f.cut + 1);
        assert_int_equal(wal_bytes(f.wal), 2 * WAL_SEGMENT_BYTES_MINIMUM);
        fixture_abandon(&f);
        memory_disk_restart(disk, seed);
        fixture_reopen(&f);
        assert_int_equal(wal_last_lsn(f.wal), 2 * 59);
        /* The segment born in recovery knows; now the other may go. */
        wal_cut(f.wal, f.cut);
        assert_int_equal(wal_bytes(f.wal), WAL_SEGMENT_BYTES_MINIMUM);
        fixture_close(&f);
        fixture_reopen(&f);
        assert_int_equal(wal_last_lsn(f.wal), 2 * 59);
        fixture_close(&f);
        memory_disk_free(disk);
    }
}

static void test_idle_restarts_pile_up_nothing(void **state)
{
    (void)state;
    struct memory_disk *disk = memory_disk_create();
    struct fixture f;
    fixture_init(&f, disk, "/log", WAL_BACKEND_INLINE);
    assert_int_equal(fixture_open(&f), 0);
    fixture_fill(&f, 10, 1000);
    for (int i = 0; i < 20; i++) {
        if (i % 2)
            fixture_abandon(&f);
        else
            fixture_close(&f);
        memory_disk_restart(disk, (uint64_t)i);
        fixture_reopen(&f);
        assert_int_equal(f.count, 10);
        assert_true(wal_bytes(f.wal) <= 3 * WAL_SEGMENT_BYTES_MINIMUM);
        assert_true(count_files(disk, "") <= 5);
    }
    fixture_close(&f);
    memory_disk_free(disk);
}

static void test_another_segment_size_takes_over(void **state)
{
    (void)state;
    static const uint64_t sizes[] = {1 << 20, 64 << 10, 256 << 10, 64 << 10};
    struct memory_disk *disk = memory_disk_create();
    struct fixture f;
    fixture_init(&f, disk, "/log", WAL_BACKEND_INLINE);
    f.options.batch_bytes = 512 << 10;
    for (unsigned i = 0; i < 8; i++) {
        f.options.segment_bytes = sizes[i % 4];
        fixture_reopen(&f);
        /* One batch that may be larger than the next life's segments. */
        for (int r = 0; r < 8; r++)
            fixture_append(&f, 50000);
        fixture_flush(&f);
        if (i % 2) {
            f.cut = f.durable - 2;
            wal_cut(f.wal, f.cut);
        }
        fixture_abandon(&f);
        memory_disk_restart(disk, i);
    }
    fixture_reopen(&f);
    fixture_close(&f);
    memory_disk_free(disk);
}

/* W4: half-made files and spares are no part of the log. */
static void test_other_files_are_ignored_or_removed(void **state)
{
    (void)state;
    struct memory_disk *disk = memory_disk_create();
    const struct io *io = memory_disk_io(disk);
    struct fixture f;
    fixture_init(&f, disk, "/log", WAL_BACKEND_INLINE);
    fixture_reopen(&f);
    fixture_fill(&f, 3, 100);
    fixture_close(&f);
    static const char *const names[] = {"new-0000000000000077.tmp", "spare-0000000000000099.seg",
                                        "LOCK", "wal-00000000000000AA.seg",
                                        "wal-0000000000000001.seg.bak"};
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
        struct io_file *file;
        assert_int_equal(io->open(io->context, names[i], true, &file), 0);
        assert_int_equal(io->write(io->context, file, 0, "rubbish", 7), 0);
        io->close(io->context, file);
    }
    fixture_reopen(&f);
    assert_int_equal(f.count, 3);
    size_t length;
    assert_null(memory_disk_file(disk, names[0], &length));
    assert_null(memory_disk_file(disk, names[1], &length));
    for (unsigned i = 2; i < sizeof names / sizeof *names; i++)
        assert_non_null(memory_disk_file(disk, names[i], &length));
    fixture_close(&f);
    memory_disk_free(disk);
}

/* The keeper's thread and the owner, with real files. */
static void test_rolling_and_cutting_with_threads(void **state)
{
    (void)state;
    char *directory = fixture_directory();
    struct fixture f;
    fixture_init(&f, NULL, directory, WAL_BACKEND_AUTO);
    f.options.spare_segments = 2;
    fixture_reopen(&f);
    for (int i = 0; i < 1000; i++) {
        fixture_fill(&f, 1, 3000);
        if (i % 50 == 0) {
            f.cut = f.durable;
            wal_cut(f.wal, f.cut);
        }
    }
    fixture_close(&f);
    fixture_reopen(&f);
    assert_true(f.count < 200);
    fixture_close(&f);
    fixture_remove_directory(directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_records_roll_over_segments),
        cmocka_unit_test(test_a_batch_spans_segments),
        cmocka_unit_test(test_cut_segments_are_recycled_and_spares_bounded),
        cmocka_unit_test(test_records_of_a_recycled_segment_never_match),
        cmocka_unit_test(test_a_log_cut_to_its_end_goes_on_counting),
        cmocka_unit_test(test_idle_restarts_pile_up_nothing),
        cmocka_unit_test(test_another_segment_size_takes_over),
        cmocka_unit_test(test_other_files_are_ignored_or_removed),
        cmocka_unit_test(test_rolling_and_cutting_with_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
