/* A cursor reads back what is durable: each record once, in order, as it was appended, while the
 * owner appends, rolls and cuts; and what it still has to read is kept (W6). */
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>

#include "wal_fixture.h"

enum { EVERYTHING = 1 << 30 };

/* Forgets what was visited: the fixture's visitor starts from scratch. */
static void visit_anew(struct fixture *f)
{
    f->first = f->last = f->count = 0;
    f->wrong = NULL;
}

static struct wal_cursor *open_cursor(struct fixture *f, uint64_t from_lsn)
{
    struct wal_cursor *cursor;
    assert_int_equal(wal_cursor_open(f->wal, from_lsn, &cursor), 0);
    visit_anew(f);
    return cursor;
}

static int read_some(struct fixture *f, struct wal_cursor *cursor, uint64_t limit_bytes)
{
    int rc = wal_cursor_read(cursor, limit_bytes, fixture_visit, f, &f->error);
    assert_null(f->wrong);
    return rc;
}

/* Reads on to the last durable record, and states that it came that far. */
static void read_all(struct fixture *f, struct wal_cursor *cursor)
{
    uint64_t last = wal_cursor_extend(f->wal, cursor);
    assert_int_equal(last, wal_durable_lsn(f->wal));
    int rc = read_some(f, cursor, EVERYTHING);
    if (rc != 0)
        print_error("%s\n", f->error.message);
    assert_int_equal(rc, 0);
    assert_int_equal(wal_cursor_next_lsn(cursor), last + 1);
    if (f->count > 0)
        assert_int_equal(f->last, last);
}

static void start(struct fixture *f, struct memory_disk **disk)
{
    *disk = memory_disk_create();
    fixture_init(f, *disk, "/log", WAL_BACKEND_INLINE);
    fixture_reopen(f);
}

static void finish(struct fixture *f, struct memory_disk *disk)
{
    fixture_close(f);
    memory_disk_free(disk);
}

/* --- what is read ------------------------------------------------------------------------------
 */

static void test_a_cursor_reads_what_was_appended(void **state)
{
    (void)state;
    struct fixture f;
    struct memory_disk *disk;
    start(&f, &disk);
    for (unsigned i = 0; i < 600; i++)
        fixture_fill(&f, 1, i * 37 % 3000);
    assert_true(wal_bytes(f.wal) > 8 * WAL_SEGMENT_BYTES_MINIMUM);
    struct wal_cursor *cursor = open_cursor(&f, 0);
    read_all(&f, cursor);
    assert_int_equal(f.first, 1);
    assert_int_equal(f.count, 600);
    wal_cursor_close(f.wal, cursor);
    finish(&f, disk);
}

static void test_an_empty_log_has_nothing_to_read(void **state)
{
    (void)state;
    struct fixture f;
    struct memory_disk *disk;
    start(&f, &disk);
    struct wal_cursor *cursor = open_cursor(&f, 0);
    read_all(&f, cursor);
    assert_int_equal(f.count, 0);
    fixture_fill(&f, 1, 5);
    assert_int_equal(read_some(&f, cursor, EVERYTHING), 0);
    assert_int_equal(f.count, 0); /* not extended yet */
    read_all(&f, cursor);
    assert_int_equal(f.count, 1);
    wal_cursor_close(f.wal, cursor);
    finish(&f, disk);
}

/* What lies behind the last extend was in the window perhaps, half written: it is read anew. */
static void test_appends_go_on_between_reads(void **state)
{
    (void)state;
    struct fixture f;
    struct memory_disk *disk;
    start(&f, &disk);
    struct wal_cursor *cursor = open_cursor(&f, 0);
    for (unsigned i = 0; i < 500; i++) {
        fixture_fill(&f, i % 4, 10 + i * 13 % 900);
        wal_mark(f.wal); /* not visited */
        if (i % 3 == 0)
            read_all(&f, cursor);
        else
            assert_int_equal(read_some(&f, cursor, EVERYTHING), 0);
    }
    read_all(&f, cursor);
    assert_int_equal(f.count, f.finished);
    wal_cursor_close(f.wal, cursor);
    finish(&f, disk);
}

/* Gathered and not durable: not to be read, even if it lies in the file by chance. */
static void test_only_what_is_durable_is_read(void **state)
{
    (void)state;
    struct fixture f;
    struct memory_disk *disk;
    start(&f, &disk);
    fixture_fill(&f, 3, 100);
    struct wal_cursor *cursor = open_cursor(&f, 0);
    assert_int_equal(wal_cursor_extend(f.wal, cursor), 3);
    assert_true(fixture_append(&f, 100));
    assert_int_equal(wal_cursor_extend(f.wal, cursor), 3);
    fixture_flush(&f);
    assert_int_equal(read_some(&f, cursor, EVERYTHING), 0);
    assert_int_equal(f.count, 3);
    assert_int_equal(wal_cursor_extend(f.wal, cursor), 4);
    assert_int_equal(read_some(&f, cursor, EVERYTHING), 0);
    assert_int_equal(f.count, 4);
    wal_cursor_close(f.wal, cursor);
    finish(&f, disk);
}

static void test_a_cursor_starts_at_any_record(void **state)
{
    (void)state;
    struct fixture f;
    struct memory_disk *disk;
    start(&f, &disk);
    fixture_fill(&f, 300, 1000);
    for (uint64_t from = 1; from <= 301; from++) {
        struct wal_cursor *cursor = open_cursor(&f, from);
        assert_int_equal(wal_cursor_next_lsn(cursor), from);
        read_all(&f, cursor);
        assert_int_equal(f.count, 301 - from);
        if (from <= 300)
            assert_int_equal(f.first, from);
        wal_cursor_close(f.wal, cursor);
    }
    finish(&f, disk);
}

/* Forwards only; what is left out is neither read nor kept. */
static void test_a_cursor_skips_to_any_record(void **state)
{
    (void)state;
    struct fixture f;
    struct memory_disk *disk;
    start(&f, &disk);
    fixture_fill(&f, 300, 1000);
    struct wal_cursor *cursor = open_cursor(&f, 0);
    wal_cursor_extend(f.wal, cursor);
    for (uint64_t to = 10; to <= 290; to += 28) {
        wal_cursor_skip(cursor, to);
        wal_cursor_skip(cursor, 1);
        visit_anew(&f);
        assert_int_equal(read_some(&f, cursor, 2500), 0);
        assert_int_equal(f.first, to);
        assert_int_equal(f.count, 3);
        wal_cursor_skip(cursor, to); /* behind it */
        assert_int_equal(wal_cursor_next_lsn(cursor), to + 3);
    }
    struct wal_cursor *leap = open_cursor(&f, 0);
    wal_cursor_extend(f.wal, leap);
    uint64_t all = wal_bytes(f.wal);
    wal_cursor_skip(leap, 280);
    wal_cut(f.wal, f.durable);
    assert_true(wal_bytes(f.wal) < all);
    uint64_t opened = memory_disk_calls(disk, MEMORY_OPEN);
    assert_int_equal(read_some(&f, leap, EVERYTHING), 0);
    assert_int_equal(f.first, 280);
    assert_int_equal(f.count, 21);
    assert_int_equal(memory_disk_calls(disk, MEMORY_OPEN), opened + 2);
    wal_cursor_close(f.wal, leap);
    wal_cursor_close(f.wal, cursor);
    finish(&f, disk);
}

static void test_a_read_ends_at_about_its_limit(void **state)
{
    (void)state;
    struct fixture f;
    struct memory_disk *disk;
    start(&f, &disk);
    fixture_fill(&f, 200, 1000);
    struct wal_cursor *cursor = open_cursor(&f, 0);
    wal_cursor_extend(f.wal, cursor);
    for (uint64_t reads = 1; reads <= 50; reads++) {
        assert_int_equal(read_some(&f, cursor, 3500), 0);
        assert_int_equal(f.count, 4 * reads);
        assert_int_equal(wal_cursor_next_lsn(cursor), 4 * reads + 1);
    }
    wal_cursor_close(f.wal, cursor);
    finish(&f, disk);
}

struct refusal {
    struct fixture *f;
    uint64_t refused, refusals;
};

/* Refuses each third record once. */
static int visit_reluctantly(void *context, const struct wal_record *record, struct error *error)
{
    struct refusal *refusal = context;
    if (record->lsn % 3 == 0 && refusal->refused != record->lsn) {
        refusal->refused = record->lsn;
        refusal->refusals++;
        return 77;
    }
    return fixture_visit(refusal->f, record, error);
}

static void test_a_record_that_is_refused_comes_again(void **state)
{
    (void)state;
    struct fixture f;
    struct memory_disk *disk;
    start(&f, &disk);
    fixture_fill(&f, 200, 1000);
    struct wal_cursor *cursor = open_cursor(&f, 0);
    wal_cursor_extend(f.wal, cursor);
    struct refusal refusal = {.f = &f};
    int rc;
    while ((rc = wal_cursor_read(cursor, EVERYTHING, visit_reluctantly, &refusal, &f.error))) {
        assert_int_equal(rc, 77);
        assert_int_equal(wal_cursor_next_lsn(cursor), refusal.refused);
    }
    assert_null(f.wrong);
    assert_int_equal(refusal.refusals, 200 / 3);
    assert_int_equal(f.count, 200);
    wal_cursor_close(f.wal, cursor);
    finish(&f, disk);
}

/* --- cutting -----------------------------------------------------------------------------------
 */

static void test_a_cut_keeps_what_an_open_cursor_has_not_read(void **state)
{
    (void)state;
    struct fixture f;
    struct memory_disk *disk;
    start(&f, &disk);
    fixture_fill(&f, 600, 1000);
    uint64_t all = wal_bytes(f.wal);
    assert_true(wal_pinned_lsn(f.wal) == UINT64_MAX);
    struct wal_cursor *cursor = open_cursor(&f, 0), *idle = open_cursor(&f, 400);
    assert_int_equal(wal_pinned_lsn(f.wal), 1);
    wal_cut(f.wal, f.durable);
    assert_int_equal(wal_bytes(f.wal), all);
    wal_cursor_extend(f.wal, cursor);
    assert_int_equal(read_some(&f, cursor, 300 * 1000), 0);
    f.cut = wal_cursor_next_lsn(cursor);
    assert_int_equal(f.cut, 301);
    assert_int_equal(wal_pinned_lsn(f.wal), 301);
    wal_cut(f.wal, f.durable); /* what it has read may go */
    uint64_t later = wal_bytes(f.wal);
    assert_true(later < all && later > 300 * 1000);
    fixture_fill(&f, 300, 1000); /* into recycled files */
    read_all(&f, cursor);
    assert_int_equal(f.count, 900);
    wal_cursor_close(f.wal, cursor);
    wal_cut(f.wal, f.durable); /* the other one still wants 400 on */
    assert_true(wal_bytes(f.wal) > 500 * 1000);
    visit_anew(&f);
    read_all(&f, idle);
    assert_int_equal(f.first, 400);
    assert_int_equal(f.count, 501);
    wal_cursor_close(f.wal, idle);
    finish(&f, disk);
}

/* As the owner may at any time while a read runs on another thread: nothing that this read has
 * still to visit goes, and nothing is written over it. */
static int visit_and_cut(void *context, const struct wal_record *record, struct error *error)
{
    struct fixture *f = context;
    fixture_fill(f, 1, 1000);
    wal_cut(f->wal, f->durable);
    return fixture_visit(f, record, error);
}

static void test_a_cut_during_a_read_keeps_what_is_still_to_be_read(void **state)
{
    (void)state;
    struct fixture f;
    struct memory_disk *disk;
    start(&f, &disk);
    fixture_fill(&f, 600, 1000);
    struct wal_cursor *cursor = open_cursor(&f, 0);
    wal_cursor_extend(f.wal, cursor);
    assert_int_equal(wal_cursor_read(cursor, EVERYTHING, visit_and_cut, &f, &f.error), 0);
    assert_null(f.wrong);
    assert_int_equal(f.count, 600);
    wal_cursor_close(f.wal, cursor);
    finish(&f, disk);
}

static void test_a_cut_after_the_close_frees(void **state)
{
    (void)state;
    struct fixture f;
    struct memory_disk *disk;
    start(&f, &disk);
    fixture_fill(&f, 600, 1000);
    struct wal_cursor *cursor = open_cursor(&f, 0);
    wal_cut(f.wal, f.durable);
    wal_cursor_close(f.wal, cursor);
    wal_cursor_close(f.wal, NULL);
    assert_true(wal_bytes(f.wal) > 9 * WAL_SEGMENT_BYTES_MINIMUM);
    wal_cut(f.wal, f.durable);
    assert_true(wal_bytes(f.wal) <= 2 * WAL_SEGMENT_BYTES_MINIMUM);
    finish(&f, disk);
}

static void test_what_was_cut_is_not_found(void **state)
{
    (void)state;
    struct fixture f;
    struct memory_disk *disk;
    start(&f, &disk);
    fixture_fill(&f, 300, 1000);
    wal_cut(f.wal, 200);
    struct wal_cursor *cursor = open_cursor(&f, 0);
    uint64_t oldest = wal_cursor_next_lsn(cursor);
    assert_true(oldest > 100 && oldest <= 200);
    read_all(&f, cursor);
    assert_int_equal(f.first, oldest);
    wal_cursor_close(f.wal, cursor);
    assert_int_equal(wal_cursor_open(f.wal, oldest - 1, &cursor), CAIRN_ENOTFOUND);
    assert_null(cursor);
    cursor = open_cursor(&f, oldest);
    wal_cursor_close(f.wal, cursor);
    finish(&f, disk);
}

/* --- after a crash -----------------------------------------------------------------------------
 */

/* Recovery makes unmarked records durable again in a new segment: the old copies are in the log,
 * too, and nobody may see them (W1). */
static void test_rewritten_records_are_read_once(void **state)
{
    (void)state;
    uint64_t rewritten = 0, cuts = 0;
    for (uint64_t seed = 0; seed < 30; seed++) {
        struct fixture f;
        struct memory_disk *disk;
        start(&f, &disk);
        for (uint64_t life = 0; life < 8; life++) {
            fixture_fill(&f, (unsigned)(seed * 7 + life * 11) % 90, 1000);
            for (uint64_t i = 0; i < (seed + life) % 25; i++)
                assert_true(fixture_append(&f, 1000));
            if (life % 2 == 0 && wal_waiting(f.wal))
                fixture_flush(&f);
            fixture_abandon(&f);
            memory_disk_restart(disk, seed * 100 + life);
            fixture_reopen(&f);
            rewritten += f.recovery.rewritten;
            uint64_t first = f.first;
            struct wal_cursor *cursor = open_cursor(&f, 0);
            assert_int_equal(wal_cursor_next_lsn(cursor), f.recovery.records > 0 ? first : 1);
            read_all(&f, cursor);
            assert_int_equal(f.count, f.recovery.records);
            fixture_fill(&f, 2, 500); /* they follow in the new segment */
            read_all(&f, cursor);
            assert_int_equal(f.count, f.recovery.records + 2);
            wal_cursor_close(f.wal, cursor);
            if ((seed + life) % 4 == 3) {
                f.cut = f.durable / 2 + 1;
                wal_cut(f.wal, f.cut);
                cuts++;
            }
        }
        finish(&f, disk);
    }
    assert_true(rewritten > 100 && cuts > 50);
}

/* --- damage ------------------------------------------------------------------------------------
 */

#define FIRST  "wal-0000000000000001.seg"
#define SECOND "wal-0000000000000002.seg"

/* Two segments: the first one has no room for another record, the second one has. */
enum {
    RECORD_BYTES = WAL_RECORD_HEADER_BYTES + 1016,
    IN_FIRST = (WAL_SEGMENT_BYTES_MINIMUM - WAL_BLOCK_BYTES) / RECORD_BYTES,
};

static void start_two_segments(struct fixture *f, struct memory_disk **disk)
{
    start(f, disk);
    fixture_fill(f, 100, RECORD_BYTES - WAL_RECORD_HEADER_BYTES);
}

/* The cursor reads `good` records and then says that `name` is damaged at `offset`. */
static void assert_damaged(struct fixture *f, const char *name, size_t offset, uint64_t good)
{
    struct wal_cursor *cursor = open_cursor(f, 0);
    wal_cursor_extend(f->wal, cursor);
    for (int again = 0; again < 2; again++) {
        assert_int_equal(read_some(f, cursor, EVERYTHING), CAIRN_ECORRUPT);
        assert_int_equal(f->error.code, CAIRN_ECORRUPT);
        assert_int_equal(f->count, good);
        char place[100];
        snprintf(place, sizeof place, "/%s: damaged at offset %zu:", name, offset);
        assert_non_null(strstr(f->error.message, place));
    }
    wal_cursor_close(f->wal, cursor);
}

static void test_damage_is_reported_with_its_place(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        size_t offset;
        uint64_t good;
    } places[] = {
        {FIRST, WAL_BLOCK_BYTES, 0},
        {FIRST, WAL_BLOCK_BYTES + 20 * RECORD_BYTES, 20},
        /* The last one of a segment: the next segment does not make up for it. */
        {FIRST, WAL_BLOCK_BYTES + (IN_FIRST - 1) * RECORD_BYTES, IN_FIRST - 1},
        {SECOND, WAL_BLOCK_BYTES, IN_FIRST},
        {SECOND, WAL_BLOCK_BYTES + 40 * RECORD_BYTES, IN_FIRST + 40},
    };
    static const size_t bytes_of_record[] = {0, 9, 13, 17, 25, 33, 40, RECORD_BYTES - 1};
    struct fixture f;
    struct memory_disk *disk;
    start_two_segments(&f, &disk);
    for (unsigned i = 0; i < sizeof places / sizeof *places; i++) {
        for (unsigned k = 0; k < sizeof bytes_of_record / sizeof *bytes_of_record; k++) {
            size_t length;
            uint8_t *bytes = memory_disk_file(disk, places[i].name, &length);
            bytes[places[i].offset + bytes_of_record[k]] ^= 0x10;
            assert_damaged(&f, places[i].name, places[i].offset, places[i].good);
            bytes[places[i].offset + bytes_of_record[k]] ^= 0x10;
        }
    }
    struct wal_cursor *cursor = open_cursor(&f, 0);
    read_all(&f, cursor); /* whole again */
    wal_cursor_close(f.wal, cursor);
    finish(&f, disk);
}

static void test_records_replaced_by_zeros_are_damage(void **state)
{
    (void)state;
    struct fixture f;
    struct memory_disk *disk;
    start_two_segments(&f, &disk);
    size_t length, from = WAL_BLOCK_BYTES + 50 * RECORD_BYTES;
    uint8_t *bytes = memory_disk_file(disk, FIRST, &length);
    memset(bytes + from, 0, length - from);
    assert_damaged(&f, FIRST, from, 50);
    finish(&f, disk);
}

static void test_a_damaged_header_and_a_short_file_are_reported(void **state)
{
    (void)state;
    struct fixture f;
    struct memory_disk *disk;
    start_two_segments(&f, &disk);
    size_t length;
    uint8_t *bytes = memory_disk_file(disk, SECOND, &length);
    bytes[33] ^= 1; /* its id */
    assert_damaged(&f, SECOND, 0, IN_FIRST);
    bytes[33] ^= 1;
    memory_disk_truncate(disk, SECOND, length - 1);
    assert_damaged(&f, SECOND, length - 1, IN_FIRST);
    finish(&f, disk);
}

static void test_a_failing_disk_is_no_damage(void **state)
{
    (void)state;
    static const unsigned kinds[] = {MEMORY_OPEN, MEMORY_SIZE, MEMORY_READ};
    struct fixture f;
    struct memory_disk *disk;
    start_two_segments(&f, &disk);
    for (unsigned i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        for (uint64_t nth = 1; nth <= 2; nth++) {
            struct wal_cursor *cursor = open_cursor(&f, 0);
            wal_cursor_extend(f.wal, cursor);
            memory_disk_fail(disk, kinds[i], nth, -EIO, false);
            assert_int_equal(read_some(&f, cursor, EVERYTHING), CAIRN_EIO);
            assert_non_null(strstr(f.error.message, nth == 1 ? FIRST : SECOND));
            read_all(&f, cursor); /* the next try works */
            assert_int_equal(f.count, 100);
            wal_cursor_close(f.wal, cursor);
        }
    }
    finish(&f, disk);
}

/* --- beside the owner --------------------------------------------------------------------------
 */

struct reading {
    struct fixture *f;
    struct wal_cursor *cursor;
    int rc;
};

static void *read_in_thread(void *argument)
{
    struct reading *reading = argument;
    reading->rc =
        wal_cursor_read(reading->cursor, 200 << 10, fixture_visit, reading->f, &reading->f->error);
    return NULL;
}

static void read_beside_the_owner(enum wal_backend backend)
{
    char *directory = fixture_directory();
    struct fixture f;
    fixture_init(&f, NULL, directory, backend);
    f.options.spare_segments = 2;
    fixture_reopen(&f);
    fixture_fill(&f, 100, 1000);
    struct wal_cursor *cursor = open_cursor(&f, 0);
    for (unsigned round = 0; round < 30; round++) {
        struct reading reading = {.f = &f, .cursor = cursor};
        pthread_t thread;
        wal_cursor_extend(f.wal, cursor);
        assert_int_equal(pthread_create(&thread, NULL, read_in_thread, &reading), 0);
        for (unsigned i = 0; i < 20; i++) {
            fixture_fill(&f, 5, 100 + (round * 20 + i) * 7 % 2000);
            wal_cut(f.wal, f.durable);
        }
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_int_equal(reading.rc, 0);
        assert_null(f.wrong);
    }
    read_all(&f, cursor);
    assert_int_equal(f.count, f.finished);
    wal_cursor_close(f.wal, cursor);
    f.cut = f.durable;
    wal_cut(f.wal, f.cut);
    fixture_close(&f);
    fixture_remove_directory(directory);
}

static void test_reading_on_a_thread_while_the_owner_appends_and_cuts(void **state)
{
    (void)state;
    read_beside_the_owner(WAL_BACKEND_AUTO);
    read_beside_the_owner(WAL_BACKEND_THREAD);
    read_beside_the_owner(WAL_BACKEND_INLINE);
}

/* --- reading what gathers ----------------------------------------------------------------------
 */

/* wal_reserve promises it: peers are sent entries straight from the gathering batch. */
static void test_gathered_payloads_stay_until_they_are_submitted(void **state)
{
    (void)state;
    enum { GATHERED = 150 };
    const uint8_t *payloads[GATHERED];
    char *directory = fixture_directory();
    struct fixture f;
    fixture_init(&f, NULL, directory, WAL_BACKEND_THREAD);
    f.options.owner_submits = true;
    f.options.batch_bytes = 1 << 20;
    f.options.spare_segments = 6;
    fixture_reopen(&f);
    for (int round = 0; round < 4; round++) {
        assert_true(fixture_append(&f, 500)); /* another batch is under way meanwhile */
        wal_submit(f.wal);
        uint64_t first = wal_last_lsn(f.wal) + 1;
        for (unsigned i = 0; i < GATHERED; i++) {
            while (!fixture_append(&f, 700 + i)) /* the next segment is being prepared */
                wal_complete(f.wal);
            payloads[i] = f.wal->record + WAL_RECORD_HEADER_BYTES;
            wal_complete(f.wal);
        }
        assert_true(f.wal->gathering->count > 1); /* over segments, too */
        while (wal_busy(f.wal))
            wal_complete(f.wal);
        for (unsigned i = 0; i < GATHERED; i++)
            for (uint32_t k = 0; k < 700 + i; k++)
                assert_int_equal(payloads[i][k], fixture_byte(f.life, first + i, k));
        fixture_flush(&f);
    }
    fixture_close(&f);
    fixture_remove_directory(directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_cursor_reads_what_was_appended),
        cmocka_unit_test(test_an_empty_log_has_nothing_to_read),
        cmocka_unit_test(test_appends_go_on_between_reads),
        cmocka_unit_test(test_only_what_is_durable_is_read),
        cmocka_unit_test(test_a_cursor_starts_at_any_record),
        cmocka_unit_test(test_a_cursor_skips_to_any_record),
        cmocka_unit_test(test_a_read_ends_at_about_its_limit),
        cmocka_unit_test(test_a_record_that_is_refused_comes_again),
        cmocka_unit_test(test_a_cut_keeps_what_an_open_cursor_has_not_read),
        cmocka_unit_test(test_a_cut_during_a_read_keeps_what_is_still_to_be_read),
        cmocka_unit_test(test_a_cut_after_the_close_frees),
        cmocka_unit_test(test_what_was_cut_is_not_found),
        cmocka_unit_test(test_rewritten_records_are_read_once),
        cmocka_unit_test(test_damage_is_reported_with_its_place),
        cmocka_unit_test(test_records_replaced_by_zeros_are_damage),
        cmocka_unit_test(test_a_damaged_header_and_a_short_file_are_reported),
        cmocka_unit_test(test_a_failing_disk_is_no_damage),
        cmocka_unit_test(test_reading_on_a_thread_while_the_owner_appends_and_cuts),
        cmocka_unit_test(test_gathered_payloads_stay_until_they_are_submitted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
