/* Looks whether there is a cluster at all, before clients wait for it. */
#ifndef CAIRN_FUZZ_PROBE_H
#define CAIRN_FUZZ_PROBE_H

#include <stdint.h>

#include "base/error.h"

/* The cluster answers within `timeout_ms` (0: ten seconds), and has `servers` servers unless that
 * is 0. CAIRN_EUNAVAILABLE and others of client/cairn.h, CAIRN_ECONFLICT. Leaves no thread behind.
 */
int probe(const char *managers, uint64_t timeout_ms, uint64_t servers, struct error *error);

#endif
