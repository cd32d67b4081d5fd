/* What a node does not take: malformed runs, more than its log has room for, messages for others,
 * leases that are not safe; and what leases are good for (L1). */
#include "tests/unit/exchange_fixture.h"

/* --- runs --------------------------------------------------------------------------------------
 */

/* An Append of two entries of partition 1 waits in the builder for server 1. */
static append_run *two_entries(struct cluster *cluster, struct heard heard[2])
{
    start_pair(cluster);
    propose(cluster, 0, 1, "a", &heard[0]);
    propose(cluster, 0, 1, "b", &heard[1]);
    assert_int_equal(exchange_build_append(&cluster->servers[0].node, 1, false, cluster->now_ms,
                                           &cluster->builder),
                     1);
    assert_int_equal(cluster->builder.runs[0].count, 2);
    return &cluster->builder.runs[0];
}

static int take(struct cluster *cluster)
{
    struct append_taken taken;
    int status = exchange_take_append(&cluster->servers[1].node, &cluster->builder.args,
                                      cluster->now_ms, &taken);

    if (status == CAIRN_OK)
        append_taken_free(&taken);
    return status;
}

static void assert_refused(struct cluster *cluster, const append_run *good)
{
    uint64_t last_index = partition_of(cluster, 1, 1)->replica.last.index;
    uint64_t last_lsn = wal_last_lsn(cluster->servers[1].node.journal.wal);

    assert_int_equal(take(cluster), CAIRN_EPROTO);
    assert_int_equal(partition_of(cluster, 1, 1)->replica.last.index, last_index);
    assert_int_equal(wal_last_lsn(cluster->servers[1].node.journal.wal), last_lsn);
    cluster->builder.runs[0] = *good;
}

static void test_malformed_runs_are_refused_whole(void **state)
{
    struct cluster *cluster = *state;
    static struct heard heard[2]; /* ends with the node */
    append_run *run = two_entries(cluster, heard);
    const append_run good = *run;

    run->partition = PARTITIONS;
    assert_refused(cluster, &good);
    run->partition = 2; /* the entries say 1 */
    assert_refused(cluster, &good);
    run->count = 3;
    assert_refused(cluster, &good);
    run->count = 1; /* bytes are left over */
    assert_refused(cluster, &good);
    run->count = UINT32_MAX;
    assert_refused(cluster, &good);
    run->records.length--;
    assert_refused(cluster, &good);
    run->records.length = 3;
    assert_refused(cluster, &good);
    run->previous_index++;
    assert_refused(cluster, &good);
    run->previous_index = UINT64_MAX;
    assert_refused(cluster, &good);
    run->epoch = 0;
    assert_refused(cluster, &good);
    run->history = 0;
    assert_refused(cluster, &good);
    run->epoch = run->previous_epoch - 1;
    assert_refused(cluster, &good);
    assert_int_equal(take(cluster), CAIRN_OK);
}

/* Nothing lies before the first entry, so it has no epoch. */
static void test_a_run_from_the_beginning_names_no_epoch_before_it(void **state)
{
    struct cluster *cluster = *state;
    struct append_taken taken;

    configure(cluster, "012", 0, "01", "2");
    assert_true(exchange_build_append(&cluster->servers[0].node, 2, true, cluster->now_ms,
                                      &cluster->builder) > 0);
    cluster->builder.runs[0].previous_index = 0;
    cluster->builder.runs[0].previous_epoch = 1;
    assert_int_equal(exchange_take_append(&cluster->servers[2].node, &cluster->builder.args,
                                          cluster->now_ms, &taken),
                     CAIRN_EPROTO);
}

/* Leaves no room in the batch that gathers. */
static void fill_batch(struct node *node)
{
    uint8_t *room;

    for (uint32_t bytes = 1 << 20; bytes >= 8; bytes /= 8)
        while ((room = wal_reserve(node->journal.wal, LOG_KIND_EPOCH, bytes)) != NULL) {
            memset(room, 0, bytes);
            (void)wal_finish(node->journal.wal);
        }
}

/* The record that was owed is of the epoch in which there was a copy here. */
static void test_an_epoch_owed_is_recorded_although_the_copy_was_removed_R2(void **state)
{
    struct cluster *cluster = *state;
    struct node *node = &cluster->servers[1].node;
    const struct replica *replica = &partition_of(cluster, 1, 0)->replica;
    struct configuration heard = {
        .history = 1,
        .epoch = 2,
        .primary = copy_of(cluster, 0, true),
        .members = {copy_of(cluster, 0, false), copy_of(cluster, 1, false)},
        .member_count = 2};

    start_pair(cluster);
    fill_batch(node);
    node_hear_configuration(node, &heard, cluster->now_ms);
    assert_true(partition_of(cluster, 1, 0)->owes_epoch);
    heard.epoch = 3;
    heard.member_count = 1;
    node_hear_configuration(node, &heard, cluster->now_ms);
    settle(cluster, 1);
    assert_false(partition_of(cluster, 1, 0)->owes_epoch);
    assert_int_equal(replica->seen_epoch, 3);
    assert_int_equal(replica->durable_epoch, 2);
}

static void test_any_bytes_for_records_do_no_harm(void **state)
{
    struct cluster *cluster = *state;
    static struct heard heard[2]; /* ends with the node */
    append_run *run = two_entries(cluster, heard);
    uint8_t *bytes = cluster->builder.records.data;
    uint32_t length = run->records.length;

    cluster->builder.args.from.incarnation++; /* another process: what decodes is not taken */
    for (uint32_t at = 0; at < length; at++)
        for (int bit = 0; bit < 8; bit += 3) {
            bytes[at] ^= (uint8_t)(1 << bit);
            (void)take(cluster);
            bytes[at] ^= (uint8_t)(1 << bit);
        }
    cluster->builder.args.from.incarnation--;
    assert_int_equal(take(cluster), CAIRN_OK);
    settle(cluster, 1);
    assert_int_equal(partition_of(cluster, 1, 1)->replica.last.index,
                     partition_of(cluster, 0, 1)->replica.last.index);
}

static void test_an_entry_of_a_later_history_or_epoch_than_its_run_is_refused(void **state)
{
    struct cluster *cluster = *state;
    static struct heard heard[2]; /* ends with the node */
    append_run *run = two_entries(cluster, heard);
    struct entry *entry = partition_entry(partition_of(cluster, 0, 1), run->previous_index + 1);
    uint8_t bytes[256] = {0};
    const append_run good = *run;
    uint64_t history = entry->history;

    run->count = 1;
    entry->history = history + 1;
    bytes[0] = (uint8_t)entry_packed_size(entry);
    entry_pack(entry, bytes + 4);
    entry->history = history;
    run->records.data = bytes;
    run->records.length = 4u + bytes[0];
    assert_refused(cluster, &good);
    run->count = 1;
    entry->epoch++;
    bytes[0] = (uint8_t)entry_packed_size(entry);
    entry_pack(entry, bytes + 4);
    entry->epoch--;
    run->records.data = bytes;
    run->records.length = 4u + bytes[0];
    assert_refused(cluster, &good);
}

static void test_a_message_for_another_store_or_cluster_is_a_strangers_R10(void **state)
{
    struct cluster *cluster = *state;
    struct node *node = &cluster->servers[1].node;
    struct append_taken taken;
    static struct heard heard[2]; /* ends with the node */
    append_args args;

    (void)two_entries(cluster, heard);
    for (int i = 0; i < 4; i++) {
        args = cluster->builder.args;
        if (i == 0)
            args.from.to_store++;
        else if (i == 1)
            args.from.cluster++;
        else if (i == 2)
            args.from.server = CAIRN_SERVERS_LIMIT;
        else
            args.from.server = 1; /* itself */
        assert_int_equal(exchange_take_append(node, &args, cluster->now_ms, &taken), CAIRN_OK);
        assert_true(taken.stranger && taken.count == 0);
        assert_false(wal_waiting(node->journal.wal));
    }
}

static void test_a_log_without_room_takes_what_it_can_and_the_rest_later(void **state)
{
    struct cluster *cluster = *state;
    static struct heard heard[16];
    struct append_taken taken[16];
    struct append_ack acks[1];
    append_result said;
    int count = 0;
    bool busy = false;

    start_pair(cluster);
    for (int i = 0; i < 16; i++) {
        assert_int_equal(try_to_propose(cluster, 0, 1, "k", CAIRN_VALUE_LIMIT / 16 * 15, &heard[i]),
                         CAIRN_OK);
        settle(cluster, 0);
    }
    while (count < 16 && exchange_build_append(&cluster->servers[0].node, 1, false, cluster->now_ms,
                                               &cluster->builder) > 0) {
        taken[count] = bring(cluster, 1); /* its batch holds 8 MiB */
        busy = busy || taken[count].runs[0].outcome == REPLICA_ACK_BUSY;
        count++;
    }
    assert_true(busy);
    settle(cluster, 1);
    exchange_answer_append(&cluster->servers[1].node, &taken[count - 1], acks, &said);
    exchange_append_answered(&cluster->servers[0].node, 1, cluster->builder.sent, 1, &said,
                             cluster->now_ms);
    while (count > 0)
        append_taken_free(&taken[--count]);
    assert_false(heard[15].answered);
    for (int i = 0; i < 8; i++) {
        pass(cluster, 50);
        sync_with(cluster, 0, 1);
    }
    assert_true(heard[15].answered && !heard[15].without_outcome);
}

/* Nobody tells the backup that its checkpoint is done, so that it is under way for as long as the
 * test wants; `ms` pass in which the primary asks again. */
static void go_on(struct cluster *cluster, uint64_t ms)
{
    for (uint64_t end_ms = cluster->now_ms + ms; cluster->now_ms < end_ms;) {
        pass(cluster, 50);
        (void)send_beacon(cluster, 0, 1, false);
        sync_with(cluster, 0, 1);
    }
}

static void test_a_backup_whose_checkpoint_does_not_keep_up_takes_nothing_new(void **state)
{
    struct cluster *cluster = *state;
    struct node *backup = &cluster->servers[1].node;
    static struct heard heard[8];
    const char *const keys[] = {"a", "b", "c", "d", "e", "f", "g", "h"};
    uint64_t last_index;
    int count = 0;

    start_pair(cluster);
    backup->memtable_limit_bytes = 1 << 20;
    while (store_live_bytes(backup->store) <= 2 << 20) {
        assert_true(count < 7);
        assert_int_equal(
            try_to_propose(cluster, 0, 1, keys[count], CAIRN_VALUE_LIMIT, &heard[count]), CAIRN_OK);
        sync_with(cluster, 0, 1);
        assert_true(heard[count++].answered); /* until then it takes what comes */
    }
    assert_true(store_checkpoint_running(backup->store));
    last_index = partition_of(cluster, 1, 1)->replica.last.index;
    propose(cluster, 0, 1, keys[count], &heard[count]);
    go_on(cluster, 1000);
    assert_false(heard[count].answered);
    assert_true(cluster->servers[0].node.uncommitted_bytes > 0);
    assert_int_equal(partition_of(cluster, 1, 1)->replica.last.index, last_index);
    for (int tries = 0; !heard[count].answered && tries < 3000; tries++) {
        clock_sleep_ms(1);
        node_checkpoint_finish(backup);
        go_on(cluster, 50);
    }
    assert_true(heard[count].answered && !heard[count].without_outcome);
    assert_int_equal(cluster->servers[0].node.uncommitted_bytes, 0);
}

/* --- beacons -----------------------------------------------------------------------------------
 */

static void test_serving_ends_with_the_lease_L1(void **state)
{
    struct cluster *cluster = *state;

    start_pair(cluster);
    pass(cluster, 500);
    assert_true(serves(cluster, 0, 0));
    assert_int_equal(send_beacon(cluster, 0, 1, false), PARTITIONS);
    pass(cluster, 950);
    assert_true(serves(cluster, 0, 0));
    pass(cluster, 50);
    assert_false(serves(cluster, 0, 0));
}

static void test_a_lease_counts_from_before_its_beacon_was_sent_L1(void **state)
{
    struct cluster *cluster = *state;
    struct node *primary = &cluster->servers[0].node, *backup = &cluster->servers[1].node;
    beacon_pair refused[PARTITIONS];
    beacon_args args;
    beacon_result result;
    uint32_t count;

    start_pair(cluster);
    pass(cluster, 900);
    count = exchange_build_beacon(primary, 1, cluster->now_ms, cluster->pairs, &args);
    assert_int_equal(count, PARTITIONS);
    exchange_take_beacon(backup, &args, cluster->now_ms, refused, &result);
    cluster->now_ms += 700;
    exchange_beacon_answered(primary, 1, cluster->pairs, count, &result, cluster->now_ms);
    assert_true(serves(cluster, 0, 0));
    cluster->now_ms += 299;
    assert_true(serves(cluster, 0, 0));
    cluster->now_ms += 1;
    assert_false(serves(cluster, 0, 0));
    /* The same answer once more, or one to another process, renews nothing. */
    exchange_beacon_answered(primary, 1, cluster->pairs, count, &result, cluster->now_ms);
    count = exchange_build_beacon(primary, 1, cluster->now_ms, cluster->pairs, &args);
    exchange_take_beacon(backup, &args, cluster->now_ms, refused, &result);
    result.to_incarnation++;
    exchange_beacon_answered(primary, 1, cluster->pairs, count, &result, cluster->now_ms);
    assert_false(serves(cluster, 0, 0));
}

static void test_refused_pairs_are_not_renewed_L1(void **state)
{
    struct cluster *cluster = *state;
    struct node *primary = &cluster->servers[0].node, *backup = &cluster->servers[1].node;
    beacon_pair refused[PARTITIONS];
    beacon_args args;
    beacon_result result;
    uint32_t count;

    start_pair(cluster);
    pass(cluster, 1000);
    assert_false(serves(cluster, 0, 0) || serves(cluster, 0, 1));
    count = exchange_build_beacon(primary, 1, cluster->now_ms, cluster->pairs, &args);
    exchange_take_beacon(backup, &args, cluster->now_ms, refused, &result);
    assert_int_equal(result.refused.refused_len, 0);
    refused[0] = cluster->pairs[1];
    result.refused.refused_len = 1;
    exchange_beacon_answered(primary, 1, cluster->pairs, count, &result, cluster->now_ms);
    assert_true(serves(cluster, 0, 0) && serves(cluster, 0, 2) && serves(cluster, 0, 3));
    assert_false(serves(cluster, 0, 1));
}

static void test_an_answer_that_refuses_what_was_not_sent_renews_nothing(void **state)
{
    struct cluster *cluster = *state;
    struct node *primary = &cluster->servers[0].node, *backup = &cluster->servers[1].node;
    beacon_pair refused[PARTITIONS];
    beacon_args args;
    beacon_result result;
    uint32_t count;

    start_pair(cluster);
    pass(cluster, 1000);
    count = exchange_build_beacon(primary, 1, cluster->now_ms, cluster->pairs, &args);
    exchange_take_beacon(backup, &args, cluster->now_ms, refused, &result);
    refused[0] = cluster->pairs[2];
    refused[1] = cluster->pairs[1]; /* out of order */
    result.refused.refused_len = 2;
    exchange_beacon_answered(primary, 1, cluster->pairs, count, &result, cluster->now_ms);
    for (uint32_t i = 0; i < PARTITIONS; i++)
        assert_false(serves(cluster, 0, i));
}

static void test_a_lease_longer_than_grace_allows_is_refused_L3(void **state)
{
    struct cluster *cluster = *state;
    struct node *primary = &cluster->servers[0].node, *backup = &cluster->servers[1].node;
    static const uint64_t unsafe[] = {1471, 1500, 5000, UINT64_MAX, UINT64_MAX / 101 + 1};
    beacon_pair refused[PARTITIONS];
    beacon_args args;
    beacon_result result;

    start_pair(cluster);
    for (size_t i = 0; i < sizeof unsafe / sizeof unsafe[0]; i++) {
        (void)exchange_build_beacon(primary, 1, cluster->now_ms, cluster->pairs, &args);
        args.lease_ms = unsafe[i];
        exchange_take_beacon(backup, &args, cluster->now_ms, refused, &result);
        assert_int_equal(result.refused.refused_len, PARTITIONS);
    }
    (void)exchange_build_beacon(primary, 1, cluster->now_ms, cluster->pairs, &args);
    args.lease_ms = 1470;
    exchange_take_beacon(backup, &args, cluster->now_ms, refused, &result);
    assert_int_equal(result.refused.refused_len, 0);
}

static void test_beacons_keep_a_backup_from_leading_L2(void **state)
{
    struct cluster *cluster = *state;

    start_pair(cluster);
    for (int i = 0; i < 20; i++) {
        pass(cluster, 250);
        assert_int_equal(send_beacon(cluster, 0, 1, false), PARTITIONS);
    }
    assert_int_equal(cluster->servers[1].node.proposals_wanted, 0);
    /* A link broken one way: beacons arrive, answers do not. */
    for (int i = 0; i < 12; i++) {
        pass(cluster, 250);
        (void)send_beacon(cluster, 0, 1, true);
    }
    assert_int_equal(cluster->servers[1].node.proposals_wanted, PARTITIONS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_malformed_runs_are_refused_whole, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_run_from_the_beginning_names_no_epoch_before_it,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_an_epoch_owed_is_recorded_although_the_copy_was_removed_R2, setup, teardown),
        cmocka_unit_test_setup_teardown(test_any_bytes_for_records_do_no_harm, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_an_entry_of_a_later_history_or_epoch_than_its_run_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_a_message_for_another_store_or_cluster_is_a_strangers_R10, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_a_log_without_room_takes_what_it_can_and_the_rest_later, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_a_backup_whose_checkpoint_does_not_keep_up_takes_nothing_new, setup, teardown),
        cmocka_unit_test_setup_teardown(test_serving_ends_with_the_lease_L1, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_lease_counts_from_before_its_beacon_was_sent_L1,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_refused_pairs_are_not_renewed_L1, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_an_answer_that_refuses_what_was_not_sent_renews_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_lease_longer_than_grace_allows_is_refused_L3, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_beacons_keep_a_backup_from_leading_L2, setup,
                                        teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
