/* A run against a cluster of its own, to which faults happen meanwhile. */
#ifndef CAIRN_FUZZ_HARM_H
#define CAIRN_FUZZ_HARM_H

#include <stdbool.h>

#include "base/error.h"
#include "fuzz/output.h"
#include "fuzz/settings.h"

/* Starts the cluster, runs clients during cycles of faults, and requires that all calls complete,
 * that the cluster recovers, and that all answers fit (`*passed`). An error that is not about the
 * cluster's health means that it could not run. */
int harm_run(struct settings *settings, struct output *output, bool (*interrupted)(void),
             bool *passed, struct error *error);

#endif
