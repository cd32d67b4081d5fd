/* Packed maps, configurations and targets: what unpacks keeps the rules, packs again, and is the
 * same then. */
#include <stdlib.h>

#include "base/check.h"
#include "proto/map.h"
#include "tests/fuzz/lib/fuzz.h"
#include "tests/fuzz/lib/maps.h"

enum { MAP, CONFIGURATION, TARGET, KINDS };
enum { PARTITIONS = 64 };

static void require_same(const struct buffer *left, const struct buffer *right)
{
    CHECK(left->length == right->length && memcmp(left->data, right->data, left->length) == 0);
}

static void take_map(const uint8_t *data, size_t size)
{
    struct error error = {0};
    struct cluster_map map, again, copy;
    struct buffer once, twice;

    if (cluster_map_unpack(data, size, &map, &error) != 0) {
        CHECK(error.code != 0 && map.servers == NULL);
        return;
    }
    fuzz_accepted++;
    buffer_init(&once, CAIRN_MAP_LIMIT);
    buffer_init(&twice, CAIRN_MAP_LIMIT);
    CHECK(cluster_map_check(&map, &error) == 0);
    CHECK((map.targets == NULL) == (map.configurations == NULL));
    CHECK(cluster_map_pack(&map, &once, &error) == 0);
    CHECK(cluster_map_unpack(once.data, once.length, &again, &error) == 0);
    maps_require_same(&map, &again);
    CHECK(cluster_map_copy(&again, &copy) == 0);
    CHECK(cluster_map_pack(&copy, &twice, &error) == 0);
    require_same(&once, &twice);
    for (size_t i = 0; i < map.server_count; i++)
        CHECK(cluster_map_server(&again, map.servers[i].id) != NULL);
    cluster_map_free(&copy);
    cluster_map_free(&again);
    cluster_map_free(&map);
    buffer_free(&once);
    buffer_free(&twice);
}

static void take_configuration(const uint8_t *data, size_t size)
{
    struct error error = {0};
    struct configuration configuration, again;
    struct buffer once, twice;

    if (configuration_unpack(data, size, PARTITIONS, &configuration, &error) != 0) {
        CHECK(error.code != 0);
        return;
    }
    fuzz_accepted++;
    buffer_init(&once, CAIRN_PACKED_LIMIT);
    buffer_init(&twice, CAIRN_PACKED_LIMIT);
    CHECK(configuration_check(&configuration, PARTITIONS, &error) == 0);
    CHECK(configuration_has_member(&configuration, configuration.primary.server,
                                   configuration.primary.store));
    CHECK(configuration_pack(&configuration, &once, &error) == 0);
    CHECK(configuration_unpack(once.data, once.length, PARTITIONS, &again, &error) == 0);
    configurations_require_same(&configuration, &again);
    CHECK(configuration_pack(&again, &twice, &error) == 0);
    require_same(&once, &twice);
    buffer_free(&once);
    buffer_free(&twice);
}

static void take_target(const uint8_t *data, size_t size)
{
    struct error error = {0};
    struct target target, again;
    struct buffer once, twice;
    uint32_t partition, partition_again;

    if (target_unpack(data, size, PARTITIONS, &partition, &target, &error) != 0) {
        CHECK(error.code != 0);
        return;
    }
    fuzz_accepted++;
    buffer_init(&once, CAIRN_PACKED_LIMIT);
    buffer_init(&twice, CAIRN_PACKED_LIMIT);
    CHECK(partition < PARTITIONS && target.server_count <= CAIRN_REPLICAS_LIMIT);
    CHECK(target_pack(partition, &target, &once, &error) == 0);
    CHECK(target_unpack(once.data, once.length, PARTITIONS, &partition_again, &again, &error) == 0);
    CHECK(partition == partition_again);
    targets_require_same(&target, &again);
    CHECK(target_pack(partition, &again, &twice, &error) == 0);
    require_same(&once, &twice);
    buffer_free(&once);
    buffer_free(&twice);
}

/* The input: a byte that says which message, then its bytes. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const takers[KINDS])(const uint8_t *data, size_t size) = {
        [MAP] = take_map, [CONFIGURATION] = take_configuration, [TARGET] = take_target};
    struct input input = {data, size};
    const unsigned kind = input_u8(&input) % KINDS;

    takers[kind](input.data, input.left);
    return 0;
}

/* --- valid inputs -------------------------------------------------------------------------------
 */

enum { SERVERS = 3, SEED_PARTITIONS = 4 };

static struct configuration configuration_of(uint32_t partition)
{
    struct configuration configuration = {
        .partition = partition, .history = 1, .epoch = 5, .member_count = 2, .learner_count = 1};

    for (uint32_t i = 0; i < 2; i++)
        configuration.members[i] = (struct replica_id){(partition + i) % SERVERS, 100 + i, 0};
    configuration.primary = configuration.members[0];
    configuration.primary.incarnation = 7;
    configuration.learners[0] = (struct replica_id){(partition + 2) % SERVERS, 102, 0};
    configuration.switched = partition % 2 == 1;
    return configuration;
}

static void put_map(bool placed, struct buffer *out)
{
    static struct map_server servers[SERVERS];
    static struct configuration configurations[SEED_PARTITIONS];
    static struct target targets[SEED_PARTITIONS];
    struct cluster_map map = {.cluster = 77,
                              .version = 3,
                              .partitions = SEED_PARTITIONS,
                              .replicas = 2,
                              .server_count = SERVERS,
                              .founders = SERVERS,
                              .servers = servers};
    struct error error = {0};

    for (uint32_t i = 0; i < SERVERS; i++) {
        servers[i] = (struct map_server){.id = i, .store = 100 + i, .incarnation = 1};
        CHECK(address_parse("[::1]:3777", &servers[i].address, &error) == 0);
        servers[i].address.port = (uint16_t)(3777 + i);
        address_format(&servers[i].address, servers[i].address_text);
    }
    for (uint32_t i = 0; i < SEED_PARTITIONS; i++) {
        configurations[i] = configuration_of(i);
        targets[i] = (struct target){
            .server_count = 2, .servers = {i % SERVERS, (i + 1) % SERVERS}, .primary = TARGET_ANY};
    }
    if (placed) {
        map.configurations = configurations;
        map.targets = targets;
    }
    CHECK(cluster_map_pack(&map, out, &error) == 0);
}

bool fuzz_seed(unsigned number, struct buffer *out)
{
    const struct configuration configuration = configuration_of(number % 4);
    const struct target target = {.server_count = 3, .servers = {5, 1, 9}, .primary = 9};
    struct error error = {0};
    struct buffer bytes;

    buffer_init(&bytes, CAIRN_MAP_LIMIT);
    if (number < 2)
        put_map(number == 1, &bytes);
    else if (number < 4)
        CHECK(configuration_pack(&configuration, &bytes, &error) == 0);
    else
        CHECK(target_pack(number, &target, &bytes, &error) == 0);
    seed_number(out, number < 2 ? MAP : (number < 4 ? CONFIGURATION : TARGET), 1);
    seed_bytes(out, bytes.data, bytes.length);
    buffer_free(&bytes);
    return number < 5;
}
