/* Who may be which server (ARCHITECTURE.md R10): every way in, and every refusal names both sides.
 */
#include "tests/unit/manager_fixture.h"

/* Registers, expects `status` and every one of `words` (a NULL-ended list) in the message. */
static void expect(struct membership *membership, const struct registration *wanted,
                   enum manager_status status, const char *const *words)
{
    const uint64_t version = membership->map.version;
    const size_t changes = membership->change_count;
    struct membership_reply reply;

    assert_int_equal(try_register(membership, wanted, &reply), status);
    for (; words != NULL && *words != NULL; words++)
        if (strstr(reply.message, *words) == NULL)
            fail_msg("\"%s\" does not say \"%s\"", reply.message, *words);
    if (status != MANAGER_OK) {
        assert_int_not_equal(reply.message[0], '\0');
        assert_false(reply.changed);
        assert_true(membership->map.version == version && membership->change_count == changes);
    }
    membership_reply_free(&reply);
}

#define WORDS(...)                                                                                 \
    (const char *const[])                                                                          \
    {                                                                                              \
        __VA_ARGS__, NULL                                                                          \
    }

static void the_map_appears_when_all_have_registered(void **state)
{
    struct membership *membership = new_membership(2);
    struct membership_reply reply;
    struct cluster_map map;

    (void)state;
    for (uint32_t i = 0; i < SERVERS; i++) {
        const struct registration wanted = {.server = i, .store = store_of(i), .incarnation = 4};

        assert_int_equal(try_register(membership, &wanted, &reply), MANAGER_OK);
        assert_true(reply.changed);
        assert_int_equal(reply.map != NULL, i == SERVERS - 1);
        if (i < SERVERS - 1)
            membership_reply_free(&reply);
    }
    assert_int_equal(cluster_map_unpack(reply.map->bytes.data, reply.map->bytes.length, &map, NULL),
                     0);
    assert_true(map.version == reply.map_version && map.version == 1 + SERVERS + 1);
    for (uint32_t i = 0; i < PARTITIONS; i++) {
        const struct configuration *configuration = &map.configurations[i];

        assert_true(configuration->epoch == 1 && configuration->history == 1);
        assert_int_equal(configuration->member_count, 2);
        assert_int_equal(configuration->learner_count, 0);
        assert_int_equal(configuration->primary.server, configuration->members[0].server);
        assert_true(configuration->primary.incarnation == 4);
        assert_true(configuration->primary.store == store_of(configuration->primary.server));
        assert_int_not_equal(configuration->members[0].server, configuration->members[1].server);
    }
    assert_int_equal(membership->change_count, SERVERS + 1);
    assert_int_equal(membership->changes[SERVERS].kind, CHANGE_PLACED);
    cluster_map_free(&map);
    membership_reply_free(&reply);
    membership_free(membership);
}

static void a_restart_and_a_repeated_call_are_welcome(void **state)
{
    struct membership *membership = placed_membership(1);
    struct membership_reply reply;
    struct registration again = {
        .cluster = CLUSTER, .server = 1, .store = store_of(1), .incarnation = 1};
    const uint64_t version = membership->map.version;

    (void)state;
    assert_int_equal(try_register(membership, &again, &reply), MANAGER_OK);
    assert_false(reply.changed);
    assert_true(membership->map.version == version);
    membership_reply_free(&reply);
    again.incarnation = 5;
    assert_int_equal(try_register(membership, &again, &reply), MANAGER_OK);
    assert_true(reply.changed && reply.map != NULL);
    assert_true(membership->map.version == version + 1);
    assert_true(membership->map.servers[1].incarnation == 5);
    membership_reply_free(&reply);
    /* The answer to its first registration was lost before it could store the cluster's id. */
    again.cluster = 0;
    again.incarnation = 6;
    expect(membership, &again, MANAGER_OK, NULL);
    membership_free(membership);
}

static void an_unexpected_id_is_refused(void **state)
{
    struct membership *membership = new_membership(1);

    (void)state;
    expect(membership, &(struct registration){.server = SERVERS, .store = 9, .incarnation = 1},
           MANAGER_UNKNOWN_SERVER, WORDS("server 3", "names 3", "0 to 2"));
    membership_free(membership);
}

static void an_incomplete_identity_is_refused(void **state)
{
    struct membership *membership = new_membership(1);

    (void)state;
    expect(membership, &(struct registration){.store = 0, .incarnation = 1}, MANAGER_INVALID,
           WORDS("store"));
    expect(membership, &(struct registration){.store = 1, .incarnation = 0}, MANAGER_INVALID,
           WORDS("incarnation"));
    membership_free(membership);
}

static void another_cluster_is_refused(void **state)
{
    struct membership *membership = placed_membership(1);

    (void)state;
    expect(membership,
           &(struct registration){
               .cluster = 0xabc, .server = 1, .store = store_of(1), .incarnation = 2},
           MANAGER_WRONG_CLUSTER, WORDS("server 1", "0000000000000abc", "00000000000000c1"));
    membership_free(membership);
}

static void an_empty_manager_refuses_servers_of_a_cluster(void **state)
{
    struct membership *membership = new_membership(1);

    (void)state;
    expect(membership,
           &(struct registration){
               .cluster = 0xabc, .server = 1, .store = store_of(1), .incarnation = 2},
           MANAGER_EMPTY_MANAGER, WORDS("0000000000000abc", "00000000000000c1", "new"));
    /* Even with the right id: whoever knows it has been registered, so this manager forgot. */
    expect(membership,
           &(struct registration){
               .cluster = CLUSTER, .server = 1, .store = store_of(1), .incarnation = 2},
           MANAGER_EMPTY_MANAGER, WORDS("never registered", "older copy"));
    membership_free(membership);
}

static void addresses_are_compared(void **state)
{
    static const struct {
        const char *listen;
        enum manager_status status;
    } cases[] = {
        {"127.0.0.1:3778", MANAGER_OK},
        {"localhost:3778", MANAGER_OK},
        {"LocalHost:3778", MANAGER_OK},
        {"[::1]:3778", MANAGER_OK},
        {"0.0.0.0:3778", MANAGER_OK},
        {"[::]:3778", MANAGER_OK},
        {"some-name:3778", MANAGER_OK}, /* not resolved here */
        {"127.0.0.1:3777", MANAGER_WRONG_ADDRESS},
        {"0.0.0.0:3779", MANAGER_WRONG_ADDRESS},
        {"some-name:3779", MANAGER_WRONG_ADDRESS},
        {"127.0.0.2:3778", MANAGER_WRONG_ADDRESS}, /* another address of the same machine */
        {"10.0.0.1:3778", MANAGER_WRONG_ADDRESS},
        {"[2001:db8::1]:3778", MANAGER_WRONG_ADDRESS},
        {"", MANAGER_INVALID},
        {"127.0.0.1", MANAGER_INVALID},
        {"127.0.0.1:99999", MANAGER_INVALID},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct membership *membership = new_membership(1);

        expect(membership,
               &(struct registration){
                   .server = 1, .store = 1, .incarnation = 1, .listen = cases[i].listen},
               cases[i].status,
               cases[i].status == MANAGER_WRONG_ADDRESS
                   ? WORDS("server 1", cases[i].listen, "127.0.0.1:3778")
                   : NULL);
        membership_free(membership);
    }
}

static void literal_addresses_must_be_equal(void **state)
{
    struct membership *membership = new_membership(1);
    struct address *expected = &membership->map.servers[1].address;

    (void)state;
    (void)snprintf(expected->host, sizeof expected->host, "10.0.0.1");
    expect(membership,
           &(struct registration){
               .server = 1, .store = 1, .incarnation = 1, .listen = "10.0.0.2:3778"},
           MANAGER_WRONG_ADDRESS, NULL);
    expect(membership,
           &(struct registration){
               .server = 1, .store = 1, .incarnation = 1, .listen = "127.0.0.1:3778"},
           MANAGER_WRONG_ADDRESS, NULL);
    expect(membership,
           &(struct registration){
               .server = 1, .store = 1, .incarnation = 1, .listen = "[::ffff:10.0.0.1]:3778"},
           MANAGER_OK, NULL);
    membership_free(membership);
}

static void an_older_incarnation_is_stale(void **state)
{
    struct membership *membership = placed_membership(1);
    struct registration wanted = {
        .cluster = CLUSTER, .server = 1, .store = store_of(1), .incarnation = 9};

    (void)state;
    expect(membership, &wanted, MANAGER_OK, NULL);
    wanted.incarnation = 8;
    expect(membership, &wanted, MANAGER_STALE, WORDS("server 1", "8", "9"));
    membership_free(membership);
}

static void a_second_data_directory_under_an_id_is_refused(void **state)
{
    struct membership *membership = placed_membership(1);
    struct registration wanted = {.cluster = CLUSTER,
                                  .server = 1,
                                  .store = 0x7777,
                                  .incarnation = 1,
                                  .now_ms = UINT64_C(1) << 40};

    (void)state;
    expect(membership, &wanted, MANAGER_DUPLICATE_ID,
           WORDS("server 1", "0000000000005001", "0000000000007777"));
    wanted.replace_store = true; /* only an empty directory may replace */
    expect(membership, &wanted, MANAGER_DUPLICATE_ID, NULL);
    membership_free(membership);
}

static void a_store_belongs_to_one_id(void **state)
{
    struct membership *membership = new_membership(1);

    (void)state;
    register_one(membership, 0, 1000);
    expect(membership, &(struct registration){.server = 1, .store = store_of(0), .incarnation = 1},
           MANAGER_DUPLICATE_ID, WORDS("server 1", "0000000000005000", "server 0", "3777"));
    membership_free(membership);
}

static void a_wiped_directory_is_a_stranger(void **state)
{
    struct membership *membership = placed_membership(1);
    struct registration wanted = {
        .server = 1, .store = 0x7777, .incarnation = 1, .now_ms = 1000 + MEMBERSHIP_ALIVE_MS};

    (void)state;
    expect(membership, &wanted, MANAGER_WIPED_STORE,
           WORDS("server 1", "0000000000005001", "0000000000007777", "empty data directory",
                 "--replace-store"));
    membership_free(membership);
}

static void a_second_process_beside_a_living_server_is_a_duplicate(void **state)
{
    struct membership *membership = placed_membership(1);
    struct registration wanted = {
        .server = 1, .store = 0x7777, .incarnation = 1, .now_ms = 1000 + MEMBERSHIP_ALIVE_MS - 1};

    (void)state;
    expect(membership, &wanted, MANAGER_DUPLICATE_ID, WORDS("1999 ms ago", "--replace-store"));
    wanted.replace_store = true;
    expect(membership, &wanted, MANAGER_DUPLICATE_ID, WORDS("once the old one is off"));
    wanted.now_ms++;
    expect(membership, &wanted, MANAGER_OK, NULL);
    membership_free(membership);
}

static void a_replaced_store_never_comes_back(void **state)
{
    struct membership *membership = placed_membership(1);
    const uint64_t later = UINT64_C(1) << 40;

    (void)state;
    expect(
        membership,
        &(struct registration){
            .server = 1, .store = 0x7777, .incarnation = 1, .replace_store = true, .now_ms = later},
        MANAGER_OK, NULL);
    assert_true(membership->map.servers[1].store == 0x7777);
    assert_int_equal(membership->retired_count, 1);
    for (uint32_t server = 0; server < SERVERS; server++)
        expect(membership,
               &(struct registration){.cluster = server == 1 ? CLUSTER : 0,
                                      .server = server,
                                      .store = store_of(1),
                                      .incarnation = 99,
                                      .replace_store = true,
                                      .now_ms = 2 * later},
               MANAGER_DUPLICATE_ID, WORDS("0000000000005001", "replaced"));
    membership_free(membership);
}

static void replaced_stores_have_a_limit(void **state)
{
    struct membership *membership = placed_membership(1);
    struct registration wanted = {.server = 1, .incarnation = 1, .replace_store = true};

    (void)state;
    for (uint32_t i = 0; i < MEMBERSHIP_RETIRED_LIMIT; i++) {
        wanted.store = 0x10000 + i;
        wanted.now_ms += 1000000;
        expect(membership, &wanted, MANAGER_OK, NULL);
        membership_clear_changes(membership);
    }
    wanted.store++;
    wanted.now_ms += 1000000;
    expect(membership, &wanted, MANAGER_INVALID, WORDS("4096"));
    membership_free(membership);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_map_appears_when_all_have_registered),
        cmocka_unit_test(a_restart_and_a_repeated_call_are_welcome),
        cmocka_unit_test(an_unexpected_id_is_refused),
        cmocka_unit_test(an_incomplete_identity_is_refused),
        cmocka_unit_test(another_cluster_is_refused),
        cmocka_unit_test(an_empty_manager_refuses_servers_of_a_cluster),
        cmocka_unit_test(addresses_are_compared),
        cmocka_unit_test(literal_addresses_must_be_equal),
        cmocka_unit_test(an_older_incarnation_is_stale),
        cmocka_unit_test(a_second_data_directory_under_an_id_is_refused),
        cmocka_unit_test(a_store_belongs_to_one_id),
        cmocka_unit_test(a_wiped_directory_is_a_stranger),
        cmocka_unit_test(a_second_process_beside_a_living_server_is_a_duplicate),
        cmocka_unit_test(a_replaced_store_never_comes_back),
        cmocka_unit_test(replaced_stores_have_a_limit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
