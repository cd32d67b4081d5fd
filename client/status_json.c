/* The cluster's state as JSON (described in status.c). */
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "client/status_report.h"

enum { ROLE_PRIMARY = 2 }; /* of partition_status in server.x */

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

static json_t *scrub_json(const scrub_report *scrub)
{
    return json_pack("{s:b, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "running",
                     scrub->running != 0, "rate_bytes", number(scrub->rate_bytes), "passes",
                     number(scrub->passes), "values", number(scrub->values), "bytes",
                     number(scrub->bytes), "bad_values", number(scrub->bad_values), "repaired",
                     number(scrub->repaired), "waiting", number(scrub->waiting), "unrepaired",
                     number(scrub->unrepaired), "comparisons", number(scrub->comparisons),
                     "differences", number(scrub->differences), "stepped_aside",
                     number(scrub->stepped_aside));
}

static const char *server_state_name(const struct status_server *server)
{
    if (server->removed) {
        return "removed";
    }
    if (server->answered) {
        return server->registered ? "ok" : "unregistered";
    }
    return server->registered ? "unreachable" : "unregistered";
}

static json_t *server_json(const struct status_server *server)
{
    json_t *json =
        json_pack("{s:o, s:s, s:s, s:o, s:o, s:o, s:b, s:o, s:o}", "id", number(server->id),
                  "address", server->address_text, "state", server_state_name(server), "silent_ms",
                  number(server->silent_ms), "store", identifier(server->store), "incarnation",
                  number(server->incarnation), "draining", server->draining, "copies",
                  number(server->copy_count), "primaries", number(server->primary_count));
    json_t *rest = server->answered
                       ? answered_json(&server->report)
                       : json_pack("{s:s%}", "error", server->error, strlen(server->error));

    if (rest != NULL && server->answered && server->scrub_answered &&
        json_object_set_new(rest, "scrub", scrub_json(&server->scrub)) != 0) {
        json_decref(rest);
        rest = NULL;
    }
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
static const struct status_partition *find_partition(const struct status_report *report,
                                                     uint32_t server, uint32_t partition)
{
    const struct status_server *found = find_server(report, server);

    if (found == NULL || !found->answered) {
        return NULL;
    }
    for (uint32_t i = 0; i < found->partition_count; i++) {
        if (found->partitions[i].status.partition == partition) {
            return &found->partitions[i];
        }
    }
    return NULL;
}

static const copy_status *find_copy(const struct status_partition *said, uint32_t server)
{
    for (uint32_t i = 0; i < said->copy_count; i++) {
        if (said->copies[i].server == server) {
            return &said->copies[i];
        }
    }
    return NULL;
}

/* The entries by which the slowest member is behind the primary's log, as the primary sees it; null
 * if it does not lead, or knows nothing of one of them. */
static json_t *lag_json(const struct configuration *configuration,
                        const struct status_partition *said)
{
    if (said == NULL || said->status.role != ROLE_PRIMARY) {
        return json_null();
    }
    uint64_t lowest = said->status.last_index;
    for (uint32_t i = 0; i < configuration->member_count; i++) {
        uint32_t server = configuration->members[i].server;
        const copy_status *copy = find_copy(said, server);

        if (server == configuration->primary.server) {
            continue;
        }
        if (copy == NULL) {
            return json_null();
        }
        lowest = copy->matched_index < lowest ? copy->matched_index : lowest;
    }
    return number(said->status.last_index - lowest);
}

static json_t *backups_json(const struct configuration *configuration)
{
    json_t *json = json_array();

    for (uint32_t i = 0; json != NULL && i < configuration->member_count; i++) {
        uint32_t server = configuration->members[i].server;

        if (server != configuration->primary.server &&
            json_array_append_new(json, number(server)) != 0) {
            json_decref(json);
            json = NULL;
        }
    }
    return json;
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

/* L1: a primary that lacks a member's lease does not answer until it has it, or the member is
 * removed. */
static bool waits_for_lease(const struct configuration *configuration,
                            const struct status_partition *said)
{
    for (uint32_t i = 0; i < configuration->member_count; i++) {
        const copy_status *copy = find_copy(said, configuration->members[i].server);

        if (copy != NULL && !copy->lease) {
            return true;
        }
    }
    return false;
}

static const char *partition_state(const struct configuration *configuration,
                                   const struct status_partition *said)
{
    if (said == NULL) {
        return "unreachable";
    }
    if (said->status.role != ROLE_PRIMARY) {
        return "starting";
    }
    return waits_for_lease(configuration, said) ? "waiting" : "ok";
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
    const struct status_partition *said = find_partition(report, primary, configuration->partition);
    json_t *json =
        json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:s, s:o, s:o, s:o}", "partition",
                  number(configuration->partition), "primary", number(primary), "backups",
                  backups_json(configuration), "members",
                  replicas_json(configuration->members, configuration->member_count), "learners",
                  replicas_json(configuration->learners, configuration->learner_count), "epoch",
                  number(configuration->epoch), "state", partition_state(configuration, said),
                  "copies", number(configuration->member_count), "wanted", number(report->replicas),
                  "lag", lag_json(configuration, said));

    if (said == NULL || json == NULL) {
        return json;
    }
    json_t *rest = json_pack(
        "{s:s, s:o, s:o, s:o, s:o, s:o}", "role", role_name(said->status.role), "last_index",
        number(said->status.last_index), "commit_index", number(said->status.commit_index),
        "applied_index", number(said->status.applied_index), "checkpoint_index",
        number(said->status.checkpoint_index), "sessions", number(said->status.sessions));
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

static json_t *moving_json(const struct status_report *report)
{
    json_t *json = json_array();

    for (uint32_t i = 0; json != NULL && i < report->moving_count; i++) {
        if (json_array_append_new(json, number(report->moving[i])) != 0) {
            json_decref(json);
            json = NULL;
        }
    }
    return json;
}

static uint32_t missing_copies(const struct status_report *report)
{
    uint32_t count = 0;

    if (report->map.configurations == NULL) {
        return 0;
    }
    for (uint32_t p = 0; p < report->map.partitions; p++) {
        count += report->map.configurations[p].member_count < report->replicas;
    }
    return count;
}

char *status_report_json(const struct status_report *report)
{
    json_t *json = json_pack(
        "{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "cluster",
        identifier(report->cluster), "uptime_ms", number(report->uptime_ms), "version",
        number(report->map.version), "partition_count", number(report->partitions), "replicas",
        number(report->replicas), "replace_after_ms", number(report->replace_after_ms),
        "missing_copies", number(missing_copies(report)), "moving", moving_json(report), "servers",
        servers_json(report), "partitions", partitions_json(report));
    char *text = json == NULL ? NULL : json_dumps(json, JSON_INDENT(2));

    json_decref(json);
    return text;
}
