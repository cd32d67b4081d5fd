/* The cluster's state: gathered. */
#include "client/status_report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void status_report_init(struct status_report *report)
{
    memset(report, 0, sizeof(*report));
}

void status_report_free(struct status_report *report)
{
    for (size_t i = 0; i < report->server_count; i++) {
        free(report->servers[i].partitions);
        free(report->servers[i].copies);
    }
    free(report->servers);
    free(report->moving);
    cluster_map_free(&report->map);
    memset(report, 0, sizeof(*report));
}

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

static void take_duty(struct status_server *server, const server_duty *said)
{
    server->draining = said->draining;
    server->removed = said->removed;
    server->copy_count = said->copies;
    server->primary_count = said->primaries;
}

static int take_moving(struct status_report *report, const manager_report *said)
{
    uint32_t count = said->moving.moving_len;

    report->moving = calloc(count + 1U, sizeof(*report->moving));
    if (report->moving == NULL) {
        return CAIRN_ENOMEM;
    }
    for (uint32_t i = 0; i < count; i++) {
        report->moving[i] = said->moving.moving_val[i];
    }
    report->moving_count = count;
    return CAIRN_OK;
}

int status_take_manager(struct status_report *report, const manager_report *said,
                        struct error *error)
{
    int status = CAIRN_OK;

    status_report_free(report);
    report->servers = calloc(said->servers.servers_len + 1U, sizeof(*report->servers));
    if (report->servers == NULL || take_moving(report, said) != CAIRN_OK) {
        return error_set(error, CAIRN_ENOMEM, "out of memory");
    }
    report->server_count = said->servers.servers_len;
    for (size_t i = 0; i < report->server_count && status == CAIRN_OK; i++) {
        status = take_server_state(&report->servers[i], &said->servers.servers_val[i], error);
    }
    for (size_t i = 0; i < report->server_count && i < said->duties.duties_len; i++) {
        take_duty(&report->servers[i], &said->duties.duties_val[i]);
    }
    if (status == CAIRN_OK && said->map.length > 0) {
        status = cluster_map_unpack(said->map.data, said->map.length, &report->map, error);
    }
    report->cluster = said->cluster;
    report->uptime_ms = said->uptime_ms;
    report->partitions = said->partitions;
    report->replicas = said->replicas;
    report->replace_after_ms = said->replace_after_ms;
    report->has_manager = status == CAIRN_OK;
    return status;
}

/* How many copies a server tells of with its partition `index`: none, if it is older than they are.
 */
static uint32_t copies_of(const server_report *said, size_t index)
{
    return index < said->copies.copies_len ? said->copies.copies_val[index].copies.copies_len : 0;
}

/* Copies the partitions into `to`, which has room for them, and what is said of other copies into
 * `copies`. */
static void take_partitions(const server_report *said, struct status_partition *to,
                            copy_status *copies)
{
    for (uint32_t i = 0; i < said->partitions.partitions_len; i++) {
        to[i].status = said->partitions.partitions_val[i];
        to[i].copy_count = copies_of(said, i);
        to[i].copies = copies;
        for (uint32_t k = 0; k < to[i].copy_count; k++) {
            *copies++ = said->copies.copies_val[i].copies.copies_val[k];
        }
    }
}

void status_take_server(struct status_server *server, const server_report *said)
{
    uint32_t count = said->partitions.partitions_len;
    size_t copy_count = 0;

    for (size_t i = 0; i < count; i++) {
        copy_count += copies_of(said, i);
    }
    struct status_partition *partitions = calloc((size_t)count + 1, sizeof(*partitions));
    copy_status *copies = calloc(copy_count + 1, sizeof(*copies));
    if (partitions == NULL || copies == NULL) {
        free(partitions);
        free(copies);
        snprintf(server->error, sizeof(server->error), "out of memory");
        return;
    }
    take_partitions(said, partitions, copies);
    server->report = *said;
    memset(&server->report.partitions, 0, sizeof(server->report.partitions));
    memset(&server->report.copies, 0, sizeof(server->report.copies));
    server->partition_count = count;
    server->partitions = partitions;
    server->copies = copies;
    server->answered = true;
}
