/* See network.h.
 *
 * Host n has the address 10.77.0.(n + 1) on its only device, eth0, whose other end, h<n>, is in the
 * router. All ends in the router have the same link-local address, which is every host's gateway.
 * A cut is a policy routing rule of the router, by where a packet comes in and where it goes:
 * forwarded packets that meet a blackhole vanish without an answer. */
#include "fuzz/network.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "fuzz/network_ip.h"
#include "fuzz/node_process.h"

#define GATEWAY       "169.254.77.1"
#define OWN_NAMESPACE "/proc/thread-self/ns/net"

/* Rules are looked at in the order of their preference; those of the kernel begin at 32766. */
enum { FIRST_PREFERENCE = 1000 };

struct network {
    int home, router;
    int hosts[NETWORK_HOSTS_MAX];
    unsigned host_count;
    unsigned cut_count;
};

void network_address(unsigned host, char out[NETWORK_ADDRESS_MAX])
{
    CHECK(host < NETWORK_HOSTS_MAX);
    (void)snprintf(out, NETWORK_ADDRESS_MAX, "10.77.0.%u", host + 1);
}

int network_host(const struct network *network, unsigned host)
{
    CHECK(host < network->host_count);
    return network->hosts[host];
}

int network_home(const struct network *network)
{
    return network->home;
}

/* A new namespace; the calling thread is back at home when this returns. */
static int new_namespace(const struct network *network, int *found, struct error *error)
{
    if (unshare(CLONE_NEWNET) != 0)
        return error_set(error, CAIRN_EUNAVAILABLE, "network namespaces: %s", strerror(errno));
    *found = open(OWN_NAMESPACE, O_RDONLY | O_CLOEXEC);
    int rc = *found < 0 ? -errno : 0;
    process_enter(network->home);
    if (rc != 0)
        return error_set(error, CAIRN_EUNAVAILABLE, OWN_NAMESPACE ": %s", strerror(-rc));
    return 0;
}

/* Forwarding is a setting of the namespace in which the file is opened. */
static int forward(const struct network *network, struct error *error)
{
    process_enter(network->router);
    int file = open("/proc/sys/net/ipv4/ip_forward", O_WRONLY | O_CLOEXEC);
    int rc = file >= 0 && write(file, "1", 1) == 1 ? 0 : -errno;
    process_enter(network->home);
    if (file >= 0)
        close(file);
    if (rc != 0)
        return error_set(error, CAIRN_EUNAVAILABLE, "the router cannot forward: %s", strerror(-rc));
    return 0;
}

static int join_host(const struct network *network, unsigned host, struct error *error)
{
    char address[NETWORK_ADDRESS_MAX];

    network_address(host, address);
    int rc = network_ip(network->router, error,
                        "link add h%u type veth peer name eth0 netns /proc/%ld/fd/%d\n"
                        "address add " GATEWAY "/32 dev h%u\n"
                        "link set h%u up\n"
                        "route add %s/32 dev h%u\n",
                        host, (long)getpid(), network->hosts[host], host, host, address, host);
    if (rc != 0)
        return rc;
    return network_ip(network->hosts[host], error,
                      "link set lo up\n"
                      "address add %s/32 dev eth0\n"
                      "link set eth0 up\n"
                      "route add " GATEWAY "/32 dev eth0 scope link src %s\n"
                      "route add default via " GATEWAY " src %s\n",
                      address, address, address);
}

static int build(struct network *network, unsigned hosts, struct error *error)
{
    network->home = open(OWN_NAMESPACE, O_RDONLY | O_CLOEXEC);
    if (network->home < 0)
        return error_set(error, CAIRN_EUNAVAILABLE, OWN_NAMESPACE ": %s", strerror(errno));
    if (geteuid() != 0)
        return error_set(error, CAIRN_EUNAVAILABLE, "network namespaces need root");
    int rc = new_namespace(network, &network->router, error);
    if (rc == 0)
        rc = forward(network, error);
    for (unsigned host = 0; rc == 0 && host < hosts; host++) {
        rc = new_namespace(network, &network->hosts[host], error);
        network->host_count += rc == 0;
        if (rc == 0)
            rc = join_host(network, host, error);
    }
    return rc;
}

int network_open(unsigned hosts, struct network **network, struct error *error)
{
    CHECK(hosts > 0 && hosts <= NETWORK_HOSTS_MAX);
    *network = calloc(1, sizeof **network);
    if (*network == NULL)
        return error_set(error, CAIRN_ENOMEM, "network: out of memory");
    (*network)->home = (*network)->router = -1;
    int rc = build(*network, hosts, error);
    if (rc != 0) {
        network_close(*network);
        *network = NULL;
    }
    return rc;
}

void network_close(struct network *network)
{
    if (network == NULL)
        return;
    for (unsigned host = 0; host < network->host_count; host++)
        close(network->hosts[host]);
    if (network->router >= 0)
        close(network->router);
    if (network->home >= 0)
        close(network->home);
    free(network);
}

/* Has `ip` change the router's rules. */
static int change_rules(struct network *network, FILE *commands, char *const *text,
                        struct error *error)
{
    if (fclose(commands) != 0)
        return error_set(error, CAIRN_ENOMEM, "network: out of memory");
    return network_ip_text(network->router, *text, error);
}

int network_cut(struct network *network, const uint32_t cut[NETWORK_HOSTS_MAX], struct error *error)
{
    char address[NETWORK_ADDRESS_MAX], *text = NULL;
    size_t length;
    unsigned count = network->cut_count;
    FILE *commands = open_memstream(&text, &length);

    if (commands == NULL)
        return error_set(error, CAIRN_ENOMEM, "network: out of memory");
    for (unsigned from = 0; from < NETWORK_HOSTS_MAX; from++)
        for (unsigned to = 0; to < NETWORK_HOSTS_MAX; to++) {
            if ((cut[from] >> to & 1) == 0)
                continue;
            CHECK(from < network->host_count && to < network->host_count && from != to);
            network_address(to, address);
            (void)fprintf(commands, "rule add preference %u iif h%u to %s/32 blackhole\n",
                          FIRST_PREFERENCE + count++, from, address);
        }
    int rc = change_rules(network, commands, &text, error);
    if (rc == 0)
        network->cut_count = count;
    free(text);
    return rc;
}

int network_heal(struct network *network, struct error *error)
{
    char *text = NULL;
    size_t length;

    if (network->cut_count == 0)
        return 0;
    FILE *commands = open_memstream(&text, &length);
    if (commands == NULL)
        return error_set(error, CAIRN_ENOMEM, "network: out of memory");
    for (unsigned i = 0; i < network->cut_count; i++)
        (void)fprintf(commands, "rule delete preference %u\n", FIRST_PREFERENCE + i);
    int rc = change_rules(network, commands, &text, error);
    if (rc == 0)
        network->cut_count = 0;
    free(text);
    return rc;
}
