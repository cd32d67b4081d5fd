/* See nemesis.h. */
#include "fuzz/nemesis.h"

#include <errno.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "fuzz/fault.h"
#include "fuzz/nemesis_internal.h"
#include "fuzz/nemesis_verify.h"

void nemesis_say(const struct nemesis *nemesis, const char *format, ...)
{
    char line[FAULT_TEXT_MAX * FAULTS_AT_ONCE + 128];
    va_list arguments;

    if (nemesis->options.say == NULL)
        return;
    va_start(arguments, format);
    (void)vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    nemesis->options.say(nemesis->options.context, line);
}

const char *nemesis_managers(const struct nemesis *nemesis)
{
    return nemesis->cluster.managers;
}

const char *nemesis_folder(const struct nemesis *nemesis)
{
    return nemesis->folder.path;
}

uint32_t nemesis_kinds_in_force(const struct nemesis *nemesis)
{
    return nemesis->options.kinds.bits;
}

uint64_t nemesis_cycles(const struct nemesis *nemesis)
{
    return nemesis->cycles;
}

uint64_t nemesis_faults(const struct nemesis *nemesis, enum nemesis_kind kind)
{
    CHECK((int)kind >= 0 && kind < NEMESIS_KINDS);
    return nemesis->faults[kind];
}

static int go_to(int network, struct error *error)
{
    if (setns(network, CLONE_NEWNET) != 0)
        return error_set(error, CAIRN_EIO, "network namespace: %s", strerror(errno));
    return 0;
}

int nemesis_enter(const struct nemesis *nemesis, unsigned host, struct error *error)
{
    const struct cluster *cluster = &nemesis->cluster;

    if (cluster->network == NULL)
        return 0;
    return go_to(network_host(cluster->network, cluster_client_host(cluster, host)), error);
}

int nemesis_leave(const struct nemesis *nemesis, struct error *error)
{
    if (nemesis->cluster.network == NULL)
        return 0;
    return go_to(network_home(nemesis->cluster.network), error);
}

/* The faults of this cycle; says what they are. */
static unsigned draw(struct nemesis *nemesis, struct fault faults[FAULTS_AT_ONCE])
{
    const struct nemesis_options *options = &nemesis->options;
    struct fault_plan plan = {.kinds = options->kinds.bits,
                              .servers = options->servers,
                              .partitions = options->partitions,
                              .client_hosts = options->client_hosts,
                              .hold_min_ms = options->hold_min_ms,
                              .hold_max_ms = options->hold_max_ms};
    char texts[FAULTS_AT_ONCE][FAULT_TEXT_MAX] = {"no fault", ""};
    unsigned count = 0;

    if (plan.kinds != 0)
        count = fault_draw(&nemesis->random, &plan, faults);
    for (unsigned i = 0; i < count; i++)
        fault_describe(&faults[i], &nemesis->cluster, texts[i]);
    (void)snprintf(nemesis->now, sizeof nemesis->now, "cycle %llu: %s%s%s",
                   (unsigned long long)nemesis->cycles, texts[0], count > 1 ? " and " : "",
                   texts[1]);
    return count;
}

/* The error says in which cycle it happened. */
static int in_cycle(const struct nemesis *nemesis, int rc, struct error *error)
{
    if (rc == 0 || rc == CAIRN_ECANCELED || error == NULL)
        return rc;
    return error_set(error, rc, "%.200s: %s", nemesis->now, error->message);
}

static int heal(struct nemesis *nemesis, struct error *error)
{
    uint64_t start_ms = clock_now_ms(), limit_ms = nemesis->options.heal_limit_ms;
    int rc = fault_end_all(&nemesis->cluster, limit_ms, error);

    if (rc == 0)
        rc = cluster_wait_whole(&nemesis->cluster, limit_ms, error);
    nemesis->healed_ms = clock_now_ms() - start_ms;
    return rc;
}

int nemesis_cycle(struct nemesis *nemesis, struct error *error)
{
    struct fault faults[FAULTS_AT_ONCE];
    uint64_t hold_ms = nemesis->options.hold_min_ms;
    int rc = 0;

    nemesis->cycles++;
    unsigned count = draw(nemesis, faults);
    if (count > 0)
        hold_ms = faults[0].hold_ms;
    nemesis_say(nemesis, "%s, for %llu ms", nemesis->now, (unsigned long long)hold_ms);
    for (unsigned i = 0; rc == 0 && i < count; i++) {
        rc = fault_begin(&faults[i], &nemesis->cluster, error);
        nemesis->faults[faults[i].kind]++;
    }
    if (rc == 0)
        rc = cluster_sleep(&nemesis->cluster, hold_ms, error);
    if (rc == 0)
        rc = heal(nemesis, error);
    if (rc == 0)
        nemesis_say(nemesis, "cycle %llu: whole again after %llu ms",
                    (unsigned long long)nemesis->cycles, (unsigned long long)nemesis->healed_ms);
    /* Clients that are still to complete their calls need the cluster. */
    if (rc == CAIRN_ECANCELED)
        (void)fault_end_all(&nemesis->cluster, 0, NULL);
    nemesis->has_failed |= rc != 0 && rc != CAIRN_ECANCELED;
    return in_cycle(nemesis, rc, error);
}

int nemesis_settle(struct nemesis *nemesis, struct error *error)
{
    int rc = heal(nemesis, error);

    if (rc == 0)
        rc = nemesis_verify(nemesis, error);
    if (rc == 0)
        rc = cluster_check_logs(&nemesis->cluster, error);
    nemesis->has_failed |= rc != 0 && rc != CAIRN_ECANCELED;
    return rc;
}

int nemesis_kill_server(struct nemesis *nemesis, unsigned server, struct error *error)
{
    struct cluster *cluster = &nemesis->cluster;

    if (server >= cluster->server_count || cluster->servers[server].process == 0)
        return error_set(error, CAIRN_EINVAL, "s%u: does not run", server);
    nemesis_say(nemesis, "kill -9 of s%u", server);
    return node_kill(&cluster->servers[server], error);
}

int nemesis_start_server(struct nemesis *nemesis, unsigned server, struct error *error)
{
    struct cluster *cluster = &nemesis->cluster;

    if (server >= cluster->server_count || cluster->servers[server].process != 0)
        return error_set(error, CAIRN_EINVAL, "s%u: runs, or is none of the servers", server);
    nemesis_say(nemesis, "s%u is relaunched", server);
    return node_start(&cluster->servers[server], error);
}

int nemesis_close(struct nemesis *nemesis, bool keep, struct error *error)
{
    if (nemesis == NULL)
        return 0;
    int rc = cluster_check(&nemesis->cluster, error);
    if (rc == 0)
        rc = cluster_check_logs(&nemesis->cluster, error);
    keep = keep || rc != 0 || nemesis->has_failed;
    cluster_close(&nemesis->cluster, keep);
    if (keep) {
        folder_keep(&nemesis->folder);
        nemesis_say(nemesis, "data and logs are kept in %s", nemesis->folder.path);
    } else {
        rc = folder_remove(&nemesis->folder, error);
    }
    free(nemesis);
    return rc;
}
