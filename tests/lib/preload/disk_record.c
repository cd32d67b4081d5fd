/* Writes down all that a program does to its files below one directory, for a program that this is
 * preloaded into (the format: tests/crash/events.h). RECORD_ROOT is the directory, RECORD_LOGS
 * where the logs go, RECORD_SLOT the number of the program's, RECORD_SHARED the shared memory.
 *
 * A change and its event are one step under a mutex: a program that is to be killed (shared memory
 * says so) kills itself between such steps, so that the log says exactly what was done. A sync is
 * no such step: it covers what was done before it began, if it ended.
 *
 * There is no io_uring, which no library sees: the log takes its thread, whose writes are the same,
 * each followed by a sync of its own (disk.c checks that). Changes through mappings are not seen
 * either: LMDB makes none but to its lock file, which a power loss makes worthless. Nor are calls
 * that nobody here makes, as renameat or truncate: whoever records compares the files with what the
 * events say (tests/lib/crash_images.py, differences). */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "tests/crash/events.h"

#pragma GCC visibility push(default) /* whatever it is built with: these are to be found */

enum { DESCRIPTORS = 65536, PATH_LIMIT = 4096, ZEROS_FROM = 4096, PARTS_LIMIT = 64 };

struct descriptor {
    uint64_t object; /* 0: not of ours */
    bool synced;     /* O_SYNC or O_DSYNC */
};

static struct descriptor descriptors[DESCRIPTORS];
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct event_shared *shared;
static const char *root;
static size_t root_length;
static unsigned slot;
static int log_fd = -1;

static _Noreturn void give_up(const char *what)
{
    fprintf(stderr, "ERROR: recorder: %s: %s\n", what, strerror(errno));
    abort();
}

/* The function of the C library that ours stands before. */
static void *original(const char *name)
{
    void *found = dlsym(RTLD_NEXT, name);

    if (found == NULL)
        give_up(name);
    return found;
}

#define ORIGINAL(name)                                                                             \
    static __typeof__(name) *real;                                                                 \
    if (real == NULL)                                                                              \
    real = (__typeof__(name) *)original(#name)

/* --- the log -----------------------------------------------------------------------------------
 */

static const char *setting(const char *name)
{
    const char *value = getenv(name);

    if (value == NULL)
        give_up(name);
    return value;
}

static void put(const void *data, size_t length)
{
    for (size_t done = 0; done < length;) {
        long n = syscall(SYS_write, log_fd, (const char *)data + done, length - done);
        if (n <= 0)
            give_up("cannot write the log");
        done += (size_t)n;
    }
}

/* Under the mutex. The number of the event. */
static uint64_t note(struct event_head *event, const char *name, const char *name2,
                     const void *data)
{
    event->magic = EVENT_MAGIC;
    event->slot = (uint16_t)slot;
    event->name_length = name == NULL ? 0 : (uint32_t)strlen(name);
    event->name2_length = name2 == NULL ? 0 : (uint32_t)strlen(name2);
    event->number = atomic_fetch_add(&shared->counter, 1) + 1;
    put(event, sizeof *event);
    put(name, event->name_length);
    put(name2, event->name2_length);
    put(data, event->data_length);
    return event->number;
}

static void begin(void)
{
    pthread_mutex_lock(&mutex);
    if (atomic_load(&shared->die[slot]) != 0) {
        atomic_store(&shared->die[slot], 0);
        kill(getpid(), SIGKILL);
        for (;;)
            pause();
    }
}

static void end(void)
{
    int kept = errno;

    pthread_mutex_unlock(&mutex);
    errno = kept;
}

static uint64_t inode_of(const char *path)
{
    struct stat status;

    return stat(path, &status) == 0 ? (uint64_t)status.st_ino : 0;
}

__attribute__((constructor)) static void start(void)
{
    char path[PATH_LIMIT];
    struct event_head event = {.kind = EVENT_START};
    int fd;

    root = setting("RECORD_ROOT");
    root_length = strlen(root);
    slot = (unsigned)strtoul(setting("RECORD_SLOT"), NULL, 10) % EVENT_SLOTS;
    fd = (int)syscall(SYS_openat, AT_FDCWD, setting("RECORD_SHARED"), O_RDWR | O_CLOEXEC);
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (fd < 0 || shared == MAP_FAILED)
        give_up("cannot map RECORD_SHARED");
    syscall(SYS_close, fd);
    snprintf(path, sizeof path, "%s/%u.events", setting("RECORD_LOGS"), slot);
    log_fd =
        (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (log_fd < 0)
        give_up("cannot open the log");
    event.object = inode_of(root);
    begin();
    note(&event, NULL, NULL, NULL);
    end();
}

/* --- names -------------------------------------------------------------------------------------
 */

static bool is_ours(const char *path)
{
    return strncmp(path, root, root_length) == 0 &&
           (path[root_length] == '/' || path[root_length] == '\0');
}

/* The inode of the directory that holds the path, and its last part. */
static uint64_t parent_of(const char *path, const char **name)
{
    char parent[PATH_LIMIT];
    const char *slash = strrchr(path, '/');
    size_t length = (size_t)(slash - path);

    if (length >= sizeof parent)
        give_up("path too long");
    memcpy(parent, path, length);
    parent[length] = '\0';
    *name = slash + 1;
    return inode_of(parent);
}

static struct descriptor *find(int fd)
{
    static struct descriptor none;

    return fd >= 0 && fd < DESCRIPTORS ? &descriptors[fd] : &none;
}

static void note_size(uint64_t object, uint64_t size)
{
    struct event_head event = {.kind = EVENT_SIZE, .object = object, .length = size};

    note(&event, NULL, NULL, NULL);
}

static void note_open(int fd, const char *path, int flags, bool existed, off_t size)
{
    struct stat status;
    struct descriptor *descriptor = find(fd);

    if (fstat(fd, &status) != 0 || fd >= DESCRIPTORS)
        give_up("too many descriptors");
    *descriptor = (struct descriptor){.object = status.st_ino, .synced = (flags & O_DSYNC) != 0};
    if ((flags & O_APPEND) != 0)
        give_up("appending is not recorded");
    if (!existed) {
        struct event_head event = {.kind = EVENT_CREATE, .object = status.st_ino};
        const char *name;

        event.parent = parent_of(path, &name);
        note(&event, name, NULL, NULL);
    } else if ((flags & O_TRUNC) != 0 && size != 0) {
        note_size(status.st_ino, 0);
    }
}

static int open_at(const char *path, int flags, mode_t mode)
{
    ORIGINAL(open);
    struct stat status = {0};
    bool existed;
    int fd;

    if (root == NULL || !is_ours(path)) {
        fd = real(path, flags, mode);
        *find(fd) = (struct descriptor){0};
        return fd;
    }
    begin();
    existed = stat(path, &status) == 0;
    fd = real(path, flags, mode);
    if (fd >= 0)
        note_open(fd, path, flags, existed, status.st_size);
    end();
    return fd;
}

#define OPENER(name)                                                                               \
    int name(const char *path, int flags, ...)                                                     \
    {                                                                                              \
        va_list rest;                                                                              \
        va_start(rest, flags);                                                                     \
        mode_t mode = (flags & O_CREAT) != 0 ? va_arg(rest, mode_t) : 0;                           \
        va_end(rest);                                                                              \
        return open_at(path, flags, mode);                                                         \
    }
OPENER(open)
OPENER(open64)

int close(int fd)
{
    ORIGINAL(close);

    *find(fd) = (struct descriptor){0};
    return real(fd);
}

int mkdir(const char *path, mode_t mode)
{
    ORIGINAL(mkdir);
    struct event_head event = {.kind = EVENT_MKDIR};
    const char *name;
    int result;

    if (!is_ours(path))
        return real(path, mode);
    begin();
    result = real(path, mode);
    if (result == 0) {
        event.object = inode_of(path);
        event.parent = parent_of(path, &name);
        note(&event, name, NULL, NULL);
    }
    end();
    return result;
}

int rename(const char *from, const char *to)
{
    ORIGINAL(rename);
    struct event_head event = {.kind = EVENT_RENAME};
    const char *name, *name2;
    int result;

    if (!is_ours(from) && !is_ours(to))
        return real(from, to);
    if (!is_ours(from) || !is_ours(to))
        give_up("renaming into or out of RECORD_ROOT is not recorded");
    begin();
    event.parent = parent_of(from, &name);
    event.parent2 = parent_of(to, &name2);
    result = real(from, to);
    if (result == 0)
        note(&event, name, name2, NULL);
    end();
    return result;
}

static int unlink_with(int (*real)(const char *), const char *path)
{
    struct event_head event = {.kind = EVENT_UNLINK};
    const char *name;
    int result;

    if (!is_ours(path))
        return real(path);
    begin();
    event.parent = parent_of(path, &name);
    result = real(path);
    if (result == 0)
        note(&event, name, NULL, NULL);
    end();
    return result;
}

int unlink(const char *path)
{
    ORIGINAL(unlink);

    return unlink_with(real, path);
}

int rmdir(const char *path)
{
    ORIGINAL(rmdir);

    return unlink_with(real, path);
}

/* --- content -----------------------------------------------------------------------------------
 */

static bool is_zero(const unsigned char *data, size_t length)
{
    return length >= ZEROS_FROM && data[0] == 0 && memcmp(data, data + 1, length - 1) == 0;
}

/* Under the mutex. A write past the cache is durable when it is done. */
static void note_write(const struct descriptor *to, const void *data, size_t length, off_t offset)
{
    struct event_head event = {.kind = EVENT_WRITE,
                               .object = to->object,
                               .offset = (uint64_t)offset,
                               .length = length,
                               .data_length = length};
    struct event_head synced = {.kind = EVENT_SYNC_WRITE, .object = to->object};

    if (is_zero(data, length)) {
        event.kind = EVENT_ZEROS;
        event.data_length = 0;
    }
    synced.since = note(&event, NULL, NULL, data);
    if (to->synced)
        note(&synced, NULL, NULL, NULL);
}

static ssize_t write_at(int fd, const void *data, size_t length, off_t offset)
{
    ORIGINAL(pwrite);
    ssize_t written;

    if (find(fd)->object == 0)
        return real(fd, data, length, offset);
    begin();
    written = real(fd, data, length, offset);
    if (written > 0)
        note_write(find(fd), data, (size_t)written, offset);
    end();
    return written;
}

ssize_t pwrite(int fd, const void *data, size_t length, off_t offset)
{
    return write_at(fd, data, length, offset);
}

ssize_t pwrite64(int fd, const void *data, size_t length, off64_t offset)
{
    return write_at(fd, data, length, offset);
}

ssize_t write(int fd, const void *data, size_t length)
{
    ORIGINAL(write);
    ssize_t written;

    if (find(fd)->object == 0)
        return real(fd, data, length);
    begin();
    written = real(fd, data, length);
    if (written > 0)
        note_write(find(fd), data, (size_t)written, lseek(fd, 0, SEEK_CUR) - written);
    end();
    return written;
}

/* Parts that were written with one call, as one write. */
static void note_parts(int fd, const struct iovec *parts, int count, size_t written, off_t offset)
{
    char *data = malloc(written);
    size_t at = 0;

    if (data == NULL)
        give_up("out of memory");
    for (int i = 0; i < count && at < written; i++) {
        size_t length = parts[i].iov_len < written - at ? parts[i].iov_len : written - at;
        memcpy(data + at, parts[i].iov_base, length);
        at += length;
    }
    note_write(find(fd), data, written, offset);
    free(data);
}

static ssize_t write_parts(int fd, const struct iovec *parts, int count, off_t offset)
{
    ssize_t written;

    begin();
    if (offset < 0)
        offset = lseek(fd, 0, SEEK_CUR);
    written = syscall(SYS_pwritev, fd, parts, count, offset, 0);
    if (written > 0)
        note_parts(fd, parts, count, (size_t)written, offset);
    end();
    return written;
}

ssize_t writev(int fd, const struct iovec *parts, int count)
{
    ORIGINAL(writev);
    ssize_t written;

    if (find(fd)->object == 0)
        return real(fd, parts, count);
    written = write_parts(fd, parts, count, -1);
    if (written > 0)
        lseek(fd, written, SEEK_CUR);
    return written;
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset)
{
    ORIGINAL(pwritev);

    return find(fd)->object == 0 ? real(fd, parts, count, offset)
                                 : write_parts(fd, parts, count, offset);
}

static int set_size(int fd, off_t size)
{
    ORIGINAL(ftruncate);
    int result;

    if (find(fd)->object == 0)
        return real(fd, size);
    begin();
    result = real(fd, size);
    if (result == 0)
        note_size(find(fd)->object, (uint64_t)size);
    end();
    return result;
}

int ftruncate(int fd, off_t size)
{
    return set_size(fd, size);
}

int ftruncate64(int fd, off64_t size)
{
    return set_size(fd, size);
}

static int allocate(int fd, int mode, off_t offset, off_t length)
{
    ORIGINAL(fallocate);
    struct stat before, after;
    int result;

    if (find(fd)->object == 0)
        return real(fd, mode, offset, length);
    begin();
    if (mode != 0 || fstat(fd, &before) != 0)
        give_up("fallocate with a mode is not recorded");
    result = real(fd, mode, offset, length);
    if (result == 0 && fstat(fd, &after) == 0 && after.st_size != before.st_size)
        note_size(find(fd)->object, (uint64_t)after.st_size);
    end();
    return result;
}

int fallocate(int fd, int mode, off_t offset, off_t length)
{
    return allocate(fd, mode, offset, length);
}

int fallocate64(int fd, int mode, off64_t offset, off64_t length)
{
    return allocate(fd, mode, offset, length);
}

/* --- syncs -------------------------------------------------------------------------------------
 */

static int sync_with(int (*real)(int), int fd)
{
    struct event_head event = {.kind = EVENT_SYNC, .object = find(fd)->object};
    int result;

    if (event.object == 0)
        return real(fd);
    begin();
    event.since = atomic_load(&shared->counter);
    end();
    result = real(fd);
    begin();
    if (result == 0)
        note(&event, NULL, NULL, NULL);
    end();
    return result;
}

int fdatasync(int fd)
{
    ORIGINAL(fdatasync);

    return sync_with(real, fd);
}

int fsync(int fd)
{
    ORIGINAL(fsync);

    return sync_with(real, fd);
}

/* So that the log takes its thread instead. */
int io_uring_queue_init(unsigned entries, void *ring, unsigned flags);
int io_uring_queue_init(unsigned entries, void *ring, unsigned flags)
{
    (void)entries;
    (void)ring;
    (void)flags;
    return -ENOSYS;
}
