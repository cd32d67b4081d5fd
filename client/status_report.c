/* The cluster's state: gathered, then written as JSON. */
#include "client/status_report.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROLE_PRIMARY = 2 }; /* of partition_status in server.x */

void status_report_init(struct status_report *report)
{
    memset(report, 0, sizeof(*report));
}

void status_report_free(struct status_report *report)
{
    for (size_t i = 0; i < report->server_count; i++) {
        free(report->servers[i].report.partitions.partitions_val);
    }
    free(report->servers);
    cluster_map_free(&report->map);
    memset(report, 0, sizeof(*report));
}

/* --- taking in ----------------------------------------------------------------------------------
 */

static int take_server_state(struct status_server *server, const server_state *said,
                             struct error *error)
{
    server->id = said->server;
    server->registered = said->registered;
    server->store = said->store;
    server->incarnation = said->incarnation;
    server->silent_ms = said->silent_ms;
    snprintf(server->address_text, sizeof(server->address_text), "%.*s", (int)said->address.length,
             (const char *)said->address.data);
    return address_parse(server->address_text, &server->address, error);
}

int status_take_manager(struct status_report *report, const manager_report *said,
                        struct error *error)
{
    int status = CAIRN_OK;

    status_report_free(report);
    report->servers = calloc(said->servers.servers_len + 1U, sizeof(*report->servers));
    if (report->servers == NULL) {
        return error_set(error, CAIRN_ENOMEM, "out of memory");
    }
    report->server_count = said->servers.servers_len;
    for (size_t i = 0; i < report->server_count && status == CAIRN_OK; i++) {
        status = take_server_state(&report->servers[i], &said->servers.servers_val[i], error);
    }
    if (status == CAIRN_OK && said->map.length > 0) {
        status = cluster_map_unpack(said->map.data, said->map.length, &report->map, error);
    }
    report->cluster = said->cluster;
    report->uptime_ms = said->uptime_ms;
    report->partitions = said->partitions;
    report->replicas = said->replicas;
    report->has_manager = status == CAIRN_OK;
    return status;
}

void status_take_server(struct status_server *server, const server_report *said)
{
    size_t count = said->partitions.partitions_len;
    partition_status *copy = calloc(count + 1, sizeof(*copy));

    if (copy == NULL) {
        snprintf(server->error, sizeof(server->error), "out of memory");
        return;
    }
    if (count > 0) {
        memcpy(copy, said->partitions.partitions_val, count * sizeof(*copy));
    }
    server->report = *said;
    server->report.partitions.partitions_val = copy;
    server->answered = true;
}

/* --- JSON
 * ----------------------------------------------------------------------------------------- */

/* Numbers past what JSON readers keep exactly do not occur in counts of bytes and operations. */
static json_t *number(uint64_t value)
{
    return json_integer((json_int_t)(value > INT64_MAX ? INT64_MAX : value));
}

static json_t *identifier(uint64_t value)
{
    return json_sprintf("%016" PRIx64, value);
}

static json_t *operations_json(const server_report *report)
{
    return json_pack("{s:o, s:o, s:o, s:o, s:o}", "put", number(report->puts), "get",
                     number(report->gets), "swap", number(report->swaps), "delete",
                     number(report->deletes), "scan", number(report->scans));
}

static json_t *answered_json(const server_report *report)
{
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:b}", "uptime_ms",
                     number(report->uptime_ms), "operations", operations_json(report), "log_bytes",
                     number(report->log_bytes), "log_syncs", number(report->log_syncs),
                     "memtable_bytes", number(report->memtable_bytes), "store_bytes",
                     number(report->store_bytes), "disk_free_bytes",
                     number(report->disk_free_bytes), "checkpoints", number(report->checkpoints),
                     "checksum_errors", number(report->checksum_errors), "read_only",
                     report->read_only != 0);
}

static const char *server_state_name(const struct status_server *server)
{
    if (server->answered) {
        return server->registered ? "ok" : "unregistered";
    }
    return server->registered ? "unreachable" : "unregistered";
}

static json_t *server_json(const struct status_server *server)
{
    json_t *json = json_pack("{s:o, s:s, s:s, s:o, s:o, s:o}", "id", number(server->id), "address",
                             server->address_text, "state", server_state_name(server), "silent_ms",
                             number(server->silent_ms), "store", identifier(server->store),
                             "incarnation", number(server->incarnation));
    json_t *rest = server->answered
                       ? answered_json(&server->report)
                       : json_pack("{s:s%}", "error", server->error, strlen(server->error));

    if (json == NULL || rest == NULL || json_object_update(json, rest) != 0) {
        json_decref(json);
        json = NULL;
    }
    json_decref(rest);
    return json;
}

static const struct status_server *find_server(const struct status_report *report, uint32_t id)
{
    for (size_t i = 0; i < report->server_count; i++) {
        if (report->servers[i].id == id) {
            return &report->servers[i];
        }
    }
    return NULL;
}

/* What a server says of a partition, or NULL if it says nothing. */
static const partition_status *find_partition(const struct status_report *report, uint32_t server,
                                              uint32_t partition)
{
    const struct status_server *found = find_server(report, server);

    if (found == NULL || !found->answered) {
        return NULL;
    }
    const partition_status *all = found->report.partitions.partitions_val;
    for (uint32_t i = 0; i < found->report.partitions.partitions_len; i++) {
        if (all[i].partition == partition) {
            return &all[i];
        }
    }
    return NULL;
}

static uint64_t lag_of(const struct status_report *report,
                       const struct configuration *configuration, uint64_t commit_index)
{
    uint64_t lowest = commit_index;

    for (uint32_t i = 0; i < configuration->member_count; i++) {
        const partition_status *said =
            find_partition(report, configuration->members[i].server, configuration->partition);
        if (said != NULL && said->applied_index < lowest) {
            lowest = said->applied_index;
        }
    }
    return commit_index - lowest;
}

static json_t *replicas_json(const struct replica_id *replicas, uint32_t count)
{
    json_t *json = json_array();

    for (uint32_t i = 0; json != NULL && i < count; i++) {
        if (json_array_append_new(json, number(replicas[i].server)) != 0) {
            json_decref(json);
            json = NULL;
        }
    }
    return json;
}

static const char *role_name(uint32_t role)
{
    static const char *const names[] = {"none", "starting", "primary", "backup", "learner"};

    return role < sizeof(names) / sizeof(names[0]) ? names[role] : "unknown";
}

static json_t *partition_json(const struct status_report *report,
                              const struct configuration *configuration)
{
    uint32_t primary = configuration->primary.server;
    const partition_status *said = find_partition(report, primary, configuration->partition);
    const char *state = said == NULL                 ? "unreachable"
                        : said->role == ROLE_PRIMARY ? "ok"
                                                     : "starting";
    json_t *json =
        json_pack("{s:o, s:o, s:o, s:o, s:o, s:s}", "partition", number(configuration->partition),
                  "primary", number(primary), "members",
                  replicas_json(configuration->members, configuration->member_count), "learners",
                  replicas_json(configuration->learners, configuration->learner_count), "epoch",
                  number(configuration->epoch), "state", state);

    if (said == NULL || json == NULL) {
        return json;
    }
    json_t *rest = json_pack(
        "{s:s, s:o, s:o, s:o, s:o, s:o, s:o}", "role", role_name(said->role), "last_index",
        number(said->last_index), "commit_index", number(said->commit_index), "applied_index",
        number(said->applied_index), "checkpoint_index", number(said->checkpoint_index), "sessions",
        number(said->sessions), "lag", number(lag_of(report, configuration, said->commit_index)));
    if (rest == NULL || json_object_update(json, rest) != 0) {
        json_decref(json);
        json = NULL;
    }
    json_decref(rest);
    return json;
}

static json_t *servers_json(const struct status_report *report)
{
    json_t *json = json_array();

    for (size_t i = 0; json != NULL && i < report->server_count; i++) {
        if (json_array_append_new(json, server_json(&report->servers[i])) != 0) {
            json_decref(json);
            json = NULL;
        }
    }
    return json;
}

static json_t *partitions_json(const struct status_report *report)
{
    json_t *json = json_array();

    if (report->map.configurations == NULL) {
        return json;
    }
    for (uint32_t p = 0; json != NULL && p < report->map.partitions; p++) {
        json_t *one = partition_json(report, &report->map.configurations[p]);
        if (json_array_append_new(json, one) != 0) {
            json_decref(json);
            json = NULL;
        }
    }
    return json;
}

char *status_report_json(const struct status_report *report)
{
    json_t *json = json_pack(
        "{s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "cluster", identifier(report->cluster), "uptime_ms",
        number(report->uptime_ms), "version", number(report->map.version), "partition_count",
        number(report->partitions), "replicas", number(report->replicas), "servers",
        servers_json(report), "partitions", partitions_json(report));
    char *text = json == NULL ? NULL : json_dumps(json, JSON_INDENT(2));

    json_decref(json);
    return text;
}
