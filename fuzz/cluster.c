/* See cluster.h. */
#include "fuzz/cluster.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "fuzz/cluster_disk.h"
#include "fuzz/cluster_port.h"

/* So small that checkpoints, new segments and catching up from snapshots happen within a run. */
static const char *const small_server[] = {"--segment-bytes", "4M",  "--memtable-bytes", "4M",
                                           "--log-keep",      "16M", "--disk-reserve",   "24M"};

enum { MANAGER_HOST = 0, SLICE_MS = 10, PORT = 3000 };

unsigned cluster_server_host(unsigned server)
{
    return MANAGER_HOST + 1 + server;
}

unsigned cluster_client_host(const struct cluster *cluster, unsigned client)
{
    return cluster_server_host(cluster->server_count) + client % cluster->client_hosts;
}

unsigned cluster_operator_host(const struct cluster *cluster)
{
    return cluster_server_host(cluster->server_count) + cluster->client_hosts;
}

unsigned cluster_host_count(const struct cluster *cluster)
{
    return cluster_operator_host(cluster) + 1;
}

void cluster_host_name(const struct cluster *cluster, unsigned host, char out[16])
{
    unsigned first_client = cluster_client_host(cluster, 0);

    if (host == MANAGER_HOST)
        (void)snprintf(out, 16, "m");
    else if (host < first_client)
        (void)snprintf(out, 16, "s%u", host - cluster_server_host(0));
    else if (host < cluster_operator_host(cluster))
        (void)snprintf(out, 16, "c%u", host - first_client);
    else
        (void)snprintf(out, 16, "operator");
}

/* Where a host listens. */
static int choose_address(struct cluster *cluster, unsigned host, char out[CLUSTER_ADDRESS_MAX],
                          struct error *error)
{
    uint16_t port = 0;
    int rc;

    if (cluster->network != NULL) {
        char address[NETWORK_ADDRESS_MAX];
        network_address(host, address);
        (void)snprintf(out, CLUSTER_ADDRESS_MAX, "%s:%d", address, PORT);
        return 0;
    }
    rc = port_take(&port, &cluster->port_locks[cluster->port_lock_count], error);
    if (rc != 0)
        return rc;
    cluster->port_lock_count++;
    (void)snprintf(out, CLUSTER_ADDRESS_MAX, "127.0.0.1:%u", (unsigned)port);
    return 0;
}

static int make_node(struct cluster *cluster, const struct cluster_options *options,
                     struct node *node, unsigned host, const char *program, struct error *error)
{
    char name[16];

    cluster_host_name(cluster, host, name);
    int rc = node_init(node, name, cluster->folder, cluster->preload, error);
    if (rc != 0)
        return rc;
    node->network = cluster->network != NULL ? network_host(cluster->network, host) : -1;
    words_add(&node->command, "%s/%s", options->programs, program);
    words_add(&node->command, "--data");
    words_add(&node->command, "%s/%s", cluster->folder, name);
    return 0;
}

static void add_server_words(struct cluster *cluster, const struct cluster_options *options,
                             unsigned server, const char *address)
{
    struct words *words = &cluster->servers[server].command;

    words_add(words, "--id=%u", server);
    words_add(words, "--manager=%s", cluster->managers);
    words_add(words, "--listen=%s", address);
    words_add(words, "--beacon=%u", options->lease_ms / 5);
    words_add(words, "--lease=%u", options->lease_ms);
    words_add(words, "--grace=%u", options->lease_ms / 5 * 9);
    for (size_t i = 0; i < sizeof small_server / sizeof *small_server; i++)
        words_add(words, "%s", small_server[i]);
    if (options->has_thread_backend)
        words_add(words, "--wal-backend=thread");
    for (const char *const *more = options->server_arguments; more != NULL && *more != NULL; more++)
        words_add(words, "%s", *more);
}

static int make_nodes(struct cluster *cluster, const struct cluster_options *options,
                      struct error *error)
{
    char addresses[CLUSTER_SERVERS_MAX][CLUSTER_ADDRESS_MAX];
    char list[CLUSTER_SERVERS_MAX * CLUSTER_ADDRESS_MAX] = "";
    size_t length = 0;

    int rc = choose_address(cluster, MANAGER_HOST, cluster->managers, error);
    if (rc == 0)
        rc = make_node(cluster, options, &cluster->manager, MANAGER_HOST, "cairn-manager", error);
    for (unsigned i = 0; rc == 0 && i < options->servers; i++) {
        rc = choose_address(cluster, cluster_server_host(i), addresses[i], error);
        if (rc == 0)
            rc = make_node(cluster, options, &cluster->servers[i], cluster_server_host(i),
                           "cairn-server", error);
        if (rc == 0)
            add_server_words(cluster, options, i, addresses[i]);
        if (rc == 0)
            length += (size_t)snprintf(list + length, sizeof list - length, "%s%s",
                                       i == 0 ? "" : ",", addresses[i]);
    }
    if (rc != 0)
        return rc;
    words_add(&cluster->manager.command, "--listen=%s", cluster->managers);
    words_add(&cluster->manager.command, "--servers=%s", list);
    words_add(&cluster->manager.command, "--replicas=%u", options->replicas);
    words_add(&cluster->manager.command, "--partitions=%u", options->partitions);
    return 0;
}

/* Beside the programs, as they are built, or where it is installed. */
static int find_preload(struct cluster *cluster, const char *programs, struct error *error)
{
    static const char *const places[] = {"", "/../lib/cairn"};

    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        (void)snprintf(cluster->preload, sizeof cluster->preload, "%s%s/cairn-nemesis.so", programs,
                       places[i]);
        if (access(cluster->preload, R_OK) == 0)
            return 0;
    }
    return error_set(error, CAIRN_ENOTFOUND,
                     "cairn-nemesis.so: neither in %s nor in ../lib/cairn from there; is it built?",
                     programs);
}

static int find_programs(struct cluster *cluster, const struct cluster_options *options,
                         struct error *error)
{
    static const char *const names[] = {"cairn-server", "cairn-manager", "cairn"};
    char path[NODE_PATH_MAX + 32];

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", options->programs, names[i]);
        if (access(path, R_OK) != 0)
            return error_set(error, CAIRN_ENOTFOUND, "%s: there is no such program; is it built?",
                             path);
    }
    int rc = find_preload(cluster, options->programs, error);
    if (rc != 0)
        return rc;
    (void)snprintf(cluster->cli, sizeof cluster->cli, "%s/cairn", options->programs);
    words_add_environment(&cluster->environment);
    words_add(&cluster->environment, "LD_PRELOAD=%s", cluster->preload);
    words_add(&cluster->environment, CONTROL_PARENT_VARIABLE "=%ld", (long)getpid());
    return 0;
}

int cluster_open(struct cluster *cluster, const struct cluster_options *options,
                 struct error *error)
{
    CHECK(options->servers > 0 && options->servers <= CLUSTER_SERVERS_MAX);
    *cluster = (struct cluster){.server_count = options->servers,
                                .replicas = options->replicas,
                                .partitions = options->partitions,
                                .client_hosts = options->client_hosts,
                                .lease_ms = options->lease_ms,
                                .has_small_disks = options->has_small_disks,
                                .is_cancelled = options->is_cancelled,
                                .context = options->context};
    (void)snprintf(cluster->folder, sizeof cluster->folder, "%s", options->folder);
    int rc = find_programs(cluster, options, error);
    if (rc == 0 && options->has_network)
        rc = network_open(cluster_host_count(cluster), &cluster->network, error);
    if (rc == 0)
        rc = make_nodes(cluster, options, error);
    if (rc == 0 && options->has_small_disks)
        rc = disks_open(cluster, error);
    if (rc != 0)
        cluster_close(cluster, false);
    return rc;
}

void cluster_close(struct cluster *cluster, bool keep)
{
    for (unsigned i = 0; i < cluster->server_count; i++)
        node_free(&cluster->servers[i]);
    node_free(&cluster->manager);
    if (cluster->has_small_disks)
        disks_close(cluster, keep);
    network_close(cluster->network);
    cluster->network = NULL;
    for (unsigned i = 0; i < cluster->port_lock_count; i++)
        close(cluster->port_locks[i]);
    cluster->port_lock_count = 0;
    words_free(&cluster->environment);
}

int cluster_start(struct cluster *cluster, struct error *error)
{
    int rc = node_start(&cluster->manager, error);

    for (unsigned i = 0; rc == 0 && i < cluster->server_count; i++)
        rc = node_start(&cluster->servers[i], error);
    return rc;
}

int cluster_check(struct cluster *cluster, struct error *error)
{
    int rc = node_check(&cluster->manager, error);

    for (unsigned i = 0; rc == 0 && i < cluster->server_count; i++)
        rc = node_check(&cluster->servers[i], error);
    return rc;
}

int cluster_check_logs(struct cluster *cluster, struct error *error)
{
    int rc = node_check_log(&cluster->manager, error);

    for (unsigned i = 0; rc == 0 && i < cluster->server_count; i++)
        rc = node_check_log(&cluster->servers[i], error);
    return rc;
}

int cluster_sleep(struct cluster *cluster, uint64_t ms, struct error *error)
{
    uint64_t end_ms = clock_now_ms() + ms;

    for (;;) {
        int rc = cluster_check(cluster, error);
        if (rc != 0)
            return rc;
        if (cluster->is_cancelled != NULL && cluster->is_cancelled(cluster->context))
            return error_set(error, CAIRN_ECANCELED, "given up");
        uint64_t now_ms = clock_now_ms();
        if (now_ms >= end_ms)
            return 0;
        clock_sleep_ms(end_ms - now_ms < SLICE_MS ? end_ms - now_ms : SLICE_MS);
    }
}
