/* Targets stay on servers that are there, and wishes lead from any configuration to its target
 * (ARCHITECTURE.md R7, R8, R10, R11).
 */
#include "base/random.h"
#include "manager/reconcile.h"
#include "tests/unit/manager_fixture.h"

enum { MANY = 5, START_MS = 1000, STEP_MS = 1000, REPLACE_MS = 60000 };

static struct membership *open_cluster(uint32_t servers, uint32_t replicas)
{
    struct membership *membership = placed_membership_of(servers, replicas);

    membership->replace_after_ms = REPLACE_MS;
    return membership;
}

/* Time passes in the manager's steps up to `until_ms`; all servers but `silent` are heard. */
static uint64_t pass_time(struct membership *membership, uint64_t from_ms, uint64_t until_ms,
                          uint32_t silent)
{
    uint64_t now_ms = from_ms;

    while (now_ms < until_ms) {
        now_ms += STEP_MS;
        for (uint32_t i = 0; i < membership->map.server_count; i++)
            if (i != silent && membership->map.servers[i].store != 0 &&
                !membership->map.servers[i].removed)
                beat(membership, i, now_ms);
        assert_int_equal(membership_reconcile(membership, now_ms), 0);
    }
    return now_ms;
}

static uint32_t count_targets(const struct membership *membership, uint32_t server)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < membership->map.partitions; i++)
        count += target_has(&membership->map.targets[i], server);
    return count;
}

static void set_target(struct membership *membership, uint32_t partition, uint32_t first,
                       uint32_t second, uint32_t primary)
{
    membership->map.targets[partition] =
        (struct target){.server_count = 2, .servers = {first, second}, .primary = primary};
    assert_int_equal(cluster_map_check(&membership->map, NULL), 0);
}

/* --- targets --- */

static void the_first_targets_are_the_first_members(void **state)
{
    struct membership *membership = open_cluster(MANY, 3);

    (void)state;
    for (uint32_t i = 0; i < PARTITIONS; i++) {
        assert_int_equal(membership->map.targets[i].server_count, 3);
        assert_true(membership->map.targets[i].primary == TARGET_ANY);
        assert_false(membership_is_moving(&membership->map, i));
    }
    membership_clear_changes(membership);
    assert_int_equal(membership_reconcile(membership, START_MS + 1), 0);
    assert_int_equal(membership->change_count, 0);
    membership_free(membership);
}

static void a_silent_server_is_replaced_in_time_and_not_before(void **state)
{
    struct membership *membership = open_cluster(MANY, 2);
    const uint32_t held = count_targets(membership, 2);
    uint64_t now_ms = START_MS, version = membership->map.version;
    uint32_t least = UINT32_MAX, most = 0;

    (void)state;
    assert_true(held > 0);
    now_ms = pass_time(membership, now_ms, START_MS + REPLACE_MS, 2);
    assert_int_equal(count_targets(membership, 2), held);
    assert_true(membership->map.version == version);
    now_ms = pass_time(membership, now_ms, now_ms + STEP_MS, 2);
    assert_int_equal(count_targets(membership, 2), 0);
    /* To those that have the fewest. */
    for (uint32_t i = 0; i < MANY; i++) {
        const uint32_t count = count_targets(membership, i);

        if (i == 2)
            continue;
        least = count < least ? count : least;
        most = count > most ? count : most;
    }
    assert_true(most - least <= 1);
    /* It comes back: nothing moves again. */
    version = membership->map.version;
    (void)pass_time(membership, now_ms, now_ms + REPLACE_MS, UINT32_MAX);
    assert_true(membership->map.version == version);
    membership_free(membership);
}

/* Who is heard before `started_ms` says nothing about who is there now. */
static void a_manager_that_just_started_finds_nobody_silent(void **state)
{
    struct membership *membership = open_cluster(MANY, 2);
    const uint64_t later_ms = START_MS + 10 * REPLACE_MS, version = membership->map.version;

    (void)state;
    memset(membership->heard, 0, sizeof membership->heard);
    membership->started_ms = membership->listening_ms = membership->reconciled_ms = later_ms;
    (void)pass_time(membership, later_ms, later_ms + REPLACE_MS, 3);
    assert_true(membership->map.version == version);
    (void)pass_time(membership, later_ms + REPLACE_MS, later_ms + REPLACE_MS + STEP_MS, 3);
    assert_int_equal(count_targets(membership, 3), 0);
    membership_free(membership);
}

static void a_manager_that_stood_still_finds_nobody_silent(void **state)
{
    struct membership *membership = open_cluster(MANY, 2);
    const uint64_t later_ms = START_MS + 10 * REPLACE_MS, version = membership->map.version;

    (void)state;
    /* The first heartbeat that it takes after it went on is one server's. */
    beat(membership, 0, later_ms);
    assert_int_equal(membership_reconcile(membership, later_ms), 0);
    assert_true(membership->map.version == version);
    (void)pass_time(membership, later_ms, later_ms + REPLACE_MS, UINT32_MAX);
    assert_true(membership->map.version == version);
    membership_free(membership);
}

static void without_a_live_server_the_target_stays(void **state)
{
    struct membership *membership = open_cluster(3, 2);
    const uint64_t version = membership->map.version;
    uint64_t now_ms = START_MS;

    (void)state;
    membership->map.servers[1].draining = true;
    while (now_ms < START_MS + 3 * REPLACE_MS) { /* only server 0 is heard */
        now_ms += STEP_MS;
        beat(membership, 0, now_ms);
        assert_int_equal(membership_reconcile(membership, now_ms), 0);
    }
    for (uint32_t i = 0; i < PARTITIONS; i++)
        assert_int_equal(membership->map.targets[i].server_count, 2);
    for (uint32_t i = 0; i < PARTITIONS; i++) /* one of 1 and 2 is left beside 0 */
        assert_true(target_has(&membership->map.targets[i], 0));
    assert_true(membership->map.version > version);
    membership_free(membership);
}

static void a_draining_server_is_replaced_at_once(void **state)
{
    struct membership *membership = open_cluster(MANY, 2);

    (void)state;
    membership->map.servers[4].draining = true;
    set_target(membership, 0, 4, 1, 4);
    (void)pass_time(membership, START_MS, START_MS + STEP_MS, UINT32_MAX);
    assert_int_equal(count_targets(membership, 4), 0);
    assert_true(membership->map.targets[0].primary == TARGET_ANY);
    membership_free(membership);
}

static void a_short_target_grows_when_a_server_is_there(void **state)
{
    struct membership *membership = open_cluster(2, 2);

    (void)state;
    (void)pass_time(membership, START_MS, START_MS + 4 * STEP_MS, 0);
    membership->map.targets[3].server_count = 1;
    membership->map.targets[3].servers[0] = 1;
    (void)pass_time(membership, START_MS + 4 * STEP_MS, START_MS + 5 * STEP_MS, 0);
    assert_int_equal(membership->map.targets[3].server_count, 1);
    (void)pass_time(membership, START_MS + 5 * STEP_MS, START_MS + 6 * STEP_MS, UINT32_MAX);
    assert_int_equal(membership->map.targets[3].server_count, 2);
    assert_int_equal(membership->map.targets[3].servers[1], 0);
    membership_free(membership);
}

/* --- wishes --- */

/* The wish for one partition in a heartbeat's reply, or NULL. */
static const struct wish *find_wish(const struct membership_reply *reply, uint32_t partition)
{
    for (uint32_t i = 0; i < reply->wish_count; i++)
        if (reply->wishes[i].partition == partition)
            return &reply->wishes[i];
    return NULL;
}

/* What its primary is asked for the partition at `now_ms`; a kind of 0: nothing. */
static struct wish wish_for(struct membership *membership, uint32_t partition, uint64_t now_ms)
{
    struct membership_reply reply;
    struct wish found = {0};
    const struct wish *asked;

    beat_with(membership, membership->map.configurations[partition].primary.server, now_ms, NULL,
              NULL, 0, &reply);
    asked = find_wish(&reply, partition);
    if (asked != NULL) {
        found = *asked;
        assert_true(found.epoch == membership->map.configurations[partition].epoch);
    }
    membership_reply_free(&reply);
    return found;
}

static void assert_wish(struct membership *membership, uint32_t partition, uint64_t now_ms,
                        enum wish_kind kind, uint32_t server)
{
    const struct wish asked = wish_for(membership, partition, now_ms);

    assert_int_equal(asked.kind, kind);
    assert_int_equal(asked.server, server);
}

/* Sets partition 0's configuration: members a, b (UINT32_MAX: none), primary a. */
static struct configuration *configure(struct membership *membership, uint32_t a, uint32_t b)
{
    struct configuration *configuration = &membership->map.configurations[0];

    configuration->primary = process_at(membership, a);
    configuration->member_count = 1;
    configuration->members[0] = copy_at(membership, a);
    configuration->learner_count = 0;
    if (b != UINT32_MAX)
        configuration->members[configuration->member_count++] = copy_at(membership, b);
    return configuration;
}

static void nothing_is_wished_where_all_is_well(void **state)
{
    struct membership *membership = open_cluster(MANY, 3);

    (void)state;
    for (uint32_t i = 0; i < PARTITIONS; i++)
        assert_int_equal(wish_for(membership, i, START_MS + 10).kind, 0);
    membership_free(membership);
}

/* R8: a server that was killed comes back without a command. */
static void a_missing_copy_is_wished_once_its_server_is_heard(void **state)
{
    struct membership *membership = open_cluster(MANY, 2);
    struct configuration *configuration = configure(membership, 1, UINT32_MAX);
    struct wish asked;

    (void)state;
    set_target(membership, 0, 1, 3, TARGET_ANY);
    assert_true(membership_is_moving(&membership->map, 0));
    assert_int_equal(wish_for(membership, 0, START_MS + MEMBERSHIP_USABLE_MS).kind, 0);
    restart_server(membership, 3, 0, START_MS + 9000);
    asked = wish_for(membership, 0, START_MS + 9000);
    assert_int_equal(asked.kind, WISH_LEARNER);
    assert_int_equal(asked.server, 3);
    assert_true(asked.store == store_of(3));
    /* It is asked until it is done. */
    assert_wish(membership, 0, START_MS + 9500, WISH_LEARNER, 3);
    configuration->learners[configuration->learner_count++] = copy_at(membership, 3);
    assert_int_equal(wish_for(membership, 0, START_MS + 9600).kind, 0);
    assert_true(membership_is_moving(&membership->map, 0));
    membership_free(membership);
}

/* It was heard just before it fell silent and was dropped: that is no sign of life. */
static void a_copy_that_was_dropped_is_wished_only_after_a_new_heartbeat(void **state)
{
    struct membership *membership = open_cluster(MANY, 2);
    struct configuration next;

    (void)state;
    configure(membership, 1, 3);
    set_target(membership, 0, 1, 3, TARGET_ANY);
    beat(membership, 3, START_MS + 100);
    beat(membership, 1, START_MS + 1200);
    next = membership->map.configurations[0];
    next.member_count = 1;
    assert_int_equal(propose_next(membership, 1, &next), MANAGER_OK);
    assert_int_equal(wish_for(membership, 0, START_MS + 1300).kind, 0);
    beat(membership, 3, START_MS + 1400);
    assert_wish(membership, 0, START_MS + 1500, WISH_LEARNER, 3);
    membership_free(membership);
}

static void a_learner_that_is_not_wanted_goes(void **state)
{
    struct membership *membership = open_cluster(MANY, 2);
    struct configuration *configuration = configure(membership, 1, 3);

    (void)state;
    set_target(membership, 0, 1, 3, TARGET_ANY);
    configuration->learners[configuration->learner_count++] = copy_at(membership, 2);
    assert_wish(membership, 0, START_MS + 10, WISH_REMOVE, 2);
    /* R10: the store that was to catch up is gone. */
    set_target(membership, 0, 1, 2, TARGET_ANY);
    configure(membership, 1, UINT32_MAX);
    configuration->learners[configuration->learner_count++] = copy_at(membership, 2);
    configuration->learners[0].store = 0x777;
    {
        const struct wish asked = wish_for(membership, 0, START_MS + 20);

        assert_int_equal(asked.kind, WISH_REMOVE);
        assert_true(asked.store == 0x777);
    }
    membership_free(membership);
}

/* R10: its disk is empty now; the new store starts as a learner, after the old one is gone. */
static void a_member_whose_store_was_replaced_goes(void **state)
{
    struct membership *membership = open_cluster(MANY, 2);
    struct configuration *configuration = configure(membership, 1, 3);
    struct wish asked;

    (void)state;
    set_target(membership, 0, 1, 3, TARGET_ANY);
    restart_server(membership, 3, 0x777, START_MS + 50000);
    asked = wish_for(membership, 0, START_MS + 50000);
    assert_int_equal(asked.kind, WISH_REMOVE);
    assert_int_equal(asked.server, 3);
    assert_true(asked.store == store_of(3));
    configuration->member_count = 1;
    asked = wish_for(membership, 0, START_MS + 50100);
    assert_int_equal(asked.kind, WISH_LEARNER);
    assert_true(asked.store == 0x777);
    membership_free(membership);
}

static void an_outsider_goes_only_when_all_wanted_copies_are_members(void **state)
{
    struct membership *membership = open_cluster(MANY, 2);
    struct configuration *configuration = configure(membership, 1, 3);

    (void)state;
    set_target(membership, 0, 1, 2, TARGET_ANY);
    assert_wish(membership, 0, START_MS + 10, WISH_LEARNER, 2);
    configuration->learners[configuration->learner_count++] = copy_at(membership, 2);
    assert_int_equal(wish_for(membership, 0, START_MS + 20).kind, 0);
    configuration->members[configuration->member_count++] = copy_at(membership, 2);
    configuration->learner_count = 0;
    assert_wish(membership, 0, START_MS + 30, WISH_REMOVE, 3);
    membership_free(membership);
}

static void a_primary_outside_gives_the_lead_first(void **state)
{
    struct membership *membership = open_cluster(MANY, 2);
    struct configuration *configuration = configure(membership, 0, 1);

    (void)state;
    configuration->members[configuration->member_count++] = copy_at(membership, 2);
    set_target(membership, 0, 1, 2, TARGET_ANY);
    /* All others are led by 1: 2 leads fewer. */
    for (uint32_t i = 1; i < PARTITIONS; i++) {
        struct configuration *other = &membership->map.configurations[i];

        other->primary = process_at(membership, 1);
        other->members[0] = copy_at(membership, 1);
        other->member_count = 1;
    }
    assert_wish(membership, 0, START_MS + 10, WISH_SWITCH, 2);
    set_target(membership, 0, 1, 2, 1);
    assert_wish(membership, 0, START_MS + 10, WISH_SWITCH, 1);
    /* The one that shall lead is silent: another one does meanwhile. */
    beat(membership, 2, START_MS + 8000);
    assert_wish(membership, 0, START_MS + 8000, WISH_SWITCH, 2);
    /* Once the lead is given, the old primary's copy goes. */
    configuration->primary = process_at(membership, 2);
    assert_wish(membership, 0, START_MS + 8000, WISH_REMOVE, 0);
    membership_free(membership);
}

static void leads_that_go_in_one_heartbeat_are_spread(void **state)
{
    struct membership *membership = open_cluster(3, 2);
    struct membership_reply reply;
    uint32_t got[3] = {0};

    (void)state;
    for (uint32_t i = 0; i < PARTITIONS; i++) {
        struct configuration *configuration = &membership->map.configurations[i];

        configuration->primary = process_at(membership, 0);
        configuration->member_count = 3;
        for (uint32_t j = 0; j < 3; j++)
            configuration->members[j] = copy_at(membership, j);
        set_target(membership, i, 1, 2, TARGET_ANY);
    }
    beat_with(membership, 0, START_MS + 10, NULL, NULL, 0, &reply);
    assert_int_equal(reply.wish_count, PARTITIONS);
    for (uint32_t i = 0; i < reply.wish_count; i++) {
        assert_int_equal(reply.wishes[i].kind, WISH_SWITCH);
        got[reply.wishes[i].server]++;
    }
    assert_int_equal(got[1], PARTITIONS / 2);
    assert_int_equal(got[2], PARTITIONS / 2);
    membership_reply_free(&reply);
    membership_free(membership);
}

static void the_wanted_primary_leads_once_it_is_a_live_member(void **state)
{
    struct membership *membership = open_cluster(MANY, 2);

    (void)state;
    configure(membership, 1, 3);
    set_target(membership, 0, 1, 3, 3);
    assert_true(membership_is_moving(&membership->map, 0));
    assert_wish(membership, 0, START_MS + 10, WISH_SWITCH, 3);
    assert_int_equal(wish_for(membership, 0, START_MS + 9000).kind, 0);
    configure(membership, 3, 1);
    assert_false(membership_is_moving(&membership->map, 0));
    assert_int_equal(wish_for(membership, 0, START_MS + 9000).kind, 0);
    membership_free(membership);
}

/* One server that comes back is not made to copy everything at the same time. */
static void one_server_catches_up_with_a_bounded_number_at_a_time(void **state)
{
    enum { WIDE = 3 * MEMBERSHIP_LEARNERS_LIMIT };
    struct membership *membership = placed_membership_with(2, 2, WIDE);
    struct membership_reply reply;

    (void)state;
    for (uint32_t i = 0; i < WIDE; i++) {
        struct configuration *configuration = &membership->map.configurations[i];

        configuration->primary = process_at(membership, 0);
        configuration->members[0] = copy_at(membership, 0);
        configuration->member_count = 1;
    }
    beat_with(membership, 0, START_MS + 10, NULL, NULL, 0, &reply);
    assert_int_equal(reply.wish_count, MEMBERSHIP_LEARNERS_LIMIT);
    membership_reply_free(&reply);
    for (uint32_t i = 0; i < 10; i++) {
        struct configuration *configuration = &membership->map.configurations[WIDE - 1 - i];

        configuration->learners[configuration->learner_count++] = copy_at(membership, 1);
    }
    beat_with(membership, 0, START_MS + 20, NULL, NULL, 0, &reply);
    assert_int_equal(reply.wish_count, MEMBERSHIP_LEARNERS_LIMIT - 10);
    membership_reply_free(&reply);
    membership_free(membership);
}

static void only_the_leading_process_is_asked(void **state)
{
    struct membership *membership = open_cluster(MANY, 2);
    struct membership_reply reply;

    (void)state;
    configure(membership, 1, UINT32_MAX);
    set_target(membership, 0, 1, 3, TARGET_ANY);
    beat_with(membership, 3, START_MS + 10, NULL, NULL, 0, &reply);
    assert_null(find_wish(&reply, 0));
    membership_reply_free(&reply);
    restart_server(membership, 1, 0, START_MS + 10);
    beat_with(membership, 1, START_MS + 20, NULL, NULL, 0, &reply);
    assert_null(find_wish(&reply, 0));
    membership_reply_free(&reply);
    membership_free(membership);
}

/* --- both together --- */

/* Does what a primary does with a wish (R8): a learner is caught up by the next turn. */
static void follow(struct membership *membership, uint32_t server, const struct wish *wish_now)
{
    struct configuration next = membership->map.configurations[wish_now->partition];

    assert_true(next.epoch == wish_now->epoch);
    if (wish_now->kind == WISH_LEARNER) {
        next.learners[next.learner_count++] =
            (struct replica_id){.server = wish_now->server, .store = wish_now->store};
    } else if (wish_now->kind == WISH_SWITCH) {
        next.primary = process_at(membership, wish_now->server);
        next.switched = true;
        assert_int_equal(propose_next(membership, server, &next), MANAGER_OK);
        return;
    } else {
        for (uint32_t i = 0; i < next.member_count; i++)
            if (next.members[i].server == wish_now->server)
                next.members[i] = next.members[--next.member_count];
        for (uint32_t i = 0; i < next.learner_count; i++)
            if (next.learners[i].server == wish_now->server)
                next.learners[i] = next.learners[--next.learner_count];
    }
    next.switched = false;
    assert_int_equal(propose_next(membership, server, &next), MANAGER_OK);
}

static void promote_learners(struct membership *membership, uint32_t partition)
{
    struct configuration next = membership->map.configurations[partition];

    if (next.learner_count == 0)
        return;
    for (uint32_t i = 0; i < next.learner_count; i++)
        next.members[next.member_count++] = next.learners[i];
    next.learner_count = 0;
    next.switched = false;
    assert_int_equal(propose_next(membership, next.primary.server, &next), MANAGER_OK);
}

static uint32_t count_moving(const struct membership *membership)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < PARTITIONS; i++)
        count += membership_is_moving(&membership->map, i);
    return count;
}

/* One heartbeat of each server; what it leads has never fewer members than there shall be. */
static void turn(struct membership *membership, uint64_t now_ms)
{
    for (uint32_t i = 0; i < PARTITIONS; i++)
        promote_learners(membership, i);
    for (uint32_t server = 0; server < MANY; server++) {
        struct membership_reply reply;

        beat_with(membership, server, now_ms, NULL, NULL, 0, &reply);
        for (uint32_t i = 0; i < reply.wish_count; i++)
            follow(membership, server, &reply.wishes[i]);
        membership_reply_free(&reply);
    }
    for (uint32_t i = 0; i < PARTITIONS; i++)
        assert_true(membership->map.configurations[i].member_count >= 2);
}

static void following_the_wishes_leads_to_every_target(void **state)
{
    struct random random;

    (void)state;
    random_seed(&random, 7);
    for (int round = 0; round < 50; round++) {
        struct membership *membership = open_cluster(MANY, 2);
        uint64_t now_ms = START_MS;

        for (uint32_t i = 0; i < PARTITIONS; i++) {
            const uint32_t first = (uint32_t)random_below(&random, MANY);
            const uint32_t second = (first + 1 + (uint32_t)random_below(&random, MANY - 1)) % MANY;

            set_target(membership, i, first, second,
                       random_below(&random, 2) == 0 ? first : TARGET_ANY);
        }
        for (int turns = 0; turns < 8; turns++)
            turn(membership, now_ms += STEP_MS);
        assert_int_equal(count_moving(membership), 0);
        membership_free(membership);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_targets_are_the_first_members),
        cmocka_unit_test(a_silent_server_is_replaced_in_time_and_not_before),
        cmocka_unit_test(a_manager_that_just_started_finds_nobody_silent),
        cmocka_unit_test(a_manager_that_stood_still_finds_nobody_silent),
        cmocka_unit_test(without_a_live_server_the_target_stays),
        cmocka_unit_test(a_draining_server_is_replaced_at_once),
        cmocka_unit_test(a_short_target_grows_when_a_server_is_there),
        cmocka_unit_test(nothing_is_wished_where_all_is_well),
        cmocka_unit_test(a_missing_copy_is_wished_once_its_server_is_heard),
        cmocka_unit_test(a_copy_that_was_dropped_is_wished_only_after_a_new_heartbeat),
        cmocka_unit_test(a_learner_that_is_not_wanted_goes),
        cmocka_unit_test(a_member_whose_store_was_replaced_goes),
        cmocka_unit_test(an_outsider_goes_only_when_all_wanted_copies_are_members),
        cmocka_unit_test(a_primary_outside_gives_the_lead_first),
        cmocka_unit_test(leads_that_go_in_one_heartbeat_are_spread),
        cmocka_unit_test(the_wanted_primary_leads_once_it_is_a_live_member),
        cmocka_unit_test(one_server_catches_up_with_a_bounded_number_at_a_time),
        cmocka_unit_test(only_the_leading_process_is_asked),
        cmocka_unit_test(following_the_wishes_leads_to_every_target),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
