/* Draws operations, keys and values. */
#include "bench/workload.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "bench/fnv.h"

enum { POOL_SLACK_BYTES = 4096 };

const char *operation_name(enum bench_operation operation)
{
    static const char *const names[BENCH_OPERATIONS] = {"put",    "get",    "scan",
                                                        "delete", "insert", "read-modify-write"};
    CHECK(operation < BENCH_OPERATIONS);
    return names[operation];
}

bool workload_measures(const struct workload *workload, enum bench_operation operation)
{
    bool part = operation == BENCH_GET || operation == BENCH_PUT;
    return workload->shares[operation] > 0 || (part && workload->shares[BENCH_MODIFY] > 0);
}

enum bench_operation workload_operation(const struct workload *workload, struct random *random)
{
    uint64_t all = 0, sum = 0;
    for (int i = 0; i < BENCH_OPERATIONS; i++)
        all += workload->shares[i];
    for (int i = 0; i < BENCH_OPERATIONS; i++)
        if (workload->shares[i] == all)
            return (enum bench_operation)i;
    uint64_t dice = random_below(random, all);
    for (int i = 0; i < BENCH_OPERATIONS; i++) {
        sum += workload->shares[i];
        if (dice < sum)
            return (enum bench_operation)i;
    }
    check_failed(__FILE__, __LINE__, __func__, "the dice is below the sum of shares");
}

/* All keys below are there. */
static uint64_t limit_of(const struct workload *workload)
{
    return workload->space != NULL ? key_space_limit(workload->space)
                                   : workload->first_key + workload->keys;
}

/* Popular keys stay the same while keys are inserted: drawn among all that are expected, and again
 * if the one drawn is not there yet. */
static uint64_t draw_scrambled(const struct workload *workload, struct random *random)
{
    uint64_t limit = limit_of(workload), all = workload->keys + workload->new_keys, number;
    do
        number = workload->first_key + fnv_number(zipfian_draw(&workload->zipfian, random)) % all;
    while (number >= limit);
    return number;
}

static uint64_t draw_latest(const struct workload *workload, struct random *random)
{
    uint64_t limit = limit_of(workload);
    struct zipfian ages = workload->zipfian;
    if (limit - workload->first_key != ages.count)
        zipfian_resize(&ages, limit - workload->first_key);
    return limit - 1 - zipfian_draw(&ages, random);
}

uint64_t workload_key(const struct workload *workload, struct random *random, uint64_t sequence)
{
    switch (workload->order) {
    case KEYS_SEQUENTIAL:
        return workload->first_key + sequence % workload->keys;
    case KEYS_ZIPFIAN:
        return workload->first_key + zipfian_draw(&workload->zipfian, random);
    case KEYS_SCRAMBLED:
        return draw_scrambled(workload, random);
    case KEYS_LATEST:
        return draw_latest(workload, random);
    case KEYS_UNIFORM:
        break;
    }
    return workload->first_key + random_below(random, workload->keys);
}

size_t workload_scan_length(const struct workload *workload, struct random *random)
{
    size_t least = workload->scan_minimum;
    if (least == 0)
        return workload->scan_limit;
    if (workload->scan_zipfian)
        return least + (size_t)zipfian_draw(&workload->scan_lengths, random);
    return least + (size_t)random_below(random, workload->scan_limit - least + 1);
}

static struct bytes padded_text(const struct workload *workload, uint64_t number,
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

struct bytes workload_key_text(const struct workload *workload, uint64_t number,
                               char out[BENCH_KEY_MAX])
{
    if (workload->form == KEY_PADDED)
        return padded_text(workload, number, out);
    int length =
        snprintf(out, BENCH_KEY_MAX, "%s%0*" PRIu64, workload->prefix, (int)workload->zero_padding,
                 workload->form == KEY_HASHED ? fnv_number(number) : number);
    CHECK(length > 0 && length < BENCH_KEY_MAX);
    return (struct bytes){out, (size_t)length};
}

static int check_length(const struct workload *workload, struct error *error)
{
    size_t digits = 1;
    for (uint64_t rest = workload->first_key + workload->keys - 1; rest >= 10; rest /= 10)
        digits++;
    if (digits + 1 > workload->key_bytes)
        return error_set(error, CAIRN_EINVAL, "--key-size %zu: too short for %llu keys",
                         workload->key_bytes, (unsigned long long)workload->keys);
    return 0;
}

int workload_prepare(struct workload *workload, struct error *error)
{
    uint64_t ranks = workload->order == KEYS_SCRAMBLED ? BENCH_SCRAMBLED_RANKS : workload->keys;
    if (workload->form == KEY_PADDED && check_length(workload, error) != 0)
        return CAIRN_EINVAL;
    zipfian_init(&workload->zipfian, ranks, BENCH_ZIPFIAN);
    if (workload->scan_minimum > 0)
        zipfian_init(&workload->scan_lengths, workload->scan_limit - workload->scan_minimum + 1,
                     BENCH_ZIPFIAN);
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
