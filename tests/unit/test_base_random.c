/* The generator is xoshiro256** to the bit, replays from its seed, and is fair within bounds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/random.h"

/* The outputs from state 1, 2, 3, 4 that implementations of the algorithm are checked against. */
static void sequence_is_xoshiro256starstar(void **state)
{
    static const uint64_t wanted[] = {
        UINT64_C(11520),
        UINT64_C(0),
        UINT64_C(1509978240),
        UINT64_C(1215971899390074240),
        UINT64_C(1216172134540287360),
        UINT64_C(607988272756665600),
        UINT64_C(16172922978634559625),
        UINT64_C(8476171486693032832),
        UINT64_C(10595114339597558777),
        UINT64_C(2904607092377533576),
    };
    struct random random = {.state = {1, 2, 3, 4}};

    (void)state;
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++)
        assert_true(random_next(&random) == wanted[i]);
}

static void seeding_is_splitmix64(void **state)
{
    struct random random;

    (void)state;
    random_seed(&random, 1234567);
    assert_true(random.state[0] == UINT64_C(6457827717110365317));
    assert_true(random.state[1] == UINT64_C(3203168211198807973));
    assert_true(random.state[2] == UINT64_C(9817491932198370423));
    assert_true(random.state[3] == UINT64_C(4593380528125082431));
}

static void same_seed_same_sequence(void **state)
{
    struct random one, two, other;
    int equal = 0;

    (void)state;
    random_seed(&one, 0);
    random_seed(&two, 0);
    random_seed(&other, 1);
    for (int i = 0; i < 1000; i++) {
        const uint64_t value = random_next(&one);

        assert_true(value == random_next(&two));
        equal += value == random_next(&other);
    }
    assert_int_equal(equal, 0);
}

static void below_stays_below_and_reaches_all(void **state)
{
    int seen[10] = {0};
    struct random random;

    (void)state;
    random_seed(&random, 5);
    for (int i = 0; i < 10000; i++) {
        const uint64_t value = random_below(&random, 10);

        assert_true(value < 10);
        seen[value]++;
    }
    for (int i = 0; i < 10; i++)
        assert_in_range(seen[i], 800, 1200);
    for (int i = 0; i < 100; i++)
        assert_true(random_below(&random, 1) == 0);
}

/* With bound 3 * 2^62 a plain modulo would give the lowest third half of the draws. */
static void below_has_no_modulo_bias(void **state)
{
    const uint64_t third = UINT64_C(1) << 62;
    int low = 0;
    struct random random;

    (void)state;
    random_seed(&random, 6);
    for (int i = 0; i < 9000; i++)
        low += random_below(&random, 3 * third) < third;
    assert_in_range(low, 2700, 3300);
}

static void unit_is_in_its_interval(void **state)
{
    double sum = 0;
    struct random random;

    (void)state;
    random_seed(&random, 8);
    for (int i = 0; i < 10000; i++) {
        const double value = random_unit(&random);

        assert_true(value >= 0.0 && value < 1.0);
        sum += value;
    }
    assert_true(sum > 4800 && sum < 5200);
}

/* Longer than what one getrandom(2) call gives without being split. */
static void entropy_fills_all_of_it(void **state)
{
    static uint8_t bytes[4096];
    uint8_t tail[16] = {0};

    (void)state;
    memset(bytes, 0, sizeof bytes);
    random_entropy(bytes, sizeof bytes - sizeof tail);
    assert_memory_equal(bytes + sizeof bytes - sizeof tail, tail, sizeof tail);
    for (size_t i = 0; i + 2 * sizeof tail <= sizeof bytes; i += sizeof tail)
        assert_memory_not_equal(bytes + i, tail, sizeof tail);
    random_entropy(bytes, 0);
}

static void ids_are_distinct_and_not_zero(void **state)
{
    uint64_t ids[100];

    (void)state;
    for (int i = 0; i < 100; i++) {
        ids[i] = random_id();
        assert_true(ids[i] != 0);
        for (int j = 0; j < i; j++)
            assert_true(ids[i] != ids[j]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sequence_is_xoshiro256starstar),
        cmocka_unit_test(seeding_is_splitmix64),
        cmocka_unit_test(same_seed_same_sequence),
        cmocka_unit_test(below_stays_below_and_reaches_all),
        cmocka_unit_test(below_has_no_modulo_bias),
        cmocka_unit_test(unit_is_in_its_interval),
        cmocka_unit_test(entropy_fills_all_of_it),
        cmocka_unit_test(ids_are_distinct_and_not_zero),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
