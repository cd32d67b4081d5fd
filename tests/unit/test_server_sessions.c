/* Exactly once (S3) and retirement (S4): duplicates are decided at apply and replay the kept
 * outcome, wherever the session lies. */
#include "tests/unit/store_fixture.h"

#include "proto/limits.h"

static enum layer layer; /* of the group that runs */

static void settle(struct fixture *fixture)
{
    settle_in(fixture, layer);
}

static struct entry *mutation(struct fixture *fixture, uint64_t client, uint64_t number,
                              enum command_kind kind, const char *key, const char *value)
{
    struct entry *entry = text_entry(fixture, kind, key, value);
    entry->client = client;
    entry->number = number;
    return entry;
}

static struct outcome mutate(struct fixture *fixture, uint64_t client, uint64_t number,
                             enum command_kind kind, const char *key, const char *value)
{
    return fixture_apply(fixture, mutation(fixture, client, number, kind, key, value));
}

static enum session_verdict check(struct fixture *fixture, uint64_t client, uint64_t number)
{
    struct outcome outcome;
    struct entry *entry;
    return store_session_check(fixture->store, 0, client, number, &outcome, &entry);
}

static void command(struct fixture *fixture, enum command_kind kind, uint64_t client,
                    uint64_t cutoff_ms)
{
    struct entry *entry = fixture_entry(fixture, 0, kind, NULL, 0, NULL, 0);
    entry->client = client;
    entry->cutoff_ms = cutoff_ms;
    fixture_apply(fixture, entry);
}

static void a_duplicate_replays_and_changes_nothing(void **state)
{
    struct fixture *fixture = *state;
    struct outcome outcome, replayed;
    struct entry *entry;
    mutate(fixture, 7, 1, COMMAND_PUT, "k", "zero");
    mutate(fixture, 7, 2, COMMAND_SWAP, "k", "one");
    settle(fixture);
    outcome = mutate(fixture, 7, 2, COMMAND_SWAP, "k", "other");
    assert_int_equal(outcome.code, OUTCOME_DONE);
    assert_true(outcome.existed);
    assert_int_equal(outcome.version, 2);
    assert_int_equal(outcome.old_value_length, 4);
    assert_memory_equal(outcome.old_value, "zero", 4);
    assert_string_equal(get_text(fixture, "k"), "one");
    assert_int_equal(get_version(fixture, "k"), 2);
    assert_int_equal(store_session_check(fixture->store, 0, 7, 2, &replayed, &entry),
                     SESSION_DUPLICATE);
    assert_null(entry);
    assert_int_equal(replayed.old_value_length, 4);
    assert_memory_equal(replayed.old_value, "zero", 4);
    assert_int_equal(store_applied(fixture->store, 0)->index, 3);
}

static void a_lower_number_is_dropped(void **state)
{
    struct fixture *fixture = *state;
    mutate(fixture, 7, 5, COMMAND_PUT, "k", "five");
    settle(fixture);
    assert_int_equal(mutate(fixture, 7, 4, COMMAND_PUT, "k", "four").code, OUTCOME_STALE_NUMBER);
    assert_string_equal(get_text(fixture, "k"), "five");
    assert_int_equal(check(fixture, 7, 4), SESSION_STALE);
    assert_int_equal(check(fixture, 7, 5), SESSION_DUPLICATE);
    assert_int_equal(check(fixture, 7, 6), SESSION_NEW);
    assert_int_equal(check(fixture, 8, 1), SESSION_NEW);
}

static void every_outcome_is_kept(void **state)
{
    struct fixture *fixture = *state;
    struct entry *entry = mutation(fixture, 1, 1, COMMAND_PUT, "k", "v");
    entry->conditional = true;
    entry->if_version = 9;
    fixture_apply(fixture, entry);
    mutate(fixture, 2, 1, COMMAND_PUT, "k", "v");
    mutate(fixture, 3, 1, COMMAND_DELETE, "k", NULL);
    mutate(fixture, 4, 1, COMMAND_DELETE, "k", NULL);
    mutate(fixture, 5, 1, COMMAND_SWAP, "k", "");
    mutate(fixture, 6, 1, COMMAND_SWAP, "k", "w"); /* the old value is there, and empty */
    settle(fixture);
    struct outcome outcome = mutate(fixture, 1, 1, COMMAND_PUT, "k", "again");
    assert_int_equal(outcome.code, OUTCOME_VERSION_MISMATCH);
    assert_int_equal(outcome.version, 0);
    outcome = mutate(fixture, 2, 1, COMMAND_PUT, "k", "again");
    assert_int_equal(outcome.code, OUTCOME_DONE);
    assert_false(outcome.existed);
    assert_int_equal(outcome.version, 1);
    assert_true(mutate(fixture, 3, 1, COMMAND_DELETE, "k", NULL).existed);
    assert_false(mutate(fixture, 4, 1, COMMAND_DELETE, "k", NULL).existed);
    outcome = mutate(fixture, 5, 1, COMMAND_SWAP, "k", "again");
    assert_false(outcome.existed);
    assert_null(outcome.old_value);
    outcome = mutate(fixture, 6, 1, COMMAND_SWAP, "k", "again");
    assert_true(outcome.existed);
    assert_non_null(outcome.old_value);
    assert_int_equal(outcome.old_value_length, 0);
    assert_string_equal(get_text(fixture, "k"), "w");
}

static void sessions_belong_to_their_partition(void **state)
{
    struct fixture *fixture = *state;
    mutate(fixture, 7, 1, COMMAND_PUT, "k", "v");
    settle(fixture);
    struct entry *entry = fixture_entry(fixture, 1, COMMAND_PUT, "k", 1, "w", 1);
    entry->client = 7;
    entry->number = 1;
    assert_false(fixture_apply(fixture, entry).existed);
    assert_int_equal(store_session_count(fixture->store, 0), 1);
    assert_int_equal(store_session_count(fixture->store, 1), 1);
    assert_int_equal(store_session_count(fixture->store, 2), 0);
}

static void retirement_forgets_the_session(void **state)
{
    struct fixture *fixture = *state;
    mutate(fixture, 7, 3, COMMAND_PUT, "k", "v");
    mutate(fixture, 8, 1, COMMAND_PUT, "k", "w");
    settle(fixture);
    command(fixture, COMMAND_RETIRE, 7, 0);
    command(fixture, COMMAND_RETIRE, 99, 0); /* unknown: nothing */
    settle(fixture);
    assert_int_equal(store_session_count(fixture->store, 0), 1);
    assert_int_equal(check(fixture, 7, 3), SESSION_NEW);
    assert_int_equal(check(fixture, 8, 1), SESSION_DUPLICATE);
    assert_true(mutate(fixture, 7, 1, COMMAND_PUT, "k", "x").existed); /* may come back */
    settle(fixture);
    assert_int_equal(check(fixture, 7, 1), SESSION_DUPLICATE);
}

static void idle_sessions_are_evicted_by_log_time(void **state)
{
    struct fixture *fixture = *state;
    for (uint64_t client = 1; client <= 50; client++) {
        fixture->log_time_ms = 1000 + client;
        mutate(fixture, client, 1, COMMAND_PUT, "k", "v");
    }
    fixture->log_time_ms = 2000;
    mutate(fixture, 10, 2, COMMAND_PUT, "k", "v"); /* in use again */
    settle(fixture);
    assert_int_equal(store_session_oldest_ms(fixture->store, 0), 1001);
    command(fixture, COMMAND_EVICT_SESSIONS, 0, 1040); /* strictly older ones */
    settle(fixture);
    assert_int_equal(store_session_count(fixture->store, 0), 12);
    assert_int_equal(store_session_oldest_ms(fixture->store, 0), 1040);
    assert_int_equal(check(fixture, 39, 1), SESSION_NEW);
    assert_int_equal(check(fixture, 40, 1), SESSION_DUPLICATE);
    assert_int_equal(check(fixture, 10, 2), SESSION_DUPLICATE);
    command(fixture, COMMAND_EVICT_SESSIONS, 0, UINT64_MAX);
    settle(fixture);
    assert_int_equal(store_session_count(fixture->store, 0), 0);
    assert_int_equal(store_session_oldest_ms(fixture->store, 0), UINT64_MAX);
}

/* A duplicate is no use: what replicas keep must follow from the log of decided mutations. */
static void a_duplicate_does_not_refresh_the_session(void **state)
{
    struct fixture *fixture = *state;
    mutate(fixture, 7, 1, COMMAND_PUT, "k", "v");
    settle(fixture);
    fixture->log_time_ms = 5000;
    mutate(fixture, 7, 1, COMMAND_PUT, "k", "v");
    assert_int_equal(store_session_oldest_ms(fixture->store, 0), 1000);
}

static void an_entry_in_flight_is_found(void **state)
{
    struct fixture *fixture = *state;
    struct outcome outcome;
    struct entry *found, *first, *second;
    mutate(fixture, 7, 1, COMMAND_PUT, "k", "v");
    settle(fixture);
    first = mutation(fixture, 7, 2, COMMAND_PUT, "k", "w");
    assert_int_equal(store_session_begin(fixture->store, first), CAIRN_OK);
    assert_int_equal(store_session_check(fixture->store, 0, 7, 2, &outcome, &found),
                     SESSION_IN_FLIGHT);
    assert_ptr_equal(found, first);
    assert_int_equal(check(fixture, 7, 1), SESSION_DUPLICATE);
    second = mutation(fixture, 7, 3, COMMAND_PUT, "k", "x"); /* gave up on 2 */
    second->index++;
    assert_int_equal(check(fixture, 7, 3), SESSION_NEW);
    assert_int_equal(store_session_begin(fixture->store, second), CAIRN_OK);
    assert_int_equal(check(fixture, 7, 2), SESSION_STALE);
    fixture_apply(fixture, first);
    assert_int_equal(store_session_check(fixture->store, 0, 7, 3, &outcome, &found),
                     SESSION_IN_FLIGHT);
    assert_ptr_equal(found, second);
    fixture_apply(fixture, second);
    assert_int_equal(check(fixture, 7, 3), SESSION_DUPLICATE);
    assert_string_equal(get_text(fixture, "k"), "x");
}

static void a_forgotten_entry_may_be_proposed_again(void **state)
{
    struct fixture *fixture = *state;
    struct entry *entry = mutation(fixture, 7, 1, COMMAND_PUT, "k", "v");
    assert_int_equal(store_session_begin(fixture->store, entry), CAIRN_OK);
    assert_int_equal(check(fixture, 7, 1), SESSION_IN_FLIGHT);
    assert_int_equal(store_session_count(fixture->store, 0), 0);
    store_session_forget(fixture->store, entry);
    store_session_forget(fixture->store, entry); /* twice is fine */
    assert_int_equal(check(fixture, 7, 1), SESSION_NEW);
    entry_free(entry);
    settle(fixture);
    assert_int_equal(store_session_count(fixture->store, 0), 0);
}

static void retirement_leaves_what_is_in_flight(void **state)
{
    struct fixture *fixture = *state;
    mutate(fixture, 7, 1, COMMAND_PUT, "k", "v");
    settle(fixture);
    struct entry *entry = mutation(fixture, 7, 2, COMMAND_PUT, "k", "w");
    assert_int_equal(store_session_begin(fixture->store, entry), CAIRN_OK);
    command(fixture, COMMAND_RETIRE, 7, 0);
    assert_int_equal(store_session_count(fixture->store, 0), 0);
    assert_int_equal(check(fixture, 7, 2), SESSION_IN_FLIGHT);
    entry->index++;
    fixture_apply(fixture, entry);
    assert_int_equal(check(fixture, 7, 2), SESSION_DUPLICATE);
}

static void a_full_table_refuses_new_sessions_only(void **state)
{
    struct fixture *fixture = *state;
    struct entry *tentative[2];
    store_close(fixture->store);
    fixture->options.sessions_limit = 4;
    fixture_open(fixture);
    mutate(fixture, 1, 1, COMMAND_PUT, "k", "v");
    mutate(fixture, 2, 1, COMMAND_PUT, "k", "v");
    settle(fixture);
    for (uint64_t i = 0; i < 2; i++) { /* tentative ones count */
        assert_int_equal(check(fixture, 3 + i, 1), SESSION_NEW);
        tentative[i] = mutation(fixture, 3 + i, 1, COMMAND_PUT, "k", "v");
        assert_int_equal(store_session_begin(fixture->store, tentative[i]), CAIRN_OK);
    }
    assert_int_equal(check(fixture, 5, 1), SESSION_FULL);
    assert_int_equal(check(fixture, 1, 2), SESSION_NEW);
    store_session_forget(fixture->store, tentative[0]);
    entry_free(tentative[0]);
    assert_int_equal(check(fixture, 5, 1), SESSION_NEW);
    fixture_apply(fixture, tentative[1]);
    /* Apply never refuses: the log has decided. */
    mutate(fixture, 5, 1, COMMAND_PUT, "k", "v");
    mutate(fixture, 6, 1, COMMAND_PUT, "k", "v");
    assert_int_equal(store_session_count(fixture->store, 0), 5);
    settle(fixture);
    assert_int_equal(check(fixture, 7, 1), SESSION_FULL);
    assert_int_equal(check(fixture, 6, 1), SESSION_DUPLICATE);
    fixture->options.sessions_limit = 0;
}

static void large_old_values_survive(void **state)
{
    struct fixture *fixture = *state;
    static uint8_t large[CAIRN_VALUE_LIMIT];
    for (size_t i = 0; i < sizeof(large); i++)
        large[i] = (uint8_t)(i * 7 + (i >> 9));
    struct entry *entry = fixture_entry(fixture, 0, COMMAND_PUT, "k", 1, large, sizeof(large));
    fixture_apply(fixture, entry);
    mutate(fixture, 7, 1, COMMAND_SWAP, "k", "small");
    settle(fixture);
    settle(fixture);
    struct outcome outcome = mutate(fixture, 7, 1, COMMAND_SWAP, "k", "again");
    assert_int_equal(outcome.old_value_length, sizeof(large));
    assert_memory_equal(outcome.old_value, large, sizeof(large));
    store_end_turn(fixture->store);
    mutate(fixture, 7, 2, COMMAND_SWAP, "k", "next");
    settle(fixture);
    outcome = mutate(fixture, 7, 2, COMMAND_SWAP, "k", "again");
    assert_int_equal(outcome.old_value_length, 5);
    assert_memory_equal(outcome.old_value, "small", 5);
}

static void thousands_of_sessions_stay_apart(void **state)
{
    struct fixture *fixture = *state;
    char key[16], value[16];
    for (uint64_t client = 1; client <= 3000; client++) {
        snprintf(value, sizeof(value), "v%u", (unsigned)client);
        mutate(fixture, client << 32, client, COMMAND_SWAP, "k", value);
    }
    settle(fixture);
    assert_int_equal(store_session_count(fixture->store, 0), 3000);
    for (uint64_t client = 2; client <= 3000; client++) {
        struct outcome outcome;
        struct entry *entry;
        assert_int_equal(
            store_session_check(fixture->store, 0, client << 32, client, &outcome, &entry),
            SESSION_DUPLICATE);
        snprintf(key, sizeof(key), "v%u", (unsigned)client - 1);
        assert_int_equal(outcome.old_value_length, strlen(key));
        assert_memory_equal(outcome.old_value, key, strlen(key));
    }
}

/* One-shot clients open and retire a session each: what is left of them must not pile up. */
static void retired_sessions_leave_no_memory_behind(void **state)
{
    struct fixture *fixture = *state;
    mutate(fixture, 1, 1, COMMAND_PUT, "k", "v");
    settle(fixture);
    command(fixture, COMMAND_RETIRE, 1, 0); /* LMDB has it, perhaps: to be deleted there */
    uint64_t before = store_live_bytes(fixture->store);
    for (uint64_t client = 2; client < 100; client++) {
        mutate(fixture, client, 1, COMMAND_SWAP, "k", "v");
        command(fixture, COMMAND_RETIRE, client, 0);
    }
    assert_true(store_live_bytes(fixture->store) <= before + 640); /* the key itself, indexed */
    settle(fixture);
    assert_int_equal(store_session_count(fixture->store, 0), 0);
    assert_int_equal(check(fixture, 1, 1), SESSION_NEW);
    assert_int_equal(check(fixture, 99, 1), SESSION_NEW);
}

#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_duplicate_replays_and_changes_nothing),
        T(a_lower_number_is_dropped),
        T(every_outcome_is_kept),
        T(sessions_belong_to_their_partition),
        T(retirement_forgets_the_session),
        T(idle_sessions_are_evicted_by_log_time),
        T(a_duplicate_does_not_refresh_the_session),
        T(an_entry_in_flight_is_found),
        T(a_forgotten_entry_may_be_proposed_again),
        T(retirement_leaves_what_is_in_flight),
        T(a_full_table_refuses_new_sessions_only),
        T(large_old_values_survive),
        T(retired_sessions_leave_no_memory_behind),
        T(thousands_of_sessions_stay_apart),
    };
    int failed = 0;
    for (int i = 0; i < LAYER_COUNT; i++) {
        layer = (enum layer)i;
        failed += cmocka_run_group_tests(tests, NULL, NULL);
    }
    return failed;
}
