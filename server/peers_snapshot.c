/* Snapshots to copies on another server that the log no longer reaches (R8): each piece read by
 * libuv's pool, sent when the one before was answered.
 *
 * An open snapshot pins what it reads: LMDB reuses no page that was freed since, and the log is not
 * cut (W6). So none is open to a server that is silent, however long a copy there waits for one. */
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "server/peers_internal.h"

enum {
    CALL_TIMEOUT_MS = 30000,
    SEND_AGAIN_MS = 20,
    RETRY_FIRST_MS = 50,
    RETRY_LIMIT_MS = 1000,
    OPEN_AGAIN_MS = 200,
    SILENT_BEACONS = 20, /* so many unanswered: nobody is there */
};

void snapshot_streams_init(struct peer *peer)
{
    for (uint32_t i = 0; i < PEER_SNAPSHOTS_LIMIT; i++) {
        struct snapshot_stream *stream = &peer->snapshots[i];

        stream->peer = peer;
        backoff_init(&stream->backoff, RETRY_FIRST_MS, RETRY_LIMIT_MS);
    }
}

static void close_stream(struct snapshot_stream *stream)
{
    snapshot_close(stream->peer->peers->node, stream->sender);
    stream->sender = NULL;
    stream->state = SNAPSHOT_NONE;
    stream->due_ms = clock_now_ms() + OPEN_AGAIN_MS;
    backoff_reset(&stream->backoff);
}

/* Those that a thread or a call still uses are closed when it comes back. */
void snapshot_streams_close(struct peer *peer)
{
    for (uint32_t i = 0; i < PEER_SNAPSHOTS_LIMIT; i++)
        if (peer->snapshots[i].state == SNAPSHOT_DUE)
            close_stream(&peer->snapshots[i]);
}

/* --- reading ---------------------------------------------------------------------------------- */

static void read_piece(uv_work_t *work)
{
    struct snapshot_stream *stream = work->data;

    stream->status = snapshot_read(stream->sender, &stream->error);
}

static void on_read(uv_work_t *work, int cancelled)
{
    struct snapshot_stream *stream = work->data;
    struct peer *peer = stream->peer;

    CHECK(cancelled == 0);
    stream->state = SNAPSHOT_DUE;
    stream->due_ms = 0;
    if (stream->status != CAIRN_OK)
        log_error("peers", "a snapshot cannot be read partition=%u server=%u error=\"%s\"",
                  snapshot_partition(stream->sender), peer->server, stream->error.message);
    if (stream->status != CAIRN_OK || peer->retired)
        close_stream(stream);
    peers_release(peer);
}

static void start_reading(struct snapshot_stream *stream)
{
    stream->work.data = stream;
    stream->state = SNAPSHOT_READING;
    stream->peer->references++;
    CHECK(uv_queue_work(stream->peer->peers->loop, &stream->work, read_piece, on_read) == 0);
}

/* --- sending ---------------------------------------------------------------------------------- */

static void send_again(struct snapshot_stream *stream, uint64_t delay_ms)
{
    stream->state = SNAPSHOT_DUE;
    stream->due_ms = clock_now_ms() + delay_ms;
    peers_wake_at(stream->peer->peers, stream->due_ms);
}

static void take_answer(struct snapshot_stream *stream, const snapshot_result *result)
{
    struct peer *peer = stream->peer;

    backoff_reset(&stream->backoff);
    peer->heard_ms = clock_now_ms();
    switch (snapshot_answered(stream->sender, peer->peers->node, result, clock_now_ms())) {
    case SNAPSHOT_READ_NEXT:
        start_reading(stream);
        return;
    case SNAPSHOT_SEND_AGAIN:
        send_again(stream, SEND_AGAIN_MS);
        return;
    case SNAPSHOT_FINISHED:
        log_info("peers", "snapshot installed partition=%u server=%u",
                 snapshot_partition(stream->sender), peer->server);
        close_stream(stream);
        stream->due_ms = 0; /* the next partition at once */
        return;
    case SNAPSHOT_GIVE_UP:
        log_info("peers", "snapshot given up partition=%u server=%u",
                 snapshot_partition(stream->sender), peer->server);
        break;
    }
    close_stream(stream);
}

static void on_answer(void *context, int status, const void *result, const struct error *error)
{
    struct snapshot_stream *stream = context;
    struct peer *peer = stream->peer;

    CHECK(stream->state == SNAPSHOT_CALLING);
    if (peer->retired) {
        close_stream(stream);
    } else if (status != CAIRN_OK) {
        log_debug("peers", "snapshot piece lost server=%u error=\"%s\"", peer->server,
                  error->message);
        send_again(stream, backoff_next_ms(&stream->backoff, &peer->peers->random));
    } else {
        take_answer(stream, result);
    }
}

static void send_piece(struct snapshot_stream *stream)
{
    struct peer *peer = stream->peer;
    snapshot_args args;
    struct rpc_client *client;
    int status;

    if (!snapshot_build(stream->sender, peer->peers->node, &args)) {
        close_stream(stream);
        return;
    }
    status = peers_call(peer, PEER_SNAPSHOTS, REPLICA_SNAPSHOT, &args, CALL_TIMEOUT_MS, on_answer,
                        stream, &client);
    if (status == CAIRN_OK)
        stream->state = SNAPSHOT_CALLING;
    else
        send_again(stream, backoff_next_ms(&stream->backoff, &peer->peers->random));
}

/* --- one turn --------------------------------------------------------------------------------- */

static bool is_under_way(const struct peer *peer, uint32_t partition)
{
    for (uint32_t i = 0; i < PEER_SNAPSHOTS_LIMIT; i++)
        if (peer->snapshots[i].sender != NULL &&
            snapshot_partition(peer->snapshots[i].sender) == partition)
            return true;
    return false;
}

static bool waits_for_snapshot(const struct replica *replica, uint32_t server)
{
    if (replica->barrier_index == 0)
        return false;
    for (uint32_t i = 0; i < replica->follower_count; i++)
        if (replica->followers[i].id.server == server &&
            replica->followers[i].mode == REPLICA_INSTALL && !replica->followers[i].proposed)
            return true;
    return false;
}

/* The next partition of which a copy there waits. */
static void begin(struct snapshot_stream *stream, uint64_t now_ms)
{
    struct peer *peer = stream->peer;
    struct node *node = peer->peers->node;

    if (now_ms < stream->due_ms)
        return;
    stream->due_ms = now_ms + OPEN_AGAIN_MS;
    for (uint32_t i = 0; i < node->partition_count; i++) {
        if (!waits_for_snapshot(&node->partitions[i].replica, peer->server) ||
            is_under_way(peer, i))
            continue;
        if (snapshot_open(node, i, peer->server, &stream->sender) == CAIRN_OK) {
            log_info("peers", "snapshot begins partition=%u server=%u", i, peer->server);
            start_reading(stream);
            return;
        }
        stream->sender = NULL;
    }
}

static bool is_silent(const struct peer *peer, uint64_t now_ms)
{
    return peer->heard_ms == 0 ||
           now_ms > peer->heard_ms + SILENT_BEACONS * peer->peers->options.beacon_ms;
}

void snapshot_streams_run(struct peer *peer, uint64_t now_ms)
{
    bool silent = is_silent(peer, now_ms);

    for (uint32_t i = 0; i < PEER_SNAPSHOTS_LIMIT; i++) {
        struct snapshot_stream *stream = &peer->snapshots[i];

        if (stream->state == SNAPSHOT_NONE && peer->installs && !silent) {
            begin(stream, now_ms);
        } else if (stream->state == SNAPSHOT_DUE && silent) {
            log_info("peers", "snapshot given up partition=%u server=%u error=\"no answers\"",
                     snapshot_partition(stream->sender), peer->server);
            close_stream(stream);
        } else if (stream->state == SNAPSHOT_DUE && now_ms >= stream->due_ms) {
            send_piece(stream);
        } else if (stream->state == SNAPSHOT_DUE) {
            peers_wake_at(peer->peers, stream->due_ms);
        }
    }
}
