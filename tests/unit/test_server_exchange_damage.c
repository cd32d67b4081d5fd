/* A copy that finds a value it cannot read steps aside (R13): others have it whole. Alone it says
 * so (W8). */
#include <lmdb.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "server/value.h"
#include "tests/unit/exchange_fixture.h"

/* Flips a bit of the value of "k" in partition 0 of a store that is closed. */
static void damage(const char *directory)
{
    char path[SCRATCH_PATH_MAX + 16];
    uint8_t copy[256];
    struct stored_key stored;
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi table;
    MDB_val key, value;

    snprintf(path, sizeof path, "%s/store", directory);
    data_key(&stored, 0, (const uint8_t *)"k", 1);
    key = (MDB_val){stored.length, stored.bytes};
    assert_int_equal(mdb_env_create(&env), 0);
    assert_int_equal(mdb_env_set_maxdbs(env, 4), 0);
    assert_int_equal(mdb_env_set_mapsize(env, 64 << 20), 0);
    assert_int_equal(mdb_env_open(env, path, 0, 0600), 0);
    assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
    assert_int_equal(mdb_dbi_open(txn, "data", 0, &table), 0);
    assert_int_equal(mdb_get(txn, table, &key, &value), 0);
    assert_true(value.mv_size <= sizeof copy);
    memcpy(copy, value.mv_data, value.mv_size);
    copy[value.mv_size - 1] ^= 1;
    value.mv_data = copy;
    assert_int_equal(mdb_put(txn, table, &key, &value, 0), 0);
    assert_int_equal(mdb_txn_commit(txn), 0);
    mdb_env_close(env);
}

/* A clean stop, so that all is in the store. */
static void restart_damaged(struct cluster *cluster, uint32_t id)
{
    struct server *server = &cluster->servers[id];

    node_stop(&server->node, cluster->now_ms);
    node_close(&server->node);
    damage(server->directory);
    open_server(cluster, id);
}

static void test_a_damaged_backup_steps_aside_R13(void **state)
{
    struct cluster *cluster = *state;
    struct heard heard;

    start_pair(cluster);
    propose(cluster, 0, 0, "k", &heard);
    sync_with(cluster, 0, 1);
    restart_damaged(cluster, 1);
    tell(cluster, 1, 0, "01", "");
    pass(cluster, 100);
    propose(cluster, 0, 0, "k", &heard);
    sync_with(cluster, 0, 1);
    assert_true(heard.answered && heard.outcome.code == OUTCOME_DONE);
    assert_true(partition_of(cluster, 1, 0)->replica.damaged);
    assert_false(partition_of(cluster, 1, 1)->replica.damaged);
    /* Without its lease the primary has it removed (R7); the other partitions go on. */
    assert_int_equal(send_beacon(cluster, 0, 1, false), PARTITIONS - 1);
    pass(cluster, 5000);
    assert_true(partition_of(cluster, 0, 0)->wants_proposal);
    assert_int_equal(partition_of(cluster, 0, 0)->proposal.member_count, 1);
    assert_false(partition_of(cluster, 1, 0)->wants_proposal); /* it seeks no lead */
}

static void test_a_damaged_primary_leaves_the_outcome_open_and_steps_aside_R13(void **state)
{
    struct cluster *cluster = *state;
    struct heard heard;

    start_pair(cluster);
    propose(cluster, 0, 0, "k", &heard);
    sync_with(cluster, 0, 1);
    restart_damaged(cluster, 0);
    configure(cluster, "0", 0, "01", "");
    pass(cluster, 2000); /* L5 */
    tell(cluster, 1, 0, "01", "");
    sync_with(cluster, 0, 1);
    (void)send_beacon(cluster, 0, 1, false);
    assert_true(serves(cluster, 0, 0));
    propose(cluster, 0, 0, "k", &heard);
    assert_true(send_append(cluster, 0, 1, false) > 0);
    assert_true(heard.answered && heard.without_outcome);
    assert_true(partition_of(cluster, 0, 0)->replica.damaged);
    assert_false(serves(cluster, 0, 0));
    assert_true(serves(cluster, 0, 1));
}

/* Server 1 has found that its copy of partition 0 is damaged. */
static void damage_backup(struct cluster *cluster)
{
    struct heard heard;

    start_pair(cluster);
    propose(cluster, 0, 0, "k", &heard);
    sync_with(cluster, 0, 1);
    restart_damaged(cluster, 1);
    tell(cluster, 1, 0, "01", "");
    pass(cluster, 100);
    propose(cluster, 0, 0, "k", &heard);
    sync_with(cluster, 0, 1);
    assert_true(partition_of(cluster, 1, 0)->replica.damaged);
}

static void test_damage_is_not_forgotten_with_the_process_R13(void **state)
{
    struct cluster *cluster = *state;

    damage_backup(cluster);
    restart(cluster, 1); /* at once, as kill -9 leaves it */
    assert_true(partition_of(cluster, 1, 0)->replica.damaged);
    assert_false(partition_of(cluster, 1, 1)->replica.damaged);
    tell(cluster, 1, 0, "01", "");
    assert_int_equal(send_beacon(cluster, 0, 1, false), PARTITIONS - 1);
    node_close(&cluster->servers[0].node);
    pass(cluster, 5000);
    assert_false(partition_of(cluster, 1, 0)->wants_proposal); /* it seeks no lead */
    assert_true(partition_of(cluster, 1, 1)->wants_proposal);
}

/* What cannot be recorded shall not become durable by a checkpoint; it is tried again. */
static void test_no_checkpoint_comes_before_the_record_of_damage_R13(void **state)
{
    struct cluster *cluster = *state;
    struct node *node = &cluster->servers[1].node;
    char obstacle[SCRATCH_PATH_MAX + 16];

    snprintf(obstacle, sizeof obstacle, "%s/DAMAGED.new", cluster->servers[1].directory);
    assert_int_equal(mkdir(obstacle, 0700), 0);
    damage_backup(cluster);
    node->memtable_limit_bytes = 0; /* one is due at each tick */
    pass(cluster, 100);
    assert_false(store_checkpoint_running(node->store));
    assert_int_equal(rmdir(obstacle), 0);
    pass(cluster, 100);
    assert_true(store_checkpoint_running(node->store));
    restart(cluster, 1);
    assert_true(partition_of(cluster, 1, 0)->replica.damaged);
}

static void test_a_start_with_a_damaged_record_of_damage_is_refused_R13(void **state)
{
    struct cluster *cluster = *state;
    char path[SCRATCH_PATH_MAX + 16];
    struct error error = {0};

    node_close(&cluster->servers[1].node);
    snprintf(path, sizeof path, "%s/DAMAGED", cluster->servers[1].directory);
    assert_int_equal(file_replace(path, "cairn-damaged 1\n0\n", 18, &error), CAIRN_OK);
    assert_int_equal(try_to_open_server(cluster, 1, &error), CAIRN_ECORRUPT);
    assert_non_null(strstr(error.message, path));
    assert_int_equal(unlink(path), 0);
    open_server(cluster, 1);
}

static void test_a_single_copy_tells_the_client_of_its_damage_W8(void **state)
{
    struct cluster *cluster = *state;
    struct heard heard;

    configure(cluster, "0", 0, "0", "");
    settle(cluster, 0);
    propose(cluster, 0, 0, "k", &heard);
    settle(cluster, 0);
    restart_damaged(cluster, 0);
    configure(cluster, "0", 0, "0", "");
    pass(cluster, 2000); /* L5 */
    assert_true(serves(cluster, 0, 0));
    propose(cluster, 0, 0, "k", &heard);
    settle(cluster, 0);
    assert_true(heard.answered && heard.outcome.code == OUTCOME_CORRUPT);
    assert_true(serves(cluster, 0, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_damaged_backup_steps_aside_R13, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_a_damaged_primary_leaves_the_outcome_open_and_steps_aside_R13, setup, teardown),
        cmocka_unit_test_setup_teardown(test_damage_is_not_forgotten_with_the_process_R13, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_no_checkpoint_comes_before_the_record_of_damage_R13,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_start_with_a_damaged_record_of_damage_is_refused_R13,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_single_copy_tells_the_client_of_its_damage_W8, setup,
                                        teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
