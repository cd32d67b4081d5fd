/* Two stores, and a partition's way from one to the other; for test_server_snapshot*.c. */
#ifndef CAIRN_TESTS_SNAPSHOT_FIXTURE_H
#define CAIRN_TESTS_SNAPSHOT_FIXTURE_H

#include <lmdb.h>

#include "base/buffer.h"
#include "proto/limits.h"
#include "server/value.h"
#include "tests/unit/store_fixture.h"
#include "tests/unit/store_model.h"

enum { PATIENCE = 20000, SOURCE_SEED = 11, TARGET_SEED = 12, COPIED = 2 };

struct pair {
    struct fixture source, target;
    struct model source_models[FIXTURE_PARTITIONS], target_models[FIXTURE_PARTITIONS];
};

static inline int pair_setup(void **state)
{
    struct pair *pair = calloc(1, sizeof(*pair));
    CHECK(pair != NULL);
    fixture_init(&pair->source);
    fixture_open(&pair->source);
    fixture_init(&pair->target);
    fixture_open(&pair->target);
    for (uint32_t i = 0; i < FIXTURE_PARTITIONS; i++) {
        model_init(&pair->source_models[i], SOURCE_SEED, i);
        model_init(&pair->target_models[i], TARGET_SEED, i);
    }
    *state = pair;
    return 0;
}

static inline int pair_teardown(void **state)
{
    struct pair *pair = *state;
    fixture_end(&pair->source);
    fixture_end(&pair->target);
    for (uint32_t i = 0; i < FIXTURE_PARTITIONS; i++) {
        model_free(&pair->source_models[i]);
        model_free(&pair->target_models[i]);
    }
    free(pair);
    return 0;
}

/* --- entries ------------------------------------------------------------------------------------
 */

static inline void apply_model(struct fixture *fixture, struct model *model)
{
    struct outcome expected, outcome;
    struct entry *entry = model_entry(model, model->index + 1);
    CHECK(entry != NULL); /* the compiler knows that it does not return */
    model_apply(model, entry, &expected);
    assert_int_equal(store_apply(fixture->store, entry, &outcome), CAIRN_OK);
    assert_true(same_outcome(&expected, &outcome));
    entry_free(entry);
}

/* Applies the next entries of the models' logs to all partitions but `without`. */
static inline void advance(struct fixture *fixture, struct model *models, uint32_t count,
                           uint32_t without)
{
    for (uint32_t i = 0; i < FIXTURE_PARTITIONS; i++) {
        for (uint32_t n = 0; i != without && n < count; n++)
            apply_model(fixture, &models[i]);
    }
    store_end_turn(fixture->store);
}

static inline void assert_model(struct model *model, struct store *store)
{
    const char *fault = model_compare(model, store);
    if (fault != NULL)
        fail_msg("partition %u, index %llu: %s", (unsigned)model->partition,
                 (unsigned long long)model->index, fault);
}

static inline void assert_models(struct model *models, struct store *store, uint32_t without)
{
    for (uint32_t i = 0; i < FIXTURE_PARTITIONS; i++) {
        if (i != without)
            assert_model(&models[i], store);
    }
}

static inline void assert_same_position(const struct store_position *left,
                                        const struct store_position *right)
{
    assert_int_equal(left->history, right->history);
    assert_int_equal(left->epoch, right->epoch);
    assert_int_equal(left->index, right->index);
    assert_int_equal(left->log_time_ms, right->log_time_ms);
    assert_int_equal(left->seen_epoch, right->seen_epoch);
    assert_int_equal(left->install, right->install);
    assert_int_equal(left->installing, right->installing);
}

/* --- transfers ----------------------------------------------------------------------------------
 */

/* Waits until the install is in this state. */
static inline void await(struct store *store, uint32_t partition, enum store_install_state state)
{
    for (int i = 0; i < PATIENCE; i++) {
        store_end_turn(store); /* the thread may have to grow the map */
        if (store_install_poll(store, partition) == state)
            return;
        usleep(500);
    }
    fail_msg("an install is in state %d, not %d", (int)store_install_poll(store, partition),
             (int)state);
}

static inline void begin(struct store *store, uint32_t partition, uint64_t install)
{
    assert_int_equal(store_install_begin(store, partition, install), CAIRN_OK);
    await(store, partition, STORE_INSTALL_RECEIVING);
}

static inline void give(struct store *store, uint32_t partition, const uint8_t *rows, size_t length)
{
    int code = CAIRN_EFULL;
    for (int i = 0; i < PATIENCE && code == CAIRN_EFULL; i++) {
        struct error error = {0};
        store_end_turn(store);
        code = store_install_rows(store, partition, rows, length, &error);
        if (code == CAIRN_EFULL)
            usleep(500);
    }
    assert_int_equal(code, CAIRN_OK);
}

static inline void end(struct store *store, uint32_t partition,
                       const struct store_position *position)
{
    assert_int_equal(store_install_end(store, partition, position), CAIRN_OK);
    await(store, partition, STORE_INSTALL_DONE);
}

/* All rows of a partition as LMDB holds it, for buffer_free. */
static inline void export_all(struct store *store, uint32_t partition,
                              struct store_position *position, struct buffer *rows)
{
    struct store_export *export;
    struct error error = {0};
    bool done = false;
    buffer_init(rows, SIZE_MAX / 2);
    assert_int_equal(store_export_open(store, partition, position, &export), CAIRN_OK);
    while (!done)
        assert_int_equal(store_export_read(export, 1 << 20, rows, &done, &error), CAIRN_OK);
    store_export_close(export);
}

/* From the source to the target in pieces of about `limit` bytes; `between` runs before each. */
static inline struct store_position copy(struct pair *pair, uint32_t partition, uint64_t install,
                                         size_t limit, void (*between)(struct pair *pair))
{
    struct store_position position;
    struct store_export *export;
    struct buffer rows;
    struct error error = {0};
    bool done = false;
    buffer_init(&rows, CAIRN_RECORDS_LIMIT);
    assert_int_equal(store_export_open(pair->source.store, partition, &position, &export),
                     CAIRN_OK);
    begin(pair->target.store, partition, install);
    while (!done) {
        if (between != NULL)
            between(pair);
        buffer_clear(&rows);
        assert_int_equal(store_export_read(export, limit, &rows, &done, &error), CAIRN_OK);
        give(pair->target.store, partition, rows.data, rows.length);
    }
    store_export_close(export);
    buffer_free(&rows);
    end(pair->target.store, partition, &position);
    return position;
}

/* --- LMDB behind the store's back; the store is closed ------------------------------------------
 */

static inline MDB_txn *raw_begin(struct fixture *fixture, const char *table, MDB_dbi *dbi)
{
    MDB_env *env;
    MDB_txn *txn;
    assert_int_equal(mdb_env_create(&env), 0);
    assert_int_equal(mdb_env_set_maxdbs(env, 4), 0);
    assert_int_equal(mdb_env_set_mapsize(env, 1 << 30), 0);
    assert_int_equal(mdb_env_open(env, fixture->directory, 0, 0600), 0);
    assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
    assert_int_equal(mdb_dbi_open(txn, table, 0, dbi), 0);
    return txn;
}

static inline void raw_commit(MDB_txn *txn)
{
    MDB_env *env = mdb_txn_env(txn);
    assert_int_equal(mdb_txn_commit(txn), 0);
    mdb_env_close(env);
}

/* Flips one byte of a row's value. */
static inline void raw_flip(struct fixture *fixture, const char *table,
                            const struct stored_key *key, size_t offset)
{
    MDB_dbi dbi;
    MDB_val at = {key->length, (void *)(uintptr_t)key->bytes}, value, changed;
    MDB_txn *txn = raw_begin(fixture, table, &dbi);
    assert_int_equal(mdb_get(txn, dbi, &at, &value), 0);
    assert_true(offset < value.mv_size);
    uint8_t *copied = model_copy(value.mv_data, (uint32_t)value.mv_size);
    copied[offset] ^= 0x10;
    changed = (MDB_val){value.mv_size, copied};
    assert_int_equal(mdb_put(txn, dbi, &at, &changed, 0), 0);
    free(copied);
    raw_commit(txn);
}

/* All rows that a partition has in a table, one behind the other, for buffer_free. */
static inline size_t raw_rows(struct fixture *fixture, const char *table, uint32_t partition,
                              struct buffer *out)
{
    MDB_dbi dbi;
    MDB_cursor *cursor;
    MDB_val key, value;
    size_t count = 0;
    MDB_txn *txn = raw_begin(fixture, table, &dbi);
    buffer_init(out, SIZE_MAX / 2);
    assert_int_equal(mdb_cursor_open(txn, dbi, &cursor), 0);
    while (mdb_cursor_get(cursor, &key, &value, MDB_NEXT) == 0) {
        if (partition_prefix(key.mv_data) != partition)
            continue;
        count++;
        assert_int_equal(buffer_append(out, key.mv_data, key.mv_size), 0);
        assert_int_equal(buffer_append(out, value.mv_data, value.mv_size), 0);
    }
    mdb_cursor_close(cursor);
    raw_commit(txn);
    return count;
}

/* Both stores hold the same rows of a partition, byte by byte. Closes and opens them. */
static inline void assert_same_rows(struct pair *pair, uint32_t partition)
{
    static const char *const tables[] = {"data", "expiry", "sessions"};
    store_close(pair->source.store);
    store_close(pair->target.store);
    for (size_t i = 0; i < 3; i++) {
        struct buffer source, target;
        size_t count = raw_rows(&pair->source, tables[i], partition, &source);
        assert_int_equal(raw_rows(&pair->target, tables[i], partition, &target), count);
        assert_int_equal(source.length, target.length);
        assert_memory_equal(source.data, target.data, source.length);
        buffer_free(&source);
        buffer_free(&target);
    }
    fixture_open(&pair->source);
    fixture_open(&pair->target);
}

#endif
