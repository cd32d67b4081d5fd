/* cairn-bench's command line. */
#ifndef CAIRN_BENCH_SETTINGS_H
#define CAIRN_BENCH_SETTINGS_H

#include <stdbool.h>

#include "base/error.h"
#include "base/options.h"
#include "bench/player.h"
#include "bench/processes.h"
#include "bench/properties.h"
#include "bench/runner.h"
#include "bench/ycsb.h"

enum { SETTINGS_NAME_SIZE = 33 };

struct settings {
    struct run_plan plan; /* what is measured */
    struct processes processes;
    struct player_options player;      /* hosts 0: a store is measured */
    char own_name[SETTINGS_NAME_SIZE]; /* of a cache for this run alone; "": there is none */
    bool load;                         /* write all keys before */
    bool json;
    bool progress;      /* tell it also where nobody looks */
    uint64_t status_ms; /* from one word of progress to the next */
    /* YCSB_NONE: options say what is measured; else these properties, and what options say of
     * them. */
    enum ycsb_phase phase;
    struct properties properties;
    const char *workload; /* of --workload; NULL if not given */
};

/* Parses and checks, and reads files of properties. 0, or CAIRN_EINVAL, CAIRN_EIO with the message.
 */
int settings_parse(int argc, char **argv, struct settings *settings, enum options_result *result,
                   struct error *error);

#endif
