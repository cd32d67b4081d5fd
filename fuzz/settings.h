/* cairn-fuzz's command line. */
#ifndef CAIRN_FUZZ_SETTINGS_H
#define CAIRN_FUZZ_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/options.h"
#include "fuzz/own_cache.h"
#include "fuzz/plan.h"
#include "fuzz/subject.h"

struct settings {
    struct plan plan;
    struct subject_place place;
    uint64_t processes, operations, seconds, configurations;
    const char *history, *log;           /* paths, or NULL */
    char own_cache[OWN_CACHE_NAME_SIZE]; /* of this run alone, removed at its end; "": none */
    const char *nemesis;                 /* kinds; NULL: the cluster is somebody else's */
    uint64_t cycles, servers, replicas, partitions; /* 0: not given */
    uint64_t hold_ms;                               /* 0: drawn */
    uint64_t lease_ms;
    const char *programs, *folder;
    bool keep;
};

/* Parses and checks. 0, or CAIRN_EINVAL with the message. */
int settings_parse(int argc, char **argv, struct settings *settings, enum options_result *result,
                   struct error *error);

#endif
