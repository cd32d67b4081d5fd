/* Entries between nodes: what is committed and applied when (R1, R12), what a restart or a new
 * primary makes of a log (R4, R10), what is sent to whom. */
#include "tests/unit/exchange_fixture.h"

static void test_a_write_is_answered_once_both_have_it_R1_R12(void **state)
{
    struct cluster *cluster = *state;
    struct append_taken taken;
    struct heard heard;

    start_pair(cluster);
    propose(cluster, 0, 2, "k", &heard);
    settle(cluster, 0);
    assert_false(heard.answered); /* durable here alone */
    assert_int_equal(exchange_build_append(&cluster->servers[0].node, 1, false, cluster->now_ms,
                                           &cluster->builder),
                     1);
    taken = bring(cluster, 1);
    assert_true(taken.lsn > wal_durable_lsn(cluster->servers[1].node.journal.wal));
    settle(cluster, 1);
    assert_false(holds(cluster, 1, 2, "k")); /* R12: not told that it is committed */
    answer(cluster, 0, 1, &taken);
    assert_true(heard.answered && !heard.without_outcome);
    assert_true(holds(cluster, 0, 2, "k"));
    assert_int_equal(send_append(cluster, 0, 1, false), 0); /* a commit index can wait */
    assert_int_equal(send_append(cluster, 0, 1, true), 1);
    assert_true(holds(cluster, 1, 2, "k"));
}

static void test_sent_in_the_same_turn_or_packed_again_it_is_the_same(void **state)
{
    struct cluster *cluster = *state;
    struct heard first, second;

    start_pair(cluster);
    propose(cluster, 0, 1, "early", &first);
    assert_int_equal(exchange_build_append(&cluster->servers[0].node, 1, false, cluster->now_ms,
                                           &cluster->builder),
                     1);
    exchange_append_lost(&cluster->servers[0].node, 1, cluster->builder.sent, 1, cluster->now_ms);
    settle(cluster, 0);
    propose(cluster, 0, 1, "late", &second);
    pass(cluster, 100);
    sync_with(cluster, 0, 1);
    assert_true(first.answered && second.answered);
    assert_true(holds(cluster, 1, 1, "early") && holds(cluster, 1, 1, "late"));
}

static void test_only_partitions_with_news_are_sent(void **state)
{
    struct cluster *cluster = *state;
    struct heard heard[2];

    start_pair(cluster);
    assert_int_equal(send_append(cluster, 0, 1, false), 0);
    propose(cluster, 0, 1, "a", &heard[0]);
    propose(cluster, 0, 3, "b", &heard[1]);
    assert_int_equal(send_append(cluster, 0, 1, false), 2);
    assert_true(heard[0].answered && heard[1].answered);
    assert_int_equal(send_append(cluster, 0, 1, false), 0);
    assert_false(cluster->servers[0].node.outboxes[1].any_news); /* a turn looks at nothing */
    assert_int_equal(cluster->servers[0].node.outboxes[1].news[0], 0);
    assert_int_equal(send_append(cluster, 0, 2, true), 0); /* it has no copy */
    assert_true(exchange_has_follower(&cluster->servers[0].node, 1));
    assert_false(exchange_has_follower(&cluster->servers[0].node, 2));
    assert_false(exchange_has_follower(&cluster->servers[1].node, 0));
}

static void test_a_restarted_backup_goes_on_R10_W1(void **state)
{
    struct cluster *cluster = *state;
    struct heard before, after;
    struct append_taken taken;

    start_pair(cluster);
    propose(cluster, 0, 0, "before", &before);
    assert_true(exchange_build_append(&cluster->servers[0].node, 1, false, cluster->now_ms,
                                      &cluster->builder) > 0);
    taken = bring(cluster, 1);
    settle(cluster, 1);
    append_taken_free(&taken); /* the answer is lost */
    restart(cluster, 1);
    tell(cluster, 1, 0, "01", "");
    exchange_append_lost(&cluster->servers[0].node, 1, cluster->builder.sent,
                         cluster->builder.args.runs.runs_len, cluster->now_ms);
    pass(cluster, 100);
    propose(cluster, 0, 0, "after", &after);
    sync_with(cluster, 0, 1);
    assert_true(before.answered && after.answered);
    assert_true(holds(cluster, 1, 0, "before") && holds(cluster, 1, 0, "after"));
    restart(cluster, 1);
    assert_int_equal(partition_of(cluster, 1, 0)->replica.last.index,
                     partition_of(cluster, 0, 0)->replica.last.index);
}

/* 0 proposed what nobody else got; 1 leads then. */
static void take_over(struct cluster *cluster, struct heard *lost, struct heard *kept)
{
    start_pair(cluster);
    propose(cluster, 0, 0, "kept", kept);
    sync_with(cluster, 0, 1);
    propose(cluster, 0, 0, "lost", &lost[0]);
    propose(cluster, 0, 0, "lost too", &lost[1]);
    settle(cluster, 0);
    pass(cluster, 2000);
    configure(cluster, "1", 1, "01", "");
    pass(cluster, 2000);
}

static void test_a_conflicting_suffix_is_dropped_without_an_outcome_R4(void **state)
{
    struct cluster *cluster = *state;
    struct heard lost[2], kept, new;

    take_over(cluster, lost, &kept);
    assert_true(kept.answered);
    assert_false(lost[0].answered);
    tell(cluster, 0, 1, "01", "");
    assert_true(lost[0].answered && lost[0].without_outcome);
    assert_true(lost[1].answered && lost[1].without_outcome);
    assert_false(exchange_has_follower(&cluster->servers[0].node, 1));
    sync_with(cluster, 1, 0);
    (void)send_beacon(cluster, 1, 0, false);
    assert_true(serves(cluster, 1, 0));
    propose(cluster, 1, 0, "new", &new);
    sync_with(cluster, 1, 0);
    assert_true(new.answered && !new.without_outcome);
    assert_true(holds(cluster, 0, 0, "new") && holds(cluster, 0, 0, "kept"));
    assert_false(holds(cluster, 0, 0, "lost") || holds(cluster, 0, 0, "lost too"));
    assert_int_equal(cluster->servers[0].node.uncommitted_bytes, 0);
}

static void test_the_dropped_suffix_does_not_come_back_W6(void **state)
{
    struct cluster *cluster = *state;
    struct heard lost[2], kept;
    struct replica_position last;

    take_over(cluster, lost, &kept);
    tell(cluster, 0, 1, "01", "");
    sync_with(cluster, 1, 0);
    last = partition_of(cluster, 1, 0)->replica.last;
    restart(cluster, 0);
    assert_int_equal(partition_of(cluster, 0, 0)->replica.last.index, last.index);
    assert_int_equal(partition_of(cluster, 0, 0)->replica.last.epoch, last.epoch);
}

/* What is on its way to the disk when it is dropped must not count when it gets there. */
static void test_a_late_sync_of_dropped_entries_counts_for_nothing_R4(void **state)
{
    struct cluster *cluster = *state;
    struct append_builder late, other;
    struct append_taken taken;
    struct heard heard[3];
    uint64_t last;

    configure(cluster, "012", 0, "012", "");
    sync_with(cluster, 0, 1);
    sync_with(cluster, 0, 2);
    sync_with(cluster, 0, 1);
    last = partition_of(cluster, 1, 0)->replica.last.index;
    assert_int_equal(partition_of(cluster, 0, 0)->replica.role, REPLICA_PRIMARY);
    for (int i = 0; i < 3; i++)
        propose(cluster, 0, 0, "late", &heard[i]);
    assert_true(exchange_build_append(&cluster->servers[0].node, 1, false, cluster->now_ms,
                                      &cluster->builder) > 0);
    late = cluster->builder;
    assert_int_equal(append_builder_init(&cluster->builder), CAIRN_OK);
    configure(cluster, "2", 2, "012", "");
    pass(cluster, 3000);
    assert_true(exchange_build_append(&cluster->servers[2].node, 1, true, cluster->now_ms,
                                      &cluster->builder) > 0);
    other = cluster->builder;
    cluster->builder = late;
    taken = bring(cluster, 1); /* taken, not durable */
    append_taken_free(&taken);
    assert_int_equal(partition_of(cluster, 1, 0)->replica.last.index, last + 3);
    cluster->builder = other;
    taken = bring(cluster, 1);
    assert_int_equal(partition_of(cluster, 1, 0)->replica.last.index, last + 1);
    settle(cluster, 1);
    answer(cluster, 2, 1, &taken);
    assert_int_equal(partition_of(cluster, 1, 0)->replica.synced_index, last + 1);
    append_builder_free(&late);
    tell(cluster, 0, 2, "012", "");
}

static void test_the_backup_leads_with_all_that_was_answered_L2_L5_R6(void **state)
{
    struct cluster *cluster = *state;
    struct heard heard;

    start_pair(cluster);
    propose(cluster, 0, 0, "answered", &heard);
    sync_with(cluster, 0, 1);
    assert_true(heard.answered);
    node_close(&cluster->servers[0].node);
    assert_int_equal(cluster->servers[1].node.proposals_wanted, 0);
    pass(cluster, 1000);
    assert_int_equal(cluster->servers[1].node.proposals_wanted, 0);
    pass(cluster, 1500);
    assert_int_equal(cluster->servers[1].node.proposals_wanted, PARTITIONS);
    assert_int_equal(partition_of(cluster, 1, 0)->proposal.member_count, 1);
    assert_int_equal(partition_of(cluster, 1, 0)->proposal.primary.server, 1);
    configure(cluster, "1", 1, "1", "");
    pass(cluster, 2000);
    assert_true(serves(cluster, 1, 0)); /* L4 */
    assert_true(holds(cluster, 1, 0, "answered"));
}

/* The Append that tells of a commit empties the ring, whose memory is given back, before it brings
 * the next entry. */
static void test_a_burst_is_applied_by_the_append_that_brings_more(void **state)
{
    enum { BURST = 5000 };
    static struct heard heard[BURST + 1];
    struct cluster *cluster = *state;

    start_pair(cluster);
    for (int i = 0; i < BURST; i++)
        propose(cluster, 0, 2, "k", &heard[i]);
    settle(cluster, 0);
    while (send_append(cluster, 0, 1, false) > 0)
        ;
    assert_true(heard[BURST - 1].answered);
    propose(cluster, 0, 2, "k", &heard[BURST]);
    assert_int_equal(send_append(cluster, 0, 1, false), 1);
    assert_true(heard[BURST].answered);
}

static void test_too_much_that_waits_for_a_backup_is_refused(void **state)
{
    struct cluster *cluster = *state;
    static struct heard heard[64];
    uint32_t taken = 0;

    start_pair(cluster);
    while (taken < 64 &&
           try_to_propose(cluster, 0, 0, "big", CAIRN_VALUE_LIMIT, &heard[taken]) == CAIRN_OK) {
        taken++;
        settle(cluster, 0);
    }
    assert_in_range(taken, 30, 40);
    sync_with(cluster, 0, 1);
    assert_true(heard[taken - 1].answered);
    assert_int_equal(cluster->servers[0].node.uncommitted_bytes, 0);
    assert_int_equal(try_to_propose(cluster, 0, 0, "big", CAIRN_VALUE_LIMIT, &heard[0]), CAIRN_OK);
}

static void test_a_full_backup_stops_writes_to_its_partitions_W7(void **state)
{
    struct cluster *cluster = *state;
    struct partition *partition = partition_of(cluster, 0, 0);
    struct heard heard;

    start_pair(cluster);
    assert_false(node_refuses_writes_to(&cluster->servers[0].node, partition));
    cluster->servers[1].node.disk.refuse_writes = true;
    propose(cluster, 0, 0, "k", &heard);
    assert_int_equal(send_append(cluster, 0, 1, false), 1);
    assert_true(node_refuses_writes_to(&cluster->servers[0].node, partition));
    assert_false(node_refuses_writes(&cluster->servers[0].node));
    cluster->servers[1].node.disk.refuse_writes = false;
    assert_int_equal(send_beacon(cluster, 0, 1, false), PARTITIONS);
    assert_false(node_refuses_writes_to(&cluster->servers[0].node, partition));
}

/* Nothing is durable between the ticks, so that the first eviction stays on its way. */
static void test_idle_sessions_are_evicted_by_one_entry_at_a_time_S4(void **state)
{
    struct cluster *cluster = *state;
    struct node *node = &cluster->servers[0].node;
    const struct replica *replica = &partition_of(cluster, 0, 1)->replica;
    struct heard heard;

    configure(cluster, "0", 0, "0", "");
    for (int round = 0; round < 2; round++) {
        propose(cluster, 0, 1, "k", &heard);
        settle(cluster, 0);
        assert_int_equal(store_session_count(node->store, 1), 1);
        uint64_t last_index = replica->last.index;
        cluster->now_ms += 25 * 60 * 60 * 1000;
        for (int tick = 0; tick < 5; tick++)
            node_tick(node, cluster->now_ms += 50);
        assert_int_equal(replica->last.index, last_index + 1);
        settle(cluster, 0);
        assert_int_equal(store_session_count(node->store, 1), 0);
        node_tick(node, cluster->now_ms += 50);
        assert_int_equal(replica->last.index, last_index + 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_write_is_answered_once_both_have_it_R1_R12, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_sent_in_the_same_turn_or_packed_again_it_is_the_same,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_only_partitions_with_news_are_sent, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_restarted_backup_goes_on_R10_W1, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_conflicting_suffix_is_dropped_without_an_outcome_R4,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_dropped_suffix_does_not_come_back_W6, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_a_late_sync_of_dropped_entries_counts_for_nothing_R4,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_backup_leads_with_all_that_was_answered_L2_L5_R6,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_burst_is_applied_by_the_append_that_brings_more,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_too_much_that_waits_for_a_backup_is_refused, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_idle_sessions_are_evicted_by_one_entry_at_a_time_S4,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_full_backup_stops_writes_to_its_partitions_W7, setup,
                                        teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
