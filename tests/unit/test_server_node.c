/* A node over a real log and a real store: what is answered when (W1, R5), what a restart finds
 * (R6, R12, S3), log time (S2), and that the log is cut (W6). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/log.h"
#include "server/node.h"
#include "tests/lib/scratch.h"

enum { PARTITIONS = 4, STORE = 4711, TRIES = 3000 };

struct fixture {
    char directory[SCRATCH_PATH_MAX];
    uint64_t incarnation;
    uint64_t epoch;
    uint64_t memtable_limit_bytes;
    struct node node;
};

struct heard {
    struct waiter base;
    bool answered, without_outcome;
    struct outcome outcome;
};

static void hear(struct waiter *waiter, const struct entry *entry, const struct outcome *outcome)
{
    struct heard *heard = (struct heard *)waiter;

    (void)entry;
    assert_false(heard->answered);
    heard->answered = true;
    heard->without_outcome = outcome == NULL;
    if (outcome != NULL)
        heard->outcome = *outcome;
}

static void ignore_checkpoint(void *context)
{
    (void)context;
}

static void open_node(struct fixture *fixture)
{
    struct error error = {0};
    struct node_options options = {
        .directory = fixture->directory,
        .identity = {.role = IDENTITY_SERVER,
                     .cluster = 1,
                     .server = 0,
                     .store = STORE,
                     .incarnation = ++fixture->incarnation,
                     .partitions = PARTITIONS},
        .partitions = PARTITIONS,
        .wal_backend = WAL_BACKEND_THREAD,
        .segment_bytes = 4 << 20,
        .map_bytes = 64 << 20,
        .memtable_limit_bytes = fixture->memtable_limit_bytes,
        .checkpoint_done = ignore_checkpoint,
    };

    assert_int_equal(node_open(&fixture->node, &options, clock_now_ms(), &error), CAIRN_OK);
}

static void settle(struct fixture *fixture)
{
    struct node *node = &fixture->node;

    do {
        node_end_turn(node, false);
        node_durable(node, wal_flush(node->journal.wal), clock_now_ms());
    } while (wal_waiting(node->journal.wal));
}

/* The manager's word: the process of this incarnation leads all partitions in the present epoch. */
static void hear_all(struct fixture *fixture, uint64_t incarnation)
{
    struct replica_id self = {.server = 0, .store = STORE, .incarnation = incarnation};

    for (uint32_t i = 0; i < PARTITIONS; i++) {
        struct configuration configuration = {.partition = i,
                                              .history = 1,
                                              .epoch = fixture->epoch,
                                              .primary = self,
                                              .member_count = 1,
                                              .members = {self}};

        configuration.members[0].incarnation = 0;
        node_hear_configuration(&fixture->node, &configuration, clock_now_ms());
    }
}

/* After a restart the old configuration is heard first, then a new epoch (R3). */
static void lead_all(struct fixture *fixture)
{
    if (fixture->incarnation > 1 && fixture->epoch > 0)
        hear_all(fixture, fixture->incarnation - 1);
    fixture->epoch++;
    hear_all(fixture, fixture->incarnation);
}

static int setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);

    assert_non_null(fixture);
    log_set_level(LOG_ERROR);
    scratch_create(fixture->directory);
    fixture->memtable_limit_bytes = 64 << 20;
    open_node(fixture);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;

    node_close(&fixture->node);
    scratch_remove(fixture->directory);
    free(fixture);
    return 0;
}

/* As kill -9 leaves it, but for what the operating system had not yet written. */
static void crash_and_open(struct fixture *fixture)
{
    node_close(&fixture->node);
    open_node(fixture);
}

static void propose(struct fixture *fixture, uint32_t partition, uint64_t client, uint64_t number,
                    const char *key, const char *value, uint64_t ttl_ms, struct heard *heard)
{
    struct entry *entry = entry_create();

    assert_non_null(entry);
    entry->kind = COMMAND_PUT;
    entry->client = client;
    entry->number = number;
    entry->ttl_ms = ttl_ms;
    entry->item = item_create((const uint8_t *)key, (uint32_t)strlen(key), (const uint8_t *)value,
                              (uint32_t)strlen(value));
    *heard = (struct heard){.base.answer = hear};
    /* The log's next segment may still be in preparation. */
    int status = CAIRN_EFULL;
    for (int tries = 0; status == CAIRN_EFULL && tries < TRIES; tries++) {
        if (tries > 0) {
            settle(fixture);
            clock_sleep_ms(10);
        }
        status = node_propose(&fixture->node, &fixture->node.partitions[partition], entry,
                              clock_now_ms());
    }
    assert_int_equal(status, CAIRN_OK);
    partition_add_waiter(entry, &heard->base);
}

static int look_up(struct fixture *fixture, uint32_t partition, const char *key)
{
    struct store_value value;
    int status = store_get(fixture->node.store, partition, (const uint8_t *)key,
                           (uint32_t)strlen(key), &value);

    store_end_turn(fixture->node.store);
    return status;
}

static void test_nothing_shows_before_it_is_durable_W1_R5(void **state)
{
    struct fixture *fixture = *state;
    struct heard heard;

    lead_all(fixture);
    settle(fixture);
    propose(fixture, 2, 7, 1, "k", "v", 0, &heard);
    assert_false(heard.answered);
    assert_int_equal(look_up(fixture, 2, "k"), CAIRN_ENOTFOUND);
    settle(fixture);
    assert_true(heard.answered && !heard.without_outcome);
    assert_int_equal(heard.outcome.version, 1);
    assert_int_equal(look_up(fixture, 2, "k"), CAIRN_OK);
}

static void test_a_restart_shows_its_log_only_after_the_noop_R6_R12(void **state)
{
    struct fixture *fixture = *state;
    struct heard heard;

    lead_all(fixture);
    settle(fixture);
    propose(fixture, 1, 7, 1, "k", "v", 0, &heard);
    settle(fixture);
    crash_and_open(fixture);
    assert_int_equal(look_up(fixture, 1, "k"), CAIRN_ENOTFOUND);
    assert_false(replica_serves(&fixture->node.partitions[1].replica, clock_now_ms()));
    lead_all(fixture);
    assert_int_equal(look_up(fixture, 1, "k"), CAIRN_ENOTFOUND);
    settle(fixture);
    assert_true(replica_serves(&fixture->node.partitions[1].replica, clock_now_ms()));
    assert_int_equal(look_up(fixture, 1, "k"), CAIRN_OK);
}

static void test_a_retry_across_a_restart_executes_once_S3(void **state)
{
    struct fixture *fixture = *state;
    struct heard heard;
    struct outcome outcome;
    struct entry *in_flight;

    lead_all(fixture);
    settle(fixture);
    propose(fixture, 1, 7, 1, "k", "v", 0, &heard);
    settle(fixture);
    crash_and_open(fixture);
    lead_all(fixture);
    settle(fixture);
    assert_int_equal(store_session_check(fixture->node.store, 1, 7, 1, &outcome, &in_flight),
                     SESSION_DUPLICATE);
    assert_int_equal(outcome.version, 1);
    assert_false(outcome.existed);
}

static void test_the_seen_epoch_survives_R2(void **state)
{
    struct fixture *fixture = *state;

    fixture->epoch = 8;
    lead_all(fixture);
    settle(fixture);
    crash_and_open(fixture);
    assert_int_equal(fixture->node.partitions[3].replica.seen_epoch, 9);
    node_stop(&fixture->node, clock_now_ms());
    crash_and_open(fixture);
    assert_int_equal(fixture->node.partitions[3].replica.seen_epoch, 9);
}

static void test_a_clean_stop_leaves_nothing_to_replay(void **state)
{
    struct fixture *fixture = *state;
    struct heard heard;

    lead_all(fixture);
    settle(fixture);
    propose(fixture, 1, 7, 1, "k", "v", 0, &heard);
    node_stop(&fixture->node, clock_now_ms());
    assert_true(heard.answered);
    crash_and_open(fixture);
    assert_int_equal(fixture->node.partitions[1].entry_count, 0);
    assert_int_equal(look_up(fixture, 1, "k"), CAIRN_OK);
    assert_int_equal(store_applied(fixture->node.store, 1)->index, 2);
}

static void test_a_tick_carries_log_time_past_an_expiry_S2(void **state)
{
    struct fixture *fixture = *state;
    struct partition *partition = &fixture->node.partitions[0];
    struct heard heard;
    struct entry *tick;
    uint64_t log_now_ms;

    lead_all(fixture);
    settle(fixture);
    propose(fixture, 0, 7, 1, "k", "v", 1, &heard);
    settle(fixture);
    clock_sleep_ms(5);
    log_now_ms = replica_log_time_ms(&partition->replica, clock_now_ms());
    assert_true(store_applied(fixture->node.store, 0)->log_time_ms < log_now_ms);
    tick = node_propose_tick(&fixture->node, partition, log_now_ms, clock_now_ms());
    assert_non_null(tick);
    assert_ptr_equal(tick, node_propose_tick(&fixture->node, partition, log_now_ms,
                                             clock_now_ms())); /* one serves all who wait */
    settle(fixture);
    assert_true(store_applied(fixture->node.store, 0)->log_time_ms >= log_now_ms);
    assert_null(partition->tick);
}

static void test_losing_the_partition_leaves_outcomes_unknown(void **state)
{
    struct fixture *fixture = *state;
    struct replica_id other = {.server = 1, .store = 99, .incarnation = 1};
    struct configuration configuration = {.partition = 0,
                                          .history = 1,
                                          .epoch = 50,
                                          .primary = other,
                                          .member_count = 1,
                                          .members = {other}};
    struct heard heard;

    lead_all(fixture);
    settle(fixture);
    propose(fixture, 0, 7, 1, "k", "v", 0, &heard);
    node_hear_configuration(&fixture->node, &configuration, clock_now_ms());
    assert_true(heard.answered && heard.without_outcome);
    settle(fixture);
    assert_int_equal(look_up(fixture, 0, "k"), CAIRN_ENOTFOUND);
}

static void test_checkpoints_cut_the_log_and_lose_nothing_W6(void **state)
{
    struct fixture *fixture = *state;
    static struct heard heard[100];
    char value[2048], key[32];

    memset(value, 'x', sizeof value - 1);
    value[sizeof value - 1] = '\0';
    fixture->node.memtable_limit_bytes = 1 << 20;
    lead_all(fixture);
    settle(fixture);
    for (uint64_t i = 1; i <= 8000; i++) {
        snprintf(key, sizeof key, "key-%06d", (int)i);
        propose(fixture, (uint32_t)(i % PARTITIONS), 7, i, key, value, 0, &heard[i % 100]);
        if (i % 100 == 0) {
            settle(fixture);
            node_checkpoint_finish(&fixture->node);
        }
    }
    node_stop(&fixture->node, clock_now_ms());
    assert_true(wal_bytes(fixture->node.journal.wal) < 9u << 20);
    crash_and_open(fixture);
    for (int i = 1; i <= 8000; i++) {
        snprintf(key, sizeof key, "key-%06d", i);
        assert_int_equal(look_up(fixture, (uint32_t)i % PARTITIONS, key), CAIRN_OK);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_nothing_shows_before_it_is_durable_W1_R5, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_a_restart_shows_its_log_only_after_the_noop_R6_R12,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_retry_across_a_restart_executes_once_S3, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_the_seen_epoch_survives_R2, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_clean_stop_leaves_nothing_to_replay, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_a_tick_carries_log_time_past_an_expiry_S2, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_losing_the_partition_leaves_outcomes_unknown, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_checkpoints_cut_the_log_and_lose_nothing_W6, setup,
                                        teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
