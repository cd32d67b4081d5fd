/* Hashes are XXH3-64, and parts hash like the whole, wherever it is cut. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/uio.h>

#include <cmocka.h>

#include "base/hash.h"
#include "base/random.h"

enum { LONGEST = 3000 };

static uint8_t data[LONGEST];

static int fill(void **state)
{
    struct random random;

    (void)state;
    random_seed(&random, 1);
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)random_next(&random);
    return 0;
}

static void known_values(void **state)
{
    (void)state;
    assert_true(hash_bytes(NULL, 0) == UINT64_C(0x2d06800538d394c2));
    assert_true(hash_bytes("", 0) == UINT64_C(0x2d06800538d394c2));
    assert_true(hash_seeded(data, 100, 0) == hash_bytes(data, 100));
    assert_true(hash_seeded(data, 100, 1) != hash_bytes(data, 100));
}

static void two_parts_equal_the_whole(void **state)
{
    static const size_t lengths[] = {0,   1,   3,   8,   16,  17,  128, 129,  240,  241,
                                     256, 257, 511, 512, 513, 514, 600, 1024, 1025, LONGEST};

    (void)state;
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        const size_t length = lengths[i];

        for (uint64_t seed = 0; seed < 2; seed++) {
            const uint64_t whole = hash_seeded(data, length, seed * UINT64_C(0x123456789abcdef));

            for (size_t cut = 0; cut <= length; cut += 1 + length / 64) {
                const struct iovec parts[] = {{data, cut}, {data + cut, length - cut}};

                assert_true(hash_parts(parts, 2, seed * UINT64_C(0x123456789abcdef)) == whole);
            }
        }
    }
}

static void many_and_empty_parts(void **state)
{
    struct iovec parts[64];
    struct random random;

    (void)state;
    random_seed(&random, 2);
    for (int round = 0; round < 200; round++) {
        size_t used = 0;

        for (int i = 0; i < 64; i++) {
            const size_t length = random_below(&random, 4) == 0 ? 0 : random_below(&random, 40);

            parts[i] = (struct iovec){length == 0 ? NULL : data + used, length};
            used += length;
        }
        assert_true(hash_parts(parts, 64, 9) == hash_seeded(data, used, 9));
    }
    assert_true(hash_parts(NULL, 0, 9) == hash_seeded(NULL, 0, 9));
}

static void every_bit_counts(void **state)
{
    uint8_t copy[64];
    const uint64_t whole = hash_bytes(data, sizeof copy);

    (void)state;
    memcpy(copy, data, sizeof copy);
    for (size_t bit = 0; bit < 8 * sizeof copy; bit++) {
        copy[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_true(hash_bytes(copy, sizeof copy) != whole);
        copy[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_values),
        cmocka_unit_test(two_parts_equal_the_whole),
        cmocka_unit_test(many_and_empty_parts),
        cmocka_unit_test(every_bit_counts),
    };

    return cmocka_run_group_tests(tests, fill, NULL);
}
