/* Histories as text: one JSON object a line, one operation each.
 *
 *     {"process":0,"op":"put","key":"k","value":"v1","result":"not_found","start":10,"end":25}
 *
 * op      put, put_if, get, swap or delete
 * key     the key as text
 * value   what put, put_if and swap write; null or missing otherwise
 * result  put and delete: "found" or "not_found" (whether the key existed); put_if: one of these
 *         when it was applied, else "mismatch"; get: the value, or null if the key is absent; swap:
 *         the old value, or null. Not looked at when `end` is null
 * if_version  of put_if: the version that the key had to have; 0: absent
 * version     optional: the key's version as the answer told it
 * start   nanoseconds of one clock for all processes, read before the request left
 * end     the same, read after the answer came; null: the outcome is unknown (timed out, or the
 *         client died), so that it may take effect at any time from `start` on, or never
 * process any number; for messages
 *
 * A scan is a line of its own, and counts as a get of each key of its range, from its start to its
 * end; keys that the history names and that it does not show were absent:
 *
 *     {"process":0,"op":"scan","from":"k1","to":"k4","result":[["k1","v1"],["k3","v3"]],
 *      "start":10,"end":25}                                         (on one line)
 *
 * from, to  the first and the last key of the range, both included, bytewise
 * result    what was found, in any order, each key once; not looked at when `end` is null
 *
 * Operations that certainly were not applied are left out. Lines may come in any order; empty lines
 * are skipped; unknown members are ignored. */
#ifndef CAIRN_FUZZ_HISTORY_FILE_H
#define CAIRN_FUZZ_HISTORY_FILE_H

#include <stddef.h>
#include <stdio.h>

#include "base/error.h"
#include "fuzz/history.h"
#include "fuzz/names.h"

/* A zeroed one is empty. `keys` and `values` name the numbers in `operations`. */
struct history {
    struct operation *operations;
    size_t count, room;
    struct names keys, values;
    struct scan *scans; /* being read: what they show of which keys is known at the end */
    size_t scan_count;
};

/* Adds one; CAIRN_ENOMEM. */
int history_add(struct history *history, const struct operation *operation, struct error *error);

/* Adds what the file holds. CAIRN_EINVAL names the line and what is wrong with it; CAIRN_EIO,
 * CAIRN_ENOMEM. */
int history_read(struct history *history, FILE *file, const char *name, struct error *error);
void history_free(struct history *history);

/* One operation as a person reads it, such as `process 3  [10, 25]  PUT k v1 -> not_found`, with
 * times counted from `origin_ns`, and a newline. */
void history_print(const struct history *history, const struct operation *operation,
                   uint64_t origin_ns, FILE *out);

#endif
