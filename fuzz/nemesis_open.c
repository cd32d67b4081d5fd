/* Starts a nemesis: options with their limits, what this machine allows, the cluster. */
#include "fuzz/nemesis_internal.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LEASE_MS = 250 };
enum { START_LIMIT_MS = 60000, HOLD_MIN_MS = 20, HOLD_MAX_MS = 1500, HEAL_LIMIT_MS = 60000 };

static bool is_in(const struct nemesis_kinds *kinds, enum nemesis_kind kind)
{
    return (kinds->bits >> kind & 1) != 0;
}

static void set_defaults(struct nemesis_options *options)
{
    if (options->servers == 0)
        options->servers = 3;
    if (options->replicas == 0)
        options->replicas = options->servers > 1 ? 2 : 1;
    if (options->partitions == 0)
        options->partitions = 8;
    if (options->client_hosts == 0)
        options->client_hosts = 1;
    if (options->lease_ms == 0)
        options->lease_ms = LEASE_MS;
    if (options->hold_min_ms == 0)
        options->hold_min_ms = HOLD_MIN_MS;
    if (options->hold_max_ms == 0)
        options->hold_max_ms =
            options->hold_min_ms > HOLD_MAX_MS ? options->hold_min_ms : HOLD_MAX_MS;
    if (options->heal_limit_ms == 0)
        options->heal_limit_ms = HEAL_LIMIT_MS;
    if (options->programs == NULL)
        options->programs = "bin";
}

static int check_options(const struct nemesis_options *options, struct error *error)
{
    if (options->servers > CLUSTER_SERVERS_MAX)
        return error_set(error, CAIRN_EINVAL, "servers: %u, at most %d", options->servers,
                         CLUSTER_SERVERS_MAX);
    if (options->replicas > options->servers)
        return error_set(error, CAIRN_EINVAL, "replicas: %u of %u servers", options->replicas,
                         options->servers);
    if (options->client_hosts > CLUSTER_CLIENT_HOSTS_MAX)
        return error_set(error, CAIRN_EINVAL, "client hosts: %u, at most %d", options->client_hosts,
                         CLUSTER_CLIENT_HOSTS_MAX);
    if (options->hold_min_ms > options->hold_max_ms)
        return error_set(error, CAIRN_EINVAL, "hold: from %llu ms to %llu ms",
                         (unsigned long long)options->hold_min_ms,
                         (unsigned long long)options->hold_max_ms);
    if (strpbrk(options->programs, ": ") != NULL)
        return error_set(error, CAIRN_EINVAL,
                         "%s: nothing can be preloaded from a folder with a colon or a space in "
                         "its name",
                         options->programs);
    return 0;
}

/* Partitions need a network of namespaces; whether there can be one is tried. */
static int check_machine(struct nemesis *nemesis, struct error *error)
{
    struct nemesis_kinds *kinds = &nemesis->options.kinds;
    struct network *probe;
    struct error why = {0};

    if (!is_in(kinds, NEMESIS_PARTITION))
        return 0;
    if (network_open(1, &probe, &why) == 0) {
        network_close(probe);
        return 0;
    }
    if (!kinds->where_usable)
        return error_set(error, CAIRN_EINVAL, "nemesis partition: not possible here: %s",
                         why.message);
    kinds->bits &= ~(1U << NEMESIS_PARTITION);
    nemesis_say(nemesis, "left out: partition: %s", why.message);
    return 0;
}

static int make_cluster(struct nemesis *nemesis, struct error *error)
{
    const struct nemesis_options *options = &nemesis->options;
    bool is_root = geteuid() == 0;
    bool may_fill = is_in(&options->kinds, NEMESIS_DISK_FULL);
    struct cluster_options cluster = {
        .servers = options->servers,
        .replicas = options->replicas,
        .partitions = options->partitions,
        .client_hosts = options->client_hosts,
        .lease_ms = options->lease_ms,
        .programs = options->programs,
        .folder = nemesis->folder.path,
        .has_network = is_in(&options->kinds, NEMESIS_PARTITION),
        .has_small_disks = may_fill && is_root,
        .has_thread_backend = is_in(&options->kinds, NEMESIS_SLOW_DISK) || (may_fill && !is_root),
        .server_arguments = options->server_arguments,
        .is_cancelled = options->is_cancelled,
        .context = options->context};

    if (cluster.has_thread_backend)
        nemesis_say(nemesis, "logs are written by threads, not io_uring: only so they can be %s",
                    may_fill && !is_root ? "slow or full" : "slow");
    if (may_fill && !is_root)
        nemesis_say(nemesis, "disk-full: servers are told so; small disks need root");
    return cluster_open(&nemesis->cluster, &cluster, error);
}

static void say_removed(void *context, const char *path)
{
    nemesis_say(context, "removed %s, which a run that was killed had left", path);
}

static int start(struct nemesis *nemesis, struct error *error)
{
    folder_remove_dead(say_removed, nemesis);
    int rc = folder_open(&nemesis->folder, nemesis->options.folder, error);
    if (rc != 0)
        return rc;
    rc = make_cluster(nemesis, error);
    if (rc != 0) {
        (void)folder_remove(&nemesis->folder, NULL);
        return rc;
    }
    rc = cluster_start(&nemesis->cluster, error);
    if (rc == 0)
        rc = cluster_wait_whole(&nemesis->cluster, START_LIMIT_MS, error);
    if (rc != 0) {
        cluster_close(&nemesis->cluster, rc != CAIRN_ECANCELED);
        if (rc == CAIRN_ECANCELED)
            (void)folder_remove(&nemesis->folder, NULL);
        else
            folder_keep(&nemesis->folder);
    }
    return rc;
}

int nemesis_open(const struct nemesis_options *options, struct nemesis **nemesis,
                 struct error *error)
{
    struct nemesis *made = calloc(1, sizeof *made);

    *nemesis = NULL;
    if (made == NULL)
        return error_set(error, CAIRN_ENOMEM, "nemesis: out of memory");
    made->options = *options;
    set_defaults(&made->options);
    random_seed(&made->random, options->seed);
    int rc = check_options(&made->options, error);
    if (rc == 0)
        rc = check_machine(made, error);
    if (rc == 0)
        rc = start(made, error);
    if (rc == 0)
        *nemesis = made;
    else
        free(made);
    return rc;
}
