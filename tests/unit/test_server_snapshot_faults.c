/* What may go wrong with a snapshot: crashes in the middle, damaged rows on either side (W8), too
 * much at once; and position records of older stores (W9). */
#include <signal.h>
#include <sys/wait.h>

#include "base/hash.h"
#include "tests/unit/snapshot_fixture.h"

static void setup_source(struct pair *pair, uint32_t count, struct store_position *position,
                         struct buffer *rows)
{
    advance(&pair->source, pair->source_models, count, UINT32_MAX);
    store_checkpoint_now(pair->source.store);
    export_all(pair->source.store, COPIED, position, rows);
}

/* Where the row at `offset` ends. */
static size_t row_end(const struct buffer *rows, size_t offset)
{
    const uint8_t *row = rows->data + offset;
    uint32_t length;
    uint16_t key_length;
    if (row[0] == 3)
        return offset + 17;
    memcpy(&length, row + (row[0] == 1 ? 3 : 9), sizeof(length));
    memcpy(&key_length, row + 1, sizeof(key_length));
    return offset + length + (row[0] == 1 ? 7 + (size_t)key_length : 13);
}

static size_t next_kind(const struct buffer *rows, size_t offset, uint8_t kind)
{
    while (rows->data[offset] != kind)
        offset = row_end(rows, offset);
    return offset;
}

/* --- crashes ------------------------------------------------------------------------------------
 */

static void assert_installing(struct pair *pair, uint64_t install)
{
    struct store *store = pair->target.store;
    const struct store_position *position = store_applied(store, COPIED);
    assert_true(position->installing);
    assert_int_equal(position->install, install);
    assert_int_equal(position->index, 0);
    assert_int_equal(position->epoch, 0);
    assert_int_equal(position->log_time_ms, 0);
    assert_int_equal(store_session_count(store, COPIED), 0);
    assert_int_equal(store_install_poll(store, COPIED), STORE_INSTALL_NONE);
    assert_true(store_checkpointed(store, COPIED)->installing);
}

static void an_unfinished_install_stays_unfinished(void **state)
{
    struct pair *pair = *state;
    struct store_position position;
    struct buffer rows;
    setup_source(pair, 800, &position, &rows);
    advance(&pair->target, pair->target_models, 500, UINT32_MAX);
    store_checkpoint_now(pair->target.store);
    for (uint64_t install = 1; install <= 4; install++) {
        size_t half = row_end(&rows, next_kind(&rows, 0, install % 2 == 0 ? 1 : 2));
        begin(pair->target.store, COPIED, install);
        if (install > 1)
            give(pair->target.store, COPIED, rows.data, half);
        if (install > 2) /* all but the end: it must be asked for */
            give(pair->target.store, COPIED, rows.data + half, rows.length - half);
        store_checkpoint_now(pair->target.store);
        store_close(pair->target.store);
        fixture_open(&pair->target);
        assert_installing(pair, install);
        assert_models(pair->target_models, pair->target.store, COPIED);
    }
    buffer_free(&rows);
    copy(pair, COPIED, 9, 5000, NULL);
    assert_model(&pair->source_models[COPIED], pair->target.store);
    assert_same_rows(pair, COPIED);
    assert_models(pair->target_models, pair->target.store, COPIED);
}

/* Installs over and over until it is killed. */
static _Noreturn void install_for_ever(const struct store_options *options,
                                       const struct buffer *rows,
                                       const struct store_position *position, int ready)
{
    struct store *store;
    struct error error;
    if (store_open(options, &store, &error) != CAIRN_OK)
        _exit(2);
    for (uint64_t install = store_applied(store, COPIED)->install + 1;; install++) {
        if (store_install_begin(store, COPIED, install) != CAIRN_OK)
            _exit(3);
        if (install % 10 == 3 && write(ready, "r", 1) != 1)
            _exit(4);
        for (size_t at = 0; at < rows->length;) {
            size_t next = row_end(rows, at);
            while (store_install_poll(store, COPIED) != STORE_INSTALL_RECEIVING)
                usleep(100);
            for (int i = 0; i < 20 && next < rows->length; i++)
                next = row_end(rows, next);
            if (store_install_rows(store, COPIED, rows->data + at, next - at, &error) != CAIRN_OK)
                _exit(5);
            at = next;
        }
        if (store_install_end(store, COPIED, position) != CAIRN_OK)
            _exit(6);
        while (store_install_poll(store, COPIED) != STORE_INSTALL_DONE)
            usleep(100);
    }
}

static void kill_one(struct pair *pair, const struct buffer *rows,
                     const struct store_position *position, struct random *random)
{
    int ready[2], status;
    char byte;
    assert_int_equal(pipe(ready), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        install_for_ever(&pair->target.options, rows, position, ready[1]);
    close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    usleep((useconds_t)random_below(random, 30000));
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    close(ready[0]);
}

/* W5: either it is installing, or all of it is there. */
static void a_killed_install_is_whole_or_unfinished(void **state)
{
    struct pair *pair = *state;
    struct store_position position;
    struct buffer rows;
    struct random random;
    uint32_t whole = 0, unfinished = 0;
    setup_source(pair, 800, &position, &rows);
    advance(&pair->target, pair->target_models, 500, UINT32_MAX);
    store_checkpoint_now(pair->target.store);
    store_close(pair->source.store); /* no threads where it forks */
    pair->source.store = NULL;
    random_seed(&random, 4711);
    for (int round = 0; round < 12 || (round < 100 && (whole == 0 || unfinished == 0)); round++) {
        store_close(pair->target.store);
        pair->target.store = NULL;
        kill_one(pair, &rows, &position, &random);
        fixture_open(&pair->target);
        if (store_applied(pair->target.store, COPIED)->installing) {
            assert_installing(pair, store_applied(pair->target.store, COPIED)->install);
            unfinished++;
        } else {
            assert_model(&pair->source_models[COPIED], pair->target.store);
            whole++;
        }
        assert_models(pair->target_models, pair->target.store, COPIED);
    }
    assert_true(unfinished > 0);
    buffer_free(&rows);
}

/* --- rows that are not what they should be ------------------------------------------------------
 */

static void assert_row_refused(struct store *store, const uint8_t *rows, size_t length)
{
    struct error error = {0};
    assert_int_equal(store_install_rows(store, COPIED, rows, length, &error), CAIRN_EPROTO);
    assert_non_null(strstr(error.message, "partition 2"));
}

static void a_flipped_or_missing_byte_is_refused(void **state)
{
    struct pair *pair = *state;
    struct store_position position;
    struct buffer rows;
    setup_source(pair, 120, &position, &rows);
    begin(pair->target.store, COPIED, 1);
    size_t session = next_kind(&rows, 0, 2);
    assert_true(next_kind(&rows, session, 3) > session);
    for (size_t offset = 0; offset < rows.length; offset++) {
        rows.data[offset] ^= (uint8_t)(1 << offset % 8);
        assert_row_refused(pair->target.store, rows.data, rows.length);
        rows.data[offset] ^= (uint8_t)(1 << offset % 8);
    }
    size_t boundary = 0;
    for (size_t length = 1; length < rows.length; length++) {
        if (length == row_end(&rows, boundary))
            boundary = length;
        else /* from a copy of that length, so that reading behind it is seen */
        {
            uint8_t *cut = model_copy(rows.data, (uint32_t)length);
            assert_row_refused(pair->target.store, cut, length);
            free(cut);
        }
    }
    /* Nothing of all this was taken. */
    give(pair->target.store, COPIED, rows.data, rows.length);
    end(pair->target.store, COPIED, &position);
    assert_model(&pair->source_models[COPIED], pair->target.store);
    assert_same_rows(pair, COPIED);
    buffer_free(&rows);
}

static void rows_out_of_place_are_refused(void **state)
{
    struct pair *pair = *state;
    struct store_position position;
    struct buffer rows;
    struct store *store = pair->target.store;
    setup_source(pair, 200, &position, &rows);
    size_t first = row_end(&rows, 0), second = row_end(&rows, first);
    size_t session = next_kind(&rows, 0, 2), after = row_end(&rows, session);
    size_t last = next_kind(&rows, 0, 3);
    begin(store, COPIED, 1);
    assert_int_equal(store_install_end(store, COPIED, &position), CAIRN_EPROTO); /* no end row */
    assert_row_refused(store, rows.data + last, rows.length - last); /* counts what never came */
    give(store, COPIED, rows.data, second);
    assert_row_refused(store, rows.data, first); /* once more */
    assert_row_refused(store, rows.data + first, second - first);
    give(store, COPIED, rows.data + second, after - second);
    assert_row_refused(store, rows.data + first, second - first); /* a pair behind a session */
    assert_row_refused(store, rows.data + session, after - session);
    assert_row_refused(store, rows.data + last, rows.length - last);
    assert_int_equal(store_install_end(store, COPIED, &position), CAIRN_EPROTO);
    give(store, COPIED, rows.data + after, rows.length - after);
    assert_row_refused(store, rows.data + last, rows.length - last); /* behind the end */
    end(store, COPIED, &position);
    assert_model(&pair->source_models[COPIED], store);
    buffer_free(&rows);
}

/* A row of a session says nothing of the partition but in its checksum. */
static void rows_of_another_partition_are_refused(void **state)
{
    struct pair *pair = *state;
    struct store_position position;
    struct buffer rows;
    struct error error;
    setup_source(pair, 100, &position, &rows);
    begin(pair->target.store, COPIED + 1, 1);
    assert_int_equal(
        store_install_rows(pair->target.store, COPIED + 1, rows.data, rows.length, &error),
        CAIRN_EPROTO);
    buffer_free(&rows);
}

/* --- damage at the source (W8, R13) -------------------------------------------------------------
 */

static void assert_not_exported(struct pair *pair)
{
    struct store_export *export;
    struct store_position position;
    struct buffer rows;
    struct error error = {0};
    struct store_stats stats;
    bool done = false;
    int code = CAIRN_OK;
    buffer_init(&rows, CAIRN_RECORDS_LIMIT);
    assert_int_equal(store_export_open(pair->source.store, COPIED, &position, &export), CAIRN_OK);
    for (int i = 0; code == CAIRN_OK && !done && i < 10000; i++) {
        buffer_clear(&rows);
        code = store_export_read(export, 200, &rows, &done, &error);
    }
    assert_int_equal(code, CAIRN_ECORRUPT);
    assert_false(done);
    assert_non_null(strstr(error.message, "partition 2"));
    /* It does not get over it. */
    assert_int_equal(store_export_read(export, 200, &rows, &done, &error), CAIRN_ECORRUPT);
    store_export_close(export);
    buffer_free(&rows);
    store_stats(pair->source.store, &stats);
    assert_int_equal(stats.checksum_errors, 1);
}

static void damage_once(struct pair *pair, const char *table, const struct stored_key *key,
                        size_t offset)
{
    store_close(pair->source.store);
    raw_flip(&pair->source, table, key, offset);
    fixture_open(&pair->source);
    assert_not_exported(pair);
    store_close(pair->source.store);
    raw_flip(&pair->source, table, key, offset);
    fixture_open(&pair->source);
}

static void a_damaged_row_is_not_exported(void **state)
{
    struct pair *pair = *state;
    struct stored_key key;
    struct store_position position;
    struct buffer rows;
    const char *names[] = {"aa", "mm", "zz"};
    for (uint64_t i = 0; i < 6; i++) {
        struct entry *entry =
            fixture_entry(&pair->source, COPIED, COMMAND_SWAP, names[i % 3], 2, "some text", 9);
        entry->client = 40 + i;
        entry->number = 1;
        fixture_apply(&pair->source, entry);
    }
    store_checkpoint_now(pair->source.store);
    for (size_t i = 0; i < 3; i++) {
        data_key(&key, COPIED, (const uint8_t *)names[i], 2);
        damage_once(pair, "data", &key, VALUE_HEADER_BYTES + 3);
        damage_once(pair, "data", &key, 1);
    }
    session_key(&key, COPIED, 44);
    damage_once(pair, "sessions", &key, SESSION_HEADER_BYTES + 2); /* the old value */
    export_all(pair->source.store, COPIED, &position, &rows);      /* all is well again */
    assert_int_equal(position.index, 6);
    buffer_free(&rows);
}

/* --- bounds -------------------------------------------------------------------------------------
 */

static void put_mebibyte(struct fixture *fixture, uint8_t number)
{
    uint8_t *value = malloc(CAIRN_VALUE_LIMIT);
    CHECK(value != NULL);
    memset(value, number, CAIRN_VALUE_LIMIT);
    fixture_apply(
        fixture, fixture_entry(fixture, COPIED, COMMAND_PUT, &number, 1, value, CAIRN_VALUE_LIMIT));
    free(value);
}

/* The thread has to grow the map and waits for this turn's reads (W7): rows pile up. */
static void what_waits_for_the_thread_is_bounded(void **state)
{
    struct pair *pair = *state;
    struct store_position position;
    struct buffer rows;
    struct error error;
    store_close(pair->target.store);
    scratch_remove(pair->target.directory);
    scratch_create(pair->target.directory);
    pair->target.options.map_bytes = 1 << 20;
    fixture_open(&pair->target);
    for (uint8_t i = 0; i < 40; i++)
        put_mebibyte(&pair->source, i);
    store_checkpoint_now(pair->source.store);
    export_all(pair->source.store, COPIED, &position, &rows);
    begin(pair->target.store, COPIED, 1);
    assert_null(get_text(&pair->target, "nothing")); /* a read: the turn holds the map */
    size_t offset = 0, given = 0;
    int code = CAIRN_OK;
    while (offset < rows.length && code == CAIRN_OK) {
        size_t next = row_end(&rows, offset);
        code = store_install_rows(pair->target.store, COPIED, rows.data + offset, next - offset,
                                  &error);
        if (code == CAIRN_OK)
            given += next - offset;
        if (code == CAIRN_OK)
            offset = next;
    }
    assert_int_equal(code, CAIRN_EFULL);
    assert_true(given >= 7 << 20);
    assert_true(given <= 17 << 20); /* what waits, and what is being written */
    for (; offset < rows.length; offset = row_end(&rows, offset))
        give(pair->target.store, COPIED, rows.data + offset, row_end(&rows, offset) - offset);
    end(pair->target.store, COPIED, &position);
    assert_same_rows(pair, COPIED);
    buffer_free(&rows);
}

/* --- records of older stores (W9) ---------------------------------------------------------------
 */

static void a_position_record_of_format_1_0_is_read(void **state)
{
    struct pair *pair = *state;
    const uint64_t fields[5] = {3, 7, 1234, 98765, 9};
    uint8_t bytes[POSITION_BYTES_1_0];
    struct stored_key key;
    MDB_dbi dbi;
    memcpy(bytes, fields, sizeof(fields)); /* tests run on little-endian machines */
    uint64_t checksum = hash_seeded(bytes, sizeof(fields), COPIED);
    memcpy(bytes + sizeof(fields), &checksum, sizeof(checksum));
    position_key(&key, COPIED);
    store_close(pair->source.store);
    MDB_txn *txn = raw_begin(&pair->source, "meta", &dbi);
    MDB_val at = {key.length, key.bytes}, value = {sizeof(bytes), bytes};
    assert_int_equal(mdb_put(txn, dbi, &at, &value, 0), 0);
    raw_commit(txn);
    fixture_open(&pair->source);
    const struct store_position *position = store_applied(pair->source.store, COPIED);
    assert_int_equal(position->history, 3);
    assert_int_equal(position->epoch, 7);
    assert_int_equal(position->index, 1234);
    assert_int_equal(position->log_time_ms, 98765);
    assert_int_equal(position->seen_epoch, 9);
    assert_int_equal(position->install, 0);
    assert_false(position->installing);
    /* A checkpoint writes the new form. */
    struct store_position before = *position;
    store_set_seen_epoch(pair->source.store, COPIED, 3, 10);
    fixture_reopen(&pair->source);
    before.seen_epoch = 10;
    assert_same_position(store_applied(pair->source.store, COPIED), &before);
}

#define PAIR_TEST(name) cmocka_unit_test_setup_teardown(name, pair_setup, pair_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        PAIR_TEST(an_unfinished_install_stays_unfinished),
        PAIR_TEST(a_killed_install_is_whole_or_unfinished),
        PAIR_TEST(a_flipped_or_missing_byte_is_refused),
        PAIR_TEST(rows_out_of_place_are_refused),
        PAIR_TEST(rows_of_another_partition_are_refused),
        PAIR_TEST(a_damaged_row_is_not_exported),
        PAIR_TEST(what_waits_for_the_thread_is_bounded),
        PAIR_TEST(a_position_record_of_format_1_0_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
