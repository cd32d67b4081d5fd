/* What a program wrote to files and did not sync yet (fail_unsynced.h). */
#define _GNU_SOURCE
#include "fail_unsynced.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

struct unsynced {
    struct unsynced *older;
    dev_t device;
    ino_t file;
    off_t offset;
    size_t length;
    char before[]; /* zeros where the file ended */
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct unsynced *newest;

/* These allocate nothing that could fail as a call of the program's. */
void *__libc_calloc(size_t count, size_t size);
void __libc_free(void *memory);

void unsynced_begin(int fd, off_t offset, size_t length)
{
    const int saved = errno;
    struct stat status;

    pthread_mutex_lock(&mutex);
    if ((fcntl(fd, F_GETFL) & O_DSYNC) != 0 || fstat(fd, &status) != 0 || !S_ISREG(status.st_mode))
        return;
    struct unsynced *made = __libc_calloc(1, sizeof *made + length);
    if (made == NULL)
        abort();
    *made = (struct unsynced){newest, status.st_dev, status.st_ino, offset, length};
    if (syscall(SYS_pread64, fd, made->before, length, offset) < 0) {
        __libc_free(made); /* only written: nobody reads it back */
    } else {
        newest = made;
    }
    errno = saved;
}

void unsynced_end(void)
{
    pthread_mutex_unlock(&mutex);
}

/* With the mutex held. Newest first. */
static struct unsynced *take(int fd)
{
    struct unsynced *taken = NULL, **last = &taken;
    struct stat status;

    if (newest == NULL || fstat(fd, &status) != 0)
        return NULL;
    for (struct unsynced **at = &newest; *at != NULL;) {
        struct unsynced *one = *at;
        if (one->device == status.st_dev && one->file == status.st_ino) {
            *at = one->older;
            one->older = NULL;
            *last = one;
            last = &one->older;
        } else {
            at = &one->older;
        }
    }
    return taken;
}

struct unsynced *unsynced_take(int fd)
{
    pthread_mutex_lock(&mutex);
    struct unsynced *taken = take(fd);
    pthread_mutex_unlock(&mutex);
    return taken;
}

void unsynced_lose(int fd)
{
    pthread_mutex_lock(&mutex);
    struct unsynced *lost = take(fd);
    for (struct unsynced *one = lost; one != NULL; one = one->older)
        if (syscall(SYS_pwrite64, fd, one->before, one->length, one->offset) < 0)
            abort();
    pthread_mutex_unlock(&mutex);
    unsynced_free(lost);
}

void unsynced_free(struct unsynced *list)
{
    while (list != NULL) {
        struct unsynced *older = list->older;
        __libc_free(list);
        list = older;
    }
}
