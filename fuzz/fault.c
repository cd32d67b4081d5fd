/* Begins faults on a cluster, and ends them. */
#include "fuzz/fault.h"

#include "base/check.h"
#include "fuzz/cluster_disk.h"

/* The node of a host, or NULL: clients and the operator have none here. */
static struct node *node_of(struct cluster *cluster, unsigned host)
{
    if (host == 0)
        return &cluster->manager;
    return host <= cluster->server_count ? &cluster->servers[host - 1] : NULL;
}

/* Nobody else may notice before it is back, if it is relaunched at once. */
static int begin_kill(const struct fault *fault, struct node *node, struct error *error)
{
    int rc = node_kill(node, error);

    return rc == 0 && fault->at_once ? node_start(node, error) : rc;
}

static int begin_on_node(const struct fault *fault, struct cluster *cluster, unsigned host,
                         struct error *error)
{
    struct node *node = node_of(cluster, host);

    CHECK(node != NULL);
    switch (fault->kind) {
    case NEMESIS_KILL:
    case NEMESIS_RESTART_MANAGER:
        return begin_kill(fault, node, error);
    case NEMESIS_PAUSE:
        node_pause(node);
        return 0;
    case NEMESIS_SLOW_DISK:
        control_set_disk(node->control, fault->write_delay_us, fault->sync_delay_us);
        return 0;
    case NEMESIS_DISK_FULL:
        return disk_fill(cluster, host - 1, fault->left_bytes, error);
    case NEMESIS_CLOCK:
        control_set_rate(node->control, fault->rate_ppm[host]);
        control_set_wall(node->control, fault->wall_ns[host]);
        return 0;
    case NEMESIS_PARTITION:
    case NEMESIS_MOVE:
    case NEMESIS_KINDS:
        break;
    }
    CHECK(false);
    return CAIRN_EINVAL;
}

static int begin_cuts(const struct fault *fault, struct cluster *cluster, struct error *error)
{
    CHECK(cluster->network != NULL);
    return network_cut(cluster->network, fault->cut, error);
}

int fault_begin(const struct fault *fault, struct cluster *cluster, struct error *error)
{
    int rc = 0;

    if (fault->kind == NEMESIS_PARTITION)
        return begin_cuts(fault, cluster, error);
    if (fault->kind == NEMESIS_MOVE)
        return fault_begin_moves(fault, cluster, error);
    for (unsigned host = 0; rc == 0 && fault->hosts >> host != 0; host++)
        if ((fault->hosts >> host & 1) != 0)
            rc = begin_on_node(fault, cluster, host, error);
    return rc;
}

static void heal_node(struct node *node)
{
    control_set_disk(node->control, 0, 0);
    if (node->control->clock.rate_ppm != 0)
        control_set_rate(node->control, 0);
    if (node->control->clock.wall_ns != 0)
        control_set_wall(node->control, 0);
    node_resume(node);
}

int fault_end_all(struct cluster *cluster, uint64_t limit_ms, struct error *error)
{
    int rc = 0;

    for (unsigned i = 0; rc == 0 && i < cluster->server_count; i++)
        rc = disk_clear(cluster, i, error);
    for (unsigned host = 0; host <= cluster->server_count; host++)
        heal_node(node_of(cluster, host));
    if (rc == 0 && cluster->network != NULL)
        rc = network_heal(cluster->network, error);
    if (rc == 0)
        rc = cluster_start(cluster, error);
    if (rc == 0)
        rc = fault_end_drains(cluster, limit_ms, error);
    return rc;
}
