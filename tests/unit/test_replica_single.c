/* A partition with one copy: promotion by incarnation (R3), epochs (R2), the no-op (R6), proposals
 * that stay unknown (R11), commit by sync (R1), log time (S1). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "replica/replica.h"

static const struct replica_member self = {.server = 1, .store = 77, .incarnation = 3};

static const struct replica_times times = {.lease_ms = 1000, .grace_ms = 1500};

/* The recovered entries are of epoch 4, what is appended later of the epoch in force. */
static uint64_t epoch_at(const void *context, uint64_t index)
{
    (void)context;
    return index <= 10 ? 4 : 5;
}

static const struct replica_log entries = {.epoch_at = epoch_at};

static struct replica fresh(uint64_t last_index, uint64_t applied_index)
{
    struct replica replica;
    struct replica_recovered recovered = {
        .history = last_index ? 1 : 0,
        .seen_epoch = last_index ? 4 : 0,
        .last = {.epoch = last_index ? 4 : 0, .index = last_index},
        .applied_index = applied_index,
        .last_log_ms = last_index ? 5000 : 0,
        .had_earlier_life = last_index != 0,
    };

    replica_init(&replica, 9, &self, &times, &entries, &recovered, 1);
    return replica;
}

static struct replica_configuration alone(uint64_t epoch, uint64_t incarnation)
{
    struct replica_configuration configuration = {
        .history = 1, .epoch = epoch, .primary = self, .member_count = 1, .members = {self}};

    configuration.primary.incarnation = incarnation;
    return configuration;
}

static struct replica_update hear(struct replica *replica, uint64_t now_ms,
                                  struct replica_configuration configuration)
{
    struct replica_update update;
    struct replica_event event = {
        .kind = REPLICA_EVENT_CONFIGURATION, .now_ms = now_ms, .configuration = &configuration};

    replica_step(replica, &event, &update);
    return update;
}

/* The record of the epoch becomes durable (R2). */
static struct replica_update epoch_synced(struct replica *replica, uint64_t now_ms)
{
    struct replica_update update;
    struct replica_event event = {
        .kind = REPLICA_EVENT_EPOCH_SYNCED, .now_ms = now_ms, .epoch = replica->recorded_epoch};

    replica_step(replica, &event, &update);
    return update;
}

/* Hears a configuration that names this process and may speak of its epoch. */
static struct replica_update named(struct replica *replica, uint64_t now_ms,
                                   struct replica_configuration configuration)
{
    struct replica_update update = hear(replica, now_ms, configuration);

    assert_true(update.persist_epoch);
    assert_false(update.append_noop); /* R2: not before the epoch is durable */
    return epoch_synced(replica, now_ms);
}

static struct replica_update synced(struct replica *replica, uint64_t index)
{
    struct replica_update update;
    struct replica_event event = {.kind = REPLICA_EVENT_SYNCED, .now_ms = 1, .index = index};

    replica_step(replica, &event, &update);
    return update;
}

static struct replica_update tick(struct replica *replica, uint64_t now_ms)
{
    struct replica_update update;
    struct replica_event event = {.kind = REPLICA_EVENT_TICK, .now_ms = now_ms};

    replica_step(replica, &event, &update);
    return update;
}

static uint64_t append(struct replica *replica, uint64_t now_ms)
{
    struct replica_position position;
    uint64_t log_time_ms;

    replica_append(replica, now_ms, &position, &log_time_ms);
    return position.index;
}

static void test_one_member_leads_after_its_noop_without_leases_R2_R6_L4(void **state)
{
    struct replica replica = fresh(0, 0);
    struct replica_update update = named(&replica, 100, alone(1, 3));

    (void)state;
    assert_true(update.append_noop);
    assert_false(update.propose);
    assert_int_equal(append(&replica, 100), 1);
    assert_false(replica_serves(&replica, 5000));
    update = synced(&replica, 1);
    assert_int_equal(update.commit_index, 1);
    assert_true(replica_serves(&replica, 5000));
}

static void test_another_incarnation_is_not_led_but_proposed_R3(void **state)
{
    struct replica replica = fresh(10, 6);
    struct replica_update update = hear(&replica, 100, alone(4, 2));

    (void)state;
    assert_false(update.append_noop);
    assert_true(update.propose);
    assert_int_equal(update.proposal.epoch, 5);
    assert_int_equal(update.proposal.primary.incarnation, 3);
    assert_int_equal(update.proposal.member_count, 1);
    assert_false(replica_serves(&replica, 5000));
    assert_int_equal(update.commit_index, 6);
    /* L5: the log ends with an entry of the epoch that this store led: it had promised nothing. */
    assert_true(named(&replica, 150, alone(5, 3)).append_noop);
    assert_int_equal(append(&replica, 150), 11);
    assert_int_equal(synced(&replica, 11).commit_index, 11);
    assert_true(replica_serves(&replica, 5000));
}

static void test_recovered_entries_wait_for_the_noop_R6_R12(void **state)
{
    struct replica replica = fresh(10, 6);

    (void)state;
    assert_int_equal(synced(&replica, 10).commit_index, 6);
    named(&replica, 2000, alone(5, 3));
    assert_true(tick(&replica, 3500).append_noop);
    append(&replica, 3500);
    assert_int_equal(synced(&replica, 10).commit_index, 6);
    assert_int_equal(synced(&replica, 11).commit_index, 11);
}

static void test_a_proposal_is_repeated_until_a_higher_epoch_R11(void **state)
{
    struct replica replica = fresh(10, 10);

    (void)state;
    assert_true(hear(&replica, 100, alone(4, 2)).propose);
    assert_false(tick(&replica, 101).propose);
    assert_true(tick(&replica, 700).propose);
    assert_false(hear(&replica, 710, alone(4, 2)).propose); /* reading epoch 4 proves nothing */
    assert_true(tick(&replica, 1300).propose);
    assert_false(hear(&replica, 1310, alone(5, 3)).propose);
    assert_false(tick(&replica, 9999).propose);
}

static void test_older_epochs_are_refused_R2(void **state)
{
    struct replica replica = fresh(0, 0);

    (void)state;
    named(&replica, 100, alone(7, 3));
    assert_true(tick(&replica, 1600).append_noop);
    append(&replica, 1600);
    synced(&replica, 1);
    assert_true(replica_serves(&replica, 5000));
    assert_false(hear(&replica, 200, alone(6, 2)).role_changed);
    assert_true(replica_serves(&replica, 5000));
    assert_int_equal(replica.seen_epoch, 7);
}

static void test_an_epoch_below_a_recovered_one_is_refused_R2(void **state)
{
    struct replica replica = fresh(10, 10);

    (void)state;
    assert_false(hear(&replica, 100, alone(3, 3)).append_noop);
    assert_int_equal(replica.role, REPLICA_NONE);
}

static void test_a_configuration_without_us_ends_leading(void **state)
{
    struct replica replica = fresh(0, 0);
    struct replica_configuration other = alone(2, 1);

    (void)state;
    named(&replica, 100, alone(1, 3));
    append(&replica, 100);
    synced(&replica, 1);
    other.primary.store = other.members[0].store = 78; /* R10: same server, another disk */
    assert_true(hear(&replica, 200, other).role_changed);
    assert_false(replica_serves(&replica, 5000));
}

static void test_only_the_chosen_copy_goes_on_in_a_new_history_R9(void **state)
{
    struct replica chosen = fresh(10, 10), other = fresh(10, 10);
    struct replica_configuration configuration = alone(9, 3);

    (void)state;
    configuration.history = 2;
    named(&chosen, 2000, configuration);
    assert_true(tick(&chosen, 3500).append_noop);
    configuration.member_count = 2;
    configuration.members[1] = (struct replica_member){.server = 2, .store = 88};
    hear(&other, 2000, configuration);
    assert_false(epoch_synced(&other, 2000).append_noop);
    assert_int_equal(other.role, REPLICA_BACKUP);
}

static void test_an_earlier_life_that_did_not_lead_waits_out_its_promises_L5(void **state)
{
    struct replica replica = fresh(10, 10);

    (void)state;
    assert_false(named(&replica, 100, alone(5, 3)).append_noop);
    assert_false(tick(&replica, 1500).append_noop);
    assert_true(tick(&replica, 1601).append_noop); /* grace after it learnt that it is a member */
}

static void test_two_members_never_commit_on_one_sync_R1(void **state)
{
    struct replica replica = fresh(0, 0);
    struct replica_configuration configuration = alone(1, 3);

    (void)state;
    configuration.member_count = 2;
    configuration.members[1] = (struct replica_member){.server = 2, .store = 88};
    named(&replica, 100, configuration);
    append(&replica, 100);
    assert_int_equal(synced(&replica, 1).commit_index, 0);
    assert_false(replica_serves(&replica, 5000));
}

static void test_log_time_advances_with_the_primary_only_S1(void **state)
{
    struct replica replica = fresh(10, 10);

    (void)state;
    named(&replica, 1000000, alone(5, 3)); /* the machine's clock says nothing about log time */
    tick(&replica, 1001500);               /* L5 */
    assert_int_equal(replica_log_time_ms(&replica, 1001500), 5000);
    append(&replica, 1001500);
    synced(&replica, 11);
    append(&replica, 1001750);
    assert_int_equal(replica.last_log_ms, 5250);
    append(&replica, 1001600); /* a clock read earlier never takes log time back */
    assert_int_equal(replica.last_log_ms, 5250);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_member_leads_after_its_noop_without_leases_R2_R6_L4),
        cmocka_unit_test(test_another_incarnation_is_not_led_but_proposed_R3),
        cmocka_unit_test(test_recovered_entries_wait_for_the_noop_R6_R12),
        cmocka_unit_test(test_a_proposal_is_repeated_until_a_higher_epoch_R11),
        cmocka_unit_test(test_older_epochs_are_refused_R2),
        cmocka_unit_test(test_an_epoch_below_a_recovered_one_is_refused_R2),
        cmocka_unit_test(test_a_configuration_without_us_ends_leading),
        cmocka_unit_test(test_only_the_chosen_copy_goes_on_in_a_new_history_R9),
        cmocka_unit_test(test_an_earlier_life_that_did_not_lead_waits_out_its_promises_L5),
        cmocka_unit_test(test_two_members_never_commit_on_one_sync_R1),
        cmocka_unit_test(test_log_time_advances_with_the_primary_only_S1),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
