/* What the manager asks of the primary of a partition (ARCHITECTURE.md R11). */
#ifndef CAIRN_SERVER_NODE_WISH_H
#define CAIRN_SERVER_NODE_WISH_H

#include "proto/manager_rpc.h"
#include "server/node.h"

/* Hands a wish to the partition's core, which proposes it when it can; one about a partition that
 * there is not, or of a kind that is not known, is left aside. */
void node_hear_wish(struct node *node, const struct wish *wanted, uint64_t now_ms);

#endif
