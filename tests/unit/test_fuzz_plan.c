/* What clients call depends on the seed and the client alone; keys and values can be told from all
 * others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "fuzz/plan.h"

enum { CALLS = 3000, VALUE_BYTES = 3000 };

static const struct plan PLAN = {.seed = 7,
                                 .clients = 4,
                                 .keys = 5,
                                 .versions = true,
                                 .reads_percent = 40,
                                 .round_operations = 500,
                                 .prefix = "fuzz-0123456789ab"};

static bool same_call(const struct call *a, const struct call *b)
{
    return a->kind == b->kind && a->key == b->key && a->keys == b->keys && a->value == b->value &&
           a->if_version == b->if_version;
}

/* How many of the calls of one client in one plan are those of another. */
static unsigned same_calls(const struct plan *a, uint32_t client_a, const struct plan *b,
                           uint32_t client_b)
{
    unsigned same = 0;
    for (uint64_t n = 0; n < CALLS; n++) {
        struct call left = plan_call(a, client_a, n), right = plan_call(b, client_b, n);
        same += same_call(&left, &right);
    }
    return same;
}

static void a_seed_replays_the_calls_of_each_client(void **state)
{
    (void)state;
    struct plan again = PLAN, more = PLAN, other = PLAN;
    memcpy(again.prefix, "fuzz-ba9876543210", sizeof("fuzz-ba9876543210"));
    more.clients = 9;
    other.seed = 8;
    assert_int_equal(same_calls(&PLAN, 1, &again, 1), CALLS);
    assert_int_equal(same_calls(&PLAN, 1, &more, 1), CALLS);
    assert_true(same_calls(&PLAN, 1, &PLAN, 2) < CALLS / 4);
    assert_true(same_calls(&PLAN, 1, &other, 1) < CALLS / 2);
}

static void all_kinds_of_calls_come_and_stay_in_their_round(void **state)
{
    (void)state;
    unsigned kinds[CALL_SCAN + 1] = {0};
    for (uint64_t n = 0; n < CALLS; n++) {
        struct call call = plan_call(&PLAN, 0, n);
        uint64_t first = plan_first_key(&PLAN, plan_round(&PLAN, n));
        assert_int_equal(plan_round(&PLAN, n), n / 500);
        assert_in_range(call.key, first, first + 4);
        assert_in_range(call.key + call.keys - 1, first, first + 4);
        kinds[call.kind]++;
    }
    for (int kind = CALL_GET; kind <= CALL_SCAN; kind++)
        assert_true(kinds[kind] > CALLS / 50);
    assert_in_range(kinds[CALL_GET], CALLS * 35 / 100, CALLS * 45 / 100);
}

/* So are others' calls where there are readers. */
static void readers_get_one_key_many_times_before_the_next(void **state)
{
    (void)state;
    struct plan plan = PLAN;
    unsigned readers = 0, changes = 0;
    plan.readers = 2;
    for (uint32_t client = 0; client < plan.clients; client++) {
        if (!plan_is_reader(&plan, client)) {
            assert_int_equal(same_calls(&PLAN, client, &plan, client), CALLS);
            continue;
        }
        readers++;
        uint64_t key = 0;
        for (uint64_t n = 0; n < CALLS; n++) {
            struct call call = plan_call(&plan, client, n);
            assert_int_equal(call.kind, CALL_GET);
            assert_in_range(call.key, plan_first_key(&plan, n / 500),
                            plan_first_key(&plan, n / 500) + 4);
            changes += call.key != key;
            key = call.key;
        }
    }
    assert_int_equal(readers, plan.readers);
    assert_in_range(changes, 4, CALLS / 50);
}

static void without_versions_nothing_asks_for_one(void **state)
{
    (void)state;
    struct plan plan = PLAN;
    plan.versions = false;
    for (uint64_t n = 0; n < CALLS; n++)
        assert_int_not_equal(plan_call(&plan, 2, n).kind, CALL_PUT_IF);
}

static void disjoint_clients_share_no_key(void **state)
{
    (void)state;
    struct plan plan = PLAN;
    uint8_t owner[64] = {0};
    plan.disjoint = true;
    plan.round_operations = 0;
    for (uint32_t client = 0; client < plan.clients; client++) {
        for (uint64_t n = 0; n < CALLS; n++) {
            struct call call = plan_call(&plan, client, n);
            for (uint64_t key = call.key; key < call.key + call.keys; key++) {
                assert_true(owner[key] == 0 || owner[key] == client + 1);
                owner[key] = (uint8_t)(client + 1);
            }
        }
    }
    for (uint64_t key = 1; key <= plan_round_keys(&plan); key++)
        assert_int_not_equal(owner[key], 0);
}

static void no_value_is_written_twice(void **state)
{
    (void)state;
    char text[PLAN_VALUE_SHORT], room[PLAN_VALUE_SHORT];
    for (uint32_t client = 0; client < PLAN.clients; client++) {
        for (uint64_t n = 0; n < CALLS; n++) {
            uint64_t value = plan_call(&PLAN, client, n).value;
            if (value == 0)
                continue;
            assert_int_equal(value, (uint64_t)(client + 1) << 40 | (n + 1));
            size_t length = plan_value_text(&PLAN, value, text);
            assert_int_equal(plan_value_number(&PLAN, text, length, room), value);
        }
    }
}

static void keys_sort_as_their_numbers_and_are_found_again(void **state)
{
    (void)state;
    char before[PLAN_KEY_SIZE] = "", text[PLAN_KEY_SIZE];
    for (uint64_t key = 11; key <= 15; key++) {
        size_t length = plan_key_text(&PLAN, key, text);
        assert_true(strcmp(before, text) < 0);
        assert_int_equal(plan_key_number(&PLAN, text, length), key);
        assert_int_equal(plan_key_number(&PLAN, text, length - 1), 0);
        memcpy(before, text, sizeof(before));
    }
    text[0] = 'x';
    assert_int_equal(plan_key_number(&PLAN, text, strlen(text)), 0);
    assert_int_equal(plan_key_number(&PLAN, "fuzz-0123456789ab-0-00000005", 28), 0);
}

/* A value with one wrong byte anywhere is a value of nobody's. */
static void a_damaged_value_is_foreign(void **state)
{
    (void)state;
    struct plan plan = PLAN;
    static char text[PLAN_VALUE_SHORT + VALUE_BYTES], room[PLAN_VALUE_SHORT + VALUE_BYTES];
    size_t longest = 0;
    plan.value_bytes = VALUE_BYTES;
    for (uint64_t n = 1; n < 200; n++) {
        uint64_t value = UINT64_C(2) << 40 | n;
        size_t length = plan_value_text(&plan, value, text);
        longest = length > longest ? length : longest;
        assert_true(length <= VALUE_BYTES);
        assert_int_equal(plan_value_number(&plan, text, length, room), value);
        assert_int_equal(plan_value_number(&plan, text, length - 1, room) == value, 0);
        text[n % length] ^= 1;
        assert_int_not_equal(plan_value_number(&plan, text, length, room), value);
    }
    assert_true(longest > VALUE_BYTES / 2);
    assert_int_equal(plan_value_number(&plan, "", 0, room), PLAN_VALUE_FOREIGN);
    assert_int_equal(plan_value_number(&plan, "c4n1", 4, room), PLAN_VALUE_FOREIGN);
    assert_int_equal(plan_value_number(&plan, "c-1n1", 5, room), PLAN_VALUE_FOREIGN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_seed_replays_the_calls_of_each_client),
        cmocka_unit_test(all_kinds_of_calls_come_and_stay_in_their_round),
        cmocka_unit_test(readers_get_one_key_many_times_before_the_next),
        cmocka_unit_test(without_versions_nothing_asks_for_one),
        cmocka_unit_test(disjoint_clients_share_no_key),
        cmocka_unit_test(no_value_is_written_twice),
        cmocka_unit_test(keys_sort_as_their_numbers_and_are_found_again),
        cmocka_unit_test(a_damaged_value_is_foreign),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
