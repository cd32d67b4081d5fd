/* Retirement of a handle's session where its mutations went (ARCHITECTURE.md S4). */
#ifndef CAIRN_CLIENT_RETIRE_H
#define CAIRN_CLIENT_RETIRE_H

#include "client/cairn.h"

/* Asks the primaries, in parallel, that are still connected; waits for at most one second. What is
 * not retired is evicted by the servers after 24 h. */
void retire_sessions(cairn_t *db);

#endif
