/* Faults in words. */
#include <stdarg.h>
#include <stdio.h>

#include "fuzz/fault.h"

/* Appends; what does not fit is cut off. */
__attribute__((format(printf, 2, 3))) static void add(char out[FAULT_TEXT_MAX], const char *format,
                                                      ...)
{
    va_list arguments;
    size_t length = 0;

    while (out[length] != 0)
        length++;
    va_start(arguments, format);
    (void)vsnprintf(out + length, FAULT_TEXT_MAX - length, format, arguments);
    va_end(arguments);
}

static void add_hosts(char out[FAULT_TEXT_MAX], const struct cluster *cluster, uint32_t hosts)
{
    char name[16];

    for (unsigned host = 0; hosts >> host != 0; host++)
        if ((hosts >> host & 1) != 0) {
            cluster_host_name(cluster, host, name);
            add(out, " %s", name);
        }
}

static void add_cuts(char out[FAULT_TEXT_MAX], const struct cluster *cluster,
                     const struct fault *fault)
{
    char from[16];
    const char *between = " ";

    for (unsigned host = 0; host < cluster_operator_host(cluster); host++)
        if (fault->cut[host] != 0) {
            cluster_host_name(cluster, host, from);
            add(out, "%s%s >", between, from);
            add_hosts(out, cluster, fault->cut[host]);
            between = ", ";
        }
}

static void add_clocks(char out[FAULT_TEXT_MAX], const struct cluster *cluster,
                       const struct fault *fault)
{
    char name[16];

    for (unsigned host = 0; fault->hosts >> host != 0; host++) {
        cluster_host_name(cluster, host, name);
        add(out, " %s %+lld ppm", name, (long long)fault->rate_ppm[host]);
        if (fault->wall_ns[host] != 0)
            add(out, " (wall %+.3f s)", (double)fault->wall_ns[host] / 1e9);
    }
}

static void add_moves(char out[FAULT_TEXT_MAX], const struct fault *fault)
{
    for (uint32_t i = 0; i < fault->move_count; i++) {
        const struct fault_move *move = &fault->moves[i];
        add(out, "%s", i == 0 ? " " : ", ");
        if (move->how == MOVE_PARTITION)
            add(out, "partition %u to s%u", move->partition, move->server);
        else if (move->how == MOVE_DRAIN)
            add(out, "drain s%u", move->server);
        else
            add(out, "rebalance");
    }
}

void fault_describe(const struct fault *fault, const struct cluster *cluster,
                    char out[FAULT_TEXT_MAX])
{
    out[0] = 0;
    add(out, "%s", nemesis_kind_name(fault->kind));
    if (fault->kind == NEMESIS_PARTITION)
        add_cuts(out, cluster, fault);
    else if (fault->kind == NEMESIS_CLOCK)
        add_clocks(out, cluster, fault);
    else
        add_hosts(out, cluster, fault->hosts);
    if (fault->at_once)
        add(out, ", back at once");
    if (fault->kind == NEMESIS_SLOW_DISK)
        add(out, ": writes %.1f ms, syncs %.1f ms", fault->write_delay_us / 1000.0,
            fault->sync_delay_us / 1000.0);
    if (fault->kind == NEMESIS_DISK_FULL)
        add(out, ": %llu KiB left", (unsigned long long)(fault->left_bytes >> 10));
    add_moves(out, fault);
}
