/* GET: answered from applied state, which is committed state (R5, R12), while the leases hold (L1).
 * The value may be granted to a host's cache (C2); the answer waits for revocations (C3). */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/rules.h"
#include "proto/limits.h"
#include "server/hosts.h"
#include "server/requests.h"

/* What is asked. */
struct get {
    struct node *node;
    struct partition *partition;
    struct rpc_call *call;
    uint64_t cache_session; /* that would cache the value; 0: none */
    const uint8_t *key;
    uint32_t key_length;
    struct telling telling; /* the bucket is known where it matters */
};

/* A GET of a key that has expired waits until the log says so (S2). */
struct get_waiter {
    struct waiter base;
    struct get get;
    uint8_t key[];
};

static void answer_get(struct get *get);

static void answer_after_tick(struct waiter *base, const struct entry *entry,
                              const struct outcome *outcome)
{
    struct get_waiter *waiter = (struct get_waiter *)base;
    const struct get *get = &waiter->get;
    struct refusal refusal = requests_abandoned;

    (void)entry;
    if (outcome != NULL) {
        answer_get(&waiter->get);
    } else {
        (void)requests_serves(get->node, get->partition, clock_now_ms(), &refusal);
        requests_refuse(get->node, get->call, SERVER_GET, &refusal);
    }
    free(waiter);
}

static bool wait_for_log_time(const struct get *get, uint64_t log_time_ms, uint64_t now_ms)
{
    struct get_waiter *waiter = malloc(sizeof *waiter + get->key_length);
    struct entry *tick;

    if (waiter == NULL)
        return false;
    tick = node_propose_tick(get->node, get->partition, log_time_ms, now_ms);
    if (tick == NULL) {
        free(waiter);
        return false;
    }
    *waiter = (struct get_waiter){.base.answer = answer_after_tick, .get = *get};
    memcpy(waiter->key, get->key, get->key_length);
    waiter->get.key = waiter->key;
    partition_add_waiter(tick, &waiter->base);
    return true;
}

/* C2: asked for when the value was read and found to be served, with that clock. A value that
 * expires is granted, too: the host knows when, and stops reading it by then (S2). */
static uint64_t grant(const struct get *get, uint64_t now_ms)
{
    if (get->cache_session == 0 ||
        !lease_grant(get->node->lease, get->cache_session, get->telling.bucket, now_ms,
                     replica_peers_until_ms(&get->partition->replica)))
        return 0;
    return get->cache_session;
}

static void answer_value(const struct get *get, const struct store_value *value,
                         uint64_t expires_in_ms, uint64_t now_ms)
{
    get_result result = {.status = SERVER_OK};
    get_found *found = &result.get_result_u.found;

    found->key_version = value->version;
    found->modified = value->modified;
    found->expires_in_ms = expires_in_ms;
    found->granted = grant(get, now_ms);
    found->value = (cairn_value){.data = value->data, .length = value->length};
    requests_reply(get->node, get->call, &get->telling, &result);
}

static void refuse_get(const struct get *get, server_status status, const char *message)
{
    struct refusal refusal = {.status = status, .message = message};

    if (status == SERVER_NOT_FOUND || status == SERVER_CORRUPT)
        refusal.telling = get->telling;
    requests_refuse(get->node, get->call, SERVER_GET, &refusal);
}

static void refuse_unsound(const struct get *get)
{
    struct refusal refusal =
        requests_unsound(get->node, get->partition->replica.partition, get->key, get->key_length);

    if (refusal.status == SERVER_CORRUPT)
        refusal.telling = get->telling;
    requests_refuse(get->node, get->call, SERVER_GET, &refusal);
}

static void answer_expiring(const struct get *get, const struct store_value *value, uint64_t now_ms)
{
    const struct replica *replica = &get->partition->replica;
    uint64_t log_now_ms = replica_log_time_ms(replica, now_ms);
    uint64_t committed_ms = store_applied(get->node->store, replica->partition)->log_time_ms;

    if (value->expires_ms <= committed_ms)
        refuse_get(get, SERVER_NOT_FOUND, "");
    else if (value->expires_ms > log_now_ms)
        answer_value(get, value, value->expires_ms - log_now_ms, now_ms);
    /* S2: absent by the clock, not yet by the log. */
    else if (!wait_for_log_time(get, value->expires_ms, now_ms))
        refuse_get(get, SERVER_OVERLOADED, "the log's queue is full");
}

/* Only who may be held or granted needs the key's bucket. */
static void find_bucket(struct get *get)
{
    bool may_hold = hosts_may_hold(get->node);

    get->telling = (struct telling){.tells = may_hold && !RULE_BROKEN(C3_GET)};
    if (may_hold || get->cache_session != 0)
        get->telling.bucket = bucket_of(get->key, get->key_length);
}

static void answer_get(struct get *get)
{
    struct store_value value;
    struct refusal refusal;
    int status = store_get(get->node->store, get->partition->replica.partition, get->key,
                           get->key_length, &value);
    uint64_t now_ms = clock_now_ms(); /* L1: the clock is read after the value */

    find_bucket(get);
    if (!requests_serves(get->node, get->partition, now_ms, &refusal))
        requests_refuse(get->node, get->call, SERVER_GET, &refusal);
    else if (status == CAIRN_ENOTFOUND)
        refuse_get(get, SERVER_NOT_FOUND, "");
    else if (status != CAIRN_OK)
        refuse_unsound(get); /* W8 */
    else if (value.expires_ms != 0)
        answer_expiring(get, &value, now_ms);
    else
        answer_value(get, &value, 0, now_ms);
}

void request_get(void *context, struct rpc_call *call, const void *args)
{
    struct node *node = context;
    const get_args *asked = args;
    struct get get = {.node = node,
                      .call = call,
                      .cache_session = asked->cache_session,
                      .key = asked->key.data,
                      .key_length = asked->key.length};
    struct refusal refusal;

    node->counters.gets++;
    if (requests_route(node, asked->cluster, &asked->key, &get.partition, &refusal) &&
        requests_serves(node, get.partition, clock_now_ms(), &refusal))
        answer_get(&get);
    else
        requests_refuse(node, call, SERVER_GET, &refusal);
}
