/* Beacons to another server (L1): at a fixed pace, and at once when a partition only waits for that
 * server's lease. */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "server/peers_internal.h"

enum { BEACON_CALLS_LIMIT = 8, URGENT_EVERY_MS = 20 };

/* One beacon in flight: an answer renews the pairs that it carried, no others. */
struct beacon_call {
    struct peer *peer;
    struct rpc_client *client;
    uint32_t count;
    beacon_pair pairs[];
};

static void on_answer(void *context, int status, const void *result, const struct error *error)
{
    struct beacon_call *call = context;
    struct peer *peer = call->peer;

    CHECK(peer->beacon.calls > 0);
    peer->beacon.calls--;
    if (status != CAIRN_OK)
        log_debug("peers", "beacon lost server=%u error=\"%s\"", peer->server, error->message);
    if (status == CAIRN_EUNKNOWN)
        peers_timed_out(peer, PEER_BEACONS, call->client);
    if (status == CAIRN_OK && !peer->peers->closing) {
        uint64_t now_ms = clock_now_ms();

        peer->heard_ms = now_ms;
        exchange_beacon_answered(peer->peers->node, peer->server, call->pairs, call->count, result,
                                 now_ms);
        append_stream_retry(peer);
        append_stream_news(peer, now_ms);
    }
    free(call);
}

static void send_beacon(struct peer *peer, uint64_t now_ms)
{
    struct peers *peers = peer->peers;
    struct beacon_call *call;
    beacon_args args;
    uint32_t count;
    int status = CAIRN_ENOMEM;

    if (peer->beacon.calls >= BEACON_CALLS_LIMIT)
        return;
    count = exchange_build_beacon(peers->node, peer->server, now_ms, peers->pairs, &args);
    if (count == 0)
        return;
    call = malloc(sizeof *call + count * sizeof call->pairs[0]);
    if (call != NULL) {
        *call = (struct beacon_call){.peer = peer, .count = count};
        memcpy(call->pairs, peers->pairs, count * sizeof call->pairs[0]);
        /* An answer after that long renews nothing any more. */
        status = peers_call(peer, PEER_BEACONS, REPLICA_BEACON, &args, args.lease_ms, on_answer,
                            call, &call->client);
    }
    if (status == CAIRN_OK) {
        peer->beacon.calls++;
        return;
    }
    free(call);
    log_warn("peers", "beacon not sent server=%u error=\"%s\"", peer->server, error_text(status));
}

/* While nothing comes of it (the server is down, or has not heard of the configuration yet), more
 * and more seldom, down to the regular pace. */
static bool is_urgent(struct peer *peer, uint64_t now_ms)
{
    struct beacon_stream *stream = &peer->beacon;

    if (!stream->urgent) {
        stream->urgent_every = URGENT_EVERY_MS;
        return false;
    }
    if (now_ms < stream->urgent_ms)
        return false;
    stream->urgent_ms = now_ms + stream->urgent_every;
    if (stream->urgent_every < peer->peers->options.beacon_ms)
        stream->urgent_every *= 2;
    return true;
}

void beacon_stream_run(struct peer *peer, uint64_t now_ms)
{
    struct beacon_stream *stream = &peer->beacon;
    bool urgent = is_urgent(peer, now_ms);

    if (urgent || now_ms >= stream->due_ms) {
        send_beacon(peer, clock_now_ms());
        stream->due_ms = now_ms + peer->peers->options.beacon_ms;
    }
    peers_wake_at(peer->peers, stream->due_ms);
    if (stream->urgent && stream->urgent_ms > now_ms)
        peers_wake_at(peer->peers, stream->urgent_ms);
}
