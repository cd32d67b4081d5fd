/* Spreads copies and primaries evenly over the servers, moving little. Pure. */
#ifndef CAIRN_MANAGER_REBALANCE_H
#define CAIRN_MANAGER_REBALANCE_H

#include "manager/reconcile.h"
#include "proto/map.h"

/* Changes targets[0 .. map->partitions) so that, among the servers that take copies, no two differ
 * by more than one in their copies, nor in the partitions that they shall lead as far as the copies
 * allow. No copy moves that need not; servers that only keep copies keep theirs. `roster` counts
 * along. CAIRN_ENOMEM leaves the targets half done. */
int rebalance(const struct cluster_map *map, struct roster *roster, struct target *targets);

#endif
