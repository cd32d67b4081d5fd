/* The connections of an RPC server: what each may hold, how long it may take, and their end. */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "rpc/server_internal.h"

enum { KEEPALIVE_IDLE_S = 60, KEEPALIVE_INTERVAL_S = 10, KEEPALIVE_COUNT = 6 };

static struct peer *peer_of(struct connection *connection)
{
    return (struct peer *)(void *)connection;
}

/* --- limits ---------------------------------------------------------------- */

/* Past the memory limit those who hold more than an even share of it are not read: they time out or
 * their replies drain, while small requests go on. Memory that is merely kept for speed does not
 * count; the sweep frees it. */
static bool is_starved(const struct peer *peer)
{
    const struct rpc_server *server = peer->server;
    return server->memory > server->options.memory_limit &&
           connection_holds(&peer->io) + peer->held >=
               server->options.memory_limit / server->stats.connections;
}

static bool on_paused(struct connection *connection)
{
    struct peer *peer = peer_of(connection);
    const struct rpc_server_options *options = &peer->server->options;
    if (is_starved(peer)) {
        peer->starved = true;
        server_sweep_start(peer->server);
        return true;
    }
    return peer->calls >= options->calls_limit || peer_unsent(peer) >= options->output_limit;
}

void peer_account(struct peer *peer)
{
    struct rpc_server *server = peer->server;
    size_t memory = connection_memory(&peer->io);
    server->memory += memory - peer->memory;
    peer->memory = memory;
    if (server->memory > server->options.memory_limit) {
        server_sweep_start(server);
    }
}

/* Counts the memory; makes sure that somebody looks at the clock while something can time out. */
static void on_moved(struct connection *connection)
{
    struct peer *peer = peer_of(connection);
    struct rpc_server *server = peer->server;
    peer_account(peer);
    if (connection->record_since_ms != 0 || connection->blocked) {
        server_sweep_start(server);
    }
    if (!(connection->events & UV_READABLE) && connection->fd >= 0 && !on_paused(connection)) {
        connection_resume(connection);
    }
}

/* --- time limits ----------------------------------------------------------- */

/* Returns whether something of this peer can still time out. */
static bool sweep_peer(struct peer *peer, uint64_t now_ms)
{
    struct connection *connection = &peer->io;
    const struct rpc_server_options *options = &peer->server->options;
    /* A record that we do not read because of our own replies is not late; one that we do not read
     * because memory is short is: ending it is what frees memory. */
    bool reading = (connection->events & UV_READABLE) != 0 || peer->starved;
    if (reading && connection->record_since_ms != 0 &&
        now_ms - connection->record_since_ms >= options->record_timeout_ms) {
        peer_end(peer, CAIRN_ETIMEDOUT);
        return false;
    }
    if (connection->blocked && now_ms - connection->blocked_since_ms >= options->send_timeout_ms) {
        peer_end(peer, CAIRN_ETIMEDOUT);
        return false;
    }
    if (peer->server->memory > options->memory_limit) {
        connection_trim(connection);
        peer_account(peer);
    }
    if (peer->starved && !is_starved(peer)) {
        peer->starved = false;
        connection_resume(connection);
    }
    return peer->starved || connection->blocked || (reading && connection->record_since_ms != 0);
}

static void on_sweep(uv_timer_t *timer)
{
    struct rpc_server *server = timer->data;
    uint64_t now_ms = clock_now_ms();
    bool again = server->accept_paused;
    struct peer *peer;
    struct peer *next;
    server_accept_retry(server);
    for (peer = TAILQ_FIRST(&server->peers); peer != NULL; peer = next) {
        next = TAILQ_NEXT(peer, entry);
        again = sweep_peer(peer, now_ms) || again;
    }
    if (!again) {
        uv_timer_stop(timer);
    }
}

void server_sweep_start(struct rpc_server *server)
{
    if (!server->closing && !uv_is_active((uv_handle_t *)&server->sweep)) {
        uv_timer_start(&server->sweep, on_sweep, server->sweep_ms, server->sweep_ms);
    }
}

/* --- birth and death ------------------------------------------------------- */

static void on_record(struct connection *connection, const struct record *record)
{
    server_dispatch(peer_of(connection), record);
}

static void on_ended(struct connection *connection, int code, int system)
{
    struct peer *peer = peer_of(connection);
    (void)system;
    server_drop_held(peer);
    if (code != 0 && code != CAIRN_EIO) {
        peer->server->stats.dropped++;
        struct rpc_call name = {.peer = peer};
        log_debug("rpc", "%s: dropped: %s", rpc_call_peer(&name), error_text(code));
    }
}

static void on_freed(struct connection *connection)
{
    struct peer *peer = peer_of(connection);
    struct rpc_server *server = peer->server;
    TAILQ_REMOVE(&server->peers, peer, entry);
    TAILQ_INSERT_TAIL(&server->gone, peer, entry);
    CHECK(server->memory >= peer->memory && server->stats.connections > 0);
    server->memory -= peer->memory;
    server->stats.connections--;
    peer->freed = true;
    if (peer->calls == 0) {
        peer_release(peer);
    }
    server_accept_retry(server);
    server_handle_closed(server);
}

void peer_release(struct peer *peer)
{
    if (peer->server != NULL) {
        TAILQ_REMOVE(&peer->server->gone, peer, entry);
    }
    free(peer);
}

void peer_end(struct peer *peer, int code)
{
    connection_end(&peer->io, code, 0);
}

static const struct connection_handler handler = {.record = on_record,
                                                  .paused = on_paused,
                                                  .moved = on_moved,
                                                  .ended = on_ended,
                                                  .freed = on_freed};

static void set_keepalive(int fd)
{
    int on = 1;
    int idle = KEEPALIVE_IDLE_S;
    int interval = KEEPALIVE_INTERVAL_S;
    int count = KEEPALIVE_COUNT;
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof count);
}

void peer_create(struct rpc_server *server, int fd, const struct sockaddr_storage *address)
{
    struct peer *peer = NULL;
    bool is_full = server->stats.connections >= server->options.connections_limit;
    if (!is_full) {
        peer = calloc(1, sizeof *peer);
    }
    if (peer == NULL) {
        server_warn_refusing(server, is_full ? "as many are open as may be" : "out of memory");
        server->stats.refused++;
        close(fd);
        return;
    }
    peer->server = server;
    peer->address = *address;
    server->stats.accepted++;
    server->stats.connections++;
    connection_init(&peer->io, &server->turn, &handler, server->options.record_limit, SIZE_MAX);
    TAILQ_INSERT_TAIL(&server->peers, peer, entry);
    server->open_handles++;
    set_keepalive(fd);
    if (connection_attach(&peer->io, server->loop, fd) != 0) {
        close(fd);
        peer_end(peer, CAIRN_EIO);
    }
}

const char *rpc_call_peer(const struct rpc_call *call)
{
    struct peer *peer = call->peer;
    if (peer->text[0] == '\0') {
        char host[INET6_ADDRSTRLEN] = "?";
        const struct sockaddr_in *v4 = (const void *)&peer->address;
        const struct sockaddr_in6 *v6 = (const void *)&peer->address;
        if (peer->address.ss_family == AF_INET6) {
            (void)inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof host);
            (void)snprintf(peer->text, sizeof peer->text, "[%s]:%u", host,
                           (unsigned)ntohs(v6->sin6_port));
        } else {
            (void)inet_ntop(AF_INET, &v4->sin_addr, host, sizeof host);
            (void)snprintf(peer->text, sizeof peer->text, "%s:%u", host,
                           (unsigned)ntohs(v4->sin_port));
        }
    }
    return peer->text;
}
