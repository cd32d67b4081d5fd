/* A history: what clients asked of single keys, when, and what they were told. */
#ifndef CAIRN_FUZZ_HISTORY_H
#define CAIRN_FUZZ_HISTORY_H

#include <stdint.h>

enum operation_kind {
    OPERATION_PUT,
    OPERATION_PUT_IF, /* only if the key's version is if_version (0: only if absent) */
    OPERATION_GET,
    OPERATION_SWAP,
    OPERATION_DELETE,
};

/* The operation has not ended when the history does: it may take effect at any time after its
 * start, or never; its result is not looked at. So is every mutation whose outcome is unknown. */
#define OPERATION_OPEN UINT64_MAX
/* No version was reported. */
#define OPERATION_NO_VERSION UINT64_MAX

/* The operation took effect, but what it answered is not looked at. */
#define OPERATION_NO_RESULT UINT64_MAX

/* What a PUT_IF can answer besides 0 (absent before) and 1 (existed). */
enum { RESULT_NOT_FOUND = 0, RESULT_FOUND = 1, RESULT_MISMATCH = 2 };

/* Values and keys are numbers that the history's owner gives to byte strings; value 0 is "absent".
 * Operations that were certainly not applied do not belong into a history. */
struct operation {
    enum operation_kind kind;
    uint32_t process;    /* for messages only */
    uint64_t key;        /* operations on different keys are checked apart */
    uint64_t value;      /* PUT, PUT_IF, SWAP: written, not 0 */
    uint64_t result;     /* GET, SWAP: the value or 0; PUT, DELETE, PUT_IF: one of RESULT_; any of
                          * them: OPERATION_NO_RESULT (not a PUT_IF that may not be applied) */
    uint64_t if_version; /* PUT_IF */
    uint64_t version;    /* of the key as told by the answer (PUT_IF mismatch: the current one) */
    uint64_t start_ns;   /* before the request left */
    uint64_t end_ns;     /* after the answer came, at least start_ns, or OPERATION_OPEN */
};

/* What a key holds: value 0 is "absent", and then the version is 0. */
struct key_state {
    uint64_t value, version;
};

#endif
