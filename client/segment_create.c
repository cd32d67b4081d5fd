/* Making a segment: under a name that nobody looks for, then linked to its own.
 *
 * link(2) fails if the name is taken, so of several creators one wins, and what has the name is
 * whole. The memory of all that is touched before segment_reserve_entries is taken here: a page of
 * tmpfs that cannot be had when it is first touched is a SIGBUS in whatever process did.
 *
 * The creator holds a lock (flock) on the file; one that nobody holds under such a name was left by
 * a creator that died (segment_unlink_stale). */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/random.h"
#include "client/segment_internal.h"

int segment_reserve(int descriptor, size_t offset, size_t length)
{
    int code;

    do
        code = posix_fallocate(descriptor, (off_t)offset, (off_t)length);
    while (code == EINTR);
    if (code == 0)
        return 0;
    return code == ENOSPC || code == ENOMEM || code == EFBIG ? CAIRN_ENOSPC : CAIRN_EIO;
}

/* Beyond it ftruncate(2) raises SIGXFSZ, which ends the process, before it fails. */
static bool is_within_limit(size_t bytes)
{
    struct rlimit limit;

    return getrlimit(RLIMIT_FSIZE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY ||
           bytes <= limit.rlim_cur;
}

static int format(const struct segment_place *place, int descriptor, uint64_t cluster,
                  const struct cache_geometry *geometry)
{
    void *memory;
    int code;

    if (fchmod(descriptor, 0600) != 0 || ftruncate(descriptor, (off_t)geometry->bytes) != 0)
        return errno == ENOSPC || errno == EFBIG ? CAIRN_ENOSPC : CAIRN_EIO;
    code = segment_reserve(descriptor, 0, geometry->map);
    if (code != 0)
        return code;
    memory = mmap(NULL, geometry->map, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
    if (memory == MAP_FAILED)
        return errno == ENOMEM ? CAIRN_ENOMEM : CAIRN_EIO;
    code = cache_format(memory, geometry->bytes, cluster, place->owner, place->boot);
    (void)munmap(memory, geometry->map);
    return code;
}

static int publish(const char *path_new, const char *path, struct error *error)
{
    char from[SEGMENT_FILE_MAX], to[SEGMENT_FILE_MAX];

    segment_file(path_new, from);
    segment_file(path, to);
    if (link(from, to) == 0)
        return 0;
    /* ENOENT: somebody took us for dead before the lock was there. */
    if (errno == EEXIST || errno == ENOENT)
        return CAIRN_EBUSY;
    return error_set(error, errno == ENOSPC ? CAIRN_ENOSPC : CAIRN_EIO, "%s: link: %s", to,
                     strerror(errno));
}

int segment_create(const struct segment_place *place, const char *path, uint64_t cluster,
                   size_t bytes, struct error *error)
{
    char path_new[SEGMENT_PATH_MAX];
    struct cache_geometry geometry;
    int descriptor, code;

    if (cache_geometry_of(bytes, &geometry) != 0)
        return error_set(error, CAIRN_EINVAL, "shared memory: at least %d bytes",
                         (int)CACHE_BYTES_MIN);
    if (!is_within_limit(geometry.bytes))
        return error_set(error, CAIRN_ENOSPC,
                         "shared memory: %zu bytes are beyond this process's RLIMIT_FSIZE",
                         geometry.bytes);
    segment_path_new(place, random_id(), path_new);
    descriptor = shm_open(path_new, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (descriptor < 0)
        return error_set(error, errno == ENOSPC ? CAIRN_ENOSPC : CAIRN_EIO, "shared memory: %s: %s",
                         path_new, strerror(errno));
    (void)flock(descriptor, LOCK_EX | LOCK_NB);
    code = format(place, descriptor, cluster, &geometry);
    if (code == 0)
        code = publish(path_new, path, error);
    else
        (void)error_set(error, code, "shared memory: %zu bytes: %s", geometry.map,
                        code == CAIRN_ENOSPC ? "no room in " SEGMENT_DIRECTORY : error_text(code));
    (void)shm_unlink(path_new);
    (void)close(descriptor);
    return code;
}
