/* What cairn_status gathers (status_report.c), and its JSON (status_json.c, described in status.c).
 * Pure but for status_ask_manager. */
#ifndef CAIRN_CLIENT_STATUS_REPORT_H
#define CAIRN_CLIENT_STATUS_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "base/error.h"
#include "client/cairn.h"
#include "proto/manager_rpc.h"
#include "proto/map.h"
#include "proto/server_rpc.h"

struct status_partition {
    partition_status status;
    uint32_t copy_count;
    const copy_status *copies;
};

struct status_server {
    uint32_t id;
    struct address address;
    char address_text[ADDRESS_TEXT_MAX];
    bool registered;
    uint64_t store, incarnation, silent_ms;
    bool draining, removed;
    uint32_t copy_count, primary_count;
    bool answered;
    server_report report; /* if it answered; without partitions and copies, which are below */
    uint32_t partition_count;
    struct status_partition *partitions;
    copy_status *copies; /* what the partitions' copies point into */
    bool scrub_answered;
    scrub_report scrub;            /* if so; without partitions */
    char error[ERROR_MESSAGE_MAX]; /* else */
};

struct status_report {
    bool has_manager;
    uint64_t cluster, uptime_ms;
    uint32_t partitions, replicas;
    size_t server_count;
    struct status_server *servers;
    uint64_t replace_after_ms;
    uint32_t moving_count;
    uint32_t *moving;       /* partitions whose copies are not yet where they shall be */
    struct cluster_map map; /* zeroed until the partitions are placed */
};

void status_report_init(struct status_report *report);
void status_report_free(struct status_report *report);
/* Asks the managers until one has answered, and fills `report`, which was initialised. CAIRN_OK;
 * CAIRN_ETIMEDOUT, CAIRN_ECANCELED, CAIRN_ENOMEM, or what a manager's refusal means; the message in
 * db->error begins with `name`. (status.c) */
int status_ask_manager(cairn_t *db, const char *name, struct status_report *report,
                       uint64_t deadline_ms);
/* Copies what the manager said. CAIRN_ENOMEM, or what cluster_map_unpack says. */
int status_take_manager(struct status_report *report, const manager_report *said,
                        struct error *error);
/* Copies what a server said of itself; without memory it counts as not answered. */
void status_take_server(struct status_server *server, const server_report *said);
/* From malloc; NULL without memory. */
char *status_report_json(const struct status_report *report);

#endif
