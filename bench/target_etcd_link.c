/* Connecting, sending and receiving with the kernel's own time limits: no call more than an
 * operation needs. */
#include "bench/target_etcd_link.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

/* `failure` is errno's. A connect, send or receive that ran out of time says EINPROGRESS or EAGAIN
 * (socket(7), SO_RCVTIMEO). */
static int fail(int failure, struct error *error)
{
    if (failure == EAGAIN || failure == EINPROGRESS)
        return error_set(error, CAIRN_ETIMEDOUT, "no answer in time");
    return error_set(error, CAIRN_EUNAVAILABLE, "%s", strerror(failure));
}

static int set_options(int link, uint64_t timeout_ms)
{
    const struct timeval limit = {.tv_sec = (time_t)(timeout_ms / 1000),
                                  .tv_usec = (suseconds_t)(timeout_ms % 1000 * 1000)};
    const int on = 1;
    if (setsockopt(link, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) != 0 ||
        setsockopt(link, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) != 0 ||
        setsockopt(link, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) != 0)
        return -1;
    return 0;
}

static int connect_to(const struct addrinfo *place, uint64_t timeout_ms, int *link,
                      struct error *error)
{
    int made = socket(place->ai_family, place->ai_socktype | SOCK_CLOEXEC, place->ai_protocol);
    if (made < 0)
        return fail(errno, error);
    if (set_options(made, timeout_ms) == 0 &&
        connect(made, place->ai_addr, place->ai_addrlen) == 0) {
        *link = made;
        return 0;
    }
    int failure = errno;
    close(made);
    return fail(failure, error);
}

int link_open(const struct address *address, uint64_t timeout_ms, int *link, struct error *error)
{
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *places = NULL;
    struct error last = {0};
    char port[8], text[ADDRESS_TEXT_MAX];
    *link = -1;
    snprintf(port, sizeof(port), "%u", (unsigned)address->port);
    int failure = getaddrinfo(address->host, port, &hints, &places);
    if (failure != 0)
        return error_set(error, CAIRN_EUNAVAILABLE, "etcd %s: %s", address_format(address, text),
                         gai_strerror(failure));
    int status = CAIRN_EUNAVAILABLE;
    for (const struct addrinfo *place = places; place != NULL && status != 0;
         place = place->ai_next)
        status = connect_to(place, timeout_ms, link, &last);
    freeaddrinfo(places);
    return status == 0 ? 0
                       : error_set(error, status, "etcd %s: %s", address_format(address, text),
                                   last.message);
}

int link_send(int link, const void *data, size_t length, struct error *error)
{
    const char *at = data;
    while (length > 0) {
        ssize_t sent = send(link, at, length, MSG_NOSIGNAL);
        if (sent < 0 && errno != EINTR)
            return fail(errno, error);
        if (sent > 0) {
            at += sent;
            length -= (size_t)sent;
        }
    }
    return 0;
}

int link_receive(int link, void *out, size_t size, size_t *length, struct error *error)
{
    ssize_t got;
    *length = 0;
    do
        got = recv(link, out, size, 0);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return fail(errno, error);
    if (got == 0)
        return error_set(error, CAIRN_EUNAVAILABLE, "the connection was closed");
    *length = (size_t)got;
    return 0;
}
