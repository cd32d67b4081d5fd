/* GET: answered from applied state, which is committed state (R5, R12), while the leases hold (L1).
 */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "proto/limits.h"
#include "server/requests.h"

/* A GET of a key that has expired waits until the log says so (S2). */
struct get_waiter {
    struct waiter base;
    struct node *node;
    struct partition *partition;
    struct rpc_call *call;
    uint32_t key_length;
    uint8_t key[];
};

static void answer_get(struct node *node, struct partition *partition, struct rpc_call *call,
                       const uint8_t *key, uint32_t key_length);

static void answer_after_tick(struct waiter *base, const struct entry *entry,
                              const struct outcome *outcome)
{
    struct get_waiter *waiter = (struct get_waiter *)base;

    (void)entry;
    (void)outcome; /* without an outcome the partition is no longer served, as the check finds */
    answer_get(waiter->node, waiter->partition, waiter->call, waiter->key, waiter->key_length);
    free(waiter);
}

static bool wait_for_log_time(struct node *node, struct partition *partition, struct rpc_call *call,
                              const uint8_t *key, uint32_t key_length, uint64_t log_time_ms,
                              uint64_t now_ms)
{
    struct get_waiter *waiter = malloc(sizeof *waiter + key_length);
    struct entry *tick;

    if (waiter == NULL)
        return false;
    tick = node_propose_tick(node, partition, log_time_ms, now_ms);
    if (tick == NULL) {
        free(waiter);
        return false;
    }
    *waiter = (struct get_waiter){.base.answer = answer_after_tick,
                                  .node = node,
                                  .partition = partition,
                                  .call = call,
                                  .key_length = key_length};
    memcpy(waiter->key, key, key_length);
    partition_add_waiter(tick, &waiter->base);
    return true;
}

static void answer_value(struct rpc_call *call, const struct store_value *value,
                         uint64_t expires_in_ms)
{
    get_result result = {.status = SERVER_OK};
    get_found *found = &result.get_result_u.found;

    found->key_version = value->version;
    found->modified = value->modified;
    found->expires_in_ms = expires_in_ms;
    found->value = (cairn_value){.data = value->data, .length = value->length};
    rpc_reply(call, &result);
}

static void refuse_get(struct node *node, struct rpc_call *call, server_status status,
                       const char *message)
{
    struct refusal refusal = {.status = status, .message = message};

    requests_refuse(node, call, SERVER_GET, &refusal);
}

static void answer_expiring(struct node *node, struct partition *partition, struct rpc_call *call,
                            const uint8_t *key, uint32_t key_length,
                            const struct store_value *value)
{
    uint64_t now_ms = clock_now_ms();
    uint64_t log_now_ms = replica_log_time_ms(&partition->replica, now_ms);
    uint64_t committed_ms = store_applied(node->store, partition->replica.partition)->log_time_ms;

    if (value->expires_ms <= committed_ms)
        refuse_get(node, call, SERVER_NOT_FOUND, "");
    else if (value->expires_ms > log_now_ms)
        answer_value(call, value, value->expires_ms - log_now_ms);
    /* S2: absent by the clock, not yet by the log. */
    else if (!wait_for_log_time(node, partition, call, key, key_length, value->expires_ms, now_ms))
        refuse_get(node, call, SERVER_OVERLOADED, "the log's queue is full");
}

static void answer_get(struct node *node, struct partition *partition, struct rpc_call *call,
                       const uint8_t *key, uint32_t key_length)
{
    struct store_value value;
    struct refusal refusal;
    int status = store_get(node->store, partition->replica.partition, key, key_length, &value);

    /* L1: the clock is read after the value. */
    if (!requests_serves(partition, clock_now_ms(), &refusal))
        requests_refuse(node, call, SERVER_GET, &refusal);
    else if (status == CAIRN_ENOTFOUND)
        refuse_get(node, call, SERVER_NOT_FOUND, "");
    else if (status != CAIRN_OK)
        refuse_get(node, call, SERVER_CORRUPT, "the stored value fails its checksum"); /* W8 */
    else if (value.expires_ms != 0)
        answer_expiring(node, partition, call, key, key_length, &value);
    else
        answer_value(call, &value, 0);
}

void request_get(void *context, struct rpc_call *call, const void *args)
{
    struct node *node = context;
    const get_args *get = args;
    struct partition *partition;
    struct refusal refusal;

    node->counters.gets++;
    if (requests_route(node, get->cluster, &get->key, &partition, &refusal) &&
        requests_serves(partition, clock_now_ms(), &refusal))
        answer_get(node, partition, call, get->key.data, get->key.length);
    else
        requests_refuse(node, call, SERVER_GET, &refusal);
}
