/* PUT, SWAP, DELETE: proposed once, answered when applied (S3); and RETIRE (S4). */
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/rules.h"
#include "server/hosts.h"
#include "server/requests.h"

/* A mutation as it came, whatever its procedure. */
struct mutation {
    uint32_t procedure;
    enum command_kind kind;
    uint64_t cluster, client, number;
    bool conditional;
    uint64_t if_version, ttl_ms;
    const cairn_key *key;
    const cairn_value *value; /* NULL for DELETE */
    bool over_damage;         /* W8: what the key had is lost on all copies */
};

struct mutation_waiter {
    struct waiter base;
    struct node *node;
    struct rpc_call *call;
    uint32_t procedure;
    uint32_t bucket; /* of the key */
};

/* --- answers -------------------------------------------------------------------------------------
 */

static void answer_done(struct node *node, struct rpc_call *call, uint32_t procedure,
                        const struct outcome *outcome, const struct telling *telling)
{
    if (procedure == SERVER_PUT) {
        put_result result = {.status = SERVER_OK};

        result.put_result_u.done.existed = outcome->existed;
        result.put_result_u.done.key_version = outcome->version;
        requests_reply(node, call, telling, &result);
    } else if (procedure == SERVER_SWAP) {
        swap_result result = {.status = SERVER_OK};

        result.swap_result_u.done.existed = outcome->existed;
        result.swap_result_u.done.key_version = outcome->version;
        result.swap_result_u.done.old_value =
            (cairn_value){.data = outcome->old_value, .length = outcome->old_value_length};
        requests_reply(node, call, telling, &result);
    } else {
        delete_result result = {.status = SERVER_OK};

        result.delete_result_u.existed = outcome->existed;
        requests_reply(node, call, telling, &result);
    }
}

static void answer_outcome(struct node *node, struct rpc_call *call, uint32_t procedure,
                           const struct outcome *outcome, const struct telling *telling)
{
    struct refusal refusal = {.current_version = outcome->version, .telling = *telling};

    switch (outcome->code) {
    case OUTCOME_DONE:
        answer_done(node, call, procedure, outcome, telling);
        return;
    case OUTCOME_VERSION_MISMATCH:
        refusal.status = SERVER_VERSION_MISMATCH;
        break;
    case OUTCOME_CORRUPT:
        refusal.status = SERVER_CORRUPT;
        refusal.message = "the stored value fails its checksum; nothing was changed";
        break;
    case OUTCOME_STALE_NUMBER:
        refusal.status = SERVER_STALE_NUMBER;
        refusal.message = "the session has gone on to a later request";
        break;
    }
    requests_refuse(node, call, procedure, &refusal);
}

static void answer_applied(struct waiter *base, const struct entry *entry,
                           const struct outcome *outcome)
{
    struct mutation_waiter *waiter = (struct mutation_waiter *)base;
    static const struct refusal unknown = {.status = SERVER_UNKNOWN,
                                           .message = "this server no longer leads the partition"};
    struct telling telling = {.tells = !RULE_BROKEN(C3_MUTATION), .bucket = waiter->bucket};

    (void)entry;
    if (outcome != NULL)
        answer_outcome(waiter->node, waiter->call, waiter->procedure, outcome, &telling);
    else
        requests_refuse(waiter->node, waiter->call, waiter->procedure, &unknown);
    free(waiter);
}

/* --- proposing
 * ------------------------------------------------------------------------------------ */

/* W7: what the disk has no room for is refused before it is proposed. */
static bool has_room(const struct node *node, const struct partition *partition,
                     const struct mutation *mutation, struct refusal *refusal)
{
    bool refused = mutation->kind == COMMAND_DELETE ? node->disk.refuse_deletes
                                                    : node_refuses_writes_to(node, partition);

    if (refused)
        *refusal =
            (struct refusal){.status = SERVER_NO_SPACE,
                             .message = "a copy's disk is full; reads and deletes still work"};
    /* The memtable waits for a checkpoint: slow the writers instead of growing without bound. */
    else if (store_live_bytes(node->store) > 2 * node->memtable_limit_bytes)
        *refusal = (struct refusal){.status = SERVER_OVERLOADED,
                                    .message = "writes wait for a checkpoint"};
    else
        return true;
    return false;
}

static struct entry *entry_of(const struct mutation *mutation)
{
    struct entry *entry = entry_create();

    if (entry == NULL)
        return NULL;
    entry->kind = mutation->kind;
    entry->client = mutation->client;
    entry->number = mutation->number;
    entry->conditional = mutation->conditional;
    entry->if_version = mutation->if_version;
    entry->ttl_ms = mutation->ttl_ms;
    entry->over_damage = mutation->over_damage;
    entry->item = item_create(mutation->key->data, mutation->key->length,
                              mutation->value != NULL ? mutation->value->data : NULL,
                              mutation->value != NULL ? mutation->value->length : 0);
    if (entry->item == NULL) {
        entry_free(entry);
        return NULL;
    }
    return entry;
}

static bool propose(struct node *node, struct partition *partition, const struct mutation *mutation,
                    struct mutation_waiter *waiter)
{
    struct entry *entry = entry_of(mutation);

    if (entry == NULL)
        return false;
    if (node_propose(node, partition, entry, clock_now_ms()) != CAIRN_OK) {
        entry_free(entry);
        return false;
    }
    if (waiter != NULL) {
        waiter->bucket = entry->bucket;
        partition_add_waiter(entry, &waiter->base);
    }
    return true;
}

static struct mutation_waiter *waiter_of(struct node *node, struct rpc_call *call,
                                         uint32_t procedure)
{
    struct mutation_waiter *waiter = malloc(sizeof *waiter);

    if (waiter == NULL)
        return NULL;
    *waiter = (struct mutation_waiter){
        .base.answer = answer_applied, .node = node, .call = call, .procedure = procedure};
    return waiter;
}

/* C3: that it was applied before does not mean that hosts have stopped reading what was there then:
 * the first reply may be waiting still. */
static bool answer_again(struct node *node, struct rpc_call *call,
                         const struct partition *partition, const struct mutation *mutation,
                         const struct outcome *outcome, struct refusal *refusal)
{
    struct telling telling = {.tells = !RULE_BROKEN(C3_REPLAY) && hosts_may_hold(node)};

    /* L1: a primary that was deposed long ago must not answer from its past. */
    if (!requests_serves(node, partition, clock_now_ms(), refusal))
        return false;
    if (telling.tells)
        telling.bucket = bucket_of(mutation->key->data, mutation->key->length);
    answer_outcome(node, call, mutation->procedure, outcome, &telling);
    return true;
}

/* For tests of those who shall notice: answers some writes as they would be by now, and says so. */
static bool answer_early(struct node *node, struct rpc_call *call,
                         const struct partition *partition, const struct mutation *mutation)
{
    static const struct telling nobody = {0};
    struct outcome outcome = {.code = OUTCOME_DONE};
    struct store_value value;

    if (mutation->kind != COMMAND_PUT || mutation->conditional || mutation->number % 16 != 0)
        return false;
    outcome.existed = store_get(node->store, partition->replica.partition, mutation->key->data,
                                mutation->key->length, &value) == CAIRN_OK;
    outcome.version = outcome.existed ? value.version + 1 : 1;
    answer_outcome(node, call, mutation->procedure, &outcome, &nobody);
    return true;
}

/* W8: an entry that meets a value which fails its checksum has that copy step aside, or all of
 * them. So it is looked at before: it may be whole again soon; else only what does not depend on it
 * is done, as the way out of it. */
static bool meets_sound(struct node *node, const struct partition *partition,
                        struct mutation *mutation, struct refusal *refusal)
{
    if (requests_sound(node, partition, mutation->key->data, mutation->key->length, refusal))
        return true;
    mutation->over_damage = refusal->status == SERVER_CORRUPT && !mutation->conditional &&
                            (mutation->kind == COMMAND_PUT || mutation->kind == COMMAND_DELETE);
    return mutation->over_damage;
}

/* S3: a request executes at most once. What was applied is answered again, what is in flight is
 * joined, what is new is proposed. */
static bool submit(struct node *node, struct rpc_call *call, struct partition *partition,
                   struct mutation *mutation, struct refusal *refusal)
{
    struct outcome outcome = {0};
    struct entry *in_flight = NULL;
    struct mutation_waiter *waiter;
    enum session_verdict verdict =
        store_session_check(node->store, partition->replica.partition, mutation->client,
                            mutation->number, &outcome, &in_flight);

    if (verdict == SESSION_DUPLICATE && !RULE_BROKEN(S3)) {
        return answer_again(node, call, partition, mutation, &outcome, refusal);
    }
    if (verdict == SESSION_STALE || verdict == SESSION_FULL) {
        *refusal = verdict == SESSION_STALE
                       ? (struct refusal){.status = SERVER_STALE_NUMBER,
                                          .message = "the session has gone on to a later request"}
                       : (struct refusal){.status = SERVER_SESSIONS_FULL,
                                          .message = "the partition's session table is full"};
        return false;
    }
    if (verdict == SESSION_NEW && !meets_sound(node, partition, mutation, refusal))
        return false;
    if (verdict == SESSION_NEW && !has_room(node, partition, mutation, refusal))
        return false;
    if (RULE_BROKEN(LOST_WRITE) && answer_early(node, call, partition, mutation))
        return true;
    if (RULE_BROKEN(EARLY_ANSWER) && answer_early(node, call, partition, mutation))
        return propose(node, partition, mutation, NULL);
    waiter = waiter_of(node, call, mutation->procedure);
    if (waiter != NULL && verdict == SESSION_IN_FLIGHT) {
        waiter->bucket = bucket_of(mutation->key->data, mutation->key->length);
        partition_add_waiter(in_flight, &waiter->base);
        return true;
    }
    if (waiter != NULL && propose(node, partition, mutation, waiter))
        return true;
    free(waiter);
    *refusal = (struct refusal){.status = SERVER_OVERLOADED, .message = "the log's queue is full"};
    return false;
}

static void mutate(struct node *node, struct rpc_call *call, struct mutation *mutation)
{
    struct partition *partition;
    struct refusal refusal = {.status = SERVER_INVALID,
                              .message =
                                  "a mutation needs a client and a number, neither of them 0"};

    if (mutation->client != 0 && mutation->number != 0 &&
        requests_route(node, mutation->cluster, mutation->key, &partition, &refusal) &&
        requests_accepts(node, partition, &refusal) &&
        submit(node, call, partition, mutation, &refusal))
        return;
    requests_refuse(node, call, mutation->procedure, &refusal);
}

void request_put(void *context, struct rpc_call *call, const void *args)
{
    struct node *node = context;
    const put_args *put = args;
    struct mutation mutation = {
        .procedure = SERVER_PUT,
        .kind = COMMAND_PUT,
        .cluster = put->cluster,
        .client = put->client,
        .number = put->number,
        .conditional = put->conditional,
        .if_version = put->if_version,
        .ttl_ms = put->ttl_ms,
        .key = &put->key,
        .value = &put->value,
    };

    node->counters.puts++;
    mutate(node, call, &mutation);
}

void request_swap(void *context, struct rpc_call *call, const void *args)
{
    struct node *node = context;
    const swap_args *swap = args;
    struct mutation mutation = {
        .procedure = SERVER_SWAP,
        .kind = COMMAND_SWAP,
        .cluster = swap->cluster,
        .client = swap->client,
        .number = swap->number,
        .key = &swap->key,
        .value = &swap->value,
    };

    node->counters.swaps++;
    mutate(node, call, &mutation);
}

void request_delete(void *context, struct rpc_call *call, const void *args)
{
    struct node *node = context;
    const delete_args *delete = args;
    struct mutation mutation = {
        .procedure = SERVER_DELETE,
        .kind = COMMAND_DELETE,
        .cluster = delete->cluster,
        .client = delete->client,
        .number = delete->number,
        .key = &delete->key,
    };

    node->counters.deletes++;
    mutate(node, call, &mutation);
}

/* --- retirement
 * -------------------------------------------------------------------------------------- */

static void propose_retirement(struct node *node, struct partition *partition, uint64_t client,
                               uint64_t now_ms)
{
    struct entry *entry = entry_create();

    if (entry == NULL)
        return; /* the session stays until it is evicted as idle (S4) */
    entry->kind = COMMAND_RETIRE;
    entry->client = client;
    if (node_propose(node, partition, entry, now_ms) != CAIRN_OK)
        entry_free(entry);
}

void request_retire(void *context, struct rpc_call *call, const void *args)
{
    struct node *node = context;
    const retire_args *retire = args;
    retire_result result = {.status = SERVER_OK};
    struct refusal refusal;
    uint64_t now_ms = clock_now_ms();

    if (!requests_cluster(node, retire->cluster, &refusal)) {
        result.status = refusal.status;
        rpc_reply(call, &result);
        return;
    }
    for (uint32_t i = 0; i < retire->partitions.partitions_len && retire->client != 0; i++) {
        uint32_t number = retire->partitions.partitions_val[i];

        if (number >= node->partition_count) {
            result.status = SERVER_INVALID;
            break;
        }
        if (requests_accepts(node, &node->partitions[number], &refusal))
            propose_retirement(node, &node->partitions[number], retire->client, now_ms);
    }
    rpc_reply(call, &result);
}
