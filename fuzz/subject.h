/* What is tested, as one client sees it: Cairn through its library, or a program in workload mode.
 *
 * One thread uses a subject. */
#ifndef CAIRN_FUZZ_SUBJECT_H
#define CAIRN_FUZZ_SUBJECT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "fuzz/lane.h"
#include "fuzz/plan.h"

/* Strings are the caller's, and outlive the subjects. */
struct subject_place {
    const char *command;  /* run by /bin/sh for each client; NULL: Cairn's library */
    const char *managers; /* of the library */
    const char *cache_name;
    uint32_t caches;      /* 0: one of that name; else so many, shared out to the processes */
    uint64_t cache_bytes; /* 0: the library's default */
    uint64_t timeout_ms;  /* of one call through the library; 0: none */
    bool no_cache;
};

struct subject;

/* `lane` gets foreign values. On failure `*subject` is NULL. */
int subject_open(const struct subject_place *place, const struct plan *plan, struct lane *lane,
                 struct subject **subject, struct error *error);
/* One call; `answer` says what came of it. An error ends the client: CAIRN_EPROTO or CAIRN_ECORRUPT
 * if the answer is none that the store may give. */
int subject_call(struct subject *subject, const struct call *call, struct answer *answer,
                 struct error *error);
/* NULL is fine. */
void subject_close(struct subject *subject);

#endif
