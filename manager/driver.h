/* The manager as a process: its data directory, the log and the RPC server around the membership.
 *
 * All of it belongs to the thread that runs the loop. */
#ifndef CAIRN_MANAGER_DRIVER_H
#define CAIRN_MANAGER_DRIVER_H

#include <stdint.h>
#include <uv.h>

#include "base/address.h"
#include "base/error.h"

struct manager;

struct manager_options {
    struct address listen;              /* port 0: the kernel picks one */
    const struct address_list *servers; /* NULL: not given */
    uint32_t replicas;                  /* 0: not given */
    uint32_t partitions;                /* 0: not given */
    uint64_t replace_after_ms; /* of silence, until a server's copies are made elsewhere; 0: the
                                  default; not stored */
    const char *data;
};

/* A cluster of one server can keep only one copy. */
enum { MANAGER_PARTITIONS_DEFAULT = 64, MANAGER_REPLICAS_DEFAULT = 2 };

/* Locks and opens the data directory, or makes a new cluster in it, and listens. What is stored and
 * what the options say must agree. On error nothing stays open. */
int manager_start(uv_loop_t *loop, const struct manager_options *options, struct manager **manager,
                  struct error *error);
uint16_t manager_port(const struct manager *manager);
uint64_t manager_cluster(const struct manager *manager);
/* Makes durable and answers what is under way, closes, frees, then calls `closed` (may be NULL)
 * from the loop. */
void manager_stop(struct manager *manager, void (*closed)(void *context), void *context);

#endif
