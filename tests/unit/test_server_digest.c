/* What tells copies apart, and who is taken to be wrong (W8): checksums first, then most copies,
 * then the primary. And which value of another copy may replace a bad row here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/error.h"
#include "server/digest.h"
#include "server/repair_store.h"
#include "server/value.h"

static void order_of_rows_does_not_matter_but_each_of_them_does(void **state)
{
    struct digest one = {0}, other = {0};
    const struct digest_session session = {.client = 7, .number = 3, .used_ms = 9};
    struct digest_session later = session;

    (void)state;
    digest_add_pair(&one, 11);
    digest_add_pair(&one, 22);
    digest_add_session(&one, &session);
    digest_add_session(&other, &session);
    digest_add_pair(&other, 22);
    digest_add_pair(&other, 11);
    assert_true(digest_value(&one, 5, 6) == digest_value(&other, 5, 6));
    assert_true(digest_value(&one, 5, 6) != digest_value(&other, 6, 6));
    assert_true(digest_value(&one, 5, 6) != digest_value(&other, 5, 7));
    digest_add_pair(&other, 0); /* what adds nothing to the sum is a pair all the same */
    assert_true(digest_value(&one, 5, 6) != digest_value(&other, 5, 6));
    digest_add_pair(&one, 0);
    later.number++;
    digest_add_session(&one, &session);
    digest_add_session(&other, &later);
    assert_true(digest_value(&one, 5, 6) != digest_value(&other, 5, 6));
}

/* Values and bad rows of up to four copies, the primary's first; a letter tells each one's fate. */
static void judges(const char *values, const char *bad, enum digest_verdict verdict,
                   const char *differs)
{
    struct digest_copy copies[4] = {{0}};
    uint32_t count = (uint32_t)strlen(values);

    for (uint32_t i = 0; i < count; i++) {
        copies[i].value = (uint64_t)values[i];
        copies[i].bad = (uint64_t)(bad[i] - '0');
    }
    assert_int_equal(digest_judge(copies, count), verdict);
    for (uint32_t i = 0; i < count; i++)
        assert_int_equal(copies[i].differs, differs[i] == 'x');
}

static void who_is_wrong(void **state)
{
    (void)state;
    judges("a", "0", DIGEST_ALIKE, ".");
    judges("aa", "00", DIGEST_ALIKE, "..");
    judges("ab", "00", DIGEST_SOME, ".x"); /* two copies: the primary's word */
    judges("ab", "10", DIGEST_SOME, "x."); /* unless it has bad rows */
    judges("ab", "01", DIGEST_SOME, ".x");
    judges("aa", "01", DIGEST_SOME, ".x"); /* bad rows alone, too */
    judges("ab", "11", DIGEST_UNDECIDED, "..");
    judges("a", "1", DIGEST_UNDECIDED, ".");
    judges("aba", "000", DIGEST_SOME, ".x.");
    judges("abb", "000", DIGEST_SOME, "x.."); /* most copies */
    judges("abc", "000", DIGEST_SOME, ".xx");
    judges("abb", "001", DIGEST_SOME, ".xx"); /* a bad one has no voice */
    judges("abbc", "0000", DIGEST_SOME,
           "x..."); /* the primary alone: the next one tells the rest */
}

static const uint8_t key[] = "key";
enum { KEY_LENGTH = 3 };

static struct repair_value value_at(uint64_t modified, uint64_t applied_index)
{
    struct repair_value from = {.value = {.version = 4,
                                          .modified = modified,
                                          .data = (const uint8_t *)"value",
                                          .length = 5},
                                .applied_index = applied_index};

    from.checksum = value_checksum(key, KEY_LENGTH, &from.value);
    return from;
}

static void only_what_the_row_ought_to_be_replaces_it(void **state)
{
    const struct store_position stored = {.history = 1, .epoch = 1, .index = 100};
    struct store_position installing = stored;
    struct repair_value from = value_at(100, 100);

    (void)state;
    assert_true(repair_value_fits(&from, &stored, key, KEY_LENGTH));
    from = value_at(1, 5000);
    assert_true(repair_value_fits(&from, &stored, key, KEY_LENGTH));
    from = value_at(101, 5000); /* newer: the log brings it */
    assert_false(repair_value_fits(&from, &stored, key, KEY_LENGTH));
    from = value_at(50, 99); /* the key may have been written to behind 99 */
    assert_false(repair_value_fits(&from, &stored, key, KEY_LENGTH));
    from = value_at(50, 100);
    from.checksum ^= 1;
    assert_false(repair_value_fits(&from, &stored, key, KEY_LENGTH));
    from = value_at(50, 100);
    assert_false(repair_value_fits(&from, &stored, (const uint8_t *)"kez", KEY_LENGTH));
    installing.installing = true;
    assert_false(repair_value_fits(&from, &installing, key, KEY_LENGTH));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(order_of_rows_does_not_matter_but_each_of_them_does),
        cmocka_unit_test(who_is_wrong),
        cmocka_unit_test(only_what_the_row_ought_to_be_replaces_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
