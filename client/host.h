/* This process's share in its host's cache of one cluster: the segment, mapped once for all
 * handles, and the agent thread that may run here (ARCHITECTURE.md, "The shared cache").
 *
 * A registry of the process, the library's only global state, hands the same `struct host` to all
 * handles that use the same segment. Thread-safe. After fork() the child has nothing of it: no
 * agent runs there, no lock is held, and handles of the parent find no cache. */
#ifndef CAIRN_CLIENT_HOST_H
#define CAIRN_CLIENT_HOST_H

#include <stdbool.h>
#include <stdint.h>

#include "client/cache.h"

struct host; /* opaque */

struct host_options {
    const char *managers; /* HOST:PORT[,...], as the handle was given it */
    const char *name; /* told from other segments of the cluster by this; NULL or "": the usual */
    uint64_t bytes;   /* of a segment that is created; 0: as segment_open chooses */
};

/* The segment of the cluster that these managers were last known for, if this host has one. NULL:
 * not known. */
struct host *host_find(const struct host_options *options);
/* The cluster's segment, created if there is none. NULL if it cannot be used; why is logged once in
 * this process. */
struct host *host_get(const struct host_options *options, uint64_t cluster);
void host_release(struct host *host);
/* For the hot path. Valid until host_release. */
const struct cache *host_cache(const struct host *host);
/* How often this process is the child of a fork. Who finds it changed since a host was got has the
 * parent's, which must not be used nor released here. No system call, unlike getpid(). */
unsigned host_forks(void);
/* What cache_note_managers knows a list of managers by: HOST:PORT[,...], however it is spaced. */
uint64_t host_managers_hash(const char *managers);
/* Publishes a packed map for all processes, unless a newer one is there. */
bool host_write_map(struct host *host, uint64_t version, const uint8_t *bytes, size_t length);
/* Whether the segment is still the host's: neither unlinked, replaced nor broken. Looks at most
 * every 100 ms; false once: the handle releases it and gets another. */
bool host_is_current(struct host *host, uint64_t now_ms);
/* This process reads enough to be worth an agent: from now on a thread of it stands by, and becomes
 * the host's agent when there is none. */
void host_want_agent(struct host *host);
/* Runs the agent in the calling thread until `*stop` is set, looked at every 50 ms. Blocks while
 * another process is the agent. Releases the host, also on failure (CAIRN_ENOMEM). */
int host_run_agent(struct host *host, const volatile int *stop);

#endif
