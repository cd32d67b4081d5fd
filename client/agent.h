/* The agent of a host: one thread in one of the host's processes, which keeps a session with every
 * server and carries out invalidations (ARCHITECTURE.md C4, C5, C6).
 *
 * Who the agent is decides a lock of the kernel: when its process dies, however, another one that
 * stands by takes over. Its machinery is that of a handle without a cache of its own: loop,
 * connections to servers, and how the map is fetched. */
#ifndef CAIRN_CLIENT_AGENT_H
#define CAIRN_CLIENT_AGENT_H

#include <stdbool.h>

#include "client/host.h"

struct agent; /* opaque */

/* `host` outlives the agent. NULL when out of memory. */
struct agent *agent_create(struct host *host);
/* Runs a thread that stands by and becomes the agent when there is none. False: no thread. */
bool agent_start(struct agent *agent);
/* Makes the thread leave, joins it and frees. Bounded: servers are told for 200 ms at most (C6),
 * but a name that is being resolved can take longer. NULL is fine. */
void agent_stop(struct agent *agent);
/* The same in the calling thread, until `*stop` is set or the segment is the host's no more; then
 * agent_free. */
void agent_run(struct agent *agent, const volatile int *stop);
void agent_free(struct agent *agent);

#endif
