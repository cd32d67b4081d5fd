/* Whether a cluster is whole, as its status tells. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "fuzz/cluster.h"
#include "fuzz/cluster_tool.h"

enum { STATUS_LIMIT_MS = 3000, STATUS_MAX = 1 << 20, PAUSE_MS = 50, WRONG_MAX = 256 };

struct health {
    char wrong[WRONG_MAX]; /* empty: nothing */
    uint64_t epochs;       /* of all partitions, added up: they only grow */
};

static json_int_t number(const json_t *object, const char *name)
{
    return json_integer_value(json_object_get(object, name));
}

static const char *text(const json_t *object, const char *name)
{
    const char *found = json_string_value(json_object_get(object, name));

    return found != NULL ? found : "";
}

static void look_at_server(const json_t *server, struct health *health)
{
    if (strcmp(text(server, "state"), "ok") != 0)
        (void)snprintf(health->wrong, WRONG_MAX, "server %d is %s", (int)number(server, "id"),
                       text(server, "state"));
    else if (json_is_true(json_object_get(server, "read_only")))
        (void)snprintf(health->wrong, WRONG_MAX, "server %d refuses writes: its disk is full",
                       (int)number(server, "id"));
}

static void look_at_partition(const json_t *partition, struct health *health)
{
    health->epochs += (uint64_t)number(partition, "epoch");
    if (number(partition, "copies") != number(partition, "wanted") ||
        json_array_size(json_object_get(partition, "learners")) != 0 ||
        strcmp(text(partition, "state"), "ok") != 0)
        (void)snprintf(health->wrong, WRONG_MAX,
                       "partition %d, led by server %d, is %s with %d of %d copies and %d learners",
                       (int)number(partition, "partition"), (int)number(partition, "primary"),
                       text(partition, "state"), (int)number(partition, "copies"),
                       (int)number(partition, "wanted"),
                       (int)json_array_size(json_object_get(partition, "learners")));
}

static void look_at_status(const struct cluster *cluster, const json_t *status,
                           struct health *health)
{
    const json_t *servers = json_object_get(status, "servers");
    const json_t *partitions = json_object_get(status, "partitions");
    const json_t *item;
    size_t i;

    json_array_foreach(servers, i, item) look_at_server(item, health);
    json_array_foreach(partitions, i, item) look_at_partition(item, health);
    if (json_array_size(partitions) != cluster->partitions)
        (void)snprintf(health->wrong, WRONG_MAX, "the partitions are not placed");
    else if (number(status, "missing_copies") != 0)
        (void)snprintf(health->wrong, WRONG_MAX, "%d copies are missing",
                       (int)number(status, "missing_copies"));
    else if (json_array_size(json_object_get(status, "moving")) != 0)
        (void)snprintf(health->wrong, WRONG_MAX, "%d partitions are moving",
                       (int)json_array_size(json_object_get(status, "moving")));
}

/* An operator's look; what cannot be asked is wrong, too. */
static int look(struct cluster *cluster, struct health *health, struct error *error)
{
    struct buffer output;
    int exit_code;

    *health = (struct health){.epochs = 0};
    buffer_init(&output, STATUS_MAX);
    int rc = tool_run(cluster, "--json --timeout 2000 status", STATUS_LIMIT_MS, &exit_code, &output,
                      error);
    json_t *status = rc == 0 && exit_code == 0
                         ? json_loadb((const char *)output.data, output.length, 0, NULL)
                         : NULL;
    if (rc == 0 && status == NULL)
        (void)snprintf(health->wrong, WRONG_MAX, "status: exit %d: %.150s", exit_code,
                       output.length > 0 ? (const char *)output.data : "");
    else if (rc == 0)
        look_at_status(cluster, status, health);
    json_decref(status);
    buffer_free(&output);
    return rc;
}

int cluster_wait_whole(struct cluster *cluster, uint64_t limit_ms, struct error *error)
{
    uint64_t deadline_ms = clock_now_ms() + limit_ms, since_ms = clock_now_ms(), seen = 0;
    struct health health;

    for (;;) {
        uint64_t asked_ms = clock_now_ms();
        int rc = look(cluster, &health, error);
        if (rc != 0)
            return rc;
        if (health.wrong[0] != 0 || health.epochs != seen) {
            seen = health.epochs;
            since_ms = clock_now_ms();
        } else if (asked_ms > since_ms + cluster->lease_ms * 6 / 5) {
            return 0;
        }
        if (asked_ms > deadline_ms)
            return error_set(error, CAIRN_ETIMEDOUT, "not whole within %llu ms: %s; see %s/*.log",
                             (unsigned long long)limit_ms,
                             health.wrong[0] != 0 ? health.wrong : "epochs go on changing",
                             cluster->folder);
        rc = cluster_sleep(cluster, PAUSE_MS, error);
        if (rc != 0)
            return rc;
    }
}
