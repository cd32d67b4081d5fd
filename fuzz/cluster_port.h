/* Ports of loopback for processes that are going to listen. */
#ifndef CAIRN_FUZZ_CLUSTER_PORT_H
#define CAIRN_FUZZ_CLUSTER_PORT_H

#include <stdint.h>

#include "base/error.h"

/* A port that nobody listens on and that nobody else who asks this way is given until `*lock`, a
 * descriptor of the caller's, is closed. CAIRN_EIO if there is none. */
int port_take(uint16_t *port, int *lock, struct error *error);

#endif
