/* A network of its own for a cluster: each host in a network namespace, all joined by a router in
 * another one, which silently drops what a cut says. Needs root, `ip`, and a kernel with veth
 * devices and policy routing. The namespaces have no names: they end with their last process and
 * descriptor, also if this process is killed. */
#ifndef CAIRN_FUZZ_NETWORK_H
#define CAIRN_FUZZ_NETWORK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

enum { NETWORK_HOSTS_MAX = 32, NETWORK_ADDRESS_MAX = 16 };

struct network;

/* Whether this machine allows it is found by making it. Hosts are numbered from 0.
 * CAIRN_EUNAVAILABLE with the reason, CAIRN_ENOMEM. */
int network_open(unsigned hosts, struct network **network, struct error *error);
/* NULL is fine. What still runs in the namespaces keeps them, without a way to one another. */
void network_close(struct network *network);

/* A host's IPv4 address as text, written to `out`. */
void network_address(unsigned host, char out[NETWORK_ADDRESS_MAX]);
/* The host's namespace and that of the program, for setns; owned by the network. Thread-safe. */
int network_host(const struct network *network, unsigned host);
int network_home(const struct network *network);

/* From now on the router drops what a host sends to those whose bits `cut` has for it; the other
 * way stays. All within a few ms of one another. */
int network_cut(struct network *network, const uint32_t cut[NETWORK_HOSTS_MAX],
                struct error *error);
/* Ends all cuts. */
int network_heal(struct network *network, struct error *error);

#endif
