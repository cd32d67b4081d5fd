/* A blocking TCP connection whose calls end in time. */
#ifndef CAIRN_BENCH_TARGET_ETCD_LINK_H
#define CAIRN_BENCH_TARGET_ETCD_LINK_H

#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "base/error.h"

/* Connects, with TCP_NODELAY; each call below, and connecting to each address of a host, takes at
 * most `timeout_ms`. `*link` is -1 on failure. Messages name the address. */
int link_open(const struct address *address, uint64_t timeout_ms, int *link, struct error *error);
/* Sends all. Messages of the two lack the address. */
int link_send(int link, const void *data, size_t length, struct error *error);
/* Receives at least one byte, at most `size`. */
int link_receive(int link, void *out, size_t size, size_t *length, struct error *error);

#endif
