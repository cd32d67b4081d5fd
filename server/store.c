/* A server's store: opening, reading, positions, and the loop thread's side of checkpoints. */
#include "server/store.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "proto/limits.h"
#include "server/store_pages.h"
#include "server/store_state.h"
#include "server/value.h"

enum { PAGE_BYTES = 4096, SESSIONS_LIMIT_DEFAULT = 65536 };
static const uint64_t map_bytes_default = 64ULL << 30;
static const uint64_t transaction_bytes_default = 128ULL << 20;

/* --- opening ------------------------------------------------------------------------------------
 */

static void options_complete(struct store_options *options)
{
    if (options->map_bytes == 0)
        options->map_bytes = map_bytes_default;
    if (options->transaction_bytes == 0)
        options->transaction_bytes = transaction_bytes_default;
    if (options->sessions_limit == 0)
        options->sessions_limit = SESSIONS_LIMIT_DEFAULT;
    options->directory = NULL;
}

static int thread_create(struct store *store, struct error *error)
{
    struct checkpointer_options options = {
        .lmdb = store->lmdb,
        .transaction_bytes = store->options.transaction_bytes,
        .done = store->options.checkpoint_done,
        .context = store->options.context,
        .fatal = store->options.fatal,
    };
    return checkpointer_create(&options, &store->checkpointer, error);
}

/* W8: LMDB reads what the check found whole. */
static int open_checked(struct store *store, const char *directory, struct error *error)
{
    char path[PATH_MAX];
    int length = snprintf(path, sizeof(path), "%s/data.mdb", directory);
    struct store_pages pages = {.keys =
                                    calloc(store->options.partitions, sizeof(struct store_keys))};
    int code = CAIRN_OK;
    if (pages.keys == NULL || length < 0 || (size_t)length >= sizeof(path))
        code = error_set(error, pages.keys == NULL ? CAIRN_ENOMEM : CAIRN_EINVAL,
                         pages.keys == NULL ? "%s: out of memory" : "%s: path too long", directory);
    if (code == CAIRN_OK)
        code = store_pages_check(path, store->options.partitions, &pages, error);
    if (code == CAIRN_OK)
        code = lmdb_open(directory, store->options.map_bytes, &store->lmdb, error);
    if (code == CAIRN_OK)
        code = store_load(store, directory, &pages, error);
    free(pages.keys);
    return code;
}

int store_open(const struct store_options *options, struct store **result, struct error *error)
{
    *result = NULL;
    if (options->partitions == 0 || options->partitions > CAIRN_PARTITIONS_LIMIT)
        return error_set(error, CAIRN_EINVAL, "%s: partitions must be 1 to %d", options->directory,
                         CAIRN_PARTITIONS_LIMIT);
    struct store *store =
        calloc(1, sizeof(*store) + options->partitions * sizeof(struct store_partition));
    if (store == NULL)
        return error_set(error, CAIRN_ENOMEM, "%s: out of memory", options->directory);
    store->options = *options;
    options_complete(&store->options);
    for (uint32_t i = 0; i < options->partitions; i++) {
        memtable_init(&store->partitions[i].live);
        session_table_init(&store->partitions[i].sessions);
    }
    int code = lmdb_make(options->directory, store->options.map_bytes, error);
    if (code == CAIRN_OK)
        code = open_checked(store, options->directory, error);
    if (code == CAIRN_OK)
        code = thread_create(store, error);
    if (code != CAIRN_OK) {
        store_close(store);
        return code;
    }
    *result = store;
    return CAIRN_OK;
}

void store_close(struct store *store)
{
    if (store == NULL)
        return;
    store_end_turn(store);
    for (uint32_t i = 0; i < store->options.partitions; i++)
        store_install_free(store, &store->partitions[i]);
    checkpointer_free(store->checkpointer);
    if (store->frozen != NULL) {
        for (size_t i = 0; i < store->frozen->count; i++) {
            struct frozen_partition *frozen = &store->frozen->partitions[i];
            for (size_t s = 0; s < frozen->session_count; s++)
                kept_value_release(frozen->sessions[s].old_value);
        }
        frozen_free(store->frozen);
    }
    for (uint32_t i = 0; i < store->options.partitions; i++) {
        memtable_free(&store->partitions[i].live);
        session_table_free(&store->partitions[i].sessions);
    }
    kept_value_release(store->loose_value);
    lmdb_close(store->lmdb);
    free(store);
}

/* --- positions ----------------------------------------------------------------------------------
 */

const struct store_position *store_applied(const struct store *store, uint32_t partition)
{
    return &store_at_const(store, partition)->applied;
}

const struct store_position *store_checkpointed(const struct store *store, uint32_t partition)
{
    return &store_at_const(store, partition)->checkpointed;
}

void store_set_seen_epoch(struct store *store, uint32_t partition, uint64_t history, uint64_t epoch)
{
    struct store_partition *at = store_at(store, partition);
    if (position_raise_seen(&at->applied, history, epoch))
        store_touch(store, at);
}

/* --- reads --------------------------------------------------------------------------------------
 */

static int item_read(const struct item *item, struct store_value *value)
{
    if (item->version == 0)
        return CAIRN_ENOTFOUND;
    value_of_item(item, value);
    return CAIRN_OK;
}

static int lmdb_lookup(struct store *store, uint32_t partition, const uint8_t *key,
                       uint32_t key_length, struct store_value *value)
{
    struct stored_key stored;
    struct slice row;
    data_key(&stored, partition, key, key_length);
    int code = lmdb_read(store->lmdb, LMDB_DATA, (struct slice){stored.bytes, stored.length}, &row);
    if (code == CAIRN_OK)
        code = value_decode_checked(row.data, row.length, key, key_length, value);
    if (code != CAIRN_OK && code != CAIRN_ENOTFOUND) {
        store->checksum_errors++; /* W8 */
        return CAIRN_ECORRUPT;
    }
    return code;
}

int store_get(struct store *store, uint32_t partition, const uint8_t *key, uint32_t key_length,
              struct store_value *value)
{
    const struct store_partition *at = store_at_const(store, partition);
    const struct item *item = memtable_find(&at->live, key, key_length);
    if (item == NULL && at->frozen != NULL)
        item = memtable_find(at->frozen, key, key_length);
    *value = (struct store_value){0};
    int code = item != NULL ? item_read(item, value)
                            : lmdb_lookup(store, partition, key, key_length, value);
    if (code != CAIRN_OK)
        *value = (struct store_value){0};
    return code;
}

void store_end_turn(struct store *store)
{
    if (store->lmdb != NULL)
        lmdb_end_read(store->lmdb);
}

/* --- checkpoints --------------------------------------------------------------------------------
 */

uint64_t store_memtable_bytes(const struct store *store)
{
    return store->live_bytes + store->frozen_bytes;
}

uint64_t store_live_bytes(const struct store *store)
{
    return store->live_bytes;
}

bool store_checkpoint_running(const struct store *store)
{
    return store->frozen != NULL;
}

void store_checkpoint_pace(struct store *store, bool hurry)
{
    checkpointer_live_bytes(store->checkpointer, store->live_bytes);
    if (hurry)
        checkpointer_hurry(store->checkpointer);
}

/* Room for all that is dirty; NULL without memory. */
static struct frozen *frozen_create(const struct store *store)
{
    size_t count = 0, sessions = 0;
    for (uint32_t i = 0; i < store->options.partitions; i++) {
        count += store->partitions[i].dirty ? 1 : 0;
        sessions += store->partitions[i].sessions.dirty_count;
    }
    struct frozen *frozen = calloc(1, sizeof(*frozen));
    if (frozen == NULL)
        return NULL;
    frozen->partitions = calloc(count, sizeof(*frozen->partitions));
    frozen->sessions = sessions == 0 ? NULL : calloc(sessions, sizeof(*frozen->sessions));
    if (frozen->partitions == NULL || (sessions > 0 && frozen->sessions == NULL)) {
        frozen_free(frozen);
        return NULL;
    }
    return frozen;
}

/* Moves what changed in a partition over; a new memtable takes the next writes. */
static void freeze(struct store_partition *at, uint32_t number, struct frozen_partition *frozen,
                   struct session_frozen *sessions)
{
    uint64_t rows = at->live.count + at->sessions.dirty_count + at->sessions.removed_count;
    uint64_t bytes = at->live.bytes + at->sessions.dirty_bytes;
    frozen->partition = number;
    frozen->life = at->life;
    frozen->items = at->live;
    memtable_init(&at->live);
    at->frozen = &frozen->items;
    frozen->position = at->applied;
    frozen->sessions = sessions;
    frozen->session_count = at->sessions.dirty_count;
    session_table_freeze(&at->sessions, sessions, &frozen->removed);
    frozen->estimate_bytes = rows * PAGE_BYTES + bytes;
    at->dirty = false;
}

bool store_checkpoint_start(struct store *store)
{
    if (!store->dirty || store->frozen != NULL || !checkpointer_idle(store->checkpointer))
        return false;
    struct frozen *frozen = frozen_create(store);
    if (frozen == NULL)
        return false;
    struct session_frozen *sessions = frozen->sessions;
    for (uint32_t i = 0; i < store->options.partitions; i++) {
        if (!store->partitions[i].dirty)
            continue;
        struct frozen_partition *out = &frozen->partitions[frozen->count++];
        freeze(&store->partitions[i], i, out, sessions);
        if (out->session_count > 0)
            sessions += out->session_count;
    }
    store->frozen = frozen;
    store->frozen_bytes = store->live_bytes;
    store->live_bytes = 0;
    store->dirty = false;
    checkpointer_start(store->checkpointer, frozen);
    return true;
}

/* What is in LMDB now goes from memory. */
static void settle(struct store *store, struct frozen_partition *frozen)
{
    struct store_partition *at = &store->partitions[frozen->partition];
    if (frozen->life != at->life) { /* an install threw that state away, here and in LMDB */
        for (size_t i = 0; i < frozen->session_count; i++)
            kept_value_release(frozen->sessions[i].old_value);
        return;
    }
    at->frozen = NULL;
    if (frozen->position.installing) /* only what was seen was written */
        position_raise_seen(&at->checkpointed, frozen->position.history,
                            frozen->position.seen_epoch);
    else
        at->checkpointed = frozen->position;
    for (size_t i = 0; i < frozen->session_count; i++)
        session_settle(&at->sessions, &frozen->sessions[i]);
    if (frozen->sweep_left)
        store_touch(store, at);
}

bool store_checkpoint_finish(struct store *store)
{
    if (store->frozen == NULL)
        return false;
    /* The turn's snapshot may be older than the commit, and what is above it goes now. While the
     * checkpoint still runs it may wait for the snapshot, to grow the map (W7): whoever waits by
     * asking here must not hold it. */
    store_end_turn(store);
    if (!checkpointer_done(store->checkpointer)) {
        checkpointer_hurry(store->checkpointer); /* whoever asks too early waits for it */
        return false;
    }
    for (size_t i = 0; i < store->frozen->count; i++)
        settle(store, &store->frozen->partitions[i]);
    store->frozen = NULL;
    store->frozen_bytes = 0;
    store->checkpoints++;
    checkpointer_discard(store->checkpointer);
    return true;
}

void store_checkpoint_now(struct store *store)
{
    store_end_turn(store); /* the thread may have to grow the map (W7) */
    if (checkpointer_wait(store->checkpointer))
        store_checkpoint_finish(store);
    checkpointer_wait(store->checkpointer); /* the frozen memtables are freed */
    bool started = store_checkpoint_start(store);
    /* Without memory for it the log must stay (W6), which the caller is about to cut: a restart
     * replays it. */
    CHECK(started || !store->dirty);
    if (started && checkpointer_wait(store->checkpointer))
        store_checkpoint_finish(store);
    checkpointer_wait(store->checkpointer);
}

void store_stats(const struct store *store, struct store_stats *stats)
{
    stats->checkpoints = store->checkpoints;
    stats->commits = checkpointer_commits(store->checkpointer);
    stats->map_growths = lmdb_map_growths(store->lmdb);
    stats->checksum_errors = store->checksum_errors;
    stats->pages_bytes = lmdb_pages_bytes(store->lmdb);
    stats->free_bytes = lmdb_free_bytes(store->lmdb);
}
