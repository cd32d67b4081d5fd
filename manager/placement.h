/* Which servers hold which partition: consistent hashing with virtual nodes and bounded load.
 *
 * Each server stands at PLACEMENT_POINTS places of a ring, each partition at one; a partition's
 * copies go to the first distinct servers found clockwise that still have room (Karger et al.,
 * STOC 1997; the bound on load: Mirrokni, Thorup and Zadimoghaddam, SODA 2018). So a server that
 * comes or goes moves about its own share of the copies and little else.
 *
 * Pure: the same input gives the same output on every machine, for ever. */
#ifndef CAIRN_MANAGER_PLACEMENT_H
#define CAIRN_MANAGER_PLACEMENT_H

#include <stddef.h>
#include <stdint.h>

enum {
    PLACEMENT_POINTS = 256,     /* virtual nodes of one server */
    PLACEMENT_SLACK_PERCENT = 5 /* how far above the average a server may be loaded */
};

struct placement {
    uint32_t partitions, replicas;
    size_t server_count;
    const uint32_t *servers; /* distinct ids; their order does not matter */
};

/* The most that one server gets of `items` spread over `servers`: the average and the slack,
 * rounded up. */
uint32_t placement_limit(uint64_t items, size_t servers);

/* Fills members[partition * replicas + rank] with server ids, the primary (rank 0) first. No server
 * is primary of more than placement_limit(partitions, server_count) partitions, nor holds more than
 * placement_limit(partitions * replicas, server_count) copies unless no other server can take one.
 * CAIRN_EINVAL if there are fewer servers than replicas, no servers or no partitions; CAIRN_ENOMEM.
 */
int placement_compute(const struct placement *placement, uint32_t *members);

#endif
