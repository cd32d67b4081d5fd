/* See file.h. */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static int failed(struct error *error, const char *path)
{
    int code = errno == ENOSPC || errno == EDQUOT ? CAIRN_ENOSPC : CAIRN_EIO;

    return error_set(error, code, "%s: %s", path, strerror(errno));
}

/* --- directories ---------------------------------------------------------------------------------
 */

static int make_one(const char *path, struct error *error)
{
    struct stat status;

    if (mkdir(path, 0700) == 0)
        return CAIRN_OK;
    if (errno != EEXIST || stat(path, &status) != 0)
        return failed(error, path);
    if (!S_ISDIR(status.st_mode)) {
        errno = ENOTDIR;
        return failed(error, path);
    }
    return CAIRN_OK;
}

int directory_create(const char *path, struct error *error)
{
    char prefix[PATH_MAX];
    size_t length = strlen(path);

    if (length == 0 || length >= sizeof prefix)
        return error_set(error, CAIRN_EINVAL, "directory name: empty or too long");
    memcpy(prefix, path, length + 1);
    for (size_t i = 1; i < length; i++) {
        if (prefix[i] != '/')
            continue;
        prefix[i] = '\0';
        int status = make_one(prefix, error);

        if (status != CAIRN_OK)
            return status;
        prefix[i] = '/';
    }
    return make_one(path, error);
}

int directory_sync(const char *path, struct error *error)
{
    int descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int status = CAIRN_OK;

    if (descriptor < 0)
        return failed(error, path);
    if (fsync(descriptor) != 0)
        status = failed(error, path);
    close(descriptor);
    return status;
}

static int locked_by(int descriptor, const char *path, struct error *error)
{
    char holder[32];
    ssize_t got = pread(descriptor, holder, sizeof holder - 1, 0);

    holder[got > 0 ? got : 0] = '\0';
    return error_set(error, CAIRN_EBUSY, "%s: locked by another process (pid %ld)", path,
                     strtol(holder, NULL, 10));
}

int directory_lock(const char *path, int *lock, struct error *error)
{
    char name[PATH_MAX], pid[32];
    int descriptor, length;
    int status = CAIRN_OK;

    *lock = -1;
    if (snprintf(name, sizeof name, "%s/LOCK", path) >= (int)sizeof name)
        return error_set(error, CAIRN_EINVAL, "directory name: too long");
    descriptor = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (descriptor < 0)
        return failed(error, name);
    if (flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
        status = errno == EWOULDBLOCK ? locked_by(descriptor, path, error) : failed(error, name);
        close(descriptor);
        return status;
    }
    length = snprintf(pid, sizeof pid, "%ld\n", (long)getpid());
    if (ftruncate(descriptor, 0) != 0 || pwrite(descriptor, pid, (size_t)length, 0) != length) {
        status = failed(error, name);
        close(descriptor);
        return status;
    }
    *lock = descriptor;
    return CAIRN_OK;
}

/* --- files
 * ------------------------------------------------------------------------------------------- */

static int write_all(int descriptor, const uint8_t *data, size_t length)
{
    while (length > 0) {
        ssize_t written = write(descriptor, data, length);

        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return -1;
        data += written;
        length -= (size_t)written;
    }
    return fsync(descriptor);
}

static int sync_parent(const char *path, struct error *error)
{
    char parent[PATH_MAX];
    const char *slash = strrchr(path, '/');
    size_t length = slash == NULL ? 0 : (size_t)(slash - path);

    if (slash == NULL)
        return directory_sync(".", error);
    if (length == 0)
        return directory_sync("/", error);
    memcpy(parent, path, length);
    parent[length] = '\0';
    return directory_sync(parent, error);
}

int file_replace(const char *path, const void *data, size_t length, struct error *error)
{
    char temporary[PATH_MAX];
    int descriptor;
    int status = CAIRN_OK;

    if (snprintf(temporary, sizeof temporary, "%s.new", path) >= (int)sizeof temporary)
        return error_set(error, CAIRN_EINVAL, "file name: too long");
    descriptor = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (descriptor < 0)
        return failed(error, temporary);
    if (write_all(descriptor, data, length) != 0)
        status = failed(error, temporary);
    close(descriptor);
    if (status == CAIRN_OK && rename(temporary, path) != 0)
        status = failed(error, path);
    if (status != CAIRN_OK) {
        unlink(temporary);
        return status;
    }
    return sync_parent(path, error);
}

int file_read(const char *path, struct buffer *buffer, struct error *error)
{
    uint8_t chunk[4096];
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    int status = CAIRN_OK;
    ssize_t got = 0;

    if (descriptor < 0 && errno == ENOENT)
        return error_set(error, CAIRN_ENOTFOUND, "%s: no such file", path);
    if (descriptor < 0)
        return failed(error, path);
    while (status == CAIRN_OK && (got = read(descriptor, chunk, sizeof chunk)) != 0) {
        if (got > 0)
            status = buffer_append(buffer, chunk, (size_t)got);
        else if (errno != EINTR)
            status = failed(error, path);
        if (status == CAIRN_ETOOBIG || status == CAIRN_ENOMEM)
            error_set(error, status, "%s: %s", path, error_text(status));
    }
    close(descriptor);
    return status;
}
