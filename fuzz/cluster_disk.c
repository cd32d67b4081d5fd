/* See cluster_disk.h. */
#include "fuzz/cluster_disk.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "fuzz/node_process.h"

/* Room for a log of a few segments and a store; pages are taken only as they are written. */
#define DISK_OPTIONS "size=256m,mode=0700"

enum { COPY_LIMIT_MS = 60000 };

static void data_path(const struct cluster *cluster, unsigned server, const char *more,
                      char out[NODE_PATH_MAX])
{
    (void)snprintf(out, NODE_PATH_MAX, "%.400s/%s%s", cluster->folder,
                   cluster->servers[server].name, more);
}

/* Mounts are the calling thread's alone from here on, and none of them reaches others. */
static int own_mounts(struct error *error)
{
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
        return error_set(error, CAIRN_EUNAVAILABLE, "small disks need root: %s", strerror(errno));
    return 0;
}

int disks_open(struct cluster *cluster, struct error *error)
{
    char path[NODE_PATH_MAX];
    int rc = own_mounts(error);

    for (unsigned i = 0; rc == 0 && i < cluster->server_count; i++) {
        data_path(cluster, i, "", path);
        if (mkdir(path, 0700) != 0 || mount("cairn-disk", path, "tmpfs", 0, DISK_OPTIONS) != 0)
            rc = error_set(error, CAIRN_EUNAVAILABLE, "%s: cannot mount a tmpfs: %s", path,
                           strerror(errno));
    }
    return rc;
}

/* What was mounted cannot be seen from outside: it is copied beside and takes the place. */
static void keep_files(const char *from, const char *to)
{
    char *words[] = {(char *)"cp", (char *)"-a", (char *)"--sparse=always",
                     (char *)from, (char *)to,   NULL};
    struct process_start start = {.words = words,
                                  .environment = environ,
                                  .network = -1,
                                  .input = -1,
                                  .output = STDERR_FILENO,
                                  .errors = STDERR_FILENO};
    pid_t process;
    int status;

    if (process_start(&start, &process, NULL) == 0)
        (void)process_wait(process, COPY_LIMIT_MS, &status);
}

void disks_close(struct cluster *cluster, bool keep)
{
    char path[NODE_PATH_MAX], copy[NODE_PATH_MAX];

    for (unsigned i = 0; i < cluster->server_count; i++) {
        data_path(cluster, i, "", path);
        data_path(cluster, i, ".copy", copy);
        if (keep)
            keep_files(path, copy);
        (void)umount2(path, MNT_DETACH);
        if (keep)
            (void)rename(copy, path);
    }
}

static int ballast(const char *path, uint64_t left_bytes, struct error *error)
{
    struct statvfs space;
    int file = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    int rc = file < 0 || fstatvfs(file, &space) != 0 ? errno : 0;
    int tries = 100;

    /* The server takes and gives room meanwhile: asked again until it fits. */
    while (rc == 0 && tries-- > 0) {
        uint64_t free_bytes = (uint64_t)space.f_bavail * space.f_frsize;
        struct stat status;
        if (free_bytes <= left_bytes || fstat(file, &status) != 0)
            break;
        rc = posix_fallocate(file, status.st_size, (off_t)(free_bytes - left_bytes));
        if (rc == ENOSPC)
            rc = 0;
        if (fstatvfs(file, &space) != 0)
            rc = errno;
    }
    if (file >= 0)
        close(file);
    if (rc != 0)
        return error_set(error, CAIRN_EIO, "%s: %s", path, strerror(rc));
    return 0;
}

int disk_fill(struct cluster *cluster, unsigned server, uint64_t left_bytes, struct error *error)
{
    char path[NODE_PATH_MAX];

    CHECK(server < cluster->server_count);
    if (!cluster->has_small_disks) {
        control_set_full(cluster->servers[server].control, 1);
        return 0;
    }
    data_path(cluster, server, "/ballast", path);
    return ballast(path, left_bytes, error);
}

int disk_clear(struct cluster *cluster, unsigned server, struct error *error)
{
    char path[NODE_PATH_MAX];

    control_set_full(cluster->servers[server].control, 0);
    if (!cluster->has_small_disks)
        return 0;
    data_path(cluster, server, "/ballast", path);
    if (unlink(path) != 0 && errno != ENOENT)
        return error_set(error, CAIRN_EIO, "%s: %s", path, strerror(errno));
    return 0;
}
