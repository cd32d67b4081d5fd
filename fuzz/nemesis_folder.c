/* See nemesis_folder.h. */
#include "fuzz/nemesis_folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"

#define PREFIX "cairn-nemesis-"
#define OWNER  "owner"

enum { DESCRIPTORS_MAX = 16 };

static const char *temporary(void)
{
    const char *where = getenv("TMPDIR");

    return where != NULL && where[0] != 0 ? where : "/tmp";
}

static bool join(char out[NODE_PATH_MAX], const char *folder, const char *name)
{
    int length = snprintf(out, NODE_PATH_MAX, "%s/%s", folder, name);

    return length > 0 && length < NODE_PATH_MAX;
}

/* Under its name the file is locked from its first moment on. */
static int lock_owner(struct folder *folder)
{
    char made[NODE_PATH_MAX], named[NODE_PATH_MAX];

    if (!join(made, folder->path, OWNER ".new") || !join(named, folder->path, OWNER))
        return ENAMETOOLONG;
    folder->owner = open(made, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (folder->owner < 0 || flock(folder->owner, LOCK_EX | LOCK_NB) != 0 ||
        rename(made, named) != 0)
        return errno;
    return 0;
}

static int open_temporary(struct folder *folder, struct error *error)
{
    if (!join(folder->path, temporary(), PREFIX "XXXXXX"))
        return error_set(error, CAIRN_EINVAL, "%s: the path is too long", temporary());
    if (mkdtemp(folder->path) == NULL)
        return error_set(error, CAIRN_EIO, "%s: %s", folder->path, strerror(errno));
    int failure = lock_owner(folder);
    if (failure == 0)
        return 0;
    (void)folder_remove(folder, NULL);
    return error_set(error, CAIRN_EIO, "%s: %s", folder->path, strerror(failure));
}

int folder_open(struct folder *folder, const char *wanted, struct error *error)
{
    folder->owner = -1;
    if (wanted == NULL)
        return open_temporary(folder, error);
    if (snprintf(folder->path, NODE_PATH_MAX, "%s", wanted) >= NODE_PATH_MAX)
        return error_set(error, CAIRN_EINVAL, "%s: the path is too long", wanted);
    int rc = directory_create(wanted, error);
    if (rc != 0)
        return rc;
    /* Only an empty directory can be removed: nobody's files are taken for the cluster's. */
    if (rmdir(wanted) != 0)
        return error_set(error, CAIRN_EINVAL, "%s: %s", wanted, strerror(errno));
    return directory_create(wanted, error);
}

static void unlock(struct folder *folder)
{
    if (folder->owner >= 0)
        close(folder->owner);
    folder->owner = -1;
}

void folder_keep(struct folder *folder)
{
    char owner[NODE_PATH_MAX];

    if (folder->owner >= 0 && join(owner, folder->path, OWNER))
        (void)unlink(owner);
    unlock(folder);
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *place)
{
    (void)status;
    (void)kind;
    if (place->level == 0 || (place->level == 1 && strcmp(path + place->base, OWNER) == 0))
        return 0;
    return remove(path);
}

/* The file that tells whose it is goes last: what is not gone yet goes with the next try. */
static int remove_all(const char *path)
{
    char owner[NODE_PATH_MAX];

    if (nftw(path, remove_one, DESCRIPTORS_MAX, FTW_DEPTH | FTW_PHYS | FTW_MOUNT) != 0)
        return -1;
    if (join(owner, path, OWNER))
        (void)unlink(owner);
    return rmdir(path);
}

int folder_remove(struct folder *folder, struct error *error)
{
    int failure = remove_all(folder->path) != 0 ? errno : 0;

    unlock(folder);
    if (failure != 0)
        return error_set(error, CAIRN_EIO, "%s: cannot be removed: %s", folder->path,
                         strerror(failure));
    return 0;
}

static bool is_mine(const char *path)
{
    struct stat status;

    return lstat(path, &status) == 0 && S_ISDIR(status.st_mode) && status.st_uid == geteuid();
}

/* Removes the folder if its run was killed. */
static bool remove_dead(const char *path)
{
    char owner[NODE_PATH_MAX];

    if (!is_mine(path) || !join(owner, path, OWNER))
        return false;
    int file = open(owner, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (file < 0)
        return false;
    bool gone = flock(file, LOCK_EX | LOCK_NB) == 0 && remove_all(path) == 0;
    close(file);
    return gone;
}

void folder_remove_dead(void (*removed)(void *context, const char *path), void *context)
{
    char path[NODE_PATH_MAX];
    DIR *directory = opendir(temporary());

    if (directory == NULL)
        return;
    for (struct dirent *entry = readdir(directory); entry != NULL; entry = readdir(directory))
        if (strncmp(entry->d_name, PREFIX, sizeof PREFIX - 1) == 0 &&
            join(path, temporary(), entry->d_name) && remove_dead(path) && removed != NULL)
            removed(context, path);
    (void)closedir(directory);
}
