/* Snapshots between nodes (R8): a learner that the log no longer reaches is installed and goes on
 * from there; a member never is; crashes, repeated and foreign pieces do no harm. */
#include <lmdb.h>

#include "server/catch_up.h"
#include "server/snapshot.h"
#include "server/value.h"
#include "tests/unit/exchange_fixture.h"

enum { KEYS = 40, VALUE_BYTES = 100000, PIECES_LIMIT = 5000 };

/* --- the way of a snapshot ----------------------------------------------------------------------
 */

static void name_of(char name[16], int number)
{
    snprintf(name, 16, "key-%d", number);
}

/* Writes keys of a size that makes several pieces, through whoever is a member. */
static void write_keys(struct cluster *cluster, uint32_t number, const char *others)
{
    for (int i = 0; i < KEYS; i++) {
        char name[16];
        struct heard heard;
        name_of(name, i);
        assert_int_equal(try_to_propose(cluster, 0, number, name, VALUE_BYTES, &heard), CAIRN_OK);
        settle(cluster, 0);
        for (const char *other = others; *other != '\0'; other++)
            sync_with(cluster, 0, (uint32_t)(*other - '0'));
        assert_true(heard.answered && !heard.without_outcome);
    }
}

static void assert_keys(struct cluster *cluster, uint32_t id, uint32_t number)
{
    for (int i = 0; i < KEYS; i++) {
        char name[16];
        name_of(name, i);
        assert_true(holds(cluster, id, number, name));
    }
}

/* Everything that server 0 has for `to`: from memory and, where that has gone, from the log. */
static void follow_up(struct cluster *cluster, uint32_t to)
{
    struct node *node = &cluster->servers[0].node;
    struct catch_up *pass_over;
    struct error error = {0};
    for (int turns = 0; turns < TURNS_LIMIT; turns++) {
        pass(cluster, 100);
        (void)send_beacon(cluster, 0, to, false);
        sync_with(cluster, 0, to);
        if (!exchange_is_behind(node, to))
            return;
        assert_int_equal(catch_up_open(node, to, &pass_over), CAIRN_OK);
        while (!catch_up_done(pass_over)) {
            assert_int_equal(catch_up_read(pass_over, 1 << 20, &error), CAIRN_OK);
            while (catch_up_build(pass_over, node, cluster->now_ms, &cluster->builder) > 0) {
                struct append_taken taken = bring(cluster, to);
                settle(cluster, to);
                answer(cluster, 0, to, &taken);
            }
        }
        catch_up_close(node, pass_over);
    }
    fail_msg("a follower does not catch up");
}

/* Server 0 stops and starts: its log is cut, only LMDB has what was written. */
static void cut_log(struct cluster *cluster)
{
    node_stop(&cluster->servers[0].node, cluster->now_ms);
    restart(cluster, 0);
    tell(cluster, 0, 0, "0", "");
}

/* Server 0 leads alone with a cut log; `learner` waits for snapshots of all partitions. */
static void start_learner(struct cluster *cluster, uint32_t learner, const char *to)
{
    char learners[2] = {(char)('0' + learner), '\0'};
    cut_log(cluster);
    configure(cluster, to, 0, "0", learners);
    sync_with(cluster, 0, learner);
    pass(cluster, 3000); /* whatever was promised is over */
    sync_with(cluster, 0, learner);
    for (uint32_t i = 0; i < PARTITIONS; i++)
        assert_true(serves(cluster, 0, i));
}

/* All of partition 0 is in LMDB of server 0 only; server 2 is new. */
static void start_installing(struct cluster *cluster)
{
    configure(cluster, "0", 0, "0", "");
    write_keys(cluster, 0, "");
    start_learner(cluster, 2, "02");
}

static struct snapshot_sender *open_sender(struct cluster *cluster, uint32_t number, uint32_t to)
{
    struct snapshot_sender *sender;
    struct error error = {0};
    assert_int_equal(snapshot_open(&cluster->servers[0].node, number, to, &sender), CAIRN_OK);
    assert_int_equal(snapshot_partition(sender), number);
    assert_int_equal(snapshot_read(sender, &error), CAIRN_OK);
    return sender;
}

/* What `to` says to a piece, over the wire and back. */
static snapshot_result take(struct cluster *cluster, uint32_t to, const snapshot_args *said)
{
    const struct rpc_procedure *procedure = &program_replica.procedures[REPLICA_SNAPSHOT];
    snapshot_args args = {0};
    snapshot_result answered = {0}, result = {0};
    decode(cluster, procedure->xdr_args, encode(cluster, procedure->xdr_args, said), &args);
    snapshot_take(&cluster->servers[to].node, &args, cluster->now_ms, &answered);
    xdr_free(procedure->xdr_args, (char *)&args);
    decode(cluster, procedure->xdr_result, encode(cluster, procedure->xdr_result, &answered),
           &result);
    return result;
}

/* Log and store of `to` go on. */
static void go_on(struct cluster *cluster, uint32_t to)
{
    settle(cluster, to);
    snapshot_advance(&cluster->servers[to].node, cluster->now_ms);
    settle(cluster, to);
}

static enum snapshot_next send_piece(struct cluster *cluster, struct snapshot_sender *sender,
                                     uint32_t to)
{
    struct node *from = &cluster->servers[0].node;
    snapshot_args args;
    if (!snapshot_build(sender, from, &args))
        return SNAPSHOT_GIVE_UP;
    snapshot_result result = take(cluster, to, &args);
    go_on(cluster, to);
    enum snapshot_next next = snapshot_answered(sender, from, &result, cluster->now_ms);
    settle(cluster, 0);
    return next;
}

/* Sends until `pieces` were taken, or until the end. SNAPSHOT_READ_NEXT: they were. */
static enum snapshot_next transfer(struct cluster *cluster, struct snapshot_sender *sender,
                                   uint32_t to, int pieces)
{
    struct error error = {0};
    for (int i = 0, taken = 0; i < PIECES_LIMIT; i++) {
        enum snapshot_next next = send_piece(cluster, sender, to);
        if (next == SNAPSHOT_SEND_AGAIN) {
            usleep(1000); /* the thread is not ready */
            continue;
        }
        if (next != SNAPSHOT_READ_NEXT)
            return next;
        assert_int_equal(snapshot_read(sender, &error), CAIRN_OK);
        if (++taken == pieces)
            return next;
    }
    fail_msg("a snapshot does not end");
    return SNAPSHOT_GIVE_UP;
}

static void install(struct cluster *cluster, uint32_t number, uint32_t to)
{
    struct snapshot_sender *sender = open_sender(cluster, number, to);
    assert_int_equal(transfer(cluster, sender, to, PIECES_LIMIT), SNAPSHOT_FINISHED);
    snapshot_close(&cluster->servers[0].node, sender);
}

static void assert_same_log(struct cluster *cluster, uint32_t id, uint32_t number)
{
    const struct replica *there = &partition_of(cluster, id, number)->replica;
    const struct replica *here = &partition_of(cluster, 0, number)->replica;
    assert_false(there->installing);
    assert_int_equal(there->last.index, here->last.index);
    assert_int_equal(there->last.epoch, here->last.epoch);
    assert_int_equal(there->commit_index, here->commit_index);
}

/* --- the whole way ------------------------------------------------------------------------------
 */

static void test_a_learner_is_installed_and_goes_on_R8(void **state)
{
    struct cluster *cluster = *state;
    struct heard heard;
    start_installing(cluster);
    assert_false(holds(cluster, 2, 0, "key-0"));
    for (uint32_t i = 0; i < PARTITIONS; i++)
        install(cluster, i, 2);
    assert_int_equal(cluster->servers[0].node.snapshots_open, 0);
    assert_int_equal(send_append(cluster, 0, 2, false), PARTITIONS); /* at once, not when idle */
    assert_keys(cluster, 2, 0);
    propose(cluster, 0, 0, "behind it", &heard);
    follow_up(cluster, 2);
    assert_true(heard.answered && holds(cluster, 2, 0, "behind it"));
    for (uint32_t i = 0; i < PARTITIONS; i++)
        assert_same_log(cluster, 2, i);
    restart(cluster, 2);
    tell(cluster, 2, 0, "0", "2");
    propose(cluster, 0, 0, "after a restart", &heard);
    follow_up(cluster, 2);
    assert_keys(cluster, 2, 0);
    assert_true(holds(cluster, 2, 0, "behind it"));
    assert_same_log(cluster, 2, 0);
}

/* W6: what the copy held before is gone, in memory, in the store and in the log. */
static void test_an_old_copy_is_replaced_W6(void **state)
{
    struct cluster *cluster = *state;
    struct heard heard;
    for (int crash = 0; crash < 2; crash++) {
        if (crash == 0)
            start_pair(cluster);
        else
            configure(cluster, "01", 0, "01", "");
        pass(cluster, 600); /* a silent learner is asked again that soon */
        sync_with(cluster, 0, 1);
        (void)send_beacon(cluster, 0, 1, false);
        propose(cluster, 0, 1, "old", &heard);
        sync_with(cluster, 0, 1);
        assert_true(heard.answered && holds(cluster, 1, 1, "old"));
        configure(cluster, "0", 0, "0", "");
        write_keys(cluster, 0, "");
        propose(cluster, 0, 1, "new", &heard);
        settle(cluster, 0);
        start_learner(cluster, 1, "01");
        struct snapshot_sender *sender = open_sender(cluster, 1, 1);
        assert_int_equal(transfer(cluster, sender, 1, 1), SNAPSHOT_READ_NEXT);
        assert_true(partition_of(cluster, 1, 1)->replica.installing);
        if (crash == 1) {
            restart(cluster, 1);
            tell(cluster, 1, 0, "0", "1");
            assert_true(partition_of(cluster, 1, 1)->replica.installing);
            assert_int_equal(partition_of(cluster, 1, 1)->replica.last.index, 0);
        }
        snapshot_close(&cluster->servers[0].node, sender);
        for (uint32_t i = 0; i < 2; i++)
            install(cluster, i, 1);
        follow_up(cluster, 1);
        assert_true(holds(cluster, 1, 1, "new") && holds(cluster, 1, 1, "old"));
        assert_same_log(cluster, 1, 1);
    }
}

/* --- crashes ------------------------------------------------------------------------------------
 */

static void test_a_receiver_that_crashes_begins_anew(void **state)
{
    struct cluster *cluster = *state;
    start_installing(cluster);
    for (int pieces = 1; pieces < 5; pieces++) {
        struct snapshot_sender *sender = open_sender(cluster, 0, 2);
        assert_int_equal(transfer(cluster, sender, 2, pieces), SNAPSHOT_READ_NEXT);
        restart(cluster, 2);
        tell(cluster, 2, 0, "0", "2");
        const struct replica *replica = &partition_of(cluster, 2, 0)->replica;
        assert_true(replica->installing);
        assert_int_equal(replica->last.index, 0);
        assert_int_equal(transfer(cluster, sender, 2, PIECES_LIMIT), SNAPSHOT_GIVE_UP);
        assert_true(replica->installing);
        snapshot_close(&cluster->servers[0].node, sender);
    }
    install(cluster, 0, 2);
    assert_keys(cluster, 2, 0);
    follow_up(cluster, 2);
    assert_same_log(cluster, 2, 0);
}

/* The log has no room for the RESET or it is not durable yet: the store keeps what it has (W6). */
static void test_the_store_is_cleared_only_behind_the_log_W6(void **state)
{
    struct cluster *cluster = *state;
    snapshot_args args;
    struct snapshot_sender *sender;
    start_installing(cluster);
    sender = open_sender(cluster, 0, 2);
    assert_true(snapshot_build(sender, &cluster->servers[0].node, &args));
    for (int i = 0; i < 3; i++) {
        snapshot_result result = take(cluster, 2, &args);
        assert_false(result.refused || result.installed);
        assert_int_equal(result.next_chunk, 0);
        assert_true(partition_of(cluster, 2, 0)->replica.installing);
        assert_false(store_applied(cluster->servers[2].node.store, 0)->installing);
        snapshot_advance(&cluster->servers[2].node, cluster->now_ms);
    }
    assert_false(store_applied(cluster->servers[2].node.store, 0)->installing);
    go_on(cluster, 2);
    assert_true(store_applied(cluster->servers[2].node.store, 0)->installing);
    assert_int_equal(transfer(cluster, sender, 2, PIECES_LIMIT), SNAPSHOT_FINISHED);
    snapshot_close(&cluster->servers[0].node, sender);
}

/* --- who may, and what ---------------------------------------------------------------------------
 */

static void test_a_member_is_never_installed_R8(void **state)
{
    struct cluster *cluster = *state;
    snapshot_args args;
    struct snapshot_sender *sender, *none;
    start_installing(cluster);
    sender = open_sender(cluster, 0, 2);
    assert_true(snapshot_build(sender, &cluster->servers[0].node, &args));
    tell(cluster, 2, 0, "0", "2");
    cluster->epoch++;
    tell(cluster, 2, 0, "02", "");
    args.epoch = cluster->epoch;
    snapshot_result result = take(cluster, 2, &args);
    for (int i = 0; i < 3; i++) { /* not before the epoch is recorded, and not then */
        go_on(cluster, 2);
        result = take(cluster, 2, &args);
    }
    assert_true(result.refused);
    assert_false(partition_of(cluster, 2, 0)->replica.installing);
    assert_int_equal(snapshot_answered(sender, &cluster->servers[0].node, &result, cluster->now_ms),
                     SNAPSHOT_GIVE_UP);
    snapshot_close(&cluster->servers[0].node, sender);
    assert_int_equal(snapshot_open(&cluster->servers[0].node, 0, 1, &none), CAIRN_ENOTFOUND);
    assert_int_equal(snapshot_open(&cluster->servers[2].node, 0, 0, &none), CAIRN_ENOTFOUND);
}

static void test_strangers_and_nonsense_are_refused_R10(void **state)
{
    struct cluster *cluster = *state;
    snapshot_args args, wrong;
    struct snapshot_sender *sender;
    start_installing(cluster);
    sender = open_sender(cluster, 0, 2);
    assert_true(snapshot_build(sender, &cluster->servers[0].node, &args));
    wrong = args;
    wrong.from.to_store++;
    assert_true(take(cluster, 2, &wrong).stranger);
    wrong = args;
    wrong.from.cluster++;
    assert_true(take(cluster, 2, &wrong).stranger);
    wrong = args;
    wrong.from.incarnation++; /* not the process that leads (R3) */
    assert_true(take(cluster, 2, &wrong).refused);
    wrong = args;
    wrong.partition = PARTITIONS;
    assert_true(take(cluster, 2, &wrong).refused);
    wrong = args;
    wrong.install = 0;
    assert_true(take(cluster, 2, &wrong).refused);
    wrong = args;
    wrong.applied_epoch = args.epoch + 1;
    assert_true(take(cluster, 2, &wrong).refused);
    wrong = args;
    wrong.chunk = 1; /* of an install that never began */
    assert_true(take(cluster, 2, &wrong).refused);
    assert_false(partition_of(cluster, 2, 0)->replica.installing);
    assert_int_equal(transfer(cluster, sender, 2, PIECES_LIMIT), SNAPSHOT_FINISHED);
    snapshot_close(&cluster->servers[0].node, sender);
}

/* R2: what the primary before had begun ends with its epoch. */
static void test_a_deposed_primary_installs_no_more_R2(void **state)
{
    struct cluster *cluster = *state;
    snapshot_args args;
    struct snapshot_sender *sender;
    start_installing(cluster);
    sender = open_sender(cluster, 0, 2);
    assert_int_equal(transfer(cluster, sender, 2, 2), SNAPSHOT_READ_NEXT);
    assert_true(snapshot_build(sender, &cluster->servers[0].node, &args));
    configure(cluster, "2", 1, "1", "2");
    snapshot_result result = take(cluster, 2, &args);
    assert_true(result.refused);
    assert_int_equal(snapshot_answered(sender, &cluster->servers[0].node, &result, cluster->now_ms),
                     SNAPSHOT_GIVE_UP);
    tell(cluster, 0, 1, "1", "2");
    assert_false(snapshot_build(sender, &cluster->servers[0].node, &args));
    snapshot_close(&cluster->servers[0].node, sender);
}

/* --- pieces that come twice, or are not what they should be -------------------------------------
 */

static void test_pieces_that_come_twice_are_taken_once(void **state)
{
    struct cluster *cluster = *state;
    struct node *from = &cluster->servers[0].node;
    struct error error = {0};
    snapshot_args args;
    enum snapshot_next next = SNAPSHOT_READ_NEXT;
    start_installing(cluster);
    struct snapshot_sender *sender = open_sender(cluster, 0, 2);
    for (int i = 0; i < PIECES_LIMIT && next != SNAPSHOT_FINISHED; i++) {
        assert_true(snapshot_build(sender, from, &args));
        (void)take(cluster, 2, &args); /* the answer is lost */
        go_on(cluster, 2);
        snapshot_args ahead = args;
        ahead.chunk += 2;
        if (args.chunk > 0 && !args.last)
            assert_true(take(cluster, 2, &ahead).refused);
        next = send_piece(cluster, sender, 2);
        if (next == SNAPSHOT_READ_NEXT)
            assert_int_equal(snapshot_read(sender, &error), CAIRN_OK);
        else if (next == SNAPSHOT_SEND_AGAIN)
            usleep(1000);
        else
            assert_int_equal(next, SNAPSHOT_FINISHED);
    }
    assert_int_equal(next, SNAPSHOT_FINISHED);
    assert_true(args.chunk > 4); /* it took several pieces */
    snapshot_result again = take(cluster, 2, &args);
    assert_true(again.installed && !again.refused);
    assert_false(partition_of(cluster, 2, 0)->replica.installing);
    assert_keys(cluster, 2, 0);
    snapshot_close(from, sender);
}

static void test_a_newer_install_takes_over(void **state)
{
    struct cluster *cluster = *state;
    start_installing(cluster);
    struct snapshot_sender *first = open_sender(cluster, 0, 2), *second;
    assert_int_equal(transfer(cluster, first, 2, 3), SNAPSHOT_READ_NEXT);
    second = open_sender(cluster, 0, 2);
    assert_int_equal(cluster->servers[0].node.snapshots_open, 2);
    assert_int_equal(transfer(cluster, second, 2, 2), SNAPSHOT_READ_NEXT);
    assert_int_equal(transfer(cluster, first, 2, PIECES_LIMIT), SNAPSHOT_GIVE_UP);
    assert_int_equal(transfer(cluster, second, 2, PIECES_LIMIT), SNAPSHOT_FINISHED);
    snapshot_close(&cluster->servers[0].node, first);
    snapshot_close(&cluster->servers[0].node, second);
    assert_keys(cluster, 2, 0);
    follow_up(cluster, 2);
    assert_same_log(cluster, 2, 0);
}

/* W8: a flipped byte on the way ends the install; the copy waits for another. */
static void test_a_damaged_piece_is_refused_W8(void **state)
{
    struct cluster *cluster = *state;
    snapshot_args args;
    start_installing(cluster);
    struct snapshot_sender *sender = open_sender(cluster, 0, 2);
    assert_int_equal(transfer(cluster, sender, 2, 2), SNAPSHOT_READ_NEXT);
    assert_true(snapshot_build(sender, &cluster->servers[0].node, &args));
    uint8_t *damaged = malloc(args.content.length);
    assert_non_null(damaged);
    memcpy(damaged, args.content.data, args.content.length);
    damaged[args.content.length / 2] ^= 1;
    snapshot_args wrong = args;
    wrong.content.data = damaged;
    snapshot_result result = take(cluster, 2, &wrong);
    for (int i = 0; i < PIECES_LIMIT && !result.refused; i++) {
        assert_int_equal(result.next_chunk, args.chunk);
        usleep(1000);
        result = take(cluster, 2, &wrong);
    }
    assert_true(result.refused);
    assert_true(partition_of(cluster, 2, 0)->replica.installing);
    free(damaged);
    snapshot_close(&cluster->servers[0].node, sender);
    install(cluster, 0, 2);
    assert_keys(cluster, 2, 0);
}

/* --- damage at the sender -----------------------------------------------------------------------
 */

/* Changes a byte of a value in the LMDB of server 0, which is closed. */
static void damage_value(struct cluster *cluster, uint32_t number, const char *name)
{
    char path[SCRATCH_PATH_MAX + 8];
    struct stored_key key;
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi dbi;
    MDB_val value;
    snprintf(path, sizeof path, "%s/store", cluster->servers[0].directory);
    data_key(&key, number, (const uint8_t *)name, (uint32_t)strlen(name));
    MDB_val at = {key.length, key.bytes};
    assert_int_equal(mdb_env_create(&env), 0);
    assert_int_equal(mdb_env_set_maxdbs(env, 4), 0);
    assert_int_equal(mdb_env_set_mapsize(env, 256 << 20), 0);
    assert_int_equal(mdb_env_open(env, path, 0, 0600), 0);
    assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
    assert_int_equal(mdb_dbi_open(txn, "data", 0, &dbi), 0);
    assert_int_equal(mdb_get(txn, dbi, &at, &value), 0);
    uint8_t *copied = malloc(value.mv_size);
    assert_non_null(copied);
    memcpy(copied, value.mv_data, value.mv_size);
    copied[value.mv_size / 2] ^= 1;
    value.mv_data = copied;
    assert_int_equal(mdb_put(txn, dbi, &at, &value, 0), 0);
    assert_int_equal(mdb_txn_commit(txn), 0);
    free(copied);
    mdb_env_close(env);
}

/* R13: what it cannot read itself it gives to nobody; where another member has it, it steps aside.
 */
static void test_a_damaged_sender_gives_up_R13(void **state)
{
    struct cluster *cluster = *state;
    struct error error = {0};
    start_pair(cluster);
    write_keys(cluster, 0, "1");
    node_stop(&cluster->servers[0].node, cluster->now_ms);
    node_close(&cluster->servers[0].node);
    damage_value(cluster, 0, "key-30");
    open_server(cluster, 0);
    configure(cluster, "012", 0, "01", "2");
    pass(cluster, 3000);
    sync_with(cluster, 0, 1);
    sync_with(cluster, 0, 2);
    struct snapshot_sender *sender = open_sender(cluster, 0, 2);
    enum snapshot_next next = SNAPSHOT_READ_NEXT;
    int code = CAIRN_OK;
    for (int i = 0; i < PIECES_LIMIT && code == CAIRN_OK; i++) {
        next = send_piece(cluster, sender, 2);
        assert_true(next == SNAPSHOT_READ_NEXT || next == SNAPSHOT_SEND_AGAIN);
        if (next == SNAPSHOT_READ_NEXT)
            code = snapshot_read(sender, &error);
        else
            usleep(1000);
    }
    assert_int_equal(code, CAIRN_ECORRUPT);
    assert_false(partition_of(cluster, 0, 0)->replica.damaged);
    snapshot_close(&cluster->servers[0].node, sender);
    pass(cluster, 100);
    assert_true(partition_of(cluster, 0, 0)->replica.damaged);
    assert_false(serves(cluster, 0, 0));
    assert_false(partition_of(cluster, 0, 1)->replica.damaged);
}

static void test_a_damaged_copy_is_whole_after_one_install_R13(void **state)
{
    struct cluster *cluster = *state;
    partition_of(cluster, 2, 0)->damaged = true; /* as reading a value finds it */
    pass(cluster, 50);
    assert_true(partition_of(cluster, 2, 0)->replica.damaged);
    start_installing(cluster);
    install(cluster, 0, 2);
    assert_false(partition_of(cluster, 2, 0)->replica.damaged);
    follow_up(cluster, 2);
    assert_same_log(cluster, 2, 0);
}

/* Only what was installed anew is whole again. */
static void test_an_install_ends_what_is_known_of_damage_R13(void **state)
{
    struct cluster *cluster = *state;
    char path[SCRATCH_PATH_MAX + 16];
    snprintf(path, sizeof path, "%s/DAMAGED", cluster->servers[2].directory);
    damage_mark(&cluster->servers[2].node.damage, 0);
    damage_mark(&cluster->servers[2].node.damage, 1);
    restart(cluster, 2);
    assert_true(partition_of(cluster, 2, 0)->replica.damaged);
    start_installing(cluster);
    install(cluster, 0, 2);
    assert_false(partition_of(cluster, 2, 0)->replica.damaged);
    restart(cluster, 2);
    assert_false(partition_of(cluster, 2, 0)->replica.damaged);
    assert_true(partition_of(cluster, 2, 1)->replica.damaged);
    tell(cluster, 2, 0, "0", "2");
    install(cluster, 1, 2);
    assert_int_equal(access(path, F_OK), -1);
}

/* The copy holds nothing until the end: a crash on the way leaves the mark, and an install. */
static void test_a_crash_while_installing_leaves_the_mark_R13(void **state)
{
    struct cluster *cluster = *state;
    damage_mark(&cluster->servers[2].node.damage, 0);
    restart(cluster, 2);
    start_installing(cluster);
    struct snapshot_sender *sender = open_sender(cluster, 0, 2);
    assert_int_equal(transfer(cluster, sender, 2, 2), SNAPSHOT_READ_NEXT);
    snapshot_close(&cluster->servers[0].node, sender);
    restart(cluster, 2);
    assert_true(damage_has(&cluster->servers[2].node.damage, 0));
    assert_true(partition_of(cluster, 2, 0)->replica.installing);
    tell(cluster, 2, 0, "0", "2");
    install(cluster, 0, 2);
    assert_false(partition_of(cluster, 2, 0)->replica.damaged);
    assert_false(damage_has(&cluster->servers[2].node.damage, 0));
}

#define CLUSTER_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLUSTER_TEST(test_a_learner_is_installed_and_goes_on_R8),
        CLUSTER_TEST(test_an_old_copy_is_replaced_W6),
        CLUSTER_TEST(test_a_receiver_that_crashes_begins_anew),
        CLUSTER_TEST(test_the_store_is_cleared_only_behind_the_log_W6),
        CLUSTER_TEST(test_a_member_is_never_installed_R8),
        CLUSTER_TEST(test_strangers_and_nonsense_are_refused_R10),
        CLUSTER_TEST(test_a_deposed_primary_installs_no_more_R2),
        CLUSTER_TEST(test_pieces_that_come_twice_are_taken_once),
        CLUSTER_TEST(test_a_newer_install_takes_over),
        CLUSTER_TEST(test_a_damaged_piece_is_refused_W8),
        CLUSTER_TEST(test_a_damaged_sender_gives_up_R13),
        CLUSTER_TEST(test_a_damaged_copy_is_whole_after_one_install_R13),
        CLUSTER_TEST(test_an_install_ends_what_is_known_of_damage_R13),
        CLUSTER_TEST(test_a_crash_while_installing_leaves_the_mark_R13),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
