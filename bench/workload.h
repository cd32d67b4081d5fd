/* What a client does next: operations drawn by their shares, keys by their order. */
#ifndef CAIRN_BENCH_WORKLOAD_H
#define CAIRN_BENCH_WORKLOAD_H

#include <stddef.h>
#include <stdint.h>

#include "base/random.h"
#include "bench/target.h"
#include "bench/zipfian.h"

enum bench_operation { BENCH_PUT, BENCH_GET, BENCH_SCAN, BENCH_REMOVE, BENCH_OPERATIONS };

enum key_order {
    KEYS_UNIFORM,    /* each with the same probability */
    KEYS_SEQUENTIAL, /* one after the other, over all clients together */
    KEYS_ZIPFIAN,    /* by Zipf's law, key 0 most often */
};

#define BENCH_ZIPFIAN 0.99

enum { BENCH_KEY_MAX = 480, BENCH_KEY_MIN = 4 };

struct workload {
    unsigned shares[BENCH_OPERATIONS]; /* percent; they sum to 100 */
    enum key_order order;
    uint64_t keys, first_key; /* keys first_key to first_key + keys - 1 */
    size_t key_bytes, value_bytes;
    size_t scan_limit;
    struct zipfian zipfian; /* of KEYS_ZIPFIAN: workload_prepare */
};

/* "put", "get", "scan", "delete". */
const char *operation_name(enum bench_operation operation);
enum bench_operation workload_operation(const struct workload *workload, struct random *random);
/* The number of the next key; `sequence` is that of the operation, used by KEYS_SEQUENTIAL. */
uint64_t workload_key(const struct workload *workload, struct random *random, uint64_t sequence);
/* Key number n as text of exactly key_bytes: `k`, zeros, the number. */
struct bytes workload_key_text(const struct workload *workload, uint64_t number,
                               char out[BENCH_KEY_MAX]);
/* Whether `keys` numbers fit into key_bytes; makes ready for workload_key. */
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
