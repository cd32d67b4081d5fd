/* A node's log between memory and disk: who is served from where, what is kept and cut (W6), and
 * what an install and a crash leave of it (R9, R12). */
#include "tests/unit/exchange_fixture.h"

/* --- memory and disk ---------------------------------------------------------------------------
 */

static void fill(struct cluster *cluster, uint32_t number, int count)
{
    static struct heard heard[256];

    for (int i = 0; i < count; i++) {
        propose(cluster, 0, number, "k", &heard[i]);
        sync_with(cluster, 0, 1);
        assert_true(heard[i].answered);
    }
}

static void test_a_new_learner_is_behind_what_memory_holds_R8(void **state)
{
    struct cluster *cluster = *state;
    struct partition *partition = partition_of(cluster, 0, 0);
    struct heard heard;
    uint64_t applied;

    start_pair(cluster);
    fill(cluster, 0, 5);
    assert_false(exchange_is_behind(&cluster->servers[0].node, 2));
    assert_int_equal(partition->entry_count, 0);
    configure(cluster, "012", 0, "01", "2");
    sync_with(cluster, 0, 2);
    sync_with(cluster, 0, 1);
    assert_true(exchange_is_behind(&cluster->servers[0].node, 2));
    /* From now on memory keeps what is applied, so that a pass over the disk has an end. */
    applied = partition->applied.index;
    propose(cluster, 0, 0, "kept", &heard);
    sync_with(cluster, 0, 1);
    assert_true(heard.answered);
    assert_int_equal(partition->applied.index, applied + 1);
    assert_true(partition_has_entry(partition, applied + 1));
    assert_false(partition_has_entry(partition, applied));
    assert_true(cluster->servers[0].node.kept_bytes > 0);
}

static void test_kept_entries_bring_a_learner_to_the_end_R8(void **state)
{
    struct cluster *cluster = *state;
    struct partition *partition = partition_of(cluster, 0, 0);
    struct replica_follower *learner;
    struct replica_member copy = {.server = 2, .store = store_of(2)};
    struct heard heard;

    configure(cluster, "012", 0, "01", "2");
    settle(cluster, 0);
    /* The learner is asked before anything is committed, so everything is kept for it. */
    assert_true(send_append(cluster, 0, 2, true) > 0);
    learner = replica_find_follower(&partition->replica, &copy);
    assert_non_null(learner);
    if (learner->mode == REPLICA_PROBE) {
        pass(cluster, 600);
        (void)send_append(cluster, 0, 2, true);
    }
    learner = replica_find_follower(&partition->replica, &copy);
    learner->mode = REPLICA_REPLICATE;
    learner->next_index = 1;
    sync_with(cluster, 0, 1);
    (void)send_beacon(cluster, 0, 1, false);
    fill(cluster, 0, 20);
    assert_int_equal(partition->before.index, 0);
    assert_true(cluster->servers[0].node.kept_bytes > 0);
    sync_with(cluster, 0, 2);
    assert_int_equal(partition_of(cluster, 2, 0)->replica.last.index,
                     partition->replica.last.index);
    assert_true(holds(cluster, 2, 0, "k"));
    /* It lags no more: what is sent before it is committed need not be kept. */
    propose(cluster, 0, 0, "k", &heard);
    sync_with(cluster, 0, 2);
    sync_with(cluster, 0, 1);
    assert_true(heard.answered);
    assert_int_equal(partition->entry_count, 0);
    pass(cluster, 50);
    assert_int_equal(cluster->servers[0].node.kept_bytes, 0);
}

static void checkpoint(struct cluster *cluster, uint32_t id)
{
    struct node *node = &cluster->servers[id].node;

    /* The thread may still be freeing the last one's memory: then it begins when it is due again.
     */
    for (int tries = 0; tries < 10000 && !store_checkpoint_running(node->store); tries++) {
        clock_sleep_ms(tries > 0 ? 1 : 0);
        cluster->now_ms += 6 * 60 * 1000;
        node_tick(node, cluster->now_ms);
    }
    assert_true(store_checkpoint_running(node->store));
    while (store_checkpoint_running(node->store)) {
        clock_sleep_ms(1);
        node_checkpoint_finish(node);
    }
}

static void test_the_log_lags_behind_checkpoints_and_tells_its_base_W6(void **state)
{
    struct cluster *cluster = *state;
    struct node *node = &cluster->servers[0].node;
    struct partition *partition = partition_of(cluster, 0, 0);
    uint64_t first;

    start_pair(cluster);
    fill(cluster, 0, 3);
    first = partition->applied.index;
    checkpoint(cluster, 0);
    fill(cluster, 0, 3);
    checkpoint(cluster, 0);
    assert_int_equal(node->cut_point_count, 2);
    assert_int_equal(partition->base.index, 0);
    node->snapshots_open = 1;
    node->log_keep_bytes = 0;
    node_tick(node, cluster->now_ms);
    assert_int_equal(partition->base.index, 0); /* somebody installs from here */
    node->snapshots_open = 0;
    node_tick(node, cluster->now_ms);
    assert_int_equal(partition->base.index, first);
    assert_int_equal(partition->replica.base_index, first);
    assert_int_equal(partition->base.epoch, 1);
    node_tick(node, cluster->now_ms);
    assert_int_equal(partition->base.index, partition->applied.index);
    assert_int_equal(node->cut_point_count, 0);
}

static void test_after_a_restart_the_base_is_the_checkpoint(void **state)
{
    struct cluster *cluster = *state;
    uint64_t checkpointed;

    start_pair(cluster);
    fill(cluster, 0, 3);
    checkpoint(cluster, 0);
    checkpointed = partition_of(cluster, 0, 0)->applied.index;
    fill(cluster, 0, 3);
    restart(cluster, 0);
    assert_int_equal(partition_of(cluster, 0, 0)->base.index, checkpointed);
    assert_int_equal(partition_of(cluster, 0, 0)->applied.index, checkpointed);
    assert_true(partition_of(cluster, 0, 0)->replica.last.index > checkpointed);
}

/* --- entries that nobody commits ---------------------------------------------------------------
 */

static void test_entries_that_nobody_commits_do_not_hold_the_log_W6(void **state)
{
    struct cluster *cluster = *state;
    struct node *node = &cluster->servers[0].node;
    struct partition *stale = partition_of(cluster, 0, 0);
    static struct heard heard[2]; /* ends with the node */
    struct replica_position last;
    uint64_t lsn;

    start_pair(cluster);
    propose(cluster, 0, 0, "stale", &heard[0]);
    propose(cluster, 0, 0, "stale", &heard[1]);
    settle(cluster, 0);
    last = stale->replica.last;
    lsn = partition_entry(stale, last.index)->lsn;
    node->log_keep_bytes = 0;
    node_tick(node, cluster->now_ms);
    checkpoint(cluster, 0);
    store_set_seen_epoch(node->store, 1, 1, 40); /* something for a checkpoint to do */
    checkpoint(cluster, 0);
    settle(cluster, 0);
    assert_true(partition_entry(stale, last.index)->lsn > lsn + 1);
    assert_true(partition_entry(stale, last.index)->lsn ==
                partition_entry(stale, last.index - 1)->lsn + 1);
    assert_int_equal(stale->carry_index, 0);
    restart(cluster, 0);
    stale = partition_of(cluster, 0, 0);
    assert_int_equal(stale->replica.last.index, last.index);
    assert_int_equal(stale->replica.last.epoch, last.epoch);
}

/* A crash tears the log behind the first of the entries that are written again. */
static void test_an_entry_found_twice_voids_nothing_R4(void **state)
{
    struct cluster *cluster = *state;
    struct partition *stale = partition_of(cluster, 0, 0);
    struct node *node = &cluster->servers[0].node;
    static struct heard heard[3]; /* ends with the node */
    struct replica_position last;

    start_pair(cluster);
    for (int i = 0; i < 3; i++)
        propose(cluster, 0, 0, "stale", &heard[i]);
    settle(cluster, 0);
    last = stale->replica.last;
    assert_true(journal_append(&node->journal, partition_entry(stale, stale->applied.index + 1)));
    settle(cluster, 0);
    restart(cluster, 0);
    assert_int_equal(partition_of(cluster, 0, 0)->replica.last.index, last.index);
}

/* Room for one more large entry in the batch that gathers, not for two. */
static void leave_room_for_one(struct node *node)
{
    for (int i = 0; i < 6; i++) {
        uint8_t *bytes = wal_reserve(node->journal.wal, LOG_KIND_EPOCH, CAIRN_VALUE_LIMIT);

        assert_non_null(bytes);
        memset(bytes, 0, CAIRN_VALUE_LIMIT);
        (void)wal_finish(node->journal.wal);
    }
}

/* Of three, one is written again and two are not, yet: a cut must spare what the first one was. */
static void test_the_log_is_not_cut_amid_what_is_written_again_W6(void **state)
{
    struct cluster *cluster = *state;
    struct node *node = &cluster->servers[0].node;
    struct partition *stale = partition_of(cluster, 0, 0);
    static struct heard heard[3]; /* ends with the node */
    uint64_t lsn;

    start_pair(cluster);
    for (int i = 0; i < 3; i++)
        assert_int_equal(try_to_propose(cluster, 0, 0, "stale", CAIRN_VALUE_LIMIT, &heard[i]), 0);
    settle(cluster, 0);
    lsn = partition_entry(stale, stale->applied.index + 1)->lsn;
    checkpoint(cluster, 0);
    settle(cluster, 0);
    leave_room_for_one(node);
    store_set_seen_epoch(node->store, 1, 1, 40); /* something for a checkpoint to do */
    checkpoint(cluster, 0);
    assert_true(partition_entry(stale, stale->applied.index + 1)->lsn > lsn);
    assert_int_equal(stale->carry_index, stale->applied.index + 2);
    assert_true(node->cut_points[node->cut_point_count - 1].lsn <= lsn);
    settle(cluster, 0);
    node_tick(node, cluster->now_ms);
    assert_int_equal(stale->carry_index, 0);
    settle(cluster, 0);
}

/* A copy that drops the end of its log and applies less than it had: what it dropped is gone for
 * good, also when all that is left to replay is what it dropped. */
static void test_what_was_dropped_does_not_come_back_after_a_checkpoint_W6(void **state)
{
    struct cluster *cluster = *state;
    static struct heard heard[5]; /* ends with the node */
    struct replica_position last;

    start_pair(cluster);
    for (int i = 0; i < 5; i++)
        propose(cluster, 0, 0, "dropped", &heard[i]);
    settle(cluster, 0);
    configure(cluster, "01", 1, "01", ""); /* the other one leads on without them */
    pass(cluster, 1600);
    sync_with(cluster, 1, 0);
    last = partition_of(cluster, 1, 0)->replica.last;
    assert_int_equal(partition_of(cluster, 0, 0)->replica.last.index, last.index);
    assert_int_equal(partition_of(cluster, 0, 0)->applied.index, last.index);
    checkpoint(cluster, 0);
    restart(cluster, 0);
    assert_int_equal(partition_of(cluster, 0, 0)->applied.index, last.index);
    assert_int_equal(partition_of(cluster, 0, 0)->replica.last.index, last.index);
    assert_int_equal(partition_of(cluster, 0, 0)->replica.last.epoch, last.epoch);
}

/* --- installs ----------------------------------------------------------------------------------
 */

static void test_a_reset_voids_the_log_and_a_crash_leaves_it_installing_W6(void **state)
{
    struct cluster *cluster = *state;
    struct node *node = &cluster->servers[1].node;
    struct partition *partition = partition_of(cluster, 1, 0);
    static struct heard heard;

    start_pair(cluster);
    fill(cluster, 0, 3);
    propose(cluster, 0, 0, "unapplied", &heard);
    (void)send_append(cluster, 0, 1, false);
    assert_int_equal(partition->entry_count, 1);
    node_drop_log(node, partition);
    assert_int_equal(partition->entry_count, 0);
    assert_int_equal(partition_last_index(partition), 0);
    assert_true(journal_append_reset(&node->journal, 0, 1, 4711));
    node_end_turn(node, false);
    assert_int_equal(node->journal.reset_count, 1);
    restart(cluster, 1);
    partition = partition_of(cluster, 1, 0);
    assert_true(partition->replica.installing);
    assert_int_equal(partition->replica.install, 4711);
    assert_int_equal(partition->replica.last.index, 0);
    assert_int_equal(partition->replica.seen_epoch, 1);
    assert_int_equal(partition->replica.seen_history, 1);
    assert_int_equal(node->journal.reset_count, 1);
    assert_false(partition_of(cluster, 1, 1)->replica.installing);
    assert_true(partition_of(cluster, 1, 1)->replica.last.index > 0);
}

/* Also if nobody ever installs the copy anew. */
static void test_a_reset_is_settled_after_a_crash_W6(void **state)
{
    struct cluster *cluster = *state;
    struct node *node = &cluster->servers[1].node;

    start_pair(cluster);
    fill(cluster, 0, 3);
    node_drop_log(node, partition_of(cluster, 1, 0));
    assert_true(journal_append_reset(&node->journal, 0, 1, 4711));
    node_end_turn(node, false);
    restart(cluster, 1);
    assert_int_equal(node->journal.reset_count, 1);
    assert_true(store_applied(node->store, 0)->installing);
    assert_int_equal(store_applied(node->store, 0)->seen_epoch, 1);
    for (int i = 0; i < 5000 && store_install_poll(node->store, 0) == STORE_INSTALL_MARKING; i++)
        clock_sleep_ms(1);
    store_set_seen_epoch(node->store, 1, 1, 40); /* something for a checkpoint to do */
    checkpoint(cluster, 1);
    assert_int_equal(node->journal.reset_count, 0);
    restart(cluster, 1);
    assert_true(partition_of(cluster, 1, 0)->replica.installing);
    assert_int_equal(partition_of(cluster, 1, 0)->replica.install, 4711);
}

/* Server 2, a learner, is granted an install of partition 0; its RESET is in the log. */
static uint64_t begin_install(struct cluster *cluster, uint64_t install)
{
    struct node *node = &cluster->servers[2].node;
    struct replica_event event = {.kind = REPLICA_EVENT_INSTALL,
                                  .now_ms = cluster->now_ms,
                                  .member = {.server = 0, .store = store_of(0), .incarnation = 1},
                                  .history = 1,
                                  .epoch = cluster->epoch,
                                  .install = install};
    struct replica_update update;

    node_step(node, &node->partitions[0], &event, &update);
    assert_true(update.granted);
    node_drop_log(node, &node->partitions[0]);
    assert_true(journal_append_reset(&node->journal, 0, 1, install));
    settle(cluster, 2);
    return wal_last_lsn(node->journal.wal);
}

static void test_the_log_is_not_cut_above_a_reset_that_the_store_has_not_noted_W6(void **state)
{
    struct cluster *cluster = *state;
    struct node *node = &cluster->servers[2].node;
    uint64_t reset_lsn;

    start_pair(cluster);
    fill(cluster, 0, 3);
    configure(cluster, "012", 0, "01", "2");
    reset_lsn = begin_install(cluster, 4711);
    checkpoint(cluster, 2);
    assert_int_equal(node->cut_point_count, 1);
    assert_int_equal(node->cut_points[0].lsn, reset_lsn);
    journal_reset_settled(&node->journal, 0, 4711);
    store_set_seen_epoch(node->store, 1, 1, 40); /* something for a checkpoint to do */
    checkpoint(cluster, 2);
    assert_true(node->cut_points[1].lsn > reset_lsn);
}

/* What the store notes durably lets the log go, too. */
static void test_a_reset_that_the_store_has_noted_is_settled_W6(void **state)
{
    struct cluster *cluster = *state;
    struct node *node = &cluster->servers[2].node;
    enum store_install_state stored = STORE_INSTALL_MARKING;
    uint64_t reset_lsn;

    start_pair(cluster);
    configure(cluster, "012", 0, "01", "2");
    reset_lsn = begin_install(cluster, 4711);
    assert_int_equal(store_install_begin(node->store, 0, 4711), CAIRN_OK);
    for (int i = 0; i < 2000 && stored == STORE_INSTALL_MARKING; i++) {
        clock_sleep_ms(1);
        stored = store_install_poll(node->store, 0);
    }
    assert_int_equal(stored, STORE_INSTALL_RECEIVING);
    store_set_seen_epoch(node->store, 1, 1, 40);
    checkpoint(cluster, 2);
    assert_true(node->cut_points[0].lsn > reset_lsn);
    assert_int_equal(node->journal.reset_count, 0);
    restart(cluster, 2);
    assert_true(partition_of(cluster, 2, 0)->replica.installing);
    assert_int_equal(partition_of(cluster, 2, 0)->replica.install, 4711);
}

/* R9: a log may hold entries of an older history than the partition's. */
static void test_entries_of_an_older_history_are_recovered_R9(void **state)
{
    struct cluster *cluster = *state;
    struct node *node = &cluster->servers[0].node;
    static struct heard heard;
    uint64_t last;

    start_pair(cluster);
    assert_true(journal_append_epoch(&node->journal, 0, 2, 1));
    propose(cluster, 0, 0, "k", &heard); /* of history 1 */
    settle(cluster, 0);
    last = partition_of(cluster, 0, 0)->replica.last.index;
    restart(cluster, 0);
    assert_int_equal(partition_of(cluster, 0, 0)->replica.last.index, last);
    assert_int_equal(partition_of(cluster, 0, 0)->replica.seen_history, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_new_learner_is_behind_what_memory_holds_R8, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_kept_entries_bring_a_learner_to_the_end_R8, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_the_log_lags_behind_checkpoints_and_tells_its_base_W6,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_after_a_restart_the_base_is_the_checkpoint, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_entries_that_nobody_commits_do_not_hold_the_log_W6,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_an_entry_found_twice_voids_nothing_R4, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_the_log_is_not_cut_amid_what_is_written_again_W6,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_what_was_dropped_does_not_come_back_after_a_checkpoint_W6, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_a_reset_voids_the_log_and_a_crash_leaves_it_installing_W6, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_reset_is_settled_after_a_crash_W6, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_the_log_is_not_cut_above_a_reset_that_the_store_has_not_noted_W6, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_reset_that_the_store_has_noted_is_settled_W6, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_entries_of_an_older_history_are_recovered_R9, setup,
                                        teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
