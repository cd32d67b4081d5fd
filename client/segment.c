/* Finding, taking and giving back the host's segment of a cluster. */
#include "client/segment.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "client/segment_internal.h"

enum { OPEN_TRIES = 64, REPLACE_TRIES = 50 };

/* --- taking -------------------------------------------------------------------------------------
 */

/* What can be told without looking into it. A file shorter than its header says would be a SIGBUS
 * for its readers: cache_attach compares. */
static int examine(const struct segment_place *place, int descriptor, size_t *bytes)
{
    struct stat status;

    if (fstat(descriptor, &status) != 0 || !S_ISREG(status.st_mode) ||
        (uint64_t)status.st_uid != place->owner)
        return CAIRN_EIO;
    *bytes = (size_t)status.st_size;
    if ((status.st_mode & 0777) != 0600 || status.st_size < CACHE_BYTES_MIN)
        return CAIRN_ECORRUPT;
    return 0;
}

/* Maps the file through another open description than the one that locks are taken on: a mapping
 * holds its description, and with it the locks, also in the child of a fork that has long closed
 * its descriptor. */
static int map(struct segment *segment)
{
    char path[64];
    int descriptor;

    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", segment->descriptor);
    descriptor = open(path, O_RDWR | O_CLOEXEC);
    if (descriptor < 0)
        return CAIRN_EIO;
    segment->memory = mmap(NULL, segment->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
    (void)close(descriptor);
    if (segment->memory != MAP_FAILED)
        return 0;
    return errno == ENOMEM ? CAIRN_ENOMEM : CAIRN_EIO;
}

static int attach(const struct segment_place *place, struct segment *segment, uint64_t cluster)
{
    const struct cache_locks locks = {segment_try_lock_stripe, segment_unlock_stripe, segment};
    int code = map(segment);

    if (code != 0)
        return code;
    code = cache_attach(&segment->cache, segment->memory, segment->bytes, cluster, place->owner,
                        place->boot, &locks);
    if (code == 0 && segment->cache.geometry.bytes != segment->bytes)
        code = CAIRN_ECORRUPT;
    if (code != 0)
        (void)munmap(segment->memory, segment->bytes);
    return code;
}

int segment_take(const struct segment_place *place, const char *path, int descriptor,
                 uint64_t cluster, struct segment **segment)
{
    struct segment *taken;
    size_t bytes;
    int code = examine(place, descriptor, &bytes);

    *segment = NULL;
    if (code != 0)
        return code;
    taken = calloc(1, sizeof *taken);
    if (taken == NULL)
        return CAIRN_ENOMEM;
    taken->descriptor = descriptor;
    taken->bytes = bytes;
    memcpy(taken->path, path, strlen(path) + 1);
    code = attach(place, taken, cluster);
    if (code != 0) {
        free(taken);
        return code;
    }
    CHECK(pthread_mutex_init(&taken->filling, NULL) == 0);
    *segment = taken;
    return 0;
}

/* --- replacing ----------------------------------------------------------------------------------
 */

/* Whether the name still leads to the open file. */
static bool names_descriptor(const char *path, int descriptor, off_t *bytes)
{
    char file[SEGMENT_FILE_MAX];
    struct stat named, opened;

    segment_file(path, file);
    if (stat(file, &named) != 0 || fstat(descriptor, &opened) != 0)
        return false;
    *bytes = opened.st_size;
    return named.st_ino == opened.st_ino && named.st_dev == opened.st_dev;
}

/* Takes the name from a segment that cannot be used. Several processes may find it at once: under
 * the lock on the old file only that one removes the name which still finds it there, and never the
 * new segment's. */
static void remove_unusable(const char *path, int descriptor, bool *replaced)
{
    off_t bytes;

    for (int tries = 0; flock(descriptor, LOCK_EX | LOCK_NB) != 0; tries++) {
        if (tries == REPLACE_TRIES)
            return;
        clock_sleep_ms(1);
    }
    if (names_descriptor(path, descriptor, &bytes) && shm_unlink(path) == 0)
        *replaced = true;
}

/* One try. CAIRN_EBUSY: look again. */
static int open_once(const struct segment_place *place, const char *path, uint64_t cluster,
                     size_t bytes, struct segment **segment, bool *replaced, struct error *error)
{
    const int descriptor = shm_open(path, O_RDWR | O_CLOEXEC, 0);
    int code;

    if (descriptor < 0 && errno == ENOENT) {
        code = segment_create(place, path, cluster, bytes, error);
        return code == 0 ? CAIRN_EBUSY : code;
    }
    if (descriptor < 0)
        return error_set(error, CAIRN_EIO, "shared memory: %s: %s", path, strerror(errno));
    code = segment_take(place, path, descriptor, cluster, segment);
    if (code == 0)
        return 0;
    if (code == CAIRN_ECORRUPT || code == CAIRN_EVERSION) {
        remove_unusable(path, descriptor, replaced);
        code = CAIRN_EBUSY;
    } else {
        (void)error_set(error, code, "shared memory: %s: %s", path,
                        code == CAIRN_EIO ? "another user's, or cannot be mapped"
                                          : error_text(code));
    }
    (void)close(descriptor);
    return code;
}

/* Containers often have little shared memory: others get at least a half of what is free. */
static uint64_t default_bytes(void)
{
    struct statvfs status;
    uint64_t bytes;

    if (statvfs(SEGMENT_DIRECTORY, &status) != 0)
        return CACHE_BYTES_DEFAULT;
    bytes = (uint64_t)status.f_bavail * status.f_frsize / 2;
    if (bytes < CACHE_BYTES_MIN)
        return CACHE_BYTES_MIN;
    return bytes < CACHE_BYTES_DEFAULT ? bytes : CACHE_BYTES_DEFAULT;
}

int segment_open(const char *name, uint64_t cluster, uint64_t bytes, struct segment **segment,
                 bool *replaced, struct error *error)
{
    struct segment_place place;
    struct cache_geometry geometry;
    char path[SEGMENT_PATH_MAX];
    int code = CAIRN_EBUSY;

    *segment = NULL;
    *replaced = false;
    if (bytes == 0)
        bytes = default_bytes();
    if (!segment_name_is_valid(name))
        return error_set(error, CAIRN_EINVAL, "cache name: up to %d of A-Z a-z 0-9 _ . -",
                         (int)SEGMENT_NAME_LIMIT);
    if (cluster == 0 || cache_geometry_of(bytes, &geometry) != 0)
        return error_set(error, CAIRN_EINVAL, "cache size: from %d bytes to 64 GiB",
                         (int)CACHE_BYTES_MIN);
    if (segment_place_find(&place) != 0)
        return error_set(error, CAIRN_EIO, "boot_id: cannot be read from /proc");
    segment_path(&place, cluster, name, path);
    for (int tries = 0; code == CAIRN_EBUSY && tries < OPEN_TRIES; tries++)
        code = open_once(&place, path, cluster, bytes, segment, replaced, error);
    if (code == CAIRN_EBUSY)
        code = error_set(error, CAIRN_EIO, "shared memory: %s: cannot be replaced", path);
    return code;
}

/* --- giving back --------------------------------------------------------------------------------
 */

void segment_close(struct segment *segment)
{
    if (segment == NULL)
        return;
    CHECK(!atomic_load(&segment->agent));
    CHECK(pthread_mutex_trylock(&segment->filling) == 0);
    (void)pthread_mutex_unlock(&segment->filling);
    (void)pthread_mutex_destroy(&segment->filling);
    (void)munmap(segment->memory, segment->bytes);
    (void)close(segment->descriptor);
    free(segment);
}

void segment_abandon(struct segment *segment)
{
    (void)close(segment->descriptor);
    segment->descriptor = -1;
}

bool segment_is_current(const struct segment *segment)
{
    off_t bytes;

    return names_descriptor(segment->path, segment->descriptor, &bytes) &&
           (uint64_t)bytes == segment->bytes && cache_is_sound(&segment->cache);
}

int segment_reserve_map(struct segment *segment, size_t length)
{
    const struct cache_geometry *geometry = &segment->cache.geometry;

    if (length > geometry->map_limit)
        return CAIRN_ENOSPC;
    return length == 0 ? 0 : segment_reserve(segment->descriptor, geometry->map, length);
}

int segment_reserve_entries(struct segment *segment)
{
    const struct cache_geometry *geometry = &segment->cache.geometry;

    return segment_reserve(segment->descriptor, geometry->entries,
                           geometry->bytes - geometry->entries);
}
