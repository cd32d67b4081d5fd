/* See node_wish.h. */
#include "server/node_wish.h"

#include <assert.h>

static_assert((int)WISH_LEARNER == (int)REPLICA_WISH_LEARNER &&
                  (int)WISH_REMOVE == (int)REPLICA_WISH_REMOVE &&
                  (int)WISH_SWITCH == (int)REPLICA_WISH_SWITCH,
              "the wire's wishes are the core's");

void node_hear_wish(struct node *node, const struct wish *wanted, uint64_t now_ms)
{
    struct replica_event event = {
        .kind = REPLICA_EVENT_WISH,
        .now_ms = now_ms,
        .member = {.server = wanted->server, .store = wanted->store},
        .wish = (enum replica_wish_kind)wanted->kind,
        .wish_epoch = wanted->epoch,
    };

    if (wanted->partition >= node->partition_count || wanted->store == 0 ||
        wanted->kind < WISH_LEARNER || wanted->kind > WISH_SWITCH)
        return;
    node_step(node, &node->partitions[wanted->partition], &event, NULL);
}
