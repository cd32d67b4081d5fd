/* Draws operations, keys and values. */
#include "bench/workload.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

enum { POOL_SLACK_BYTES = 4096 };

const char *operation_name(enum bench_operation operation)
{
    static const char *const names[BENCH_OPERATIONS] = {"put", "get", "scan", "delete"};
    CHECK(operation < BENCH_OPERATIONS);
    return names[operation];
}

enum bench_operation workload_operation(const struct workload *workload, struct random *random)
{
    for (int i = 0; i < BENCH_OPERATIONS; i++)
        if (workload->shares[i] == 100)
            return (enum bench_operation)i;
    uint64_t dice = random_below(random, 100), sum = 0;
    for (int i = 0; i < BENCH_OPERATIONS; i++) {
        sum += workload->shares[i];
        if (dice < sum)
            return (enum bench_operation)i;
    }
    check_failed(__FILE__, __LINE__, __func__, "shares sum to 100");
}

uint64_t workload_key(const struct workload *workload, struct random *random, uint64_t sequence)
{
    switch (workload->order) {
    case KEYS_SEQUENTIAL:
        return workload->first_key + sequence % workload->keys;
    case KEYS_ZIPFIAN:
        return workload->first_key + zipfian_draw(&workload->zipfian, random);
    case KEYS_UNIFORM:
        break;
    }
    return workload->first_key + random_below(random, workload->keys);
}

struct bytes workload_key_text(const struct workload *workload, uint64_t number,
                               char out[BENCH_KEY_MAX])
{
    size_t at = workload->key_bytes;
    CHECK(at <= BENCH_KEY_MAX);
    for (; at > 1 && number > 0; number /= 10)
        out[--at] = (char)('0' + number % 10);
    memset(out + 1, '0', at - 1);
    out[0] = 'k';
    CHECK(number == 0);
    return (struct bytes){out, workload->key_bytes};
}

int workload_prepare(struct workload *workload, struct error *error)
{
    size_t digits = 1;
    for (uint64_t rest = workload->first_key + workload->keys - 1; rest >= 10; rest /= 10)
        digits++;
    if (digits + 1 > workload->key_bytes)
        return error_set(error, CAIRN_EINVAL, "--key-size %zu: too short for %llu keys",
                         workload->key_bytes, (unsigned long long)workload->keys);
    zipfian_init(&workload->zipfian, workload->keys, BENCH_ZIPFIAN);
    return 0;
}

int values_init(struct values *values, size_t value_bytes, uint64_t seed)
{
    struct random random;
    values->value_bytes = value_bytes;
    values->pool = malloc(value_bytes + POOL_SLACK_BYTES);
    if (values->pool == NULL)
        return CAIRN_ENOMEM;
    random_seed(&random, seed);
    for (size_t i = 0; i < value_bytes + POOL_SLACK_BYTES; i++)
        values->pool[i] = (char)('!' + random_below(&random, '~' - '!'));
    return 0;
}

void values_free(struct values *values)
{
    free(values->pool);
    values->pool = NULL;
}

struct bytes values_pick(const struct values *values, struct random *random)
{
    return (struct bytes){values->pool + random_below(random, POOL_SLACK_BYTES),
                          values->value_bytes};
}
