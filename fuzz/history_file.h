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
};

/* Adds what the file holds. CAIRN_EINVAL names the line and what is wrong with it; CAIRN_EIO,
 * CAIRN_ENOMEM. */
int history_read(struct history *history, FILE *file, const char *name, struct error *error);
void history_free(struct history *history);

/* One operation as a person reads it, such as `process 3  [10, 25]  PUT k v1 -> not_found`, with
 * times counted from `origin_ns`, and a newline. */
void history_print(const struct history *history, const struct operation *operation,
                   uint64_t origin_ns, FILE *out);

#endif
