/* The cluster's state as JSON: which copies are missing, how far the slowest is behind, who moves.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "client/status_report.h"

enum { SERVERS = 3, PARTITIONS = 2 };

static struct status_report report;
static json_t *json;

/* Partition 0: server 0 leads, 1 and 2 are members. Partition 1: server 1 leads alone, 2 learns. */
static void pack_map(struct buffer *packed)
{
    static struct map_server servers[SERVERS];
    static struct configuration configurations[PARTITIONS];
    static struct target targets[PARTITIONS];
    struct cluster_map map = {.cluster = 7,
                              .version = 3,
                              .partitions = PARTITIONS,
                              .replicas = 3,
                              .server_count = SERVERS,
                              .servers = servers,
                              .configurations = configurations,
                              .targets = targets};
    struct error error = {0};

    for (uint32_t i = 0; i < SERVERS; i++) {
        servers[i] = (struct map_server){.id = i, .store = 100 + i, .incarnation = 1};
        servers[i].address = (struct address){.host = "127.0.0.1", .port = (uint16_t)(1000 + i)};
        address_format(&servers[i].address, servers[i].address_text);
    }
    configurations[0] = (struct configuration){.partition = 0,
                                               .history = 1,
                                               .epoch = 4,
                                               .primary = {0, 100, 1},
                                               .member_count = 3,
                                               .members = {{0, 100, 0}, {1, 101, 0}, {2, 102, 0}}};
    configurations[1] = (struct configuration){.partition = 1,
                                               .history = 1,
                                               .epoch = 9,
                                               .primary = {1, 101, 1},
                                               .member_count = 1,
                                               .members = {{1, 101, 0}},
                                               .learner_count = 1,
                                               .learners = {{2, 102, 0}}};
    for (uint32_t p = 0; p < PARTITIONS; p++) {
        targets[p] = (struct target){3, {0, 1, 2}, TARGET_ANY};
    }
    buffer_init(packed, CAIRN_MAP_LIMIT);
    assert_int_equal(cluster_map_pack(&map, packed, &error), 0);
}

static int setup(void **state)
{
    server_state states[SERVERS];
    server_duty duties[SERVERS];
    char texts[SERVERS][32];
    uint32_t moving[] = {1};
    struct buffer packed;
    struct error error = {0};

    (void)state;
    pack_map(&packed);
    memset(states, 0, sizeof(states));
    for (uint32_t i = 0; i < SERVERS; i++) {
        snprintf(texts[i], sizeof(texts[i]), "127.0.0.1:%u", 1000 + i);
        states[i] =
            (server_state){.server = i, .address = view_of_text(texts[i]), .registered = true};
        duties[i] = (server_duty){.draining = i == 2, .copies = 5 + i, .primaries = 2 + i};
    }
    const manager_report said = {
        .cluster = 7,
        .partitions = PARTITIONS,
        .replicas = 3,
        .replace_after_ms = 60000,
        .servers = {SERVERS, states},
        .duties = {SERVERS, duties},
        .moving = {1, moving},
        .map = {packed.data, (uint32_t)packed.length},
    };
    status_report_init(&report);
    assert_int_equal(status_take_manager(&report, &said, &error), 0);
    buffer_free(&packed);
    json = NULL;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    json_decref(json);
    status_report_free(&report);
    return 0;
}

/* What server 0 says of partition 0, whose log ends at 50. The array is gone when it is used. */
static void server_0_says(uint32_t role, uint64_t matched_1, uint64_t matched_2, uint32_t count)
{
    copy_status copies[] = {
        {.server = 1, .member = true, .matched_index = matched_1},
        {.server = 2, .member = true, .matched_index = matched_2},
    };
    partition_status partitions[] = {
        {.partition = 0, .role = role, .last_index = 50, .commit_index = 40}};
    partition_copies all[] = {{.copies = {count, copies}}};
    const server_report said = {.server = 0, .partitions = {1, partitions}, .copies = {1, all}};

    status_take_server(&report.servers[0], &said);
    memset(copies, 0xee, sizeof(copies));
    memset(partitions, 0xee, sizeof(partitions));
    memset(all, 0xee, sizeof(all));
}

static const json_t *partition(size_t index)
{
    if (json == NULL) {
        char *text = status_report_json(&report);
        json_error_t error;
        assert_non_null(text);
        json = json_loads(text, 0, &error);
        free(text);
    }
    return json_array_get(json_object_get(json, "partitions"), index);
}

static json_int_t number(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);

    assert_true(json_is_integer(value));
    return json_integer_value(value);
}

static json_int_t item(const json_t *object, const char *name, size_t index, size_t count)
{
    const json_t *array = json_object_get(object, name);

    assert_int_equal(json_array_size(array), count);
    return json_integer_value(json_array_get(array, index));
}

static void test_copies_are_counted_against_what_is_wanted(void **state)
{
    (void)state;
    assert_int_equal(number(partition(0), "copies"), 3);
    assert_int_equal(number(partition(0), "wanted"), 3);
    assert_int_equal(number(partition(1), "copies"), 1);
    assert_int_equal(number(json, "missing_copies"), 1);
    assert_int_equal(item(json, "moving", 0, 1), 1);
    assert_int_equal(number(json, "replace_after_ms"), 60000);
}

static void test_who_has_which_part(void **state)
{
    (void)state;
    assert_int_equal(number(partition(0), "primary"), 0);
    assert_int_equal(item(partition(0), "backups", 0, 2), 1);
    assert_int_equal(item(partition(0), "backups", 1, 2), 2);
    assert_int_equal(item(partition(0), "members", 0, 3), 0);
    assert_int_equal(json_array_size(json_object_get(partition(1), "backups")), 0);
    assert_int_equal(item(partition(1), "learners", 0, 1), 2);
    assert_int_equal(number(partition(1), "epoch"), 9);
}

static void test_what_the_manager_says_of_servers(void **state)
{
    (void)state;
    partition(0);
    const json_t *server = json_array_get(json_object_get(json, "servers"), 2);
    assert_true(json_is_true(json_object_get(server, "draining")));
    assert_int_equal(number(server, "copies"), 7);
    assert_int_equal(number(server, "primaries"), 4);
    server = json_array_get(json_object_get(json, "servers"), 1);
    assert_true(json_is_false(json_object_get(server, "draining")));
}

static void test_a_removed_server_is_said_to_be(void **state)
{
    (void)state;
    report.servers[2].removed = true;
    partition(0);
    const json_t *server = json_array_get(json_object_get(json, "servers"), 2);
    assert_string_equal(json_string_value(json_object_get(server, "state")), "removed");
}

static void test_the_lag_is_that_of_the_slowest_member(void **state)
{
    (void)state;
    server_0_says(2, 50, 43, 2);
    assert_int_equal(number(partition(0), "lag"), 7);
}

static void test_nobody_behind_is_no_lag(void **state)
{
    (void)state;
    server_0_says(2, 50, 50, 2);
    assert_int_equal(number(partition(0), "lag"), 0);
}

static void test_a_lag_that_nobody_knows_is_null(void **state)
{
    (void)state;
    assert_true(json_is_null(json_object_get(partition(0), "lag")));
    assert_true(json_is_null(json_object_get(partition(1), "lag")));
}

static void test_a_primary_that_does_not_lead_knows_no_lag(void **state)
{
    (void)state;
    server_0_says(1, 50, 43, 2);
    assert_true(json_is_null(json_object_get(partition(0), "lag")));
}

static void test_a_member_of_which_the_primary_says_nothing(void **state)
{
    (void)state;
    server_0_says(2, 50, 43, 1);
    assert_true(json_is_null(json_object_get(partition(0), "lag")));
}

/* 0.1.0 told of neither: nobody drains, and how far others are is not known. */
static void test_older_peers_tell_of_no_duties_and_copies(void **state)
{
    partition_status partitions[] = {{.partition = 0, .role = 2, .last_index = 50}};
    const server_report server = {.partitions = {1, partitions}};
    server_state states[] = {{.registered = true, .address = view_of_text("127.0.0.1:1000")}};
    const manager_report manager = {.partitions = PARTITIONS, .servers = {1, states}};
    struct status_report old;
    struct error error = {0};

    (void)state;
    status_take_server(&report.servers[0], &server);
    assert_true(json_is_null(json_object_get(partition(0), "lag")));
    assert_string_equal(json_string_value(json_object_get(partition(0), "state")), "ok");
    status_report_init(&old);
    assert_int_equal(status_take_manager(&old, &manager, &error), 0);
    assert_true(old.servers[0].registered && !old.servers[0].draining && !old.servers[0].removed);
    assert_int_equal(old.servers[0].copy_count, 0);
    status_report_free(&old);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_copies_are_counted_against_what_is_wanted),
        TEST(test_older_peers_tell_of_no_duties_and_copies),
        TEST(test_who_has_which_part),
        TEST(test_what_the_manager_says_of_servers),
        TEST(test_a_removed_server_is_said_to_be),
        TEST(test_the_lag_is_that_of_the_slowest_member),
        TEST(test_nobody_behind_is_no_lag),
        TEST(test_a_lag_that_nobody_knows_is_null),
        TEST(test_a_primary_that_does_not_lead_knows_no_lag),
        TEST(test_a_member_of_which_the_primary_says_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
