/* The cluster map's bytes: cairn.ClusterMap and cairn.Configuration of durable.proto.
 *
 * protobuf-c allocates one struct for each message it meets, some fifty times its smallest
 * encoding; what unpacking may take is therefore bounded by an allocator with a budget. */
#include <stdlib.h>
#include <string.h>

#include "proto/durable.pb-c.h"
#include "proto/map.h"

/* The largest valid map needs about 20 MiB of protobuf-c's structs. */
enum { UNPACK_BUDGET_BYTES = 64 << 20 };

struct budget {
    size_t left_bytes;
};

static void *budget_alloc(void *context, size_t size)
{
    struct budget *budget = context;

    if (size > budget->left_bytes)
        return NULL;
    budget->left_bytes -= size;
    return malloc(size);
}

static void budget_free(void *context, void *pointer)
{
    (void)context;
    free(pointer);
}

/* --- decoding --- */

static void take_replica(const Cairn__Replica *from, bool is_primary, struct replica_id *to)
{
    to->server = from->server;
    to->store = from->store;
    to->incarnation = is_primary ? from->incarnation : 0;
}

static int take_configuration(const Cairn__Configuration *from, struct configuration *to,
                              struct error *error)
{
    memset(to, 0, sizeof *to);
    if (from->n_members > CAIRN_REPLICAS_LIMIT || from->n_learners > CAIRN_REPLICAS_LIMIT)
        return error_set(error, CAIRN_EPROTO, "partition %u: more than %d members or learners",
                         from->partition, CAIRN_REPLICAS_LIMIT);
    if (from->primary == NULL)
        return error_set(error, CAIRN_EPROTO, "partition %u: no primary", from->partition);
    to->partition = from->partition;
    to->history = from->history;
    to->epoch = from->epoch;
    to->switched = from->switched != 0;
    take_replica(from->primary, true, &to->primary);
    to->member_count = (uint32_t)from->n_members;
    to->learner_count = (uint32_t)from->n_learners;
    for (size_t i = 0; i < from->n_members; i++)
        take_replica(from->members[i], false, &to->members[i]);
    for (size_t i = 0; i < from->n_learners; i++)
        take_replica(from->learners[i], false, &to->learners[i]);
    return 0;
}

static int take_server(const Cairn__Server *from, struct map_server *to, struct error *error)
{
    struct error reason = {0};

    if (address_parse(from->address, &to->address, &reason) != 0)
        return error_set(error, CAIRN_EPROTO, "cluster map: server %u: %.400s", from->id,
                         reason.message);
    to->id = from->id;
    address_format(&to->address, to->address_text);
    to->store = from->store;
    to->incarnation = from->incarnation;
    to->draining = from->draining != 0;
    to->removed = from->removed != 0;
    return 0;
}

static int take_servers(const Cairn__ClusterMap *from, struct cluster_map *to, struct error *error)
{
    int status = 0;

    if (from->n_servers == 0 || from->n_servers > CAIRN_SERVERS_LIMIT)
        return error_set(error, CAIRN_EPROTO, "cluster map: %zu servers, not 1 to %d",
                         from->n_servers, CAIRN_SERVERS_LIMIT);
    to->servers = calloc(from->n_servers, sizeof *to->servers);
    if (to->servers == NULL)
        return error_set(error, CAIRN_ENOMEM, "cluster map: out of memory");
    to->server_count = from->n_servers;
    for (size_t i = 0; i < from->n_servers && status == 0; i++)
        status = take_server(from->servers[i], &to->servers[i], error);
    return status;
}

static int take_configurations(const Cairn__ClusterMap *from, struct cluster_map *to,
                               struct error *error)
{
    int status = 0;

    if (from->n_configurations == 0)
        return 0;
    if (from->n_configurations != from->partitions || from->partitions > CAIRN_PARTITIONS_LIMIT)
        return error_set(error, CAIRN_EPROTO, "cluster map: %zu configurations of %u partitions",
                         from->n_configurations, from->partitions);
    to->configurations = calloc(from->n_configurations, sizeof *to->configurations);
    if (to->configurations == NULL)
        return error_set(error, CAIRN_ENOMEM, "cluster map: out of memory");
    for (size_t i = 0; i < from->n_configurations && status == 0; i++)
        status = take_configuration(from->configurations[i], &to->configurations[i], error);
    return status;
}

static int take_target(const Cairn__Target *from, struct target *to, struct error *error)
{
    memset(to, 0, sizeof *to);
    if (from->n_servers == 0 || from->n_servers > CAIRN_REPLICAS_LIMIT)
        return error_set(error, CAIRN_EPROTO, "partition %u: %zu target servers, not 1 to %d",
                         from->partition, from->n_servers, CAIRN_REPLICAS_LIMIT);
    to->server_count = (uint32_t)from->n_servers;
    memcpy(to->servers, from->servers, from->n_servers * sizeof to->servers[0]);
    to->primary = from->primary == 0 ? TARGET_ANY : from->primary - 1;
    return 0;
}

/* Maps written before there were targets have none. */
static int take_targets(const Cairn__ClusterMap *from, struct cluster_map *to, struct error *error)
{
    int status = 0;

    if (from->n_targets == 0)
        return cluster_map_complete_targets(to) == 0
                   ? 0
                   : error_set(error, CAIRN_ENOMEM, "cluster map: out of memory");
    if (from->n_targets != from->n_configurations)
        return error_set(error, CAIRN_EPROTO, "cluster map: %zu targets of %u partitions",
                         from->n_targets, from->partitions);
    to->targets = calloc(from->n_targets, sizeof *to->targets);
    if (to->targets == NULL)
        return error_set(error, CAIRN_ENOMEM, "cluster map: out of memory");
    for (size_t i = 0; i < from->n_targets && status == 0; i++) {
        if (from->targets[i]->partition != i)
            return error_set(error, CAIRN_EPROTO,
                             "cluster map: the target of partition %u stands in place of %zu's",
                             from->targets[i]->partition, i);
        status = take_target(from->targets[i], &to->targets[i], error);
    }
    return status;
}

static int take_map(const Cairn__ClusterMap *from, struct cluster_map *to, struct error *error)
{
    int status;

    if (from->format > CLUSTER_MAP_FORMAT)
        return error_set(error, CAIRN_EVERSION, "cluster map: format %u is newer than %d",
                         from->format, CLUSTER_MAP_FORMAT);
    if (from->format == 0)
        return error_set(error, CAIRN_EPROTO, "cluster map: no format number");
    to->cluster = from->cluster;
    to->version = from->version;
    to->partitions = from->partitions;
    to->replicas = from->replicas;
    to->founders = from->founders;
    status = take_servers(from, to, error);
    if (status == 0)
        status = take_configurations(from, to, error);
    if (status == 0)
        status = take_targets(from, to, error);
    if (status == 0 && cluster_map_check(to, error) != 0)
        status = CAIRN_EPROTO;
    return status;
}

int cluster_map_unpack(const void *data, size_t length, struct cluster_map *map,
                       struct error *error)
{
    struct budget budget = {.left_bytes = UNPACK_BUDGET_BYTES};
    ProtobufCAllocator allocator = {budget_alloc, budget_free, &budget};
    Cairn__ClusterMap *message;
    int status;

    memset(map, 0, sizeof *map);
    if (length > CAIRN_MAP_LIMIT)
        return error_set(error, CAIRN_ETOOBIG, "cluster map: %zu bytes, more than %d", length,
                         CAIRN_MAP_LIMIT);
    message = cairn__cluster_map__unpack(&allocator, length, data);
    if (message == NULL)
        return error_set(error, CAIRN_EPROTO, "cluster map: its %zu bytes do not decode", length);
    status = take_map(message, map, error);
    cairn__cluster_map__free_unpacked(message, &allocator);
    if (status != 0) {
        cluster_map_free(map);
        if (error != NULL)
            error->code = status;
    }
    return status;
}

int configuration_unpack(const void *data, size_t length, uint32_t partitions,
                         struct configuration *configuration, struct error *error)
{
    struct budget budget = {.left_bytes = UNPACK_BUDGET_BYTES};
    ProtobufCAllocator allocator = {budget_alloc, budget_free, &budget};
    Cairn__Configuration *message;
    int status;

    memset(configuration, 0, sizeof *configuration);
    if (length > CAIRN_PACKED_LIMIT)
        return error_set(error, CAIRN_ETOOBIG, "configuration: %zu bytes, more than %d", length,
                         CAIRN_PACKED_LIMIT);
    message = cairn__configuration__unpack(&allocator, length, data);
    if (message == NULL)
        return error_set(error, CAIRN_EPROTO, "configuration: its %zu bytes do not decode", length);
    status = take_configuration(message, configuration, error);
    cairn__configuration__free_unpacked(message, &allocator);
    if (status == 0 && configuration_check(configuration, partitions, error) != 0)
        status = CAIRN_EPROTO;
    if (status != 0) {
        memset(configuration, 0, sizeof *configuration);
        if (error != NULL)
            error->code = status;
    }
    return status;
}

int target_unpack(const void *data, size_t length, uint32_t partitions, uint32_t *partition,
                  struct target *target, struct error *error)
{
    struct budget budget = {.left_bytes = UNPACK_BUDGET_BYTES};
    ProtobufCAllocator allocator = {budget_alloc, budget_free, &budget};
    Cairn__Target *message;
    int status;

    *partition = 0;
    memset(target, 0, sizeof *target);
    if (length > CAIRN_PACKED_LIMIT)
        return error_set(error, CAIRN_ETOOBIG, "target: %zu bytes, more than %d", length,
                         CAIRN_PACKED_LIMIT);
    message = cairn__target__unpack(&allocator, length, data);
    if (message == NULL)
        return error_set(error, CAIRN_EPROTO, "target: its %zu bytes do not decode", length);
    status = take_target(message, target, error);
    *partition = message->partition;
    cairn__target__free_unpacked(message, &allocator);
    if (status == 0 && *partition >= partitions)
        status = error_set(error, CAIRN_EPROTO, "partition %u: there are only %u", *partition,
                           partitions);
    if (status != 0)
        memset(target, 0, sizeof *target);
    return status;
}

/* --- encoding --- */

/* A configuration's message with all that it points to. Not to be moved once filled. */
struct packed {
    Cairn__Configuration message;
    Cairn__Replica primary;
    Cairn__Replica copies[2 * CAIRN_REPLICAS_LIMIT];
    Cairn__Replica *pointers[2 * CAIRN_REPLICAS_LIMIT];
};

static void put_replica(const struct replica_id *from, bool is_primary, Cairn__Replica *to)
{
    cairn__replica__init(to);
    to->server = from->server;
    to->store = from->store;
    to->incarnation = is_primary ? from->incarnation : 0;
}

static void put_configuration(const struct configuration *from, struct packed *to)
{
    const uint32_t members = from->member_count;

    cairn__configuration__init(&to->message);
    to->message.partition = from->partition;
    to->message.history = from->history;
    to->message.epoch = from->epoch;
    to->message.switched = from->switched;
    put_replica(&from->primary, true, &to->primary);
    to->message.primary = &to->primary;
    for (uint32_t i = 0; i < members + from->learner_count; i++) {
        put_replica(i < members ? &from->members[i] : &from->learners[i - members], false,
                    &to->copies[i]);
        to->pointers[i] = &to->copies[i];
    }
    to->message.n_members = members;
    to->message.members = to->pointers;
    to->message.n_learners = from->learner_count;
    to->message.learners = to->pointers + members;
}

int configuration_pack(const struct configuration *configuration, struct buffer *out,
                       struct error *error)
{
    struct packed packed;
    size_t size;
    int status = configuration_check(configuration, CAIRN_PARTITIONS_LIMIT, error);

    if (status != 0)
        return status;
    put_configuration(configuration, &packed);
    size = cairn__configuration__get_packed_size(&packed.message);
    status = buffer_reserve(out, size);
    if (status != 0)
        return error_set(error, status, "configuration: %s", error_text(status));
    out->length += cairn__configuration__pack(&packed.message, out->data + out->length);
    return 0;
}

/* The message points into `from`. */
static void put_target(uint32_t partition, const struct target *from, Cairn__Target *to)
{
    cairn__target__init(to);
    to->partition = partition;
    to->n_servers = from->server_count;
    to->servers = (uint32_t *)from->servers; /* packing does not write */
    to->primary = from->primary == TARGET_ANY ? 0 : from->primary + 1;
}

int target_pack(uint32_t partition, const struct target *target, struct buffer *out,
                struct error *error)
{
    Cairn__Target message;
    size_t size;
    int status;

    if (target->server_count == 0 || target->server_count > CAIRN_REPLICAS_LIMIT)
        return error_set(error, CAIRN_EINVAL, "partition %u: %u target servers, not 1 to %d",
                         partition, target->server_count, CAIRN_REPLICAS_LIMIT);
    put_target(partition, target, &message);
    size = cairn__target__get_packed_size(&message);
    status = buffer_reserve(out, size);
    if (status != 0)
        return error_set(error, status, "target: %s", error_text(status));
    out->length += cairn__target__pack(&message, out->data + out->length);
    return 0;
}

/* What a packed map points to, in one piece per kind. */
struct packing {
    Cairn__ClusterMap message;
    Cairn__Server servers[CAIRN_SERVERS_LIMIT];
    Cairn__Server *server_pointers[CAIRN_SERVERS_LIMIT];
    Cairn__Configuration *pointers[CAIRN_PARTITIONS_LIMIT];
    Cairn__Target targets[CAIRN_PARTITIONS_LIMIT];
    Cairn__Target *target_pointers[CAIRN_PARTITIONS_LIMIT];
    struct packed configurations[];
};

static void put_servers(const struct cluster_map *map, struct packing *to)
{
    for (size_t i = 0; i < map->server_count; i++) {
        const struct map_server *from = &map->servers[i];
        Cairn__Server *server = &to->servers[i];

        cairn__server__init(server);
        server->id = from->id;
        server->address = (char *)from->address_text; /* packing does not write */
        server->store = from->store;
        server->incarnation = from->incarnation;
        server->draining = from->draining;
        server->removed = from->removed;
        to->server_pointers[i] = server;
    }
    to->message.n_servers = map->server_count;
    to->message.servers = to->server_pointers;
}

static void put_targets(const struct cluster_map *map, struct packing *to)
{
    for (uint32_t i = 0; i < map->partitions; i++) {
        put_target(i, &map->targets[i], &to->targets[i]);
        to->target_pointers[i] = &to->targets[i];
    }
    to->message.n_targets = map->partitions;
    to->message.targets = to->target_pointers;
}

static void put_map(const struct cluster_map *map, struct packing *to)
{
    cairn__cluster_map__init(&to->message);
    to->message.format = CLUSTER_MAP_FORMAT;
    to->message.cluster = map->cluster;
    to->message.version = map->version;
    to->message.partitions = map->partitions;
    to->message.replicas = map->replicas;
    to->message.founders = map->founders;
    put_servers(map, to);
    if (map->configurations == NULL)
        return;
    for (uint32_t i = 0; i < map->partitions; i++) {
        put_configuration(&map->configurations[i], &to->configurations[i]);
        to->pointers[i] = &to->configurations[i].message;
    }
    to->message.n_configurations = map->partitions;
    to->message.configurations = to->pointers;
    if (map->targets != NULL)
        put_targets(map, to);
}

int cluster_map_pack(const struct cluster_map *map, struct buffer *out, struct error *error)
{
    struct packing *packing;
    size_t count, size;
    int status = cluster_map_check(map, error);

    if (status != 0)
        return status;
    count = map->configurations == NULL ? 0 : map->partitions;
    packing = malloc(sizeof *packing + count * sizeof packing->configurations[0]);
    if (packing == NULL)
        return error_set(error, CAIRN_ENOMEM, "cluster map: out of memory");
    put_map(map, packing);
    size = cairn__cluster_map__get_packed_size(&packing->message);
    status = size > CAIRN_MAP_LIMIT ? CAIRN_ETOOBIG : buffer_reserve(out, size);
    if (status == 0)
        out->length += cairn__cluster_map__pack(&packing->message, out->data + out->length);
    else
        error_set(error, status, "cluster map: %zu bytes: %s", size, error_text(status));
    free(packing);
    return status;
}
