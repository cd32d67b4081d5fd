/* Asks a manager what a release's clients and servers ask, with stubs that rpcgen makes of that
 * release's manager.x (proto/released), and nothing of Cairn's own.
 *
 *     released-manager-client HOST PORT map | status | heartbeat
 *
 * Prints: map VERSION BYTES; status SERVERS PARTITIONS REPLICAS MAP-BYTES; heartbeat VERSION
 * MAP-BYTES, of a heartbeat as the first server sends it, whose identity the status tells. Exit: 0,
 * or 2 if a call fails, is refused, or its answer cannot be decoded. */
#include <netdb.h>
#include <netinet/in.h>
#include <rpc/rpc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "manager_rpc.h"

static CLIENT *manager;

static int failed(const char *what, enum clnt_stat status, manager_status answer)
{
    (void)fprintf(stderr, "ERROR: %s: %s, status %d\n", what, clnt_sperrno(status), (int)answer);
    return 2;
}

static int ask_map(void)
{
    map_args args = {.cluster = 0};
    map_result result;
    enum clnt_stat status;

    memset(&result, 0, sizeof result);
    status = manager_get_map_1(&args, &result, manager);
    if (status != RPC_SUCCESS || result.status != MANAGER_OK)
        return failed("map", status, result.status);
    (void)printf("map %llu %u\n", (unsigned long long)result.map_result_u.done.map_version,
                 result.map_result_u.done.map.cairn_map_len);
    return 0;
}

static int ask_status(manager_status_result *result)
{
    manager_status_args args = {.cluster = 0};
    enum clnt_stat status;

    memset(result, 0, sizeof *result);
    status = manager_status_1(&args, result, manager);
    return status == RPC_SUCCESS && result->status == MANAGER_OK
               ? 0
               : failed("status", status, result->status);
}

static int say_status(void)
{
    manager_status_result result;
    const manager_report *report = &result.manager_status_result_u.report;
    u_int registered = 0;

    if (ask_status(&result) != 0)
        return 2;
    for (u_int i = 0; i < report->servers.servers_len; i++)
        registered +=
            report->servers.servers_val[i].registered && report->servers.servers_val[i].server == i;
    (void)printf("status %u %u %u %u\n", registered, report->partitions, report->replicas,
                 report->map.cairn_map_len);
    return 0;
}

static int beat(void)
{
    manager_status_result found;
    const server_state *self;
    heartbeat_partition partition = {.partition = 0, .epoch = 1, .role = 3, .commit_index = 0};
    heartbeat_args args = {.map_version = 0};
    heartbeat_result result;
    enum clnt_stat status;

    if (ask_status(&found) != 0)
        return 2;
    self = &found.manager_status_result_u.report.servers.servers_val[0];
    args.who = (server_identity){.cluster = found.manager_status_result_u.report.cluster,
                                 .server = self->server,
                                 .store = self->store,
                                 .incarnation = self->incarnation};
    args.partitions.partitions_len = 1;
    args.partitions.partitions_val = &partition;
    memset(&result, 0, sizeof result);
    status = manager_heartbeat_1(&args, &result, manager);
    if (status != RPC_SUCCESS || result.status != MANAGER_OK)
        return failed("heartbeat", status, result.status);
    (void)printf("heartbeat %llu %u\n",
                 (unsigned long long)result.heartbeat_result_u.done.map_version,
                 result.heartbeat_result_u.done.map.cairn_map_len);
    return 0;
}

static CLIENT *connect_to(const char *host, const char *port)
{
    struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    struct sockaddr_in address;
    int fd = RPC_ANYSOCK;

    if (getaddrinfo(host, port, &hints, &found) != 0)
        return NULL;
    memcpy(&address, found->ai_addr, sizeof address);
    freeaddrinfo(found);
    return clnttcp_create(&address, CAIRN_MANAGER, CAIRN_MANAGER_V1, &fd, 0, 0);
}

int main(int argc, char **argv)
{
    manager = argc == 4 ? connect_to(argv[1], argv[2]) : NULL;
    if (manager == NULL) {
        (void)fprintf(stderr,
                      "ERROR: usage: %s HOST PORT map|status|heartbeat; or cannot connect\n",
                      argv[0]);
        return 2;
    }
    if (strcmp(argv[3], "map") == 0)
        return ask_map();
    if (strcmp(argv[3], "status") == 0)
        return say_status();
    return strcmp(argv[3], "heartbeat") == 0 ? beat() : 2;
}
