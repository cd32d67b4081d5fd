/* What operators ask of the manager: done or clearly refused, repeatable, and only told with
 * dry_run.
 */
#include "manager/reconcile.h"
#include "tests/unit/configuration_compare.h"
#include "tests/unit/manager_fixture.h"

enum { MANY = 4, NOW_MS = 20000, NOBODY = 99 };

#define ANY_SERVER UINT32_MAX

/* Four servers and two copies, all heard just now by a manager that listens long enough. */
static struct membership *open_cluster(void)
{
    struct membership *membership = placed_membership_of(MANY, 2);

    for (uint32_t i = 0; i < MANY; i++)
        beat(membership, i, NOW_MS);
    membership->reconciled_ms = NOW_MS;
    membership_clear_changes(membership);
    return membership;
}

static enum manager_status ask(struct membership *membership, const struct admin_args *args,
                               struct membership_reply *reply)
{
    return ask_manager(membership, NOW_MS, args, reply);
}

/* The call succeeds and says something; what it changed is counted. */
static size_t succeed(struct membership *membership, const struct admin_args *args)
{
    const size_t before = membership->change_count;
    struct membership_reply reply;

    assert_int_equal(ask(membership, args, &reply), MANAGER_OK);
    assert_true(reply.message[0] != '\0');
    membership_reply_free(&reply);
    return membership->change_count - before;
}

static void expect_refusal(struct membership *membership, const struct admin_args *args,
                           enum manager_status status, const char *words)
{
    const uint64_t version = membership->map.version;
    const size_t before = membership->change_count;
    struct membership_reply reply;

    assert_int_equal(ask(membership, args, &reply), status);
    if (strstr(reply.message, words) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", reply.message, words);
    assert_true(membership->map.version == version && membership->change_count == before);
    membership_reply_free(&reply);
}

static struct target *target_of(const struct membership *membership, uint32_t partition)
{
    return &membership->map.targets[partition];
}

static uint32_t primary_of(const struct membership *membership, uint32_t partition)
{
    return membership->map.configurations[partition].primary.server;
}

/* A server that is not in the partition's target. */
static uint32_t outsider_of(const struct membership *membership, uint32_t partition)
{
    uint32_t server = 0;

    while (target_has(target_of(membership, partition), server))
        server++;
    return server;
}

/* --- MOVE --- */

static void a_move_aims_at_the_server(void **state)
{
    struct membership *membership = open_cluster();
    const uint32_t primary = primary_of(membership, 3), to = outsider_of(membership, 3);
    const uint32_t other = target_of(membership, 3)->servers[1];
    struct admin_args args = {
        .cluster = CLUSTER, .kind = ADMIN_MOVE, .partition = 3, .server = to, .dry_run = true};
    struct membership_reply reply;

    (void)state;
    /* First only told. */
    assert_int_equal(ask(membership, &args, &reply), MANAGER_OK);
    assert_int_equal(reply.move_count, 1);
    assert_int_equal(reply.moves[0].partition, 3);
    assert_int_equal(reply.moves[0].from, primary);
    assert_int_equal(reply.moves[0].to, to);
    assert_true(reply.moves[0].leads);
    membership_reply_free(&reply);
    assert_int_equal(membership->change_count, 0);
    assert_false(target_has(target_of(membership, 3), to));
    args.dry_run = false;
    assert_int_equal(succeed(membership, &args), 1);
    assert_int_equal(membership->changes[0].kind, CHANGE_TARGET);
    assert_true(target_has(target_of(membership, 3), to));
    assert_true(target_has(target_of(membership, 3), other));
    assert_false(target_has(target_of(membership, 3), primary));
    assert_int_equal(target_of(membership, 3)->primary, to);
    /* Again: it is done. */
    assert_int_equal(succeed(membership, &args), 0);
    membership_free(membership);
}

static void a_move_to_a_holder_moves_the_lead_only(void **state)
{
    struct membership *membership = open_cluster();
    const uint32_t to = target_of(membership, 3)->servers[1];
    const struct admin_args args = {.kind = ADMIN_MOVE, .partition = 3, .server = to};
    struct target before = *target_of(membership, 3);
    struct membership_reply reply;

    (void)state;
    assert_int_equal(ask(membership, &args, &reply), MANAGER_OK);
    assert_int_equal(reply.move_count, 1);
    assert_true(reply.moves[0].leads && reply.moves[0].to == to);
    membership_reply_free(&reply);
    before.primary = to;
    assert_same_target(target_of(membership, 3), &before);
    membership_free(membership);
}

static void moves_that_cannot_be_are_refused(void **state)
{
    struct membership *membership = open_cluster();
    struct admin_args args = {.kind = ADMIN_MOVE, .partition = 3, .server = MANY};

    (void)state;
    expect_refusal(membership, &args, MANAGER_UNKNOWN_SERVER, "ids 0 to 3");
    args.server = 1;
    args.partition = PARTITIONS;
    expect_refusal(membership, &args, MANAGER_INVALID, "only 8");
    args.partition = 3;
    membership->map.servers[1].draining = true;
    expect_refusal(membership, &args, MANAGER_INVALID, "draining");
    membership->map.servers[1].removed = true;
    expect_refusal(membership, &args, MANAGER_INVALID, "removed");
    membership->map.servers[1].draining = membership->map.servers[1].removed = false;
    membership->heard_ms[1] = NOW_MS - MEMBERSHIP_LOST_MS;
    expect_refusal(membership, &args, MANAGER_INVALID, "was not heard");
    membership->map.servers[1].store = membership->map.servers[1].incarnation = 0;
    expect_refusal(membership, &args, MANAGER_INVALID, "never registered");
    args.cluster = CLUSTER + 1;
    expect_refusal(membership, &args, MANAGER_WRONG_CLUSTER, "cluster");
    membership_free(membership);
}

static void before_placement_nothing_moves(void **state)
{
    struct membership *membership = new_membership(2);
    struct admin_args args = {.kind = ADMIN_MOVE};

    (void)state;
    expect_refusal(membership, &args, MANAGER_WAITING, "waiting");
    args.kind = ADMIN_REBALANCE;
    expect_refusal(membership, &args, MANAGER_WAITING, "waiting");
    args.kind = ADMIN_UNSAFE_RECOVER;
    expect_refusal(membership, &args, MANAGER_WAITING, "waiting");
    args.kind = (enum admin_kind)77;
    expect_refusal(membership, &args, MANAGER_INVALID, "77");
    membership_free(membership);
}

/* --- DRAIN, UNDRAIN, REMOVE --- */

static uint32_t count_targets(const struct membership *membership, uint32_t server)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < PARTITIONS; i++)
        count += target_has(target_of(membership, i), server);
    return count;
}

static void a_drained_server_is_in_no_target(void **state)
{
    struct membership *membership = open_cluster();
    struct admin_args args = {.kind = ADMIN_DRAIN, .server = 2, .dry_run = true};
    const uint32_t held = count_targets(membership, 2);
    struct membership_reply reply;

    (void)state;
    assert_true(held > 0);
    assert_int_equal(ask(membership, &args, &reply), MANAGER_OK);
    assert_int_equal(reply.move_count, held);
    for (uint32_t i = 0; i < held; i++) {
        assert_int_equal(reply.moves[i].from, 2);
        assert_int_equal(reply.moves[i].leads,
                         primary_of(membership, reply.moves[i].partition) == 2);
    }
    membership_reply_free(&reply);
    assert_int_equal(count_targets(membership, 2), held);
    assert_false(membership->map.servers[2].draining);
    args.dry_run = false;
    assert_int_equal(succeed(membership, &args), held + 1);
    assert_int_equal(membership->changes[0].kind, CHANGE_ROSTER);
    assert_true(membership->map.servers[2].draining);
    assert_int_equal(count_targets(membership, 2), 0);
    assert_int_equal(succeed(membership, &args), 0);
    args.kind = ADMIN_UNDRAIN;
    assert_int_equal(succeed(membership, &args), 1);
    assert_false(membership->map.servers[2].draining);
    assert_int_equal(succeed(membership, &args), 0);
    membership_free(membership);
}

static void draining_never_leaves_too_few_servers(void **state)
{
    struct membership *membership = open_cluster();
    struct admin_args args = {.kind = ADMIN_DRAIN};

    (void)state;
    for (args.server = 0; args.server < 2; args.server++)
        (void)succeed(membership, &args);
    args.server = 2;
    expect_refusal(membership, &args, MANAGER_INVALID, "only 1 other servers");
    args.dry_run = true;
    expect_refusal(membership, &args, MANAGER_INVALID, "only 1 other servers");
    args.server = NOBODY;
    expect_refusal(membership, &args, MANAGER_UNKNOWN_SERVER, "not in the cluster");
    membership_free(membership);
}

/* As its primaries would do in the end: the configurations are what the targets say. */
static void reach_targets(struct membership *membership)
{
    for (uint32_t i = 0; i < PARTITIONS; i++) {
        const struct target *target = target_of(membership, i);
        struct configuration *configuration = &membership->map.configurations[i];

        configuration->member_count = target->server_count;
        for (uint32_t j = 0; j < target->server_count; j++)
            configuration->members[j] = copy_at(membership, target->servers[j]);
        configuration->primary = process_at(
            membership, target->primary != TARGET_ANY ? target->primary : target->servers[0]);
    }
}

static void only_an_empty_drained_server_is_removed(void **state)
{
    struct membership *membership = open_cluster();
    struct admin_args remove = {.kind = ADMIN_REMOVE_SERVER, .server = 2};
    const struct admin_args drain = {.kind = ADMIN_DRAIN, .server = 2},
                            undrain = {.kind = ADMIN_UNDRAIN, .server = 2},
                            move = {.kind = ADMIN_MOVE, .partition = 1, .server = 2};
    struct membership_reply reply;

    (void)state;
    expect_refusal(membership, &remove, MANAGER_INVALID, "drain it first");
    (void)succeed(membership, &drain);
    expect_refusal(membership, &remove, MANAGER_INVALID, "still holds");
    reach_targets(membership);
    membership->map.configurations[5].learners[0] = copy_at(membership, 2);
    membership->map.configurations[5].learner_count = 1;
    expect_refusal(membership, &remove, MANAGER_INVALID, "still holds 1 copies");
    membership->map.configurations[5].learner_count = 0;
    remove.dry_run = true;
    assert_int_equal(succeed(membership, &remove), 0);
    remove.dry_run = false;
    assert_int_equal(succeed(membership, &remove), 1);
    assert_true(membership->map.servers[2].removed && !membership->map.servers[2].draining);
    assert_int_equal(succeed(membership, &remove), 0);
    expect_refusal(membership, &undrain, MANAGER_INVALID, "removed");
    expect_refusal(membership, &drain, MANAGER_INVALID, "removed");
    expect_refusal(membership, &move, MANAGER_INVALID, "removed");
    /* Its process is told why it may not be one of us. */
    assert_int_equal(try_register(membership,
                                  &(struct registration){.cluster = CLUSTER,
                                                         .server = 2,
                                                         .store = store_of(2),
                                                         .incarnation = 2,
                                                         .now_ms = NOW_MS},
                                  &reply),
                     MANAGER_UNKNOWN_SERVER);
    assert_non_null(strstr(reply.message, "was removed"));
    membership_reply_free(&reply);
    membership_free(membership);
}

/* --- ADD_SERVER --- */

static void an_added_server_takes_part(void **state)
{
    struct membership *membership = open_cluster();
    struct admin_args args = {
        .kind = ADMIN_ADD_SERVER, .address = view_of_text("127.0.0.1:3781"), .dry_run = true};
    const struct map_server *before = membership->map.servers;
    struct membership_reply reply;

    (void)state;
    assert_int_equal(succeed(membership, &args), 0);
    assert_int_equal(membership->map.server_count, MANY);
    args.dry_run = false;
    for (int again = 0; again < 2; again++) {
        assert_int_equal(ask(membership, &args, &reply), MANAGER_OK);
        assert_int_equal(reply.server, MANY);
        assert_non_null(strstr(reply.message, "127.0.0.1:3781"));
        membership_reply_free(&reply);
        assert_int_equal(membership->map.server_count, MANY + 1);
        assert_int_equal(membership->change_count, 1);
    }
    /* Replies that were made before hold on to addresses. */
    assert_ptr_equal(membership->map.servers, before);
    assert_int_equal(membership->map.founders, MANY);
    register_one(membership, MANY, NOW_MS);
    args.kind = ADMIN_REBALANCE;
    assert_true(succeed(membership, &args) > 0);
    assert_int_equal(count_targets(membership, MANY), 2 * PARTITIONS / (MANY + 1));
    membership_free(membership);
}

static void addresses_that_cannot_be_are_refused(void **state)
{
    struct membership *membership = open_cluster();
    struct admin_args args = {.kind = ADMIN_ADD_SERVER, .address = view_of_text("nowhere")};
    char text[32];

    (void)state;
    expect_refusal(membership, &args, MANAGER_INVALID, "nowhere");
    args.address = (struct view){(const uint8_t *)"127.0.0.1:1\0x", 13};
    expect_refusal(membership, &args, MANAGER_INVALID, "address");
    args.address.length = 0;
    expect_refusal(membership, &args, MANAGER_INVALID, "address");
    for (uint32_t i = MANY; i < CAIRN_SERVERS_LIMIT; i++) {
        (void)snprintf(text, sizeof text, "127.0.0.1:%u", 5000 + i);
        args.address = view_of_text(text);
        assert_int_equal(succeed(membership, &args), 1);
    }
    args.address = view_of_text("127.0.0.1:4999");
    expect_refusal(membership, &args, MANAGER_INVALID, "256");
    membership_free(membership);
}

/* The address of a removed server can be used anew, its id not. */
static void an_id_is_never_used_again(void **state)
{
    struct membership *membership = open_cluster();
    const struct admin_args drain = {.kind = ADMIN_DRAIN, .server = 3},
                            remove = {.kind = ADMIN_REMOVE_SERVER, .server = 3},
                            add = {.kind = ADMIN_ADD_SERVER,
                                   .address = view_of_text("127.0.0.1:3780")};
    struct membership_reply reply;

    (void)state;
    (void)succeed(membership, &drain);
    reach_targets(membership);
    (void)succeed(membership, &remove);
    assert_int_equal(ask(membership, &add, &reply), MANAGER_OK);
    assert_int_equal(reply.server, MANY);
    membership_reply_free(&reply);
    membership_free(membership);
}

/* --- REBALANCE --- */

static void assert_even(const struct membership *membership, const bool *left_out)
{
    uint32_t copies[MANY] = {0}, leads[MANY] = {0};

    for (uint32_t i = 0; i < PARTITIONS; i++) {
        const struct target *target = target_of(membership, i);

        for (uint32_t j = 0; j < target->server_count; j++)
            copies[target->servers[j]]++;
        leads[target->primary != TARGET_ANY ? target->primary : primary_of(membership, i)]++;
    }
    for (uint32_t i = 0; i < MANY; i++)
        for (uint32_t j = 0; j < MANY; j++)
            if (!left_out[i] && !left_out[j])
                assert_true(copies[i] <= copies[j] + 1 && leads[i] <= leads[j] + 1);
    for (uint32_t i = 0; i < MANY; i++)
        if (left_out[i])
            assert_true(copies[i] == 0 && leads[i] == 0);
}

static void crowd(struct membership *membership)
{
    for (uint32_t i = 0; i < PARTITIONS; i++)
        *target_of(membership, i) =
            (struct target){.server_count = 2, .servers = {0, 1}, .primary = TARGET_ANY};
    reach_targets(membership);
}

static void rebalancing_evens_copies_and_primaries(void **state)
{
    const bool none[MANY] = {false}, last[MANY] = {[MANY - 1] = true};
    struct membership *membership = open_cluster();
    struct admin_args args = {.kind = ADMIN_REBALANCE, .dry_run = true};
    struct membership_reply reply;

    (void)state;
    crowd(membership);
    assert_int_equal(ask(membership, &args, &reply), MANAGER_OK);
    /* Half of the 16 copies have to go, and no more do. */
    for (uint32_t i = 0, copies = 0; i < reply.move_count; i++) {
        copies += reply.moves[i].to >= 2;
        if (i + 1 == reply.move_count)
            assert_int_equal(copies, PARTITIONS);
    }
    membership_reply_free(&reply);
    assert_int_equal(membership->change_count, 0);
    args.dry_run = false;
    assert_true(succeed(membership, &args) > 0);
    assert_even(membership, none);
    /* It is stable, before and after it was reached. */
    assert_int_equal(succeed(membership, &args), 0);
    reach_targets(membership);
    assert_int_equal(succeed(membership, &args), 0);
    /* A drained server gets nothing. */
    membership->map.servers[MANY - 1].draining = true;
    assert_true(succeed(membership, &args) > 0);
    assert_even(membership, last);
    membership_free(membership);
}

/* A ring: partitions 2i and 2i + 1 are on servers i and i + 1. Their loads of 3, 2, 1 and 2 leads
 * differ by one between neighbours: a lead gets from server 0 to 2 only through another. */
static void leads_pass_through_servers(void **state)
{
    static const uint32_t leaders[PARTITIONS] = {0, 0, 1, 1, 2, 3, 3, 0};
    const bool none[MANY] = {false};
    struct membership *membership = open_cluster();
    const struct admin_args args = {.kind = ADMIN_REBALANCE};

    (void)state;
    for (uint32_t i = 0; i < PARTITIONS; i++)
        *target_of(membership, i) = (struct target){
            .server_count = 2, .servers = {i / 2, (i / 2 + 1) % MANY}, .primary = leaders[i]};
    reach_targets(membership);
    assert_int_equal(succeed(membership, &args), 2);
    assert_even(membership, none);
    membership_free(membership);
}

/* The copies that move are rather those that do not lead: a switch costs more than a copy. */
static void leads_stay_where_they_can(void **state)
{
    const bool none[MANY] = {false};
    struct membership *membership = open_cluster();
    struct admin_args args = {.kind = ADMIN_REBALANCE, .dry_run = true};
    struct membership_reply reply;
    uint32_t leads = 0;

    (void)state;
    for (uint32_t i = 0; i < PARTITIONS; i++)
        *target_of(membership, i) =
            (struct target){.server_count = 2, .servers = {0, 1}, .primary = i % 2};
    reach_targets(membership);
    assert_int_equal(ask(membership, &args, &reply), MANAGER_OK);
    for (uint32_t i = 0; i < reply.move_count; i++)
        leads += reply.moves[i].leads != 0;
    assert_int_equal(leads, PARTITIONS / 2);
    membership_reply_free(&reply);
    args.dry_run = false;
    (void)succeed(membership, &args);
    assert_even(membership, none);
    membership_free(membership);
}

/* --- R9: UNSAFE_RECOVER --- */

/* Partition 0 is on servers 0 and 1; both are lost. Heartbeats of 2 and 3 tell of old copies. */
static struct membership *lose_partition(uint64_t length_of_2, uint64_t length_of_3)
{
    struct membership *membership = open_cluster();
    struct configuration *configuration = &membership->map.configurations[0];
    struct heartbeat_partition copy = {.partition = 0};
    struct heartbeat_log log = {.last_epoch = 1};
    struct membership_reply reply;

    crowd(membership);
    configuration->epoch = 7;
    membership->heard_ms[0] = membership->heard_ms[1] = NOW_MS - MEMBERSHIP_LOST_MS;
    log.last_index = length_of_2;
    beat_with(membership, 2, NOW_MS, &copy, &log, length_of_2 > 0, &reply);
    membership_reply_free(&reply);
    log.last_index = length_of_3;
    beat_with(membership, 3, NOW_MS, &copy, &log, length_of_3 > 0, &reply);
    membership_reply_free(&reply);
    return membership;
}

static void the_longest_copy_starts_a_new_history(void **state)
{
    struct membership *membership = lose_partition(10, 12);
    const struct configuration *configuration = &membership->map.configurations[0];
    struct admin_args args = {.kind = ADMIN_UNSAFE_RECOVER, .server = ANY_SERVER, .dry_run = true};
    struct membership_reply reply;

    (void)state;
    assert_int_equal(succeed(membership, &args), 0);
    assert_int_equal(configuration->history, 1);
    args.dry_run = false;
    for (int again = 0; again < 2; again++) {
        assert_int_equal(ask(membership, &args, &reply), MANAGER_OK);
        assert_int_equal(reply.server, 3);
        membership_reply_free(&reply);
        assert_true(configuration->history == 2 && configuration->epoch == 8);
        assert_int_equal(configuration->member_count, 1);
        assert_int_equal(configuration->learner_count, 0);
        assert_int_equal(configuration->primary.server, 3);
        assert_true(configuration->primary.store == store_of(3));
        assert_true(configuration->primary.incarnation == 1);
    }
    assert_int_equal(membership->change_count, 2); /* target and configuration, once */
    /* Others shall join it. */
    assert_int_equal(membership_reconcile(membership, NOW_MS), 0);
    assert_int_equal(target_of(membership, 0)->server_count, 2);
    assert_int_equal(target_of(membership, 0)->servers[0], 3);
    /* The old primary comes back: it is nobody now. */
    {
        struct configuration next = *configuration;

        next.primary = process_at(membership, 0);
        next.members[next.member_count++] = copy_at(membership, 0);
        beat(membership, 0, NOW_MS);
        assert_int_equal(propose_next(membership, 0, &next), MANAGER_INVALID);
    }
    membership_free(membership);
}

static void the_epoch_of_a_copy_counts_before_its_length(void **state)
{
    struct membership *membership = lose_partition(10, 12);
    const struct admin_args args = {.kind = ADMIN_UNSAFE_RECOVER, .server = ANY_SERVER};

    (void)state;
    membership->reports[2].items[0].log.last_epoch = 2;
    assert_int_equal(succeed(membership, &args), 2);
    assert_int_equal(primary_of(membership, 0), 2);
    membership_free(membership);
}

/* R10: what a server said about a store that was replaced since is void. */
static void a_replaced_store_holds_no_copy(void **state)
{
    struct membership *membership = lose_partition(10, 12);
    const struct admin_args args = {.kind = ADMIN_UNSAFE_RECOVER, .server = ANY_SERVER};

    (void)state;
    membership->heard[3] = false;
    restart_server(membership, 3, 0x777, NOW_MS);
    assert_int_equal(succeed(membership, &args), 2);
    assert_int_equal(primary_of(membership, 0), 2);
    membership_free(membership);
}

static void the_operator_may_choose_the_copy(void **state)
{
    struct membership *membership = lose_partition(10, 12);
    const struct admin_args args = {.kind = ADMIN_UNSAFE_RECOVER, .server = 2};

    (void)state;
    assert_int_equal(succeed(membership, &args), 2);
    assert_int_equal(primary_of(membership, 0), 2);
    assert_int_equal(succeed(membership, &args), 0);
    membership_free(membership);
}

static void what_is_not_lost_is_not_given_up(void **state)
{
    struct membership *membership = lose_partition(10, 12);
    struct admin_args args = {.kind = ADMIN_UNSAFE_RECOVER, .server = ANY_SERVER};

    (void)state;
    membership->heard_ms[1]++;
    expect_refusal(membership, &args, MANAGER_INVALID, "nothing is lost yet");
    /* Its server runs, but its store is gone. */
    membership->map.servers[1].store++;
    assert_int_equal(succeed(membership, &args), 2);
    membership_free(membership);
    /* A manager that listens since a moment ago knows nothing. */
    membership = lose_partition(10, 12);
    membership->listening_ms = NOW_MS - MEMBERSHIP_LOST_MS + 1;
    membership->heard[0] = membership->heard[1] = false;
    expect_refusal(membership, &args, MANAGER_INVALID, "has listened for");
    membership->listening_ms--;
    assert_int_equal(succeed(membership, &args), 2);
    membership_free(membership);
}

static void a_server_without_a_copy_begins_only_where_there_is_none(void **state)
{
    struct membership *membership = lose_partition(0, 12);
    struct admin_args args = {.kind = ADMIN_UNSAFE_RECOVER, .server = 2};
    struct membership_reply reply;

    (void)state;
    expect_refusal(membership, &args, MANAGER_INVALID, "holds no copy");
    args.server = 0;
    expect_refusal(membership, &args, MANAGER_INVALID, "was not heard");
    args.server = MANY;
    expect_refusal(membership, &args, MANAGER_UNKNOWN_SERVER, "not in the cluster");
    args.partition = PARTITIONS;
    expect_refusal(membership, &args, MANAGER_INVALID, "only 8");
    membership_free(membership);
    membership = lose_partition(0, 0);
    args.partition = 0;
    args.server = ANY_SERVER;
    expect_refusal(membership, &args, MANAGER_INVALID, "name a server");
    args.server = 2;
    assert_int_equal(ask(membership, &args, &reply), MANAGER_OK);
    assert_non_null(strstr(reply.message, "may be empty"));
    membership_reply_free(&reply);
    assert_int_equal(primary_of(membership, 0), 2);
    membership_free(membership);
}

/* --- STATUS --- */

static void status_tells_what_moves_and_who_holds_what(void **state)
{
    struct membership *membership = open_cluster();
    const struct admin_args drain = {.kind = ADMIN_DRAIN, .server = 1};
    struct membership_reply reply;

    (void)state;
    crowd(membership);
    membership->replace_after_ms = 4711;
    (void)succeed(membership, &drain);
    assert_int_equal(
        membership_status(membership, NOW_MS, &(struct manager_status_args){.cluster = 0}, &reply),
        0);
    assert_int_equal(reply.replace_after_ms, 4711);
    assert_int_equal(reply.moving_count, PARTITIONS);
    for (uint32_t i = 0; i < PARTITIONS; i++)
        assert_int_equal(reply.moving[i], i);
    assert_int_equal(reply.duties[0].copies, PARTITIONS);
    assert_int_equal(reply.duties[0].primaries, PARTITIONS);
    assert_int_equal(reply.duties[1].copies, PARTITIONS);
    assert_int_equal(reply.duties[1].primaries, 0);
    assert_true(reply.duties[1].draining && !reply.duties[1].removed);
    assert_int_equal(reply.duties[2].copies, 0);
    membership_reply_free(&reply);
    reach_targets(membership);
    assert_int_equal(
        membership_status(membership, NOW_MS, &(struct manager_status_args){.cluster = 0}, &reply),
        0);
    assert_int_equal(reply.moving_count, 0);
    membership_reply_free(&reply);
    membership_free(membership);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_move_aims_at_the_server),
        cmocka_unit_test(a_move_to_a_holder_moves_the_lead_only),
        cmocka_unit_test(moves_that_cannot_be_are_refused),
        cmocka_unit_test(before_placement_nothing_moves),
        cmocka_unit_test(a_drained_server_is_in_no_target),
        cmocka_unit_test(draining_never_leaves_too_few_servers),
        cmocka_unit_test(only_an_empty_drained_server_is_removed),
        cmocka_unit_test(an_added_server_takes_part),
        cmocka_unit_test(addresses_that_cannot_be_are_refused),
        cmocka_unit_test(an_id_is_never_used_again),
        cmocka_unit_test(rebalancing_evens_copies_and_primaries),
        cmocka_unit_test(leads_pass_through_servers),
        cmocka_unit_test(leads_stay_where_they_can),
        cmocka_unit_test(the_longest_copy_starts_a_new_history),
        cmocka_unit_test(the_epoch_of_a_copy_counts_before_its_length),
        cmocka_unit_test(a_replaced_store_holds_no_copy),
        cmocka_unit_test(the_operator_may_choose_the_copy),
        cmocka_unit_test(what_is_not_lost_is_not_given_up),
        cmocka_unit_test(a_server_without_a_copy_begins_only_where_there_is_none),
        cmocka_unit_test(status_tells_what_moves_and_who_holds_what),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
