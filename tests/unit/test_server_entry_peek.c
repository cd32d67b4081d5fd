/* entry_peek says of an entry's bytes what unpacking them says, and never reads past them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/random.h"
#include "proto/limits.h"
#include "server/entry.h"
#include "server/entry_peek.h"

static uint8_t *pack(const struct entry *entry, uint32_t *length)
{
    *length = entry_packed_size(entry);
    uint8_t *bytes = malloc(*length); /* exactly as many: a sanitizer sees what reads past them */
    assert_non_null(bytes);
    entry_pack(entry, bytes);
    return bytes;
}

/* A number of any length in bytes. */
static uint64_t any_number(struct random *random)
{
    return random_next(random) >> random_below(random, 64);
}

static struct entry *any_entry(struct random *random)
{
    static const uint8_t bytes[300];
    struct entry *entry = entry_create();
    assert_non_null(entry);
    entry->partition = (uint32_t)random_below(random, CAIRN_PARTITIONS_LIMIT);
    entry->kind = random_below(random, 4) == 0 ? COMMAND_NOOP : COMMAND_PUT;
    entry->history = any_number(random);
    entry->epoch = any_number(random);
    entry->index = any_number(random) | 1;
    entry->log_time_ms = any_number(random);
    if (entry->kind == COMMAND_NOOP)
        return entry;
    entry->client = any_number(random);
    entry->number = any_number(random);
    entry->item = item_create(bytes, 1 + (uint32_t)random_below(random, 50), bytes,
                              (uint32_t)random_below(random, sizeof bytes));
    assert_non_null(entry->item);
    return entry;
}

/* If the bytes unpack, a peek succeeds and says the same. True if they do. */
static bool agree(const uint8_t *bytes, uint32_t length)
{
    struct entry *entry;
    struct entry_head head;
    struct error error;
    int status = entry_peek(bytes, length, &head);
    assert_true(status == CAIRN_OK || status == CAIRN_ECORRUPT);
    if (entry_unpack(bytes, length, &entry, &error) != CAIRN_OK)
        return false;
    assert_int_equal(status, CAIRN_OK);
    assert_int_equal(head.partition, entry->partition);
    assert_int_equal(head.history, entry->history);
    assert_int_equal(head.epoch, entry->epoch);
    assert_int_equal(head.index, entry->index);
    entry_free(entry);
    return true;
}

static void test_a_peek_says_what_unpacking_says(void **state)
{
    (void)state;
    struct random random;
    random_seed(&random, 1);
    for (int i = 0; i < 5000; i++) {
        uint32_t length;
        struct entry *entry = any_entry(&random);
        uint8_t *bytes = pack(entry, &length);
        assert_true(agree(bytes, length));
        free(bytes);
        entry_free(entry);
    }
}

static void test_damaged_bytes_are_read_within_their_bounds(void **state)
{
    (void)state;
    struct random random;
    random_seed(&random, 2);
    unsigned still_good = 0, refused = 0;
    for (int i = 0; i < 20000; i++) {
        uint32_t length;
        struct entry *entry = any_entry(&random);
        uint8_t *bytes = pack(entry, &length);
        bytes[random_below(&random, length < 40 ? length : 40)] ^=
            (uint8_t)(1U << random_below(&random, 8));
        if (agree(bytes, length))
            still_good++;
        else
            refused++;
        free(bytes);
        entry_free(entry);
    }
    assert_true(still_good > 1000 && refused > 1000);
}

static void test_what_is_cut_off_is_refused(void **state)
{
    (void)state;
    struct random random;
    random_seed(&random, 3);
    uint32_t length;
    struct entry *entry = entry_create();
    entry->kind = COMMAND_PUT;
    entry->partition = 300;
    entry->epoch = entry->history = entry->index = entry->log_time_ms = 1000;
    entry->item = item_create((const uint8_t *)"key", 3, (const uint8_t *)"value", 5);
    uint8_t *bytes = pack(entry, &length);
    unsigned whole_fields = 0;
    for (uint32_t kept = 0; kept < length; kept++) {
        struct entry_head head;
        uint8_t *cut = malloc(kept + 1);
        memcpy(cut + 1, bytes, kept); /* ends where the memory ends */
        whole_fields += entry_peek(cut + 1, kept, &head) == CAIRN_OK;
        free(cut);
    }
    /* Cut behind the index or behind the time, it still has all that a peek wants. */
    assert_int_equal(whole_fields, 2);
    free(bytes);
    entry_free(entry);
}

static void test_what_breaks_the_limits_is_refused(void **state)
{
    (void)state;
    static const uint8_t no_index[] = {0x08, 1, 0x10, 1, 0x18, 1};
    static const uint8_t partition_beyond[] = {0x08, 0x80, 0x80, 0x01, 0x20, 1};
    static const uint8_t index_of_bytes[] = {0x22, 1, 1, 0x20, 1};
    static const uint8_t endless[] = {0x20, 0x80, 0x80, 0x80, 0x80, 0x80,
                                      0x80, 0x80, 0x80, 0x80, 0x80, 0x01};
    struct entry_head head;
    assert_true(CAIRN_PARTITIONS_LIMIT <= 1 << 14);
    assert_int_equal(entry_peek(no_index, sizeof no_index, &head), CAIRN_ECORRUPT);
    assert_int_equal(entry_peek(partition_beyond, sizeof partition_beyond, &head), CAIRN_ECORRUPT);
    assert_int_equal(entry_peek(index_of_bytes, sizeof index_of_bytes, &head), CAIRN_ECORRUPT);
    assert_int_equal(entry_peek(endless, sizeof endless, &head), CAIRN_ECORRUPT);
    assert_int_equal(entry_peek(no_index, 0, &head), CAIRN_ECORRUPT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_peek_says_what_unpacking_says),
        cmocka_unit_test(test_damaged_bytes_are_read_within_their_bounds),
        cmocka_unit_test(test_what_is_cut_off_is_refused),
        cmocka_unit_test(test_what_breaks_the_limits_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
