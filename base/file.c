/* Files that appear whole (ARCHITECTURE.md W4), and directories that one process owns. */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static int fail(struct error *error, const char *path, const char *what)
{
    const int cause = errno;
    const int code = cause == ENOSPC || cause == EDQUOT ? CAIRN_ENOSPC : CAIRN_EIO;

    return error_set(error, code, "%s: %s: %s", path, what, strerror(cause));
}

static int path_too_long(struct error *error, const char *path)
{
    return error_set(error, CAIRN_EINVAL, "%.64s...: path longer than %d bytes", path,
                     PATH_MAX - 1);
}

int directory_sync(const char *path, struct error *error)
{
    const int descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int status = 0;

    if (descriptor < 0)
        return fail(error, path, "cannot open directory");
    if (fsync(descriptor) != 0)
        status = fail(error, path, "cannot sync directory");
    (void)close(descriptor);
    return status;
}

/* Paths are shorter than PATH_MAX here. */
static void name_parent(const char *path, char parent[PATH_MAX])
{
    const char *slash = strrchr(path, '/');
    const size_t length = slash == NULL ? 0 : (size_t)(slash - path);

    snprintf(parent, PATH_MAX, "%.*s", (int)length, path);
    if (length == 0)
        snprintf(parent, PATH_MAX, "%s", slash == NULL ? "." : "/");
}

static int sync_parent(const char *path, struct error *error)
{
    char parent[PATH_MAX];

    name_parent(path, parent);
    return directory_sync(parent, error);
}

/* One that we may not read was not filled by us. */
static bool parent_is_readable(const char *path)
{
    char parent[PATH_MAX];

    name_parent(path, parent);
    return access(parent, R_OK) == 0;
}

/* Makes sure that there is a directory, and makes its name durable: the last one's also if it was
 * there, for whoever made it may have been killed before its sync. */
static int create_one(const char *path, bool last, struct error *error)
{
    struct stat status;
    const bool made = mkdir(path, 0700) == 0;

    if (!made && errno != EEXIST)
        return fail(error, path, "cannot create directory");
    if (stat(path, &status) != 0)
        return fail(error, path, "cannot look at directory");
    if (!S_ISDIR(status.st_mode))
        return error_set(error, CAIRN_EIO, "%s: exists and is not a directory", path);
    if (!made && (!last || !parent_is_readable(path)))
        return 0;
    return sync_parent(path, error);
}

int directory_create(const char *path, struct error *error)
{
    char part[PATH_MAX];
    const size_t length = strlen(path);

    if (length == 0)
        return error_set(error, CAIRN_EINVAL, "directory: the path is empty");
    if (length >= sizeof part)
        return path_too_long(error, path);
    memcpy(part, path, length + 1);
    for (size_t i = 1; i < length; i++) {
        int status;

        if (part[i] != '/' || part[i - 1] == '/')
            continue;
        part[i] = '\0';
        status = create_one(part, false, error);
        if (status != 0)
            return status;
        part[i] = '/';
    }
    return create_one(path, true, error);
}

static int lock_is_held(int descriptor, const char *path, struct error *error)
{
    char holder[16] = "";
    const ssize_t length = pread(descriptor, holder, sizeof holder - 1, 0);

    holder[length > 0 ? length : 0] = '\0';
    holder[strspn(holder, "0123456789")] = '\0';
    return error_set(error, CAIRN_EBUSY, "%s: in use by process %s", path,
                     holder[0] == '\0' ? "unknown" : holder);
}

/* The pid is for people only: the lock is the flock, which ends with the process. */
static int write_holder(int descriptor, const char *path, struct error *error)
{
    char text[16];
    const int length = snprintf(text, sizeof text, "%ld\n", (long)getpid());

    if (ftruncate(descriptor, 0) != 0 || pwrite(descriptor, text, (size_t)length, 0) != length)
        return fail(error, path, "cannot write LOCK");
    return 0;
}

int directory_lock(const char *path, int *lock, struct error *error)
{
    char name[PATH_MAX];
    const int length = snprintf(name, sizeof name, "%s/LOCK", path);
    int descriptor, status = 0;

    *lock = -1;
    if (length < 0 || length >= (int)sizeof name)
        return path_too_long(error, path);
    descriptor = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (descriptor < 0)
        return fail(error, name, "cannot open");
    if (flock(descriptor, LOCK_EX | LOCK_NB) != 0)
        status = errno == EWOULDBLOCK ? lock_is_held(descriptor, path, error)
                                      : fail(error, name, "cannot lock");
    else
        status = write_holder(descriptor, name, error);
    if (status != 0) {
        (void)close(descriptor);
        return status;
    }
    *lock = descriptor;
    return 0;
}

static int write_all(int descriptor, const uint8_t *data, size_t length)
{
    while (length > 0) {
        const ssize_t written = write(descriptor, data, length);

        if (written < 0 && errno != EINTR)
            return -1;
        if (written > 0) {
            data += written;
            length -= (size_t)written;
        }
    }
    return 0;
}

static int write_synced(const char *path, const void *data, size_t length, struct error *error)
{
    const int descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    int status = 0;

    if (descriptor < 0)
        return fail(error, path, "cannot create");
    if (write_all(descriptor, data, length) != 0)
        status = fail(error, path, "cannot write");
    else if (fsync(descriptor) != 0)
        status = fail(error, path, "cannot sync");
    if (close(descriptor) != 0 && status == 0)
        status = fail(error, path, "cannot close");
    return status;
}

/* W4: a crash leaves the old file or the new one, never a part. After an error of the last sync
 * either may be found; W2 forbids to retry it on the same bytes, so a caller that needs to know
 * ends the process. */
int file_replace(const char *path, const void *data, size_t length, struct error *error)
{
    char temporary[PATH_MAX];
    const int name_length = snprintf(temporary, sizeof temporary, "%s.new", path);
    int status;

    if (name_length < 0 || name_length >= (int)sizeof temporary)
        return path_too_long(error, path);
    status = write_synced(temporary, data, length, error);
    if (status == 0 && rename(temporary, path) != 0)
        status = fail(error, path, "cannot rename into place");
    if (status != 0) {
        (void)unlink(temporary);
        return status;
    }
    return sync_parent(path, error);
}

/* One chunk of at most 64 KiB; `*got` 0 at the end of the file. Where the buffer is full a single
 * byte is tried, to tell a file that just fits from one that is too big. */
static int read_chunk(int descriptor, const char *path, struct buffer *buffer, size_t *got,
                      struct error *error)
{
    const size_t room = buffer->limit - buffer->length;
    const size_t wanted = room > 65536 ? 65536 : room;
    uint8_t probe;
    ssize_t length;
    int status = buffer_reserve(buffer, wanted);

    *got = 0;
    if (status != 0)
        return error_set(error, status, "%s: %s", path, error_text(status));
    do {
        length = wanted == 0 ? read(descriptor, &probe, 1)
                             : read(descriptor, buffer->data + buffer->length, wanted);
    } while (length < 0 && errno == EINTR);
    if (length < 0)
        return fail(error, path, "cannot read");
    if (wanted == 0 && length > 0)
        return error_set(error, CAIRN_ETOOBIG, "%s: larger than %zu bytes", path, buffer->limit);
    *got = (size_t)length;
    buffer->length += *got;
    return 0;
}

int file_read(const char *path, struct buffer *buffer, struct error *error)
{
    const size_t before = buffer->length;
    const int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    size_t got;
    int status;

    if (descriptor < 0 && errno == ENOENT)
        return error_set(error, CAIRN_ENOTFOUND, "%s: no such file", path);
    if (descriptor < 0)
        return fail(error, path, "cannot open");
    do {
        status = read_chunk(descriptor, path, buffer, &got, error);
    } while (status == 0 && got > 0);
    if (status != 0)
        buffer->length = before;
    (void)close(descriptor);
    return status;
}
