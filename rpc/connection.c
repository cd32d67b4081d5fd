/* Reads records from one socket and writes to it, with uv_poll and plain system calls.
 *
 * What uv_stream gives (queued writes, shutdown) is not needed here, and this way one read serves a
 * readable socket and one send a whole turn. Nothing is freed before the poll handle is closed, so
 * that a handler may end the connection it was called for. */
#include "rpc/connection.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/error.h"
#include "rpc/connection_turn.h"

void connection_init(struct connection *connection, struct turn *turn,
                     const struct connection_handler *handler, uint32_t record_limit,
                     size_t output_limit)
{
    memset(connection, 0, sizeof *connection);
    connection->fd = -1;
    connection->turn = turn;
    connection->handler = handler;
    record_reader_init(&connection->reader, record_limit);
    buffer_init(&connection->held, CONNECTION_READ_SIZE);
    buffer_init(&connection->output, output_limit);
}

/* --- the queue of the turn ------------------------------------------------- */

static void enqueue(struct connection *connection)
{
    if (!connection->queued) {
        connection->queued = true;
        TAILQ_INSERT_TAIL(&connection->turn->queue, connection, queue_entry);
        turn_wake(connection->turn);
    }
}

static void dequeue(struct connection *connection)
{
    if (connection->queued) {
        connection->queued = false;
        TAILQ_REMOVE(&connection->turn->queue, connection, queue_entry);
    }
}

void connection_queue(struct connection *connection)
{
    if (connection->fd < 0 || connection->blocked || connection->failed != 0) {
        return; /* leaves when connected or writable, or never */
    }
    if (connection_unsent(connection) >= CONNECTION_FLUSH_SIZE) {
        connection_flush(connection);
    } else {
        enqueue(connection);
    }
}

void connection_resume(struct connection *connection)
{
    if (connection->fd >= 0) {
        connection->resuming = true;
        enqueue(connection);
    }
}

/* --- polling --------------------------------------------------------------- */

static void on_poll(uv_poll_t *poll, int status, int events);

static bool is_paused(struct connection *connection)
{
    return connection->held.length > 0 || connection->handler->paused(connection);
}

static void update_events(struct connection *connection)
{
    if (connection->fd < 0) {
        return;
    }
    int events = 0;
    if (connection->failed == 0) {
        events =
            (is_paused(connection) ? 0 : UV_READABLE) | (connection->blocked ? UV_WRITABLE : 0);
    }
    if (events != connection->events) {
        connection->events = events;
        if (events == 0) {
            uv_poll_stop(&connection->poll);
        } else {
            uv_poll_start(&connection->poll, events, on_poll);
        }
    }
}

int connection_attach(struct connection *connection, uv_loop_t *loop, int fd)
{
    int one = 1;
    CHECK(connection->fd < 0 && !connection->ended);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (uv_poll_init(loop, &connection->poll, fd) != 0) {
        return CAIRN_EIO;
    }
    connection->poll.data = connection;
    connection->fd = fd;
    update_events(connection);
    if (connection_unsent(connection) > 0) {
        connection_queue(connection);
    }
    return 0;
}

/* --- input ----------------------------------------------------------------- */

/* Hands out records until the input is used up, the connection is over or paused. What remains in
 * `input` then waits. */
static void deliver(struct connection *connection, struct record_input *input)
{
    struct record record;
    int rc;
    while ((rc = record_next(&connection->reader, input, &record)) == 1) {
        connection->handler->record(connection, &record);
        if (connection->ended || connection->handler->paused(connection)) {
            return;
        }
    }
    if (rc != 0) {
        connection_end(connection, rc, 0);
    }
}

static void note_record_time(struct connection *connection)
{
    if (!connection->reader.started) {
        connection->record_since_ms = 0;
    } else if (connection->record_since_ms == 0) {
        connection->record_since_ms = clock_now_ms();
    }
}

static void moved(struct connection *connection)
{
    if (!connection->ended && connection->handler->moved != NULL) {
        connection->handler->moved(connection);
    }
}

/* One read: the missing part of a large fragment goes to its place, the rest to shared memory.
 * `flags` as of recv. */
static ssize_t read_once(struct connection *connection, struct record_input *input, int flags)
{
    size_t room;
    uint8_t *space = record_space(&connection->reader, &room);
    uint8_t *shared = connection->turn->input;
    ssize_t got;
    if (space == NULL) {
        got = recv(connection->fd, shared, CONNECTION_READ_SIZE, flags);
    } else {
        struct iovec parts[2] = {{space, room}, {shared, CONNECTION_READ_SIZE}};
        struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
        got = recvmsg(connection->fd, &message, flags);
    }
    if (got <= 0) {
        return got;
    }
    size_t direct = (size_t)got < room ? (size_t)got : room;
    if (direct > 0) {
        record_filled(&connection->reader, direct);
    }
    *input = (struct record_input){shared, (size_t)got - direct};
    return got;
}

/* Returns whether bytes came. */
static bool read_and_deliver(struct connection *connection, int flags)
{
    struct record_input input;
    ssize_t got = read_once(connection, &input, flags);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
        return false;
    }
    if (got <= 0) {
        connection_end(connection, CAIRN_EIO, got < 0 ? errno : 0);
        return false;
    }
    deliver(connection, &input);
    if (connection->ended) {
        return true;
    }
    if (input.length > 0 && buffer_append(&connection->held, input.data, input.length) != 0) {
        connection_end(connection, CAIRN_ENOMEM, 0);
        return true;
    }
    note_record_time(connection);
    update_events(connection);
    moved(connection);
    return true;
}

/* The socket is broken, but what arrived before may still be read. */
static void read_rest_and_end(struct connection *connection, int system)
{
    while (!connection->ended && !is_paused(connection) &&
           read_and_deliver(connection, MSG_DONTWAIT)) {
    }
    connection_end(connection, CAIRN_EIO, system);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct connection *connection = poll->data;
    if (status < 0) {
        /* libuv stopped the handle: an error is pending on the socket. */
        connection->events = 0;
        read_rest_and_end(connection, ECONNRESET);
        return;
    }
    if (events & UV_WRITABLE) {
        connection_flush(connection);
    }
    if (!(events & UV_READABLE) || connection->ended) {
        return;
    }
    if (connection->failed != 0 || is_paused(connection)) {
        update_events(connection); /* paused since: must not be polled for what is not read */
    } else {
        (void)read_and_deliver(connection, MSG_DONTWAIT);
    }
}

/* The descriptor blocks from now on; all that does not want to wait says MSG_DONTWAIT. */
static bool may_wait(struct connection *connection)
{
    const struct timeval limit = {.tv_usec = CONNECTION_AWAIT_MS * 1000L};
    int flags;
    if (!connection->may_wait) {
        flags = fcntl(connection->fd, F_GETFL);
        connection->may_wait =
            flags >= 0 && fcntl(connection->fd, F_SETFL, flags & ~O_NONBLOCK) == 0 &&
            setsockopt(connection->fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) == 0;
    }
    return connection->may_wait;
}

bool connection_await(struct connection *connection)
{
    if (connection->fd < 0 || connection->ended || connection->resuming || !may_wait(connection)) {
        return false;
    }
    connection_flush(connection);
    if (connection->blocked || connection->failed != 0 || is_paused(connection)) {
        return false;
    }
    dequeue(connection);
    return read_and_deliver(connection, 0);
}

void connection_turn_begin(struct connection *connection)
{
    if (connection->ended) {
        return;
    }
    if (connection->failed == 0 && !connection->resuming) {
        return;
    }
    turn_hold(connection->turn);
    if (connection->failed != 0) {
        read_rest_and_end(connection, connection->failed);
        return;
    }
    connection->resuming = false;
    if (connection->held.length > 0 && !connection->handler->paused(connection)) {
        struct record_input input = {connection->held.data, connection->held.length};
        deliver(connection, &input);
        if (connection->ended) {
            return;
        }
        buffer_consume(&connection->held, connection->held.length - input.length);
    }
    if (connection->held.length == 0 && !connection->handler->paused(connection)) {
        /* The time that the peer was kept waiting is not its fault. */
        connection->record_since_ms = 0;
        note_record_time(connection);
    }
    if (connection->held.length == 0 && connection->held.capacity > 0) {
        buffer_free(&connection->held);
        buffer_init(&connection->held, CONNECTION_READ_SIZE);
    }
    update_events(connection);
    moved(connection);
}

/* --- output ---------------------------------------------------------------- */

/* Frees what was sent; whole words only, so that records stay aligned. */
static void drop_sent(struct connection *connection)
{
    struct buffer *output = &connection->output;
    if (connection->output_sent < output->length) {
        size_t whole = connection->output_sent & ~(size_t)3;
        if (whole >= output->length / 2) {
            buffer_consume(output, whole);
            connection->output_sent -= whole;
        }
        return;
    }
    connection->output_sent = 0;
    if (output->capacity > CONNECTION_OUTPUT_KEEP) {
        size_t limit = output->limit;
        buffer_free(output);
        buffer_init(output, limit);
    } else {
        buffer_clear(output);
    }
}

void connection_flush(struct connection *connection)
{
    size_t unsent = connection_unsent(connection);
    if (connection->fd < 0 || connection->failed != 0 || unsent == 0) {
        return;
    }
    ssize_t sent = send(connection->fd, connection->output.data + connection->output_sent, unsent,
                        MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && errno != EAGAIN && errno != EINTR) {
        /* What the peer sent before it left is delivered first, from the loop. */
        connection->failed = errno;
        update_events(connection);
        enqueue(connection);
        return;
    }
    bool was_blocked = connection->blocked;
    size_t progress = sent < 0 ? 0 : (size_t)sent;
    connection->output_sent += progress;
    connection->total_sent += progress;
    connection->blocked = progress < unsent;
    if (!connection->blocked) {
        connection->blocked_since_ms = 0;
    } else if (progress > 0 || !was_blocked) {
        connection->blocked_since_ms = clock_now_ms();
    }
    drop_sent(connection);
    if (connection->blocked || was_blocked) {
        update_events(connection);
    }
    moved(connection);
}

void connection_turn_end(struct connection *connection)
{
    if (!connection->blocked) {
        connection_flush(connection);
    }
    if (connection->ended || (connection->failed == 0 && !connection->resuming)) {
        dequeue(connection);
    }
}

void connection_trim(struct connection *connection)
{
    if (connection->output.length == 0 && connection->output.capacity > 0) {
        size_t limit = connection->output.limit;
        buffer_free(&connection->output);
        buffer_init(&connection->output, limit);
    }
    record_reader_trim(&connection->reader);
}

/* --- the end --------------------------------------------------------------- */

static void release(struct connection *connection)
{
    record_reader_free(&connection->reader);
    buffer_free(&connection->held);
    buffer_free(&connection->output);
    dequeue(connection);
    connection->handler->freed(connection);
}

static void on_closed(uv_handle_t *handle)
{
    release(handle->data);
}

void connection_end(struct connection *connection, int code, int system)
{
    if (connection->ended) {
        return;
    }
    connection->ended = true;
    dequeue(connection);
    if (connection->fd >= 0) {
        uv_close((uv_handle_t *)&connection->poll, on_closed);
        close(connection->fd);
        connection->fd = -1;
        connection->handler->ended(connection, code, system);
    } else {
        /* No handle: the owner ends such connections itself, from where freeing is safe. */
        connection->handler->ended(connection, code, system);
        release(connection);
    }
}
