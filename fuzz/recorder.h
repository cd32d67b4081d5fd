/* Takes what lanes show: into operations for the watch, and into the history file. */
#ifndef CAIRN_FUZZ_RECORDER_H
#define CAIRN_FUZZ_RECORDER_H

#include <stddef.h>
#include <stdio.h>

#include "base/error.h"
#include "fuzz/history_file.h"
#include "fuzz/lane.h"
#include "fuzz/plan.h"
#include "fuzz/watch.h"

struct recorder {
    const struct plan *plan;
    FILE *file; /* NULL: none is written */
    const char *path;
    char *value; /* room for a value's text */
};

/* `path` may be NULL; the caller's. CAIRN_EIO, CAIRN_ENOMEM. */
int recorder_open(struct recorder *recorder, const struct plan *plan, const char *path,
                  struct error *error);
/* CAIRN_EIO if something could not be written. */
int recorder_close(struct recorder *recorder, struct error *error);

/* The single-key operations of a call, one or as many as its scan covers; returns how many. An
 * answer that is not known, or is that nothing was done, may give none. */
size_t recorder_operations(const struct lane_entry *entry, uint32_t client,
                           struct operation out[PLAN_SCAN_KEYS]);
/* Writes the call's line. `foreign`: the text of a value that no call wrote. */
void recorder_write(struct recorder *recorder, const struct lane_entry *entry, uint32_t client,
                    const char *foreign);

#endif
