/* What the files of the node share. */
#ifndef CAIRN_SERVER_NODE_INTERNAL_H
#define CAIRN_SERVER_NODE_INTERNAL_H

#include "server/node.h"

/* The LSN of the oldest entry in the log that is not applied, or the next one to be given out. */
uint64_t node_first_unapplied_lsn(const struct node *node);
/* W7: asks how much room there is. */
void node_look_at_disk(struct node *node);
/* Starts a checkpoint if the memtable is large or old. */
void node_consider_checkpoint(struct node *node, uint64_t now_ms);
/* Appends what the log had no room for before: the epoch seen (R2), a new primary's no-op (R6). */
void node_pay_debts(struct node *node, struct partition *partition, uint64_t now_ms);
/* Does what a step of a partition's core asked for. */
void node_carry_out(struct node *node, struct partition *partition,
                    const struct replica_update *update, uint64_t now_ms);

#endif
