/* The cluster map's decoder takes what its encoder wrote and refuses everything that breaks a rule.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/random.h"
#include "proto/durable.pb-c.h"
#include "proto/map.h"
#include "tests/unit/configuration_compare.h"

enum { SERVERS = 3, PARTITIONS = 5, REPLICAS = 2 };

static void fill_server(struct map_server *server, uint32_t id, const char *address)
{
    server->id = id;
    assert_int_equal(address_parse(address, &server->address, NULL), 0);
    address_format(&server->address, server->address_text);
    server->store = 100 + id;
    server->incarnation = 7;
}

static void fill_configuration(struct configuration *configuration, uint32_t partition)
{
    configuration->partition = partition;
    configuration->history = 1;
    configuration->epoch = 3 + partition;
    configuration->switched = partition % 2 == 1;
    configuration->member_count = REPLICAS;
    for (uint32_t i = 0; i < REPLICAS; i++) {
        configuration->members[i].server = (partition + i) % SERVERS;
        configuration->members[i].store = 100 + configuration->members[i].server;
    }
    configuration->primary = configuration->members[1];
    configuration->primary.incarnation = 7;
    configuration->learner_count = 1;
    configuration->learners[0].server = (partition + REPLICAS) % SERVERS;
    configuration->learners[0].store = 100 + configuration->learners[0].server;
}

/* Partitions 0 and 2 are not where they shall be; some have a wanted primary. */
static void fill_target(struct target *target, uint32_t partition)
{
    target->server_count = REPLICAS;
    for (uint32_t i = 0; i < REPLICAS; i++)
        target->servers[i] = (partition + i + (partition % 2 == 0 ? 1 : 0)) % SERVERS;
    target->primary = partition < 2 ? target->servers[1] : TARGET_ANY;
}

static void fill_map(struct cluster_map *map)
{
    static const char *const addresses[] = {"127.0.0.1:3777", "[::1]:3778", "node-c:3779"};

    memset(map, 0, sizeof *map);
    map->cluster = 0xfeedbeef12345678;
    map->version = 42;
    map->partitions = PARTITIONS;
    map->replicas = REPLICAS;
    map->server_count = SERVERS;
    map->founders = SERVERS - 1;
    map->servers = calloc(SERVERS, sizeof *map->servers);
    map->configurations = calloc(PARTITIONS, sizeof *map->configurations);
    assert_non_null(map->servers);
    map->targets = calloc(PARTITIONS, sizeof *map->targets);
    assert_non_null(map->configurations);
    assert_non_null(map->targets);
    for (uint32_t i = 0; i < SERVERS; i++)
        fill_server(&map->servers[i], i, addresses[i]);
    for (uint32_t i = 0; i < PARTITIONS; i++)
        fill_configuration(&map->configurations[i], i);
    for (uint32_t i = 0; i < PARTITIONS; i++)
        fill_target(&map->targets[i], i);
    map->servers[1].draining = true;
}

static void assert_same_map(const struct cluster_map *left, const struct cluster_map *right)
{
    assert_true(left->cluster == right->cluster && left->version == right->version);
    assert_int_equal(left->partitions, right->partitions);
    assert_int_equal(left->replicas, right->replicas);
    assert_int_equal(left->server_count, right->server_count);
    assert_int_equal(left->founders, right->founders);
    for (size_t i = 0; i < left->server_count; i++) {
        assert_int_equal(left->servers[i].id, right->servers[i].id);
        assert_string_equal(left->servers[i].address_text, right->servers[i].address_text);
        assert_true(address_equal(&left->servers[i].address, &right->servers[i].address));
        assert_true(left->servers[i].store == right->servers[i].store);
        assert_true(left->servers[i].incarnation == right->servers[i].incarnation);
        assert_int_equal(left->servers[i].draining, right->servers[i].draining);
        assert_int_equal(left->servers[i].removed, right->servers[i].removed);
    }
    assert_int_equal(left->configurations == NULL, right->configurations == NULL);
    for (uint32_t i = 0; left->configurations != NULL && i < left->partitions; i++)
        assert_same_configuration(&left->configurations[i], &right->configurations[i]);
    assert_int_equal(left->targets == NULL, right->targets == NULL);
    for (uint32_t i = 0; left->targets != NULL && i < left->partitions; i++)
        assert_same_target(&left->targets[i], &right->targets[i]);
}

static void pack(const struct cluster_map *map, struct buffer *out)
{
    buffer_init(out, CAIRN_MAP_LIMIT);
    assert_int_equal(cluster_map_pack(map, out, NULL), 0);
}

static void a_map_survives_the_round_trip(void **state)
{
    struct cluster_map map, read, copy;
    struct buffer bytes;
    struct error error = {0};

    (void)state;
    fill_map(&map);
    pack(&map, &bytes);
    assert_int_equal(cluster_map_unpack(bytes.data, bytes.length, &read, &error), 0);
    assert_same_map(&map, &read);
    assert_ptr_equal(cluster_map_server(&read, 2), &read.servers[2]);
    assert_null(cluster_map_server(&read, 3));
    assert_int_equal(cluster_map_copy(&read, &copy), 0);
    cluster_map_free(&read);
    assert_null(read.servers);
    assert_same_map(&map, &copy);
    cluster_map_free(&copy);
    buffer_free(&bytes);
    cluster_map_free(&map);
}

static void a_map_that_is_not_placed_survives_too(void **state)
{
    struct cluster_map map, read;
    struct buffer bytes;

    (void)state;
    fill_map(&map);
    free(map.configurations);
    free(map.targets);
    map.configurations = NULL;
    map.targets = NULL;
    map.servers[2].removed = true;
    map.servers[1].store = map.servers[1].incarnation = 0;
    pack(&map, &bytes);
    assert_int_equal(cluster_map_unpack(bytes.data, bytes.length, &read, NULL), 0);
    assert_same_map(&map, &read);
    cluster_map_free(&read);
    buffer_free(&bytes);
    cluster_map_free(&map);
}

/* Data from before there were targets: every copy shall stay where it is. */
static void a_map_without_targets_gets_them_from_the_members(void **state)
{
    struct cluster_map map, read;
    struct buffer bytes;

    (void)state;
    fill_map(&map);
    free(map.targets);
    map.targets = NULL;
    pack(&map, &bytes);
    assert_int_equal(cluster_map_unpack(bytes.data, bytes.length, &read, NULL), 0);
    assert_non_null(read.targets);
    for (uint32_t i = 0; i < PARTITIONS; i++) {
        assert_int_equal(read.targets[i].server_count, REPLICAS);
        for (uint32_t j = 0; j < REPLICAS; j++)
            assert_int_equal(read.targets[i].servers[j], read.configurations[i].members[j].server);
        assert_true(read.targets[i].primary == TARGET_ANY);
    }
    cluster_map_free(&read);
    buffer_free(&bytes);
    cluster_map_free(&map);
}

static void the_largest_map_fits_its_limits(void **state)
{
    struct cluster_map map, read;
    struct buffer bytes;

    (void)state;
    memset(&map, 0, sizeof map);
    map.cluster = map.version = UINT64_MAX;
    map.partitions = CAIRN_PARTITIONS_LIMIT;
    map.replicas = CAIRN_REPLICAS_LIMIT;
    map.server_count = CAIRN_SERVERS_LIMIT;
    map.servers = calloc(map.server_count, sizeof *map.servers);
    map.configurations = calloc(map.partitions, sizeof *map.configurations);
    map.targets = calloc(map.partitions, sizeof *map.targets);
    assert_true(map.servers != NULL && map.configurations != NULL && map.targets != NULL);
    for (uint32_t i = 0; i < map.server_count; i++)
        fill_server(&map.servers[i], i, "[1111:2222:3333:4444:5555:6666:7777:8888]:65535");
    for (uint32_t i = 0; i < map.partitions; i++) {
        struct configuration *configuration = &map.configurations[i];

        configuration->partition = i;
        configuration->history = configuration->epoch = UINT64_MAX;
        configuration->member_count = configuration->learner_count = CAIRN_REPLICAS_LIMIT;
        for (uint32_t j = 0; j < CAIRN_REPLICAS_LIMIT; j++) {
            configuration->members[j] = (struct replica_id){255 - j, UINT64_MAX - j, 0};
            configuration->learners[j] = (struct replica_id){200 - j, UINT64_MAX - 99 - j, 0};
        }
        configuration->primary = configuration->members[0];
        configuration->primary.incarnation = UINT64_MAX;
        configuration->switched = true;
        map.targets[i].server_count = CAIRN_REPLICAS_LIMIT;
        for (uint32_t j = 0; j < CAIRN_REPLICAS_LIMIT; j++)
            map.targets[i].servers[j] = 255 - j;
        map.targets[i].primary = 255;
    }
    pack(&map, &bytes);
    assert_int_equal(cluster_map_unpack(bytes.data, bytes.length, &read, NULL), 0);
    assert_same_map(&map, &read);
    cluster_map_free(&read);
    buffer_free(&bytes);
    cluster_map_free(&map);
}

/* Each breaks one rule of a valid map; encoder and checker must both see it. */
typedef void (*spoil)(struct cluster_map *map);

static void no_cluster(struct cluster_map *map)
{
    map->cluster = 0;
}
static void no_version(struct cluster_map *map)
{
    map->version = 0;
}
static void no_partitions(struct cluster_map *map)
{
    map->partitions = 0;
}
static void too_many_partitions(struct cluster_map *map)
{
    map->partitions = CAIRN_PARTITIONS_LIMIT + 1;
}
static void no_replicas(struct cluster_map *map)
{
    map->replicas = 0;
}
static void too_many_replicas(struct cluster_map *map)
{
    map->replicas = CAIRN_REPLICAS_LIMIT + 1;
}
static void no_servers(struct cluster_map *map)
{
    map->server_count = 0;
}
static void too_many_servers(struct cluster_map *map)
{
    map->server_count = CAIRN_SERVERS_LIMIT + 1;
}
static void too_many_founders(struct cluster_map *map)
{
    map->founders = SERVERS + 1;
}
static void twin_servers(struct cluster_map *map)
{
    map->servers[1].id = map->servers[0].id;
}
static void half_registered(struct cluster_map *map)
{
    map->servers[1].incarnation = 0;
}
static void wrong_place(struct cluster_map *map)
{
    map->configurations[1].partition = 2;
}
static void partition_out_of_range(struct cluster_map *map)
{
    map->configurations[4].partition = PARTITIONS;
}
static void no_history(struct cluster_map *map)
{
    map->configurations[0].history = 0;
}
static void no_epoch(struct cluster_map *map)
{
    map->configurations[0].epoch = 0;
}
static void no_members(struct cluster_map *map)
{
    map->configurations[0].member_count = 0;
}
static void too_many_members(struct cluster_map *map)
{
    map->configurations[0].member_count = CAIRN_REPLICAS_LIMIT + 1;
}
static void too_many_learners(struct cluster_map *map)
{
    map->configurations[0].learner_count = CAIRN_REPLICAS_LIMIT + 1;
}
static void primary_is_no_member(struct cluster_map *map)
{
    map->configurations[0].primary.server = 2;
}
static void primary_has_another_store(struct cluster_map *map)
{
    map->configurations[0].primary.store = 1;
}
static void primary_without_incarnation(struct cluster_map *map)
{
    map->configurations[0].primary.incarnation = 0;
}
static void member_without_store(struct cluster_map *map)
{
    map->configurations[0].members[0].store = 0;
}
static void member_twice(struct cluster_map *map)
{
    map->configurations[0].members[0].server = map->configurations[0].members[1].server;
}
static void member_also_learner(struct cluster_map *map)
{
    map->configurations[0].learners[0].server = map->configurations[0].members[0].server;
}
static void member_unknown(struct cluster_map *map)
{
    map->configurations[0].members[0].server = 9;
}
static void learner_unknown(struct cluster_map *map)
{
    map->configurations[0].learners[0].server = 9;
}
static void target_empty(struct cluster_map *map)
{
    map->targets[1].server_count = 0;
}
static void target_too_large(struct cluster_map *map)
{
    map->targets[1].server_count = CAIRN_REPLICAS_LIMIT + 1;
}
static void target_unknown(struct cluster_map *map)
{
    map->targets[1].servers[1] = 9;
}
static void target_twice(struct cluster_map *map)
{
    map->targets[1].servers[1] = map->targets[1].servers[0];
}
static void target_primary_outside(struct cluster_map *map)
{
    map->targets[1].primary = 0;
}
static void target_removed(struct cluster_map *map)
{
    map->servers[0].removed = true;
}
static void targets_without_configurations(struct cluster_map *map)
{
    free(map->configurations);
    map->configurations = NULL;
}

static const spoil spoils[] = {
    no_cluster,
    no_version,
    no_partitions,
    too_many_partitions,
    no_replicas,
    too_many_replicas,
    no_servers,
    too_many_servers,
    too_many_founders,
    twin_servers,
    half_registered,
    wrong_place,
    partition_out_of_range,
    no_history,
    no_epoch,
    no_members,
    too_many_members,
    too_many_learners,
    primary_is_no_member,
    primary_has_another_store,
    primary_without_incarnation,
    member_without_store,
    member_twice,
    member_also_learner,
    member_unknown,
    learner_unknown,
    target_empty,
    target_too_large,
    target_unknown,
    target_twice,
    target_primary_outside,
    target_removed,
    targets_without_configurations,
};

static void every_broken_rule_is_refused_at_packing(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof spoils / sizeof spoils[0]; i++) {
        struct cluster_map map;
        struct buffer bytes;
        struct error error = {0};

        fill_map(&map);
        spoils[i](&map);
        buffer_init(&bytes, CAIRN_MAP_LIMIT);
        assert_int_equal(cluster_map_pack(&map, &bytes, &error), CAIRN_EINVAL);
        assert_int_equal(error.code, CAIRN_EINVAL);
        assert_int_not_equal(error.message[0], 0);
        assert_int_equal(bytes.length, 0);
        buffer_free(&bytes);
        cluster_map_free(&map);
    }
}

/* --- decoding what another program could send: messages changed behind the encoder's back --- */

typedef void (*tamper)(Cairn__ClusterMap *message);

static void newer_format(Cairn__ClusterMap *message)
{
    message->format = CLUSTER_MAP_FORMAT + 1;
}
static void no_format(Cairn__ClusterMap *message)
{
    message->format = 0;
}
static void bad_address(Cairn__ClusterMap *message)
{
    message->servers[2]->address[4] = '\0'; /* "node" */
}
static void missing_configuration(Cairn__ClusterMap *message)
{
    message->n_configurations--;
}
static void missing_primary(Cairn__ClusterMap *message)
{
    message->configurations[0]->primary = NULL;
}
static void swapped_configurations(Cairn__ClusterMap *message)
{
    Cairn__Configuration *first = message->configurations[0];

    message->configurations[0] = message->configurations[1];
    message->configurations[1] = first;
}
static void missing_target(Cairn__ClusterMap *message)
{
    message->n_targets--;
}
static void swapped_targets(Cairn__ClusterMap *message)
{
    Cairn__Target *first = message->targets[0];

    message->targets[0] = message->targets[1];
    message->targets[1] = first;
}
static void empty_target(Cairn__ClusterMap *message)
{
    message->targets[0]->n_servers = 0;
}
static void target_outside_the_map(Cairn__ClusterMap *message)
{
    message->targets[0]->servers[0] = 77;
}
static void lost_servers(Cairn__ClusterMap *message)
{
    message->n_servers = 0;
}

/* Holds a message that a test takes apart; nothing in it needs to be freed. */
struct arena {
    size_t used;
    max_align_t data[1024];
};

static void *arena_alloc(void *context, size_t size)
{
    struct arena *arena = context;
    const size_t units = (size + sizeof arena->data[0] - 1) / sizeof arena->data[0];
    void *place = arena->data + arena->used;

    assert_true(arena->used + units <= sizeof arena->data / sizeof arena->data[0]);
    arena->used += units;
    return place;
}

static void arena_free(void *context, void *pointer)
{
    (void)context;
    (void)pointer;
}

static void decode_tampered(tamper change, int expected)
{
    struct cluster_map map, read;
    struct buffer bytes, changed;
    struct error error = {0};
    Cairn__ClusterMap *message;
    struct arena arena = {0};
    ProtobufCAllocator allocator = {arena_alloc, arena_free, &arena};

    fill_map(&map);
    pack(&map, &bytes);
    message = cairn__cluster_map__unpack(&allocator, bytes.length, bytes.data);
    assert_non_null(message);
    change(message);
    buffer_init(&changed, CAIRN_MAP_LIMIT);
    assert_int_equal(buffer_reserve(&changed, bytes.length + 16), 0);
    changed.length = cairn__cluster_map__pack(message, changed.data);
    assert_int_equal(cluster_map_unpack(changed.data, changed.length, &read, &error), expected);
    assert_int_equal(error.code, expected);
    assert_int_not_equal(error.message[0], 0);
    assert_null(read.servers);
    assert_null(read.configurations);
    assert_null(read.targets);
    buffer_free(&changed);
    buffer_free(&bytes);
    cluster_map_free(&map);
}

static void every_broken_rule_is_refused_at_unpacking(void **state)
{
    (void)state;
    decode_tampered(newer_format, CAIRN_EVERSION);
    decode_tampered(no_format, CAIRN_EPROTO);
    decode_tampered(bad_address, CAIRN_EPROTO);
    decode_tampered(missing_configuration, CAIRN_EPROTO);
    decode_tampered(missing_primary, CAIRN_EPROTO);
    decode_tampered(swapped_configurations, CAIRN_EPROTO);
    decode_tampered(lost_servers, CAIRN_EPROTO);
    decode_tampered(missing_target, CAIRN_EPROTO);
    decode_tampered(swapped_targets, CAIRN_EPROTO);
    decode_tampered(empty_target, CAIRN_EPROTO);
    decode_tampered(target_outside_the_map, CAIRN_EPROTO);
}

/* Whatever the bytes, the answer is an error or a map that satisfies every rule. */
static void decode_anything(const uint8_t *data, size_t length)
{
    uint8_t *exact = malloc(length + 1); /* so that reading past the end shows */
    struct cluster_map map;

    assert_non_null(exact);
    memcpy(exact, data, length);
    if (cluster_map_unpack(exact, length, &map, NULL) == 0)
        assert_int_equal(cluster_map_check(&map, NULL), 0);
    else
        assert_null(map.servers);
    cluster_map_free(&map);
    free(exact);
}

static void truncated_and_flipped_maps_never_break_a_rule(void **state)
{
    struct cluster_map map;
    struct buffer bytes;

    (void)state;
    fill_map(&map);
    pack(&map, &bytes);
    for (size_t length = 0; length < bytes.length; length++) {
        struct cluster_map read;

        decode_anything(bytes.data, length);
        /* Cut just behind the servers it is a map that was not placed yet, cut behind the
         * configurations or the targets one of before there was what follows. */
        if (cluster_map_unpack(bytes.data, length, &read, NULL) == 0)
            assert_true(read.configurations == NULL || read.founders == 0);
        cluster_map_free(&read);
    }
    for (size_t i = 0; i < bytes.length * 8; i++) {
        bytes.data[i / 8] ^= (uint8_t)(1u << (i % 8));
        decode_anything(bytes.data, bytes.length);
        bytes.data[i / 8] ^= (uint8_t)(1u << (i % 8));
    }
    buffer_free(&bytes);
    cluster_map_free(&map);
}

static void random_bytes_never_break_a_rule(void **state)
{
    struct random random;
    uint8_t data[256] = {0};

    (void)state;
    random_seed(&random, 20260131);
    for (int round = 0; round < 20000; round++) {
        const size_t length = (size_t)random_below(&random, sizeof data);

        for (size_t i = 0; i < length; i++)
            data[i] = (uint8_t)random_next(&random);
        decode_anything(data, length);
    }
}

/* Two bytes on the wire become some hundred in memory: the decoder's budget stops that. */
static void a_small_message_cannot_take_much_memory(void **state)
{
    const size_t length = CAIRN_MAP_LIMIT;
    uint8_t *data = malloc(length + 1);
    struct cluster_map map;
    struct error error = {0};

    (void)state;
    assert_non_null(data);
    for (size_t i = 0; i < length; i += 2) {
        data[i] = (7 << 3) | 2; /* field 7, length-delimited, empty */
        data[i + 1] = 0;
    }
    assert_int_equal(cluster_map_unpack(data, length, &map, &error), CAIRN_EPROTO);
    assert_non_null(strstr(error.message, "do not decode"));
    assert_int_equal(cluster_map_unpack(data, length + 1, &map, NULL), CAIRN_ETOOBIG);
    free(data);
}

static void a_configuration_survives_the_round_trip(void **state)
{
    struct configuration configuration = {0}, read;
    struct buffer bytes;

    (void)state;
    fill_configuration(&configuration, 4);
    buffer_init(&bytes, CAIRN_PACKED_LIMIT);
    assert_int_equal(configuration_pack(&configuration, &bytes, NULL), 0);
    assert_int_equal(configuration_unpack(bytes.data, bytes.length, PARTITIONS, &read, NULL), 0);
    assert_same_configuration(&configuration, &read);
    assert_true(configuration_has_member(&read, 1, 101));
    assert_false(configuration_has_member(&read, 1, 100));
    assert_false(configuration_has_member(&read, 0 + 2, 100));
    buffer_free(&bytes);
}

static void a_target_survives_the_round_trip(void **state)
{
    const uint32_t wanted[] = {0, TARGET_ANY};
    const uint8_t example[] = {0x08, 0x03, 0x12, 0x02, 0x00, 0x02, 0x18, 0x03};
    struct target target = {.server_count = 2, .servers = {0, 7}}, read;
    struct buffer bytes;
    uint32_t partition;

    (void)state;
    buffer_init(&bytes, CAIRN_PACKED_LIMIT);
    for (size_t i = 0; i < 2; i++) {
        target.primary = wanted[i];
        buffer_clear(&bytes);
        assert_int_equal(target_pack(3, &target, &bytes, NULL), 0);
        assert_int_equal(target_unpack(bytes.data, bytes.length, 4, &partition, &read, NULL), 0);
        assert_int_equal(partition, 3);
        assert_same_target(&target, &read);
        assert_int_equal(target_unpack(bytes.data, bytes.length, 3, &partition, &read, NULL),
                         CAIRN_EPROTO);
    }
    assert_int_equal(target_unpack(bytes.data, 2, 4, &partition, &read, NULL), CAIRN_EPROTO);
    /* The example of FORMATS.md. */
    target = (struct target){.server_count = 2, .servers = {0, 2}, .primary = 2};
    buffer_clear(&bytes);
    assert_int_equal(target_pack(3, &target, &bytes, NULL), 0);
    assert_int_equal(bytes.length, sizeof example);
    assert_memory_equal(bytes.data, example, sizeof example);
    target.server_count = 0;
    assert_int_equal(target_pack(3, &target, &bytes, NULL), CAIRN_EINVAL);
    buffer_free(&bytes);
}

static void broken_configurations_are_refused(void **state)
{
    struct configuration configuration = {0}, read;
    struct buffer bytes;
    struct error error = {0};
    uint8_t large[CAIRN_PACKED_LIMIT + 1] = {0};

    (void)state;
    fill_configuration(&configuration, 4);
    buffer_init(&bytes, CAIRN_PACKED_LIMIT);
    assert_int_equal(configuration_pack(&configuration, &bytes, NULL), 0);
    assert_int_equal(configuration_unpack(bytes.data, bytes.length, 4, &read, &error),
                     CAIRN_EPROTO);
    assert_non_null(strstr(error.message, "partition 4"));
    for (size_t length = 0; length < bytes.length; length++)
        if (configuration_unpack(bytes.data, length, PARTITIONS, &read, NULL) == 0)
            assert_int_equal(read.learner_count, 0); /* cut exactly before the last field */
    assert_int_equal(configuration_unpack(large, sizeof large, PARTITIONS, &read, NULL),
                     CAIRN_ETOOBIG);
    configuration.epoch = 0;
    assert_int_equal(configuration_pack(&configuration, &bytes, NULL), CAIRN_EINVAL);
    buffer_free(&bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_map_survives_the_round_trip),
        cmocka_unit_test(a_map_that_is_not_placed_survives_too),
        cmocka_unit_test(a_map_without_targets_gets_them_from_the_members),
        cmocka_unit_test(the_largest_map_fits_its_limits),
        cmocka_unit_test(every_broken_rule_is_refused_at_packing),
        cmocka_unit_test(every_broken_rule_is_refused_at_unpacking),
        cmocka_unit_test(truncated_and_flipped_maps_never_break_a_rule),
        cmocka_unit_test(random_bytes_never_break_a_rule),
        cmocka_unit_test(a_small_message_cannot_take_much_memory),
        cmocka_unit_test(a_configuration_survives_the_round_trip),
        cmocka_unit_test(a_target_survives_the_round_trip),
        cmocka_unit_test(broken_configurations_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
