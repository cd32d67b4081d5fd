/* The digest of a partition is that of one log entry, wherever the state lies and whatever follows;
 * bad rows are found, and a sound value takes the place of one (W8). */
#include <lmdb.h>

#include "server/digest_store.h"
#include "server/repair_store.h"
#include "server/scrub_store.h"
#include "tests/unit/store_fixture.h"

static struct digest_capture *capture_now(struct fixture *fixture)
{
    struct digest_capture *capture;
    assert_int_equal(digest_capture_open(fixture->store, 0, &capture), CAIRN_OK);
    store_end_turn(fixture->store);
    return capture;
}

static uint64_t count(struct digest_capture *capture, struct digest *digest)
{
    bool done = false;
    while (!done)
        assert_int_equal(digest_capture_count(capture, 64, &done), CAIRN_OK);
    *digest = *digest_capture_result(capture);
    uint64_t value = digest_capture_value(capture);
    digest_capture_close(capture);
    return value;
}

static void by_client(struct fixture *fixture, uint64_t client, uint64_t number, const char *key)
{
    struct entry *entry = text_entry(fixture, COMMAND_SWAP, key, "by client");
    entry->client = client;
    entry->number = number;
    fixture_apply(fixture, entry);
}

/* The same entries, with the first half brought into `layer` before the second one is applied. */
static void apply_all(struct fixture *fixture, enum layer layer)
{
    char key[16];
    for (int i = 0; i < 20; i++) {
        snprintf(key, sizeof(key), "k%d", i);
        put(fixture, key, "first");
    }
    put_ttl(fixture, "brief", "x", 10);
    put_ttl(fixture, "long", "x", 100000);
    by_client(fixture, 5, 1, "k1");
    by_client(fixture, 6, 1, "k2");
    settle_in(fixture, layer);
    fixture->log_time_ms += 1000; /* "brief" is over: swept away there, hidden here */
    put(fixture, "k3", "second");
    delete_key(fixture, "k4");
    put(fixture, "new", "value");
    by_client(fixture, 5, 2, "k5");
}

static void a_digest_does_not_depend_on_where_the_state_lies(void **state)
{
    uint64_t first = 0;
    (void)state;
    for (int layer = 0; layer < LAYER_COUNT; layer++) {
        struct fixture fixture;
        struct digest digest;
        fixture_init(&fixture);
        fixture_open(&fixture);
        apply_all(&fixture, (enum layer)layer);
        struct digest_capture *before = capture_now(&fixture);
        put(&fixture, "k7", "what follows is of another index");
        delete_key(&fixture, "k8");
        store_checkpoint_now(fixture.store);
        uint64_t value = count(before, &digest);
        assert_true(layer == 0 || value == first);
        first = value;
        assert_int_equal(digest.pairs, 21); /* k0 to k19 but k4, "long", "new" */
        assert_int_equal(digest.sessions, 2);
        assert_int_equal(digest.bad, 0);
        assert_true(count(capture_now(&fixture), &digest) != first);
        fixture_end(&fixture);
    }
}

/* Flips a bit of a value in the file, while nobody has it open. */
static void flip(const struct fixture *fixture, const char *key)
{
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi table;
    MDB_val found;
    uint8_t name[64] = {0, 0}, row[256];
    memcpy(name + 2, key, strlen(key));
    MDB_val wanted = {strlen(key) + 2, name};
    assert_int_equal(mdb_env_create(&env), 0);
    assert_int_equal(mdb_env_set_maxdbs(env, 4), 0);
    assert_int_equal(mdb_env_open(env, fixture->directory, 0, 0600), 0);
    assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
    assert_int_equal(mdb_dbi_open(txn, "data", 0, &table), 0);
    assert_int_equal(mdb_get(txn, table, &wanted, &found), 0);
    assert_true(found.mv_size <= sizeof(row));
    memcpy(row, found.mv_data, found.mv_size);
    row[found.mv_size - 1] ^= 1;
    MDB_val changed = {found.mv_size, row};
    assert_int_equal(mdb_put(txn, table, &wanted, &changed, 0), 0);
    assert_int_equal(mdb_txn_commit(txn), 0);
    mdb_env_close(env);
}

static void close_store(struct fixture *fixture)
{
    store_checkpoint_now(fixture->store);
    store_close(fixture->store);
    fixture->store = NULL;
}

/* A whole pass in small slices; how many rows failed. */
static uint32_t scrub(struct fixture *fixture, uint64_t *values, struct scrub_bad *last)
{
    static struct scrub_slice slice;
    struct scrub_pass pass = {0};
    uint32_t bad = 0;
    for (*values = 0; !pass.done; pass = slice.pass) {
        assert_int_equal(scrub_slice_open(fixture->store, &pass, &slice), CAIRN_OK);
        scrub_slice_read(&slice, 100);
        scrub_slice_close(&slice);
        *values += slice.values;
        bad += slice.bad_count;
        if (slice.bad_count > 0)
            *last = slice.bad[slice.bad_count - 1];
    }
    return bad;
}

static enum repair_row look(struct fixture *fixture, const char *key)
{
    uint64_t offset;
    enum repair_row row =
        repair_row_look(fixture->store, 0, (const uint8_t *)key, (uint32_t)strlen(key), &offset);
    store_end_turn(fixture->store);
    return row;
}

static void a_bad_row_is_found_and_a_sound_value_takes_its_place(void **state)
{
    struct fixture *fixture = *state;
    struct scrub_bad bad = {0};
    struct digest digest, repaired;
    struct repair_value from;
    uint64_t values;
    put(fixture, "a", "value of a");
    put(fixture, "b", "value of b");
    by_client(fixture, 5, 1, "c");
    store_checkpoint_now(fixture->store);
    uint64_t sound = count(capture_now(fixture), &digest);
    assert_int_equal(scrub(fixture, &values, &bad), 0);
    assert_int_equal(values, 3);
    close_store(fixture);
    flip(fixture, "b");
    fixture_open(fixture);
    assert_int_equal(scrub(fixture, &values, &bad), 1);
    assert_memory_equal(bad.key.bytes, "b", 1);
    assert_true(count(capture_now(fixture), &digest) != sound);
    assert_int_equal(digest.bad, 1);
    assert_int_equal(look(fixture, "a"), REPAIR_ROW_SOUND);
    assert_int_equal(look(fixture, "b"), REPAIR_ROW_BAD);
    from = (struct repair_value){
        .value = {.version = 1, .modified = 2, .data = (const uint8_t *)"value of b", .length = 10},
        .applied_index = 3};
    from.checksum = value_checksum((const uint8_t *)"b", 1, &from.value);
    assert_true(
        repair_value_fits(&from, store_checkpointed(fixture->store, 0), (const uint8_t *)"b", 1));
    assert_int_equal(repair_value_put(fixture->store, 0, (const uint8_t *)"b", 1, &from), CAIRN_OK);
    assert_string_equal(get_text(fixture, "b"), "value of b");
    assert_int_equal(look(fixture, "b"), REPAIR_ROW_HIDDEN);
    assert_true(count(capture_now(fixture), &repaired) == sound);
    fixture_reopen(fixture);
    assert_int_equal(scrub(fixture, &values, &bad), 0);
    assert_true(count(capture_now(fixture), &repaired) == sound);
    assert_int_equal(store_applied(fixture->store, 0)->index, 3);
}

/* S2: what has expired on all other copies is to go here, and stays away. */
static void an_expired_key_leaves_a_bad_row_behind(void **state)
{
    struct fixture *fixture = *state;
    struct scrub_bad bad = {0};
    uint64_t values;
    put(fixture, "a", "value of a");
    put_ttl(fixture, "b", "value of b", 10);
    close_store(fixture);
    flip(fixture, "b");
    fixture_open(fixture);
    fixture->log_time_ms += 100;
    put(fixture, "c", "later");
    assert_int_equal(look(fixture, "b"), REPAIR_ROW_BAD);
    assert_int_equal(repair_absence_put(fixture->store, 0, (const uint8_t *)"b", 1), CAIRN_OK);
    assert_int_equal(look(fixture, "b"), REPAIR_ROW_HIDDEN);
    assert_null(get_text(fixture, "b"));
    fixture_reopen(fixture);
    assert_int_equal(scrub(fixture, &values, &bad), 0);
    assert_int_equal(values, 2);
    assert_null(get_text(fixture, "b"));
}

static void delete_expiry(const struct fixture *fixture, uint64_t expires_ms, const char *key)
{
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi table;
    struct stored_key row;
    expiry_key(&row, 0, expires_ms, (const uint8_t *)key, (uint32_t)strlen(key));
    MDB_val wanted = {row.length, row.bytes};
    assert_int_equal(mdb_env_create(&env), 0);
    assert_int_equal(mdb_env_set_maxdbs(env, 4), 0);
    assert_int_equal(mdb_env_open(env, fixture->directory, 0, 0600), 0);
    assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
    assert_int_equal(mdb_dbi_open(txn, "expiry", 0, &table), 0);
    assert_int_equal(mdb_del(txn, table, &wanted, NULL), 0);
    assert_int_equal(mdb_txn_commit(txn), 0);
    mdb_env_close(env);
}

static void a_missing_row_of_the_expiry_table_is_written_anew(void **state)
{
    struct fixture *fixture = *state;
    struct scrub_bad bad = {0};
    uint64_t values;
    put_ttl(fixture, "a", "value of a", 1000);
    put_ttl(fixture, "b", "value of b", 1000);
    close_store(fixture);
    delete_expiry(fixture, 2000, "b");
    fixture_open(fixture);
    assert_int_equal(scrub(fixture, &values, &bad), 1);
    assert_true(bad.expiry);
    assert_memory_equal(bad.key.bytes, "b", 1);
    assert_int_equal(repair_expiry_put(fixture->store, 0, (const uint8_t *)"a", 1),
                     CAIRN_ENOTFOUND);
    assert_int_equal(repair_expiry_put(fixture->store, 0, (const uint8_t *)"b", 1), CAIRN_OK);
    assert_int_equal(repair_expiry_put(fixture->store, 0, (const uint8_t *)"b", 1),
                     CAIRN_ENOTFOUND);
    fixture_reopen(fixture);
    assert_int_equal(scrub(fixture, &values, &bad), 0);
    assert_string_equal(get_text(fixture, "b"), "value of b");
    assert_int_equal(get_version(fixture, "b"), 1);
    fixture->log_time_ms += 5000;
    put(fixture, "c", "later"); /* the sweep finds both now */
    fixture_reopen(fixture);
    assert_int_equal(scrub(fixture, &values, &bad), 0);
    assert_int_equal(values, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_digest_does_not_depend_on_where_the_state_lies),
        cmocka_unit_test_setup_teardown(a_bad_row_is_found_and_a_sound_value_takes_its_place,
                                        fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(an_expired_key_leaves_a_bad_row_behind, fixture_setup,
                                        fixture_teardown),
        cmocka_unit_test_setup_teardown(a_missing_row_of_the_expiry_table_is_written_anew,
                                        fixture_setup, fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
