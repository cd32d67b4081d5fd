/* A client's own record of what it did, in the form of fuzz/history_file.h, written so that kill -9
 * at any time leaves a history that may be judged.
 *
 * A mutation is written before its call leaves, as one with an unknown outcome, and once more when
 * it was answered; the reader of the file (tests/lib/cache_load.py) lets the second take the place
 * of the first, by process and start. Reads may be lost: a history without some of its reads is a
 * weaker one, never a wrong one. So only those are kept that can tell something: the last of each
 * value that was seen, the first of the next, and some at random. Lines that begin with `#` count
 * calls. */
#ifndef CAIRN_TESTS_CACHE_CLIENT_RECORD_H
#define CAIRN_TESTS_CACHE_CLIENT_RECORD_H

#include <stdint.h>

#include "tests/lib/cache_client/value.h"

enum { RECORD_KEYS_MAX = 4096, RECORD_BUFFER = 1 << 16 };

struct record_read {
    char id[VALUE_ID_MAX]; /* "" : absent */
    uint64_t version;      /* of a value */
    uint64_t start_ns, end_ns;
    uint8_t seen, written;
};

struct record {
    int file; /* -1: nothing is recorded */
    uint64_t process;
    const char *const *keys;
    uint32_t keys_count;
    struct record_read *last; /* for each key */
    uint64_t reads, writes;
    uint32_t used;
    char buffer[RECORD_BUFFER];
};

/* A mutation; `result` as the format says. */
struct record_write {
    const char *op;
    uint32_t key;
    char id[VALUE_ID_MAX]; /* written; "": none */
    uint64_t start_ns;
};
enum record_outcome { RECORD_APPLIED, RECORD_NOT_APPLIED };

/* `path` may be NULL. Keys belong to the caller. Aborts if the file cannot be written. */
void record_open(struct record *record, const char *path, uint64_t process, const char *const *keys,
                 uint32_t keys_count);
void record_close(struct record *record);
/* As record_close, without a word: in the child of a fork, of its parent's record. */
void record_leave(struct record *record);
/* Hands what was recorded to the system: kill -9 does not lose it any more. */
void record_flush(struct record *record);

void record_read(struct record *record, uint32_t key, const struct record_read *read,
                 int at_random);
void record_write_begins(struct record *record, const struct record_write *write);
/* `result`: NULL or a text; `version` 0: not told. */
void record_write_ends(struct record *record, const struct record_write *write,
                       enum record_outcome outcome, const char *result, uint64_t version,
                       uint64_t end_ns);

#endif
