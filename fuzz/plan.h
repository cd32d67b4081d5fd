/* What each client calls: a pure function of the seed and the client, so that a seed replays the
 * schedule of calls, though never their timing.
 *
 * Keys are numbers from 1 on. A run goes through rounds: after `round_operations` calls each client
 * goes on to the keys of the next round, so that histories of keys end, and can be forgotten. The
 * keys' texts carry the run's own prefix, which no other run has: all keys are absent at first. In
 * a round they sort like their numbers.
 *
 * Values are numbers too, of the one call that writes them. Their texts say so and can be checked
 * byte by byte. */
#ifndef CAIRN_FUZZ_PLAN_H
#define CAIRN_FUZZ_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    PLAN_KEYS_MAX = 10000, /* per round */
    PLAN_SCAN_KEYS = 8,    /* that one scan covers, at most */
    PLAN_CLIENTS_MAX = 1000,
    PLAN_PREFIX_SIZE = 24,
    PLAN_KEY_SIZE = 64,        /* of a text with its NUL */
    PLAN_VALUE_MAX = 64 << 10, /* bytes of a value */
    PLAN_VALUE_SHORT = 40,     /* bytes of a value that was not asked to be longer */
};

/* A value that no call of the run writes. An answer that shows it is looked at like any other: it
 * is not OPERATION_NO_RESULT. */
#define PLAN_VALUE_FOREIGN (UINT64_MAX - 1)

enum call_kind { CALL_GET, CALL_PUT, CALL_PUT_IF, CALL_SWAP, CALL_DELETE, CALL_SCAN };

struct plan {
    uint64_t seed;
    uint32_t clients;
    uint32_t readers;          /* of them do nothing but gets, many of one key before the next */
    uint32_t keys;             /* of a round; disjoint: of each client in a round */
    bool disjoint;             /* no two clients share a key */
    bool versions;             /* with puts under a condition */
    uint32_t reads_percent;    /* of calls that are gets; the rest is shared out */
    uint64_t round_operations; /* of each client; 0: one round without end */
    uint32_t value_bytes;      /* the longest value; 0: all are short */
    char prefix[PLAN_PREFIX_SIZE];
};

struct call {
    enum call_kind kind;
    uint64_t key;        /* a scan's first */
    uint32_t keys;       /* that a scan covers, else 1 */
    uint64_t value;      /* of put, put_if, swap, else 0 */
    uint64_t if_version; /* of put_if */
};

/* Readers are spread evenly among the clients. */
bool plan_is_reader(const struct plan *plan, uint32_t client);
/* Call `n`, from 0 on, of client `client`. */
struct call plan_call(const struct plan *plan, uint32_t client, uint64_t n);

uint64_t plan_round(const struct plan *plan, uint64_t n);
/* How many keys a round has, and the first of them. */
uint32_t plan_round_keys(const struct plan *plan);
uint64_t plan_first_key(const struct plan *plan, uint64_t round);

/* Writes the key's text with a NUL; returns its length. */
size_t plan_key_text(const struct plan *plan, uint64_t key, char out[PLAN_KEY_SIZE]);
/* The number of a key's text of this run, or 0. */
uint64_t plan_key_number(const struct plan *plan, const void *text, size_t length);

/* Writes the value's text, printable ASCII without spaces and without a NUL, into `out`, which has
 * room for PLAN_VALUE_SHORT or value_bytes, whichever is more. Returns its length. */
size_t plan_value_text(const struct plan *plan, uint64_t value, char *out);
/* The value that a text is, or PLAN_VALUE_FOREIGN if it is no such text to the last byte. `room` is
 * of the size that plan_value_text needs. */
uint64_t plan_value_number(const struct plan *plan, const void *text, size_t length, char *room);
/* How a value is told to a person: as its text begins. */
void plan_value_name(uint64_t value, char out[PLAN_VALUE_SHORT]);

#endif
