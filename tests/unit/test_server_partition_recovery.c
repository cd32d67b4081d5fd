/* What recovery makes of a partition's records: which ones count, and which are void (R4, W6). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "server/partition.h"

struct found {
    struct partition partition;
    struct partition_recovery recovery;
};

/* The store holds the entry `index` of `epoch` and all before it. */
static void start(struct found *found, uint64_t epoch, uint64_t index)
{
    const struct store_position applied = {.history = 1, .epoch = epoch, .index = index};

    memset(found, 0, sizeof *found);
    partition_recover_start(&found->partition, &found->recovery, &applied);
}

static void find(struct found *found, uint64_t lsn, uint64_t epoch, uint64_t index)
{
    struct entry *entry = entry_create();
    struct error error = {0};

    assert_non_null(entry);
    entry->lsn = lsn;
    entry->history = 1;
    entry->epoch = epoch;
    entry->index = index;
    assert_int_equal(partition_recover_entry(&found->partition, &found->recovery, entry, &error),
                     CAIRN_OK);
}

static void end(struct found *found, uint64_t epoch, uint64_t index)
{
    assert_int_equal(found->recovery.recovered.last.index, index);
    assert_int_equal(found->recovery.recovered.last.epoch, epoch);
    assert_int_equal(partition_last_index(&found->partition), index);
    partition_free(&found->partition);
}

static void test_a_record_voids_all_at_or_above_its_index_W6(void **state)
{
    struct found found;

    (void)state;
    start(&found, 1, 9);
    find(&found, 1, 2, 10);
    find(&found, 2, 2, 11);
    find(&found, 3, 3, 10);
    assert_int_equal(found.recovery.gap_index, 0);
    end(&found, 3, 10);
}

/* 11 to 14 of epoch 1 gave way to 11 and 12 of epoch 2, which a checkpoint holds: 13 and 14 must
 * not come back. */
static void test_what_an_applied_entry_voided_stays_void_W6(void **state)
{
    struct found found;

    (void)state;
    start(&found, 2, 12);
    for (uint64_t index = 11; index <= 14; index++)
        find(&found, index, 1, index);
    find(&found, 15, 2, 11);
    find(&found, 16, 2, 12);
    assert_int_equal(found.recovery.gap_index, 0);
    assert_int_equal(found.recovery.recovered.last.index, 12);
    find(&found, 17, 2, 13);
    end(&found, 2, 13);
}

/* The log was cut between the old 10 and the old 11. */
static void test_void_records_without_their_predecessors_are_no_gap_W6(void **state)
{
    struct found found;

    (void)state;
    start(&found, 1, 9);
    find(&found, 1, 2, 11);
    find(&found, 2, 2, 12);
    assert_int_not_equal(found.recovery.gap_index, 0); /* nothing says yet that they are void */
    find(&found, 3, 2, 10);
    find(&found, 4, 2, 11);
    assert_int_equal(found.recovery.gap_index, 0);
    end(&found, 2, 11);
}

static void test_missing_entries_are_noticed_W3(void **state)
{
    struct found found;

    (void)state;
    start(&found, 1, 9);
    find(&found, 1, 1, 10);
    find(&found, 2, 1, 12);
    assert_int_equal(found.recovery.gap_index, 12);
    end(&found, 1, 10);
}

/* Only the first of three was written again before the crash: the log must not be cut there. */
static void test_an_entry_written_again_keeps_its_first_place_W6(void **state)
{
    struct found found;

    (void)state;
    start(&found, 1, 9);
    for (uint64_t index = 10; index <= 12; index++)
        find(&found, index - 9, 1, index);
    find(&found, 8, 1, 10);
    assert_int_equal(partition_entry(&found.partition, 10)->lsn, 1);
    assert_int_equal(partition_entry(&found.partition, 12)->lsn, 3);
    end(&found, 1, 12);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_record_voids_all_at_or_above_its_index_W6),
        cmocka_unit_test(test_what_an_applied_entry_voided_stays_void_W6),
        cmocka_unit_test(test_void_records_without_their_predecessors_are_no_gap_W6),
        cmocka_unit_test(test_missing_entries_are_noticed_W3),
        cmocka_unit_test(test_an_entry_written_again_keeps_its_first_place_W6),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
