/* How the cache's memory comes to be shared: POSIX shared memory, one segment for each (user,
 * cluster, boot of the machine, time namespace) and name (ARCHITECTURE.md, "The shared cache").
 *
 * A segment is laid out under a temporary name and then linked to its own, so that of several
 * creators one wins and nobody sees half a segment. It has mode 0600; one that is truncated,
 * broken, or of another version is replaced by a new one, under a lock, never repaired. A file of
 * another user under its name is left alone: then there is no cache. Processes that have the old
 * one mapped go on with it until they look (segment_is_current).
 *
 * Locks are the kernel's, on the open descriptor (fcntl(2), open file description locks): nothing
 * in the segment can break them, and they end with the process. They exclude processes; threads of
 * one process are excluded by a mutex of this struct. */
#ifndef CAIRN_CLIENT_SEGMENT_H
#define CAIRN_CLIENT_SEGMENT_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "client/cache.h"

enum { SEGMENT_NAME_LIMIT = 32, SEGMENT_PATH_MAX = 128 };

struct segment {
    struct cache cache;
    int descriptor;
    void *memory;
    size_t bytes;
    char path[SEGMENT_PATH_MAX]; /* as shm_open takes it: "/cairn-..." */
    pthread_mutex_t filling;     /* one writer of entries, or of the map, in this process */
    _Atomic bool agent;          /* this process has the agent's lock */
};

/* Opens the cluster's segment, or creates one of `bytes`; 0: CACHE_BYTES_DEFAULT, or half of the
 * shared memory that is free if that is less. `name`: tells apart segments that shall
 * not be shared, 0 to SEGMENT_NAME_LIMIT of [A-Za-z0-9_.-]; NULL is "". `*replaced` tells whether
 * there was one that could not be used. CAIRN_EINVAL (name, bytes), CAIRN_ENOSPC (no room in shared
 * memory), CAIRN_EIO. On failure nothing stays. */
int segment_open(const char *name, uint64_t cluster, uint64_t bytes, struct segment **segment,
                 bool *replaced, struct error *error);
/* Opens the segment of this user and name whose cluster was last reached by the managers with this
 * hash (cache_note_managers). CAIRN_ENOTFOUND. */
int segment_find(const char *name, uint64_t managers, struct segment **segment);
/* Unmaps. Nobody uses it any more (CHECK: no lock is held). */
void segment_close(struct segment *segment);
/* As segment_close in the child of a fork: gives back the descriptor, so that no lock outlives the
 * parent, and leaves memory and mutex alone. Async-signal-safe. */
void segment_abandon(struct segment *segment);

/* False: it was unlinked, replaced, truncated, or its header is broken. System calls. */
bool segment_is_current(const struct segment *segment);
/* Memory for the map area up to `length` bytes, or for all entries, is really there, so that
 * writing it cannot fault: CAIRN_ENOSPC. Idempotent. */
int segment_reserve_map(struct segment *segment, size_t length);
int segment_reserve_entries(struct segment *segment);

/* The agent's lock: false if another process has it. Kept until unlocked or the process ends. */
bool segment_try_lock_agent(struct segment *segment);
void segment_unlock_agent(struct segment *segment);
/* Whether some process holds it now. */
bool segment_has_agent(const struct segment *segment);

/* Calls `each` for every segment of this user, boot and time namespace; also those that cannot be
 * used (then `cluster` is what the name says). Stops when it returns false. */
struct segment_listing {
    char path[SEGMENT_PATH_MAX];
    uint64_t cluster;
    char name[SEGMENT_NAME_LIMIT + 1];
    uint64_t bytes;
};
void segment_list(bool (*each)(void *context, const struct segment_listing *listing),
                  void *context);
/* Removes the name. Processes that have it mapped notice and get a new one. CAIRN_ENOTFOUND,
 * CAIRN_EIO. */
int segment_unlink(const char *path);
/* Removes this user's segments and temporary files of earlier boots or of creators that died.
 * Returns how many. */
unsigned segment_unlink_stale(void);

#endif
