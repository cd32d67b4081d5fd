/* See nemesis_folder.h. */
#include "fuzz/nemesis_folder.h"

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"

enum { DESCRIPTORS_MAX = 16 };

static int open_temporary(char out[NODE_PATH_MAX], struct error *error)
{
    const char *where = getenv("TMPDIR");
    int length = snprintf(out, NODE_PATH_MAX, "%s/cairn-nemesis-XXXXXX",
                          where != NULL && where[0] != 0 ? where : "/tmp");

    if (length >= NODE_PATH_MAX || mkdtemp(out) == NULL)
        return error_set(error, CAIRN_EIO, "%s: %s", out, strerror(errno));
    return 0;
}

int folder_open(const char *folder, char out[NODE_PATH_MAX], struct error *error)
{
    if (folder == NULL)
        return open_temporary(out, error);
    if (snprintf(out, NODE_PATH_MAX, "%s", folder) >= NODE_PATH_MAX)
        return error_set(error, CAIRN_EINVAL, "%s: the path is too long", folder);
    int rc = directory_create(folder, error);
    if (rc != 0)
        return rc;
    /* Only an empty directory can be removed: nobody's files are taken for the cluster's. */
    if (rmdir(folder) != 0)
        return error_set(error, CAIRN_EINVAL, "%s: %s", folder, strerror(errno));
    return directory_create(folder, error);
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *place)
{
    (void)status;
    (void)kind;
    (void)place;
    return remove(path);
}

int folder_remove(const char *folder, struct error *error)
{
    if (nftw(folder, remove_one, DESCRIPTORS_MAX, FTW_DEPTH | FTW_PHYS | FTW_MOUNT) != 0)
        return error_set(error, CAIRN_EIO, "%s: cannot be removed: %s", folder, strerror(errno));
    return 0;
}
