/* A disk that fails, for a program that this is preloaded into: while the file that DISK_FAULT
 * names exists, what its one word says ("sync" or "write") fails with EIO on every regular file. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static int is_failing(int fd, const char *what)
{
    const char *path = getenv("DISK_FAULT");
    struct stat status;
    char word[8] = "";

    if (path == NULL || fstat(fd, &status) != 0 || !S_ISREG(status.st_mode))
        return 0;
    int control = open(path, O_RDONLY | O_CLOEXEC);
    if (control < 0)
        return 0;
    ssize_t length = read(control, word, sizeof word - 1);
    close(control);
    return length > 0 && strncmp(word, what, strlen(what)) == 0;
}

/* The function of the C library that ours stands before. */
static void *original(const char *name)
{
    void *found = dlsym(RTLD_NEXT, name);

    if (found == NULL)
        abort();
    return found;
}

#define FAIL_IF(fd, what)                                                                          \
    do {                                                                                           \
        if (is_failing(fd, what)) {                                                                \
            errno = EIO;                                                                           \
            return -1;                                                                             \
        }                                                                                          \
    } while (0)

int fdatasync(int fd)
{
    FAIL_IF(fd, "sync");
    return ((int (*)(int))original("fdatasync"))(fd);
}

int fsync(int fd)
{
    FAIL_IF(fd, "sync");
    return ((int (*)(int))original("fsync"))(fd);
}

ssize_t pwrite(int fd, const void *data, size_t length, off_t offset)
{
    FAIL_IF(fd, "write");
    return ((ssize_t(*)(int, const void *, size_t, off_t))original("pwrite"))(fd, data, length,
                                                                              offset);
}

ssize_t pwrite64(int fd, const void *data, size_t length, off64_t offset)
{
    FAIL_IF(fd, "write");
    return ((ssize_t(*)(int, const void *, size_t, off64_t))original("pwrite64"))(fd, data, length,
                                                                                  offset);
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset)
{
    FAIL_IF(fd, "write");
    return ((ssize_t(*)(int, const struct iovec *, int, off_t))original("pwritev"))(fd, parts,
                                                                                    count, offset);
}
