/* All of a user's segments: for `cairn status`, for finding one by its managers, for cleaning up.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/segment_internal.h"

/* Calls `each` with every name there, "/" before it. */
static void list_paths(const struct segment_place *place,
                       bool (*each)(void *context, const struct segment_place *place,
                                    const char *path),
                       void *context)
{
    DIR *directory = opendir(SEGMENT_DIRECTORY);
    const struct dirent *entry;
    bool more = true;

    if (directory == NULL)
        return;
    while (more && (entry = readdir(directory)) != NULL) {
        char path[SEGMENT_PATH_MAX];
        const int length = snprintf(path, sizeof path, "/%s", entry->d_name);

        if (length > 0 && (size_t)length < sizeof path)
            more = each(context, place, path);
    }
    (void)closedir(directory);
}

/* --- listing ------------------------------------------------------------------------------------
 */

struct lister {
    bool (*each)(void *context, const struct segment_listing *listing);
    void *context;
};

static bool list_one(void *context, const struct segment_place *place, const char *path)
{
    const struct lister *lister = context;
    struct segment_listing listing;
    char file[SEGMENT_FILE_MAX];
    struct stat status;

    if (segment_path_parse(place, path, &listing) != SEGMENT_CURRENT)
        return true;
    segment_file(path, file);
    if (stat(file, &status) != 0)
        return true;
    listing.bytes = (uint64_t)status.st_size;
    return lister->each(lister->context, &listing);
}

void segment_list(bool (*each)(void *context, const struct segment_listing *listing), void *context)
{
    struct lister lister = {each, context};
    struct segment_place place;

    if (segment_place_find(&place) == 0)
        list_paths(&place, list_one, &lister);
}

/* --- finding ------------------------------------------------------------------------------------
 */

struct finder {
    const char *name;
    uint64_t managers;
    uint64_t noted_ms; /* of `best` */
    struct segment *best;
};

static bool find_one(void *context, const struct segment_place *place, const char *path)
{
    struct finder *finder = context;
    struct segment_listing listing;
    struct segment *segment;
    uint64_t noted_ms;
    int descriptor;

    if (segment_path_parse(place, path, &listing) != SEGMENT_CURRENT ||
        strcmp(listing.name, finder->name) != 0)
        return true;
    descriptor = shm_open(path, O_RDWR | O_CLOEXEC, 0);
    if (descriptor < 0)
        return true;
    if (segment_take(place, path, descriptor, listing.cluster, &segment) != 0) {
        (void)close(descriptor);
        return true;
    }
    noted_ms = cache_managers_noted_ms(&segment->cache, finder->managers);
    if (noted_ms <= finder->noted_ms) {
        segment_close(segment);
        return true;
    }
    segment_close(finder->best);
    finder->best = segment;
    finder->noted_ms = noted_ms;
    return true;
}

int segment_find(const char *name, uint64_t managers, struct segment **segment)
{
    struct finder finder = {.name = name != NULL ? name : "", .managers = managers};
    struct segment_place place;

    *segment = NULL;
    if (!segment_name_is_valid(name) || segment_place_find(&place) != 0)
        return CAIRN_ENOTFOUND;
    list_paths(&place, find_one, &finder);
    *segment = finder.best;
    return finder.best != NULL ? 0 : CAIRN_ENOTFOUND;
}

/* --- removing -----------------------------------------------------------------------------------
 */

int segment_unlink(const char *path)
{
    if (strncmp(path, "/cairn-", 7) != 0 || strlen(path) >= SEGMENT_PATH_MAX)
        return CAIRN_ENOTFOUND;
    if (shm_unlink(path) == 0)
        return 0;
    return errno == ENOENT ? CAIRN_ENOTFOUND : CAIRN_EIO;
}

/* Its creator has a lock on it from its first moment, or died. One that is taken for dead before
 * that makes another (segment_create). */
static bool creator_died(const char *path)
{
    const int descriptor = shm_open(path, O_RDWR | O_CLOEXEC, 0);
    bool dead;

    if (descriptor < 0)
        return false;
    dead = flock(descriptor, LOCK_EX | LOCK_NB) == 0;
    (void)close(descriptor);
    return dead;
}

static bool unlink_one(void *context, const struct segment_place *place, const char *path)
{
    unsigned *removed = context;
    struct segment_listing listing;
    const enum segment_kind kind = segment_path_parse(place, path, &listing);

    if ((kind == SEGMENT_OUTDATED || (kind == SEGMENT_NEW && creator_died(path))) &&
        segment_unlink(path) == 0)
        (*removed)++;
    return true;
}

unsigned segment_unlink_stale(void)
{
    struct segment_place place;
    unsigned removed = 0;

    if (segment_place_find(&place) == 0)
        list_paths(&place, unlink_one, &removed);
    return removed;
}
