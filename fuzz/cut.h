/* Where a key's history may be cut (watch.h says why). Private to the watch and its tests. */
#ifndef CAIRN_FUZZ_CUT_H
#define CAIRN_FUZZ_CUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fuzz/history.h"

struct cut {
    size_t before;          /* operations [0, before) lie before it */
    struct key_state state; /* that the key has there, if they are explained */
};

/* By start, then by end. */
void cut_sort(struct operation *operations, size_t count);

/* The last cut, or the first, of operations so sorted, with everything before it ended before
 * `limit_ns`; false if there is none. `seen_ns`, of `count` numbers: of each operation whose
 * outcome is unknown, when an answer first showed its value, else OPERATION_OPEN (cut_seen).
 * `versions`: a state is known only with its version. */
bool cut_find(const struct operation *operations, const uint64_t *seen_ns, size_t count,
              uint64_t limit_ns, bool versions, bool first, struct cut *cut);

/* Fills `seen_ns`. Only answers that came before `limit_ns` are looked at. */
void cut_seen(const struct operation *operations, size_t count, uint64_t limit_ns,
              uint64_t *seen_ns);

/* Whether the operation may change the key. */
bool operation_mutates(const struct operation *operation);

#endif
