/* W2: a failed write or sync ends the process, and loses nothing durable. W7: a full disk does not:
 * room shrinks, and comes back by itself. */
#include <errno.h>
#include <poll.h>

#include "base/clock.h"
#include "wal_fixture.h"

static const enum wal_backend backends[] = {WAL_BACKEND_INLINE, WAL_BACKEND_THREAD};

static void append_and_cut(struct fixture *f, unsigned records)
{
    while (records-- > 0) {
        while (!fixture_append(f, 1500))
            wal_complete(f->wal);
        fixture_flush(f);
        if (f->durable % 70 == 0) {
            f->cut = f->durable;
            wal_cut(f->wal, f->cut);
        }
    }
}

/* Appends until `fatal` is called or `records` are durable; true if it was called. */
static bool append_until_fatal(struct fixture *f, unsigned records)
{
    f->fatal[0] = 0;
    if (setjmp(f->escape) != 0) {
        f->durable = wal_durable_lsn(f->wal);
        fixture_abandon(f);
        return true;
    }
    append_and_cut(f, records);
    return false;
}

static void fail_nth(enum wal_backend backend, unsigned calls, bool forever)
{
    static struct fixture f;
    unsigned fatal = 0;
    bool reached = true;
    for (uint64_t nth = 1; reached; nth += backend == WAL_BACKEND_INLINE ? 1 : 17) {
        struct memory_disk *disk = memory_disk_create();
        fixture_init(&f, disk, "/log", backend);
        fixture_reopen(&f);
        uint64_t before = memory_disk_calls(disk, calls);
        memory_disk_fail(disk, calls, nth, -EIO, forever);
        if (append_until_fatal(&f, 160)) {
            fatal++;
            assert_non_null(strstr(f.fatal, "/log"));
            assert_non_null(strstr(f.fatal, strerror(EIO)));
        }
        reached = memory_disk_calls(disk, calls) - before >= nth;
        fixture_abandon(&f);
        memory_disk_restart(disk, nth);
        fixture_reopen(&f);
        fixture_abandon(&f);
        memory_disk_free(disk);
    }
    assert_true(fatal > 0);
}

static void test_a_failed_write_is_fatal_and_loses_nothing_durable(void **state)
{
    (void)state;
    for (unsigned b = 0; b < 2; b++)
        for (int forever = 0; forever < 2; forever++)
            fail_nth(backends[b], MEMORY_WRITE, forever);
}

static void test_a_failed_sync_is_fatal_and_loses_nothing_durable(void **state)
{
    (void)state;
    for (unsigned b = 0; b < 2; b++)
        for (int forever = 0; forever < 2; forever++)
            fail_nth(backends[b], MEMORY_SYNC, forever);
}

static void test_a_failed_change_of_names_is_fatal_and_loses_nothing_durable(void **state)
{
    (void)state;
    for (unsigned b = 0; b < 2; b++)
        fail_nth(backends[b], MEMORY_RENAME | MEMORY_SYNC_DIRECTORY | MEMORY_OPEN, true);
}

/* wal_open reports every failure, and a later try finds the log as it was. */
static void test_every_failed_call_of_a_recovery_is_an_error(void **state)
{
    (void)state;
    static struct fixture f;
    struct memory_disk *disk = memory_disk_create();
    fixture_init(&f, disk, "/log", WAL_BACKEND_INLINE);
    fixture_reopen(&f);
    fixture_fill(&f, 100, 1500);
    fixture_abandon(&f);
    for (uint64_t nth = 1;; nth++) {
        memory_disk_fail(disk, MEMORY_ALL_CALLS, nth, -EIO, false);
        int rc = fixture_open(&f);
        assert_null(f.wrong);
        if (rc == 0)
            break;
        assert_int_equal(rc, CAIRN_EIO);
        assert_int_equal(f.error.code, CAIRN_EIO);
        assert_non_null(strstr(f.error.message, "/log"));
        memory_disk_restart(disk, nth);
    }
    fixture_abandon(&f);
    memory_disk_restart(disk, 0);
    fixture_reopen(&f);
    assert_int_equal(f.count, 100);
    fixture_abandon(&f);
    memory_disk_free(disk);
}

/* Appends until there is no room; returns how many records fitted. */
static unsigned append_until_full(struct fixture *f)
{
    unsigned count = 0;
    for (uint64_t last_room = UINT64_MAX;;) {
        if (fixture_append(f, 1000)) {
            fixture_flush(f);
            count++;
        } else {
            wal_complete(f->wal);
            uint64_t room = wal_room(f->wal);
            if (room < 1000)
                return count;
            assert_true(room <= last_room);
            last_room = room;
        }
    }
}

static void full_disk(enum wal_backend backend)
{
    static struct fixture f;
    struct memory_disk *disk = memory_disk_create();
    fixture_init(&f, disk, "/log", backend);
    fixture_reopen(&f);
    assert_true(wal_room(f.wal) > WAL_SEGMENT_BYTES_MINIMUM);
    memory_disk_limit(disk, 4 * WAL_SEGMENT_BYTES_MINIMUM);
    unsigned fitted = append_until_full(&f);
    assert_int_equal(fitted, 4 * 59);
    assert_false(fixture_append(&f, 1000));
    assert_true(fixture_append(&f, 0)); /* small ones still go in where there is room */
    fixture_flush(&f);
    /* A cut makes room at once. */
    f.cut = f.durable;
    wal_cut(f.wal, f.cut);
    fixture_fill(&f, 30, 1000);
    append_until_full(&f);
    /* So does more disk, once the next try is due. */
    memory_disk_limit(disk, 0);
    uint64_t deadline = clock_now_ms() + 30000;
    while (wal_room(f.wal) < 1000 && clock_now_ms() < deadline)
        clock_sleep_ms(20);
    assert_true(wal_room(f.wal) >= 1000);
    fixture_fill(&f, 100, 1000);
    fixture_close(&f);
    fixture_reopen(&f);
    fixture_close(&f);
    memory_disk_free(disk);
}

static void test_a_full_disk_is_survived(void **state)
{
    (void)state;
    for (unsigned b = 0; b < 2; b++)
        full_disk(backends[b]);
}

static void test_no_room_at_opening_is_an_error(void **state)
{
    (void)state;
    static struct fixture f;
    struct memory_disk *disk = memory_disk_create();
    memory_disk_limit(disk, WAL_SEGMENT_BYTES_MINIMUM - 1);
    fixture_init(&f, disk, "/log", WAL_BACKEND_INLINE);
    assert_int_equal(fixture_open(&f), CAIRN_ENOSPC);
    memory_disk_limit(disk, WAL_SEGMENT_BYTES_MINIMUM);
    fixture_reopen(&f);
    assert_true(wal_room(f.wal) < WAL_SEGMENT_BYTES_MINIMUM);
    assert_int_equal(append_until_full(&f), 59);
    fixture_close(&f);
    memory_disk_free(disk);
}

/* The owner is woken when a segment that it waited for is there. */
static void test_a_refused_owner_is_woken(void **state)
{
    (void)state;
    static struct fixture f;
    struct memory_disk *disk = memory_disk_create();
    fixture_init(&f, disk, "/log", WAL_BACKEND_THREAD);
    fixture_reopen(&f);
    memory_disk_limit(disk, 2 * WAL_SEGMENT_BYTES_MINIMUM);
    append_until_full(&f);
    wal_complete(f.wal);
    assert_false(fixture_append(&f, 1000));
    f.cut = f.durable;
    wal_cut(f.wal, f.cut);
    struct pollfd poll_descriptor = {.fd = wal_descriptor(f.wal), .events = POLLIN};
    assert_int_equal(poll(&poll_descriptor, 1, 10000), 1);
    wal_complete(f.wal);
    assert_true(fixture_append(&f, 1000));
    fixture_flush(&f);
    fixture_close(&f);
    memory_disk_free(disk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_failed_write_is_fatal_and_loses_nothing_durable),
        cmocka_unit_test(test_a_failed_sync_is_fatal_and_loses_nothing_durable),
        cmocka_unit_test(test_a_failed_change_of_names_is_fatal_and_loses_nothing_durable),
        cmocka_unit_test(test_every_failed_call_of_a_recovery_is_an_error),
        cmocka_unit_test(test_a_full_disk_is_survived),
        cmocka_unit_test(test_no_room_at_opening_is_an_error),
        cmocka_unit_test(test_a_refused_owner_is_woken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
