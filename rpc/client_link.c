/* A client's connection: resolving the server's name, connecting in time, and losing it. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/error.h"
#include "rpc/client_internal.h"

enum {
    OUTPUT_RECORDS = 4,        /* largest records that may wait to be sent */
    UNACKNOWLEDGED_MS = 15000, /* TCP gives up a silent network */
    KEEPALIVE_IDLE_S = 15,
    KEEPALIVE_INTERVAL_S = 5,
    KEEPALIVE_COUNT = 3
};

/* --- the connection -------------------------------------------------------- */

static bool on_paused(struct connection *connection)
{
    (void)connection;
    return false;
}

static void on_ended(struct connection *connection, int code, int system)
{
    struct client_link *link = (struct client_link *)(void *)connection;
    struct rpc_client *client = link->client;
    const char *reason = "the connection broke";
    if (code == CAIRN_EIO && system == 0) {
        reason = "the server closed the connection";
    } else if (code != CAIRN_EIO) {
        reason = "the server sent what is no valid reply";
    }
    if (client->link == link) {
        client->link = NULL;
        client->state = LINK_NONE;
        client_finish_all(client, connection, reason, system);
    }
}

static void on_freed(struct connection *connection)
{
    struct client_link *link = (struct client_link *)(void *)connection;
    struct rpc_client *client = link->client;
    free(link);
    client_handle_closed(client);
}

static const struct connection_handler handler = {
    .record = client_on_record, .paused = on_paused, .ended = on_ended, .freed = on_freed};

int client_link_prepare(struct rpc_client *client)
{
    if (client->link != NULL) {
        return 0;
    }
    struct client_link *link = malloc(sizeof *link);
    if (link == NULL) {
        return CAIRN_ENOMEM;
    }
    link->client = client;
    connection_init(&link->io, &client->turn, &handler, client->options.record_limit,
                    OUTPUT_RECORDS * (size_t)client->options.record_limit);
    client->link = link;
    client->state = LINK_NONE;
    client->open_handles++;
    return 0;
}

bool client_link_is_stale(const struct rpc_client *client)
{
    char byte;
    ssize_t got = recv(client->link->io.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR);
}

/* --- attempts -------------------------------------------------------------- */

static void on_attempt_closed(uv_handle_t *handle)
{
    struct attempt *attempt = handle->data;
    client_handle_closed(attempt->client);
    free(attempt);
}

/* Closes the attempt; its descriptor too, unless it was taken out. */
static void end_attempt(struct rpc_client *client)
{
    struct attempt *attempt = client->attempt;
    if (attempt == NULL) {
        return;
    }
    client->attempt = NULL;
    uv_close((uv_handle_t *)&attempt->poll, on_attempt_closed);
    if (attempt->fd >= 0) {
        close(attempt->fd);
    }
}

void client_disconnect(struct rpc_client *client, const char *reason, int system)
{
    end_attempt(client);
    struct client_link *link = client->link;
    client->link = NULL;
    client->state = LINK_NONE;
    if (link != NULL) {
        client_finish_all(client, &link->io, reason, system);
        connection_end(&link->io, 0, 0);
    }
}

static void set_options(int fd)
{
    int on = 1;
    int idle = KEEPALIVE_IDLE_S;
    int interval = KEEPALIVE_INTERVAL_S;
    int count = KEEPALIVE_COUNT;
    unsigned unacknowledged = UNACKNOWLEDGED_MS;
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof count);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &unacknowledged, sizeof unacknowledged);
}

/* A connect to a local port that nobody listens on can meet itself (TCP simultaneous open) when the
 * kernel picks that port for the client. It would also keep the server from binding. */
static bool met_itself(int fd)
{
    struct sockaddr_storage here = {0};
    struct sockaddr_storage there = {0};
    socklen_t here_size = sizeof here;
    socklen_t there_size = sizeof there;
    return getsockname(fd, (struct sockaddr *)&here, &here_size) == 0 &&
           getpeername(fd, (struct sockaddr *)&there, &there_size) == 0 &&
           here_size == there_size && memcmp(&here, &there, here_size) == 0;
}

static void try_next(struct rpc_client *client, int system);

static void on_attempt(uv_poll_t *poll, int status, int events)
{
    struct attempt *attempt = (struct attempt *)(void *)poll;
    struct rpc_client *client = attempt->client;
    int failure = 0;
    socklen_t size = sizeof failure;
    (void)status;
    (void)events;
    if (getsockopt(attempt->fd, SOL_SOCKET, SO_ERROR, &failure, &size) != 0) {
        failure = errno;
    }
    if (failure == 0 && met_itself(attempt->fd)) {
        failure = ECONNREFUSED;
    }
    if (failure != 0) {
        end_attempt(client);
        try_next(client, failure);
        return;
    }
    int fd = attempt->fd;
    attempt->fd = -1;
    end_attempt(client);
    client->state = LINK_CONNECTED;
    if (connection_attach(&client->link->io, client->loop, fd) != 0) {
        close(fd);
        client_disconnect(client, "cannot connect", ENOMEM);
    }
}

/* Begins to connect to one address; 0 or an errno. */
static int start_attempt(struct rpc_client *client, const struct sockaddr_storage *target)
{
    int fd = socket(target->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return errno;
    }
    set_options(fd);
    socklen_t size =
        target->ss_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
    if (connect(fd, (const struct sockaddr *)target, size) != 0 && errno != EINPROGRESS) {
        int failure = errno;
        close(fd);
        return failure;
    }
    struct attempt *attempt = malloc(sizeof *attempt);
    if (attempt == NULL || uv_poll_init(client->loop, &attempt->poll, fd) != 0) {
        free(attempt);
        close(fd);
        return ENOMEM;
    }
    attempt->poll.data = attempt;
    attempt->client = client;
    attempt->fd = fd;
    client->attempt = attempt;
    client->open_handles++;
    uv_poll_start(&attempt->poll, UV_WRITABLE, on_attempt);
    return 0;
}

/* Tries the addresses that are left, each with its share of the time that is left. */
static void try_next(struct rpc_client *client, int system)
{
    uint64_t now_ms = clock_now_ms();
    client->state = LINK_CONNECTING;
    while (client->target_next < client->target_count && now_ms < client->connect_deadline_ms) {
        unsigned left = client->target_count - client->target_next;
        client->attempt_deadline_ms = now_ms + (client->connect_deadline_ms - now_ms) / left;
        system = start_attempt(client, &client->targets[client->target_next++]);
        if (system == 0) {
            client_arm(client, client->attempt_deadline_ms);
            return;
        }
    }
    client_disconnect(client, "cannot connect", system);
}

void client_connect_expired(struct rpc_client *client, uint64_t now_ms)
{
    if (client->state == LINK_RESOLVING && now_ms >= client->attempt_deadline_ms) {
        client_disconnect(client, "the host's name could not be resolved in time", 0);
    } else if (client->state == LINK_CONNECTING && now_ms >= client->attempt_deadline_ms) {
        end_attempt(client);
        try_next(client, ETIMEDOUT);
    }
}

/* --- names ----------------------------------------------------------------- */

static bool take_numeric(struct rpc_client *client)
{
    const char *host = client->address.host;
    int port = client->address.port;
    memset(&client->targets[0], 0, sizeof client->targets[0]);
    client->target_count = 1;
    return uv_ip4_addr(host, port, (struct sockaddr_in *)&client->targets[0]) == 0 ||
           uv_ip6_addr(host, port, (struct sockaddr_in6 *)&client->targets[0]) == 0;
}

static void take_targets(struct rpc_client *client, const struct addrinfo *found)
{
    client->target_count = 0;
    for (; found != NULL && client->target_count < CLIENT_ADDRESSES; found = found->ai_next) {
        struct sockaddr_storage *target = &client->targets[client->target_count];
        if (found->ai_family != AF_INET && found->ai_family != AF_INET6) {
            continue;
        }
        memset(target, 0, sizeof *target);
        memcpy(target, found->ai_addr, found->ai_addrlen);
        if (found->ai_family == AF_INET6) {
            ((struct sockaddr_in6 *)target)->sin6_port = htons(client->address.port);
        } else {
            ((struct sockaddr_in *)target)->sin_port = htons(client->address.port);
        }
        client->target_count++;
    }
}

static void on_resolved(uv_getaddrinfo_t *request, int status, struct addrinfo *found)
{
    struct rpc_client *client = request->data;
    client->resolving = false;
    if (client->state == LINK_RESOLVING && !client->closing) {
        take_targets(client, status == 0 ? found : NULL);
        client->target_next = 0;
        if (client->target_count == 0) {
            client_disconnect(client, "the host's name cannot be resolved", 0);
        } else {
            try_next(client, 0);
        }
    }
    uv_freeaddrinfo(found);
    client_handle_closed(client);
}

/* A request that was given up may still be under way: its answer will do as well. */
static void resolve(struct rpc_client *client)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    client->state = LINK_RESOLVING;
    client->attempt_deadline_ms = client->connect_deadline_ms;
    client_arm(client, client->attempt_deadline_ms);
    if (client->resolving) {
        return;
    }
    client->resolve.data = client;
    if (uv_getaddrinfo(client->loop, &client->resolve, on_resolved, client->address.host, NULL,
                       &hints) != 0) {
        client_disconnect(client, "the host's name cannot be resolved", 0);
        return;
    }
    client->resolving = true;
    client->open_handles++;
}

void client_resolve_cancel(struct rpc_client *client)
{
    if (client->resolving) {
        (void)uv_cancel((uv_req_t *)&client->resolve); /* its callback comes in any case */
    }
}

void client_connect(struct rpc_client *client, uint64_t now_ms)
{
    client->connect_deadline_ms = now_ms + client->options.connect_timeout_ms;
    client->target_next = 0;
    if (take_numeric(client)) {
        try_next(client, 0);
    } else {
        resolve(client);
    }
}
