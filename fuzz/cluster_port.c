/* See cluster_port.h. */
#include "fuzz/cluster_port.h"

#include <arpa/inet.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/random.h"

/* Below the range from which the kernel picks ports of outgoing connections. */
enum { FIRST_PORT = 15000, LAST_PORT = 31999, TRIES = 1000 };

/* The lock is an abstract socket's name, the same that the integration tests use: it leaves no file
 * and ends with this process. */
static int lock_port(uint16_t port)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    int length =
        snprintf(name.sun_path + 1, sizeof name.sun_path - 1, "cairn-test-port-%u", (unsigned)port);
    int lock = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (lock >= 0 &&
        bind(lock, (struct sockaddr *)&name,
             (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)length)) != 0) {
        close(lock);
        return -1;
    }
    return lock;
}

static bool is_free(uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    int probe = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    bool found = probe >= 0 && bind(probe, (struct sockaddr *)&address, sizeof address) == 0;
    if (probe >= 0)
        close(probe);
    return found;
}

int port_take(uint16_t *port, int *lock, struct error *error)
{
    struct random random;
    uint64_t seed;

    random_entropy(&seed, sizeof seed);
    random_seed(&random, seed);
    for (int i = 0; i < TRIES; i++) {
        *port = (uint16_t)(FIRST_PORT + random_below(&random, LAST_PORT - FIRST_PORT + 1));
        *lock = lock_port(*port);
        if (*lock < 0)
            continue;
        if (is_free(*port))
            return 0;
        close(*lock);
    }
    *lock = -1;
    return error_set(error, CAIRN_EIO, "127.0.0.1: no free port from %d to %d", FIRST_PORT,
                     LAST_PORT);
}
