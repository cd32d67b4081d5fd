/* Checkpoints (W5), growth of the map (W7), checksums (W8), formats (W9), and the reclaiming of
 * expired keys. Reads the store's LMDB behind its back while it is closed. */
#include <lmdb.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "server/value.h"
#include "tests/unit/store_fixture.h"

/* --- the raw environment ------------------------------------------------------------------------
 */

typedef void (*raw_visit)(MDB_txn *txn, MDB_dbi table, void *context);

static void raw(struct fixture *fixture, const char *table, raw_visit visit, void *context)
{
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi dbi;
    assert_int_equal(mdb_env_create(&env), 0);
    assert_int_equal(mdb_env_set_maxdbs(env, 4), 0);
    assert_int_equal(mdb_env_set_mapsize(env, 256 << 20), 0);
    assert_int_equal(mdb_env_open(env, fixture->directory, 0, 0600), 0);
    assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
    assert_int_equal(mdb_dbi_open(txn, table, 0, &dbi), 0);
    visit(txn, dbi, context);
    assert_int_equal(mdb_txn_commit(txn), 0);
    mdb_env_close(env);
}

static void count_rows(MDB_txn *txn, MDB_dbi table, void *context)
{
    MDB_stat stat;
    assert_int_equal(mdb_stat(txn, table, &stat), 0);
    *(size_t *)context = stat.ms_entries;
}

/* Rows of a table; the store is closed and opened again. */
static size_t rows(struct fixture *fixture, const char *table)
{
    size_t count;
    store_close(fixture->store);
    raw(fixture, table, count_rows, &count);
    fixture_open(fixture);
    return count;
}

struct flip {
    struct stored_key key;
    size_t offset; /* in the row's value */
};

static void flip_byte(MDB_txn *txn, MDB_dbi table, void *context)
{
    struct flip *flip = context;
    MDB_val key = {flip->key.length, flip->key.bytes}, value;
    uint8_t copy[256];
    assert_int_equal(mdb_get(txn, table, &key, &value), 0);
    assert_true(value.mv_size <= sizeof(copy) && flip->offset < value.mv_size);
    memcpy(copy, value.mv_data, value.mv_size);
    copy[flip->offset] ^= 0x10;
    value.mv_data = copy;
    assert_int_equal(mdb_put(txn, table, &key, &value, 0), 0);
}

/* --- checksums ----------------------------------------------------------------------------------
 */

static bool count_pair(void *context, uint32_t partition, const uint8_t *key, uint32_t key_length,
                       const struct store_value *value)
{
    (void)partition, (void)key, (void)key_length, (void)value;
    ++*(size_t *)context;
    return true;
}

static void a_flipped_byte_is_never_returned(void **state)
{
    struct fixture *fixture = *state;
    const size_t length = VALUE_HEADER_BYTES + 5;
    put(fixture, "good", "fine!");
    put_ttl(fixture, "key", "value", 1u << 30);
    for (size_t offset = 0; offset < length; offset++) {
        struct flip flip = {.offset = offset};
        struct store_value value;
        struct store_stats stats;
        const uint32_t partition = 0;
        struct store_scan scan = {.partitions = &partition, .partition_count = 1};
        size_t pairs = 0;
        data_key(&flip.key, 0, (const uint8_t *)"key", 3);
        store_checkpoint_now(fixture->store);
        store_close(fixture->store);
        raw(fixture, "data", flip_byte, &flip);
        fixture_open(fixture);
        assert_int_equal(store_get(fixture->store, 0, (const uint8_t *)"key", 3, &value),
                         CAIRN_ECORRUPT);
        assert_null(value.data);
        assert_int_equal(store_scan(fixture->store, &scan, count_pair, &pairs), CAIRN_ECORRUPT);
        assert_int_equal(pairs, 1); /* "good" comes before it */
        assert_string_equal(get_text(fixture, "good"), "fine!");
        assert_int_equal(put(fixture, "key", "new").code, OUTCOME_CORRUPT);
        assert_int_equal(swap(fixture, "key", "new").code, OUTCOME_CORRUPT);
        assert_int_equal(delete_key(fixture, "key").code, OUTCOME_CORRUPT);
        store_stats(fixture->store, &stats);
        assert_int_equal(stats.checksum_errors, 5);
        store_checkpoint_now(fixture->store);
        store_close(fixture->store);
        raw(fixture, "data", flip_byte, &flip); /* back */
        fixture_open(fixture);
        assert_string_equal(get_text(fixture, "key"), "value");
    }
}

/* Nothing is changed, so nothing may be kept as the outcome: a retry is decided anew. */
static void a_corrupt_outcome_is_not_kept(void **state)
{
    struct fixture *fixture = *state;
    struct flip flip = {.offset = VALUE_HEADER_BYTES};
    struct outcome outcome;
    struct entry *entry, *found;
    put(fixture, "key", "value");
    data_key(&flip.key, 0, (const uint8_t *)"key", 3);
    store_checkpoint_now(fixture->store);
    store_close(fixture->store);
    raw(fixture, "data", flip_byte, &flip);
    fixture_open(fixture);
    entry = text_entry(fixture, COMMAND_SWAP, "key", "new");
    entry->client = 7;
    entry->number = 1;
    assert_int_equal(store_session_begin(fixture->store, entry), CAIRN_OK);
    assert_int_equal(fixture_apply(fixture, entry).code, OUTCOME_CORRUPT);
    assert_int_equal(store_session_check(fixture->store, 0, 7, 1, &outcome, &found), SESSION_NEW);
    assert_int_equal(store_session_count(fixture->store, 0), 0);
}

static void a_damaged_session_refuses_to_open(void **state)
{
    struct fixture *fixture = *state;
    for (size_t offset = 0; offset < SESSION_HEADER_BYTES; offset++) {
        struct error error = {0};
        struct flip flip = {.offset = offset};
        struct entry *entry = text_entry(fixture, COMMAND_SWAP, "key", "value");
        entry->client = 7;
        entry->number = 1 + offset;
        fixture_apply(fixture, entry);
        store_checkpoint_now(fixture->store);
        store_close(fixture->store);
        session_key(&flip.key, 0, 7);
        raw(fixture, "sessions", flip_byte, &flip);
        assert_int_equal(store_open(&fixture->options, &fixture->store, &error), CAIRN_ECORRUPT);
        assert_non_null(strstr(error.message, fixture->directory));
        assert_null(fixture->store);
        raw(fixture, "sessions", flip_byte, &flip);
        fixture_open(fixture);
    }
}

static void a_damaged_old_value_is_never_replayed(void **state)
{
    struct fixture *fixture = *state;
    struct flip flip = {.offset = SESSION_HEADER_BYTES + 1};
    struct outcome outcome;
    struct entry *entry, *found;
    put(fixture, "key", "value");
    entry = text_entry(fixture, COMMAND_SWAP, "key", "new");
    entry->client = 7;
    entry->number = 1;
    fixture_apply(fixture, entry);
    store_checkpoint_now(fixture->store);
    store_close(fixture->store);
    session_key(&flip.key, 0, 7);
    raw(fixture, "sessions", flip_byte, &flip);
    fixture_open(fixture);
    assert_int_equal(store_session_check(fixture->store, 0, 7, 1, &outcome, &found),
                     SESSION_DUPLICATE);
    assert_int_equal(outcome.code, OUTCOME_CORRUPT);
    assert_null(outcome.old_value);
}

static void a_damaged_position_refuses_to_open(void **state)
{
    struct fixture *fixture = *state;
    put(fixture, "key", "value");
    store_checkpoint_now(fixture->store);
    for (size_t offset = 0; offset < POSITION_BYTES; offset++) {
        struct error error = {0};
        struct flip flip = {.offset = offset};
        position_key(&flip.key, 0);
        store_close(fixture->store);
        raw(fixture, "meta", flip_byte, &flip);
        assert_int_equal(store_open(&fixture->options, &fixture->store, &error), CAIRN_ECORRUPT);
        assert_non_null(strstr(error.message, fixture->directory));
        raw(fixture, "meta", flip_byte, &flip);
        fixture_open(fixture);
    }
}

/* --- opening ------------------------------------------------------------------------------------
 */

static void put_format(MDB_txn *txn, MDB_dbi table, void *context)
{
    uint8_t *bytes = context; /* FORMAT_BYTES, or NULL to delete it */
    char name[] = "format";
    MDB_val key = {6, name}, value = {FORMAT_BYTES, bytes};
    if (bytes == NULL)
        assert_int_equal(mdb_del(txn, table, &key, NULL), 0);
    else
        assert_int_equal(mdb_put(txn, table, &key, &value, 0), 0);
}

static void assert_refused(struct fixture *fixture, int code)
{
    struct error error = {0};
    assert_int_equal(store_open(&fixture->options, &fixture->store, &error), code);
    assert_null(fixture->store);
    assert_non_null(strstr(error.message, fixture->directory));
}

static void a_newer_format_is_refused(void **state)
{
    struct fixture *fixture = *state;
    uint8_t bytes[FORMAT_BYTES];
    put(fixture, "k", "v");
    store_checkpoint_now(fixture->store);
    store_close(fixture->store);
    format_encode(bytes, FIXTURE_PARTITIONS);
    bytes[0]++;
    raw(fixture, "meta", put_format, bytes); /* W9 */
    assert_refused(fixture, CAIRN_EVERSION);
    bytes[0] = 0;
    raw(fixture, "meta", put_format, bytes);
    assert_refused(fixture, CAIRN_ECORRUPT);
    raw(fixture, "meta", put_format, NULL); /* there is data, so it was there */
    assert_refused(fixture, CAIRN_ECORRUPT);
    format_encode(bytes, FIXTURE_PARTITIONS);
    raw(fixture, "meta", put_format, bytes);
    fixture_open(fixture);
    assert_string_equal(get_text(fixture, "k"), "v");
}

static void get_format(MDB_txn *txn, MDB_dbi table, void *context)
{
    char name[] = "format";
    MDB_val key = {6, name}, value;
    assert_int_equal(mdb_get(txn, table, &key, &value), 0);
    assert_int_equal(value.mv_size, FORMAT_BYTES);
    memcpy(context, value.mv_data, FORMAT_BYTES);
}

/* W9: it stays what it was until something is written that its program could not read. */
static void an_older_format_is_read_and_raised_by_the_first_checkpoint(void **state)
{
    struct fixture *fixture = *state;
    uint8_t bytes[FORMAT_BYTES];
    put(fixture, "k", "v");
    store_checkpoint_now(fixture->store);
    store_close(fixture->store);
    format_encode(bytes, FIXTURE_PARTITIONS);
    bytes[0] = STORE_FORMAT_OLDEST;
    raw(fixture, "meta", put_format, bytes);
    fixture_open(fixture);
    fixture_reopen(fixture);
    raw(fixture, "meta", get_format, bytes);
    assert_int_equal(bytes[0], STORE_FORMAT_OLDEST);
    assert_string_equal(get_text(fixture, "k"), "v");
    put(fixture, "k", "w");
    store_checkpoint_now(fixture->store);
    raw(fixture, "meta", get_format, bytes);
    assert_int_equal(bytes[0], STORE_FORMAT_MAJOR);
    fixture_reopen(fixture);
    assert_string_equal(get_text(fixture, "k"), "w");
}

static void another_number_of_partitions_is_refused(void **state)
{
    struct fixture *fixture = *state;
    store_close(fixture->store);
    fixture->options.partitions = FIXTURE_PARTITIONS + 1;
    assert_refused(fixture, CAIRN_ECONFLICT);
    fixture->options.partitions = 0;
    assert_refused(fixture, CAIRN_EINVAL);
    fixture->options.partitions = CAIRN_PARTITIONS_LIMIT + 1;
    assert_refused(fixture, CAIRN_EINVAL);
    fixture->options.partitions = FIXTURE_PARTITIONS;
    fixture_open(fixture);
}

static void fill_store(struct fixture *fixture, uint32_t count, uint32_t value_length)
{
    uint8_t *value = malloc(value_length);
    char key[16];
    for (uint32_t i = 0; i < count; i++) {
        memset(value, (int)i, value_length);
        uint32_t length = (uint32_t)snprintf(key, sizeof(key), "key%u", (unsigned)i);
        fixture_apply(fixture, fixture_entry(fixture, i % FIXTURE_PARTITIONS, COMMAND_PUT, key,
                                             length, value, value_length));
    }
    free(value);
}

static void check_filled(struct fixture *fixture, uint32_t count, uint32_t value_length)
{
    char key[16];
    for (uint32_t i = 0; i < count; i++) {
        struct store_value value;
        uint32_t length = (uint32_t)snprintf(key, sizeof(key), "key%u", (unsigned)i);
        assert_int_equal(
            store_get(fixture->store, i % FIXTURE_PARTITIONS, (const uint8_t *)key, length, &value),
            CAIRN_OK);
        assert_int_equal(value.length, value_length);
        assert_int_equal(value.data[0], (uint8_t)i);
        assert_int_equal(value.data[value_length - 1], (uint8_t)i);
    }
}

static void a_cut_creation_is_completed(void **state)
{
    struct fixture *fixture = *state;
    store_close(fixture->store);
    raw(fixture, "meta", put_format, NULL);
    fixture_open(fixture);
    put(fixture, "k", "v");
    fixture_reopen(fixture);
    assert_string_equal(get_text(fixture, "k"), "v");
}

static void drop_table(MDB_txn *txn, MDB_dbi table, void *context)
{
    (void)context;
    assert_int_equal(mdb_drop(txn, table, 1), 0);
}

static void a_missing_table_is_refused(void **state)
{
    struct fixture *fixture = *state;
    store_close(fixture->store);
    fixture->store = NULL;
    raw(fixture, "sessions", drop_table, NULL);
    assert_refused(fixture, CAIRN_ECORRUPT);
}

static void overwrite(struct fixture *fixture, const char *bytes, size_t length)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/data.mdb", fixture->directory);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, length, file), length);
    assert_int_equal(fclose(file), 0);
}

static void a_file_that_is_no_store_is_refused(void **state)
{
    struct fixture *fixture = *state;
    static char junk[64 << 10];
    store_close(fixture->store);
    fixture->store = NULL;
    memset(junk, 'x', sizeof(junk));
    overwrite(fixture, junk, sizeof(junk));
    assert_refused(fixture, CAIRN_ECORRUPT);
    overwrite(fixture, junk, 100);
    assert_refused(fixture, CAIRN_ECORRUPT);
}

static void a_cut_file_is_refused(void **state)
{
    struct fixture *fixture = *state;
    struct store_stats stats;
    char path[128];
    fill_store(fixture, 200, 2000);
    store_checkpoint_now(fixture->store);
    store_stats(fixture->store, &stats);
    store_close(fixture->store);
    fixture->store = NULL;
    snprintf(path, sizeof(path), "%s/data.mdb", fixture->directory);
    assert_int_equal(truncate(path, (off_t)stats.pages_bytes), 0); /* the hole behind its pages */
    fixture_open(fixture);
    check_filled(fixture, 200, 2000);
    store_close(fixture->store);
    fixture->store = NULL;
    assert_int_equal(truncate(path, (off_t)stats.pages_bytes - 1), 0);
    assert_refused(fixture, CAIRN_ECORRUPT);
    assert_int_equal(truncate(path, 3 * 4096), 0);
    assert_refused(fixture, CAIRN_ECORRUPT);
}

static void a_directory_that_cannot_be_is_refused(void **state)
{
    struct fixture *fixture = *state;
    char path[128];
    struct store *store;
    struct error error = {0};
    struct store_options options = fixture->options;
    snprintf(path, sizeof(path), "%s/data.mdb/below", fixture->directory);
    options.directory = path;
    assert_int_not_equal(store_open(&options, &store, &error), CAIRN_OK);
    assert_null(store);
    assert_non_null(strstr(error.message, fixture->directory));
}

/* --- checkpoints --------------------------------------------------------------------------------
 */

static void what_is_not_checkpointed_is_not_there(void **state)
{
    struct fixture *fixture = *state;
    put(fixture, "kept", "v");
    store_checkpoint_now(fixture->store);
    put(fixture, "lost", "v");
    assert_int_equal(store_applied(fixture->store, 0)->index, 2);
    store_close(fixture->store);
    fixture_open(fixture);
    assert_string_equal(get_text(fixture, "kept"), "v");
    assert_null(get_text(fixture, "lost"));
    assert_int_equal(store_applied(fixture->store, 0)->index, 1);
    assert_int_equal(store_checkpointed(fixture->store, 0)->index, 1);
}

static void a_checkpoint_runs_only_when_something_changed(void **state)
{
    struct fixture *fixture = *state;
    struct store_stats stats;
    assert_false(store_checkpoint_start(fixture->store));
    assert_false(store_checkpoint_finish(fixture->store));
    put(fixture, "k", "v");
    assert_true(store_checkpoint_start(fixture->store));
    assert_true(store_checkpoint_running(fixture->store));
    assert_false(store_checkpoint_start(fixture->store));
    store_checkpoint_now(fixture->store);
    assert_false(store_checkpoint_running(fixture->store));
    assert_false(store_checkpoint_start(fixture->store));
    store_stats(fixture->store, &stats);
    assert_int_equal(stats.checkpoints, 1);
    assert_int_equal(stats.commits, 1);
    assert_true(stats.pages_bytes >= 4096);
    noop(fixture); /* a position moves too */
    assert_true(store_checkpoint_start(fixture->store));
}

static void memory_is_counted_and_given_back(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(store_live_bytes(fixture->store), 0);
    put(fixture, "k", "0123456789");
    uint64_t first = store_live_bytes(fixture->store); /* with an index */
    put(fixture, "k", "0123456789");
    assert_int_equal(store_live_bytes(fixture->store), first);
    swap(fixture, "l", "0123456789");
    uint64_t one = store_live_bytes(fixture->store) - first;
    assert_true(one >= 11 + 60 && one <= 200 && one < first && first <= one + 512);
    assert_true(store_checkpoint_start(fixture->store));
    assert_int_equal(store_live_bytes(fixture->store), 0);
    assert_int_equal(store_memtable_bytes(fixture->store), first + one);
    put(fixture, "m", "0123456789");
    assert_int_equal(store_memtable_bytes(fixture->store), 2 * first + one);
    store_checkpoint_now(fixture->store);
    assert_int_equal(store_memtable_bytes(fixture->store), 0);
    struct entry *entry = text_entry(fixture, COMMAND_SWAP, "k", "v");
    entry->client = 7;
    entry->number = 1;
    fixture_apply(fixture, entry); /* sessions count as well */
    assert_true(store_live_bytes(fixture->store) > one);
    store_checkpoint_now(fixture->store);
    assert_int_equal(store_live_bytes(fixture->store), 0);
}

static void writes_during_a_checkpoint_wait_for_the_next(void **state)
{
    struct fixture *fixture = *state;
    put(fixture, "a", "1");
    put(fixture, "b", "1");
    assert_true(store_checkpoint_start(fixture->store));
    put(fixture, "a", "2");
    delete_key(fixture, "b");
    put(fixture, "c", "2");
    assert_string_equal(get_text(fixture, "a"), "2");
    assert_null(get_text(fixture, "b"));
    store_end_turn(fixture->store);
    while (!store_checkpoint_finish(fixture->store))
        usleep(1000);
    assert_int_equal(store_checkpointed(fixture->store, 0)->index, 2);
    assert_string_equal(get_text(fixture, "a"), "2");
    assert_null(get_text(fixture, "b"));
    assert_string_equal(get_text(fixture, "c"), "2");
    fixture_reopen(fixture);
    assert_string_equal(get_text(fixture, "a"), "2");
    assert_null(get_text(fixture, "b"));
    assert_string_equal(get_text(fixture, "c"), "2");
}

static void done_called(void *context)
{
    atomic_fetch_add((atomic_int *)context, 1);
}

static void the_loop_is_woken_when_it_is_done(void **state)
{
    struct fixture *fixture = *state;
    atomic_int calls = 0;
    store_close(fixture->store);
    fixture->options.checkpoint_done = done_called;
    fixture->options.context = &calls;
    fixture_open(fixture);
    put(fixture, "k", "v");
    assert_null(get_text(fixture, "absent")); /* the turn's snapshot is older than the commit */
    assert_true(store_checkpoint_start(fixture->store));
    while (atomic_load(&calls) == 0)
        usleep(1000);
    assert_true(store_checkpoint_finish(fixture->store));
    assert_int_equal(atomic_load(&calls), 1);
    assert_string_equal(get_text(fixture, "k"), "v");
    store_close(fixture->store);
    fixture->options.checkpoint_done = NULL;
    fixture_open(fixture);
}

/* W5: each transaction holds whole partitions, so many partitions take many commits. */
static void a_large_checkpoint_takes_several_commits(void **state)
{
    struct fixture *fixture = *state;
    struct store_stats stats;
    char key[16];
    store_close(fixture->store);
    fixture->options.transaction_bytes = 1 << 20;
    fixture_open(fixture);
    for (uint32_t i = 0; i < 2000; i++) {
        uint32_t length = (uint32_t)snprintf(key, sizeof(key), "key%u", (unsigned)i);
        fixture_apply(fixture, fixture_entry(fixture, i % FIXTURE_PARTITIONS, COMMAND_PUT, key,
                                             length, key, length));
    }
    fixture_reopen(fixture);
    store_stats(fixture->store, &stats);
    assert_int_equal(stats.commits, 0); /* counted since the opening */
    for (uint32_t i = 0; i < FIXTURE_PARTITIONS; i++) {
        struct entry *entry = fixture_entry(fixture, i, COMMAND_NOOP, NULL, 0, NULL, 0);
        fixture_apply(fixture, entry);
    }
    store_checkpoint_now(fixture->store);
    store_stats(fixture->store, &stats);
    assert_int_equal(stats.commits, 1);
    for (uint32_t i = 0; i < 2000; i++) {
        uint32_t length = (uint32_t)snprintf(key, sizeof(key), "key%u", (unsigned)i);
        fixture_apply(fixture, fixture_entry(fixture, i % FIXTURE_PARTITIONS, COMMAND_PUT, key,
                                             length, key, length));
    }
    store_checkpoint_now(fixture->store);
    store_stats(fixture->store, &stats);
    assert_int_equal(stats.commits, 1 + FIXTURE_PARTITIONS);
}

/* --- W7 -----------------------------------------------------------------------------------------
 */

static void a_full_map_grows(void **state)
{
    struct fixture *fixture = *state;
    struct store_stats stats;
    store_close(fixture->store);
    fixture->options.map_bytes = 256 << 10;
    fixture_open(fixture);
    fill_store(fixture, 200, 20000);
    store_checkpoint_now(fixture->store);
    store_stats(fixture->store, &stats);
    assert_true(stats.map_growths >= 4);
    check_filled(fixture, 200, 20000);
    store_close(fixture->store);
    fixture_open(fixture); /* with the small map: the file is larger */
    check_filled(fixture, 200, 20000);
    fill_store(fixture, 200, 30000);
    store_checkpoint_now(fixture->store);
    check_filled(fixture, 200, 30000);
}

/* The loop reads all the while; the map may move between its turns only. */
static void the_map_grows_between_the_turns_of_a_reading_loop(void **state)
{
    struct fixture *fixture = *state;
    struct store_stats stats;
    store_close(fixture->store);
    fixture->options.map_bytes = 256 << 10;
    fixture_open(fixture);
    fill_store(fixture, 8, 1000);
    store_checkpoint_now(fixture->store);
    for (int round = 0; round < 5; round++) {
        char name[16];
        static uint8_t large[300000];
        uint32_t length = (uint32_t)snprintf(name, sizeof(name), "large%d", round);
        fixture_apply(fixture,
                      fixture_entry(fixture, 1, COMMAND_PUT, name, length, large, sizeof(large)));
        while (!store_checkpoint_start(fixture->store))
            usleep(100);
        store_end_turn(fixture->store);
        while (!store_checkpoint_finish(fixture->store)) {
            check_filled(fixture, 8, 1000);
            store_end_turn(fixture->store);
        }
    }
    store_stats(fixture->store, &stats);
    assert_true(stats.map_growths >= 2);
}

/* Whoever waits by asking for the end alone must not keep the map from growing. */
static void waiting_for_the_end_does_not_block_it(void **state)
{
    struct fixture *fixture = *state;
    struct store_stats stats;
    store_close(fixture->store);
    fixture->options.map_bytes = 256 << 10;
    fixture_open(fixture);
    fill_store(fixture, 100, 20000);
    assert_null(get_text(fixture, "absent")); /* begins the turn's snapshot */
    assert_true(store_checkpoint_start(fixture->store));
    while (!store_checkpoint_finish(fixture->store))
        usleep(1000);
    store_stats(fixture->store, &stats);
    assert_true(stats.map_growths > 0);
    check_filled(fixture, 100, 20000);
}

/* --- W5: a failed commit is fatal ---------------------------------------------------------------
 */

struct verdict {
    const char *directory;
    int pipe[2];
};

/* Says whether the message names the store, and ends the process as abort would, but silently. */
static void fatal_called(void *context, const char *message)
{
    const struct verdict *verdict = context;
    const char *byte = strstr(message, verdict->directory) != NULL ? "y" : "n";
    if (write(verdict->pipe[1], byte, 1) == 1)
        raise(SIGKILL);
}

static _Noreturn void fail_to_commit(struct fixture *fixture)
{
    const struct rlimit limit = {1 << 20, 1 << 20};
    struct error error;
    if (store_open(&fixture->options, &fixture->store, &error) != CAIRN_OK)
        _exit(1);
    fill_store(fixture, 200, 20000);
    /* Files may not grow any more: the commit's writes fail, as on a full disk. */
    signal(SIGXFSZ, SIG_IGN);
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0)
        _exit(2);
    store_checkpoint_now(fixture->store);
    _exit(3);
}

static void a_failed_commit_is_fatal(void **state)
{
    struct fixture *fixture = *state;
    struct verdict verdict = {.directory = fixture->directory};
    char byte = 0;
    int status;
    store_close(fixture->store);
    fixture->store = NULL;
    assert_int_equal(pipe(verdict.pipe), 0);
    fixture->options.fatal = fatal_called;
    fixture->options.context = &verdict;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        fail_to_commit(fixture);
    close(verdict.pipe[1]);
    assert_int_equal(read(verdict.pipe[0], &byte, 1), 1);
    close(verdict.pipe[0]);
    assert_int_equal(byte, 'y');
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    fixture->options.fatal = NULL;
    fixture_open(fixture);
    assert_int_equal(store_applied(fixture->store, 0)->index, 0); /* all of it or nothing */
}

/* --- expiry -------------------------------------------------------------------------------------
 */

static void expired_keys_are_reclaimed(void **state)
{
    struct fixture *fixture = *state;
    char key[16];
    put(fixture, "stays", "v");
    put_ttl(fixture, "later", "v", 1u << 20);
    for (int i = 0; i < 500; i++) {
        snprintf(key, sizeof(key), "key%d", i);
        put_ttl(fixture, key, "v", 500);
    }
    store_checkpoint_now(fixture->store);
    assert_int_equal(rows(fixture, "data"), 502);
    assert_int_equal(rows(fixture, "expiry"), 501);
    fixture->log_time_ms = 1499;
    noop(fixture);
    store_checkpoint_now(fixture->store);
    assert_int_equal(rows(fixture, "data"), 502);
    fixture->log_time_ms = 1500; /* S2 */
    noop(fixture);
    store_checkpoint_now(fixture->store);
    assert_int_equal(rows(fixture, "data"), 2);
    assert_int_equal(rows(fixture, "expiry"), 1);
    assert_string_equal(get_text(fixture, "stays"), "v");
    assert_string_equal(get_text(fixture, "later"), "v");
}

/* A checkpoint reclaims a bounded number; the rest keeps it dirty until all are gone. */
static void reclaiming_is_bounded_and_goes_on(void **state)
{
    struct fixture *fixture = *state;
    char key[16];
    int checkpoints = 0;
    for (int i = 0; i < 1000; i++) {
        snprintf(key, sizeof(key), "key%d", i);
        put_ttl(fixture, key, "v", 500);
    }
    store_checkpoint_now(fixture->store);
    store_close(fixture->store);
    fixture->options.transaction_bytes = 1 << 20; /* 64 at once, at least */
    fixture_open(fixture);
    fixture->log_time_ms = 5000;
    noop(fixture);
    store_checkpoint_now(fixture->store);
    while (store_checkpoint_start(fixture->store)) {
        store_checkpoint_now(fixture->store);
        checkpoints++;
        assert_true(checkpoints < 1000);
    }
    assert_true(checkpoints >= 2);
    assert_int_equal(rows(fixture, "data"), 0);
    assert_int_equal(rows(fixture, "expiry"), 0);
}

static void the_expiry_table_follows_rewrites(void **state)
{
    struct fixture *fixture = *state;
    put_ttl(fixture, "a", "v", 500);
    put_ttl(fixture, "b", "v", 500);
    put_ttl(fixture, "c", "v", 500);
    put(fixture, "d", "v");
    store_checkpoint_now(fixture->store);
    assert_int_equal(rows(fixture, "expiry"), 3);
    put_ttl(fixture, "a", "v", 900);
    put(fixture, "b", "v");
    delete_key(fixture, "c");
    put_ttl(fixture, "d", "v", 500);
    store_checkpoint_now(fixture->store);
    assert_int_equal(rows(fixture, "expiry"), 2);
    assert_int_equal(rows(fixture, "data"), 3);
    fixture->log_time_ms = 1500;
    noop(fixture);
    store_checkpoint_now(fixture->store);
    assert_string_equal(get_text(fixture, "a"), "v");
    assert_string_equal(get_text(fixture, "b"), "v");
    assert_null(get_text(fixture, "d"));
    assert_int_equal(rows(fixture, "expiry"), 1);
}

/* A key written again while its old row is reclaimed keeps what was written. */
static void reclaiming_leaves_newer_writes(void **state)
{
    struct fixture *fixture = *state;
    put_ttl(fixture, "a", "old", 500);
    put_ttl(fixture, "b", "old", 500);
    store_checkpoint_now(fixture->store);
    fixture->log_time_ms = 2000;
    put(fixture, "a", "new");
    assert_true(store_checkpoint_start(fixture->store));
    put(fixture, "b", "new");
    store_checkpoint_now(fixture->store);
    assert_string_equal(get_text(fixture, "a"), "new");
    assert_string_equal(get_text(fixture, "b"), "new");
    assert_int_equal(get_version(fixture, "a"), 1);
    fixture_reopen(fixture);
    assert_string_equal(get_text(fixture, "a"), "new");
    assert_string_equal(get_text(fixture, "b"), "new");
}

#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_flipped_byte_is_never_returned),
        T(a_corrupt_outcome_is_not_kept),
        T(a_damaged_session_refuses_to_open),
        T(a_damaged_old_value_is_never_replayed),
        T(a_damaged_position_refuses_to_open),
        T(a_newer_format_is_refused),
        T(an_older_format_is_read_and_raised_by_the_first_checkpoint),
        T(another_number_of_partitions_is_refused),
        T(a_cut_creation_is_completed),
        T(a_missing_table_is_refused),
        T(a_file_that_is_no_store_is_refused),
        T(a_cut_file_is_refused),
        T(a_directory_that_cannot_be_is_refused),
        T(what_is_not_checkpointed_is_not_there),
        T(a_checkpoint_runs_only_when_something_changed),
        T(memory_is_counted_and_given_back),
        T(writes_during_a_checkpoint_wait_for_the_next),
        T(the_loop_is_woken_when_it_is_done),
        T(a_large_checkpoint_takes_several_commits),
        T(a_full_map_grows),
        T(the_map_grows_between_the_turns_of_a_reading_loop),
        T(waiting_for_the_end_does_not_block_it),
        T(a_failed_commit_is_fatal),
        T(expired_keys_are_reclaimed),
        T(reclaiming_is_bounded_and_goes_on),
        T(the_expiry_table_follows_rewrites),
        T(reclaiming_leaves_newer_writes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
