/* What a client does next: operations drawn by their shares, keys by their order. */
#ifndef CAIRN_BENCH_WORKLOAD_H
#define CAIRN_BENCH_WORKLOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/random.h"
#include "bench/key_space.h"
#include "bench/target.h"
#include "bench/zipfian.h"

enum bench_operation {
    BENCH_PUT,
    BENCH_GET,
    BENCH_SCAN,
    BENCH_REMOVE,
    BENCH_INSERT, /* a PUT of a new key */
    BENCH_MODIFY, /* a GET and a PUT of its key */
    BENCH_OPERATIONS
};

enum key_order {
    KEYS_UNIFORM,    /* each with the same probability */
    KEYS_SEQUENTIAL, /* one after the other, over all clients together */
    KEYS_ZIPFIAN,    /* by Zipf's law, key 0 most often */
    KEYS_SCRAMBLED,  /* so, but the popular ones scattered over all, as YCSB does */
    KEYS_LATEST,     /* by Zipf's law, the newest most often */
};

/* How a key's number becomes its text. */
enum key_form {
    KEY_PADDED,  /* `k`, zeros, the number: key_bytes long, in the numbers' order */
    KEY_ORDERED, /* as YCSB: prefix, the number in at least zero_padding digits */
    KEY_HASHED,  /* likewise, of the number's hash */
};

#define BENCH_ZIPFIAN 0.99
/* Of how many numbers KEYS_SCRAMBLED draws before it scatters them, whatever keys there are:
 * YCSB's, so that the most popular key gets as much as there (one in 26.5). */
#define BENCH_SCRAMBLED_RANKS UINT64_C(10000000000)

enum { BENCH_KEY_MAX = 480, BENCH_KEY_MIN = 4, BENCH_PREFIX_MAX = 64 };

struct workload {
    unsigned shares[BENCH_OPERATIONS]; /* as parts of their sum, which is not 0 */
    enum key_order order;
    uint64_t keys, first_key; /* keys first_key to first_key + keys - 1 */
    size_t key_bytes, value_bytes;
    size_t scan_limit;
    /* A scan's length: 0: scan_limit; else drawn from here to scan_limit, uniformly or by Zipf's
     * law, short ones most often. */
    size_t scan_minimum;
    bool scan_zipfian;
    enum key_form form;
    char prefix[BENCH_PREFIX_MAX + 1]; /* of forms other than KEY_PADDED */
    size_t zero_padding;               /* likewise */
    uint64_t new_keys;                 /* that are expected to be inserted: KEYS_SCRAMBLED */
    /* Where inserted keys are claimed, and what is there of them. NULL: no key is inserted. */
    struct key_space *space;
    struct zipfian zipfian, scan_lengths; /* workload_prepare */
};

/* "put", "get", "scan", "delete", "insert", "read-modify-write". */
const char *operation_name(enum bench_operation operation);
/* Whether operations of this kind are measured: those drawn, and the two parts of BENCH_MODIFY. */
bool workload_measures(const struct workload *workload, enum bench_operation operation);
enum bench_operation workload_operation(const struct workload *workload, struct random *random);
/* The number of the next key that is not inserted; `sequence` is that of the operation, used by
 * KEYS_SEQUENTIAL. Never of a key whose insert is not acknowledged. */
uint64_t workload_key(const struct workload *workload, struct random *random, uint64_t sequence);
/* How many pairs the next scan asks for. */
size_t workload_scan_length(const struct workload *workload, struct random *random);
/* Key number n as text. */
struct bytes workload_key_text(const struct workload *workload, uint64_t number,
                               char out[BENCH_KEY_MAX]);
/* Whether `keys` numbers fit into key_bytes (KEY_PADDED); makes ready for what is drawn. */
int workload_prepare(struct workload *workload, struct error *error);

/* Values: slices of random printable bytes, so that neither side gains by compression. */
struct values {
    char *pool; /* owned */
    size_t value_bytes;
};
int values_init(struct values *values, size_t value_bytes, uint64_t seed);
void values_free(struct values *values);
struct bytes values_pick(const struct values *values, struct random *random);

#endif
