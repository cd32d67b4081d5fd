/* libcairn: the client library of Cairn, a durable, partitioned, replicated key-value store.
 *
 *     cairn_t *db;
 *     if (cairn_open("127.0.0.1:3666", NULL, &db) == CAIRN_OK) {
 *         cairn_put(db, "k", 1, "v", 1, NULL, NULL);
 *         cairn_close(db);
 *     }
 *
 * A handle is one session: operations on it run one after another and are linearizable with those
 * of all other handles. Handles are not thread-safe: use one per thread. After fork() the child
 * must not use its parent's handles; cairn_close in the child frees memory and touches nothing
 * else.
 *
 * Values read often are kept in memory that all processes of this user share on this host, if the
 * options do not say otherwise: reading such a value is no system call, and as linearizable as any
 * other read. Processes that read more than a few values run a thread for it, from which the
 * program's signals are blocked and which the last cairn_close ends.
 *
 * Every operation returns CAIRN_OK or a negative code; cairn_errmsg says more. "Not applied" codes
 * are certain; CAIRN_EUNKNOWN means that a mutation may or may not take effect, now or later. */
#ifndef CAIRN_H
#define CAIRN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define CAIRN_PUBLIC __attribute__((visibility("default")))
#else
#define CAIRN_PUBLIC
#endif

#define CAIRN_OK        0
#define CAIRN_EINVAL    (-1) /* invalid argument or input; nothing was sent or changed */
#define CAIRN_ENOMEM    (-2) /* out of memory, or a configured memory limit was reached */
#define CAIRN_EIO       (-3) /* an input or output call failed */
#define CAIRN_ENOSPC    (-4) /* no room on the disk; not applied */
#define CAIRN_ETIMEDOUT (-5) /* ran out of time; not applied */
#define CAIRN_EUNKNOWN  (-6) /* ran out of time or lost the connection; outcome unknown */
#define CAIRN_EUNAVAILABLE                                                                         \
    (-7)                      /* the server cannot be reached or does not serve now; not applied */
#define CAIRN_ECORRUPT  (-8)  /* stored bytes fail their check */
#define CAIRN_EVERSION  (-9)  /* a format or protocol of a newer major version */
#define CAIRN_EBUSY     (-10) /* somebody else holds it */
#define CAIRN_EPROTO    (-11) /* the peer's message is not valid */
#define CAIRN_ENOTFOUND (-12) /* the key is absent */
#define CAIRN_EMISMATCH (-13) /* the key's version is another; not applied */
#define CAIRN_ETOOBIG   (-14) /* a length exceeds its limit */
#define CAIRN_ECANCELED (-15) /* given up by the caller */
#define CAIRN_ECONFLICT (-16) /* an identity contradicts what is known (cluster, server, store) */
#define CAIRN_EFULL     (-17) /* a bounded table or queue is full; not applied; try later */
#define CAIRN_EFENCED   (-18) /* another configuration or primary is in force; not applied */

#define CAIRN_KEY_MAX   480
#define CAIRN_VALUE_MAX (1 << 20)

typedef struct cairn cairn_t;
typedef struct cairn_cursor cairn_cursor_t;

/* Zero every field you do not set: zero is the default. */
struct cairn_options {
    uint64_t timeout_ms; /* for each operation; 0: retry for ever */
    int no_cache;        /* use no shared cache of this host */
    uint64_t cluster;    /* refuse any other cluster; 0: accept any */
    /* Bytes of the shared cache if this process is the one that creates it, at least 4 MiB; 0: 64
     * MiB, or half of the shared memory that is free if that is less. */
    uint64_t cache_bytes;
    /* Share a cache only with handles that give the same name: up to 32 of [A-Za-z0-9_.-]; NULL or
     * "": the usual one. Copied. */
    const char *cache_name;
    /* Never run the cache's agent in this process (cairn agent, or another process, does). */
    int no_agent;
};

/* Opens a handle. `managers` is HOST:PORT[,HOST:PORT...]; `options` may be NULL. Does not wait for
 * the manager: the first operation does. CAIRN_EINVAL (also for a bad address), CAIRN_ENOMEM.
 * On failure `*db` is still a handle that only cairn_errmsg and cairn_close accept, or NULL when
 * out of memory. */
CAIRN_PUBLIC int cairn_open(const char *managers, const struct cairn_options *options,
                            cairn_t **db);
/* Retires the handle's sessions, waiting at most one second, and frees it. NULL is fine. */
CAIRN_PUBLIC void cairn_close(cairn_t *db);

/* Sets the time limit of the operations that follow, in milliseconds; 0: for ever. */
CAIRN_PUBLIC void cairn_set_timeout(cairn_t *db, uint64_t timeout_ms);

/* Reads a value. On CAIRN_OK `*value` points to `*value_length` bytes, owned by the handle, valid
 * until its next operation; a NUL follows that the length does not count. `version` may be NULL.
 * CAIRN_ENOTFOUND, CAIRN_ETIMEDOUT, CAIRN_EUNAVAILABLE, CAIRN_ECORRUPT, CAIRN_EINVAL. */
CAIRN_PUBLIC int cairn_get(cairn_t *db, const void *key, size_t key_length, const void **value,
                           size_t *value_length, uint64_t *version);

/* Writes a value. `existed` and `version` (of the key now) may be NULL. Keys: 1 to CAIRN_KEY_MAX
 * bytes, values: 0 to CAIRN_VALUE_MAX, any bytes. CAIRN_EUNKNOWN: see the top. */
CAIRN_PUBLIC int cairn_put(cairn_t *db, const void *key, size_t key_length, const void *value,
                           size_t value_length, int *existed, uint64_t *version);

/* As cairn_put; the key disappears `ttl_ms` milliseconds later (0: never), counted by the store. */
CAIRN_PUBLIC int cairn_put_ttl(cairn_t *db, const void *key, size_t key_length, const void *value,
                               size_t value_length, uint64_t ttl_ms, int *existed,
                               uint64_t *version);

/* Writes only if the key's version is `if_version` (0: only if absent). CAIRN_EMISMATCH otherwise;
 * then `*version` is the current one. `ttl_ms` as above. */
CAIRN_PUBLIC int cairn_put_if_version(cairn_t *db, const void *key, size_t key_length,
                                      const void *value, size_t value_length, uint64_t if_version,
                                      uint64_t ttl_ms, int *existed, uint64_t *version);

/* Writes and returns the old value, owned by the handle until its next operation; `*old_value` is
 * NULL and `*old_length` 0 if there was none. */
CAIRN_PUBLIC int cairn_swap(cairn_t *db, const void *key, size_t key_length, const void *value,
                            size_t value_length, const void **old_value, size_t *old_length);

/* Removes a key; `existed` may be NULL. Deleting an absent key is CAIRN_OK. */
CAIRN_PUBLIC int cairn_delete(cairn_t *db, const void *key, size_t key_length, int *existed);

/* Opens a cursor over the pairs with from <= key <= to in bytewise order; a length of 0 leaves that
 * end open. Pages are fetched as they are needed, from all servers in parallel. Each pair is
 * current at some time between the open and the moment it is returned; the scan as a whole is not a
 * snapshot. The handle may be used for other operations meanwhile. */
CAIRN_PUBLIC int cairn_scan(cairn_t *db, const void *from, size_t from_length, const void *to,
                            size_t to_length, cairn_cursor_t **cursor);
/* The next pair: CAIRN_OK, CAIRN_ENOTFOUND at the end, or an error. The pointers are owned by the
 * cursor until its next call. The time limit counts for each call; after CAIRN_ETIMEDOUT the scan
 * may be continued. */
CAIRN_PUBLIC int cairn_scan_next(cairn_cursor_t *cursor, const void **key, size_t *key_length,
                                 const void **value, size_t *value_length);
/* Before cairn_close of its handle. NULL is fine. */
CAIRN_PUBLIC void cairn_scan_close(cairn_cursor_t *cursor);

/* The cluster as JSON (FORMATS.md, "status"), owned by the handle until its next operation. */
CAIRN_PUBLIC int cairn_status(cairn_t *db, const char **json);

/* A short text for a code, never NULL; static storage; thread-safe. */
CAIRN_PUBLIC const char *cairn_strerror(int code);
/* What the handle's last failed operation said, never NULL; valid until its next operation. */
CAIRN_PUBLIC const char *cairn_errmsg(const cairn_t *db);
/* "0.1.0"; static storage. */
CAIRN_PUBLIC const char *cairn_version(void);

#ifdef __cplusplus
}
#endif

#endif
