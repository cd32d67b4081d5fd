/* See tests/crash/recovery.h: the manager's. What it told anybody is in its map again, or was
 * followed by something newer: a version, an epoch or a copy never goes back (R9, R10, W1).
 *
 * The marks are a text file, a line for each state of the map that was seen, in order:
 *
 *   NUMBER CLUSTER VERSION { EPOCH PRIMARY MEMBERS }
 *
 * NUMBER is the last event when the answer had come; CLUSTER is hexadecimal; for each partition,
 * from 0, once they are placed: its epoch, its primary, its members as a number of bits. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "manager/directory.h"
#include "tests/crash/recovery.h"

enum { LINE_LIMIT = 4096, PARTITIONS_LIMIT = 64, HEXADECIMAL = 16 };

struct partition_mark {
    uint64_t epoch, primary, members;
};

struct map_mark {
    uint64_t number, cluster, version;
    size_t partition_count;
    struct partition_mark partitions[PARTITIONS_LIMIT];
};

struct recovery_marks {
    struct map_mark *maps;
    size_t count, capacity;
};

/* --- what was told -----------------------------------------------------------------------------
 */

/* The next number of a line; false at its end. */
static bool next(char **at, int base, uint64_t *number)
{
    char *end;
    *number = strtoull(*at, &end, base);
    const bool any = end != *at;
    *at = end;
    return any;
}

static bool parse(char *line, struct map_mark *mark)
{
    *mark = (struct map_mark){0};
    if (!next(&line, 10, &mark->number) || !next(&line, HEXADECIMAL, &mark->cluster) ||
        !next(&line, 10, &mark->version))
        return false;
    for (uint64_t epoch; next(&line, 10, &epoch); mark->partition_count++) {
        if (mark->partition_count == PARTITIONS_LIMIT)
            return false;
        struct partition_mark *partition = &mark->partitions[mark->partition_count];
        partition->epoch = epoch;
        if (!next(&line, 10, &partition->primary) || !next(&line, 10, &partition->members))
            return false;
    }
    return *line == '\n';
}

static void add(struct recovery_marks *marks, const struct map_mark *mark)
{
    if (marks->count == marks->capacity) {
        marks->capacity = marks->capacity == 0 ? 64 : 2 * marks->capacity;
        marks->maps = realloc(marks->maps, marks->capacity * sizeof *marks->maps);
        CHECK(marks->maps != NULL);
    }
    marks->maps[marks->count++] = *mark;
}

int recovery_marks_open(const char *path, const struct recovery_marks **marks, struct error *error)
{
    static struct recovery_marks opened;
    char line[LINE_LIMIT];
    FILE *file = fopen(path, "re");
    *marks = &opened;
    if (file == NULL)
        return error_set(error, CAIRN_ENOTFOUND, "%s: cannot be opened", path);
    while (fgets(line, sizeof line, file) != NULL) {
        struct map_mark mark;
        if (!parse(line, &mark)) {
            fclose(file);
            return error_set(error, CAIRN_EINVAL, "%s: line %zu is no mark", path,
                             opened.count + 1);
        }
        add(&opened, &mark);
    }
    fclose(file);
    return CAIRN_OK;
}

size_t recovery_acknowledged(const struct recovery_marks *marks)
{
    return marks->count;
}

/* The last that was told before the power loss, or NULL. */
static const struct map_mark *last_told(const struct recovery_task *task)
{
    const struct map_mark *last = NULL;
    for (size_t i = 0; i < task->marks->count; i++)
        if (task->marks->maps[i].number <= task->number)
            last = &task->marks->maps[i];
    return last;
}

/* --- what is there -----------------------------------------------------------------------------
 */

static bool is_told(const struct partition_mark *told, const struct configuration *found)
{
    uint64_t members = 0;
    for (uint32_t i = 0; i < found->member_count; i++)
        members |= UINT64_C(1) << found->members[i].server;
    return found->epoch > told->epoch ||
           (found->epoch == told->epoch && found->primary.server == told->primary &&
            members == told->members);
}

/* Writes into `text` what is wrong. */
static bool is_kept(const struct map_mark *told, const struct cluster_map *map, char *text,
                    size_t limit)
{
    if (told->cluster != map->cluster || told->version > map->version ||
        (told->partition_count != 0 &&
         (map->configurations == NULL || told->partition_count != map->partitions))) {
        snprintf(text, limit,
                 "the map is version %" PRIu64 " of %016" PRIx64 ", told was version %" PRIu64
                 " of %016" PRIx64,
                 map->version, map->cluster, told->version, told->cluster);
        return false;
    }
    for (size_t i = 0; i < told->partition_count; i++)
        if (!is_told(&told->partitions[i], &map->configurations[i])) {
            snprintf(text, limit, "partition %zu has epoch %" PRIu64 ", told was %" PRIu64, i,
                     map->configurations[i].epoch, told->partitions[i].epoch);
            return false;
        }
    return true;
}

/* As cairn-manager does with --servers, which it needs where no cluster was founded yet, and which
 * has to be what it was where one was. */
static int open_or_found(const struct recovery_task *task, struct manager_directory *directory,
                         struct error *error)
{
    static struct address_list servers = {.count = 1};
    struct manager_options options = {.data = task->directory};
    int code = manager_directory_open(directory, &options, clock_now_ms(), error);
    if (code != CAIRN_EINVAL)
        return code;
    CHECK(address_parse("127.0.0.1:1", &servers.items[0], error) == CAIRN_OK);
    options.servers = &servers;
    return manager_directory_open(directory, &options, clock_now_ms(), error);
}

enum recovery_outcome recovery_try(const struct recovery_task *task, char *text, size_t limit)
{
    const struct map_mark *told = last_told(task);
    enum recovery_outcome outcome = RECOVERY_KEPT;
    text[0] = '\0';
    for (uint32_t i = 0; outcome == RECOVERY_KEPT && i < task->starts; i++) {
        struct manager_directory directory;
        struct error error = {0};
        if (open_or_found(task, &directory, &error) != CAIRN_OK) {
            snprintf(text, limit, "refused: %s", error.message);
            return RECOVERY_REFUSED;
        }
        if (told != NULL && !is_kept(told, &directory.membership->map, text, limit))
            outcome = RECOVERY_LOST;
        manager_directory_close(&directory);
    }
    return outcome;
}
