/* What was appended comes back, in order, through every backend; batches gather while one runs. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "wal_fixture.h"

static const enum wal_backend all_backends[] = {WAL_BACKEND_AUTO, WAL_BACKEND_URING,
                                                WAL_BACKEND_THREAD, WAL_BACKEND_INLINE};

/* True if this kernel or file system leaves no io_uring to test. */
static bool refused(const struct fixture *f, int rc)
{
    return f->options.backend == WAL_BACKEND_URING && rc == CAIRN_EUNAVAILABLE;
}

static void wait_for_completion(const struct wal *wal)
{
    if (wal_descriptor(wal) < 0)
        return;
    struct pollfd poll_descriptor = {.fd = wal_descriptor(wal), .events = POLLIN};
    assert_int_equal(poll(&poll_descriptor, 1, 10000), 1);
}

/* Lengths around every boundary that the format knows. */
static const uint32_t lengths[] = {0,    1,    7,    8,    9,    255,   4000,  4048,  4055, 4056,
                                   4057, 4095, 4096, 4097, 8191, 20000, 32728, 12345, 3,    160};
enum { LENGTHS = sizeof lengths / sizeof *lengths };

static void round_trip(struct fixture *f)
{
    int rc = fixture_open(f);
    if (refused(f, rc))
        return;
    assert_int_equal(rc, 0);
    assert_int_equal(f->recovery.last_lsn, 0);
    for (int life = 0; life < 3; life++) {
        for (unsigned i = 0; i < LENGTHS; i++)
            fixture_fill(f, 1, lengths[(i + (unsigned)life) % LENGTHS]);
        fixture_close(f);
        fixture_reopen(f);
        assert_int_equal(f->count, (life + 1) * LENGTHS);
        assert_int_equal(f->recovery.records, f->count);
        assert_int_equal(f->recovery.first_lsn, 1);
        assert_int_equal(f->recovery.last_lsn, f->count);
        assert_int_equal(f->recovery.rewritten, 0); /* the closing mark covers all (W3) */
        assert_int_equal(f->recovery.torn_bytes, 0);
    }
    fixture_close(f);
}

static void test_every_backend_returns_what_was_appended(void **state)
{
    (void)state;
    struct fixture f;
    for (unsigned i = 0; i < sizeof all_backends / sizeof *all_backends; i++) {
        char *directory = fixture_directory();
        fixture_init(&f, NULL, directory, all_backends[i]);
        round_trip(&f);
        fixture_remove_directory(directory);
        if (all_backends[i] == WAL_BACKEND_URING)
            continue; /* needs a descriptor */
        struct memory_disk *disk = memory_disk_create();
        fixture_init(&f, disk, "/log", all_backends[i]);
        round_trip(&f);
        memory_disk_free(disk);
    }
}

static void test_io_uring_without_descriptors_is_refused(void **state)
{
    (void)state;
    struct memory_disk *disk = memory_disk_create();
    struct fixture f;
    fixture_init(&f, disk, "/log", WAL_BACKEND_URING);
    assert_int_equal(fixture_open(&f), CAIRN_EUNAVAILABLE);
    assert_null(f.wal);
    f.options.backend = WAL_BACKEND_AUTO;
    assert_int_equal(fixture_open(&f), 0);
    assert_string_equal(wal_backend_name(f.wal), "thread");
    fixture_close(&f);
    memory_disk_free(disk);
}

static void gather_while_busy(struct fixture *f)
{
    int rc = fixture_open(f);
    if (refused(f, rc))
        return;
    assert_int_equal(rc, 0);
    assert_false(wal_waiting(f->wal));
    wal_submit(f->wal); /* nothing to do */
    assert_false(wal_busy(f->wal));
    assert_true(fixture_append(f, 100));
    assert_true(wal_waiting(f->wal));
    assert_int_equal(wal_durable_lsn(f->wal), 0);
    wal_submit(f->wal);
    /* Gathers as one batch, however often it is submitted meanwhile. */
    for (int i = 0; i < 10; i++) {
        assert_true(fixture_append(f, 100));
        wal_submit(f->wal);
    }
    bool background = wal_descriptor(f->wal) >= 0;
    assert_int_equal(wal_busy(f->wal), background);
    uint64_t last = 0;
    while (wal_durable_lsn(f->wal) < 11) {
        wait_for_completion(f->wal);
        uint64_t durable = wal_complete(f->wal);
        assert_true(durable >= last && durable <= 11);
        assert_true(!background || durable == 0 || durable == 1 || durable == 11);
        last = durable;
    }
    if (background)
        assert_int_equal(wal_syncs(f->wal), 2);
    assert_false(wal_busy(f->wal));
    assert_false(wal_waiting(f->wal));
    f->durable = last;
    fixture_abandon(f);
    fixture_reopen(f);
    assert_int_equal(f->count, 11);
    fixture_close(f);
}

static void test_batches_gather_while_one_is_under_way(void **state)
{
    (void)state;
    struct fixture f;
    for (unsigned i = 0; i < sizeof all_backends / sizeof *all_backends; i++) {
        char *directory = fixture_directory();
        fixture_init(&f, NULL, directory, all_backends[i]);
        gather_while_busy(&f);
        fixture_remove_directory(directory);
    }
}

static void test_a_full_batch_refuses_until_it_is_written(void **state)
{
    (void)state;
    struct memory_disk *disk = memory_disk_create();
    struct fixture f;
    fixture_init(&f, disk, "/log", WAL_BACKEND_INLINE);
    f.options.batch_bytes = 8192;
    assert_int_equal(fixture_open(&f), 0);
    int fitted = 0;
    while (fixture_append(&f, 984)) /* 1024 with its header */
        fitted++;
    assert_int_equal(fitted, 8);
    wal_submit(f.wal);
    assert_int_equal(wal_durable_lsn(f.wal), 8);
    assert_true(fixture_append(&f, 8152)); /* as much as a batch can hold */
    assert_false(fixture_append(&f, 0));
    fixture_flush(&f);
    fixture_close(&f);
    fixture_reopen(&f);
    assert_int_equal(f.count, 9);
    fixture_close(&f);
    memory_disk_free(disk);
}

static int refuse_third(void *context, const struct wal_record *record, struct error *error)
{
    (void)context;
    return record->lsn == 3 ? error_set(error, CAIRN_EPROTO, "the third is wrong") : 0;
}

static void test_the_visitor_can_refuse(void **state)
{
    (void)state;
    struct memory_disk *disk = memory_disk_create();
    struct fixture f;
    fixture_init(&f, disk, "/log", WAL_BACKEND_INLINE);
    assert_int_equal(fixture_open(&f), 0);
    fixture_fill(&f, 5, 10);
    fixture_close(&f);
    f.options.visit = refuse_third;
    assert_int_equal(fixture_open(&f), CAIRN_EPROTO);
    assert_string_equal(f.error.message, "the third is wrong");
    f.options.visit = fixture_visit;
    fixture_reopen(&f);
    assert_int_equal(f.count, 5);
    fixture_close(&f);
    memory_disk_free(disk);
}

static void test_bad_options_are_refused(void **state)
{
    (void)state;
    struct memory_disk *disk = memory_disk_create();
    struct fixture f;
    fixture_init(&f, disk, "/log", WAL_BACKEND_INLINE);
    f.options.segment_bytes = WAL_SEGMENT_BYTES_MINIMUM - WAL_BLOCK_BYTES;
    assert_int_equal(fixture_open(&f), CAIRN_EINVAL);
    fixture_init(&f, disk, "/log", WAL_BACKEND_INLINE);
    f.options.batch_bytes = 100;
    assert_int_equal(fixture_open(&f), CAIRN_EINVAL);
    fixture_init(&f, disk, "/log", WAL_BACKEND_INLINE);
    f.options.spare_segments = KEEPER_READY_MAX + 1;
    assert_int_equal(fixture_open(&f), CAIRN_EINVAL);
    memory_disk_free(disk);
}

/* A process that is killed leaves what it wrote in the page cache (W1). */
static void test_a_killed_process_loses_nothing_durable(void **state)
{
    (void)state;
    char *directory = fixture_directory();
    struct fixture f;
    fixture_init(&f, NULL, directory, WAL_BACKEND_AUTO);
    for (int round = 0; round < 5; round++) {
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            if (fixture_open(&f) != 0)
                _exit(1);
            fixture_fill(&f, 50, 700);
            raise(SIGKILL);
        }
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        f.life++; /* as the child did */
        for (uint64_t lsn = f.finished + 1; lsn <= f.finished + 50; lsn++) {
            f.writer[lsn] = f.life;
            f.length[lsn] = 700;
        }
        f.finished += 50;
        f.durable += 50;
    }
    fixture_reopen(&f);
    assert_int_equal(f.count, 250);
    assert_true(f.recovery.rewritten > 0);
    fixture_close(&f);
    fixture_remove_directory(directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_backend_returns_what_was_appended),
        cmocka_unit_test(test_io_uring_without_descriptors_is_refused),
        cmocka_unit_test(test_batches_gather_while_one_is_under_way),
        cmocka_unit_test(test_a_full_batch_refuses_until_it_is_written),
        cmocka_unit_test(test_the_visitor_can_refuse),
        cmocka_unit_test(test_bad_options_are_refused),
        cmocka_unit_test(test_a_killed_process_loses_nothing_durable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
