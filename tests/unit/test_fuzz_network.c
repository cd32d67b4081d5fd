/* The network of the nemesis: what a cut says is lost, one way and from one host only, and nothing
 * else; healed, all arrives. Skipped where namespaces are not allowed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "fuzz/network.h"
#include "fuzz/node_process.h"

enum { HOSTS = 3, PORT = 4000, SOON_MS = 5000, NEVER_MS = 200 };

struct fixture {
    struct network *network;
    int sockets[HOSTS]; /* one on each host */
};

/* A socket stays in the namespace in which it was made. */
static int open_socket(const struct network *network, unsigned host)
{
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(PORT)};

    process_enter(network_host(network, host));
    int made = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    process_enter(network_home(network));
    assert_true(made >= 0);
    assert_int_equal(bind(made, (struct sockaddr *)&any, sizeof any), 0);
    return made;
}

static int cut(const struct fixture *fixture, unsigned from, unsigned to, struct error *error)
{
    uint32_t cuts[NETWORK_HOSTS_MAX] = {0};

    cuts[from] = 1U << to;
    return network_cut(fixture->network, cuts, error);
}

static bool arrives(const struct fixture *fixture, unsigned from, unsigned to, int limit_ms)
{
    struct sockaddr_in target = {.sin_family = AF_INET, .sin_port = htons(PORT)};
    struct pollfd waiting = {.fd = fixture->sockets[to], .events = POLLIN};
    char address[NETWORK_ADDRESS_MAX], found[8];

    network_address(to, address);
    assert_int_equal(inet_pton(AF_INET, address, &target.sin_addr), 1);
    ssize_t sent =
        sendto(fixture->sockets[from], "x", 1, 0, (struct sockaddr *)&target, sizeof target);
    assert_int_equal(sent, 1); /* the sender is not told */
    if (poll(&waiting, 1, limit_ms) == 0)
        return false;
    assert_int_equal(recv(fixture->sockets[to], found, sizeof found, 0), 1);
    return true;
}

static int setup(void **state)
{
    static struct fixture fixture;
    struct error error = {0};

    *state = NULL;
    if (network_open(HOSTS, &fixture.network, &error) != 0) {
        (void)printf("skipped: %s\n", error.message);
        return 0;
    }
    for (unsigned host = 0; host < HOSTS; host++)
        fixture.sockets[host] = open_socket(fixture.network, host);
    *state = &fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;

    if (fixture == NULL)
        return 0;
    for (unsigned host = 0; host < HOSTS; host++)
        close(fixture->sockets[host]);
    network_close(fixture->network);
    return 0;
}

static void test_a_cut_loses_one_way_of_one_link_until_it_is_healed(void **state)
{
    const struct fixture *fixture = *state;
    struct error error = {0};

    if (fixture == NULL)
        skip();
    assert_true(arrives(fixture, 0, 1, SOON_MS));
    assert_int_equal(cut(fixture, 0, 1, &error), 0);
    assert_false(arrives(fixture, 0, 1, NEVER_MS));
    assert_true(arrives(fixture, 1, 0, SOON_MS));
    assert_true(arrives(fixture, 2, 1, SOON_MS));
    assert_true(arrives(fixture, 0, 2, SOON_MS));
    assert_int_equal(cut(fixture, 1, 0, &error), 0);
    assert_false(arrives(fixture, 1, 0, NEVER_MS));
    assert_int_equal(network_heal(fixture->network, &error), 0);
    assert_true(arrives(fixture, 0, 1, SOON_MS));
    assert_true(arrives(fixture, 1, 0, SOON_MS));
    /* Several at once. */
    const uint32_t both[NETWORK_HOSTS_MAX] = {1U << 1 | 1U << 2, 1U << 0};
    assert_int_equal(network_cut(fixture->network, both, &error), 0);
    assert_false(arrives(fixture, 0, 1, NEVER_MS));
    assert_false(arrives(fixture, 1, 0, NEVER_MS));
    assert_false(arrives(fixture, 0, 2, NEVER_MS));
    assert_true(arrives(fixture, 2, 0, SOON_MS));
    assert_int_equal(network_heal(fixture->network, &error), 0);
    assert_true(arrives(fixture, 0, 1, SOON_MS));
    assert_true(arrives(fixture, 0, 2, SOON_MS));
    /* Healing what is whole is nothing. */
    assert_int_equal(network_heal(fixture->network, &error), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_cut_loses_one_way_of_one_link_until_it_is_healed),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
