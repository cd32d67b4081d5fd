/* One key's history brought into the form that is searched.
 *
 * Private to the checker. Values become small numbers; each operation becomes a step with what it
 * observes, what it does to the key, and between which times. What never shows is made equal, so
 * that the search does not tell apart what no answer tells apart. */
#ifndef CAIRN_FUZZ_PROBLEM_H
#define CAIRN_FUZZ_PROBLEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fuzz/history.h"

enum {
    VALUE_ABSENT = 0,
    VALUE_DEAD = 1, /* some value that no answer will ever show */
    VALUE_FIRST = 2,
};
#define VALUE_ANY UINT32_MAX

enum step_effect { EFFECT_NONE, EFFECT_WRITE, EFFECT_REMOVE };
enum version_rule { VERSION_FREE, VERSION_EQUALS, VERSION_DIFFERS };

struct step {
    uint64_t start_ns, deadline_ns; /* takes effect between them */
    uint64_t if_version;            /* for the version rule */
    uint64_t version_after;         /* or OPERATION_NO_VERSION */
    uint32_t observes;              /* the value before: VALUE_ABSENT, a value or VALUE_ANY */
    uint32_t writes;                /* EFFECT_WRITE: VALUE_DEAD or a value */
    enum step_effect effect;
    enum version_rule rule;
    bool needs_present; /* any value, but one */
};

/* Steps that may be left out come in classes: those of one class differ by their start only, so the
 * search takes them in that order. */
struct problem {
    struct step *steps; /* those that must take effect, by start */
    uint32_t step_count;
    uint32_t *by_deadline; /* indices of steps */
    struct step *optional; /* by class, then by start */
    uint32_t optional_count;
    uint32_t *class_begin; /* class c is optional[class_begin[c]] to before class_begin[c + 1] */
    uint32_t class_count;
    uint32_t value_count;
    uint32_t initial;         /* the value at first */
    uint64_t initial_version; /* 0 if versions do not show */
    uint32_t *producers;      /* per value: steps of both kinds that bring it about */
    uint32_t *observers;      /* per value: steps that must see it */
    bool versioned;           /* versions show in some answer */
    const char *impossible;   /* a reason found without a search, or NULL; static storage */
};

/* One key's operations: those of `count` indices, and what the key held before. */
struct key_history {
    const struct operation *operations;
    const uint32_t *which;
    uint32_t count;
    struct key_state initial;
};

/* Builds the problem, looking only at what happened up to `until_ns`: what starts later is left
 * out, what ends later is open. 0 or CAIRN_ENOMEM; free it with problem_free either way. */
int problem_build(struct problem *problem, const struct key_history *history, uint64_t until_ns);
void problem_free(struct problem *problem);

#endif
