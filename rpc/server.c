/* An RPC server's life: its options, start and end. */
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/error.h"
#include "proto/limits.h"
#include "rpc/server_internal.h"

static void take_options(struct rpc_server *server, const struct rpc_server_options *given)
{
    struct rpc_server_options *options = &server->options;
    if (given != NULL) {
        *options = *given;
    }
#define DEFAULT(field, value) options->field = options->field != 0 ? options->field : (value)
    DEFAULT(connections_limit, 10000);
    DEFAULT(calls_limit, 1024);
    DEFAULT(record_limit, CAIRN_RECORD_LIMIT);
    DEFAULT(output_limit, 16U << 20);
    DEFAULT(memory_limit, 512U << 20);
    DEFAULT(record_timeout_ms, 30000);
    DEFAULT(send_timeout_ms, 30000);
#undef DEFAULT
    options->connections_limit = server_connections_limit(options->connections_limit);
    uint64_t shortest = options->record_timeout_ms < options->send_timeout_ms
                            ? options->record_timeout_ms
                            : options->send_timeout_ms;
    server->sweep_ms = shortest / 8 < 5 ? 5 : shortest / 8 > 250 ? 250 : shortest / 8;
}

static size_t largest_args(const struct rpc_service *services, size_t count)
{
    size_t largest = sizeof(uint64_t);
    for (size_t i = 0; i < count; i++) {
        const struct rpc_program *program = services[i].program;
        for (uint32_t n = 1; n < program->procedure_count; n++) {
            if (program->procedures[n].args_size > largest) {
                largest = program->procedures[n].args_size;
            }
        }
    }
    return largest;
}

static struct rpc_server *create(uv_loop_t *loop, const struct rpc_service *services, size_t count,
                                 const struct rpc_server_options *options)
{
    struct rpc_server *server = calloc(1, sizeof *server);
    if (server == NULL) {
        return NULL;
    }
    server->loop = loop;
    server->services = services;
    server->service_count = count;
    server->listen_fd = -1;
    TAILQ_INIT(&server->peers);
    TAILQ_INIT(&server->gone);
    take_options(server, options);
    server->args = malloc(largest_args(services, count));
    if (server->args == NULL || turn_init(&server->turn, loop) != 0) {
        free(server->args);
        free(server);
        return NULL;
    }
    return server;
}

int rpc_server_listen(uv_loop_t *loop, const struct address *address,
                      const struct rpc_service *services, size_t service_count,
                      const struct rpc_server_options *options, struct rpc_server **out,
                      struct error *error)
{
    *out = NULL;
    int fd = -1;
    uint16_t port = 0;
    int rc = server_bind(address, &fd, &port, error);
    if (rc != 0) {
        return rc;
    }
    struct rpc_server *server = create(loop, services, service_count, options);
    if (server == NULL) {
        close(fd);
        return error_set(error, CAIRN_ENOMEM, "%s:%u: out of memory", address->host,
                         (unsigned)port);
    }
    server->listen_fd = fd;
    server->port = port;
    CHECK(uv_timer_init(loop, &server->sweep) == 0);
    CHECK(uv_poll_init(loop, &server->listener, fd) == 0);
    server->sweep.data = server;
    server->listener.data = server;
    server->open_handles = 3; /* listener, sweep, turn */
    server_accept_start(server);
    *out = server;
    return 0;
}

uint16_t rpc_server_port(const struct rpc_server *server)
{
    return server->port;
}

void rpc_server_stats(const struct rpc_server *server, struct rpc_server_stats *stats)
{
    *stats = server->stats;
}

/* --- the end --------------------------------------------------------------- */

static void on_turn_closed(struct turn *turn)
{
    struct rpc_server *server =
        (struct rpc_server *)(void *)((char *)turn - offsetof(struct rpc_server, turn));
    struct peer *peer;
    TAILQ_FOREACH(peer, &server->gone, entry)
    {
        peer->server = NULL; /* its calls will be answered to nobody */
    }
    CHECK(TAILQ_EMPTY(&server->peers));
    void (*closed)(void *context) = server->closed;
    void *context = server->closed_context;
    server_pool_free(server);
    free(server->args);
    free(server);
    if (closed != NULL) {
        closed(context);
    }
}

/* Called for each closed handle; the turn goes last, when no connection can use it any more. */
void server_handle_closed(struct rpc_server *server)
{
    CHECK(server->open_handles > 0);
    if (--server->open_handles == 1 && server->closing) {
        turn_close(&server->turn, on_turn_closed);
    }
}

static void on_closed(uv_handle_t *handle)
{
    server_handle_closed(handle->data);
}

void rpc_server_close(struct rpc_server *server, void (*closed)(void *context), void *context)
{
    CHECK(!server->closing);
    server->closing = true;
    server->closed = closed;
    server->closed_context = context;
    uv_close((uv_handle_t *)&server->listener, on_closed);
    uv_close((uv_handle_t *)&server->sweep, on_closed);
    close(server->listen_fd);
    struct peer *peer;
    struct peer *next;
    for (peer = TAILQ_FIRST(&server->peers); peer != NULL; peer = next) {
        next = TAILQ_NEXT(peer, entry);
        connection_flush(&peer->io);
        peer_end(peer, 0);
    }
}
