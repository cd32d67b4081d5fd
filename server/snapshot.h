/* A partition's snapshot on its way to a learner (R8): sending it, and taking it.
 *
 * Sender: the state that LMDB holds, read piece by piece on another thread, each piece sent when
 * the one before was answered. As long as a sender is open the node keeps its log from the
 * snapshot's position on (W6: node->snapshots_open). Receiver: marks itself installing, durably,
 * clears, takes the rows, ends; a crash or another install id starts it again. */
#ifndef CAIRN_SERVER_SNAPSHOT_H
#define CAIRN_SERVER_SNAPSHOT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "proto/replica_rpc.h"
#include "server/node.h"

struct snapshot_sender;

/* For the follower on `server` of a partition led here, in INSTALL mode. CAIRN_ENOTFOUND if it is
 * not; CAIRN_ENOMEM, CAIRN_EIO. Loop thread. */
int snapshot_open(struct node *node, uint32_t partition, uint32_t server,
                  struct snapshot_sender **sender);
uint32_t snapshot_partition(const struct snapshot_sender *sender);
/* Reads the next piece. Blocks on the disk; on any thread, while the loop thread leaves it alone.
 */
int snapshot_read(struct snapshot_sender *sender, struct error *error);
/* The piece that was read, to be sent again until it is answered with the next one's number. False:
 * the follower is gone, or this process leads no more: close it. */
bool snapshot_build(struct snapshot_sender *sender, struct node *node, snapshot_args *args);
enum snapshot_next { SNAPSHOT_READ_NEXT, SNAPSHOT_SEND_AGAIN, SNAPSHOT_FINISHED, SNAPSHOT_GIVE_UP };
/* What to do after an answer. FINISHED: the core knows (REPLICA_EVENT_FOLLOWER_INSTALLED). */
enum snapshot_next snapshot_answered(struct snapshot_sender *sender, struct node *node,
                                     const snapshot_result *result, uint64_t now_ms);
/* NULL is fine. If a read found damage, this copy steps aside, unless it is the only one (R13). */
void snapshot_close(struct node *node, struct snapshot_sender *sender);

/* The receiver's side. Answers at once; a piece that cannot be taken yet is asked for again. */
void snapshot_take(struct node *node, const snapshot_args *args, uint64_t now_ms,
                   snapshot_result *result);
/* After the log became durable or the checkpoint thread reported: moves installs on. */
void snapshot_advance(struct node *node, uint64_t now_ms);
/* Forgets installs under way, as node_close does; NULL is fine. */
void snapshot_takes_free(struct snapshot_takes *takes);

#endif
