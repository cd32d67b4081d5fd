/* The recorded events of all nodes, in order. */
#ifndef CAIRN_TESTS_CRASH_RECORDING_H
#define CAIRN_TESTS_CRASH_RECORDING_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "tests/crash/events.h"

struct event {
    struct event_head head;
    const char *name, *name2; /* of head.name_length, head.name2_length; no end */
    const uint8_t *data;
};

struct recording {
    struct event *events; /* [count]; the i-th has the number i + 1 */
    size_t count;
};

/* Reads the logs in `directory`; what it holds lives until the process ends. CAIRN_ECORRUPT if an
 * event is missing or cannot be read. */
int recording_open(struct recording *recording, const char *directory, struct error *error);

#endif
