/* What the files of the node share. */
#ifndef CAIRN_SERVER_NODE_INTERNAL_H
#define CAIRN_SERVER_NODE_INTERNAL_H

#include "server/node.h"

/* node_hosts.c: reads what hosts were ever granted (C7) and opens node->lease. */
int node_open_hosts(struct node *node, const struct node_options *options, uint64_t now_ms,
                    struct error *error);
/* Notes who counts in the partition now, for node_peers_until_ms. */
void node_note_counted(struct node *node, struct partition *partition);
/* C6: the partition is handed over; its core is told once hosts read no more. */
void node_end_hosts(struct node *node, struct partition *partition, uint64_t now_ms);

/* node_recover.c: opens the log and makes what it holds each partition's. */
int node_recover(struct node *node, const struct node_options *options, uint64_t started_ms,
                 struct error *error);

/* W7: asks how much room there is. */
void node_look_at_disk(struct node *node);
/* Appends what the log had no room for before: the epoch seen (R2), a new primary's no-op (R6). */
void node_pay_debts(struct node *node, struct partition *partition, uint64_t now_ms);
void node_pay_all_debts(struct node *node, uint64_t now_ms);
/* Does what a step of a partition's core asked for, but what an accepted Append brings. */
void node_carry_out(struct node *node, struct partition *partition,
                    const struct replica_update *update, uint64_t now_ms);

/* node_apply.c: applies committed entries. */
void node_apply_through(struct node *node, struct partition *partition, uint64_t commit_index);
/* Drops entries that are not applied, the last first, down to `index` (R4). */
void node_drop_from(struct node *node, struct partition *partition, uint64_t index);
/* Answers all that wait for entries without an outcome: they are another primary's to commit. */
void node_stop_waiting(struct node *node, struct partition *partition);

/* Frees applied entries that were kept for followers, if none lags any more. */
void node_review_kept(struct node *node, struct partition *partition);

/* node_carry.c: writes entries again that have long been in the log and are not applied, so that
 * it can be cut (W6). At the start of a checkpoint. */
void node_carry_entries(struct node *node);
/* Goes on with what the log had no room for. */
void node_carry_on(struct node *node);

/* node_checkpoint.c: starts a checkpoint if the memtable is large or old. */
void node_consider_checkpoint(struct node *node, uint64_t now_ms);
/* Whether there is room for one (W7), and all damage is recorded: a checkpoint makes durable what a
 * damaged copy makes of its entries (R13). */
bool node_may_checkpoint(const struct node *node);
/* Cuts the log as far as it need not be kept (W6). */
void node_cut_log(struct node *node);
/* Cuts it below all that is not applied; the store is checkpointed. */
void node_cut_log_whole(struct node *node);
void node_free_cut_points(struct node *node);

/* node_outbox.c: memory for the outboxes; CAIRN_ENOMEM. */
int node_open_outboxes(struct node *node);
/* Notes on which servers the partition has followers now. */
void node_note_followers(struct node *node, struct partition *partition);
/* All followers of the partition may have something to be sent. */
void node_note_news(struct node *node, const struct partition *partition);
/* The first partition from `from` on whose bit is set; partition_count if there is none. */
uint32_t node_next_bit(const struct node *node, const uint64_t *bits, uint32_t from);

#endif
