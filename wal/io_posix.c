/* The operating system's files as a struct io. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "wal/format.h"
#include "wal/io.h"

enum {
    ZERO_CHUNK_BYTES = 1 << 20,
    /* Write-back begins every so often: one large flush at the end would hold up the log. */
    ZERO_FLUSH_BYTES = 4 << 20,
};

struct io_file {
    int fd;        /* through the page cache */
    int direct_fd; /* past it, opened on first demand; -1: not open */
};

static int posix_open(void *context, const char *path, bool create, struct io_file **file)
{
    (void)context;
    *file = NULL;
    int fd = open(path, O_RDWR | O_CLOEXEC | (create ? O_CREAT : 0), 0600);
    if (fd < 0)
        return -errno;
    struct io_file *opened = malloc(sizeof *opened);
    if (!opened) {
        close(fd);
        return -ENOMEM;
    }
    *opened = (struct io_file){.fd = fd, .direct_fd = -1};
    *file = opened;
    return 0;
}

static void posix_close(void *context, struct io_file *file)
{
    (void)context;
    if (file->direct_fd >= 0)
        close(file->direct_fd);
    close(file->fd);
    free(file);
}

static int posix_read(void *context, struct io_file *file, uint64_t offset, void *data,
                      size_t length, size_t *got)
{
    (void)context;
    *got = 0;
    while (*got < length) {
        ssize_t n = pread(file->fd, (uint8_t *)data + *got, length - *got, (off_t)(offset + *got));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        *got += (size_t)n;
    }
    return 0;
}

static int posix_write(void *context, struct io_file *file, uint64_t offset, const void *data,
                       size_t length)
{
    (void)context;
    for (size_t done = 0; done < length;) {
        ssize_t n =
            pwrite(file->fd, (const uint8_t *)data + done, length - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            return -EIO;
        done += (size_t)n;
    }
    return 0;
}

/* Never retried, not even after EINTR: a failed sync may have dropped what it should write (W2). */
static int posix_sync(void *context, struct io_file *file)
{
    (void)context;
    return fdatasync(file->fd) == 0 ? 0 : -errno;
}

static int posix_size(void *context, struct io_file *file, uint64_t *bytes)
{
    (void)context;
    *bytes = 0;
    struct stat status;
    if (fstat(file->fd, &status) != 0)
        return -errno;
    *bytes = (uint64_t)status.st_size;
    return 0;
}

static int write_zeros(struct io_file *file, uint64_t bytes)
{
    void *zeros = calloc(1, ZERO_CHUNK_BYTES);
    if (!zeros)
        return -ENOMEM;
    int rc = 0;
    for (uint64_t done = 0; rc == 0 && done < bytes;) {
        size_t length = bytes - done < ZERO_CHUNK_BYTES ? (size_t)(bytes - done) : ZERO_CHUNK_BYTES;
        rc = posix_write(NULL, file, done, zeros, length);
        done += length;
        if (rc == 0 && done % ZERO_FLUSH_BYTES == 0)
            (void)sync_file_range(file->fd, (off_t)(done - ZERO_FLUSH_BYTES), ZERO_FLUSH_BYTES,
                                  SYNC_FILE_RANGE_WRITE);
    }
    free(zeros);
    return rc;
}

static int posix_preallocate(void *context, struct io_file *file, uint64_t bytes)
{
    (void)context;
    /* fallocate first: it fails at once on a full disk and gives contiguous blocks. Zeros are
     * written over it since a first write to an unwritten extent costs a journal commit. */
    if (fallocate(file->fd, 0, 0, (off_t)bytes) != 0 && errno != EOPNOTSUPP && errno != EINTR)
        return -errno;
    int rc = write_zeros(file, bytes);
    if (rc != 0)
        return rc;
    return ftruncate(file->fd, (off_t)bytes) == 0 ? 0 : -errno;
}

static int posix_rename(void *context, const char *from, const char *to)
{
    (void)context;
    return rename(from, to) == 0 ? 0 : -errno;
}

static int posix_remove(void *context, const char *path)
{
    (void)context;
    return unlink(path) == 0 ? 0 : -errno;
}

static int posix_sync_directory(void *context, const char *path)
{
    (void)context;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int rc = fsync(fd) == 0 ? 0 : -errno;
    close(fd);
    return rc;
}

static int posix_list(void *context, const char *path,
                      void (*visit)(void *visitor, const char *name), void *visitor)
{
    (void)context;
    DIR *directory = opendir(path);
    if (!directory)
        return -errno;
    const struct dirent *entry;
    errno = 0;
    while ((entry = readdir(directory))) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            visit(visitor, entry->d_name);
        errno = 0;
    }
    int rc = -errno;
    closedir(directory);
    return rc;
}

/* Opens the same file past the page cache and proves it with a read; -1 where the file system
 * cannot (tmpfs, some network ones). The cache's copy is dropped first, so that direct writes find
 * nothing to invalidate. */
static int open_direct(int fd)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int direct = open(path, O_RDWR | O_DIRECT | O_CLOEXEC);
    if (direct < 0)
        return -1;
    (void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    void *block = aligned_alloc(WAL_BLOCK_BYTES, WAL_BLOCK_BYTES);
    if (!block || pread(direct, block, WAL_BLOCK_BYTES, 0) < 0) {
        close(direct);
        direct = -1;
    }
    free(block);
    return direct;
}

static int posix_descriptor(void *context, struct io_file *file)
{
    (void)context;
    if (file->direct_fd < 0)
        file->direct_fd = open_direct(file->fd);
    return file->direct_fd >= 0 ? file->direct_fd : file->fd;
}

const struct io *io_posix(void)
{
    static const struct io io = {
        .open = posix_open,
        .close = posix_close,
        .read = posix_read,
        .write = posix_write,
        .sync = posix_sync,
        .size = posix_size,
        .preallocate = posix_preallocate,
        .rename = posix_rename,
        .remove = posix_remove,
        .sync_directory = posix_sync_directory,
        .list = posix_list,
        .descriptor = posix_descriptor,
    };
    return &io;
}
