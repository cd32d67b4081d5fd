/* The numbers of the records that there are, while clients of several threads and processes insert
 * more: who inserts claims a number, and says when its insert is acknowledged. Lies in memory that
 * they share; no call waits for another.
 *
 * Inserts are acknowledged in any order, so the limit below which all are acknowledged lags behind:
 * whoever reads draws below the limit, and so never a record that may not be there yet. */
#ifndef CAIRN_BENCH_KEY_SPACE_H
#define CAIRN_BENCH_KEY_SPACE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum { KEY_SPACE_WINDOW = 1 << 20 };

struct key_space {
    _Atomic uint64_t next;  /* the number that is claimed next */
    _Atomic uint64_t limit; /* all numbers below are acknowledged */
    atomic_flag moving;     /* held by who moves the limit */
    /* Of numbers from the limit on, by number modulo the window: acknowledged. */
    atomic_bool acknowledged[KEY_SPACE_WINDOW];
};

/* All numbers below `first` are there. Nobody uses the space meanwhile. */
void key_space_init(struct key_space *space, uint64_t first);
uint64_t key_space_claim(struct key_space *space);
/* `number` was claimed, and is acknowledged once. False if one that was claimed a whole window
 * before it still is not: nothing is noted then. */
bool key_space_acknowledge(struct key_space *space, uint64_t number);
uint64_t key_space_limit(const struct key_space *space);

#endif
