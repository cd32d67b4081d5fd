/* Whether a history of single-key operations is linearizable.
 *
 * Keys are checked one by one, since linearizability is local (Herlihy and Wing, 1990; Horn and
 * Kroening, "Faster linearizability checking via P-compositionality", 2015). A key's operations are
 * searched as by Wing and Gong with Lowe's memoization ("Testing for linearizability", 2017).
 *
 * An operation whose end lies before another's start precedes it; equal times do not order. A key
 * is absent at first. An absent key's version is 0; each write makes it one more, a delete 0. */
#ifndef CAIRN_FUZZ_CHECKER_H
#define CAIRN_FUZZ_CHECKER_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "fuzz/history.h"

enum verdict {
    VERDICT_LINEARIZABLE,
    VERDICT_VIOLATION, /* no order explains the answers */
    VERDICT_UNKNOWN,   /* the search ran out of its budget; counts as a failure */
};

struct check_limits {
    uint64_t configurations; /* that one key's search may visit; 0: the default */
    uint64_t memory_bytes;   /* for remembering them; 0: the default */
};

struct check_report {
    enum verdict verdict; /* the worst over all keys: a violation, then unknown */
    uint64_t keys, operations;
    uint64_t failed_keys;    /* violations and unknowns */
    uint64_t configurations; /* visited, over all keys */
    /* Of the failing key with the fewest operations among those with the worst verdict: */
    uint64_t key;
    uint64_t key_operations;
    /* The history up to here, and not before, contradicts itself: the operation that ended at this
     * time cannot be explained. OPERATION_OPEN if that is not known. */
    uint64_t until_ns;
    char reason[160];
};

/* Checks `count` operations in any order; `limits` may be NULL. 0 with the verdict in `report`, or
 * CAIRN_EINVAL for an operation that is none (ends before its start, writes value 0), CAIRN_ENOMEM.
 * Thread-safe. */
int history_check(const struct operation *operations, size_t count,
                  const struct check_limits *limits, struct check_report *report,
                  struct error *error);

/* The same for operations on one key that held `initial` when they began. `report->keys` is 1. */
int history_check_key(const struct operation *operations, size_t count, struct key_state initial,
                      const struct check_limits *limits, struct check_report *report,
                      struct error *error);

/* "linearizable", "violation", "unknown". */
const char *verdict_text(enum verdict verdict);

#endif
