/* The record reader: every way a record can be cut up gives the same record, and what is not a
 * record is refused before it costs memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/error.h"
#include "rpc/record.h"

enum { LIMIT = 1 << 20 };

static void put_mark(uint8_t *at, uint32_t length, bool last)
{
    record_mark_put(at, length);
    if (!last) {
        at[0] &= 0x7f;
    }
}

/* Feeds pieces of one stream; expects exactly the record `body`. */
static void expect_record(struct record_reader *reader, const uint8_t *stream, size_t length,
                          size_t piece, const uint8_t *body, size_t body_length)
{
    _Alignas(8) uint8_t window[256];
    size_t records = 0;
    for (size_t at = 0; at < length; at += piece) {
        size_t take = length - at < piece ? length - at : piece;
        struct record_input input = {window, take};
        struct record record;
        int rc;
        memcpy(window, stream + at, take);
        while ((rc = record_next(reader, &input, &record)) == 1) {
            records++;
            assert_int_equal(record.length, body_length);
            assert_memory_equal(record.data, body, body_length);
            assert_int_equal((uintptr_t)record.data % 4, 0);
        }
        assert_int_equal(rc, 0);
        assert_int_equal(input.length, 0);
    }
    assert_int_equal(records, 1);
    assert_false(reader->started);
}

static void whole_aligned_records_are_handed_out_in_place(void **state)
{
    _Alignas(8) uint8_t stream[48];
    struct record_reader reader;
    struct record record;
    (void)state;
    record_reader_init(&reader, LIMIT);
    for (int i = 0; i < 3; i++) {
        put_mark(stream + 16 * i, 12, true);
        memset(stream + 16 * i + 4, 'a' + i, 12);
    }
    struct record_input input = {stream, sizeof stream};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(record_next(&reader, &input, &record), 1);
        assert_ptr_equal(record.data, stream + 16 * i + 4);
        assert_int_equal(record.length, 12);
    }
    assert_int_equal(record_next(&reader, &input, &record), 0);
    assert_int_equal(record_reader_memory(&reader), 0);
    record_reader_free(&reader);
}

static void any_cut_of_the_stream_gives_the_same_record(void **state)
{
    uint8_t body[21];
    uint8_t stream[64];
    (void)state;
    for (size_t i = 0; i < sizeof body; i++) {
        body[i] = (uint8_t)(i + 1);
    }
    put_mark(stream, sizeof body, true);
    memcpy(stream + 4, body, sizeof body);
    for (size_t piece = 1; piece <= sizeof body + 4; piece++) {
        struct record_reader reader;
        record_reader_init(&reader, LIMIT);
        expect_record(&reader, stream, sizeof body + 4, piece, body, sizeof body);
        record_reader_free(&reader);
    }
}

static void any_two_fragments_in_any_pieces_give_the_same_record(void **state)
{
    uint8_t body[12] = "hello world";
    uint8_t stream[64];
    (void)state;
    for (size_t cut = 0; cut <= sizeof body; cut++) {
        put_mark(stream, (uint32_t)cut, false);
        memcpy(stream + 4, body, cut);
        put_mark(stream + 4 + cut, (uint32_t)(sizeof body - cut), true);
        memcpy(stream + 8 + cut, body + cut, sizeof body - cut);
        for (size_t piece = 1; piece <= sizeof body + 8; piece++) {
            struct record_reader reader;
            record_reader_init(&reader, LIMIT);
            expect_record(&reader, stream, sizeof body + 8, piece, body, sizeof body);
            record_reader_free(&reader);
        }
    }
}

static void a_record_behind_a_misaligned_one_is_aligned(void **state)
{
    _Alignas(8) uint8_t stream[32];
    struct record_reader reader;
    struct record record;
    struct record_input input = {stream, 4 + 5 + 4 + 8};
    (void)state;
    record_reader_init(&reader, LIMIT);
    put_mark(stream, 5, true);
    memcpy(stream + 4, "abcde", 5);
    put_mark(stream + 9, 8, true);
    memcpy(stream + 13, "12345678", 8);
    assert_int_equal(record_next(&reader, &input, &record), 1);
    assert_int_equal(record.length, 5);
    assert_int_equal(record_next(&reader, &input, &record), 1);
    assert_int_equal(record.length, 8);
    assert_memory_equal(record.data, "12345678", 8);
    assert_int_equal((uintptr_t)record.data % 4, 0);
    record_reader_free(&reader);
}

static int refused(const uint8_t *stream, size_t length, uint32_t limit)
{
    struct record_reader reader;
    struct record record;
    struct record_input input = {stream, length};
    record_reader_init(&reader, limit);
    int rc = record_next(&reader, &input, &record);
    assert_true(record_reader_memory(&reader) <= 4096);
    record_reader_free(&reader);
    return rc;
}

static void a_claim_past_the_limit_is_refused_at_its_mark(void **state)
{
    (void)state;
    assert_int_equal(refused((const uint8_t *)"\xff\xff\xff\xff", 4, LIMIT), CAIRN_ETOOBIG);
    assert_int_equal(refused((const uint8_t *)"\x7f\xff\xff\xff", 4, LIMIT), CAIRN_ETOOBIG);
    assert_int_equal(refused((const uint8_t *)"\x80\x00\x00\x65", 4, 100), CAIRN_ETOOBIG);
    assert_int_equal(refused((const uint8_t *)"\x80\x00\x00\x64", 4, 100), 0);
    /* all fragments together */
    assert_int_equal(refused((const uint8_t *)"\0\0\0\x4"
                                              "abcd\x80\0\0\x5",
                             12, 8),
                     CAIRN_ETOOBIG);
    assert_int_equal(refused((const uint8_t *)"\0\0\0\x4"
                                              "abcd\x80\0\0\x4",
                             12, 8),
                     0);
}

static void empty_records_and_endless_empty_fragments_are_refused(void **state)
{
    uint8_t zeros[4 * (RECORD_EMPTY_FRAGMENTS + 1)] = {0};
    (void)state;
    assert_int_equal(refused((const uint8_t *)"\x80\0\0\0", 4, LIMIT), CAIRN_EPROTO);
    assert_int_equal(refused(zeros, sizeof zeros - 4, LIMIT), 0);
    assert_int_equal(refused(zeros, sizeof zeros, LIMIT), CAIRN_EPROTO);
}

static void a_large_fragment_is_read_straight_into_its_place(void **state)
{
    static uint8_t body[300000];
    struct record_reader reader;
    struct record record;
    size_t room;
    uint8_t mark[4];
    (void)state;
    for (size_t i = 0; i < sizeof body; i++) {
        body[i] = (uint8_t)(i * 31);
    }
    record_reader_init(&reader, LIMIT);
    assert_null(record_space(&reader, &room));
    put_mark(mark, sizeof body, true);
    struct record_input input = {mark, 4};
    assert_int_equal(record_next(&reader, &input, &record), 0);
    size_t at = 0;
    uint8_t *space;
    while ((space = record_space(&reader, &room)) != NULL) {
        /* memory follows what has arrived */
        assert_true(record_reader_memory(&reader) <= 4 * at + 2 * RECORD_KEEP_CAPACITY);
        size_t take = room / 2 + 1;
        memcpy(space, body + at, take);
        record_filled(&reader, take);
        at += take;
    }
    assert_true(sizeof body - at < RECORD_DIRECT_SIZE);
    input = (struct record_input){body + at, sizeof body - at};
    assert_int_equal(record_next(&reader, &input, &record), 1);
    assert_int_equal(record.length, sizeof body);
    assert_memory_equal(record.data, body, sizeof body);
    assert_int_equal(record_next(&reader, &input, &record), 0);
    assert_true(record_reader_memory(&reader) <= RECORD_KEEP_CAPACITY);
    record_reader_free(&reader);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_aligned_records_are_handed_out_in_place),
        cmocka_unit_test(any_cut_of_the_stream_gives_the_same_record),
        cmocka_unit_test(any_two_fragments_in_any_pieces_give_the_same_record),
        cmocka_unit_test(a_record_behind_a_misaligned_one_is_aligned),
        cmocka_unit_test(a_claim_past_the_limit_is_refused_at_its_mark),
        cmocka_unit_test(empty_records_and_endless_empty_fragments_are_refused),
        cmocka_unit_test(a_large_fragment_is_read_straight_into_its_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
