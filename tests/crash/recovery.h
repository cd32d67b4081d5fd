/* A node's start on what a power loss left: its own recovery, without its network. There are two
 * programs with one recovery each: that of servers (recovery.c) and the manager's
 * (manager/recovery.c). */
#ifndef CAIRN_TESTS_CRASH_RECOVERY_H
#define CAIRN_TESTS_CRASH_RECOVERY_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum recovery_outcome {
    RECOVERY_KEPT,    /* all that was acknowledged is there */
    RECOVERY_REFUSED, /* the start was refused, with a message */
    RECOVERY_LOST,    /* something acknowledged is not there, or something that nobody wrote is */
    RECOVERY_BROKE,   /* the process ended, or did not come to an end */
    RECOVERY_OUTCOMES,
};

/* What was acknowledged by when: to clients by servers (marks.h), about the map by the manager. */
struct recovery_marks;

struct recovery_task {
    const char *directory; /* the node's data directory; changed */
    const struct recovery_marks *marks;
    uint64_t number; /* the last event before the power loss */
    uint32_t starts; /* how often, one after the other: at least 1 */
    /* A server's. */
    uint32_t server;
    uint64_t segment_bytes, map_bytes, memtable_bytes;
};

/* Lives until the process ends. CAIRN_EINVAL names the line. */
int recovery_marks_open(const char *path, const struct recovery_marks **marks, struct error *error);
/* How many things were acknowledged. */
size_t recovery_acknowledged(const struct recovery_marks *marks);

/* A server: opens the directory as cairn-server does, makes the server the primary of all
 * partitions, alone, and reads all keys. The manager: opens it as cairn-manager does and looks at
 * the map. `text` is the reason for any outcome but KEPT. */
enum recovery_outcome recovery_try(const struct recovery_task *task, char *text, size_t limit);

#endif
