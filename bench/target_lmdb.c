/* LMDB in this process as a target: what a store costs without a network, a log or a second copy.
 *
 * A put is one write transaction, on the disk when it returns (never MDB_NOSYNC, MDB_NOMETASYNC or
 * MDB_WRITEMAP); writers take turns at LMDB's own lock. A read is a transaction too. MDB_NOTLS
 * makes a read transaction belong to its session, which keeps it, reset, between its reads. */
#include <errno.h>
#include <lmdb.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buffer.h"
#include "base/check.h"
#include "bench/target.h"

enum {
    READERS_MAX = 64 * 1024, /* processes times connections */
    PATH_MODE = 0777,
    FILE_MODE = 0666,
    PAIR_MAX = 2 << 20, /* more than a value's and a key's limit */
};

/* Address space only: the file grows as pages are used. */
static const size_t MAP_BYTES = (size_t)1 << 35;

struct session {
    MDB_env *env;
    MDB_dbi table;
    MDB_txn *reader;      /* reset between reads */
    struct buffer result; /* what was read, copied: the map's pages last as long as a transaction */
    const char *path;     /* the environment's */
};

/* LMDB forbids a process to open an environment twice: all sessions share it, the last one closes
 * it. */
static struct {
    pthread_mutex_t lock;
    MDB_env *env;
    MDB_dbi table;
    unsigned users;
    char *path;
} shared = {.lock = PTHREAD_MUTEX_INITIALIZER};

static int code_of(int failure)
{
    switch (failure) {
    case ENOMEM:
        return CAIRN_ENOMEM;
    case ENOSPC:
    case MDB_MAP_FULL:
        return CAIRN_ENOSPC;
    case MDB_BAD_VALSIZE:
        return CAIRN_EINVAL;
    case MDB_READERS_FULL:
        return CAIRN_EFULL;
    case MDB_VERSION_MISMATCH:
        return CAIRN_EVERSION;
    case MDB_INVALID:
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_PANIC:
        return CAIRN_ECORRUPT;
    default:
        return CAIRN_EIO;
    }
}

/* `failure` is LMDB's or errno's, not 0. */
static int fail(const char *path, int failure, struct error *error)
{
    return error_set(error, code_of(failure), "lmdb %s: %s", path, mdb_strerror(failure));
}

static MDB_val to_val(struct bytes bytes)
{
    /* LMDB takes keys and values without const and leaves them alone. */
    return (MDB_val){.mv_size = bytes.length, .mv_data = (void *)(uintptr_t)bytes.data};
}

/* --- the environment, under shared.lock ---------------------------------------------------------
 */

static int open_table(MDB_env *env, MDB_dbi *table)
{
    MDB_txn *txn;
    int failure = mdb_txn_begin(env, NULL, MDB_RDONLY, &txn);
    if (failure != 0)
        return failure;
    failure = mdb_dbi_open(txn, NULL, 0, table);
    if (failure == 0)
        return mdb_txn_commit(txn);
    mdb_txn_abort(txn);
    return failure;
}

static int open_env(const char *path, MDB_env **env, MDB_dbi *table)
{
    int failure = mdb_env_create(env);
    if (failure != 0) {
        *env = NULL;
        return failure;
    }
    failure = mdb_env_set_mapsize(*env, MAP_BYTES);
    if (failure == 0)
        failure = mdb_env_set_maxreaders(*env, READERS_MAX);
    if (failure == 0)
        failure = mdb_env_open(*env, path, MDB_NOTLS, FILE_MODE);
    if (failure == 0) /* readers that were killed would keep every page from being used again */
        failure = mdb_reader_check(*env, NULL);
    if (failure == 0)
        failure = open_table(*env, table);
    if (failure != 0) {
        mdb_env_close(*env);
        *env = NULL;
    }
    return failure;
}

static int make_shared(const char *path, struct error *error)
{
    if (mkdir(path, PATH_MODE) != 0 && errno != EEXIST)
        return fail(path, errno, error);
    shared.path = strdup(path);
    if (shared.path == NULL)
        return fail(path, ENOMEM, error);
    int failure = open_env(path, &shared.env, &shared.table);
    if (failure == 0)
        return 0;
    free(shared.path);
    shared.path = NULL;
    return fail(path, failure, error);
}

/* One more user of the environment, which the first one opens. */
static int take_env(struct session *session, const char *path, struct error *error)
{
    int status = 0;
    pthread_mutex_lock(&shared.lock);
    if (shared.users == 0)
        status = make_shared(path, error);
    else if (strcmp(path, shared.path) != 0)
        status = error_set(error, CAIRN_EBUSY, "lmdb %s: this process already uses %s", path,
                           shared.path);
    if (status == 0) {
        shared.users++;
        session->env = shared.env;
        session->table = shared.table;
        session->path = shared.path;
    }
    pthread_mutex_unlock(&shared.lock);
    return status;
}

static void give_env_back(void)
{
    pthread_mutex_lock(&shared.lock);
    CHECK(shared.users > 0);
    if (--shared.users == 0) {
        mdb_env_close(shared.env);
        free(shared.path);
        shared.env = NULL;
        shared.path = NULL;
    }
    pthread_mutex_unlock(&shared.lock);
}

/* --- sessions -----------------------------------------------------------------------------------
 */

static void close_session(struct session *session)
{
    if (session == NULL)
        return;
    if (session->reader != NULL)
        mdb_txn_abort(session->reader);
    buffer_free(&session->result);
    if (session->env != NULL)
        give_env_back();
    free(session);
}

static int open_session(const struct target_place *place, struct session **session,
                        struct error *error)
{
    *session = calloc(1, sizeof(**session));
    if (*session == NULL)
        return error_set(error, CAIRN_ENOMEM, "lmdb: out of memory");
    buffer_init(&(*session)->result, PAIR_MAX);
    int status = take_env(*session, place->address, error);
    if (status == 0) {
        int failure = mdb_txn_begin((*session)->env, NULL, MDB_RDONLY, &(*session)->reader);
        if (failure == 0)
            mdb_txn_reset((*session)->reader);
        else
            status = fail(place->address, failure, error);
    }
    if (status != 0) {
        close_session(*session);
        *session = NULL;
    }
    return status;
}

/* Puts `value`, or deletes the key if that is NULL, which may be absent. */
static int change(struct session *session, struct bytes key, const struct bytes *value,
                  struct error *error)
{
    MDB_val key_val = to_val(key);
    MDB_txn *txn;
    int failure = mdb_txn_begin(session->env, NULL, 0, &txn);
    if (failure != 0)
        return fail(session->path, failure, error);
    if (value != NULL) {
        MDB_val value_val = to_val(*value);
        failure = mdb_put(txn, session->table, &key_val, &value_val, 0);
    } else {
        failure = mdb_del(txn, session->table, &key_val, NULL);
    }
    if (failure == 0)
        failure = mdb_txn_commit(txn);
    else
        mdb_txn_abort(txn);
    return failure == 0 || failure == MDB_NOTFOUND ? 0 : fail(session->path, failure, error);
}

static int put(struct session *session, struct bytes key, struct bytes value, struct error *error)
{
    return change(session, key, &value, error);
}

static int remove_key(struct session *session, struct bytes key, struct error *error)
{
    return change(session, key, NULL, error);
}

/* What a caller gets must outlive the transaction. */
static int copy_out(struct session *session, const MDB_val *key, const MDB_val *value)
{
    buffer_clear(&session->result);
    int status = key != NULL ? buffer_append(&session->result, key->mv_data, key->mv_size) : 0;
    return status == 0 ? buffer_append(&session->result, value->mv_data, value->mv_size) : status;
}

static int begin_read(struct session *session, struct error *error)
{
    int failure = mdb_txn_renew(session->reader);
    return failure == 0 ? 0 : fail(session->path, failure, error);
}

static int get(struct session *session, struct bytes key, bool *found, struct error *error)
{
    MDB_val key_val = to_val(key), value;
    *found = false;
    int status = begin_read(session, error);
    if (status != 0)
        return status;
    int failure = mdb_get(session->reader, session->table, &key_val, &value);
    *found = failure == 0;
    if (failure == 0 && (status = copy_out(session, NULL, &value)) != 0)
        error_set(error, status, "lmdb %s: a value: %s", session->path, error_text(status));
    else if (failure != 0 && failure != MDB_NOTFOUND)
        status = fail(session->path, failure, error);
    mdb_txn_reset(session->reader);
    return status;
}

static int read_pairs(struct session *session, MDB_cursor *cursor, struct bytes from, size_t limit,
                      struct error *error)
{
    MDB_val key = to_val(from), value;
    int failure = 0, status = 0;
    for (size_t i = 0; i < limit && failure == 0 && status == 0; i++) {
        failure = mdb_cursor_get(cursor, &key, &value, i == 0 ? MDB_SET_RANGE : MDB_NEXT);
        if (failure == 0)
            status = copy_out(session, &key, &value);
    }
    if (status != 0)
        return error_set(error, status, "lmdb %s: a pair: %s", session->path, error_text(status));
    return failure == 0 || failure == MDB_NOTFOUND ? 0 : fail(session->path, failure, error);
}

static int scan(struct session *session, struct bytes from, size_t limit, struct error *error)
{
    MDB_cursor *cursor;
    int status = begin_read(session, error);
    if (status != 0)
        return status;
    int failure = mdb_cursor_open(session->reader, session->table, &cursor);
    if (failure == 0) {
        status = read_pairs(session, cursor, from, limit, error);
        mdb_cursor_close(cursor);
    } else {
        status = fail(session->path, failure, error);
    }
    mdb_txn_reset(session->reader);
    return status;
}

const struct target target_lmdb = {
    .name = "lmdb",
    .open = open_session,
    .close = close_session,
    .put = put,
    .get = get,
    .remove = remove_key,
    .scan = scan,
};
