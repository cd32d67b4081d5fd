/* Catching a server up from the log on disk: pieces read by libuv's pool, sent as Appends on the
 * connection of the others, so that none overtakes another. */
#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "server/peers_internal.h"

enum {
    /* Small pieces, few in flight: what clients wait for shares the connection and the disk. */
    PIECE_BYTES = 256 << 10,
    CALLS_LIMIT = 2,
    RETRY_MS = 100,
};

void catch_up_stream_close(struct peer *peer)
{
    struct catch_up_stream *stream = &peer->catch_up;

    stream->failed = true;
    if (stream->reading || stream->pass == NULL)
        return;
    catch_up_close(peer->peers->node, stream->pass);
    stream->pass = NULL;
}

void catch_up_stream_answered(struct peer *peer, bool arrived)
{
    CHECK(peer->catch_up.calls > 0);
    peer->catch_up.calls--;
    if (!arrived)
        peer->catch_up.failed = true; /* the core goes back to what is known to be there */
}

/* --- reading ---------------------------------------------------------------------------------- */

static void read_piece(uv_work_t *work)
{
    struct peer *peer = work->data;
    struct catch_up_stream *stream = &peer->catch_up;

    stream->status = catch_up_read(stream->pass, PIECE_BYTES, &stream->error);
}

static void on_read(uv_work_t *work, int cancelled)
{
    struct peer *peer = work->data;
    struct catch_up_stream *stream = &peer->catch_up;

    CHECK(cancelled == 0);
    stream->reading = false;
    if (stream->status != CAIRN_OK) {
        log_error("peers", "the log cannot be read back server=%u error=\"%s\"", peer->server,
                  stream->error.message);
        stream->failed = true;
    }
    if (peer->retired)
        catch_up_stream_close(peer);
    peers_release(peer);
}

static void start_reading(struct peer *peer)
{
    struct catch_up_stream *stream = &peer->catch_up;

    stream->work.data = peer;
    stream->reading = true;
    peer->references++;
    CHECK(uv_queue_work(peer->peers->loop, &stream->work, read_piece, on_read) == 0);
}

/* --- one turn --------------------------------------------------------------------------------- */

static void begin(struct peer *peer, uint64_t now_ms)
{
    struct catch_up_stream *stream = &peer->catch_up;
    int status;

    if (!peer->behind || stream->calls > 0 || now_ms < stream->retry_ms ||
        now_ms < peer->append.retry_ms)
        return;
    stream->retry_ms = now_ms + RETRY_MS;
    stream->failed = false;
    status = catch_up_open(peer->peers->node, peer->server, &stream->pass);
    if (status != CAIRN_OK) {
        stream->pass = NULL;
        return;
    }
    log_info("peers", "catching up from the log server=%u", peer->server);
    start_reading(peer);
}

/* Sends what was read; true once all of it was. */
static bool send_piece(struct peer *peer, uint64_t now_ms)
{
    struct catch_up_stream *stream = &peer->catch_up;
    struct peers *peers = peer->peers;

    while (stream->calls < CALLS_LIMIT && !stream->failed) {
        if (catch_up_build(stream->pass, peers->node, now_ms, &peers->builder) == 0)
            return true;
        if (append_stream_send(peer, true, now_ms))
            stream->calls++;
        else
            stream->failed = true;
    }
    return false;
}

void catch_up_stream_run(struct peer *peer, uint64_t now_ms)
{
    struct catch_up_stream *stream = &peer->catch_up;

    if (stream->pass == NULL)
        begin(peer, now_ms);
    if (stream->pass == NULL || stream->reading)
        return;
    if (!stream->failed && !send_piece(peer, now_ms) && !stream->failed)
        return; /* goes on with the next answer */
    if (stream->failed || catch_up_done(stream->pass))
        catch_up_stream_close(peer);
    else
        start_reading(peer);
}
