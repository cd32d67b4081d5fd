/* The sender of a snapshot (see snapshot.h).
 *
 * The first and the last piece carry no rows: they wait for the follower to mark itself and to
 * complete, are sent again and again meanwhile, and shall cost nothing. */
#include "server/snapshot.h"

#include <stdlib.h>

#include "base/buffer.h"
#include "base/check.h"
#include "base/random.h"
#include "server/exchange.h"
#include "server/node_internal.h"

enum { PIECE_BYTES = 256 << 10 };

struct snapshot_sender {
    uint32_t partition;
    struct replica_member follower;
    uint64_t history;
    uint64_t install;
    struct store_export *export;
    struct store_position position; /* of the export */
    /* The piece at hand. */
    bool begun; /* some piece was read */
    uint64_t chunk;
    bool exported; /* it has the last rows */
    bool last;
    bool damaged; /* a row could not be read: this process's own copy is damaged */
    struct buffer content;
};

/* --- opening ------------------------------------------------------------------------------------
 */

/* The follower there that waits for a snapshot, or NULL; only while this process leads. */
static const struct replica_follower *find_waiting(const struct replica *replica, uint32_t server,
                                                   uint64_t store)
{
    if (replica->barrier_index == 0)
        return NULL;
    for (uint32_t i = 0; i < replica->follower_count; i++) {
        const struct replica_follower *follower = &replica->followers[i];
        if (follower->id.server == server && (store == 0 || follower->id.store == store) &&
            follower->mode == REPLICA_INSTALL && !follower->proposed)
            return follower;
    }
    return NULL;
}

static struct snapshot_sender *sender_create(const struct replica *replica,
                                             const struct replica_member *follower)
{
    struct snapshot_sender *sender = calloc(1, sizeof(*sender));
    if (sender == NULL)
        return NULL;
    sender->partition = replica->partition;
    sender->follower = *follower;
    sender->history = replica->configuration.history;
    sender->install = random_id();
    buffer_init(&sender->content, CAIRN_RECORDS_LIMIT);
    return sender;
}

int snapshot_open(struct node *node, uint32_t partition, uint32_t server,
                  struct snapshot_sender **result)
{
    *result = NULL;
    CHECK(partition < node->partition_count);
    const struct replica *replica = &node->partitions[partition].replica;
    const struct replica_follower *follower = find_waiting(replica, server, 0);
    if (follower == NULL)
        return CAIRN_ENOTFOUND;
    struct snapshot_sender *sender = sender_create(replica, &follower->id);
    if (sender == NULL)
        return CAIRN_ENOMEM;
    int code = store_export_open(node->store, partition, &sender->position, &sender->export);
    if (code != CAIRN_OK) {
        buffer_free(&sender->content);
        free(sender);
        return code;
    }
    /* The log is cut only below what is checkpointed, and only sound copies lead (W6, R13): it
     * reaches back to where the follower will be. */
    CHECK(!sender->position.installing && sender->position.index >= replica->base_index);
    node->snapshots_open++;
    *result = sender;
    return CAIRN_OK;
}

uint32_t snapshot_partition(const struct snapshot_sender *sender)
{
    return sender->partition;
}

void snapshot_close(struct node *node, struct snapshot_sender *sender)
{
    if (sender == NULL)
        return;
    CHECK(node->snapshots_open > 0);
    node->snapshots_open--;
    /* R13: others hold what is lost here; the core hears of it with the partition's next event. */
    struct partition *partition = &node->partitions[sender->partition];
    if (sender->damaged && partition->replica.configuration.member_count > 1)
        partition->damaged = true;
    store_export_close(sender->export);
    buffer_free(&sender->content);
    free(sender);
}

/* --- pieces -------------------------------------------------------------------------------------
 */

int snapshot_read(struct snapshot_sender *sender, struct error *error)
{
    CHECK(!sender->last);
    buffer_clear(&sender->content);
    if (!sender->begun) {
        sender->begun = true;
        return CAIRN_OK;
    }
    sender->chunk++;
    if (sender->exported) {
        sender->last = true;
        return CAIRN_OK;
    }
    int code =
        store_export_read(sender->export, PIECE_BYTES, &sender->content, &sender->exported, error);
    sender->damaged = code == CAIRN_ECORRUPT;
    return code;
}

bool snapshot_build(struct snapshot_sender *sender, struct node *node, snapshot_args *args)
{
    const struct replica *replica = &node->partitions[sender->partition].replica;
    if (find_waiting(replica, sender->follower.server, sender->follower.store) == NULL ||
        replica->configuration.history != sender->history || !replica_may_send(replica))
        return false;
    *args = (snapshot_args){
        .from = exchange_sender(node, sender->follower.server),
        .partition = sender->partition,
        .history = sender->history,
        .epoch = replica->configuration.epoch,
        .install = sender->install,
        .chunk = sender->chunk,
        .last = sender->last,
        .applied_history = sender->position.history,
        .applied_epoch = sender->position.epoch,
        .applied_index = sender->position.index,
        .log_time_ms = sender->position.log_time_ms,
        .content = {.data = sender->content.data, .length = (uint32_t)sender->content.length},
    };
    args->from.to_store = sender->follower.store;
    return true;
}

/* --- answers ------------------------------------------------------------------------------------
 */

static enum snapshot_next finished(const struct snapshot_sender *sender, struct node *node,
                                   const snapshot_result *result, uint64_t now_ms)
{
    struct partition *partition = &node->partitions[sender->partition];
    struct replica_event event = {
        .kind = REPLICA_EVENT_FOLLOWER_INSTALLED,
        .now_ms = now_ms,
        .member = {.server = sender->follower.server,
                   .store = sender->follower.store,
                   .incarnation = result->incarnation},
        .install = sender->install,
        .position = {.epoch = sender->position.epoch, .index = sender->position.index},
    };
    /* Before the last piece, too: a copy that turns out to hold all of it answers so. */
    node_step(node, partition, &event, NULL);
    node_note_news(node, partition); /* the entries behind it */
    return SNAPSHOT_FINISHED;
}

enum snapshot_next snapshot_answered(struct snapshot_sender *sender, struct node *node,
                                     const snapshot_result *result, uint64_t now_ms)
{
    if (result->stranger || result->refused || result->store != sender->follower.store)
        return SNAPSHOT_GIVE_UP;
    if (result->installed)
        return finished(sender, node, result, now_ms);
    if (result->next_chunk == sender->chunk || (sender->last && result->next_chunk > sender->chunk))
        return SNAPSHOT_SEND_AGAIN;
    return result->next_chunk == sender->chunk + 1 ? SNAPSHOT_READ_NEXT : SNAPSHOT_GIVE_UP;
}
