/* All the states that are tried of one node in one recording. */
#ifndef CAIRN_TESTS_CRASH_TRIES_H
#define CAIRN_TESTS_CRASH_TRIES_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/crash/disk.h"
#include "tests/crash/recovery.h"

enum { TRIES_JOBS = 16, TRIES_VARIANTS = 64 };

struct tries {
    const struct recording *recording;
    struct recovery_task task; /* directory and number are set for each try */
    const char *images;        /* a directory for the images, best in memory */
    const char *node;          /* its directory's name below the recorded root */
    unsigned slot;             /* its number in the recording */
    uint32_t variants, jobs;
    uint64_t limit; /* about so many states, spread over all events; 0: all */
    uint64_t seed;
    enum disk_lie lie;
    uint64_t from, until; /* events tried now, of those that the limit is about; until: not it */
    uint64_t only_event;  /* 0: all */
    int only_variant;     /* -1: all */
};

/* Tries them all and prints what came of it: a line for each state that did not keep everything
 * (some of them), on stderr; one JSON object with the counts on stdout. True if nothing was lost
 * and no recovery broke. */
bool tries_run(const struct tries *tries);
/* Writes the image of all nodes behind only_event into `out`. */
void tries_write(const struct tries *tries, const char *out);

#endif
