/* Log records of the membership's state: see journal.h. */
#include "manager/journal.h"

#include <string.h>

#include "base/check.h"
#include "proto/durable.pb-c.h"

/* --- encoding --- */

static int encode_replica(const struct replica_id *replica, struct buffer *out)
{
    Cairn__Replica message = CAIRN__REPLICA__INIT;
    size_t size;
    int status;

    message.server = replica->server;
    message.store = replica->store;
    message.incarnation = replica->incarnation;
    size = cairn__replica__get_packed_size(&message);
    status = buffer_reserve(out, size);
    if (status == 0)
        out->length += cairn__replica__pack(&message, out->data + out->length);
    return status;
}

static int encode_roster(const struct map_server *server, struct buffer *out)
{
    Cairn__Server message = CAIRN__SERVER__INIT;
    size_t size;
    int status;

    message.id = server->id;
    message.address = (char *)server->address_text; /* packing does not write */
    message.store = server->store;
    message.incarnation = server->incarnation;
    message.draining = server->draining;
    message.removed = server->removed;
    size = cairn__server__get_packed_size(&message);
    status = buffer_reserve(out, size);
    if (status == 0)
        out->length += cairn__server__pack(&message, out->data + out->length);
    return status;
}

int journal_encode_retired(const struct replica_id *retired, struct buffer *out)
{
    return encode_replica(retired, out);
}

int journal_encode(const struct membership *membership, const struct change *change,
                   enum journal_kind *kind, struct buffer *out)
{
    switch (change->kind) {
    case CHANGE_SERVER:
        *kind = JOURNAL_SERVER;
        return encode_replica(&change->server, out);
    case CHANGE_CONFIGURATION:
        *kind = JOURNAL_CONFIGURATION;
        return configuration_pack(&change->configuration, out, NULL);
    case CHANGE_TARGET:
        *kind = JOURNAL_TARGET;
        return target_pack(change->target.partition, &change->target.target, out, NULL);
    case CHANGE_ROSTER:
        *kind = JOURNAL_ROSTER;
        return encode_roster(&change->roster, out);
    case CHANGE_PLACED:
        break;
    }
    *kind = JOURNAL_MAP;
    return cluster_map_pack(&membership->map, out, NULL);
}

size_t journal_map_bound(const struct cluster_map *map)
{
    enum { HEAD = 64, SERVER = CAIRN_ADDRESS_LIMIT + 40, CONFIGURATION = 64, COPY = 20 };
    enum { TARGET = 16 + 3 * CAIRN_REPLICAS_LIMIT };
    const size_t copies = 1 + 2 * CAIRN_REPLICAS_LIMIT; /* primary, members, learners */

    return HEAD + map->server_count * SERVER +
           (size_t)map->partitions * (CONFIGURATION + copies * COPY + TARGET);
}

/* --- replaying --- */

static int corrupt(struct error *error, const struct error *reason)
{
    return error_set(error, CAIRN_ECORRUPT, "manager's journal: %.400s", reason->message);
}

static int apply_map(struct journal_replay *replay, const uint8_t *payload, size_t length,
                     struct error *error)
{
    struct error reason = {0};
    struct cluster_map map;
    int status = cluster_map_unpack(payload, length, &map, &reason);

    if (status == 0)
        status = replay->membership == NULL
                     ? membership_create(&map, replay->now_ms, &replay->membership, &reason)
                     : membership_replace_map(replay->membership, &map, &reason);
    cluster_map_free(&map);
    if (status == CAIRN_ENOMEM || status == CAIRN_EVERSION)
        return error_set(error, status, "manager's journal: %.400s", reason.message);
    return status == 0 ? 0 : corrupt(error, &reason);
}

static int decode_replica(const uint8_t *payload, size_t length, struct replica_id *replica,
                          struct error *reason)
{
    Cairn__Replica *message = cairn__replica__unpack(NULL, length, payload);

    if (message == NULL)
        return error_set(reason, CAIRN_ECORRUPT, "a server's %zu bytes do not decode", length);
    replica->server = message->server;
    replica->store = message->store;
    replica->incarnation = message->incarnation;
    cairn__replica__free_unpacked(message, NULL);
    return 0;
}

static int apply_server(struct membership *membership, const uint8_t *payload, size_t length,
                        struct error *reason)
{
    struct change change = {.kind = CHANGE_SERVER};
    int status = decode_replica(payload, length, &change.server, reason);

    return status != 0 ? status : membership_apply(membership, &change, reason);
}

static int apply_configuration(struct membership *membership, const uint8_t *payload, size_t length,
                               struct error *reason)
{
    struct change change = {.kind = CHANGE_CONFIGURATION};
    int status = configuration_unpack(payload, length, membership->map.partitions,
                                      &change.configuration, reason);

    return status != 0 ? status : membership_apply(membership, &change, reason);
}

static int apply_target(struct membership *membership, const uint8_t *payload, size_t length,
                        struct error *reason)
{
    struct change change = {.kind = CHANGE_TARGET};
    int status = target_unpack(payload, length, membership->map.partitions,
                               &change.target.partition, &change.target.target, reason);

    return status != 0 ? status : membership_apply(membership, &change, reason);
}

static int apply_roster(struct membership *membership, const uint8_t *payload, size_t length,
                        struct error *reason)
{
    struct change change = {.kind = CHANGE_ROSTER};
    struct map_server *server = &change.roster;
    Cairn__Server *message = cairn__server__unpack(NULL, length, payload);
    int status;

    if (message == NULL)
        return error_set(reason, CAIRN_ECORRUPT, "a server's %zu bytes do not decode", length);
    status = address_parse(message->address, &server->address, reason);
    if (status == 0)
        address_format(&server->address, server->address_text);
    server->id = message->id;
    server->store = message->store;
    server->incarnation = message->incarnation;
    server->draining = message->draining != 0;
    server->removed = message->removed != 0;
    cairn__server__free_unpacked(message, NULL);
    return status != 0 ? status : membership_apply(membership, &change, reason);
}

static int apply_retired(struct membership *membership, const uint8_t *payload, size_t length,
                         struct error *reason)
{
    struct replica_id retired;
    int status = decode_replica(payload, length, &retired, reason);

    if (status != 0)
        return status;
    if (retired.server >= membership->map.server_count || retired.store == 0)
        return error_set(reason, CAIRN_ECORRUPT, "a retired store of no server");
    if (membership->map.servers[retired.server].store == retired.store)
        return error_set(reason, CAIRN_ECORRUPT, "server %u's store is retired", retired.server);
    status = membership_retire(membership, retired.server, retired.store);
    return status == 0 ? 0 : error_set(reason, status, "too many retired stores");
}

typedef int (*apply_record)(struct membership *membership, const uint8_t *payload, size_t length,
                            struct error *reason);

int journal_apply(struct journal_replay *replay, uint16_t kind, const uint8_t *payload,
                  size_t length, struct error *error)
{
    static const apply_record appliers[] = {
        [JOURNAL_SERVER] = apply_server,   [JOURNAL_CONFIGURATION] = apply_configuration,
        [JOURNAL_RETIRED] = apply_retired, [JOURNAL_TARGET] = apply_target,
        [JOURNAL_ROSTER] = apply_roster,
    };
    struct error reason = {0};
    int status;

    if (kind == JOURNAL_MAP)
        return apply_map(replay, payload, length, error);
    if (kind >= sizeof appliers / sizeof appliers[0] || appliers[kind] == NULL)
        return error_set(error, CAIRN_EVERSION,
                         "manager's journal: record kind %u is of a newer version", kind);
    if (replay->membership == NULL) {
        replay->skipped++;
        return 0;
    }
    status = appliers[kind](replay->membership, payload, length, &reason);
    return status == 0 ? 0 : corrupt(error, &reason);
}
