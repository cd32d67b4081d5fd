/* Checks histories while they grow, key by key, and forgets what it has checked.
 *
 * A key's operations since the last cut are its window; the key's state at the cut is known. A new
 * cut is made where no operation on the key is under way and an answer tells what the key holds:
 * all mutations ended before the one that tells began, or it is itself the last of them. If the
 * operations before the cut are explained from the known state, the state after them is what that
 * answer told, and no later operation can change the verdict about them: so the whole history is
 * linearizable if and only if all windows are, each from the state at its beginning.
 *
 * Operations whose outcome is unknown span every later cut. One whose value was seen took effect
 * before the first answer that shows it, and belongs to that window. One whose value was not seen
 * goes on into the next window as one that may yet take effect; that loses nothing, provided that
 * the window was explained without it (had it taken effect after the answer that tells, it may as
 * well do so at the beginning of the next window). Where it is not explained without, no cut is
 * made.
 *
 * A window without a cut grows; it is looked at each time it has doubled, as a history in which
 * what ends later has not ended. */
#ifndef CAIRN_FUZZ_WATCH_H
#define CAIRN_FUZZ_WATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "fuzz/checker.h"

/* A window that nothing explains, or that took too long. */
struct finding {
    enum verdict verdict;
    uint64_t key;
    struct key_state initial;
    bool later; /* there were operations before, and `initial` is what they left */
    struct operation *operations; /* by start; owned; NULL: there is no finding */
    size_t count;
    uint64_t until_ns; /* as check_report's */
    char reason[160];
};
void finding_free(struct finding *finding);

/* A call that is under way on a key. */
struct pending {
    uint64_t key, start_ns;
};

struct watch_counts {
    uint64_t operations; /* that were added */
    uint64_t checked;    /* of them before a cut, or of finished keys */
    uint64_t cuts, keys;
    uint64_t longest; /* operations of the longest window that was checked */
};

struct watch;

struct watch_options {
    bool versions; /* answers tell versions: a state is known only with its version */
    struct check_limits limits;
    size_t due; /* operations of a window that is looked at; 0: 256 */
};

/* CAIRN_ENOMEM. */
int watch_create(const struct watch_options *options, struct watch **watch, struct error *error);
void watch_free(struct watch *watch);

/* Adds an operation that has ended or never will; keys count from 1. CAIRN_ENOMEM, CAIRN_EINVAL
 * (the key is finished). */
int watch_add(struct watch *watch, const struct operation *operation, struct error *error);

/* Looks at the keys whose windows have grown. All operations that start before `floor_ns` were
 * added or are among `pending`. A finding ends the work: it stays, and nothing is looked at again.
 * CAIRN_ENOMEM. */
int watch_advance(struct watch *watch, uint64_t floor_ns, const struct pending *pending,
                  size_t count, struct error *error);

/* Nothing is added any more to the keys from `first` to before `end`: checks what is left of them.
 */
int watch_finish(struct watch *watch, uint64_t first, uint64_t end, struct error *error);

/* Owned by the watch; NULL while there is none. */
const struct finding *watch_finding(const struct watch *watch);
void watch_counts(const struct watch *watch, struct watch_counts *counts);

#endif
