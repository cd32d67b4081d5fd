/* A server's applied state: the real sessions, memory table and apply over no LMDB at all.
 *
 * What LMDB would hold is an image of the whole partition, taken at a checkpoint and put back at a
 * start; so everything is in the memory table, and what lies below it (store_get's way into LMDB)
 * is replaced here. */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "server/store_state.h"
#include "server/value.h"
#include "tests/sim/sim.h"

enum { SESSIONS_LIMIT = 65536 };

/* --- the parts of server/store.c that apply and sessions need ------------------------------- */

int store_get(struct store *store, uint32_t partition, const uint8_t *key, uint32_t key_length,
              struct store_value *value)
{
    const struct item *item =
        memtable_find(&store_at_const(store, partition)->live, key, key_length);

    *value = (struct store_value){0};
    if (item == NULL || item->version == 0)
        return CAIRN_ENOTFOUND;
    value_of_item(item, value);
    return CAIRN_OK;
}

int lmdb_read(struct lmdb *lmdb, enum lmdb_table table, struct slice key, struct slice *value)
{
    (void)lmdb;
    (void)table;
    (void)key;
    *value = (struct slice){0};
    return CAIRN_ENOTFOUND;
}

const struct store_position *store_applied(const struct store *store, uint32_t partition)
{
    return &store_at_const(store, partition)->applied;
}

void state_note_epoch(struct store *store, uint32_t partition, uint64_t history, uint64_t epoch)
{
    struct store_position *applied = &store_at(store, partition)->applied;

    if (history > applied->history)
        applied->history = history;
    if (epoch > applied->seen_epoch)
        applied->seen_epoch = epoch;
}

/* --- life ----------------------------------------------------------------------------------- */

struct store *state_create(uint32_t partitions)
{
    struct store *store = calloc(1, sizeof *store + partitions * sizeof(struct store_partition));

    CHECK(store != NULL);
    store->options.partitions = partitions;
    store->options.sessions_limit = SESSIONS_LIMIT;
    for (uint32_t i = 0; i < partitions; i++) {
        memtable_init(&store->partitions[i].live);
        session_table_init(&store->partitions[i].sessions);
    }
    return store;
}

void state_free(struct store *store)
{
    if (store == NULL)
        return;
    for (uint32_t i = 0; i < store->options.partitions; i++) {
        memtable_free(&store->partitions[i].live);
        session_table_free(&store->partitions[i].sessions);
    }
    kept_value_release(store->loose_value);
    free(store);
}

void state_clear(struct store *store, uint32_t partition)
{
    struct store_partition *at = store_at(store, partition);

    memtable_free(&at->live);
    session_table_free(&at->sessions);
    memset(at, 0, sizeof *at);
    memtable_init(&at->live);
    session_table_init(&at->sessions);
}

/* --- keys and values ------------------------------------------------------------------------- */

uint32_t key_text(uint32_t key, uint8_t text[8])
{
    text[0] = 'k';
    text[1] = (uint8_t)('0' + key / 10 % 10);
    text[2] = (uint8_t)('0' + key % 10);
    return 3;
}

static uint32_t key_of(const uint8_t *text)
{
    return (uint32_t)(text[1] - '0') * 10 + (uint32_t)(text[2] - '0');
}

uint64_t state_number(const uint8_t *bytes, uint32_t length)
{
    uint64_t value = 0;

    CHECK(length == sizeof value);
    memcpy(&value, bytes, sizeof value);
    return value;
}

struct entry *state_entry(uint32_t partition, const struct sim_entry *from)
{
    struct entry *entry = entry_create();
    uint8_t key[8];
    uint32_t length = key_text(from->key, key);
    bool has_value = from->kind == COMMAND_PUT || from->kind == COMMAND_SWAP;

    CHECK(entry != NULL);
    entry->partition = partition;
    entry->kind = from->kind;
    entry->history = from->history;
    entry->epoch = from->epoch;
    entry->index = from->index;
    entry->log_time_ms = from->log_time_ms;
    entry->client = from->client;
    entry->number = from->number;
    entry->conditional = from->conditional;
    entry->if_version = from->if_version;
    entry->ttl_ms = from->ttl_ms;
    entry->cutoff_ms = from->cutoff_ms;
    if (has_value || from->kind == COMMAND_DELETE)
        entry->item = item_create(key, length, has_value ? (const uint8_t *)&from->value : NULL,
                                  has_value ? sizeof from->value : 0);
    return entry;
}

/* --- images ---------------------------------------------------------------------------------- */

static void restore_item(struct store_partition *at, const struct image_item *from)
{
    uint8_t key[8];
    uint32_t length = key_text(from->key, key);
    struct item *item = item_create(key, length, (const uint8_t *)&from->value, sizeof from->value);
    struct store_value value;

    CHECK(item != NULL);
    item->version = from->version;
    item->modified = from->modified;
    item->expires_ms = from->expires_ms;
    value_of_item(item, &value);
    item->checksum = value_checksum(item->bytes, item->key_length, &value);
    memtable_put(&at->live, item);
}

static void restore_session(struct store_partition *at, const struct image_session *from)
{
    struct session *session = session_add(&at->sessions, from->client);
    struct outcome outcome = {
        .code = from->code, .existed = from->existed, .version = from->version};
    struct kept_value *old_value = NULL;

    CHECK(session != NULL);
    if (from->has_old_value)
        old_value = kept_value_create((const uint8_t *)&from->old_value, sizeof from->old_value);
    session_record(&at->sessions, session, from->number, from->used_ms, &outcome, old_value);
}

void state_restore(struct store *store, uint32_t partition, const struct image *image)
{
    struct store_partition *at = store_at(store, partition);

    state_clear(store, partition);
    at->applied = image->position;
    for (uint32_t i = 0; i < image->item_count; i++)
        restore_item(at, &image->items[i]);
    for (uint32_t i = 0; i < image->session_count; i++)
        restore_session(at, &image->sessions[i]);
}

static void freeze_session(const struct session *session, struct image_session *out)
{
    *out = (struct image_session){.client = session->client,
                                  .number = session->number,
                                  .used_ms = session->used_ms,
                                  .version = session->version,
                                  .code = (enum outcome_code)session->code,
                                  .existed = session->existed,
                                  .has_old_value = session->old_value != NULL};
    if (session->old_value != NULL)
        out->old_value = state_number(session->old_value->bytes, session->old_value->length);
}

void state_freeze(struct sim *sim, const struct store *store, uint32_t partition,
                  struct image *image)
{
    const struct store_partition *at = store_at_const(store, partition);
    const struct session *session;

    *image = (struct image){.position = at->applied};
    image->items = arena_alloc(&sim->arena, (at->live.count + 1) * sizeof *image->items);
    image->sessions =
        arena_alloc(&sim->arena, (at->sessions.applied + 1) * sizeof *image->sessions);
    for (struct item *item = memtable_first(&at->live); item != NULL; item = memtable_next(item)) {
        /* As a checkpoint does: what has expired by the log's time is gone for good (S2). */
        if (item->version == 0 ||
            (item->expires_ms != 0 && item->expires_ms <= at->applied.log_time_ms))
            continue;
        image->items[image->item_count++] =
            (struct image_item){.key = key_of(item->bytes),
                                .value = state_number(item_value(item), item->value_length),
                                .version = item->version,
                                .modified = item->modified,
                                .expires_ms = item->expires_ms};
    }
    TAILQ_FOREACH(session, &at->sessions.used, used)
    freeze_session(session, &image->sessions[image->session_count++]);
}

static bool same_session(const struct image *in, const struct image_session *wanted)
{
    for (uint32_t i = 0; i < in->session_count; i++) {
        const struct image_session *session = &in->sessions[i];

        if (session->client == wanted->client)
            return session->number == wanted->number && session->used_ms == wanted->used_ms &&
                   session->version == wanted->version && session->code == wanted->code &&
                   session->existed == wanted->existed &&
                   session->has_old_value == wanted->has_old_value &&
                   session->old_value == wanted->old_value;
    }
    return false;
}

bool image_equal(const struct image *left, const struct image *right)
{
    if (left->position.index != right->position.index ||
        left->position.epoch != right->position.epoch ||
        left->position.log_time_ms != right->position.log_time_ms ||
        left->item_count != right->item_count || left->session_count != right->session_count)
        return false;
    for (uint32_t i = 0; i < left->item_count; i++)
        if (memcmp(&left->items[i], &right->items[i], sizeof left->items[i]) != 0)
            return false;
    for (uint32_t i = 0; i < left->session_count; i++)
        if (!same_session(right, &left->sessions[i]))
            return false;
    return true;
}
