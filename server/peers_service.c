/* The other side: what other servers call here (proto/replica.x). An Append is answered once it is
 * durable (R1), everything else at once. */
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "server/peers_internal.h"
#include "server/scrub.h"

enum { COMPLAIN_EVERY_MS = 10000 };

/* --- Appends ---------------------------------------------------------------------------------- */

static void answer_append(const struct node *node, struct rpc_call *call,
                          const struct append_taken *taken)
{
    append_ack *acks = calloc(taken->count + 1u, sizeof *acks);
    append_result result = {.stranger = taken->stranger};

    if (acks == NULL) {
        rpc_reply_error(call, SYSTEM_ERR);
        return;
    }
    exchange_answer_append(node, taken, acks, &result);
    rpc_reply(call, &result);
    free(acks);
}

static void drop(struct peers *peers, struct waiting_append *waiting)
{
    TAILQ_REMOVE(&peers->waiting, waiting, entry);
    append_taken_free(&waiting->taken);
    free(waiting);
}

void peers_durable(struct peers *peers, uint64_t lsn)
{
    uint64_t now_ms = clock_now_ms();
    struct waiting_append *waiting;
    struct peer *peer;

    while ((waiting = TAILQ_FIRST(&peers->waiting)) != NULL && waiting->taken.lsn <= lsn) {
        answer_append(peers->node, waiting->call, &waiting->taken);
        drop(peers, waiting);
    }
    TAILQ_FOREACH(peer, &peers->list, entry)
    {
        if (peer->active)
            append_stream_news(peer, now_ms);
    }
}

void peers_drop_waiting(struct peers *peers)
{
    struct waiting_append *waiting;

    while ((waiting = TAILQ_FIRST(&peers->waiting)) != NULL) {
        rpc_reply_error(waiting->call, SYSTEM_ERR);
        drop(peers, waiting);
    }
}

/* What is durable already is not held up by what is not: the list is in the order of the log. */
static bool wait_for_log(struct peers *peers, struct rpc_call *call,
                         const struct append_taken *taken)
{
    struct waiting_append *waiting = malloc(sizeof *waiting);
    struct waiting_append *before = TAILQ_LAST(&peers->waiting, waiting_list);

    if (waiting == NULL)
        return false;
    waiting->call = call;
    waiting->taken = *taken;
    while (before != NULL && before->taken.lsn > taken->lsn)
        before = TAILQ_PREV(before, waiting_list, entry);
    if (before == NULL)
        TAILQ_INSERT_HEAD(&peers->waiting, waiting, entry);
    else
        TAILQ_INSERT_AFTER(&peers->waiting, before, waiting, entry);
    return true;
}

static void complain(struct peers *peers, const struct rpc_call *call, int status, uint64_t now_ms)
{
    if (peers->complained_ms != 0 && now_ms - peers->complained_ms < COMPLAIN_EVERY_MS)
        return;
    peers->complained_ms = now_ms;
    log_warn("peers", "an append was not taken from=%s error=\"%s\"", rpc_call_peer(call),
             error_text(status));
}

static void take_append(void *context, struct rpc_call *call, const void *args)
{
    struct peers *peers = *(struct peers **)context;
    uint64_t now_ms = clock_now_ms();
    struct append_taken taken = {0};
    int status;

    if (peers == NULL || peers->closing) {
        rpc_reply_error(call, SYSTEM_ERR);
        return;
    }
    status = exchange_take_append(peers->node, args, now_ms, &taken);
    if (status != CAIRN_OK) {
        complain(peers, call, status, now_ms);
        rpc_reply_error(call, SYSTEM_ERR);
        return;
    }
    if (taken.lsn > wal_durable_lsn(peers->node->journal.wal)) {
        if (wait_for_log(peers, call, &taken))
            return;
        rpc_reply_error(call, SYSTEM_ERR);
    } else {
        answer_append(peers->node, call, &taken);
    }
    append_taken_free(&taken);
}

/* --- beacons and snapshots -------------------------------------------------------------------- */

static void take_beacon(void *context, struct rpc_call *call, const void *args)
{
    struct peers *peers = *(struct peers **)context;
    const beacon_args *beacon = args;
    beacon_result result = {0};
    beacon_pair *refused = NULL;

    if (peers != NULL && !peers->closing)
        refused = calloc(beacon->pairs.pairs_len + 1u, sizeof *refused);
    if (refused == NULL) {
        rpc_reply_error(call, SYSTEM_ERR);
        return;
    }
    exchange_take_beacon(peers->node, beacon, clock_now_ms(), refused, &result);
    rpc_reply(call, &result);
    free(refused);
}

static void take_snapshot(void *context, struct rpc_call *call, const void *args)
{
    struct peers *peers = *(struct peers **)context;
    snapshot_result result = {0};

    if (peers == NULL || peers->closing) {
        rpc_reply_error(call, SYSTEM_ERR);
        return;
    }
    snapshot_take(peers->node, args, clock_now_ms(), &result);
    rpc_reply(call, &result);
}

/* --- damage ------------------------------------------------------------------------------------
 */

static struct scrub *scrub_of(struct peers *peers)
{
    return peers == NULL || peers->closing ? NULL : peers->node->scrub;
}

static void take_fetch(void *context, struct rpc_call *call, const void *args)
{
    struct scrub *scrub = scrub_of(*(struct peers **)context);
    fetch_result result = {0};

    if (scrub == NULL) {
        rpc_reply_error(call, SYSTEM_ERR);
        return;
    }
    scrub_take_fetch(scrub, args, &result);
    rpc_reply(call, &result);
}

static void take_digest(void *context, struct rpc_call *call, const void *args)
{
    struct scrub *scrub = scrub_of(*(struct peers **)context);
    digest_result result = {0};

    if (scrub == NULL) {
        rpc_reply_error(call, SYSTEM_ERR);
        return;
    }
    scrub_take_digest(scrub, args, clock_now_ms(), &result);
    rpc_reply(call, &result);
}

static void take_differs(void *context, struct rpc_call *call, const void *args)
{
    struct scrub *scrub = scrub_of(*(struct peers **)context);
    differs_result result = {0};

    if (scrub == NULL) {
        rpc_reply_error(call, SYSTEM_ERR);
        return;
    }
    scrub_take_differs(scrub, args, clock_now_ms(), &result);
    rpc_reply(call, &result);
}

struct rpc_service peers_service(struct peers **peers)
{
    static const rpc_handler handlers[] = {
        [REPLICA_APPEND] = take_append,     [REPLICA_BEACON] = take_beacon,
        [REPLICA_SNAPSHOT] = take_snapshot, [REPLICA_FETCH] = take_fetch,
        [REPLICA_DIGEST] = take_digest,     [REPLICA_DIFFERS] = take_differs,
    };

    CHECK(program_replica.procedure_count == sizeof handlers / sizeof handlers[0]);
    return (struct rpc_service){
        .program = &program_replica, .handlers = handlers, .context = peers};
}
