/* Hosts' leases where several servers hold copies: they end with the peers' leases (C5), before a
 * primary hands over (C6), and when it ceases to lead. Time is the test's. */
#include "tests/unit/exchange_fixture.h"

enum { SESSION = 9001 };

static struct lease *lease_of(struct cluster *cluster)
{
    return cluster->servers[0].node.lease;
}

static void open_session(struct cluster *cluster)
{
    struct node *node = &cluster->servers[0].node;
    uint64_t granted_ms;

    assert_int_equal(lease_open(node->lease, SESSION, cluster->now_ms,
                                node_peers_until_ms(node, cluster->now_ms), &granted_ms),
                     CAIRN_OK);
}

/* The manager wishes that server 1 leads partition 0. */
static void wish_switch(struct cluster *cluster)
{
    struct node *node = &cluster->servers[0].node;
    struct replica_event wish = {.kind = REPLICA_EVENT_WISH,
                                 .now_ms = cluster->now_ms,
                                 .wish = REPLICA_WISH_SWITCH,
                                 .wish_epoch = cluster->epoch,
                                 .member = {.server = 1, .store = store_of(1)}};

    node_step(node, &node->partitions[0], &wish, NULL);
    assert_true(node->partitions[0].replica.yields_to.store != 0);
}

static bool proposes_switch(struct cluster *cluster)
{
    struct partition *partition = partition_of(cluster, 0, 0);

    return partition->wants_proposal && partition->proposal.switched;
}

static void a_switch_waits_for_the_end_of_all_sessions_C6(void **state)
{
    struct cluster *cluster = *state;
    struct lease_output output;

    start_pair(cluster);
    open_session(cluster);
    assert_true(lease_listen(lease_of(cluster), SESSION, 0, cluster->now_ms));
    wish_switch(cluster);
    pass(cluster, 100);
    assert_false(proposes_switch(cluster));
    assert_true(lease_next_output(lease_of(cluster), &output));
    assert_true(output.kind == LEASE_BATCH && output.all);
    pass(cluster, 100);
    assert_false(proposes_switch(cluster));
    assert_true(lease_listen(lease_of(cluster), SESSION, output.number, cluster->now_ms));
    pass(cluster, 50);
    assert_true(proposes_switch(cluster));
}

static void without_sessions_it_does_not_wait(void **state)
{
    struct cluster *cluster = *state;

    start_pair(cluster);
    wish_switch(cluster);
    pass(cluster, 50);
    assert_true(proposes_switch(cluster));
}

static void it_waits_for_what_an_earlier_life_granted_C7(void **state)
{
    struct cluster *cluster = *state;

    start_pair(cluster);
    cluster->servers[0].node.quiet_until_ms = cluster->now_ms + 300;
    wish_switch(cluster);
    pass(cluster, 250);
    assert_false(proposes_switch(cluster));
    pass(cluster, 100);
    assert_true(proposes_switch(cluster));
}

static void a_switch_that_came_to_nothing_is_forgotten(void **state)
{
    struct cluster *cluster = *state;
    struct node *node = &cluster->servers[0].node;

    start_pair(cluster);
    open_session(cluster);
    wish_switch(cluster);
    assert_true(node->partitions[0].hosts_ticket != 0);
    configure(cluster, "01", 0, "01", ""); /* something else was accepted */
    pass(cluster, 50);
    assert_int_equal(node->partitions[0].hosts_ticket, 0);
    assert_false(proposes_switch(cluster));
}

static void who_steps_aside_ends_what_it_granted_C5(void **state)
{
    struct cluster *cluster = *state;
    struct node *node = &cluster->servers[0].node;
    struct replica_event damaged = {.kind = REPLICA_EVENT_DAMAGED, .now_ms = 0};
    struct lease_output output;

    start_pair(cluster);
    open_session(cluster);
    assert_true(lease_grant(node->lease, SESSION, 5, cluster->now_ms, UINT64_MAX));
    damaged.now_ms = cluster->now_ms;
    node_step(node, &node->partitions[0], &damaged, NULL);
    assert_true(partition_of(cluster, 0, 1)->replica.barrier_index != 0); /* leads others still */
    assert_true(lease_renew(node->lease, SESSION, cluster->now_ms, UINT64_MAX));
    assert_true(lease_next_output(node->lease, &output));
    assert_true(output.kind == LEASE_GRANTED && output.granted_ms == 0);
    assert_true(lease_listen(node->lease, SESSION, 0, cluster->now_ms));
    assert_true(lease_next_output(node->lease, &output));
    assert_true(output.kind == LEASE_BATCH && output.all);
}

static void hosts_are_promised_no_more_than_peers_have_C5(void **state)
{
    struct cluster *cluster = *state;
    struct node *node = &cluster->servers[0].node;
    uint64_t until_ms;

    configure(cluster, "0", 0, "0", "");
    sync_with(cluster, 0, 1);
    assert_true(node_peers_until_ms(node, cluster->now_ms) == UINT64_MAX);
    /* Another one counts: that is seen at once, however lately it was looked for. */
    configure(cluster, "01", 0, "01", "");
    assert_true(node_peers_until_ms(node, cluster->now_ms) <= cluster->now_ms);
    sync_with(cluster, 0, 1);
    (void)send_beacon(cluster, 0, 1, false);
    (void)send_beacon(cluster, 0, 1, false);
    cluster->now_ms += 50;
    until_ms = node_peers_until_ms(node, cluster->now_ms);
    assert_true(until_ms > cluster->now_ms && until_ms <= cluster->now_ms + 1000);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_switch_waits_for_the_end_of_all_sessions_C6),
        TEST(without_sessions_it_does_not_wait),
        TEST(it_waits_for_what_an_earlier_life_granted_C7),
        TEST(a_switch_that_came_to_nothing_is_forgotten),
        TEST(who_steps_aside_ends_what_it_granted_C5),
        TEST(hosts_are_promised_no_more_than_peers_have_C5),
    };

    return cmocka_run_group_tests_name("server_hosts_switch", tests, NULL, NULL);
}
