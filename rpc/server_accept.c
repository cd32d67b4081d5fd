/* Binds, listens and accepts: as many as there are descriptors for; without free ones it pauses
 * instead of spinning. */
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "rpc/server_internal.h"

enum {
    BACKLOG = 1024,
    ACCEPTS_PER_TURN = 64,
    WARN_INTERVAL_MS = 60000,
    DESCRIPTORS_RESERVED = 40, /* log, store, event loop, our own connections to others */
    CONNECTIONS_LEAST = 8,
};

/* Clients must not take what the process needs to write its log and reach its peers. */
uint32_t server_connections_limit(uint32_t wanted)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
        return wanted;
    }
    if (limit.rlim_cur < limit.rlim_max && limit.rlim_cur < wanted + DESCRIPTORS_RESERVED) {
        rlim_t soft = limit.rlim_cur;
        limit.rlim_cur = limit.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &limit) != 0) {
            limit.rlim_cur = soft;
        }
    }
    if (limit.rlim_cur >= (rlim_t)wanted + DESCRIPTORS_RESERVED) {
        return wanted;
    }
    uint32_t bounded = limit.rlim_cur > DESCRIPTORS_RESERVED + CONNECTIONS_LEAST
                           ? (uint32_t)(limit.rlim_cur - DESCRIPTORS_RESERVED)
                           : CONNECTIONS_LEAST;
    bounded = bounded < wanted ? bounded : wanted;
    log_warn("rpc",
             "few files may be open (ulimit -n), so few connections are taken files=%llu "
             "connections=%u wanted=%u",
             (unsigned long long)limit.rlim_cur, (unsigned)bounded, (unsigned)wanted);
    return bounded;
}

static int bind_one(const struct addrinfo *info, uint16_t *port)
{
    int one = 1;
    int fd = socket(info->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -1;
    }
    struct sockaddr_storage bound;
    socklen_t size = sizeof bound;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) != 0 ||
        bind(fd, info->ai_addr, info->ai_addrlen) != 0 || listen(fd, BACKLOG) != 0 ||
        getsockname(fd, (struct sockaddr *)&bound, &size) != 0) {
        int saved = errno;
        close(fd);
        errno = saved;
        return -1;
    }
    *port = ntohs(bound.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&bound)->sin6_port
                                              : ((struct sockaddr_in *)&bound)->sin_port);
    return fd;
}

int server_bind(const struct address *address, int *fd, uint16_t *port, struct error *error)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    char service[8];
    hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
    (void)snprintf(service, sizeof service, "%u", (unsigned)address->port);
    int rc = getaddrinfo(address->host, service, &hints, &found);
    if (rc != 0) {
        return error_set(error, CAIRN_EIO, "%s:%u: cannot listen: %s", address->host,
                         (unsigned)address->port, gai_strerror(rc));
    }
    *fd = -1;
    for (struct addrinfo *info = found; info != NULL && *fd < 0; info = info->ai_next) {
        *fd = bind_one(info, port);
    }
    int saved = errno;
    freeaddrinfo(found);
    if (*fd < 0) {
        return error_set(error, CAIRN_EIO, "%s:%u: cannot listen: %s", address->host,
                         (unsigned)address->port, strerror(saved));
    }
    return 0;
}

void server_warn_refusing(struct rpc_server *server, const char *reason)
{
    uint64_t now_ms = clock_now_ms();
    if (server->warned_ms == 0 || now_ms - server->warned_ms >= WARN_INTERVAL_MS) {
        server->warned_ms = now_ms;
        log_warn("rpc", "cannot accept connections for now: %s port=%u connections=%llu", reason,
                 (unsigned)server->port, (unsigned long long)server->stats.connections);
    }
}

/* The backlog stays readable while no descriptor is free: polling it would spin. Accepting goes on
 * when a connection closed, or at the next sweep. */
static void pause_accepting(struct rpc_server *server, int reason)
{
    server_warn_refusing(server, strerror(reason));
    server->accept_paused = true;
    uv_poll_stop(&server->listener);
    server_sweep_start(server);
}

static void on_connection(uv_poll_t *listener, int status, int events)
{
    struct rpc_server *server = listener->data;
    (void)status;
    (void)events;
    for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
        struct sockaddr_storage address;
        socklen_t size = sizeof address;
        int fd = accept4(server->listen_fd, (struct sockaddr *)&address, &size,
                         SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            server->accept_paused = false;
            peer_create(server, fd, &address);
            continue;
        }
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            pause_accepting(server, errno);
        }
        /* Anything else is the end of the backlog, or a peer that left before it was accepted. */
        return;
    }
}

void server_accept_start(struct rpc_server *server)
{
    uv_poll_start(&server->listener, UV_READABLE, on_connection);
}

void server_accept_retry(struct rpc_server *server)
{
    if (server->accept_paused && !server->closing &&
        !uv_is_active((uv_handle_t *)&server->listener)) {
        server_accept_start(server);
    }
}
