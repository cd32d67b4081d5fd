/* SCAN: one page of pairs, merged over the named partitions, bounded by count and bytes. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/rules.h"
#include "proto/limits.h"
#include "server/hosts.h"
#include "server/requests.h"

/* A page while it is filled. The pairs point into memtables and LMDB: the page is encoded before
 * anything is applied. */
struct page {
    struct node *node;
    uint64_t now_ms;
    uint32_t limit_pairs, limit_bytes;
    uint64_t bytes;
    uint32_t count;
    bool more;
    struct partition
        *expired_in; /* S2: a pair there has expired, but the log does not say so yet */
    uint64_t expired_ms;
    scan_pair pairs[CAIRN_SCAN_PAIRS_LIMIT];
};

/* A SCAN that waits for log time, with its own copy of the arguments. */
struct scan_waiter {
    struct waiter base;
    struct node *node;
    struct rpc_call *call;
    scan_args args;
};

static void answer_scan(struct node *node, struct rpc_call *call, const scan_args *args);
static bool serves_all(const struct node *node, const scan_args *args, struct refusal *refusal);

/* --- waiting for log time (S2) -----------------------------------------------------------------
 */

static bool copy_key(cairn_key *to, const cairn_key *from)
{
    uint8_t *bytes = malloc(from->length + 1u);

    if (bytes == NULL)
        return false;
    if (from->length > 0)
        memcpy(bytes, from->data, from->length);
    *to = (cairn_key){.data = bytes, .length = from->length};
    return true;
}

static void scan_waiter_free(struct scan_waiter *waiter)
{
    free((void *)(uintptr_t)waiter->args.from.data);
    free((void *)(uintptr_t)waiter->args.to.data);
    free(waiter->args.partitions.partitions_val);
    free(waiter);
}

static struct scan_waiter *scan_waiter_create(struct node *node, struct rpc_call *call,
                                              const scan_args *args)
{
    struct scan_waiter *waiter = calloc(1, sizeof *waiter);
    size_t count = args->partitions.partitions_len;

    if (waiter == NULL)
        return NULL;
    waiter->node = node;
    waiter->call = call;
    waiter->args = *args;
    waiter->args.from.data = waiter->args.to.data = NULL;
    waiter->args.partitions.partitions_val = malloc(count * sizeof(u_int));
    if (waiter->args.partitions.partitions_val == NULL ||
        !copy_key(&waiter->args.from, &args->from) || !copy_key(&waiter->args.to, &args->to)) {
        scan_waiter_free(waiter);
        return NULL;
    }
    memcpy(waiter->args.partitions.partitions_val, args->partitions.partitions_val,
           count * sizeof(u_int));
    return waiter;
}

static void scan_after_tick(struct waiter *base, const struct entry *entry,
                            const struct outcome *outcome)
{
    struct scan_waiter *waiter = (struct scan_waiter *)base;
    struct refusal refusal = requests_abandoned;

    (void)entry;
    if (outcome != NULL) { /* the scan finds out itself whether the others are still served */
        answer_scan(waiter->node, waiter->call, &waiter->args);
    } else {
        (void)serves_all(waiter->node, &waiter->args, &refusal);
        requests_refuse(waiter->node, waiter->call, SERVER_SCAN, &refusal);
    }
    scan_waiter_free(waiter);
}

static bool wait_for_log_time(struct page *page, struct rpc_call *call, const scan_args *args)
{
    struct scan_waiter *waiter = scan_waiter_create(page->node, call, args);
    struct entry *tick;

    if (waiter == NULL)
        return false;
    waiter->base.answer = scan_after_tick;
    tick = node_propose_tick(page->node, page->expired_in, page->expired_ms, page->now_ms);
    if (tick == NULL) {
        scan_waiter_free(waiter);
        return false;
    }
    partition_add_waiter(tick, &waiter->base);
    return true;
}

/* --- filling a page
 * ---------------------------------------------------------------------------------- */

enum expiry { EXPIRY_VISIBLE, EXPIRY_ABSENT, EXPIRY_UNLOGGED };

static enum expiry expiry_of(const struct page *page, uint32_t number,
                             const struct store_value *value)
{
    const struct replica *replica = &page->node->partitions[number].replica;

    if (value->expires_ms == 0)
        return EXPIRY_VISIBLE;
    if (value->expires_ms <= store_applied(page->node->store, number)->log_time_ms)
        return EXPIRY_ABSENT;
    if (value->expires_ms > replica_log_time_ms(replica, page->now_ms))
        return EXPIRY_VISIBLE;
    return EXPIRY_UNLOGGED;
}

static bool add_pair(void *context, uint32_t partition, const uint8_t *key, uint32_t key_length,
                     const struct store_value *value)
{
    struct page *page = context;
    uint64_t bytes = (uint64_t)key_length + value->length;

    switch (expiry_of(page, partition, value)) {
    case EXPIRY_ABSENT:
        return true;
    case EXPIRY_UNLOGGED:
        page->expired_in = &page->node->partitions[partition];
        page->expired_ms = value->expires_ms;
        return false;
    case EXPIRY_VISIBLE:
        break;
    }
    if (page->count == page->limit_pairs ||
        (page->count > 0 && page->bytes + bytes > page->limit_bytes)) {
        page->more = true;
        return false;
    }
    page->pairs[page->count++] =
        (scan_pair){.key = {.data = key, .length = key_length},
                    .value = {.data = value->data, .length = value->length}};
    page->bytes += bytes;
    return true;
}

static int fill(struct page *page, const scan_args *args)
{
    struct store_scan scan = {
        .partitions = args->partitions.partitions_val,
        .partition_count = args->partitions.partitions_len,
        .from = args->from.data,
        .to = args->to.data,
        .from_length = args->from.length,
        .to_length = args->to.length,
        .after_from = args->after_from,
    };

    page->now_ms = clock_now_ms();
    return store_scan(page->node->store, &scan, add_pair, page);
}

/* L1: before the work to save it, and after it, with a clock read then. */
static bool serves_all(const struct node *node, const scan_args *args, struct refusal *refusal)
{
    uint64_t now_ms = clock_now_ms();

    for (uint32_t i = 0; i < args->partitions.partitions_len; i++)
        if (!requests_serves(node, &node->partitions[args->partitions.partitions_val[i]], now_ms,
                             refusal))
            return false;
    return true;
}

static bool check(struct node *node, const scan_args *args, struct refusal *refusal)
{
    if (!requests_cluster(node, args->cluster, refusal))
        return false;
    if (args->limit_pairs == 0 || args->limit_pairs > CAIRN_SCAN_PAIRS_LIMIT ||
        args->limit_bytes == 0 || args->limit_bytes > CAIRN_SCAN_BYTES_LIMIT) {
        *refusal = (struct refusal){.status = SERVER_INVALID,
                                    .message = "limits: 1 to 4096 pairs, 1 byte to 2 MiB"};
        return false;
    }
    for (uint32_t i = 0; i < args->partitions.partitions_len; i++) {
        uint32_t number = args->partitions.partitions_val[i];

        if (number >= node->partition_count) {
            *refusal = (struct refusal){.status = SERVER_INVALID,
                                        .message = "no partition has that number"};
            return false;
        }
    }
    return serves_all(node, args, refusal);
}

/* C3: a pair that is not there says as much as one that is, and of no bucket in particular: the
 * page waits for all that is being revoked. */
static void answer_page(struct rpc_call *call, struct page *page)
{
    scan_result result = {.status = SERVER_OK};

    result.scan_result_u.page.more = page->more;
    result.scan_result_u.page.pairs.pairs_len = page->count;
    result.scan_result_u.page.pairs.pairs_val = page->pairs;
    if (RULE_BROKEN(C3_GET))
        rpc_reply(call, &result);
    else
        hosts_reply_to_scan(page->node, call, &result);
}

/* The scan met a value that fails its checksum. */
static void refuse_unsound(struct node *node, struct refusal *refusal)
{
    uint32_t partition, key_length;
    const uint8_t *key = store_scan_bad(node->store, &partition, &key_length);

    *refusal =
        (struct refusal){.status = SERVER_CORRUPT, .message = "a stored value fails its checksum"};
    if (key != NULL)
        *refusal = requests_unsound(node, partition, key, key_length);
}

/* Fills the page and answers with it, or lets the call wait; false: the call is to be refused. */
static bool serve_page(struct page *page, struct rpc_call *call, const scan_args *args,
                       struct refusal *refusal)
{
    int status = fill(page, args);

    if (!serves_all(page->node, args, refusal))
        return false;
    if (status != CAIRN_OK) { /* W8 */
        refuse_unsound(page->node, refusal);
        return false;
    }
    if (page->expired_in == NULL) {
        answer_page(call, page);
        return true;
    }
    *refusal = (struct refusal){.status = SERVER_OVERLOADED, .message = "the log's queue is full"};
    return wait_for_log_time(page, call, args);
}

static void answer_scan(struct node *node, struct rpc_call *call, const scan_args *args)
{
    struct page *page;
    struct refusal refusal;
    bool done = false;

    if (!check(node, args, &refusal)) {
        requests_refuse(node, call, SERVER_SCAN, &refusal);
        return;
    }
    page = malloc(sizeof *page);
    refusal = (struct refusal){.status = SERVER_OVERLOADED, .message = "out of memory"};
    if (page != NULL) {
        memset(page, 0, offsetof(struct page, pairs));
        page->node = node;
        page->limit_pairs = args->limit_pairs;
        page->limit_bytes = args->limit_bytes;
        done = serve_page(page, call, args, &refusal);
    }
    free(page);
    if (!done)
        requests_refuse(node, call, SERVER_SCAN, &refusal);
}

void request_scan(void *context, struct rpc_call *call, const void *args)
{
    struct node *node = context;

    node->counters.scans++;
    answer_scan(node, call, args);
}
