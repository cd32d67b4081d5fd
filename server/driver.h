/* A server process's event loop: the node, its RPC service, its log's completions, its manager,
 * the other servers. */
#ifndef CAIRN_SERVER_DRIVER_H
#define CAIRN_SERVER_DRIVER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"
#include "base/error.h"
#include "proto/identity.h"
#include "wal/wal.h"

struct driver_options {
    const char *directory; /* the data directory, locked */
    struct identity identity;
    struct address listen;
    struct address_list managers;
    bool replace_store;
    enum wal_backend wal_backend;
    uint64_t segment_bytes, map_bytes, memtable_bytes, disk_reserve_bytes, log_keep_bytes;
    uint64_t beacon_ms, lease_ms, grace_ms; /* consistent (L3) */
    uint64_t scrub_bytes;                   /* of values a second; 0: only when asked to */
    uint64_t host_lease_ms;                 /* at most lease_ms; 0: hosts may cache nothing */
    uint64_t connections_limit;
};

/* Serves until SIGTERM or SIGINT, then stops cleanly: CAIRN_OK. An error that keeps the server from
 * serving (port taken, damaged directory, rejected by the manager) is returned with its message. */
int driver_run(const struct driver_options *options, struct error *error);

#endif
