/* What servers say to each other about the partitions they share, without the network: messages are
 * built from the node's state here, and taken into it. peers.h sends and receives them.
 *
 * All calls are the loop thread's. A message's views point into the node, its log's gathering batch
 * or the builder, and are to be encoded before the turn ends. */
#ifndef CAIRN_SERVER_EXCHANGE_H
#define CAIRN_SERVER_EXCHANGE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "proto/replica_rpc.h"
#include "server/node.h"

enum {
    APPEND_RUNS_LIMIT = 1024,      /* of one Append */
    APPEND_BYTES_TARGET = 1 << 20, /* an Append is closed when it holds as much */
};

/* What an Append carries, to be kept until it is answered. */
struct append_sent {
    uint32_t partition;
    uint64_t epoch;
};

/* Builds one Append; reused for the next. */
struct append_builder {
    append_args args;
    struct append_run *runs;  /* [APPEND_RUNS_LIMIT] */
    struct append_sent *sent; /* one for each run */
    struct buffer records;
};
int append_builder_init(struct append_builder *builder);
void append_builder_free(struct append_builder *builder);
void append_builder_reset(struct append_builder *builder, const struct node *node, uint32_t server);
/* Adds a run; `records` in the form of replica.x. False if it is full. CAIRN_ENOMEM ends the run.
 */
bool append_builder_add(struct append_builder *builder, const struct replica *replica,
                        const struct replica_position *previous, uint32_t count,
                        const uint8_t *records, size_t length);

/* --- Appends, the primary's side: all partitions that `server` holds a copy of and this one leads
 */

/* Fills the builder with what the server is to be sent now and notes it as sent (replica_sent).
 * `idle`: commit indexes alone are worth a message, too. Returns the number of runs; 0: nothing.
 * Entries that are no longer in memory are not sent here: see exchange_is_behind. */
uint32_t exchange_build_append(struct node *node, uint32_t server, bool idle, uint64_t now_ms,
                               struct append_builder *builder);
/* An Append with these runs was answered. */
void exchange_append_answered(struct node *node, uint32_t server, const struct append_sent *sent,
                              uint32_t count, const append_result *result, uint64_t now_ms);
/* It may not have arrived, or its answer was lost. */
void exchange_append_lost(struct node *node, uint32_t server, const struct append_sent *sent,
                          uint32_t count, uint64_t now_ms);
/* Whether a follower on this server lacks entries that only the log on disk still has. */
bool exchange_is_behind(const struct node *node, uint32_t server);

/* --- Appends, the follower's side --------------------------------------------------------------
 */

/* An Append that was taken: its answer waits until the log is durable up to `lsn`. */
struct append_taken {
    uint64_t lsn;
    bool stranger;
    uint32_t count;
    struct append_outcome_of {
        uint32_t partition;
        enum replica_ack_outcome outcome;
    } * runs;
};
/* Takes entries into the log. CAIRN_EPROTO if the message is malformed (nothing was taken of the
 * malformed run and those behind it), CAIRN_ENOMEM; then the call gets a system error. */
int exchange_take_append(struct node *node, const append_args *args, uint64_t now_ms,
                         struct append_taken *taken);
/* The answer, once it is durable; `acks` has room for taken->count. */
void exchange_answer_append(const struct node *node, const struct append_taken *taken,
                            append_ack *acks, append_result *result);
void append_taken_free(struct append_taken *taken);

/* --- beacons (L1, L2) --------------------------------------------------------------------------
 */

/* Fills `args` for the server with the pairs that this process leads and it has a counted copy or a
 * learner of; `pairs` has room for CAIRN_PARTITIONS_LIMIT. 0 pairs: nothing to be sent. */
uint32_t exchange_build_beacon(struct node *node, uint32_t server, uint64_t now_ms,
                               beacon_pair *pairs, beacon_args *args);
/* `sent_pairs` are those of the beacon that is answered: only they are renewed. */
void exchange_beacon_answered(struct node *node, uint32_t server, const beacon_pair *sent_pairs,
                              uint32_t count, const beacon_result *result, uint64_t now_ms);
/* Takes a beacon; `refused` has room for all its pairs. */
void exchange_take_beacon(struct node *node, const beacon_args *args, uint64_t now_ms,
                          beacon_pair *refused, beacon_result *result);

/* --- both ------------------------------------------------------------------------------------ */

/* Whether a message is for this store and from a server of this cluster (R10). */
bool exchange_knows(const struct node *node, const replica_sender *from);
replica_sender exchange_sender(const struct node *node, uint32_t to_server);
/* Whether this process leads a partition of which the server has a copy. */
bool exchange_has_follower(const struct node *node, uint32_t server);

#endif
