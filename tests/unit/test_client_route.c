/* The table of primaries: what maps and redirects do to it, and to connections. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "client/route.h"

enum { PARTITIONS = 4, SERVERS = 3 };

struct fixture {
    uv_loop_t loop;
    unsigned closing;
    struct route route;
    struct map_server servers[SERVERS];
    struct configuration configurations[PARTITIONS];
    struct cluster_map map;
};

static struct fixture fixture;

static void set_primary(uint32_t partition, uint32_t server, uint64_t epoch)
{
    struct configuration *configuration = &fixture.configurations[partition];

    *configuration = (struct configuration){
        .partition = partition,
        .history = 1,
        .epoch = epoch,
        .primary = {server, 100 + server, 1},
        .member_count = 1,
        .members = {{server, 100 + server, 0}},
    };
}

static void set_address(uint32_t server, uint16_t port)
{
    struct map_server *entry = &fixture.servers[server];

    memset(entry, 0, sizeof(*entry));
    entry->id = server;
    snprintf(entry->address.host, sizeof(entry->address.host), "127.0.0.1");
    entry->address.port = port;
    address_format(&entry->address, entry->address_text);
    entry->store = 100 + server;
}

static int setup(void **state)
{
    (void)state;
    memset(&fixture, 0, sizeof(fixture));
    assert_int_equal(uv_loop_init(&fixture.loop), 0);
    route_init(&fixture.route, &fixture.loop, &fixture.closing);
    for (uint32_t i = 0; i < SERVERS; i++) {
        set_address(i, (uint16_t)(1000 + i));
    }
    for (uint32_t p = 0; p < PARTITIONS; p++) {
        set_primary(p, p % SERVERS, 5);
    }
    fixture.map = (struct cluster_map){
        .cluster = 77,
        .version = 10,
        .partitions = PARTITIONS,
        .replicas = 1,
        .server_count = SERVERS,
        .servers = fixture.servers,
        .configurations = fixture.configurations,
    };
    return 0;
}

static void drain(void)
{
    while (fixture.closing > 0) {
        uv_run(&fixture.loop, UV_RUN_ONCE);
    }
}

static int teardown(void **state)
{
    (void)state;
    route_close(&fixture.route);
    drain();
    uv_run(&fixture.loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&fixture.loop), 0);
    return 0;
}

static void install(int wanted)
{
    struct error error = {0};

    assert_int_equal(route_install(&fixture.route, &fixture.map, &error), wanted);
    assert_int_equal(error.message[0] != '\0', wanted != CAIRN_OK);
}

static void test_a_map_names_the_primaries(void **state)
{
    (void)state;
    assert_false(route_is_ready(&fixture.route));
    install(CAIRN_OK);
    assert_true(route_is_ready(&fixture.route));
    for (uint32_t p = 0; p < PARTITIONS; p++) {
        assert_int_equal(route_primary(&fixture.route, p)->id, p % SERVERS);
    }
    assert_null(route_server_by_id(&fixture.route, 9));
}

static void test_an_older_map_changes_nothing(void **state)
{
    (void)state;
    install(CAIRN_OK);
    fixture.map.version = 9;
    set_primary(0, 2, 6);
    install(CAIRN_OK);
    assert_int_equal(route_primary(&fixture.route, 0)->id, 0);
    assert_int_equal(fixture.route.version, 10);
}

static void test_another_cluster_or_partition_count_is_refused(void **state)
{
    (void)state;
    install(CAIRN_OK);
    fixture.map.version = 11;
    fixture.map.cluster = 78;
    install(CAIRN_ECONFLICT);
    fixture.map.cluster = 77;
    fixture.map.partitions = PARTITIONS - 1;
    install(CAIRN_ECONFLICT);
    assert_int_equal(fixture.route.version, 10);
    assert_int_equal(route_primary(&fixture.route, 3)->id, 0);
}

static void test_a_redirect_counts_if_it_is_newer(void **state)
{
    const server_redirect older = {.epoch = 4, .primary = 1};
    const server_redirect same = {.epoch = 5, .primary = 1};
    const server_redirect newer = {.epoch = 6, .primary = 1};
    const server_redirect stranger = {.epoch = 9, .primary = 77};
    const server_redirect unknown = {.epoch = 9, .primary = UINT32_MAX};

    (void)state;
    install(CAIRN_OK);
    assert_false(route_redirect(&fixture.route, 0, &older));
    assert_false(route_redirect(&fixture.route, 0, &same));
    assert_false(route_redirect(&fixture.route, 0, &stranger));
    assert_false(route_redirect(&fixture.route, 0, &unknown));
    assert_false(route_redirect(&fixture.route, PARTITIONS, &newer));
    assert_int_equal(route_primary(&fixture.route, 0)->id, 0);
    uint64_t generation = fixture.route.generation;
    assert_true(route_redirect(&fixture.route, 0, &newer));
    assert_int_equal(route_primary(&fixture.route, 0)->id, 1);
    assert_true(fixture.route.generation > generation);
}

static void test_a_map_behind_a_redirect_does_not_undo_it(void **state)
{
    const server_redirect newer = {.epoch = 6, .primary = 1};

    (void)state;
    install(CAIRN_OK);
    assert_true(route_redirect(&fixture.route, 0, &newer));
    fixture.map.version = 11;
    install(CAIRN_OK);
    assert_int_equal(route_primary(&fixture.route, 0)->id, 1);
    fixture.map.version = 12;
    set_primary(0, 2, 7);
    install(CAIRN_OK);
    assert_int_equal(route_primary(&fixture.route, 0)->id, 2);
}

static void test_connections_are_kept_as_long_as_the_address(void **state)
{
    (void)state;
    install(CAIRN_OK);
    struct route_server *kept = route_primary(&fixture.route, 0);
    struct route_server *moved = route_primary(&fixture.route, 1);
    const struct rpc_client *connection = route_connection(&fixture.route, kept);
    assert_non_null(connection);
    assert_non_null(route_connection(&fixture.route, moved));
    fixture.map.version = 11;
    set_address(1, 2001);
    install(CAIRN_OK);
    assert_ptr_equal(route_primary(&fixture.route, 0), kept);
    assert_ptr_equal(kept->rpc, connection);
    assert_int_equal(fixture.closing, 1);
    assert_null(route_primary(&fixture.route, 1)->rpc);
    assert_int_equal(route_primary(&fixture.route, 1)->address.port, 2001);
    drain();
}

static void test_servers_may_leave_and_change_places(void **state)
{
    (void)state;
    install(CAIRN_OK);
    assert_non_null(route_connection(&fixture.route, route_primary(&fixture.route, 2)));
    fixture.map.version = 11;
    /* The last one leaves, the first two change places in the list. */
    struct map_server first = fixture.servers[0];
    fixture.servers[0] = fixture.servers[1];
    fixture.servers[1] = first;
    fixture.map.server_count = 2;
    for (uint32_t p = 0; p < PARTITIONS; p++) {
        set_primary(p, p % 2, 6);
    }
    install(CAIRN_OK);
    for (uint32_t p = 0; p < PARTITIONS; p++) {
        assert_int_equal(route_primary(&fixture.route, p)->id, p % 2);
    }
    assert_null(route_server_by_id(&fixture.route, 2));
    drain();
}

static void test_reasons_do_not_repeat_the_address(void **state)
{
    (void)state;
    assert_string_equal(route_reason("a:1: refused", "a:1"), "refused");
    assert_string_equal(route_reason("a:12: refused", "a:1"), "a:12: refused");
    assert_string_equal(route_reason("", "a:1"), "");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_a_map_names_the_primaries),
        TEST(test_an_older_map_changes_nothing),
        TEST(test_another_cluster_or_partition_count_is_refused),
        TEST(test_a_redirect_counts_if_it_is_newer),
        TEST(test_a_map_behind_a_redirect_does_not_undo_it),
        TEST(test_connections_are_kept_as_long_as_the_address),
        TEST(test_servers_may_leave_and_change_places),
        TEST(test_reasons_do_not_repeat_the_address),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
