/* What the parts of the nemesis share. Private to it. */
#ifndef CAIRN_FUZZ_NEMESIS_INTERNAL_H
#define CAIRN_FUZZ_NEMESIS_INTERNAL_H

#include "base/random.h"
#include "fuzz/cluster.h"
#include "fuzz/fault.h"
#include "fuzz/nemesis.h"
#include "fuzz/nemesis_folder.h"

struct nemesis {
    struct nemesis_options options; /* with defaults in place; its strings are not looked at */
    struct cluster cluster;
    struct folder folder;
    struct random random;
    uint64_t cycles, healed_ms;
    uint64_t faults[NEMESIS_KINDS];
    bool has_failed;
    char now[FAULT_TEXT_MAX * FAULTS_AT_ONCE + 64]; /* what happens in this cycle */
};

/* A line of progress. */
void nemesis_say(const struct nemesis *nemesis, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
