/* Runs `cairn` as the cluster's operator, whose links are never cut. Private to the nemesis. */
#ifndef CAIRN_FUZZ_CLUSTER_TOOL_H
#define CAIRN_FUZZ_CLUSTER_TOOL_H

#include <stdint.h>

#include "base/buffer.h"
#include "fuzz/cluster.h"

/* Runs `cairn --manager ... WORDS` for at most `limit_ms`; words are separated by single spaces.
 * `*exit_code` is the program's, 3 if it had to be killed. What it printed is appended to `output`,
 * with a NUL that is not counted, as is what it said on stderr if that is all. CAIRN_EIO: it could
 * not be run, or was killed by a signal; CAIRN_ENOMEM. */
int tool_run(struct cluster *cluster, const char *words, uint64_t limit_ms, int *exit_code,
             struct buffer *output, struct error *error);

#endif
