/* Opening the manager's data directory, and founding a cluster in a new one: see directory.h. */
#include "manager/directory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/random.h"

enum { PATH_LIMIT = 4096, LIST_TEXT_MAX = 160 };

/* --- options --- */

/* As much of the list as fits, for messages. */
static void list_text(const struct address_list *list, char out[LIST_TEXT_MAX])
{
    char text[ADDRESS_TEXT_MAX];
    size_t used = 0;

    out[0] = '\0';
    for (size_t i = 0; i < list->count; i++) {
        int length;

        address_format(&list->items[i], text);
        length = snprintf(out + used, LIST_TEXT_MAX - used, "%s%s", i == 0 ? "" : ",", text);
        if (length < 0 || (size_t)length >= LIST_TEXT_MAX - used) {
            (void)snprintf(out + LIST_TEXT_MAX - 4, 4, "...");
            return;
        }
        used += (size_t)length;
    }
}

static int check_servers(const struct address_list *servers, struct error *error)
{
    char text[ADDRESS_TEXT_MAX];

    for (size_t i = 0; i < servers->count; i++)
        for (size_t j = 0; j < i; j++)
            if (address_equal(&servers->items[i], &servers->items[j]))
                return error_set(error, CAIRN_EINVAL, "--servers: %s is named twice",
                                 address_format(&servers->items[i], text));
    return 0;
}

static int check_options(const struct manager_options *options, struct error *error)
{
    if (options->replicas > CAIRN_REPLICAS_LIMIT)
        return error_set(error, CAIRN_EINVAL, "--replicas %u: at most %d", options->replicas,
                         CAIRN_REPLICAS_LIMIT);
    if (options->partitions > CAIRN_PARTITIONS_LIMIT)
        return error_set(error, CAIRN_EINVAL, "--partitions %u: at most %d", options->partitions,
                         CAIRN_PARTITIONS_LIMIT);
    if (options->servers == NULL)
        return 0;
    if (options->servers->count == 0 || options->servers->count > CAIRN_SERVERS_LIMIT)
        return error_set(error, CAIRN_EINVAL, "--servers: %zu servers, not 1 to %d",
                         options->servers->count, CAIRN_SERVERS_LIMIT);
    if (options->replicas > options->servers->count)
        return error_set(error, CAIRN_EINVAL,
                         "--replicas %u: more copies than the %zu servers of --servers",
                         options->replicas, options->servers->count);
    return check_servers(options->servers, error);
}

/* The servers as --servers named them at founding, or those that are in the cluster now. */
static void stored_servers(const struct cluster_map *map, bool founders, struct address_list *list)
{
    const size_t count = founders ? map->founders : map->server_count;

    list->count = 0;
    for (size_t i = 0; i < count; i++)
        if (founders || !map->servers[i].removed)
            list->items[list->count++] = map->servers[i].address;
}

static bool same_list(const struct address_list *left, const struct address_list *right)
{
    if (left->count != right->count)
        return false;
    for (size_t i = 0; i < left->count; i++)
        if (!address_equal(&left->items[i], &right->items[i]))
            return false;
    return true;
}

static int compare_lists(const struct manager_options *options, const struct address_list *founders,
                         const struct address_list *present, struct error *error)
{
    char given[LIST_TEXT_MAX], founded[LIST_TEXT_MAX], now[LIST_TEXT_MAX];

    if (same_list(options->servers, founders) || same_list(options->servers, present))
        return 0;
    list_text(options->servers, given);
    list_text(founders, founded);
    list_text(present, now);
    if (same_list(founders, present))
        return error_set(
            error, CAIRN_EINVAL,
            "--servers %s contradicts the data directory %.64s, which stores --servers %s", given,
            options->data, founded);
    return error_set(error, CAIRN_EINVAL,
                     "--servers %s contradicts the data directory %.64s, which was founded with %s "
                     "and has %s now",
                     given, options->data, founded, now);
}

/* Servers come and go by an operator's calls: both lists name what this cluster is. */
static int compare_servers(const struct manager_options *options, const struct cluster_map *map,
                           struct error *error)
{
    struct address_list *lists;
    int status;

    if (options->servers == NULL)
        return 0;
    lists = calloc(2, sizeof *lists);
    if (lists == NULL)
        return error_set(error, CAIRN_ENOMEM, "cluster map: out of memory");
    stored_servers(map, true, &lists[0]);
    stored_servers(map, false, &lists[1]);
    status = compare_lists(options, &lists[0], &lists[1], error);
    free(lists);
    return status;
}

/* A flag that contradicts what is stored is an error: nothing is ignored silently. */
static int compare_stored(const struct manager_options *options, const struct cluster_map *map,
                          struct error *error)
{
    if (options->replicas != 0 && options->replicas != map->replicas)
        return error_set(
            error, CAIRN_EINVAL,
            "--replicas %u contradicts the data directory %.64s, which stores --replicas %u",
            options->replicas, options->data, map->replicas);
    if (options->partitions != 0 && options->partitions != map->partitions)
        return error_set(
            error, CAIRN_EINVAL,
            "--partitions %u contradicts the data directory %.64s, which stores --partitions %u",
            options->partitions, options->data, map->partitions);
    return compare_servers(options, map, error);
}

static uint32_t wanted_replicas(const struct manager_options *options)
{
    if (options->replicas != 0)
        return options->replicas;
    return options->servers != NULL && options->servers->count == 1 ? 1 : MANAGER_REPLICAS_DEFAULT;
}

static uint32_t wanted_partitions(const struct manager_options *options)
{
    return options->partitions != 0 ? options->partitions : MANAGER_PARTITIONS_DEFAULT;
}

/* --- a new cluster --- */

static int new_map(const struct manager_options *options, struct cluster_map *map,
                   struct error *error)
{
    const struct address_list *servers = options->servers;

    memset(map, 0, sizeof *map);
    map->servers = calloc(servers->count, sizeof *map->servers);
    if (map->servers == NULL)
        return error_set(error, CAIRN_ENOMEM, "cluster map: out of memory");
    map->cluster = random_id();
    map->version = 1;
    map->partitions = wanted_partitions(options);
    map->replicas = wanted_replicas(options);
    map->server_count = servers->count;
    map->founders = (uint32_t)servers->count;
    for (size_t i = 0; i < servers->count; i++) {
        map->servers[i].id = (uint32_t)i;
        map->servers[i].address = servers->items[i];
        address_format(&servers->items[i], map->servers[i].address_text);
    }
    return 0;
}

static int check_room(struct manager_directory *directory, const char *path, struct error *error)
{
    if (manager_log_has_room(&directory->log, directory->membership, 1, 0))
        return 0;
    return error_set(error, CAIRN_ENOSPC, "%s: no room on the disk for the journal", path);
}

static int found_cluster(struct manager_directory *directory, const struct manager_options *options,
                         uint64_t now_ms, struct error *error)
{
    struct cluster_map map;
    int status;

    /* R10: the manager never forgets; a lost journal is not a new cluster. */
    if (directory->identity.cluster != 0)
        return error_set(error, CAIRN_ECORRUPT,
                         "%s: IDENTITY says cluster %016llx, but the journal in wal/ is empty: "
                         "restore it",
                         options->data, (unsigned long long)directory->identity.cluster);
    if (options->servers == NULL)
        return error_set(error, CAIRN_EINVAL, "--servers is needed: %s holds no cluster yet",
                         options->data);
    status = new_map(options, &map, error);
    if (status == 0)
        status = membership_create(&map, now_ms, &directory->membership, error);
    cluster_map_free(&map);
    if (status == 0)
        status = check_room(directory, options->data, error);
    if (status == 0) {
        manager_log_append_map(&directory->log, directory->membership);
        manager_log_flush(&directory->log);
    }
    return status;
}

/* --- opening --- */

static int load_identity(struct manager_directory *directory, const char *path, struct error *error)
{
    int status = identity_load(path, IDENTITY_MANAGER, &directory->identity, error);

    if (status != CAIRN_ENOTFOUND)
        return status;
    memset(&directory->identity, 0, sizeof directory->identity);
    directory->identity.role = IDENTITY_MANAGER;
    directory->identity.store = random_id();
    if (error != NULL)
        memset(error, 0, sizeof *error);
    return 0;
}

/* The identity is written after the journal is durable, so that one with a cluster id proves that
 * there was a journal. */
static int save_identity(struct manager_directory *directory, const char *path, struct error *error)
{
    const uint64_t cluster = directory->membership->map.cluster;

    if (directory->identity.cluster != 0 && directory->identity.cluster != cluster)
        return error_set(error, CAIRN_ECONFLICT,
                         "%s: IDENTITY says cluster %016llx, the journal in wal/ cluster %016llx",
                         path, (unsigned long long)directory->identity.cluster,
                         (unsigned long long)cluster);
    directory->identity.cluster = cluster;
    directory->identity.incarnation++;
    return identity_save(path, &directory->identity, error);
}

static int open_journal(struct manager_directory *directory, const struct manager_options *options,
                        uint64_t now_ms, struct error *error)
{
    char path[PATH_LIMIT];
    const int length = snprintf(path, sizeof path, "%s/wal", options->data);

    if (length < 0 || (size_t)length >= sizeof path)
        return error_set(error, CAIRN_EINVAL, "--data: the path is too long");
    return manager_log_open(&directory->log, path, wanted_partitions(options),
                            wanted_replicas(options), now_ms, &directory->membership, error);
}

static int open_locked(struct manager_directory *directory, const struct manager_options *options,
                       uint64_t now_ms, struct error *error)
{
    int status = load_identity(directory, options->data, error);

    if (status == 0)
        status = open_journal(directory, options, now_ms, error);
    if (status == 0)
        status = directory->membership != NULL
                     ? compare_stored(options, &directory->membership->map, error)
                     : found_cluster(directory, options, now_ms, error);
    if (status == 0)
        status = save_identity(directory, options->data, error);
    if (status == 0)
        status = check_room(directory, options->data, error);
    /* All servers may have registered just before a crash, the placement not yet written. */
    if (status == 0 && membership_place(directory->membership) != 0)
        status = error_set(error, CAIRN_ENOMEM, "placement: out of memory");
    if (status == 0) {
        manager_log_append(&directory->log, directory->membership);
        manager_log_flush(&directory->log);
    }
    return status;
}

int manager_directory_open(struct manager_directory *directory,
                           const struct manager_options *options, uint64_t now_ms,
                           struct error *error)
{
    int status;

    memset(directory, 0, sizeof *directory);
    directory->lock = -1;
    status = check_options(options, error);
    if (status == 0)
        status = directory_create(options->data, error);
    if (status == 0)
        status = directory_lock(options->data, &directory->lock, error);
    if (status == 0)
        status = open_locked(directory, options, now_ms, error);
    if (status != 0)
        manager_directory_close(directory);
    return status;
}

void manager_directory_close(struct manager_directory *directory)
{
    if (directory->log.wal != NULL)
        manager_log_close(&directory->log);
    membership_free(directory->membership);
    directory->membership = NULL;
    if (directory->lock >= 0)
        (void)close(directory->lock);
    directory->lock = -1;
}
