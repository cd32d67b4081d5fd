/* Proposals are compare-and-swap on the epoch (ARCHITECTURE.md R3, R9, R11); heartbeats, map,
 * status.
 */
#include "tests/unit/configuration_compare.h"
#include "tests/unit/manager_fixture.h"

struct attempt {
    uint32_t partition;
    uint64_t expected_epoch;
    struct server_identity who;
    void (*spoil)(struct configuration *next);
};

/* The proposer makes itself primary, with the same members; `spoil` then breaks a rule. */
static enum manager_status propose(struct membership *membership, const struct attempt *attempt,
                                   struct configuration *current)
{
    struct configuration next = membership->map.configurations[attempt->partition];
    struct proposal wanted = {.expected_epoch = attempt->expected_epoch};
    struct propose_args args = {.who = attempt->who};
    struct membership_reply reply;
    struct buffer bytes;
    enum manager_status status;

    next.epoch = attempt->expected_epoch + 1;
    next.primary =
        (struct replica_id){attempt->who.server, attempt->who.store, attempt->who.incarnation};
    if (attempt->spoil != NULL)
        attempt->spoil(&next);
    buffer_init(&bytes, CAIRN_PACKED_LIMIT);
    assert_int_equal(configuration_pack(&next, &bytes, NULL), 0);
    wanted.configuration = (struct view){bytes.data, (uint32_t)bytes.length};
    args.proposals.proposals_len = 1;
    args.proposals.proposals_val = &wanted;
    assert_int_equal(membership_propose(membership, 2000, &args, &reply), 0);
    assert_int_equal(reply.status, MANAGER_OK);
    assert_int_equal(reply.result_count, 1);
    assert_true(reply.map_version == membership->map.version);
    status = reply.results[0].status;
    assert_int_equal(configuration_unpack(reply.results[0].current.data,
                                          reply.results[0].current.length, PARTITIONS, current,
                                          NULL),
                     0);
    assert_same_configuration(current, &membership->map.configurations[attempt->partition]);
    membership_reply_free(&reply);
    buffer_free(&bytes);
    return status;
}

static struct attempt attempt_of(const struct membership *membership, uint32_t partition,
                                 uint32_t rank)
{
    const struct configuration *present = &membership->map.configurations[partition];
    const uint32_t server = present->members[rank].server;

    return (struct attempt){.partition = partition,
                            .expected_epoch = present->epoch,
                            .who = identity_of(CLUSTER, server, store_of(server),
                                               membership->map.servers[server].incarnation)};
}

static void a_restarted_primary_leads_again_in_the_next_epoch(void **state)
{
    struct membership *membership = placed_membership(1);
    struct attempt attempt = attempt_of(membership, 3, 0);
    const uint64_t version = membership->map.version;
    struct configuration current;

    (void)state;
    assert_int_equal(propose(membership, &attempt, &current), MANAGER_OK);
    assert_true(current.epoch == 2 && current.primary.incarnation == 1);
    assert_true(membership->map.version == version + 1);
    assert_int_equal(membership->changes[membership->change_count - 1].kind, CHANGE_CONFIGURATION);
    /* The same again: its epoch is no longer the present one. */
    assert_int_equal(propose(membership, &attempt, &current), MANAGER_CONFLICT);
    assert_true(current.epoch == 2);
    assert_true(membership->map.version == version + 1);
    membership_free(membership);
}

static void another_member_may_take_the_lead(void **state)
{
    struct membership *membership = placed_membership(2);
    struct attempt second = attempt_of(membership, 0, 1), first = attempt_of(membership, 0, 0);
    struct configuration current;

    (void)state;
    assert_int_equal(propose(membership, &second, &current), MANAGER_OK);
    assert_int_equal(current.primary.server, second.who.server);
    assert_int_equal(current.member_count, 2);
    /* The manager accepts the first. */
    assert_int_equal(propose(membership, &first, &current), MANAGER_CONFLICT);
    assert_int_equal(current.primary.server, second.who.server);
    membership_free(membership);
}

static void skip_epoch(struct configuration *next)
{
    next->epoch++;
}
static void new_history(struct configuration *next)
{
    next->history++;
}
static void other_store(struct configuration *next)
{
    for (uint32_t i = 0; i < next->member_count; i++)
        if (next->members[i].server != next->primary.server)
            next->members[i].store++;
}
static void other_incarnation(struct configuration *next)
{
    next->primary.incarnation++;
}

/* Whoever proposes; what depends on that is in test_manager_steps.c. */
static void proposals_that_break_a_rule_are_refused(void **state)
{
    void (*const spoils[])(struct configuration *) = {skip_epoch, new_history, other_store,
                                                      other_incarnation};
    struct membership *membership = placed_membership(2);
    const uint64_t version = membership->map.version;
    struct configuration current;

    (void)state;
    for (size_t i = 0; i < 2 * sizeof spoils / sizeof spoils[0]; i++) {
        struct attempt attempt = attempt_of(membership, 5, i % 2);

        attempt.spoil = spoils[i / 2];
        assert_int_equal(propose(membership, &attempt, &current), MANAGER_INVALID);
        assert_true(current.epoch == 1);
    }
    assert_true(membership->map.version == version);
    membership_free(membership);
}

static void lower_and_higher_epochs_conflict(void **state)
{
    struct membership *membership = placed_membership(1);
    struct attempt attempt = attempt_of(membership, 1, 0);
    struct configuration current;

    (void)state;
    attempt.expected_epoch = 2;
    assert_int_equal(propose(membership, &attempt, &current), MANAGER_CONFLICT);
    attempt.expected_epoch = UINT64_C(1) << 60;
    assert_int_equal(propose(membership, &attempt, &current), MANAGER_CONFLICT);
    membership_free(membership);
}

static void a_server_that_is_no_member_is_refused(void **state)
{
    struct membership *membership = placed_membership(1);
    const uint32_t primary = membership->map.configurations[2].primary.server;
    struct attempt attempt = attempt_of(membership, 2, 0);
    struct proposal wanted = {.expected_epoch = 1};
    struct propose_args args = {
        .who = identity_of(CLUSTER, (primary + 1) % SERVERS, store_of((primary + 1) % SERVERS), 1)};
    struct configuration next = membership->map.configurations[2];
    struct membership_reply reply;
    struct buffer bytes;

    (void)state;
    next.epoch = 2;
    buffer_init(&bytes, CAIRN_PACKED_LIMIT);
    assert_int_equal(configuration_pack(&next, &bytes, NULL), 0);
    wanted.configuration = (struct view){bytes.data, (uint32_t)bytes.length};
    args.proposals.proposals_len = 1;
    args.proposals.proposals_val = &wanted;
    assert_int_equal(membership_propose(membership, 2000, &args, &reply), 0);
    assert_int_equal(reply.results[0].status, MANAGER_INVALID);
    assert_non_null(strstr(reply.message, "not a member"));
    membership_reply_free(&reply);
    /* Its primary's own proposal still goes through. */
    assert_int_equal(propose(membership, &attempt, &next), MANAGER_OK);
    buffer_free(&bytes);
    membership_free(membership);
}

static void garbage_and_good_proposals_share_a_call(void **state)
{
    struct membership *membership = placed_membership(1);
    const uint32_t server = membership->map.configurations[0].primary.server;
    struct propose_args args = {.who = identity_of(CLUSTER, server, store_of(server), 1)};
    struct configuration next = membership->map.configurations[0];
    const uint8_t garbage[] = {0xff, 0xff, 0xff};
    struct proposal wanted[4];
    struct membership_reply reply;
    struct buffer bytes;

    (void)state;
    next.epoch = 2;
    buffer_init(&bytes, CAIRN_PACKED_LIMIT);
    assert_int_equal(configuration_pack(&next, &bytes, NULL), 0);
    wanted[0] = (struct proposal){1, {garbage, sizeof garbage}};
    wanted[1] = (struct proposal){1, {bytes.data, (uint32_t)bytes.length}};
    wanted[2] = wanted[1];
    wanted[3] = (struct proposal){0, {NULL, 0}};
    args.proposals.proposals_len = 4;
    args.proposals.proposals_val = wanted;
    assert_int_equal(membership_propose(membership, 2000, &args, &reply), 0);
    assert_int_equal(reply.result_count, 4);
    assert_int_equal(reply.results[0].status, MANAGER_INVALID);
    assert_int_equal(reply.results[0].current.length, 0);
    assert_int_equal(reply.results[1].status, MANAGER_OK);
    assert_int_equal(reply.results[2].status, MANAGER_CONFLICT);
    assert_int_equal(reply.results[3].status, MANAGER_INVALID);
    assert_int_equal(configuration_unpack(reply.results[2].current.data,
                                          reply.results[2].current.length, PARTITIONS, &next, NULL),
                     0);
    assert_true(next.epoch == 2);
    membership_reply_free(&reply);
    buffer_free(&bytes);
    membership_free(membership);
}

/* --- who may propose and send heartbeats --- */

static enum manager_status call_status(struct membership *membership, struct server_identity who)
{
    struct heartbeat_args beat = {.who = who};
    struct propose_args args = {.who = who};
    struct membership_reply reply;
    enum manager_status status;

    assert_int_equal(membership_heartbeat(membership, 2000, &beat, &reply), 0);
    status = reply.status;
    membership_reply_free(&reply);
    assert_int_equal(membership_propose(membership, 2000, &args, &reply), 0);
    assert_int_equal(reply.status, status); /* both check alike */
    membership_reply_free(&reply);
    return status;
}

static void only_the_registered_process_may_call(void **state)
{
    struct membership *membership = placed_membership(1);
    struct membership_reply reply;
    const struct registration again = {
        .cluster = CLUSTER, .server = 1, .store = store_of(1), .incarnation = 5};

    (void)state;
    assert_int_equal(call_status(membership, identity_of(CLUSTER, 1, store_of(1), 1)), MANAGER_OK);
    assert_int_equal(try_register(membership, &again, &reply), MANAGER_OK);
    membership_reply_free(&reply);
    assert_int_equal(call_status(membership, identity_of(CLUSTER, 1, store_of(1), 5)), MANAGER_OK);
    assert_int_equal(call_status(membership, identity_of(CLUSTER, 1, store_of(1), 4)),
                     MANAGER_STALE);
    assert_int_equal(call_status(membership, identity_of(CLUSTER, 1, store_of(1), 6)),
                     MANAGER_INVALID);
    assert_int_equal(call_status(membership, identity_of(CLUSTER, 1, 0x7777, 5)),
                     MANAGER_DUPLICATE_ID);
    assert_int_equal(call_status(membership, identity_of(CLUSTER, 1, store_of(2), 5)),
                     MANAGER_DUPLICATE_ID);
    assert_int_equal(call_status(membership, identity_of(0xabc, 1, store_of(1), 5)),
                     MANAGER_WRONG_CLUSTER);
    assert_int_equal(call_status(membership, identity_of(0, 1, store_of(1), 5)), MANAGER_INVALID);
    assert_int_equal(call_status(membership, identity_of(CLUSTER, 9, store_of(1), 5)),
                     MANAGER_UNKNOWN_SERVER);
    membership_free(membership);
}

static void a_manager_that_forgot_refuses(void **state)
{
    struct membership *membership = new_membership(1);
    struct heartbeat_args beat = {.who = identity_of(CLUSTER, 0, store_of(0), 1),
                                  .map_version = 1000};
    struct membership_reply reply;

    (void)state;
    assert_int_equal(call_status(membership, identity_of(CLUSTER, 1, store_of(1), 1)),
                     MANAGER_EMPTY_MANAGER);
    membership_free(membership);
    /* A server that holds a newer map than the manager has ever told. */
    membership = placed_membership(1);
    assert_int_equal(membership_heartbeat(membership, 2000, &beat, &reply), 0);
    assert_int_equal(reply.status, MANAGER_EMPTY_MANAGER);
    assert_non_null(strstr(reply.message, "1000"));
    membership_reply_free(&reply);
    membership_free(membership);
}

static void a_heartbeat_brings_the_newer_map_only(void **state)
{
    struct membership *membership = placed_membership(1);
    struct heartbeat_args beat = {.who = identity_of(CLUSTER, 0, store_of(0), 1)};
    struct membership_reply reply;

    (void)state;
    assert_int_equal(membership_heartbeat(membership, 2000, &beat, &reply), 0);
    assert_true(reply.map != NULL && reply.map_version == membership->map.version);
    beat.map_version = reply.map_version;
    membership_reply_free(&reply);
    assert_int_equal(membership_heartbeat(membership, 2000, &beat, &reply), 0);
    assert_true(reply.map == NULL && reply.map_version == membership->map.version);
    membership_reply_free(&reply);
    membership_free(membership);
}

static void before_placement_everybody_waits(void **state)
{
    struct membership *membership = new_membership(1);
    struct heartbeat_args beat = {.who = identity_of(CLUSTER, 1, store_of(1), 1)};
    struct propose_args args = {.who = beat.who};
    struct map_args wanted = {0};
    struct membership_reply reply;

    (void)state;
    register_one(membership, 1, 1000);
    assert_int_equal(membership_get_map(membership, &wanted, &reply), 0);
    assert_int_equal(reply.status, MANAGER_WAITING);
    assert_string_equal(reply.message, "waiting for 2 of 3 servers to register: 0 "
                                       "(127.0.0.1:3777), 2 (127.0.0.1:3779)");
    membership_reply_free(&reply);
    assert_int_equal(membership_propose(membership, 2000, &args, &reply), 0);
    assert_int_equal(reply.status, MANAGER_WAITING);
    membership_reply_free(&reply);
    assert_int_equal(membership_heartbeat(membership, 2000, &beat, &reply), 0);
    assert_int_equal(reply.status, MANAGER_OK);
    assert_true(reply.map == NULL && reply.map_version == 0);
    membership_reply_free(&reply);
    membership_free(membership);
}

static void clients_get_the_map_of_their_cluster(void **state)
{
    struct membership *membership = placed_membership(1);
    struct map_args wanted = {.cluster = 0xabc};
    struct manager_status_args status = {.cluster = 0xabc};
    struct membership_reply reply;

    (void)state;
    assert_int_equal(membership_get_map(membership, &wanted, &reply), 0);
    assert_int_equal(reply.status, MANAGER_WRONG_CLUSTER);
    assert_non_null(strstr(reply.message, "0000000000000abc"));
    assert_non_null(strstr(reply.message, "00000000000000c1"));
    membership_reply_free(&reply);
    assert_int_equal(membership_status(membership, 2000, &status, &reply), 0);
    assert_int_equal(reply.status, MANAGER_WRONG_CLUSTER);
    membership_reply_free(&reply);
    for (uint64_t cluster = 0; cluster <= CLUSTER; cluster += CLUSTER) {
        wanted.cluster = cluster;
        wanted.known_version = 3;
        assert_int_equal(membership_get_map(membership, &wanted, &reply), 0);
        assert_true(reply.status == MANAGER_OK && reply.map != NULL);
        wanted.known_version = reply.map_version;
        membership_reply_free(&reply);
        assert_int_equal(membership_get_map(membership, &wanted, &reply), 0);
        assert_true(reply.status == MANAGER_OK && reply.map == NULL);
        membership_reply_free(&reply);
    }
    membership_free(membership);
}

static void a_reply_keeps_the_map_it_was_made_with(void **state)
{
    struct membership *membership = placed_membership(1);
    struct attempt attempt = attempt_of(membership, 0, 0);
    struct map_args wanted = {0};
    struct membership_reply early, late;
    struct configuration current;
    struct cluster_map map;

    (void)state;
    assert_int_equal(membership_get_map(membership, &wanted, &early), 0);
    assert_int_equal(propose(membership, &attempt, &current), MANAGER_OK);
    assert_int_equal(membership_get_map(membership, &wanted, &late), 0);
    assert_true(late.map_version == early.map_version + 1);
    assert_int_equal(cluster_map_unpack(early.map->bytes.data, early.map->bytes.length, &map, NULL),
                     0);
    assert_true(map.version == early.map_version && map.configurations[0].epoch == 1);
    cluster_map_free(&map);
    assert_int_equal(cluster_map_unpack(late.map->bytes.data, late.map->bytes.length, &map, NULL),
                     0);
    assert_true(map.version == late.map_version && map.configurations[0].epoch == 2);
    cluster_map_free(&map);
    membership_reply_free(&early);
    membership_reply_free(&late);
    membership_free(membership);
}

static void status_tells_who_is_silent(void **state)
{
    struct membership *membership = new_membership(1);
    struct manager_status_args args = {0};
    struct membership_reply reply;

    (void)state;
    register_one(membership, 2, 5000);
    assert_int_equal(membership_status(membership, 7500, &args, &reply), 0);
    assert_int_equal(reply.server_count, SERVERS);
    assert_false(reply.servers[0].registered);
    assert_true(reply.servers[0].silent_ms == 6500); /* since the manager's start */
    assert_true(reply.servers[2].registered);
    assert_true(reply.servers[2].silent_ms == 2500);
    assert_true(reply.servers[2].store == store_of(2) && reply.servers[2].incarnation == 1);
    assert_memory_equal(reply.servers[2].address.data, "127.0.0.1:3779", 14);
    assert_null(reply.map);
    membership_reply_free(&reply);
    membership_free(membership);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_restarted_primary_leads_again_in_the_next_epoch),
        cmocka_unit_test(another_member_may_take_the_lead),
        cmocka_unit_test(proposals_that_break_a_rule_are_refused),
        cmocka_unit_test(lower_and_higher_epochs_conflict),
        cmocka_unit_test(a_server_that_is_no_member_is_refused),
        cmocka_unit_test(garbage_and_good_proposals_share_a_call),
        cmocka_unit_test(only_the_registered_process_may_call),
        cmocka_unit_test(a_manager_that_forgot_refuses),
        cmocka_unit_test(a_heartbeat_brings_the_newer_map_only),
        cmocka_unit_test(before_placement_everybody_waits),
        cmocka_unit_test(clients_get_the_map_of_their_cluster),
        cmocka_unit_test(a_reply_keeps_the_map_it_was_made_with),
        cmocka_unit_test(status_tells_who_is_silent),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
