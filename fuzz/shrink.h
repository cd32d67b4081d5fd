/* Makes a history that nothing explains as small as it can be, without making another fault of it.
 *
 * Operations are left out one by one, and where other answers may depend on what was left out, they
 * are no longer looked at: so that of any history that can be explained, every part that is looked
 * at in this way can be explained as well. What is left and cannot be explained is therefore a
 * fault of the whole. In detail (values are unique):
 *   - what showed a value whose write is gone, tells nothing any more;
 *   - without all writes nobody's "found" is looked at, without all removals nobody's "not found";
 *   - without all of both no versions are, and a put under a condition is one without.
 * The key's state at first stays. */
#ifndef CAIRN_FUZZ_SHRINK_H
#define CAIRN_FUZZ_SHRINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "fuzz/watch.h"

/* What is looked at of the operations that `keeps`, into `out`, which has room for all: returns how
 * many are left. An operation that tells and does nothing is left out. */
size_t shrink_project(const struct operation *operations, size_t count, const bool *keeps,
                      struct operation *out);

/* Shrinks a finding whose verdict is a violation; others are left alone. `until_ns` then tells the
 * operation that nothing explains. CAIRN_ENOMEM. */
int shrink(struct finding *finding, struct error *error);

#endif
