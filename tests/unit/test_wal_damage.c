/* W3, W9: flipped and missing bytes are either refused, with file and offset, or were in a tail
 * that no mark covers. No wrong record is ever visited. */
#include <stdarg.h>

#include "base/hash.h"
#include "wal_fixture.h"

#define FIRST  "wal-0000000000000001.seg"
#define SECOND "wal-0000000000000002.seg"
#define FOURTH "wal-0000000000000004.seg"

/* How the damaged copy `disk` of the fixture's log opens; checks what must hold in any case. */
static int open_damaged(const struct fixture *original, struct memory_disk *disk,
                        struct fixture *damaged)
{
    *damaged = *original;
    damaged->disk = disk;
    damaged->wal = NULL;
    damaged->options.io = memory_disk_io(disk);
    damaged->options.visit_context = damaged;
    damaged->options.fatal_context = damaged;
    int rc = fixture_open(damaged);
    assert_null(damaged->wrong);
    if (damaged->count > 0)
        assert_int_equal(damaged->first, 1);
    if (rc != 0) {
        assert_null(damaged->wal);
        assert_int_equal(damaged->error.code, rc);
    } else if (damaged->last > original->finished) {
        fail_msg("a record from nowhere");
    }
    fixture_abandon(damaged);
    return rc;
}

/* The error names the file and the place. */
static void assert_names_place(const struct fixture *f, const char *name)
{
    assert_non_null(strstr(f->error.message, name));
    assert_non_null(strstr(f->error.message, "offset"));
}

/* A small log in one segment; the last batch is not covered by any mark. */
static void write_small_log(struct fixture *f, struct memory_disk *disk, bool mark)
{
    fixture_init(f, disk, "/log", WAL_BACKEND_INLINE);
    fixture_reopen(f);
    fixture_fill(f, 3, 50);
    for (uint32_t length = 0; length < 5; length++)
        assert_true(fixture_append(f, length * 9));
    fixture_flush(f);
    wal_mark(f->wal); /* also one in the middle */
    fixture_fill(f, 1, 77);
    assert_true(fixture_append(f, 10));
    assert_true(fixture_append(f, 20));
    fixture_flush(f);
    if (mark)
        wal_mark(f->wal);
    assert_int_equal(f->durable, 11);
    fixture_abandon(f);
}

static void flip_every_byte(bool mark, uint64_t kept)
{
    static struct fixture f, damaged;
    struct memory_disk *disk = memory_disk_create();
    write_small_log(&f, disk, mark);
    size_t length;
    uint8_t *bytes = memory_disk_file(disk, FIRST, &length);
    assert_non_null(bytes);
    size_t end = WAL_BLOCK_BYTES + 11 * WAL_RECORD_HEADER_BYTES + 1000;
    unsigned refused = 0, shortened = 0;
    for (size_t at = 0; at < length; at += at < end ? 1 : 61) {
        bytes[at] ^= (uint8_t)(1U << (at % 8));
        struct memory_disk *copy = memory_disk_clone(disk);
        bytes[at] ^= (uint8_t)(1U << (at % 8));
        int rc = open_damaged(&f, copy, &damaged);
        if (rc == 0) {
            assert_true(damaged.last >= kept);
            assert_true(at >= WAL_BLOCK_BYTES);
            shortened += damaged.last < f.durable;
        } else {
            assert_int_equal(rc, CAIRN_ECORRUPT);
            assert_names_place(&damaged, FIRST);
            refused++;
        }
        memory_disk_free(copy);
    }
    assert_true(refused > WAL_BLOCK_BYTES + 8 * WAL_RECORD_HEADER_BYTES);
    assert_int_equal(shortened > 0, !mark);
    memory_disk_free(disk);
}

static void test_every_flipped_byte_is_refused_or_in_the_unmarked_tail(void **state)
{
    (void)state;
    flip_every_byte(false, 9); /* the batch of 10 and 11 states that 9 was synced */
}

static void test_a_closing_mark_protects_the_last_batch(void **state)
{
    (void)state;
    flip_every_byte(true, 11);
}

static void test_every_length_of_the_file_is_refused(void **state)
{
    (void)state;
    static struct fixture f, damaged;
    struct memory_disk *disk = memory_disk_create();
    write_small_log(&f, disk, false);
    for (size_t length = 0; length < WAL_SEGMENT_BYTES_MINIMUM; length += length < 5000 ? 7 : 97) {
        struct memory_disk *copy = memory_disk_clone(disk);
        memory_disk_truncate(copy, FIRST, length);
        assert_int_equal(open_damaged(&f, copy, &damaged), CAIRN_ECORRUPT);
        assert_names_place(&damaged, FIRST);
        memory_disk_free(copy);
    }
    memory_disk_free(disk);
}

/* As if the writes behind a place had not reached the disk: every length of the log's content. */
static void test_every_length_of_the_content_drops_or_refuses(void **state)
{
    (void)state;
    static struct fixture f, damaged;
    struct memory_disk *disk = memory_disk_create();
    write_small_log(&f, disk, false);
    uint64_t last = 0;
    for (size_t keep = WAL_BLOCK_BYTES; keep < WAL_BLOCK_BYTES + 1200; keep++) {
        struct memory_disk *copy = memory_disk_clone(disk);
        size_t length;
        uint8_t *bytes = memory_disk_file(copy, FIRST, &length);
        memset(bytes + keep, 0, length - keep);
        int rc = open_damaged(&f, copy, &damaged);
        if (rc != 0) {
            /* Only without its first record is a log that has a segment in use unlike an empty
             * one; but this segment was born, and says where it begins. */
            fail_msg("%s", damaged.error.message);
        }
        assert_true(damaged.last >= last); /* grows with what is kept */
        last = damaged.last;
        memory_disk_free(copy);
    }
    assert_int_equal(last, f.durable);
    memory_disk_free(disk);
}

/* Three segments; offsets of the records are those of 1040 bytes each. */
static void write_segments(struct fixture *f, struct memory_disk *disk)
{
    fixture_init(f, disk, "/log", WAL_BACKEND_INLINE);
    fixture_reopen(f);
    fixture_fill(f, 150, 1000);
    fixture_abandon(f);
}

static void test_damage_in_any_segment_is_refused(void **state)
{
    (void)state;
    static struct fixture f, damaged;
    struct memory_disk *disk = memory_disk_create();
    write_segments(&f, disk);
    const char *name;
    for (size_t i = 0; (name = memory_disk_name(disk, i)); i++) {
        size_t length;
        for (size_t at = 100; at < WAL_SEGMENT_BYTES_MINIMUM; at += 1021) {
            struct memory_disk *copy = memory_disk_clone(disk);
            memory_disk_file(copy, name, &length)[at] ^= 0x10;
            int rc = open_damaged(&f, copy, &damaged);
            if (rc == 0)
                assert_true(damaged.last >= f.durable - 1); /* the last batch, or no record */
            else
                assert_int_equal(rc, CAIRN_ECORRUPT);
            if (rc == 0 && strcmp(name, FIRST) == 0)
                assert_true(at >= WAL_BLOCK_BYTES + 59 * 1040); /* its unused end */
            memory_disk_free(copy);
        }
    }
    memory_disk_free(disk);
}

static void test_a_missing_segment_is_refused(void **state)
{
    (void)state;
    static struct fixture f, damaged;
    struct memory_disk *disk = memory_disk_create();
    write_segments(&f, disk);
    struct memory_disk *copy = memory_disk_clone(disk);
    const struct io *io = memory_disk_io(copy);
    assert_int_equal(io->remove(io->context, SECOND), 0);
    assert_int_equal(open_damaged(&f, copy, &damaged), CAIRN_ECORRUPT);
    assert_names_place(&damaged, SECOND);
    memory_disk_free(copy);
    memory_disk_free(disk);
}

/* The second segment's first record is gone, and with it the link between the two. */
static void test_a_hole_between_segments_is_refused(void **state)
{
    (void)state;
    static struct fixture f, damaged;
    struct memory_disk *disk = memory_disk_create();
    write_segments(&f, disk);
    size_t length;
    struct memory_disk *copy = memory_disk_clone(disk);
    memset(memory_disk_file(copy, SECOND, &length) + WAL_BLOCK_BYTES, 0, 1040);
    assert_int_equal(open_damaged(&f, copy, &damaged), CAIRN_ECORRUPT);
    assert_names_place(&damaged, FIRST); /* where the log breaks off */
    memory_disk_free(copy);
    /* All of it but the header: the third still tells. */
    copy = memory_disk_clone(disk);
    uint8_t *bytes = memory_disk_file(copy, SECOND, &length);
    memset(bytes + WAL_BLOCK_BYTES, 0, length - WAL_BLOCK_BYTES);
    assert_int_equal(open_damaged(&f, copy, &damaged), CAIRN_ECORRUPT);
    memory_disk_free(copy);
    memory_disk_free(disk);
}

/* Flips each byte of [from, to) of a file in turn: every copy is refused. */
static void assert_each_byte_refused(const struct fixture *f, const char *name, size_t from,
                                     size_t to)
{
    static struct fixture damaged;
    for (size_t at = from; at < to; at++) {
        struct memory_disk *copy = memory_disk_clone(f->disk);
        size_t length;
        memory_disk_file(copy, name, &length)[at] ^= 0x80;
        assert_int_equal(open_damaged(f, copy, &damaged), CAIRN_ECORRUPT);
        assert_names_place(&damaged, name);
        memory_disk_free(copy);
    }
}

/* The mark was synced before the last batch was begun, and so was the record before it. */
static void test_a_damaged_mark_before_the_last_batch_is_refused(void **state)
{
    (void)state;
    static struct fixture f;
    struct memory_disk *disk = memory_disk_create();
    fixture_init(&f, disk, "/log", WAL_BACKEND_INLINE);
    fixture_reopen(&f);
    fixture_fill(&f, 3, 24);
    wal_mark(f.wal);
    fixture_fill(&f, 1, 24);
    fixture_abandon(&f);
    size_t mark = WAL_BLOCK_BYTES + 3 * 64;
    assert_each_byte_refused(&f, FIRST, mark - 64, mark + WAL_RECORD_HEADER_BYTES);
    memory_disk_free(disk);
}

/* A segment born in recovery says where it begins: all before must be there. */
static void test_damage_before_a_segment_born_in_recovery_is_refused(void **state)
{
    (void)state;
    static struct fixture f;
    struct memory_disk *disk = memory_disk_create();
    fixture_init(&f, disk, "/log", WAL_BACKEND_INLINE);
    for (int life = 0; life < 3; life++) {
        fixture_reopen(&f);
        fixture_fill(&f, 3, 24);
        fixture_abandon(&f);
        memory_disk_restart(disk, 0);
    }
    /* Two of each life's three records were marked; the third moved on to the next segment. */
    assert_each_byte_refused(&f, FIRST, WAL_BLOCK_BYTES, WAL_BLOCK_BYTES + 2 * 64);
    assert_each_byte_refused(&f, SECOND, WAL_BLOCK_BYTES, WAL_BLOCK_BYTES + 3 * 64);
    /* What a segment was born with was synced before it got its name. */
    fixture_reopen(&f);
    fixture_abandon(&f);
    assert_each_byte_refused(&f, FOURTH, WAL_BLOCK_BYTES, WAL_BLOCK_BYTES + 64);
    memory_disk_free(disk);
}

/* Nothing is changed on the disk when the log is refused: it is evidence. */
static void test_a_refused_log_is_left_alone(void **state)
{
    (void)state;
    static struct fixture f, damaged;
    struct memory_disk *disk = memory_disk_create();
    write_segments(&f, disk);
    size_t length;
    memory_disk_file(disk, FIRST, &length)[WAL_BLOCK_BYTES + 5000] ^= 1;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(open_damaged(&f, disk, &damaged), CAIRN_ECORRUPT);
        unsigned changes = MEMORY_WRITE | MEMORY_RENAME | MEMORY_REMOVE | MEMORY_PREALLOCATE;
        uint64_t before = memory_disk_calls(disk, changes);
        assert_int_equal(open_damaged(&f, disk, &damaged), CAIRN_ECORRUPT);
        assert_int_equal(memory_disk_calls(disk, changes), before);
    }
    memory_disk_file(disk, FIRST, &length)[WAL_BLOCK_BYTES + 5000] ^= 1;
    assert_int_equal(open_damaged(&f, disk, &damaged), 0);
    assert_int_equal(damaged.count, 150);
    memory_disk_free(disk);
}

static void reseal_header(uint8_t *block)
{
    uint64_t checksum = hash_bytes(block + 8, WAL_BLOCK_BYTES - 8);
    memcpy(block, &checksum, sizeof checksum);
}

static void test_a_newer_format_is_refused(void **state)
{
    (void)state;
    static struct fixture f, damaged;
    struct memory_disk *disk = memory_disk_create();
    write_segments(&f, disk);
    size_t length;
    uint8_t *block = memory_disk_file(disk, SECOND, &length);
    block[16] = WAL_FORMAT_MAJOR + 1;
    reseal_header(block);
    assert_int_equal(open_damaged(&f, disk, &damaged), CAIRN_EVERSION);
    assert_non_null(strstr(damaged.error.message, SECOND));
    assert_non_null(strstr(damaged.error.message, "2.0 is newer than 1.0"));
    /* A newer minor version is readable. */
    block[16] = WAL_FORMAT_MAJOR;
    block[18] = WAL_FORMAT_MINOR + 1;
    reseal_header(block);
    assert_int_equal(open_damaged(&f, disk, &damaged), 0);
    memory_disk_free(disk);
}

/* Any bytes at all in a segment's record area: no crash, no loop, no record. */
static void test_random_bytes_are_no_records(void **state)
{
    (void)state;
    static struct fixture f, damaged;
    struct memory_disk *disk = memory_disk_create();
    write_small_log(&f, disk, true);
    struct random random;
    random_seed(&random, 5);
    for (int round = 0; round < 100; round++) {
        struct memory_disk *copy = memory_disk_clone(disk);
        size_t length;
        uint8_t *bytes = memory_disk_file(copy, FIRST, &length);
        uint64_t id;
        memcpy(&id, bytes + offsetof(struct segment_header, id), sizeof id);
        size_t start = WAL_BLOCK_BYTES + 8 * (size_t)random_below(&random, 200);
        for (size_t at = start; at < length; at += 8) {
            uint64_t word =
                random_below(&random, 3) == 0 ? id : random_next(&random) >> (round % 60);
            memcpy(bytes + at, &word, 8);
        }
        int rc = open_damaged(&f, copy, &damaged);
        assert_true(rc == 0 || rc == CAIRN_ECORRUPT);
        memory_disk_free(copy);
    }
    memory_disk_free(disk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_flipped_byte_is_refused_or_in_the_unmarked_tail),
        cmocka_unit_test(test_a_closing_mark_protects_the_last_batch),
        cmocka_unit_test(test_every_length_of_the_file_is_refused),
        cmocka_unit_test(test_every_length_of_the_content_drops_or_refuses),
        cmocka_unit_test(test_damage_in_any_segment_is_refused),
        cmocka_unit_test(test_a_missing_segment_is_refused),
        cmocka_unit_test(test_a_hole_between_segments_is_refused),
        cmocka_unit_test(test_a_damaged_mark_before_the_last_batch_is_refused),
        cmocka_unit_test(test_damage_before_a_segment_born_in_recovery_is_refused),
        cmocka_unit_test(test_a_refused_log_is_left_alone),
        cmocka_unit_test(test_a_newer_format_is_refused),
        cmocka_unit_test(test_random_bytes_are_no_records),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
