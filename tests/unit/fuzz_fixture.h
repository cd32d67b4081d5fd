/* Random histories of a store that is right, or wrong in a known way: clients begin operations, the
 * store executes them some time later, the answers come some time after that. */
#ifndef CAIRN_TESTS_FUZZ_FIXTURE_H
#define CAIRN_TESTS_FUZZ_FIXTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/check.h"
#include "base/random.h"
#include "fuzz/history.h"

enum { MADE_CLIENTS = 6, MADE_KEYS = 3, MADE_MAX = 4000, MADE_GHOSTS = 64 };

enum wrong { WRONG_NOTHING, WRONG_STALE_READ, WRONG_LOST_WRITE, WRONG_TWICE };

struct made_options {
    size_t count; /* operations */
    unsigned keys, clients;
    bool versions;        /* answers tell them, and puts ask for them */
    unsigned lost_in_100; /* of operations whose answer never comes */
    enum wrong wrong;
    unsigned wrong_in_1000; /* of operations that the store does wrong */
};

enum made_stage { MADE_IDLE, MADE_BEGUN, MADE_DONE };

struct made_client {
    enum made_stage stage;
    struct operation operation;
};

struct made {
    struct made_options options;
    struct random random;
    uint64_t now_ns, values, processes;
    size_t begun;
    struct key_state keys[MADE_KEYS], before[MADE_KEYS];
    struct made_client clients[MADE_CLIENTS];
    struct operation ghosts[MADE_GHOSTS]; /* lost, and may yet be executed */
    size_t ghost_count;
};

static inline void made_init(struct made *made, const struct made_options *options, uint64_t seed)
{
    memset(made, 0, sizeof(*made));
    made->options = *options;
    made->now_ns = 1;
    random_seed(&made->random, seed);
}

static inline struct operation made_call(struct made *made, uint32_t process)
{
    struct operation operation = {.process = process,
                                  .key = 1 + random_below(&made->random, made->options.keys),
                                  .version = OPERATION_NO_VERSION,
                                  .start_ns = made->now_ns,
                                  .end_ns = OPERATION_OPEN};
    static const enum operation_kind KINDS[] = {OPERATION_GET,  OPERATION_GET,   OPERATION_GET,
                                                OPERATION_PUT,  OPERATION_PUT,   OPERATION_SWAP,
                                                OPERATION_SWAP, OPERATION_DELETE};
    operation.kind = KINDS[random_below(&made->random, sizeof(KINDS) / sizeof(*KINDS))];
    if (made->options.versions && random_below(&made->random, 6) == 0) {
        operation.kind = OPERATION_PUT_IF;
        operation.if_version = random_below(&made->random, 4);
    }
    if (operation.kind != OPERATION_GET && operation.kind != OPERATION_DELETE)
        operation.value = ++made->values;
    return operation;
}

/* The answer of the key as it is, and what becomes of it. */
static inline void made_execute(struct made *made, struct operation *operation)
{
    struct key_state *key = &made->keys[operation->key - 1], now = *key;
    bool refused = operation->kind == OPERATION_PUT_IF && now.version != operation->if_version;
    operation->result = now.value != 0 ? RESULT_FOUND : RESULT_NOT_FOUND;
    if (operation->kind == OPERATION_GET || operation->kind == OPERATION_SWAP)
        operation->result = now.value;
    if (refused)
        operation->result = RESULT_MISMATCH;
    if (operation->kind == OPERATION_DELETE)
        now = (struct key_state){0, 0};
    else if (operation->kind != OPERATION_GET && !refused)
        now = (struct key_state){operation->value, now.version + 1};
    if (made->options.versions && operation->kind != OPERATION_SWAP &&
        operation->kind != OPERATION_DELETE)
        operation->version = now.version;
    if (now.value != key->value)
        made->before[operation->key - 1] = *key;
    *key = now;
}

static inline void made_do(struct made *made, struct operation *operation)
{
    bool wrong = random_below(&made->random, 1000) < made->options.wrong_in_1000;
    struct key_state *key = &made->keys[operation->key - 1], now = *key;
    if (wrong && made->options.wrong == WRONG_STALE_READ && operation->kind == OPERATION_GET) {
        *key = made->before[operation->key - 1];
        made_execute(made, operation);
        *key = now;
        return;
    }
    made_execute(made, operation);
    if (wrong && made->options.wrong == WRONG_LOST_WRITE)
        *key = now;
    if (wrong && made->options.wrong == WRONG_TWICE)
        made_execute(made, operation);
}

/* An operation that was lost is executed now, or never. */
static inline void made_ghost(struct made *made)
{
    if (made->ghost_count == 0 || random_below(&made->random, 10) != 0)
        return;
    size_t i = random_below(&made->random, made->ghost_count);
    if (random_below(&made->random, 2) == 0)
        made_execute(made, &made->ghosts[i]);
    made->ghosts[i] = made->ghosts[--made->ghost_count];
}

/* Goes on by a step. True: `*out` has come to its end, or is given up. */
static inline bool made_step(struct made *made, struct operation *out)
{
    struct made_client *client = &made->clients[random_below(&made->random, made->options.clients)];
    made->now_ns += random_below(&made->random, 3);
    made_ghost(made);
    switch (client->stage) {
    case MADE_IDLE:
        if (made->begun < made->options.count) {
            made->begun++;
            client->operation = made_call(made, (uint32_t)(client - made->clients));
            client->stage = MADE_BEGUN;
        }
        return false;
    case MADE_BEGUN:
        if (random_below(&made->random, 100) < made->options.lost_in_100 &&
            made->ghost_count < MADE_GHOSTS && client->operation.kind != OPERATION_GET) {
            *out = made->ghosts[made->ghost_count++] = client->operation;
            client->stage = MADE_IDLE;
            return true;
        }
        made_do(made, &client->operation);
        client->stage = MADE_DONE;
        return false;
    case MADE_DONE:
        break;
    }
    client->operation.end_ns = made->now_ns;
    *out = client->operation;
    client->stage = MADE_IDLE;
    return true;
}

static inline bool made_over(const struct made *made)
{
    for (unsigned i = 0; i < made->options.clients; i++)
        if (made->clients[i].stage != MADE_IDLE)
            return false;
    return made->begun == made->options.count;
}

/* A whole history; returns its length. */
static inline size_t made_history(const struct made_options *options, uint64_t seed,
                                  struct operation *out)
{
    struct made made;
    size_t count = 0;
    CHECK(options->count <= MADE_MAX);
    made_init(&made, options, seed);
    while (!made_over(&made))
        count += made_step(&made, &out[count]);
    return count;
}

#endif
