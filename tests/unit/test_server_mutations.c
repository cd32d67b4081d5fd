/* What PUT, SWAP and DELETE do to a key, wherever its old value lies: versions, conditions, expiry
 * in log time (S2). Each test runs with the old state in each layer. */
#include "tests/unit/store_fixture.h"

#include "proto/limits.h"

static enum layer layer; /* of the group that runs */

static void settle(struct fixture *fixture)
{
    settle_in(fixture, layer);
}

static void versions_count_writes(void **state)
{
    struct fixture *fixture = *state;
    struct outcome outcome = put(fixture, "k", "one");
    assert_false(outcome.existed);
    assert_int_equal(outcome.version, 1);
    settle(fixture);
    assert_string_equal(get_text(fixture, "k"), "one");
    outcome = put(fixture, "k", "two");
    assert_true(outcome.existed);
    assert_int_equal(outcome.version, 2);
    settle(fixture);
    assert_string_equal(get_text(fixture, "k"), "two");
    assert_int_equal(get_version(fixture, "k"), 2);
    assert_int_equal(swap(fixture, "k", "three").version, 3);
    assert_int_equal(put(fixture, "other", "x").version, 1);
}

static void modified_is_the_log_index(void **state)
{
    struct fixture *fixture = *state;
    struct store_value value;
    put(fixture, "a", "1");
    put(fixture, "b", "2");
    put(fixture, "a", "3");
    settle(fixture);
    assert_int_equal(store_get(fixture->store, 0, (const uint8_t *)"a", 1, &value), CAIRN_OK);
    assert_int_equal(value.modified, 3);
    assert_int_equal(store_get(fixture->store, 0, (const uint8_t *)"b", 1, &value), CAIRN_OK);
    assert_int_equal(value.modified, 2);
}

static void deletion_starts_versions_anew(void **state)
{
    struct fixture *fixture = *state;
    put(fixture, "k", "one");
    put(fixture, "k", "two");
    settle(fixture);
    struct outcome outcome = delete_key(fixture, "k");
    assert_true(outcome.existed);
    assert_int_equal(outcome.version, 0);
    assert_null(get_text(fixture, "k"));
    settle(fixture);
    assert_null(get_text(fixture, "k"));
    assert_false(delete_key(fixture, "k").existed);
    assert_int_equal(put(fixture, "k", "three").version, 1);
    settle(fixture);
    assert_string_equal(get_text(fixture, "k"), "three");
}

static struct outcome over_damage(struct fixture *fixture, enum command_kind kind, const char *key,
                                  const char *value)
{
    struct entry *entry = text_entry(fixture, kind, key, value);
    entry->over_damage = true;
    return fixture_apply(fixture, entry);
}

/* W8: copies that have lost the old value, those that have it, and those that never had one come to
 * the same. */
static void what_goes_over_damage_does_not_look_at_it(void **state)
{
    struct fixture *fixture = *state;
    put(fixture, "k", "one");
    put(fixture, "k", "two");
    settle(fixture);
    struct outcome outcome = over_damage(fixture, COMMAND_PUT, "k", "three");
    assert_true(outcome.existed);
    assert_int_equal(outcome.version, 3); /* the index: no version can have been higher */
    assert_int_equal(over_damage(fixture, COMMAND_PUT, "absent", "x").version, 4);
    settle(fixture);
    assert_string_equal(get_text(fixture, "k"), "three");
    assert_int_equal(get_version(fixture, "k"), 3);
    assert_int_equal(put(fixture, "absent", "y").version, 5);
    assert_true(over_damage(fixture, COMMAND_DELETE, "k", NULL).existed);
    assert_true(over_damage(fixture, COMMAND_DELETE, "never was", NULL).existed);
    settle(fixture);
    assert_null(get_text(fixture, "k"));
    assert_null(get_text(fixture, "never was"));
}

static void swap_gives_the_old_value(void **state)
{
    struct fixture *fixture = *state;
    struct outcome outcome = swap(fixture, "k", "one");
    assert_false(outcome.existed);
    assert_null(outcome.old_value);
    assert_int_equal(outcome.version, 1);
    settle(fixture);
    outcome = swap(fixture, "k", "two");
    assert_true(outcome.existed);
    assert_int_equal(outcome.version, 2);
    assert_int_equal(outcome.old_value_length, 3);
    assert_memory_equal(outcome.old_value, "one", 3);
    assert_string_equal(get_text(fixture, "k"), "two");
}

static void conditions_compare_versions(void **state)
{
    struct fixture *fixture = *state;
    struct outcome outcome = put_if(fixture, "k", "no", 1);
    assert_int_equal(outcome.code, OUTCOME_VERSION_MISMATCH);
    assert_int_equal(outcome.version, 0);
    assert_false(outcome.existed);
    settle(fixture);
    assert_null(get_text(fixture, "k"));
    outcome = put_if(fixture, "k", "one", 0); /* only if absent */
    assert_int_equal(outcome.code, OUTCOME_DONE);
    assert_int_equal(outcome.version, 1);
    settle(fixture);
    outcome = put_if(fixture, "k", "no", 0);
    assert_int_equal(outcome.code, OUTCOME_VERSION_MISMATCH);
    assert_int_equal(outcome.version, 1);
    assert_true(outcome.existed);
    assert_int_equal(put_if(fixture, "k", "no", 2).code, OUTCOME_VERSION_MISMATCH);
    assert_string_equal(get_text(fixture, "k"), "one");
    assert_int_equal(put_if(fixture, "k", "two", 1).version, 2);
    assert_string_equal(get_text(fixture, "k"), "two");
}

static void expiry_is_log_time_plus_ttl(void **state)
{
    struct fixture *fixture = *state;
    struct store_value value;
    put_ttl(fixture, "k", "one", 500);
    put_ttl(fixture, "most", "m", UINT64_MAX);
    settle(fixture);
    assert_int_equal(store_get(fixture->store, 0, (const uint8_t *)"k", 1, &value), CAIRN_OK);
    assert_int_equal(value.expires_ms, 1500);
    assert_int_equal(store_get(fixture->store, 0, (const uint8_t *)"most", 4, &value), CAIRN_OK);
    assert_int_equal(value.expires_ms, UINT64_MAX);
}

static void a_key_is_absent_from_its_expiry_on(void **state)
{
    struct fixture *fixture = *state;
    put_ttl(fixture, "put", "x", 500);
    put_ttl(fixture, "swap", "x", 500);
    put_ttl(fixture, "delete", "x", 500);
    put_ttl(fixture, "if", "x", 500);
    settle(fixture);
    fixture->log_time_ms = 1499; /* the last moment */
    assert_int_equal(put_if(fixture, "if", "y", 0).code, OUTCOME_VERSION_MISMATCH);
    fixture->log_time_ms = 1500; /* S2 */
    noop(fixture);
    settle(fixture);
    struct outcome outcome = put(fixture, "put", "y");
    assert_false(outcome.existed);
    assert_int_equal(outcome.version, 1);
    outcome = swap(fixture, "swap", "y");
    assert_false(outcome.existed);
    assert_null(outcome.old_value);
    assert_int_equal(outcome.version, 1);
    assert_false(delete_key(fixture, "delete").existed);
    assert_int_equal(put_if(fixture, "if", "z", 0).version, 1);
}

static void writes_end_an_expiry(void **state)
{
    struct fixture *fixture = *state;
    put_ttl(fixture, "put", "x", 500);
    put_ttl(fixture, "swap", "x", 500);
    put_ttl(fixture, "again", "x", 500);
    settle(fixture);
    put(fixture, "put", "y");
    swap(fixture, "swap", "y");
    put_ttl(fixture, "again", "y", 5000);
    settle(fixture);
    fixture->log_time_ms = 3000;
    noop(fixture);
    settle(fixture);
    assert_string_equal(get_text(fixture, "put"), "y");
    assert_string_equal(get_text(fixture, "swap"), "y");
    assert_string_equal(get_text(fixture, "again"), "y");
}

/* S1: an entry with an older log time must not bring expired keys back. */
static void log_time_never_goes_back(void **state)
{
    struct fixture *fixture = *state;
    put_ttl(fixture, "k", "x", 500);
    fixture->log_time_ms = 2000;
    noop(fixture);
    settle(fixture);
    fixture->log_time_ms = 1100;
    assert_false(put(fixture, "k", "y").existed);
    assert_int_equal(store_applied(fixture->store, 0)->log_time_ms, 2000);
}

static void keys_and_values_hold_any_bytes(void **state)
{
    struct fixture *fixture = *state;
    uint8_t value[256];
    struct store_value found;
    for (int i = 0; i < 256; i++)
        value[i] = (uint8_t)i;
    for (int i = 0; i < 256; i++) {
        uint8_t key[3] = {(uint8_t)i, 0x00, 0xff};
        uint32_t length = 1 + (uint32_t)i % 3;
        fixture_apply(fixture,
                      fixture_entry(fixture, 1, COMMAND_PUT, key, length, value, (uint32_t)i));
    }
    settle(fixture);
    for (int i = 0; i < 256; i++) {
        uint8_t key[3] = {(uint8_t)i, 0x00, 0xff};
        assert_int_equal(store_get(fixture->store, 1, key, 1 + (uint32_t)i % 3, &found), CAIRN_OK);
        assert_int_equal(found.length, i);
        assert_memory_equal(found.data, value, (size_t)i);
    }
    assert_int_equal(store_get(fixture->store, 2, value + 1, 1, &found), CAIRN_ENOTFOUND);
}

static void the_longest_keys_and_values_fit(void **state)
{
    struct fixture *fixture = *state;
    static uint8_t key[CAIRN_KEY_LIMIT], value[CAIRN_VALUE_LIMIT];
    struct store_value found;
    memset(key, 0xff, sizeof(key));
    for (size_t i = 0; i < sizeof(value); i++)
        value[i] = (uint8_t)(i >> 8 ^ i);
    struct entry *entry =
        fixture_entry(fixture, 3, COMMAND_PUT, key, sizeof(key), value, sizeof(value));
    entry->ttl_ms = 10000; /* the expiry table's key is the longest of all */
    fixture_apply(fixture, entry);
    settle(fixture);
    assert_int_equal(store_get(fixture->store, 3, key, sizeof(key), &found), CAIRN_OK);
    assert_int_equal(found.length, sizeof(value));
    assert_memory_equal(found.data, value, sizeof(value));
    entry = fixture_entry(fixture, 3, COMMAND_SWAP, key, sizeof(key), value, 0);
    struct outcome outcome = fixture_apply(fixture, entry);
    assert_int_equal(outcome.old_value_length, sizeof(value));
    assert_memory_equal(outcome.old_value, value, sizeof(value));
    settle(fixture);
    assert_int_equal(store_get(fixture->store, 3, key, sizeof(key), &found), CAIRN_OK);
    assert_int_equal(found.length, 0);
}

static void positions_follow_the_log(void **state)
{
    struct fixture *fixture = *state;
    store_set_seen_epoch(fixture->store, 2, 1, 6);
    store_set_seen_epoch(fixture->store, 2, 1, 5); /* R2: never lower */
    put(fixture, "k", "v");
    settle(fixture);
    const struct store_position *applied = store_applied(fixture->store, 0);
    assert_int_equal(applied->history, 1);
    assert_int_equal(applied->epoch, 1);
    assert_int_equal(applied->index, 1);
    assert_int_equal(applied->log_time_ms, 1000);
    assert_int_equal(applied->seen_epoch, 1);
    assert_int_equal(store_applied(fixture->store, 2)->seen_epoch, 6);
    assert_int_equal(store_applied(fixture->store, 2)->index, 0);
    bool durable = layer == IN_LMDB || layer == AFTER_REOPEN;
    assert_int_equal(store_checkpointed(fixture->store, 0)->index, durable ? 1 : 0);
    assert_int_equal(store_checkpointed(fixture->store, 2)->seen_epoch, durable ? 6 : 0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(versions_count_writes),          T(modified_is_the_log_index),
        T(deletion_starts_versions_anew),  T(what_goes_over_damage_does_not_look_at_it),
        T(swap_gives_the_old_value),       T(conditions_compare_versions),
        T(expiry_is_log_time_plus_ttl),    T(a_key_is_absent_from_its_expiry_on),
        T(writes_end_an_expiry),           T(log_time_never_goes_back),
        T(keys_and_values_hold_any_bytes), T(the_longest_keys_and_values_fit),
        T(positions_follow_the_log),
    };
    int failed = 0;
    for (int i = 0; i < LAYER_COUNT; i++) {
        layer = (enum layer)i;
        failed += cmocka_run_group_tests(tests, NULL, NULL);
    }
    return failed;
}
