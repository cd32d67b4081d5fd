/* A new store appears whole (ARCHITECTURE.md W4).
 *
 * LMDB makes its file in several writes, and opens none that a power loss left between them. So the
 * file is made in DIRECTORY/new, with all its tables, and renamed to its place when it is synced.
 * What an interrupted start left in DIRECTORY/new is of no use to anybody: either there was no
 * store yet, or it is the store's own file under the name that it had before. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "server/store_lmdb.h"

struct names {
    char file[PATH_MAX];                                                  /* the store's */
    char new_directory[PATH_MAX], new_file[PATH_MAX], new_lock[PATH_MAX]; /* while it is made */
};

static int name_all(const char *directory, struct names *names, struct error *error)
{
    if (snprintf(names->file, PATH_MAX, "%s/data.mdb", directory) >= PATH_MAX ||
        snprintf(names->new_directory, PATH_MAX, "%s/new", directory) >= PATH_MAX ||
        snprintf(names->new_file, PATH_MAX, "%s/new/data.mdb", directory) >= PATH_MAX ||
        snprintf(names->new_lock, PATH_MAX, "%s/new/lock.mdb", directory) >= PATH_MAX)
        return error_set(error, CAIRN_EINVAL, "%s: path too long", directory);
    return CAIRN_OK;
}

static int clear_new(const struct names *names, struct error *error)
{
    if ((unlink(names->new_file) != 0 && errno != ENOENT) ||
        (unlink(names->new_lock) != 0 && errno != ENOENT) ||
        (rmdir(names->new_directory) != 0 && errno != ENOENT))
        return error_set(error, CAIRN_EIO, "%s: cannot remove: %s", names->new_directory,
                         strerror(errno));
    return CAIRN_OK;
}

static int make(const char *directory, const struct names *names, uint64_t map_bytes,
                struct error *error)
{
    struct lmdb *lmdb;
    int code = lmdb_open(names->new_directory, map_bytes, &lmdb, error);

    if (code != CAIRN_OK)
        return code;
    lmdb_close(lmdb); /* all of it is synced: tables are made in a transaction */
    if (rename(names->new_file, names->file) != 0)
        return error_set(error, CAIRN_EIO, "%s: cannot rename: %s", names->new_file,
                         strerror(errno));
    code = directory_sync(directory, error);
    return code == CAIRN_OK ? clear_new(names, error) : code;
}

int lmdb_make(const char *directory, uint64_t map_bytes, struct error *error)
{
    struct names names;
    struct stat status;
    int code = name_all(directory, &names, error);

    if (code == CAIRN_OK)
        code = directory_create(directory, error);
    if (code != CAIRN_OK)
        return code;
    const bool is_new = stat(names.file, &status) != 0 && errno == ENOENT;
    code = clear_new(&names, error);
    if (is_new && code == CAIRN_OK)
        return make(directory, &names, map_bytes, error);
    if (is_new)
        return code;
    if (code != CAIRN_OK) /* a store needs nothing of that directory */
        log_warn("store", "%s", error->message);
    return CAIRN_OK;
}
