/* Draws calls, and gives keys and values their texts. */
#include "fuzz/plan.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/hash.h"
#include "base/random.h"

/* A value's number is its writer's above its call's, both from 1 on. */
enum { VALUE_CLIENT_SHIFT = 40, READER_RUN = 500 };

static uint64_t value_of(uint32_t client, uint64_t n)
{
    return (uint64_t)(client + 1) << VALUE_CLIENT_SHIFT | (n + 1);
}

/* Each call has a generator of its own, so that it depends on no other. */
static struct random source_of(const struct plan *plan, uint64_t client, uint64_t n)
{
    struct random random;
    const uint64_t words[] = {client, n};
    random_seed(&random, hash_seeded(words, sizeof(words), plan->seed));
    return random;
}

static enum call_kind draw_kind(const struct plan *plan, struct random *random)
{
    static const enum call_kind WITH_VERSIONS[] = {CALL_PUT,    CALL_PUT,    CALL_PUT_IF,
                                                   CALL_PUT_IF, CALL_SWAP,   CALL_SWAP,
                                                   CALL_SWAP,   CALL_DELETE, CALL_SCAN};
    static const enum call_kind PLAIN[] = {CALL_PUT,  CALL_PUT,    CALL_SWAP, CALL_SWAP,
                                           CALL_SWAP, CALL_DELETE, CALL_SCAN};
    if (random_below(random, 100) < plan->reads_percent)
        return CALL_GET;
    if (plan->versions)
        return WITH_VERSIONS[random_below(random, sizeof(WITH_VERSIONS) / sizeof(*WITH_VERSIONS))];
    return PLAIN[random_below(random, sizeof(PLAIN) / sizeof(*PLAIN))];
}

/* Versions begin anew with each delete, so most are small; 0 asks for an absent key. */
static uint64_t draw_version(struct random *random)
{
    uint64_t version = 0;
    while (version < 16 && random_below(random, 3) != 0)
        version++;
    return version;
}

uint64_t plan_round(const struct plan *plan, uint64_t n)
{
    return plan->round_operations == 0 ? 0 : n / plan->round_operations;
}

uint32_t plan_round_keys(const struct plan *plan)
{
    return plan->disjoint ? plan->keys * plan->clients : plan->keys;
}

uint64_t plan_first_key(const struct plan *plan, uint64_t round)
{
    return round * plan_round_keys(plan) + 1;
}

bool plan_is_reader(const struct plan *plan, uint32_t client)
{
    uint64_t readers = plan->readers, clients = plan->clients;
    return readers * client / clients != readers * (client + 1) / clients;
}

/* Who is cut off from the store goes on for as long as its cache has what it asks for: so a reader
 * does not ask for another key with each call. */
static struct call reader_call(const struct plan *plan, uint32_t client, uint64_t n)
{
    struct random random = source_of(plan, client, n / READER_RUN);
    return (struct call){.kind = CALL_GET,
                         .keys = 1,
                         .key = plan_first_key(plan, plan_round(plan, n)) +
                                random_below(&random, plan->keys)};
}

struct call plan_call(const struct plan *plan, uint32_t client, uint64_t n)
{
    if (plan_is_reader(plan, client))
        return reader_call(plan, client, n);
    struct random random = source_of(plan, client, n);
    uint64_t first = plan_first_key(plan, plan_round(plan, n));
    uint64_t slot = random_below(&random, plan->keys);
    struct call call = {.kind = draw_kind(plan, &random), .keys = 1};
    if (plan->disjoint)
        first += (uint64_t)client * plan->keys;
    call.key = first + slot;
    if (call.kind == CALL_PUT || call.kind == CALL_PUT_IF || call.kind == CALL_SWAP)
        call.value = value_of(client, n);
    if (call.kind == CALL_PUT_IF)
        call.if_version = draw_version(&random);
    if (call.kind == CALL_SCAN) {
        uint64_t most = plan->keys - slot;
        call.keys =
            1 + (uint32_t)random_below(&random, most < PLAN_SCAN_KEYS ? most : PLAN_SCAN_KEYS);
    }
    return call;
}

size_t plan_key_text(const struct plan *plan, uint64_t key, char out[PLAN_KEY_SIZE])
{
    CHECK(key > 0);
    uint64_t round = (key - 1) / plan_round_keys(plan), slot = (key - 1) % plan_round_keys(plan);
    int length =
        snprintf(out, PLAN_KEY_SIZE, "%s-%" PRIu64 "-%08" PRIu64, plan->prefix, round, slot);
    CHECK(length > 0 && length < PLAN_KEY_SIZE);
    return (size_t)length;
}

/* Takes decimal digits and the byte behind them; false if there are none or it is another. */
static bool take_number(const char **at, char behind, uint64_t *number)
{
    char *end;
    if (**at < '0' || **at > '9')
        return false;
    *number = strtoull(*at, &end, 10);
    if (*end != behind)
        return false;
    *at = end + 1;
    return true;
}

uint64_t plan_key_number(const struct plan *plan, const void *text, size_t length)
{
    char copy[PLAN_KEY_SIZE], again[PLAN_KEY_SIZE];
    size_t prefix = strlen(plan->prefix);
    uint64_t round, slot;
    if (length >= sizeof(copy) || length <= prefix || memcmp(text, plan->prefix, prefix) != 0)
        return 0;
    memcpy(copy, text, length);
    copy[length] = '\0';
    const char *at = copy + prefix;
    if (*at++ != '-' || !take_number(&at, '-', &round) || !take_number(&at, '\0', &slot) ||
        slot >= plan_round_keys(plan))
        return 0;
    uint64_t key = plan_first_key(plan, round) + slot;
    return plan_key_text(plan, key, again) == length && memcmp(copy, again, length) == 0 ? key : 0;
}

void plan_value_name(uint64_t value, char out[PLAN_VALUE_SHORT])
{
    if (value == 0)
        (void)snprintf(out, PLAN_VALUE_SHORT, "null");
    else if (value == PLAN_VALUE_FOREIGN)
        (void)snprintf(out, PLAN_VALUE_SHORT, "(not of this run)");
    else
        (void)snprintf(out, PLAN_VALUE_SHORT, "c%" PRIu64 "n%" PRIu64,
                       (value >> VALUE_CLIENT_SHIFT) - 1,
                       (value & ((UINT64_C(1) << VALUE_CLIENT_SHIFT) - 1)) - 1);
}

size_t plan_value_text(const struct plan *plan, uint64_t value, char *out)
{
    char name[PLAN_VALUE_SHORT];
    plan_value_name(value, name);
    size_t length = strlen(name);
    memcpy(out, name, length);
    if (plan->value_bytes <= PLAN_VALUE_SHORT)
        return length;
    /* Mostly short ones, some up to the limit. */
    struct random random = source_of(plan, value, 0);
    uint64_t limit = UINT64_C(1) << random_below(&random, 17);
    size_t wanted = random_below(&random, limit < plan->value_bytes ? limit : plan->value_bytes);
    if (length < wanted)
        out[length++] = '/';
    while (length < wanted)
        out[length++] = (char)('a' + random_below(&random, 26));
    return length;
}

uint64_t plan_value_number(const struct plan *plan, const void *text, size_t length, char *room)
{
    char head[PLAN_VALUE_SHORT] = {0};
    memcpy(head, text, length < sizeof(head) - 1 ? length : sizeof(head) - 1);
    const char *at = head;
    uint64_t client, n;
    if (*at++ != 'c' || !take_number(&at, 'n', &client) || client >= plan->clients)
        return PLAN_VALUE_FOREIGN;
    if (!take_number(&at, '\0', &n)) {
        if (!take_number(&at, '/', &n))
            return PLAN_VALUE_FOREIGN;
    }
    if (n >= (UINT64_C(1) << VALUE_CLIENT_SHIFT) - 1)
        return PLAN_VALUE_FOREIGN;
    uint64_t value = value_of((uint32_t)client, n);
    return plan_value_text(plan, value, room) == length && memcmp(room, text, length) == 0
               ? value
               : PLAN_VALUE_FOREIGN;
}
