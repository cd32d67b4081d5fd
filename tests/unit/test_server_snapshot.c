/* A partition's state goes from one store to another whole: pairs with versions and expiry,
 * sessions with old values, the position (W5, W7, S3); nothing else changes on either side. */
#include <pthread.h>

#include "tests/unit/snapshot_fixture.h"

static void an_installed_partition_equals_its_source(void **state)
{
    struct pair *pair = *state;
    advance(&pair->source, pair->source_models, 1500, UINT32_MAX);
    advance(&pair->target, pair->target_models, 700, UINT32_MAX);
    store_checkpoint_now(pair->source.store);
    store_checkpoint_now(pair->target.store);
    advance(&pair->target, pair->target_models, 100, UINT32_MAX);

    struct store_position position = copy(pair, COPIED, 77, 3000, NULL);
    assert_int_equal(position.index, 1500);
    const struct store_position *applied = store_applied(pair->target.store, COPIED);
    assert_int_equal(applied->index, position.index);
    assert_int_equal(applied->epoch, position.epoch);
    assert_int_equal(applied->history, position.history);
    assert_int_equal(applied->log_time_ms, position.log_time_ms);
    assert_int_equal(applied->install, 77);
    assert_false(applied->installing);
    assert_same_position(applied, store_checkpointed(pair->target.store, COPIED));
    assert_model(&pair->source_models[COPIED], pair->target.store);
    assert_models(pair->target_models, pair->target.store, COPIED);

    store_checkpoint_now(pair->target.store);
    assert_same_rows(pair, COPIED);
    assert_int_equal(store_applied(pair->target.store, COPIED)->install, 77);
    assert_model(&pair->source_models[COPIED], pair->target.store);
    assert_models(pair->target_models, pair->target.store, COPIED);
}

static void an_installed_partition_goes_on(void **state)
{
    struct pair *pair = *state;
    struct model *model = &pair->source_models[COPIED];
    advance(&pair->source, pair->source_models, 900, UINT32_MAX);
    store_checkpoint_now(pair->source.store);
    copy(pair, COPIED, 1, 1 << 20, NULL);
    for (int i = 0; i < 600; i++) {
        apply_model(&pair->target, model);
        store_end_turn(pair->target.store);
        if (i % 50 == 0)
            store_checkpoint_finish(pair->target.store);
        if (i % 50 == 25)
            store_checkpoint_start(pair->target.store);
    }
    assert_model(model, pair->target.store);
    fixture_reopen(&pair->target);
    assert_model(model, pair->target.store);
    assert_int_equal(store_applied(pair->target.store, COPIED)->install, 1);
}

static void an_empty_partition_replaces_a_full_one(void **state)
{
    struct pair *pair = *state;
    advance(&pair->target, pair->target_models, 500, UINT32_MAX);
    store_checkpoint_now(pair->target.store);
    copy(pair, COPIED, 5, 1000, NULL);
    assert_int_equal(store_applied(pair->target.store, COPIED)->index, 0);
    assert_model(&pair->source_models[COPIED], pair->target.store);
    assert_same_rows(pair, COPIED);
    assert_models(pair->target_models, pair->target.store, COPIED);
}

/* --- while both sides go on ---------------------------------------------------------------------
 */

static void write_and_checkpoint(struct pair *pair)
{
    advance(&pair->source, pair->source_models, 3, UINT32_MAX);
    advance(&pair->target, pair->target_models, 3, COPIED);
    store_checkpoint_finish(pair->source.store);
    store_checkpoint_start(pair->source.store);
    store_checkpoint_finish(pair->target.store);
    store_checkpoint_start(pair->target.store);
}

static void an_export_is_one_state_while_both_sides_write(void **state)
{
    struct pair *pair = *state;
    advance(&pair->source, pair->source_models, 1000, UINT32_MAX);
    advance(&pair->target, pair->target_models, 300, UINT32_MAX);
    for (uint64_t round = 1; round <= 8; round++) {
        struct model model;
        write_and_checkpoint(pair);
        struct store_position position = copy(pair, COPIED, round, 700, write_and_checkpoint);
        assert_true(position.index < pair->source_models[COPIED].index);
        model_init(&model, SOURCE_SEED, COPIED);
        model_advance(&model, position.index);
        assert_model(&model, pair->target.store);
        assert_models(pair->source_models, pair->source.store, UINT32_MAX);
        assert_models(pair->target_models, pair->target.store, COPIED);
        if (round % 3 == 0)
            fixture_reopen(&pair->target);
        assert_model(&model, pair->target.store);
        model_free(&model);
    }
    assert_true(store_applied(pair->source.store, COPIED)->index > 1100);
}

/* Each partition of a checkpoint gets a transaction of its own: installs come in between. */
static void target_commits_alone(struct pair *pair)
{
    pair->target.options.transaction_bytes = 1;
    store_close(pair->target.store);
    fixture_open(&pair->target);
}

/* The checkpoint under way holds the partition's old state: it must not come over the new one. */
static void an_install_wins_over_the_checkpoint_under_way(void **state)
{
    struct pair *pair = *state;
    struct model before;
    target_commits_alone(pair);
    advance(&pair->source, pair->source_models, 400, UINT32_MAX);
    store_checkpoint_now(pair->source.store);
    advance(&pair->target, pair->target_models, 1500, UINT32_MAX);
    assert_true(store_checkpoint_start(pair->target.store));
    advance(&pair->target, pair->target_models, 3, UINT32_MAX);
    uint64_t live_bytes = store_live_bytes(pair->target.store);

    assert_int_equal(store_install_begin(pair->target.store, COPIED, 3), CAIRN_OK);
    const struct store_position *applied = store_applied(pair->target.store, COPIED);
    assert_true(applied->installing);
    assert_int_equal(applied->install, 3);
    assert_int_equal(applied->index, 0);
    assert_int_equal(store_session_count(pair->target.store, COPIED), 0);
    assert_false(store_checkpointed(pair->target.store, COPIED)->installing); /* not yet durable */
    assert_true(store_live_bytes(pair->target.store) < live_bytes);

    struct store_position position;
    struct buffer rows;
    export_all(pair->source.store, COPIED, &position, &rows);
    await(pair->target.store, COPIED, STORE_INSTALL_RECEIVING);
    give(pair->target.store, COPIED, rows.data, rows.length);
    end(pair->target.store, COPIED, &position);
    buffer_free(&rows);
    assert_true(store_checkpoint_finish(pair->target.store));
    assert_int_equal(store_checkpointed(pair->target.store, COPIED)->index, position.index);
    model_init(&before, SOURCE_SEED, COPIED);
    model_advance(&before, position.index);
    assert_model(&before, pair->target.store);
    model_free(&before);
    assert_models(pair->target_models, pair->target.store, COPIED);
    store_checkpoint_now(pair->target.store);
    assert_same_rows(pair, COPIED);
}

/* A checkpoint that was frozen while the install went on is written after its end. */
static void an_install_ends_while_a_checkpoint_is_under_way(void **state)
{
    struct pair *pair = *state;
    struct store_position position;
    struct buffer rows;
    target_commits_alone(pair);
    advance(&pair->source, pair->source_models, 400, UINT32_MAX);
    store_checkpoint_now(pair->source.store);
    export_all(pair->source.store, COPIED, &position, &rows);
    begin(pair->target.store, COPIED, 3);
    assert_true(store_checkpointed(pair->target.store, COPIED)->installing);
    advance(&pair->target, pair->target_models, 800, COPIED);
    store_set_seen_epoch(pair->target.store, COPIED, 1, 50); /* it is part of the checkpoint */
    give(pair->target.store, COPIED, rows.data, rows.length);
    assert_int_equal(store_install_end(pair->target.store, COPIED, &position), CAIRN_OK);
    assert_true(store_checkpoint_start(pair->target.store));
    while (!store_checkpoint_finish(pair->target.store))
        usleep(500);
    await(pair->target.store, COPIED, STORE_INSTALL_DONE);
    assert_int_equal(store_checkpointed(pair->target.store, COPIED)->index, position.index);
    assert_same_rows(pair, COPIED); /* without another checkpoint */
    assert_false(store_applied(pair->target.store, COPIED)->installing);
    assert_int_equal(store_applied(pair->target.store, COPIED)->seen_epoch, 50);
    assert_model(&pair->source_models[COPIED], pair->target.store);
    buffer_free(&rows);
}

/* The turn's reads began before the end: what they see is the partition without its rows. */
static void reads_see_the_new_state_at_once(void **state)
{
    struct pair *pair = *state;
    struct store_position position;
    struct buffer rows;
    advance(&pair->source, pair->source_models, 400, UINT32_MAX);
    store_checkpoint_now(pair->source.store);
    export_all(pair->source.store, COPIED, &position, &rows);
    begin(pair->target.store, COPIED, 3);
    assert_null(get_text(&pair->target, "nothing")); /* begins the turn's reads */
    assert_int_equal(store_install_rows(pair->target.store, COPIED, rows.data, rows.length, NULL),
                     CAIRN_OK);
    assert_int_equal(store_install_end(pair->target.store, COPIED, &position), CAIRN_OK);
    for (int i = 0;
         i < PATIENCE && store_install_poll(pair->target.store, COPIED) != STORE_INSTALL_DONE; i++)
        usleep(500);
    assert_model(&pair->source_models[COPIED], pair->target.store);
    buffer_free(&rows);
}

static void a_newer_install_takes_over(void **state)
{
    struct pair *pair = *state;
    struct store_position position, other_position;
    struct buffer rows, other;
    advance(&pair->source, pair->source_models, 300, UINT32_MAX);
    store_checkpoint_now(pair->source.store);
    export_all(pair->source.store, COPIED, &other_position, &other);
    advance(&pair->source, pair->source_models, 300, UINT32_MAX);
    store_checkpoint_now(pair->source.store);
    export_all(pair->source.store, COPIED, &position, &rows);

    begin(pair->target.store, COPIED, 1);
    give(pair->target.store, COPIED, other.data, other.length);
    begin(pair->target.store, COPIED, 2); /* before its end */
    give(pair->target.store, COPIED, other.data, other.length);
    assert_int_equal(store_install_end(pair->target.store, COPIED, &other_position), CAIRN_OK);
    begin(pair->target.store, COPIED, 3); /* while it ends */
    assert_true(store_applied(pair->target.store, COPIED)->installing);
    give(pair->target.store, COPIED, rows.data, rows.length);
    end(pair->target.store, COPIED, &position);
    assert_int_equal(store_applied(pair->target.store, COPIED)->install, 3);
    assert_model(&pair->source_models[COPIED], pair->target.store);
    assert_same_rows(pair, COPIED);
    buffer_free(&rows);
    buffer_free(&other);
}

/* R2: what was seen before, during and after an install stays seen. */
static void the_epoch_seen_survives_an_install(void **state)
{
    struct pair *pair = *state;
    struct store_position position;
    struct buffer rows;
    struct store *store = pair->target.store;
    advance(&pair->source, pair->source_models, 10, UINT32_MAX);
    store_checkpoint_now(pair->source.store);
    export_all(pair->source.store, COPIED, &position, &rows);
    store_set_seen_epoch(store, COPIED, 1, 20); /* in memory only */
    begin(store, COPIED, 9);
    assert_int_equal(store_applied(store, COPIED)->seen_epoch, 20);
    store_set_seen_epoch(store, COPIED, 1, 30);
    store_checkpoint_now(store);
    assert_true(store_checkpointed(store, COPIED)->installing);
    fixture_reopen(&pair->target);
    store = pair->target.store;
    assert_true(store_applied(store, COPIED)->installing);
    assert_int_equal(store_applied(store, COPIED)->seen_epoch, 30);
    begin(store, COPIED, 10);
    give(store, COPIED, rows.data, rows.length);
    store_set_seen_epoch(store, COPIED, 1, 40);
    end(store, COPIED, &position);
    store_set_seen_epoch(store, COPIED, 1, 35);
    assert_int_equal(store_applied(store, COPIED)->seen_epoch, 40);
    fixture_reopen(&pair->target);
    assert_int_equal(store_applied(pair->target.store, COPIED)->seen_epoch, 40);
    assert_int_equal(store_applied(pair->target.store, COPIED)->index, 10);
    buffer_free(&rows);
}

/* --- sizes --------------------------------------------------------------------------------------
 */

enum { SMALL_KEYS = 100000, LARGE_VALUES = 9 };

static void put_small(struct fixture *fixture, uint32_t number)
{
    char key[32], value[32];
    int key_length = snprintf(key, sizeof(key), "key-%08u", (unsigned)number);
    int length = snprintf(value, sizeof(value), "%u", (unsigned)number * 7);
    struct entry *entry = fixture_entry(fixture, COPIED, COMMAND_PUT, key, (uint32_t)key_length,
                                        value, (uint32_t)length);
    entry->ttl_ms = number % 5 == 0 ? 1000000 + number * 17 % 100003 : 0;
    fixture_apply(fixture, entry);
}

static void put_large(struct fixture *fixture, uint8_t number)
{
    uint8_t *value = malloc(CAIRN_VALUE_LIMIT);
    uint8_t key[CAIRN_KEY_LIMIT];
    CHECK(value != NULL);
    memset(value, number, CAIRN_VALUE_LIMIT);
    memset(key, 'a' + number, sizeof(key));
    struct entry *entry =
        fixture_entry(fixture, COPIED, COMMAND_SWAP, key, sizeof(key), value, CAIRN_VALUE_LIMIT);
    entry->client = 500; /* its session keeps a mebibyte, too */
    entry->number = store_applied(fixture->store, COPIED)->index;
    fixture_apply(fixture, entry);
    free(value);
}

/* Reads the export with this limit; the pieces keep to it. */
static void assert_pieces(struct store *store, size_t limit)
{
    struct store_export *export;
    struct store_position position;
    struct buffer rows;
    struct error error = {0};
    bool done = false;
    buffer_init(&rows, CAIRN_RECORDS_LIMIT);
    assert_int_equal(store_export_open(store, COPIED, &position, &export), CAIRN_OK);
    while (!done) {
        buffer_clear(&rows);
        assert_int_equal(store_export_read(export, limit, &rows, &done, &error), CAIRN_OK);
        assert_true(rows.length > 0);
        assert_true(rows.length <= limit || rows.length < CAIRN_VALUE_LIMIT + 1000);
    }
    store_export_close(export);
    buffer_free(&rows);
}

static void many_and_large_values_go_over(void **state)
{
    struct pair *pair = *state;
    for (uint32_t i = 0; i < SMALL_KEYS; i++)
        put_small(&pair->source, i);
    for (uint8_t i = 0; i < LARGE_VALUES; i++)
        put_large(&pair->source, i);
    put_large(&pair->source, 0);
    store_checkpoint_now(pair->source.store);
    for (uint32_t i = 0; i < SMALL_KEYS; i++) /* to be cleared, in more than one transaction */
        put_small(&pair->target, i + SMALL_KEYS / 2);
    store_checkpoint_now(pair->target.store);
    assert_pieces(pair->source.store, 1);
    assert_pieces(pair->source.store, 100000);
    assert_pieces(pair->source.store, SIZE_MAX);
    struct store_position position = copy(pair, COPIED, 1, SIZE_MAX, NULL);
    assert_int_equal(position.index, SMALL_KEYS + LARGE_VALUES + 1);
    assert_same_rows(pair, COPIED);
    struct outcome outcome;
    struct entry *entry;
    assert_int_equal(
        store_session_check(pair->target.store, COPIED, 500, position.index - 1, &outcome, &entry),
        SESSION_DUPLICATE);
    assert_int_equal(outcome.old_value_length, CAIRN_VALUE_LIMIT);
}

/* --- growth of the map (W7) ---------------------------------------------------------------------
 */

static void grow(struct fixture *fixture)
{
    struct store_stats before, stats;
    store_stats(fixture->store, &before);
    stats = before;
    for (uint32_t i = 0; i < 200 && stats.map_growths == before.map_growths; i++) {
        put_large(fixture, (uint8_t)(i % 20));
        store_checkpoint_now(fixture->store);
        store_stats(fixture->store, &stats);
    }
    assert_true(stats.map_growths > before.map_growths);
}

static void a_growing_map_ends_exports(void **state)
{
    struct pair *pair = *state;
    struct store_export *export, *second;
    struct store_position position;
    struct buffer rows;
    struct error error = {0};
    bool done;
    store_close(pair->source.store);
    pair->source.options.map_bytes = 1 << 20;
    scratch_remove(pair->source.directory);
    scratch_create(pair->source.directory);
    fixture_open(&pair->source);
    for (uint32_t i = 0; i < 1000; i++)
        put_small(&pair->source, i);
    store_checkpoint_now(pair->source.store);
    buffer_init(&rows, CAIRN_RECORDS_LIMIT);
    assert_int_equal(store_export_open(pair->source.store, COPIED, &position, &export), CAIRN_OK);
    assert_int_equal(store_export_open(pair->source.store, 0, &position, &second), CAIRN_OK);
    assert_int_equal(store_export_read(export, 2000, &rows, &done, &error), CAIRN_OK);
    grow(&pair->source);
    size_t length = rows.length;
    assert_int_equal(store_export_read(export, 2000, &rows, &done, &error), CAIRN_EUNAVAILABLE);
    assert_int_equal(store_export_read(second, 2000, &rows, &done, &error), CAIRN_EUNAVAILABLE);
    assert_int_equal(rows.length, length);
    assert_false(done);
    store_export_close(export);
    store_export_close(second);
    buffer_free(&rows);
    copy(pair, COPIED, 1, SIZE_MAX, NULL); /* a new one sees all */
    assert_same_rows(pair, COPIED);
}

/* Reads one export after the other until it is told to stop. */
struct reading {
    struct store_export *export;
    int code;
    uint64_t pieces;
};

static void *read_export(void *context)
{
    struct reading *reading = context;
    struct buffer rows;
    bool done = false;
    struct error error;
    buffer_init(&rows, CAIRN_RECORDS_LIMIT);
    while (!done && reading->code == CAIRN_OK) {
        buffer_clear(&rows);
        reading->code = store_export_read(reading->export, 5000, &rows, &done, &error);
        reading->pieces++;
    }
    buffer_free(&rows);
    return NULL;
}

/* A read under way on another thread is waited for, not torn. */
static void exports_are_read_while_the_map_grows(void **state)
{
    struct pair *pair = *state;
    struct store_position position;
    for (uint32_t i = 0; i < 20000; i++)
        put_small(&pair->source, i);
    store_checkpoint_now(pair->source.store);
    for (int round = 0; round < 4; round++) {
        struct reading reading = {0};
        pthread_t thread;
        assert_int_equal(store_export_open(pair->source.store, COPIED, &position, &reading.export),
                         CAIRN_OK);
        assert_int_equal(pthread_create(&thread, NULL, read_export, &reading), 0);
        if (round % 2 == 1)
            grow(&pair->source);
        else
            store_checkpoint_now(pair->source.store);
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_true(reading.code == CAIRN_OK || reading.code == CAIRN_EUNAVAILABLE);
        assert_true(reading.pieces > 0);
        store_export_close(reading.export);
    }
}

#define PAIR_TEST(name) cmocka_unit_test_setup_teardown(name, pair_setup, pair_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        PAIR_TEST(an_installed_partition_equals_its_source),
        PAIR_TEST(an_installed_partition_goes_on),
        PAIR_TEST(an_empty_partition_replaces_a_full_one),
        PAIR_TEST(an_export_is_one_state_while_both_sides_write),
        PAIR_TEST(an_install_wins_over_the_checkpoint_under_way),
        PAIR_TEST(an_install_ends_while_a_checkpoint_is_under_way),
        PAIR_TEST(reads_see_the_new_state_at_once),
        PAIR_TEST(a_newer_install_takes_over),
        PAIR_TEST(the_epoch_seen_survives_an_install),
        PAIR_TEST(many_and_large_values_go_over),
        PAIR_TEST(a_growing_map_ends_exports),
        PAIR_TEST(exports_are_read_while_the_map_grows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
