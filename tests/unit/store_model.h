/* A reference model of a partition's state, and a log of random commands: entry `index` of a
 * partition is a function of the seed alone, so that any state can be computed from its position.
 * Plain arrays and no cleverness: it must be right by inspection. No cmocka inside, so that forked
 * children may use it. */
#ifndef CAIRN_TESTS_STORE_MODEL_H
#define CAIRN_TESTS_STORE_MODEL_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "proto/limits.h"
#include "server/store.h"

enum { MODEL_KEYS = 48, MODEL_CLIENTS = 6, MODEL_VALUE_MOST = 20000 };

struct model_key {
    uint64_t version, modified, expires_ms; /* version 0: absent */
    uint8_t *value;
    uint32_t length;
};

struct model_session {
    bool exists;
    uint64_t number, used_ms;
    struct outcome outcome; /* old_value is owned */
};

struct model {
    uint64_t seed;
    uint32_t partition;
    uint64_t index, log_time_ms;
    struct model_key keys[MODEL_KEYS];
    struct model_session sessions[MODEL_CLIENTS + 1]; /* by client; 0 is nobody */
};

static inline void model_init(struct model *model, uint64_t seed, uint32_t partition)
{
    memset(model, 0, sizeof(*model));
    model->seed = seed;
    model->partition = partition;
}

static inline void model_free(struct model *model)
{
    for (size_t i = 0; i < MODEL_KEYS; i++)
        free(model->keys[i].value);
    for (size_t i = 0; i <= MODEL_CLIENTS; i++)
        free((void *)(uintptr_t)model->sessions[i].outcome.old_value);
    memset(model, 0, sizeof(*model));
}

/* Keys of all lengths and bytes; some are prefixes of others. */
static inline uint32_t model_key_bytes(uint32_t number, uint8_t key[CAIRN_KEY_LIMIT])
{
    static const uint8_t fill[] = {0x00, 0xff, 'k', 0x7f};
    uint32_t length = number == 0 ? CAIRN_KEY_LIMIT : 2 + number / 4 * (number % 7);
    memset(key, fill[number % 4], length);
    key[length - 1] = (uint8_t)number;
    return length;
}

static inline void model_random(const struct model *model, uint64_t index, struct random *random)
{
    random_seed(random, model->seed * 1000003 + model->partition * 7919 + index * 104729);
}

static inline enum command_kind model_kind(struct random *random)
{
    uint64_t roll = random_below(random, 100);
    if (roll < 50)
        return COMMAND_PUT;
    if (roll < 72)
        return COMMAND_SWAP;
    if (roll < 90)
        return COMMAND_DELETE;
    if (roll < 94)
        return COMMAND_NOOP;
    return roll < 98 ? COMMAND_RETIRE : COMMAND_EVICT_SESSIONS;
}

/* Entry `index` of the partition's log. NULL: out of memory. */
static inline struct entry *model_entry(const struct model *model, uint64_t index)
{
    struct random random;
    struct entry *entry = entry_create();
    model_random(model, index, &random);
    if (entry == NULL)
        return NULL;
    entry->partition = model->partition;
    entry->history = 1;
    entry->epoch = 1 + index / 1000;
    entry->index = index;
    entry->log_time_ms = 1000 + index * 10 - random_below(&random, 15); /* goes back at times */
    entry->kind = model_kind(&random);
    entry->client = random_below(&random, MODEL_CLIENTS + 1);
    /* Mostly new numbers; some equal to earlier ones or lower. */
    entry->number = index / 4;
    if (entry->number > 3 && random_below(&random, 5) == 0)
        entry->number -= random_below(&random, 3);
    if (entry->kind == COMMAND_EVICT_SESSIONS)
        entry->cutoff_ms = entry->log_time_ms - random_below(&random, 400);
    if (entry->kind != COMMAND_PUT && entry->kind != COMMAND_SWAP && entry->kind != COMMAND_DELETE)
        return entry;
    uint8_t key[CAIRN_KEY_LIMIT];
    static uint8_t value[MODEL_VALUE_MOST];
    uint32_t key_length = model_key_bytes((uint32_t)random_below(&random, MODEL_KEYS), key);
    uint32_t length =
        (uint32_t)random_below(&random, random_below(&random, 50) == 0 ? MODEL_VALUE_MOST : 150);
    if (entry->kind == COMMAND_DELETE)
        length = 0;
    memset(value, (int)index, length);
    if (length >= sizeof(index))
        memcpy(value, &index, sizeof(index));
    if (entry->kind == COMMAND_PUT && random_below(&random, 3) == 0) {
        entry->conditional = true;
        entry->if_version = random_below(&random, 3);
    }
    if (random_below(&random, 3) == 0)
        entry->ttl_ms = random_below(&random, 10) == 0 ? UINT64_MAX : random_below(&random, 3000);
    entry->item = item_create(key, key_length, value, length);
    return entry;
}

static inline struct model_key *model_find(struct model *model, const struct item *item)
{
    uint8_t key[CAIRN_KEY_LIMIT];
    for (uint32_t i = 0; i < MODEL_KEYS; i++) {
        if (model_key_bytes(i, key) == item->key_length &&
            memcmp(key, item->bytes, item->key_length) == 0)
            return &model->keys[i];
    }
    abort();
}

static inline uint8_t *model_copy(const uint8_t *bytes, uint32_t length)
{
    uint8_t *copy = malloc(length + 1);
    if (copy == NULL)
        abort();
    memcpy(copy, bytes, length);
    return copy;
}

static inline bool model_present(const struct model *model, const struct model_key *key)
{
    return key->version != 0 && (key->expires_ms == 0 || key->expires_ms > model->log_time_ms);
}

static inline void model_mutate(struct model *model, const struct entry *entry,
                                struct outcome *outcome)
{
    struct model_key *key = model_find(model, entry->item);
    if (!model_present(model, key)) {
        free(key->value);
        *key = (struct model_key){0};
    }
    outcome->existed = key->version != 0;
    if (entry->kind == COMMAND_PUT && entry->conditional && entry->if_version != key->version) {
        outcome->code = OUTCOME_VERSION_MISMATCH;
        outcome->version = key->version;
        return;
    }
    if (entry->kind == COMMAND_SWAP && key->version != 0) {
        outcome->old_value = model_copy(key->value, key->length);
        outcome->old_value_length = key->length;
    }
    free(key->value);
    key->value = NULL;
    if (entry->kind == COMMAND_DELETE) {
        *key = (struct model_key){0};
        return;
    }
    key->version++;
    key->modified = entry->index;
    key->value = model_copy(item_value(entry->item), entry->item->value_length);
    key->length = entry->item->value_length;
    key->expires_ms = 0;
    if (entry->kind == COMMAND_PUT && entry->ttl_ms != 0) {
        key->expires_ms = model->log_time_ms + entry->ttl_ms;
        if (key->expires_ms < entry->ttl_ms)
            key->expires_ms = UINT64_MAX;
    }
    outcome->version = key->version;
}

static inline void model_forget(struct model_session *session)
{
    free((void *)(uintptr_t)session->outcome.old_value);
    *session = (struct model_session){0};
}

/* The mutation with its session around it; `outcome` points into the session's memory, or for
 * client 0 into that of sessions[0]. */
static inline void model_apply_mutation(struct model *model, const struct entry *entry,
                                        struct outcome *outcome)
{
    struct model_session *session = &model->sessions[entry->client];
    bool has_session = entry->client != 0 && session->exists;
    if (has_session && entry->number == session->number) {
        *outcome = session->outcome;
        return;
    }
    if (has_session && entry->number < session->number) {
        outcome->code = OUTCOME_STALE_NUMBER;
        return;
    }
    model_mutate(model, entry, outcome);
    model_forget(session);
    session->exists = entry->client != 0;
    session->number = entry->number;
    session->used_ms = model->log_time_ms;
    session->outcome = *outcome;
}

/* Applies entry `index` = model->index + 1. */
static inline void model_apply(struct model *model, const struct entry *entry,
                               struct outcome *outcome)
{
    *outcome = (struct outcome){0};
    if (entry->log_time_ms > model->log_time_ms)
        model->log_time_ms = entry->log_time_ms;
    model->index = entry->index;
    switch (entry->kind) {
    case COMMAND_NOOP:
        return;
    case COMMAND_RETIRE:
        model_forget(&model->sessions[entry->client]);
        return;
    case COMMAND_EVICT_SESSIONS:
        for (size_t i = 1; i <= MODEL_CLIENTS; i++) {
            if (model->sessions[i].exists && model->sessions[i].used_ms < entry->cutoff_ms)
                model_forget(&model->sessions[i]);
        }
        return;
    case COMMAND_PUT:
    case COMMAND_SWAP:
    case COMMAND_DELETE:
        model_apply_mutation(model, entry, outcome);
    }
}

/* Brings the model to `index` from where it is. */
static inline void model_advance(struct model *model, uint64_t index)
{
    while (model->index < index) {
        struct outcome outcome;
        struct entry *entry = model_entry(model, model->index + 1);
        if (entry == NULL)
            abort();
        model_apply(model, entry, &outcome);
        entry_free(entry);
    }
}

/* --- comparing ----------------------------------------------------------------------------------
 */

static inline bool same_bytes(const uint8_t *left, uint32_t left_length, const uint8_t *right,
                              uint32_t right_length)
{
    return left_length == right_length &&
           (left_length == 0 || memcmp(left, right, left_length) == 0);
}

static inline bool same_outcome(const struct outcome *left, const struct outcome *right)
{
    return left->code == right->code && left->existed == right->existed &&
           left->version == right->version &&
           (left->old_value == NULL) == (right->old_value == NULL) &&
           same_bytes(left->old_value, left->old_value_length, right->old_value,
                      right->old_value_length);
}

static inline bool same_value(const struct model_key *key, const struct store_value *value)
{
    return key->version == value->version && key->modified == value->modified &&
           key->expires_ms == value->expires_ms &&
           same_bytes(key->value, key->length, value->data, value->length);
}

/* What differs in a key, or NULL. */
static inline const char *model_compare_key(struct model *model, struct store *store,
                                            uint32_t number)
{
    uint8_t key[CAIRN_KEY_LIMIT];
    struct store_value value;
    uint32_t length = model_key_bytes(number, key);
    int code = store_get(store, model->partition, key, length, &value);
    if (code != CAIRN_OK && code != CAIRN_ENOTFOUND)
        return "a key cannot be read";
    /* An expired one may still be there: the caller of store_get compares. */
    bool found =
        code == CAIRN_OK && (value.expires_ms == 0 || value.expires_ms > model->log_time_ms);
    if (found != model_present(model, &model->keys[number]))
        return found ? "a key is there that should not be" : "a key is missing";
    return found && !same_value(&model->keys[number], &value) ? "a value differs" : NULL;
}

static inline const char *model_compare_session(struct model *model, struct store *store,
                                                uint64_t client)
{
    const struct model_session *session = &model->sessions[client];
    struct outcome outcome;
    struct entry *entry;
    enum session_verdict verdict = store_session_check(
        store, model->partition, client, session->exists ? session->number : 1, &outcome, &entry);
    if (verdict != (session->exists ? SESSION_DUPLICATE : SESSION_NEW))
        return "a session is missing or should not be there";
    return session->exists && !same_outcome(&session->outcome, &outcome)
               ? "a session's outcome differs"
               : NULL;
}

struct model_scan {
    struct model *model;
    uint8_t last[CAIRN_KEY_LIMIT];
    uint32_t last_length;
    size_t present;
    const char *fault;
};

static inline bool model_scan_visit(void *context, uint32_t partition, const uint8_t *key,
                                    uint32_t key_length, const struct store_value *value)
{
    struct model_scan *scan = context;
    uint32_t common = key_length < scan->last_length ? key_length : scan->last_length;
    int order = memcmp(scan->last, key, common);
    if (partition != scan->model->partition)
        scan->fault = "a pair of another partition";
    if (scan->last_length > 0 && (order > 0 || (order == 0 && scan->last_length >= key_length)))
        scan->fault = "pairs out of order";
    memcpy(scan->last, key, key_length);
    scan->last_length = key_length;
    if (value->expires_ms != 0 && value->expires_ms <= scan->model->log_time_ms)
        return true;
    scan->present++;
    for (uint32_t i = 0; i < MODEL_KEYS; i++) {
        uint8_t name[CAIRN_KEY_LIMIT];
        if (same_bytes(name, model_key_bytes(i, name), key, key_length) &&
            !same_value(&scan->model->keys[i], value))
            scan->fault = "a scanned value differs";
    }
    return true;
}

static inline const char *model_compare_scan(struct model *model, struct store *store)
{
    struct model_scan scan = {.model = model};
    struct store_scan bounds = {.partitions = &model->partition, .partition_count = 1};
    size_t present = 0;
    if (store_scan(store, &bounds, model_scan_visit, &scan) != CAIRN_OK)
        return "a scan fails";
    for (size_t i = 0; i < MODEL_KEYS; i++)
        present += model_present(model, &model->keys[i]) ? 1 : 0;
    return scan.fault == NULL && scan.present != present ? "a scan misses pairs" : scan.fault;
}

/* What differs between the store and the model in this partition, or NULL. */
static inline const char *model_compare(struct model *model, struct store *store)
{
    const struct store_position *position = store_applied(store, model->partition);
    uint64_t sessions = 0, oldest_ms = UINT64_MAX;
    const char *fault = NULL;
    if (position->index != model->index || position->log_time_ms != model->log_time_ms)
        return "the position differs";
    for (uint32_t i = 0; fault == NULL && i < MODEL_KEYS; i++)
        fault = model_compare_key(model, store, i);
    if (fault == NULL)
        fault = model_compare_scan(model, store);
    for (uint64_t i = 1; fault == NULL && i <= MODEL_CLIENTS; i++) {
        fault = model_compare_session(model, store, i);
        if (!model->sessions[i].exists)
            continue;
        sessions++;
        if (model->sessions[i].used_ms < oldest_ms)
            oldest_ms = model->sessions[i].used_ms;
    }
    if (fault == NULL && (sessions != store_session_count(store, model->partition) ||
                          oldest_ms != store_session_oldest_ms(store, model->partition)))
        fault = "the sessions differ";
    store_end_turn(store);
    return fault;
}

#endif
