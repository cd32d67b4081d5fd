/* Runs `ip` of iproute2. Private to the network. */
#ifndef CAIRN_FUZZ_NETWORK_IP_H
#define CAIRN_FUZZ_NETWORK_IP_H

#include "base/error.h"

/* Has `ip` do what the lines say, one command each, in a namespace. CAIRN_EUNAVAILABLE with what it
 * said if one fails; those before it are done. */
int network_ip(int network, struct error *error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The same as a text, of any length. */
int network_ip_text(int network, const char *commands, struct error *error);

#endif
