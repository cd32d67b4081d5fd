/* What a test and the library that it preloads (fail_nth.c) share: a file, mapped by both.
 *
 * The test chooses a kind of call and which of them fails: the Nth of that kind since it was armed,
 * or the Nth with a certain stack. The library counts, fails it, and notes the stack; it can also
 * note every stack from which calls of each kind came. tests/lib/fail_nth.py reads this layout.
 *
 * FAIL_NTH in the environment names the file, FAIL_TEST the one test that a program of cmocka runs.
 */
#ifndef CAIRN_TESTS_FAIL_NTH_H
#define CAIRN_TESTS_FAIL_NTH_H

#include <stdint.h>

enum fail_kind {
    FAIL_ALLOC,
    FAIL_OPEN,
    FAIL_WRITE,
    FAIL_READ,
    FAIL_SYNC,
    FAIL_RENAME,
    FAIL_MMAP,
    FAIL_SIZE,
    FAIL_SOCKET,
    FAIL_ACCEPT,
    FAIL_CONNECT,
    FAIL_SEND,
    FAIL_RECEIVE,
    FAIL_THREAD,
    FAIL_URING,
    FAIL_COMPLETION,
    FAIL_KINDS
};

enum { FAIL_FRAMES = 12, FAIL_PLACES = 4096 };

struct fail_stack {
    uint64_t hash; /* 0: none */
    uint64_t kind;
    uint64_t count;
    uint64_t frames[FAIL_FRAMES]; /* return addresses, innermost first, 0 after the last */
};

struct fail_control {
    /* Written by the test. */
    uint64_t armed; /* nothing fails and nothing is counted in `seen` while 0 */
    uint64_t kind;  /* enum fail_kind */
    uint64_t nth;   /* from 1 */
    uint64_t stack; /* 0: any */
    uint64_t forever;
    uint64_t noting; /* stacks are noted in `places` */
    uint64_t
        lies; /* a sync or a write that fails says that it did not: a program that looks away */
    /* Written by the library. */
    uint64_t seen;
    uint64_t fired;
    uint64_t base; /* address at which the program was loaded */
    uint64_t signal;
    struct fail_stack failed;
    struct fail_stack crashed;
    uint64_t counts[FAIL_KINDS + 1]; /* one more keeps the size even */
    struct fail_stack places[FAIL_PLACES];
};

#endif
