/* A lane carries what one client does to the process that checks: a ring of calls in memory that
 * both share, so that what a client began is known even if it is killed.
 *
 * One client writes, one checker reads; neither waits for a lock. The client takes two clock
 * readings for each call, and says beforehand that it is going to: so the checker knows of each
 * lane from when on its next call can begin (lane_floor). */
#ifndef CAIRN_FUZZ_LANE_H
#define CAIRN_FUZZ_LANE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "fuzz/history.h"
#include "fuzz/plan.h"

enum { LANE_ROOM = 256, LANE_TEXT_SIZE = 64 };

enum call_outcome {
    OUTCOME_OPEN, /* not known, maybe for ever */
    OUTCOME_ANSWERED,
    OUTCOME_NOT_APPLIED, /* certainly: no part of the history */
};

struct answer {
    enum call_outcome outcome;
    uint64_t result;                 /* as struct operation's */
    uint64_t version;                /* or OPERATION_NO_VERSION */
    uint64_t values[PLAN_SCAN_KEYS]; /* of a scan: what each of its keys held, 0: it was missing */
};

struct lane_entry {
    struct call call;
    struct answer answer;
    uint64_t start_ns, end_ns;
};

struct lane {
    _Atomic uint64_t begun, ended; /* calls; at most one lies between them */
    _Atomic uint64_t taken;        /* ended calls that the checker has done with */
    _Atomic uint64_t seen_ns;      /* the latest reading that shows in the ring */
    _Atomic bool reads_clock;      /* it may be about to show an earlier reading than now */
    _Atomic bool closed;           /* nothing more begins */
    struct error error;            /* once closed: why, or code 0 */
    char foreign[LANE_TEXT_SIZE];  /* the last value seen that no call wrote, as far as it fits */
    struct lane_entry ring[LANE_ROOM];
};

/* --- the client's side --- */

/* Waits for room; false if `stop` was set meanwhile. */
bool lane_wait(struct lane *lane, const _Atomic bool *stop);
/* A call begins now. */
void lane_begin(struct lane *lane, const struct call *call);
/* It ended with this answer. */
void lane_end(struct lane *lane, const struct answer *answer);
/* Nothing more comes. `error`: what made the client fail, or NULL. */
void lane_close(struct lane *lane, const struct error *error);

/* --- the checker's side --- */

/* A time before which no call begins that the lane does not show yet; OPERATION_OPEN once closed.
 * What the lane shows is read after this. */
uint64_t lane_floor(const struct lane *lane);
/* The next call that ended and was not taken, or NULL; valid until lane_take. */
const struct lane_entry *lane_next(const struct lane *lane);
void lane_take(struct lane *lane);
/* The first call that began and was not taken, or NULL. What is neither this one nor taken
 * starts no earlier than lane_floor said before. Its answer is not to be
 * looked at. */
const struct lane_entry *lane_untaken(const struct lane *lane);
/* Calls that began, and those that were taken. */
uint64_t lane_count(const struct lane *lane);
uint64_t lane_taken(const struct lane *lane);

#endif
