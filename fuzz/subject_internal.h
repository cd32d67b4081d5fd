/* What the kinds of subjects have in common. */
#ifndef CAIRN_FUZZ_SUBJECT_INTERNAL_H
#define CAIRN_FUZZ_SUBJECT_INTERNAL_H

#include <stddef.h>

#include "fuzz/subject.h"

struct subject_kind {
    int (*open)(struct subject *subject, const struct subject_place *place, struct error *error);
    int (*call)(struct subject *subject, const struct call *call, struct answer *answer,
                struct error *error);
    void (*close)(struct subject *subject);
};

struct subject {
    const struct subject_kind *kind;
    const struct plan *plan;
    struct lane *lane;
    char *value, *room; /* each for one value's text */
    void *state;        /* the kind's own */
};

extern const struct subject_kind subject_library, subject_program;

/* The number of a value that was shown; a foreign one's text is noted in the lane. */
uint64_t subject_value(struct subject *subject, const void *text, size_t length);
/* Notes one pair of a scan's answer. CAIRN_EPROTO if it is out of order or range. `*last` is the
 * key before, 0 at first. */
int subject_pair(struct subject *subject, const struct call *call, struct answer *answer,
                 const void *key, size_t key_length, const void *value, size_t value_length,
                 uint64_t *last, struct error *error);

#endif
