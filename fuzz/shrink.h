/* Makes a history that nothing explains as small as it can be, without making another fault of it.
 *
 * Operations are left out one by one, and where other answers may depend on what was left out, they
 * are no longer looked at: so that of any history that can be explained, every part that is looked
 * at in this way can be explained as well. What is left and cannot be explained is therefore a
 * fault of the whole. In detail (values are unique):
 *   - what showed a value whose write is gone, tells nothing any more;
 *   - "found" tells nothing where a write that is gone may have been the last mutation before, nor
 *     does "not found" where a removal may have been: unless another mutation surely came between;
 *   - if any mutation is gone no versions tell anything, and a put under a condition is one
 * without. The key's state at first stays. */
#ifndef CAIRN_FUZZ_SHRINK_H
#define CAIRN_FUZZ_SHRINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "fuzz/watch.h"

/* What is looked at of the operations that `keeps`, into `out`, which has room for all; `*left` of
 * them. An operation that tells and does nothing is left out. CAIRN_ENOMEM. */
int shrink_project(const struct operation *operations, size_t count, const bool *keeps,
                   struct operation *out, size_t *left);

/* Shrinks a finding whose verdict is a violation; others are left alone. `until_ns` then tells the
 * operation that nothing explains. CAIRN_ENOMEM. */
int shrink(struct finding *finding, struct error *error);

#endif
