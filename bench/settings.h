/* cairn-bench's command line. */
#ifndef CAIRN_BENCH_SETTINGS_H
#define CAIRN_BENCH_SETTINGS_H

#include <stdbool.h>

#include "base/error.h"
#include "base/options.h"
#include "bench/runner.h"

struct settings {
    struct run_plan plan; /* what is measured */
    bool load;            /* write all keys before */
    bool json;
};

/* Parses and checks. 0, or CAIRN_EINVAL with the message. */
int settings_parse(int argc, char **argv, struct settings *settings, enum options_result *result,
                   struct error *error);

#endif
