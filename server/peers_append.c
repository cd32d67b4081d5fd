/* The stream of Appends to another server: for all partitions that it has a copy of and that are
 * led here, pipelined within a window. */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "server/peers_internal.h"

enum {
    APPEND_TIMEOUT_MS = 5000,
    APPEND_CALLS_LIMIT = 64,
    RETRY_FIRST_MS = 50,
    RETRY_LIMIT_MS = 500,
    IDLE_EVERY_MS = 50,
};

/* One Append in flight. */
struct append_call {
    struct peer *peer;
    struct rpc_client *client;
    bool catching_up;
    uint64_t bytes;
    uint32_t count;
    struct append_sent sent[];
};

void append_stream_init(struct append_stream *stream)
{
    backoff_init(&stream->backoff, RETRY_FIRST_MS, RETRY_LIMIT_MS);
}

void append_stream_retry(struct peer *peer)
{
    backoff_reset(&peer->append.backoff);
    peer->append.retry_ms = 0;
}

void append_stream_news(struct peer *peer, uint64_t now_ms)
{
    if (peer->append.idle_due_ms == 0)
        peer->append.idle_due_ms = now_ms + IDLE_EVERY_MS;
}

/* --- answers ---------------------------------------------------------------------------------- */

static void answered(struct peer *peer, const struct append_call *call, const append_result *result,
                     uint64_t now_ms)
{
    append_stream_retry(peer);
    exchange_append_answered(peer->peers->node, peer->server, call->sent, call->count, result,
                             now_ms);
    append_stream_news(peer, now_ms);
}

/* What is in flight fails together: one back-off for all of it. */
static void hold_back(struct peer *peer, uint64_t now_ms)
{
    struct append_stream *stream = &peer->append;

    if (stream->retry_ms <= now_ms)
        stream->retry_ms = now_ms + backoff_next_ms(&stream->backoff, &peer->peers->random);
}

static void on_answer(void *context, int status, const void *result, const struct error *error)
{
    struct append_call *call = context;
    struct peer *peer = call->peer;
    uint64_t now_ms = clock_now_ms();

    CHECK(peer->append.calls > 0 && peer->append.bytes >= call->bytes);
    peer->append.calls--;
    peer->append.bytes -= call->bytes;
    if (call->catching_up)
        catch_up_stream_answered(peer, status == CAIRN_OK);
    if (status != CAIRN_OK) {
        log_debug("peers", "append lost server=%u error=\"%s\"", peer->server, error->message);
        hold_back(peer, now_ms);
        if (status == CAIRN_EUNKNOWN)
            peers_timed_out(peer, PEER_APPENDS, call->client);
    }
    if (!peer->peers->closing) {
        if (status == CAIRN_OK)
            answered(peer, call, result, now_ms);
        else
            exchange_append_lost(peer->peers->node, peer->server, call->sent, call->count, now_ms);
    }
    free(call);
}

/* --- sending ---------------------------------------------------------------------------------- */

static struct append_call *call_of(struct peer *peer, bool catching_up)
{
    const struct append_builder *builder = &peer->peers->builder;
    uint32_t count = builder->args.runs.runs_len;
    struct append_call *call = malloc(sizeof *call + count * sizeof call->sent[0]);

    if (call == NULL)
        return NULL;
    *call = (struct append_call){
        .peer = peer, .catching_up = catching_up, .bytes = builder->records.length, .count = count};
    memcpy(call->sent, builder->sent, count * sizeof call->sent[0]);
    return call;
}

bool append_stream_send(struct peer *peer, bool catching_up, uint64_t now_ms)
{
    const struct append_builder *builder = &peer->peers->builder;
    struct append_call *call = call_of(peer, catching_up);
    int status = CAIRN_ENOMEM;

    if (call != NULL)
        status = peers_call(peer, PEER_APPENDS, REPLICA_APPEND, &builder->args, APPEND_TIMEOUT_MS,
                            on_answer, call, &call->client);
    if (status == CAIRN_OK) {
        peer->append.calls++;
        peer->append.bytes += call->bytes;
        return true;
    }
    log_warn("peers", "append not sent server=%u error=\"%s\"", peer->server, error_text(status));
    hold_back(peer, now_ms);
    exchange_append_lost(peer->peers->node, peer->server, builder->sent,
                         builder->args.runs.runs_len, now_ms);
    free(call);
    return false;
}

void append_stream_run(struct peer *peer, uint64_t now_ms)
{
    struct append_stream *stream = &peer->append;
    struct peers *peers = peer->peers;
    bool idle = stream->idle_due_ms != 0 && now_ms >= stream->idle_due_ms;

    if (now_ms < stream->retry_ms) {
        peers_wake_at(peers, stream->retry_ms);
        return;
    }
    if (idle)
        stream->idle_due_ms = 0;
    while (stream->calls < APPEND_CALLS_LIMIT && stream->bytes < peers->options.window_bytes &&
           exchange_build_append(peers->node, peer->server, idle, now_ms, &peers->builder) > 0)
        if (!append_stream_send(peer, false, now_ms))
            break;
    if (stream->idle_due_ms != 0)
        peers_wake_at(peers, stream->idle_due_ms);
}
