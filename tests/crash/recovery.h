/* A server's start on what a power loss left: the server's own recovery, without its network. */
#ifndef CAIRN_TESTS_CRASH_RECOVERY_H
#define CAIRN_TESTS_CRASH_RECOVERY_H

#include <stdint.h>

#include "tests/crash/marks.h"

enum recovery_outcome {
    RECOVERY_KEPT,    /* every acknowledged write is there */
    RECOVERY_REFUSED, /* the start was refused, with a message */
    RECOVERY_EARLY,   /* the same before anything was acknowledged: told by tries.c */
    RECOVERY_LOST,    /* an acknowledged write is not there, or something that nobody wrote is */
    RECOVERY_BROKE,   /* the process ended, or did not come to an end */
    RECOVERY_OUTCOMES,
};

struct recovery_task {
    const char *directory; /* the server's data directory; changed */
    uint32_t server;
    const struct marks *marks;
    uint64_t number; /* the last event before the power loss */
    uint64_t segment_bytes, map_bytes, memtable_bytes;
    uint32_t starts; /* how often, one after the other: at least 1 */
};

/* Opens the directory as cairn-server does, makes the server the primary of all partitions, alone,
 * and reads all keys. `text` is the reason for any outcome but KEPT. */
enum recovery_outcome recovery_try(const struct recovery_task *task, char *text, size_t limit);

#endif
