/* Several copies of a partition: appends and commits (R1, R2, R4, R10, R12), failover (R6, R7, R9,
 * R13), joining (R8, R11), leases (L1, L2, L5), switching. */
#include "replica_fixture.h"

/* --- entries -----------------------------------------------------------------------------------
 */

static void test_an_entry_commits_when_all_members_synced_it_R1(void **state)
{
    struct copy copies[3];
    uint64_t index;

    (void)state;
    fixture_group(copies, 3, 0, 100);
    index = fixture_append(&copies[0], 110);
    fixture_exchange(&copies[0], 0, &copies[1], 110);
    assert_int_equal(copies[0].core.commit_index, index - 1);
    fixture_exchange(&copies[0], 1, &copies[2], 120);
    assert_int_equal(copies[0].core.commit_index, index);
}

static void test_a_follower_applies_what_is_told_matched_and_synced_R12(void **state)
{
    struct copy copies[2];
    struct replica_append append;
    uint64_t index;

    (void)state;
    fixture_group(copies, 2, 0, 100);
    index = fixture_append(&copies[0], 110);
    append = fixture_message(&copies[0], 0, 110);
    append.commit_index = index + 5; /* told more than it holds */
    fixture_take(&copies[1], &append, 110);
    assert_int_equal(copies[1].core.commit_index, index);
}

static void test_a_lower_epoch_is_refused_and_a_higher_one_ends_leading_R2(void **state)
{
    struct copy copies[2];
    struct replica_append old;
    struct replica_configuration next;

    (void)state;
    fixture_group(copies, 2, 0, 100);
    fixture_append(&copies[0], 110);
    old = fixture_message(&copies[0], 0, 110);
    next = fixture_configuration(2, 1, 2, 0);
    fixture_hear(&copies[1], 120, &next);
    assert_int_equal(fixture_take(&copies[1], &old, 130).outcome, REPLICA_ACK_REFUSED);
    fixture_run(&copies[1], 2000);
    assert_int_equal(copies[1].core.role, REPLICA_STARTING);
    old = fixture_message(&copies[1], 0, 2000);
    assert_true(fixture_take(&copies[0], &old, 2000).outcome != REPLICA_ACK_REFUSED);
    assert_int_equal(copies[0].core.role, REPLICA_BACKUP);
    assert_int_equal(copies[0].core.seen_epoch, 2);
}

static void test_a_delayed_short_append_drops_nothing_R4(void **state)
{
    struct copy copies[2];
    struct replica_append shorter;
    uint64_t index;

    (void)state;
    fixture_group(copies, 2, 0, 100);
    fixture_append(&copies[0], 110);
    shorter = fixture_message(&copies[0], 0, 110);
    fixture_take(&copies[1], &shorter, 110);
    index = fixture_append(&copies[0], 120);
    fixture_exchange(&copies[0], 0, &copies[1], 120);
    assert_int_equal(fixture_take(&copies[1], &shorter, 130).matched_index, index);
    assert_int_equal(copies[1].core.last.index, index);
}

static void test_a_conflicting_suffix_gives_way_to_the_new_primarys_R4_R6(void **state)
{
    struct copy copies[3];
    struct replica_configuration next = fixture_configuration(2, 1, 3, 0);
    struct replica_ack ack;

    (void)state;
    fixture_group(copies, 3, 0, 100);
    fixture_append(&copies[0], 110);
    fixture_append(&copies[0], 110);
    fixture_exchange(&copies[0], 1, &copies[2], 120); /* server 2 holds more than server 1 */
    assert_int_equal(copies[2].core.last.index, 3);
    next.members[0] = next.members[2]; /* without server 0 */
    next.member_count = 2;
    fixture_hear(&copies[1], 200, &next);
    fixture_run(&copies[1], 3000);
    fixture_hear(&copies[2], 3000, &next);
    ack = fixture_exchange(&copies[1], 0, &copies[2], 3000);
    assert_int_equal(ack.outcome, REPLICA_ACK_OK);
    assert_int_equal(copies[2].core.last.index, 2);
    assert_int_equal(copies[2].core.last.epoch, 2);
    assert_int_equal(copies[1].core.commit_index, 2);
}

static void test_one_mismatch_is_enough_to_find_the_place_R4(void **state)
{
    struct copy copies[2];
    struct replica_event lost = {.kind = REPLICA_EVENT_LOST, .now_ms = 120};

    (void)state;
    fixture_group(copies, 2, 0, 100);
    for (int i = 0; i < 5; i++)
        fixture_append(&copies[0], 110);
    fixture_message(&copies[0], 0, 110); /* never arrives */
    fixture_append(&copies[0], 115);
    assert_int_equal(fixture_exchange(&copies[0], 0, &copies[1], 116).outcome,
                     REPLICA_ACK_MISMATCH);
    fixture_exchange(&copies[0], 0, &copies[1], 117); /* the probe */
    fixture_exchange(&copies[0], 0, &copies[1], 118);
    assert_int_equal(copies[0].core.commit_index, 7);
    lost.member = copies[1].core.self;
    fixture_step(&copies[0], lost);
    assert_int_equal(copies[0].core.followers[0].mode, REPLICA_PROBE);
    assert_int_equal(copies[0].core.followers[0].next_index, 8);
}

static void test_another_process_of_a_copy_voids_what_was_known_of_it_R10(void **state)
{
    struct copy copies[2];
    struct replica_member restarted;

    (void)state;
    fixture_group(copies, 2, 0, 100);
    restarted = copies[1].core.self;
    restarted.incarnation = 2;
    fixture_step(&copies[0], (struct replica_event){.kind = REPLICA_EVENT_LEASE,
                                                    .now_ms = 200,
                                                    .member = restarted,
                                                    .epoch = 1,
                                                    .sent_ms = 150});
    assert_int_equal(copies[0].core.followers[0].matched_index, 0);
    assert_int_equal(copies[0].core.followers[0].lease_until_ms, 1150);
    fixture_lease(&copies[1], &copies[0], 900, 950); /* the old process' answer comes late */
    assert_int_equal(copies[0].core.followers[0].lease_until_ms, 1150);
}

/* --- leases ------------------------------------------------------------------------------------
 */

static void
test_serving_ends_with_the_first_lease_counted_from_before_it_was_asked_for_L1(void **state)
{
    struct copy copies[3];

    (void)state;
    fixture_group(copies, 3, 0, 100);
    fixture_lease(&copies[1], &copies[0], 600, 900);
    assert_true(replica_serves(&copies[0].core, 1099));
    assert_false(replica_serves(&copies[0].core, 1100)); /* server 2's, from 100 on */
    fixture_lease(&copies[2], &copies[0], 700, 1100);
    assert_true(replica_serves(&copies[0].core, 1599));
    assert_false(replica_serves(&copies[0].core, 1600));
}

static void test_a_backup_seeks_the_lead_after_grace_without_an_echo_L2(void **state)
{
    struct copy copies[2];

    (void)state;
    fixture_group(copies, 2, 0, 100);
    fixture_beacon(&copies[0], &copies[1], true, 500);
    fixture_beacon(&copies[0], &copies[1], false, 1000); /* it does not hear our answers */
    assert_false(fixture_run(&copies[1], 1999)->propose);
    fixture_run(&copies[1], 2000);
    assert_true(copies[1].update.propose);
    assert_int_equal(copies[1].core.proposal.member_count, 1);
    assert_int_equal(copies[1].core.proposal.primary.server, 1);
    assert_false(fixture_beacon(&copies[0], &copies[1], false, 2010));
    assert_true(fixture_beacon(&copies[0], &copies[1], true, 2020));
    assert_false(fixture_run(&copies[1], 3400)->propose);
}

static void test_a_takeover_waits_until_the_last_promise_has_ended_L5(void **state)
{
    struct copy copies[2];
    struct replica_configuration next = fixture_configuration(2, 1, 2, 0);

    (void)state;
    fixture_group(copies, 2, 0, 100);
    assert_true(fixture_beacon(&copies[0], &copies[1], false, 1500)); /* a late grant */
    next.members[0] = next.members[1];
    next.member_count = 1;
    fixture_hear(&copies[1], 1700, &next);
    fixture_run(&copies[1], 2999);
    assert_int_equal(copies[1].core.role, REPLICA_STARTING);
    fixture_run(&copies[1], 3000);
    assert_int_equal(copies[1].core.role, REPLICA_PRIMARY);
}

static void test_a_promise_is_given_only_when_its_epoch_is_durable_R2(void **state)
{
    struct copy copies[2];
    struct replica_update update;
    struct replica_event beacon = {
        .kind = REPLICA_EVENT_BEACON, .now_ms = 100, .history = 1, .epoch = 4, .echoed = true};

    (void)state;
    fixture_start(&copies[1], 1);
    beacon.member = fixture_member(0);
    replica_step(&copies[1].core, &beacon, &update);
    assert_true(update.persist_epoch && update.ask_manager && !update.granted);
    fixture_step(&copies[1], (struct replica_event){
                                 .kind = REPLICA_EVENT_EPOCH_SYNCED, .now_ms = 110, .epoch = 4});
    replica_step(&copies[1].core, &beacon, &update);
    assert_true(update.granted);
}

/* --- removal, joining, switching -----------------------------------------------------------------
 */

static void test_nothing_commits_until_a_silent_members_removal_is_accepted_R7(void **state)
{
    struct copy copies[2];
    struct replica_configuration next = fixture_configuration(2, 0, 1, 0);
    uint64_t index;

    (void)state;
    fixture_group(copies, 2, 0, 100);
    index = fixture_append(&copies[0], 110);
    assert_true(fixture_run(&copies[0], 1800)->propose);
    assert_int_equal(copies[0].core.proposal.member_count, 1);
    assert_false(replica_serves(&copies[0].core, 1800));
    assert_int_equal(copies[0].core.commit_index, index - 1);
    fixture_hear(&copies[0], 1900, &next);
    assert_int_equal(copies[0].core.commit_index, index);
    assert_true(replica_serves(&copies[0].core, 1900));
    /* R9: the removed copy seeks nothing. */
    fixture_hear(&copies[1], 1900, &next);
    assert_false(fixture_run(&copies[1], 9000)->propose);
}

static void test_a_member_that_acknowledges_nothing_for_long_is_removed_R7(void **state)
{
    struct copy copies[2];

    (void)state;
    fixture_group(copies, 2, 0, 100);
    for (uint64_t now_ms = 200; now_ms < 20000; now_ms += 200) { /* idle, with leases */
        fixture_lease(&copies[1], &copies[0], now_ms, now_ms);
        assert_false(copies[0].update.propose);
    }
    fixture_append(&copies[0], 20000);
    fixture_message(&copies[0], 0, 20000); /* its disk hangs: no answer */
    for (uint64_t now_ms = 20000; now_ms < 29700; now_ms += 200) {
        fixture_lease(&copies[1], &copies[0], now_ms, now_ms);
        assert_false(copies[0].update.propose);
    }
    fixture_lease(&copies[1], &copies[0], 29900, 29900);
    assert_true(copies[0].update.propose);
    assert_int_equal(copies[0].core.proposal.member_count, 1);
}

static void test_a_learner_counts_before_it_is_proposed_and_while_undecided_R8_R11(void **state)
{
    struct copy copies[2];
    const struct replica_follower *learner = &copies[0].core.followers[0];
    struct replica_configuration next;
    uint64_t index;

    (void)state;
    fixture_group(copies, 1, 1, 100);
    next = fixture_configuration(2, 0, 1, 1);
    fixture_hear(&copies[0], 110, &next); /* so that no entry of this epoch exists yet */
    fixture_hear(&copies[1], 110, &next);
    fixture_beacon(&copies[0], &copies[1], false, 110);
    fixture_lease(&copies[1], &copies[0], 110, 110);
    for (int i = 0; i < 3 && learner->ready_index == 0; i++)
        fixture_exchange(&copies[0], 0, &copies[1], 120);
    assert_true(learner->counted);
    assert_false(copies[0].core.proposing);
    index = copies[0].core.last.index;
    assert_int_equal(copies[0].epochs[index], 2); /* a no-op of this epoch to acknowledge */
    assert_int_equal(copies[0].core.commit_index, index - 1);
    fixture_exchange(&copies[0], 0, &copies[1], 130);
    assert_true(copies[0].core.proposing);
    assert_int_equal(copies[0].core.proposal.member_count, 2);
    index = fixture_append(&copies[0], 140);
    assert_int_equal(copies[0].core.commit_index, index - 1);
    fixture_run(&copies[0], 5000); /* it falls silent while the proposal is undecided */
    assert_true(learner->counted);
    assert_false(replica_serves(&copies[0].core, 5000));
}

static void test_a_counted_learner_that_restarts_holds_nobody_up_R8(void **state)
{
    struct copy copies[2];
    const struct replica_follower *learner = &copies[0].core.followers[0];
    struct replica_configuration next;
    struct replica_member restarted;
    uint64_t index;

    (void)state;
    fixture_group(copies, 1, 1, 100);
    next = fixture_configuration(2, 0, 1, 1);
    fixture_hear(&copies[0], 110, &next);
    fixture_hear(&copies[1], 110, &next);
    fixture_beacon(&copies[0], &copies[1], false, 110);
    fixture_lease(&copies[1], &copies[0], 110, 110);
    for (int i = 0; i < 3 && learner->ready_index == 0; i++)
        fixture_exchange(&copies[0], 0, &copies[1], 120);
    assert_true(learner->counted && !learner->proposed);
    restarted = copies[1].core.self;
    restarted.incarnation = 2;
    fixture_step(&copies[0], (struct replica_event){.kind = REPLICA_EVENT_LEASE,
                                                    .now_ms = 200,
                                                    .member = restarted,
                                                    .epoch = 2,
                                                    .sent_ms = 150});
    assert_false(learner->counted);
    index = fixture_append(&copies[0], 210);
    assert_int_equal(copies[0].core.commit_index, index);
    fixture_run(&copies[0], 5000); /* it is not heard again */
    assert_true(replica_serves(&copies[0].core, 5000));
}

static void test_a_switch_is_proposed_after_answering_has_stopped_everywhere_C6(void **state)
{
    struct copy copies[2];
    struct replica_configuration next = fixture_configuration(2, 1, 2, 0);
    struct replica_event wish = {
        .kind = REPLICA_EVENT_WISH, .now_ms = 200, .wish = REPLICA_WISH_SWITCH, .wish_epoch = 1};
    struct replica_event ended = {.kind = REPLICA_EVENT_HOSTS_ENDED, .now_ms = 210};

    (void)state;
    fixture_group(copies, 2, 0, 100);
    wish.member = copies[1].core.self;
    assert_true(fixture_step(&copies[0], wish)->end_hosts);
    assert_false(replica_serves(&copies[0].core, 200));
    assert_false(replica_accepts(&copies[0].core));
    assert_false(copies[0].core.proposing); /* C6: hosts may still read */
    assert_true(fixture_step(&copies[0], ended)->propose);
    assert_true(copies[0].core.proposal.switched);
    next.switched = true;
    fixture_hear(&copies[1], 210, &next); /* L5: nothing to wait for */
    fixture_exchange(&copies[1], 0, &copies[0], 220);
    assert_int_equal(copies[1].core.role, REPLICA_PRIMARY);
    assert_int_equal(copies[0].core.role, REPLICA_BACKUP);
}

static void test_a_switch_that_is_never_accepted_is_given_up_through_the_manager_R11(void **state)
{
    struct copy copies[2];
    struct replica_configuration next = fixture_configuration(2, 0, 2, 0);
    struct replica_event wish = {
        .kind = REPLICA_EVENT_WISH, .now_ms = 200, .wish = REPLICA_WISH_SWITCH, .wish_epoch = 1};

    (void)state;
    fixture_group(copies, 2, 0, 100);
    wish.member = copies[1].core.self;
    fixture_step(&copies[0], wish);
    fixture_run(&copies[0], 4000);
    assert_false(copies[0].core.proposal.switched);
    assert_int_equal(copies[0].core.proposal.primary.server, 0);
    fixture_lease(&copies[1], &copies[0], 4000, 4000);
    assert_false(replica_serves(&copies[0].core, 4000));
    fixture_hear(&copies[0], 4010, &next);
    assert_true(replica_serves(&copies[0].core, 4010));
}

static void test_a_damaged_copy_promises_nothing_and_leads_nothing_R13(void **state)
{
    struct copy copies[2];

    (void)state;
    fixture_group(copies, 2, 0, 100);
    fixture_step(&copies[1], (struct replica_event){.kind = REPLICA_EVENT_DAMAGED, .now_ms = 200});
    assert_false(fixture_beacon(&copies[0], &copies[1], true, 210));
    fixture_append(&copies[0], 220);
    assert_int_equal(fixture_exchange(&copies[0], 0, &copies[1], 230).outcome, REPLICA_ACK_REFUSED);
    assert_false(fixture_run(&copies[1], 9000)->propose);
}

static void test_a_learner_that_the_log_does_not_reach_is_installed_R8(void **state)
{
    struct copy copies[2];
    struct replica_event install = {
        .kind = REPLICA_EVENT_INSTALL, .now_ms = 200, .history = 1, .epoch = 1, .install = 9};
    struct replica_event installed = {.kind = REPLICA_EVENT_INSTALLED,
                                      .now_ms = 300,
                                      .install = 9,
                                      .position = {.epoch = 1, .index = 3}};

    (void)state;
    fixture_group(copies, 1, 1, 100);
    for (int i = 0; i < 4; i++)
        fixture_append(&copies[0], 110);
    replica_set_base(&copies[0].core, 3);
    assert_int_equal(copies[0].core.followers[0].mode, REPLICA_INSTALL);
    install.member = copies[0].core.self;
    assert_true(fixture_step(&copies[1], install)->granted);
    assert_true(copies[1].core.installing);
    fixture_step(&copies[1], installed);
    copies[1].epochs[3] = 1;
    installed.kind = REPLICA_EVENT_FOLLOWER_INSTALLED;
    installed.member = copies[1].core.self;
    fixture_step(&copies[0], installed);
    fixture_exchange(&copies[0], 0, &copies[1], 310);
    fixture_exchange(&copies[0], 0, &copies[1], 320);
    assert_int_equal(copies[1].core.last.index, 5);
}

static void test_a_member_never_installs_R8(void **state)
{
    struct copy copies[2];
    struct replica_event install = {
        .kind = REPLICA_EVENT_INSTALL, .now_ms = 200, .history = 1, .epoch = 1, .install = 9};

    (void)state;
    fixture_group(copies, 2, 0, 100);
    install.member = copies[0].core.self;
    assert_false(fixture_step(&copies[1], install)->granted);
    assert_int_equal(copies[1].core.last.index, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_entry_commits_when_all_members_synced_it_R1),
        cmocka_unit_test(test_a_follower_applies_what_is_told_matched_and_synced_R12),
        cmocka_unit_test(test_a_lower_epoch_is_refused_and_a_higher_one_ends_leading_R2),
        cmocka_unit_test(test_a_delayed_short_append_drops_nothing_R4),
        cmocka_unit_test(test_a_conflicting_suffix_gives_way_to_the_new_primarys_R4_R6),
        cmocka_unit_test(test_one_mismatch_is_enough_to_find_the_place_R4),
        cmocka_unit_test(test_another_process_of_a_copy_voids_what_was_known_of_it_R10),
        cmocka_unit_test(
            test_serving_ends_with_the_first_lease_counted_from_before_it_was_asked_for_L1),
        cmocka_unit_test(test_a_backup_seeks_the_lead_after_grace_without_an_echo_L2),
        cmocka_unit_test(test_a_takeover_waits_until_the_last_promise_has_ended_L5),
        cmocka_unit_test(test_a_promise_is_given_only_when_its_epoch_is_durable_R2),
        cmocka_unit_test(test_nothing_commits_until_a_silent_members_removal_is_accepted_R7),
        cmocka_unit_test(test_a_member_that_acknowledges_nothing_for_long_is_removed_R7),
        cmocka_unit_test(test_a_learner_counts_before_it_is_proposed_and_while_undecided_R8_R11),
        cmocka_unit_test(test_a_counted_learner_that_restarts_holds_nobody_up_R8),
        cmocka_unit_test(test_a_switch_is_proposed_after_answering_has_stopped_everywhere_C6),
        cmocka_unit_test(test_a_switch_that_is_never_accepted_is_given_up_through_the_manager_R11),
        cmocka_unit_test(test_a_damaged_copy_promises_nothing_and_leads_nothing_R13),
        cmocka_unit_test(test_a_learner_that_the_log_does_not_reach_is_installed_R8),
        cmocka_unit_test(test_a_member_never_installs_R8),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
