/* What cairn_status gathers, and its JSON (described in status.c). Pure. */
#ifndef CAIRN_CLIENT_STATUS_REPORT_H
#define CAIRN_CLIENT_STATUS_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "base/error.h"
#include "proto/manager_rpc.h"
#include "proto/map.h"
#include "proto/server_rpc.h"

struct status_server {
    uint32_t id;
    struct address address;
    char address_text[ADDRESS_TEXT_MAX];
    bool registered;
    uint64_t store, incarnation, silent_ms;
    bool answered;
    server_report report;          /* if it answered; its partitions belong to this struct */
    char error[ERROR_MESSAGE_MAX]; /* else */
};

struct status_report {
    bool has_manager;
    uint64_t cluster, uptime_ms;
    uint32_t partitions, replicas;
    size_t server_count;
    struct status_server *servers;
    struct cluster_map map; /* zeroed until the partitions are placed */
};

void status_report_init(struct status_report *report);
void status_report_free(struct status_report *report);
/* Copies what the manager said. CAIRN_ENOMEM, or what cluster_map_unpack says. */
int status_take_manager(struct status_report *report, const manager_report *said,
                        struct error *error);
/* Copies what a server said of itself; without memory it counts as not answered. */
void status_take_server(struct status_server *server, const server_report *said);
/* From malloc; NULL without memory. */
char *status_report_json(const struct status_report *report);

#endif
