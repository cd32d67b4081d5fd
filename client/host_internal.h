/* What the registry of hosts and the agent share: for host.c and agent*.c only. */
#ifndef CAIRN_CLIENT_HOST_INTERNAL_H
#define CAIRN_CLIENT_HOST_INTERNAL_H

#include <stdatomic.h>
#include <sys/queue.h>

#include "client/host.h"
#include "client/segment.h"

struct agent;

struct host {
    LIST_ENTRY(host) next; /* of the registry */
    struct segment *segment;
    uint64_t cluster;
    char name[SEGMENT_NAME_LIMIT + 1];
    uint64_t bytes;
    char *managers;             /* as the first handle was given them: the agent asks these */
    unsigned references;        /* under the registry's mutex */
    bool leaving;               /* the last reference is gone: found by nobody, under the mutex */
    struct agent *agent;        /* under the mutex; NULL until wanted */
    atomic_bool stale;          /* the segment is no longer the host's */
    _Atomic uint64_t looked_ms; /* when that was last looked at */
};

/* Warns, the first time in this process for this code, that there is no cache. */
void host_warn_once(int code, const char *why);

#endif
