/* The adapter to LMDB: transactions, cursors, growth of the map (W5, W7), and what its errors mean.
 *
 * Flags: MDB_NOTLS, so that a read transaction belongs to its handle; never MDB_NOSYNC,
 * MDB_NOMETASYNC or MDB_WRITEMAP, so that a commit that returned is on the disk (W5). */
#include "server/store_lmdb.h"

#include <errno.h>
#include <limits.h>
#include <lmdb.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/file.h"
#include "base/log.h"

enum { MAP_STEP_BYTES = 64 << 10, FILE_SLACK_BYTES = 16 << 20, FILE_MODE = 0600 };

static const char *const table_names[LMDB_TABLE_COUNT] = {
    [LMDB_META] = "meta",
    [LMDB_DATA] = "data",
    [LMDB_EXPIRY] = "expiry",
    [LMDB_SESSIONS] = "sessions",
};

struct lmdb {
    MDB_env *env;
    MDB_dbi tables[LMDB_TABLE_COUNT];
    bool complete;
    MDB_txn *reader; /* kept between turns, reset */
    bool reading;
    /* Shared by the loop thread from its first read of a turn to the turn's end; exclusive while
     * the map moves. Writers go first, so that a busy loop cannot starve the checkpoint. */
    pthread_rwlock_t map_lock;
    bool has_map_lock;
    pthread_mutex_t snapshots_mutex;
    LIST_HEAD(, lmdb_snapshot) snapshots; /* under the mutex */
    uint64_t map_bytes;                   /* the checkpoint thread's */
    _Atomic uint64_t pages_bytes, used_bytes, map_growths;
    char path[PATH_MAX]; /* of data.mdb, for messages */
};

struct lmdb_cursor {
    MDB_cursor *cursor;
};

struct lmdb_snapshot {
    LIST_ENTRY(lmdb_snapshot) link;
    struct lmdb *lmdb;
    pthread_mutex_t mutex; /* held while it is read; taken after snapshots_mutex */
    MDB_txn *txn;          /* NULL: lost, the map moved */
    MDB_cursor *cursors[LMDB_TABLE_COUNT];
};

struct lmdb_writer {
    struct lmdb *lmdb;
    MDB_txn *txn;
    MDB_cursor *cursors[LMDB_TABLE_COUNT];
    int failure; /* LMDB's first error, or 0 */
};

/* --- errors -------------------------------------------------------------------------------------
 */

static int lmdb_code(int failure)
{
    switch (failure) {
    case MDB_SUCCESS:
        return CAIRN_OK;
    case MDB_NOTFOUND:
        return CAIRN_ENOTFOUND;
    case MDB_VERSION_MISMATCH:
        return CAIRN_EVERSION;
    case MDB_INVALID:
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_PANIC:
    case MDB_INCOMPATIBLE:
        return CAIRN_ECORRUPT;
    case ENOMEM:
        return CAIRN_ENOMEM;
    case ENOSPC:
    case EDQUOT:
        return CAIRN_ENOSPC;
    default:
        return CAIRN_EIO;
    }
}

static int lmdb_error(const struct lmdb *lmdb, struct error *error, const char *action, int failure)
{
    return error_set(error, lmdb_code(failure), "%s: cannot %s: %s", lmdb->path, action,
                     mdb_strerror(failure));
}

static MDB_val to_val(struct slice slice)
{
    /* LMDB's type is not const, but it only reads keys and values that it is given. */
    return (MDB_val){.mv_size = slice.length, .mv_data = (void *)(uintptr_t)slice.data};
}

static struct slice to_slice(const MDB_val *val)
{
    return (struct slice){.data = val->mv_data, .length = val->mv_size};
}

/* --- opening ------------------------------------------------------------------------------------
 */

static void note_pages(struct lmdb *lmdb)
{
    MDB_envinfo info;
    MDB_stat stat;
    if (mdb_env_info(lmdb->env, &info) == 0 && mdb_env_stat(lmdb->env, &stat) == 0)
        atomic_store(&lmdb->pages_bytes, ((uint64_t)info.me_last_pgno + 1) * stat.ms_psize);
}

/* The pages that some table holds as `txn` leaves them; all others of the file are free for reuse.
 */
static void note_used(struct lmdb *lmdb, MDB_txn *txn)
{
    enum { FREE_TABLE = 0, MAIN_TABLE = 1, META_PAGES = 2 }; /* LMDB's own, by number */
    uint64_t pages = META_PAGES;
    MDB_stat stat = {0};
    MDB_dbi tables[LMDB_TABLE_COUNT + 2] = {FREE_TABLE, MAIN_TABLE};
    memcpy(tables + 2, lmdb->tables, sizeof(lmdb->tables));
    for (size_t i = 0; i < LMDB_TABLE_COUNT + 2; i++) {
        if (mdb_stat(txn, tables[i], &stat) == 0)
            pages += stat.ms_branch_pages + stat.ms_leaf_pages + stat.ms_overflow_pages;
    }
    atomic_store(&lmdb->used_bytes, pages * stat.ms_psize);
}

static int lock_init(struct lmdb *lmdb)
{
    pthread_rwlockattr_t attributes;
    pthread_rwlockattr_init(&attributes);
    pthread_rwlockattr_setkind_np(&attributes, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    int failure = pthread_rwlock_init(&lmdb->map_lock, &attributes);
    pthread_rwlockattr_destroy(&attributes);
    lmdb->has_map_lock = failure == 0;
    return failure;
}

/* The file is as long as its pages, or it was cut: reading behind its end would be a SIGBUS. */
static int file_check(const struct lmdb *lmdb, struct error *error)
{
    struct stat file;
    mdb_filehandle_t descriptor;
    int failure = mdb_env_get_fd(lmdb->env, &descriptor);
    if (failure == 0 && fstat(descriptor, &file) != 0)
        failure = errno;
    if (failure != 0)
        return lmdb_error(lmdb, error, "look at it", failure);
    if ((uint64_t)file.st_size < lmdb_pages_bytes(lmdb))
        return error_set(error, CAIRN_ECORRUPT, "%s: cut to %llu bytes, its pages take %llu",
                         lmdb->path, (unsigned long long)file.st_size,
                         (unsigned long long)lmdb_pages_bytes(lmdb));
    return CAIRN_OK;
}

/* Makes the file long enough for a transaction that adds `bytes`, with a hole at its end. LMDB
 * itself leaves the file short when the last pages of a transaction were freed within it, and
 * file_check could not tell that from damage. */
static int file_extend(const struct lmdb *lmdb, uint64_t bytes)
{
    struct stat file;
    mdb_filehandle_t descriptor;
    uint64_t wanted = lmdb_pages_bytes(lmdb) + bytes;
    int failure = mdb_env_get_fd(lmdb->env, &descriptor);
    if (failure != 0)
        return failure;
    if (wanted > lmdb->map_bytes)
        wanted = lmdb->map_bytes;
    if (fstat(descriptor, &file) != 0)
        return errno;
    if ((uint64_t)file.st_size >= wanted)
        return 0;
    return ftruncate(descriptor, (off_t)wanted) == 0 ? 0 : errno;
}

/* All tables of a new environment, or those that an existing one has. */
static int tables_open(struct lmdb *lmdb, struct error *error)
{
    MDB_txn *txn;
    int failure = file_extend(lmdb, FILE_SLACK_BYTES);
    if (failure != 0)
        return lmdb_error(lmdb, error, "extend", failure);
    failure = mdb_txn_begin(lmdb->env, NULL, 0, &txn);
    if (failure != 0)
        return lmdb_error(lmdb, error, "begin a transaction", failure);
    unsigned flags = 0;
    failure = mdb_dbi_open(txn, table_names[LMDB_META], 0, &lmdb->tables[LMDB_META]);
    if (failure == MDB_NOTFOUND) {
        flags = MDB_CREATE;
        failure = 0;
    }
    lmdb->complete = true;
    for (int i = LMDB_META; failure == 0 && i < LMDB_TABLE_COUNT; i++) {
        failure = mdb_dbi_open(txn, table_names[i], flags, &lmdb->tables[i]);
        if (failure == MDB_NOTFOUND) {
            lmdb->complete = false;
            failure = 0;
        }
    }
    if (failure != 0) {
        mdb_txn_abort(txn);
        return lmdb_error(lmdb, error, "open its tables", failure);
    }
    note_used(lmdb, txn);
    failure = mdb_txn_commit(txn);
    return failure == 0 ? CAIRN_OK : lmdb_error(lmdb, error, "commit", failure);
}

/* LMDB aborts when a page contradicts itself; the log shall say which file it was. */
static void assertion_failed(MDB_env *env, const char *message)
{
    const struct lmdb *lmdb = mdb_env_get_userctx(env);
    log_error("store", "%s: damaged: %s", lmdb->path, message);
}

static int environment_open(struct lmdb *lmdb, const char *directory, struct error *error)
{
    int failure = mdb_env_create(&lmdb->env);
    if (failure == 0)
        failure = mdb_env_set_userctx(lmdb->env, lmdb);
    if (failure == 0)
        failure = mdb_env_set_assert(lmdb->env, assertion_failed);
    if (failure == 0)
        failure = mdb_env_set_maxdbs(lmdb->env, LMDB_TABLE_COUNT);
    if (failure == 0)
        failure = mdb_env_set_mapsize(lmdb->env, (size_t)lmdb->map_bytes);
    if (failure == 0)
        failure = mdb_env_open(lmdb->env, directory, MDB_NOTLS, FILE_MODE);
    if (failure == 0)
        failure = lock_init(lmdb);
    if (failure != 0)
        return lmdb_error(lmdb, error, "open", failure);
    MDB_envinfo info; /* an existing environment may be larger than what was asked for */
    if (mdb_env_info(lmdb->env, &info) == 0)
        lmdb->map_bytes = info.me_mapsize;
    note_pages(lmdb);
    int code = file_check(lmdb, error);
    if (code != CAIRN_OK)
        return code;
    int dead = 0; /* slots of readers that were killed would keep their pages for ever */
    failure = mdb_reader_check(lmdb->env, &dead);
    return failure == 0 ? CAIRN_OK : lmdb_error(lmdb, error, "check its readers", failure);
}

/* LMDB syncs its files, not the names of them. */
static int names_sync(const char *directory, struct error *error)
{
    char parent[PATH_MAX];
    int result = directory_sync(directory, error);
    if (result != CAIRN_OK)
        return result;
    int length = snprintf(parent, sizeof(parent), "%s/..", directory);
    if (length < 0 || (size_t)length >= sizeof(parent))
        return error_set(error, CAIRN_EINVAL, "%s: path too long", directory);
    return directory_sync(parent, error);
}

int lmdb_open(const char *directory, uint64_t map_bytes, struct lmdb **result, struct error *error)
{
    *result = NULL;
    struct lmdb *lmdb = calloc(1, sizeof(*lmdb));
    if (lmdb == NULL)
        return error_set(error, CAIRN_ENOMEM, "%s: out of memory", directory);
    CHECK(pthread_mutex_init(&lmdb->snapshots_mutex, NULL) == 0);
    LIST_INIT(&lmdb->snapshots);
    lmdb->map_bytes = (map_bytes + MAP_STEP_BYTES - 1) / MAP_STEP_BYTES * MAP_STEP_BYTES;
    int length = snprintf(lmdb->path, sizeof(lmdb->path), "%s/data.mdb", directory);
    int code = CAIRN_OK;
    if (length < 0 || (size_t)length >= sizeof(lmdb->path))
        code = error_set(error, CAIRN_EINVAL, "%s: path too long", directory);
    if (code == CAIRN_OK)
        code = directory_create(directory, error);
    if (code == CAIRN_OK)
        code = environment_open(lmdb, directory, error);
    if (code == CAIRN_OK)
        code = tables_open(lmdb, error);
    if (code == CAIRN_OK)
        code = names_sync(directory, error);
    if (code != CAIRN_OK) {
        lmdb_close(lmdb);
        return code;
    }
    note_pages(lmdb); /* with the tables of a new one */
    *result = lmdb;
    return CAIRN_OK;
}

bool lmdb_complete(const struct lmdb *lmdb)
{
    return lmdb->complete;
}

void lmdb_close(struct lmdb *lmdb)
{
    if (lmdb == NULL)
        return;
    CHECK(LIST_EMPTY(&lmdb->snapshots));
    lmdb_end_read(lmdb);
    if (lmdb->reader != NULL)
        mdb_txn_abort(lmdb->reader);
    if (lmdb->env != NULL)
        mdb_env_close(lmdb->env);
    if (lmdb->has_map_lock)
        pthread_rwlock_destroy(&lmdb->map_lock);
    pthread_mutex_destroy(&lmdb->snapshots_mutex);
    free(lmdb);
}

uint64_t lmdb_pages_bytes(const struct lmdb *lmdb)
{
    return atomic_load(&lmdb->pages_bytes);
}

uint64_t lmdb_free_bytes(const struct lmdb *lmdb)
{
    uint64_t pages = atomic_load(&lmdb->pages_bytes), used = atomic_load(&lmdb->used_bytes);
    return pages > used ? pages - used : 0;
}

uint64_t lmdb_map_growths(const struct lmdb *lmdb)
{
    return atomic_load(&lmdb->map_growths);
}

/* LMDB does not tell where it has mapped the file; but each page begins with its own number. */
uint64_t lmdb_offset(const struct lmdb *lmdb, const uint8_t *data)
{
    MDB_stat stat;
    uint64_t number;
    if (mdb_env_stat(lmdb->env, &stat) != 0)
        return 0;
    size_t within = (size_t)((uintptr_t)data % stat.ms_psize);
    memcpy(&number, data - within, sizeof(number));
    return number * stat.ms_psize + within;
}

const char *lmdb_path(const struct lmdb *lmdb)
{
    return lmdb->path;
}

/* --- reads --------------------------------------------------------------------------------------
 */

static int read_begin(struct lmdb *lmdb)
{
    if (lmdb->reading)
        return 0;
    CHECK(pthread_rwlock_rdlock(&lmdb->map_lock) == 0);
    int failure = lmdb->reader == NULL ? mdb_txn_begin(lmdb->env, NULL, MDB_RDONLY, &lmdb->reader)
                                       : mdb_txn_renew(lmdb->reader);
    if (failure != 0)
        CHECK(pthread_rwlock_unlock(&lmdb->map_lock) == 0);
    lmdb->reading = failure == 0;
    return failure;
}

void lmdb_end_read(struct lmdb *lmdb)
{
    if (!lmdb->reading)
        return;
    mdb_txn_reset(lmdb->reader);
    lmdb->reading = false;
    CHECK(pthread_rwlock_unlock(&lmdb->map_lock) == 0);
}

/* A reader gets what there is, or learns that LMDB cannot read its pages. */
static int read_code(int failure)
{
    int code = lmdb_code(failure);
    return code == CAIRN_OK || code == CAIRN_ENOTFOUND || code == CAIRN_ENOMEM ? code
                                                                               : CAIRN_ECORRUPT;
}

int lmdb_read(struct lmdb *lmdb, enum lmdb_table table, struct slice key, struct slice *value)
{
    MDB_val wanted = to_val(key), found = {0};
    int failure = read_begin(lmdb);
    if (failure == 0)
        failure = mdb_get(lmdb->reader, lmdb->tables[table], &wanted, &found);
    *value = failure == 0 ? to_slice(&found) : (struct slice){0};
    return read_code(failure);
}

int lmdb_cursor_open(struct lmdb *lmdb, enum lmdb_table table, struct lmdb_cursor **result)
{
    *result = NULL;
    MDB_cursor *cursor;
    int failure = read_begin(lmdb);
    if (failure == 0)
        failure = mdb_cursor_open(lmdb->reader, lmdb->tables[table], &cursor);
    if (failure != 0)
        return read_code(failure);
    *result = malloc(sizeof(**result));
    if (*result == NULL) {
        mdb_cursor_close(cursor);
        return CAIRN_ENOMEM;
    }
    (*result)->cursor = cursor;
    return CAIRN_OK;
}

void lmdb_cursor_close(struct lmdb_cursor *cursor)
{
    if (cursor == NULL)
        return;
    mdb_cursor_close(cursor->cursor);
    free(cursor);
}

static int cursor_move(MDB_cursor *cursor, MDB_val *key, MDB_cursor_op move, struct slice *found,
                       struct slice *value)
{
    MDB_val data = {0};
    int failure = mdb_cursor_get(cursor, key, &data, move);
    *found = failure == 0 ? to_slice(key) : (struct slice){0};
    *value = failure == 0 ? to_slice(&data) : (struct slice){0};
    return read_code(failure);
}

int lmdb_cursor_seek(struct lmdb_cursor *cursor, struct slice key, struct slice *found,
                     struct slice *value)
{
    MDB_val wanted = to_val(key);
    return cursor_move(cursor->cursor, &wanted, key.length == 0 ? MDB_FIRST : MDB_SET_RANGE, found,
                       value);
}

int lmdb_cursor_next(struct lmdb_cursor *cursor, struct slice *found, struct slice *value)
{
    MDB_val key = {0};
    return cursor_move(cursor->cursor, &key, MDB_NEXT, found, value);
}

/* --- snapshots ----------------------------------------------------------------------------------
 */

static void snapshot_abort(struct lmdb_snapshot *snapshot)
{
    for (int i = 0; i < LMDB_TABLE_COUNT; i++) {
        if (snapshot->cursors[i] != NULL)
            mdb_cursor_close(snapshot->cursors[i]);
        snapshot->cursors[i] = NULL;
    }
    if (snapshot->txn != NULL)
        mdb_txn_abort(snapshot->txn);
    snapshot->txn = NULL;
}

static int snapshot_begin(struct lmdb_snapshot *snapshot)
{
    struct lmdb *lmdb = snapshot->lmdb;
    int failure = mdb_txn_begin(lmdb->env, NULL, MDB_RDONLY, &snapshot->txn);
    for (int i = 0; failure == 0 && i < LMDB_TABLE_COUNT; i++)
        failure = mdb_cursor_open(snapshot->txn, lmdb->tables[i], &snapshot->cursors[i]);
    if (failure != 0)
        snapshot_abort(snapshot);
    return failure;
}

int lmdb_snapshot_open(struct lmdb *lmdb, struct lmdb_snapshot **result)
{
    *result = NULL;
    struct lmdb_snapshot *snapshot = calloc(1, sizeof(*snapshot));
    if (snapshot == NULL)
        return CAIRN_ENOMEM;
    snapshot->lmdb = lmdb;
    CHECK(pthread_mutex_init(&snapshot->mutex, NULL) == 0);
    /* The turn's reads hold the lock already, and it must not be taken twice by one thread. */
    if (!lmdb->reading)
        CHECK(pthread_rwlock_rdlock(&lmdb->map_lock) == 0);
    int failure = snapshot_begin(snapshot);
    if (failure == 0) {
        CHECK(pthread_mutex_lock(&lmdb->snapshots_mutex) == 0);
        LIST_INSERT_HEAD(&lmdb->snapshots, snapshot, link);
        CHECK(pthread_mutex_unlock(&lmdb->snapshots_mutex) == 0);
    }
    if (!lmdb->reading)
        CHECK(pthread_rwlock_unlock(&lmdb->map_lock) == 0);
    if (failure != 0) {
        pthread_mutex_destroy(&snapshot->mutex);
        free(snapshot);
        return failure == ENOMEM ? CAIRN_ENOMEM : CAIRN_EIO;
    }
    *result = snapshot;
    return CAIRN_OK;
}

void lmdb_snapshot_close(struct lmdb_snapshot *snapshot)
{
    if (snapshot == NULL)
        return;
    CHECK(pthread_mutex_lock(&snapshot->lmdb->snapshots_mutex) == 0);
    LIST_REMOVE(snapshot, link);
    snapshot_abort(snapshot);
    CHECK(pthread_mutex_unlock(&snapshot->lmdb->snapshots_mutex) == 0);
    pthread_mutex_destroy(&snapshot->mutex);
    free(snapshot);
}

bool lmdb_snapshot_enter(struct lmdb_snapshot *snapshot)
{
    CHECK(pthread_mutex_lock(&snapshot->mutex) == 0);
    if (snapshot->txn != NULL)
        return true;
    CHECK(pthread_mutex_unlock(&snapshot->mutex) == 0);
    return false;
}

void lmdb_snapshot_leave(struct lmdb_snapshot *snapshot)
{
    CHECK(pthread_mutex_unlock(&snapshot->mutex) == 0);
}

int lmdb_snapshot_read(struct lmdb_snapshot *snapshot, enum lmdb_table table, struct slice key,
                       struct slice *value)
{
    MDB_val wanted = to_val(key), found = {0};
    int failure = mdb_get(snapshot->txn, snapshot->lmdb->tables[table], &wanted, &found);
    *value = failure == 0 ? to_slice(&found) : (struct slice){0};
    return read_code(failure);
}

int lmdb_snapshot_seek(struct lmdb_snapshot *snapshot, enum lmdb_table table, struct slice key,
                       struct slice *found, struct slice *value)
{
    MDB_val wanted = to_val(key);
    return cursor_move(snapshot->cursors[table], &wanted, MDB_SET_RANGE, found, value);
}

int lmdb_snapshot_next(struct lmdb_snapshot *snapshot, enum lmdb_table table, struct slice *found,
                       struct slice *value)
{
    MDB_val key = {0};
    return cursor_move(snapshot->cursors[table], &key, MDB_NEXT, found, value);
}

/* W7: the map is about to move. Waits for reads under way; those to come find nothing. */
static void snapshots_lose(struct lmdb *lmdb)
{
    struct lmdb_snapshot *snapshot;
    LIST_FOREACH(snapshot, &lmdb->snapshots, link)
    {
        CHECK(pthread_mutex_lock(&snapshot->mutex) == 0);
        snapshot_abort(snapshot);
        CHECK(pthread_mutex_unlock(&snapshot->mutex) == 0);
    }
}

/* --- writes -------------------------------------------------------------------------------------
 */

static int writer_code(struct lmdb_writer *writer, int failure)
{
    if (failure != 0 && failure != MDB_NOTFOUND && writer->failure == 0)
        writer->failure = failure;
    return lmdb_code(failure);
}

int lmdb_find(struct lmdb_writer *writer, enum lmdb_table table, struct slice key,
              struct slice *value)
{
    MDB_val wanted = to_val(key), data = {0};
    int failure = mdb_cursor_get(writer->cursors[table], &wanted, &data, MDB_SET);
    *value = failure == 0 ? to_slice(&data) : (struct slice){0};
    return writer_code(writer, failure);
}

int lmdb_find_from(struct lmdb_writer *writer, enum lmdb_table table, struct slice key,
                   struct slice *found, struct slice *value)
{
    MDB_val wanted = to_val(key), data = {0};
    int failure = mdb_cursor_get(writer->cursors[table], &wanted, &data, MDB_SET_RANGE);
    *found = failure == 0 ? to_slice(&wanted) : (struct slice){0};
    *value = failure == 0 ? to_slice(&data) : (struct slice){0};
    return writer_code(writer, failure);
}

int lmdb_put(struct lmdb_writer *writer, enum lmdb_table table, struct slice key, struct slice head,
             struct slice body)
{
    MDB_val at = to_val(key), data = {.mv_size = head.length + body.length};
    int failure = mdb_cursor_put(writer->cursors[table], &at, &data, MDB_RESERVE);
    if (failure != 0)
        return writer_code(writer, failure);
    if (head.length > 0)
        memcpy(data.mv_data, head.data, head.length);
    if (body.length > 0)
        memcpy((uint8_t *)data.mv_data + head.length, body.data, body.length);
    return CAIRN_OK;
}

int lmdb_delete(struct lmdb_writer *writer, enum lmdb_table table, struct slice key)
{
    struct slice value;
    int code = lmdb_find(writer, table, key, &value);
    if (code != CAIRN_OK)
        return code;
    return lmdb_delete_found(writer, table);
}

int lmdb_delete_found(struct lmdb_writer *writer, enum lmdb_table table)
{
    return writer_code(writer, mdb_cursor_del(writer->cursors[table], 0));
}

/* Fills and commits one transaction; LMDB's error. */
static int write_once(struct lmdb *lmdb, uint64_t bytes, lmdb_fill fill, void *context,
                      const char **action)
{
    struct lmdb_writer writer = {.lmdb = lmdb};
    *action = "extend";
    int failure = file_extend(lmdb, bytes + FILE_SLACK_BYTES);
    if (failure != 0)
        return failure;
    *action = "begin a transaction";
    failure = mdb_txn_begin(lmdb->env, NULL, 0, &writer.txn);
    if (failure != 0)
        return failure;
    *action = "write";
    for (int i = 0; failure == 0 && i < LMDB_TABLE_COUNT; i++)
        failure = mdb_cursor_open(writer.txn, lmdb->tables[i], &writer.cursors[i]);
    if (failure == 0 && fill(context, &writer) != CAIRN_OK)
        failure = writer.failure != 0 ? writer.failure : MDB_CORRUPTED;
    for (int i = 0; i < LMDB_TABLE_COUNT; i++) {
        if (writer.cursors[i] != NULL)
            mdb_cursor_close(writer.cursors[i]);
    }
    if (failure != 0) {
        mdb_txn_abort(writer.txn);
        return failure;
    }
    *action = "commit";
    note_used(lmdb, writer.txn);
    return mdb_txn_commit(writer.txn);
}

/* W7: twice the map, while no transaction of this process is open. */
static int map_grow(struct lmdb *lmdb)
{
    CHECK(pthread_rwlock_wrlock(&lmdb->map_lock) == 0);
    CHECK(pthread_mutex_lock(&lmdb->snapshots_mutex) == 0);
    snapshots_lose(lmdb);
    int failure = lmdb->map_bytes > SIZE_MAX / 4
                      ? ENOMEM
                      : mdb_env_set_mapsize(lmdb->env, (size_t)lmdb->map_bytes * 2);
    CHECK(pthread_mutex_unlock(&lmdb->snapshots_mutex) == 0);
    CHECK(pthread_rwlock_unlock(&lmdb->map_lock) == 0);
    if (failure == 0) {
        lmdb->map_bytes *= 2;
        atomic_fetch_add(&lmdb->map_growths, 1);
    }
    return failure;
}

int lmdb_write(struct lmdb *lmdb, uint64_t bytes, lmdb_fill fill, void *context,
               struct error *error)
{
    for (;;) {
        const char *action;
        int failure = write_once(lmdb, bytes, fill, context, &action);
        if (failure == 0) {
            note_pages(lmdb);
            return CAIRN_OK;
        }
        if (failure != MDB_MAP_FULL)
            return lmdb_error(lmdb, error, action, failure);
        failure = map_grow(lmdb);
        if (failure != 0)
            return lmdb_error(lmdb, error, "grow its map", failure);
    }
}
