/* Small disks for servers: a tmpfs each, mounted on its data directory in a mount namespace of the
 * calling thread, which ends with its last process. And what fills them. Needs root. Private to the
 * cluster. */
#ifndef CAIRN_FUZZ_CLUSTER_DISK_H
#define CAIRN_FUZZ_CLUSTER_DISK_H

#include <stdint.h>

#include "fuzz/cluster.h"

/* Mounts all servers' disks. CAIRN_EUNAVAILABLE with the reason. */
int disks_open(struct cluster *cluster, struct error *error);
/* With `keep` copies what is on them into the folder. No server runs. */
void disks_close(struct cluster *cluster, bool keep);

/* Takes all of a server's room but `left_bytes`, or gives it back. Where the cluster has no small
 * disks the server is told that the disk is full. */
int disk_fill(struct cluster *cluster, unsigned server, uint64_t left_bytes, struct error *error);
int disk_clear(struct cluster *cluster, unsigned server, struct error *error);

#endif
