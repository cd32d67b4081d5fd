/* A node's disk: every write and sync of a regular file takes longer by what the control page says,
 * or finds no room. */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "fuzz/preload/node.h"

static uint32_t ask(const uint32_t *field)
{
    return __atomic_load_n(field, __ATOMIC_RELAXED);
}

static bool is_regular(int file)
{
    struct stat status;
    int kept = errno;
    bool regular = fstat(file, &status) == 0 && S_ISREG(status.st_mode);

    errno = kept;
    return regular;
}

static void take_time(uint32_t delay_us)
{
    struct timespec delay = {.tv_sec = delay_us / 1000000,
                             .tv_nsec = (long)(delay_us % 1000000) * 1000};
    int kept = errno;

    while (delay_us > 0 && nanosleep(&delay, &delay) != 0 && errno == EINTR)
        continue;
    errno = kept;
}

/* Before a write: takes its time; false with ENOSPC if there is no room. */
static bool may_write(int file)
{
    const struct control_page *page = preload_control();

    if (page == NULL || (ask(&page->write_delay_us) == 0 && ask(&page->is_full) == 0) ||
        !is_regular(file))
        return true;
    take_time(ask(&page->write_delay_us));
    if (ask(&page->is_full) == 0)
        return true;
    errno = ENOSPC;
    return false;
}

static void before_sync(void)
{
    const struct control_page *page = preload_control();

    if (page != NULL)
        take_time(ask(&page->sync_delay_us));
}

#define ORIGINAL(name) ((__typeof__(&name))preload_original(#name))

PRELOAD_PUBLIC int fdatasync(int file)
{
    before_sync();
    return ORIGINAL(fdatasync)(file);
}

PRELOAD_PUBLIC int fsync(int file)
{
    before_sync();
    return ORIGINAL(fsync)(file);
}

PRELOAD_PUBLIC int msync(void *start, size_t length, int flags)
{
    before_sync();
    return ORIGINAL(msync)(start, length, flags);
}

PRELOAD_PUBLIC ssize_t write(int file, const void *data, size_t length)
{
    return may_write(file) ? ORIGINAL(write)(file, data, length) : -1;
}

PRELOAD_PUBLIC ssize_t writev(int file, const struct iovec *parts, int count)
{
    return may_write(file) ? ORIGINAL(writev)(file, parts, count) : -1;
}

PRELOAD_PUBLIC ssize_t pwrite(int file, const void *data, size_t length, off_t offset)
{
    return may_write(file) ? ORIGINAL(pwrite)(file, data, length, offset) : -1;
}

PRELOAD_PUBLIC ssize_t pwrite64(int file, const void *data, size_t length, off64_t offset)
{
    return may_write(file) ? ORIGINAL(pwrite64)(file, data, length, offset) : -1;
}

PRELOAD_PUBLIC ssize_t pwritev(int file, const struct iovec *parts, int count, off_t offset)
{
    return may_write(file) ? ORIGINAL(pwritev)(file, parts, count, offset) : -1;
}

PRELOAD_PUBLIC int fallocate(int file, int mode, off_t offset, off_t length)
{
    return may_write(file) ? ORIGINAL(fallocate)(file, mode, offset, length) : -1;
}

PRELOAD_PUBLIC int statvfs(const char *path, struct statvfs *space)
{
    const struct control_page *page = preload_control();
    int rc = ORIGINAL(statvfs)(path, space);

    if (rc == 0 && page != NULL && ask(&page->is_full) != 0)
        space->f_bavail = space->f_bfree = 0;
    return rc;
}

/* The same functions by the names that programs with 64-bit offsets asked for on purpose use. */
PRELOAD_PUBLIC ssize_t pwritev64(int file, const struct iovec *parts, int count, off64_t offset)
{
    return may_write(file) ? ORIGINAL(pwritev64)(file, parts, count, offset) : -1;
}

PRELOAD_PUBLIC int fallocate64(int file, int mode, off64_t offset, off64_t length)
{
    return may_write(file) ? ORIGINAL(fallocate64)(file, mode, offset, length) : -1;
}

PRELOAD_PUBLIC int statvfs64(const char *path, struct statvfs64 *space)
{
    const struct control_page *page = preload_control();
    int rc = ORIGINAL(statvfs64)(path, space);

    if (rc == 0 && page != NULL && ask(&page->is_full) != 0)
        space->f_bavail = space->f_bfree = 0;
    return rc;
}
