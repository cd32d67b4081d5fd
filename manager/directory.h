/* The manager's data directory: lock, identity, journal, and whether the options agree with it.
 *
 *   DATA/LOCK      held by the process that owns the directory
 *   DATA/IDENTITY  role manager, the cluster's id (proto/identity.h)
 *   DATA/wal/      the journal (journal.h) */
#ifndef CAIRN_MANAGER_DIRECTORY_H
#define CAIRN_MANAGER_DIRECTORY_H

#include <stdint.h>

#include "base/error.h"
#include "manager/driver.h"
#include "manager/log.h"
#include "manager/membership.h"
#include "proto/identity.h"

struct manager_directory {
    int lock; /* descriptor, or -1 */
    struct identity identity;
    struct manager_log log;
    struct membership *membership;
};

/* Opens the directory or founds a new cluster in it; everything in `membership` is durable when it
 * returns. On error nothing stays open. CAIRN_EINVAL: the options are not valid or contradict what
 * is stored; CAIRN_EBUSY: another process has the directory; and what the parts say. */
int manager_directory_open(struct manager_directory *directory,
                           const struct manager_options *options, uint64_t now_ms,
                           struct error *error);
void manager_directory_close(struct manager_directory *directory);

#endif
