/* Escapes and hexadecimal. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include "base/error.h"
#include "client/text.h"

static void check_word(const void *data, size_t length, const char *wanted)
{
    struct buffer out;

    buffer_init(&out, 100);
    assert_int_equal(text_append_word(&out, data, length), 0);
    assert_int_equal(out.length, strlen(wanted));
    if (out.length > 0) {
        assert_memory_equal(out.data, wanted, out.length);
    }
    buffer_free(&out);
}

static void test_words_go_out_as_they_are(void **state)
{
    (void)state;
    check_word("", 0, "");
    check_word("plain", 5, "plain");
    check_word("a\\x41~!", 7, "a\\x41~!");
}

static void test_other_bytes_are_escaped_and_then_backslashes_too(void **state)
{
    (void)state;
    check_word("a b", 3, "a\\x20b");
    check_word("\0\n\x7f\xff", 4, "\\x00\\x0a\\x7f\\xff");
    check_word("\\ ", 2, "\\x5c\\x20");
}

static void test_a_full_buffer_is_an_error(void **state)
{
    struct buffer out;

    (void)state;
    buffer_init(&out, 3);
    assert_int_not_equal(text_append_word(&out, "\n", 1), 0);
    buffer_free(&out);
}

static void test_hexadecimal_both_ways(void **state)
{
    uint8_t all[256];
    struct buffer text;
    struct buffer bytes;

    (void)state;
    for (unsigned i = 0; i < sizeof(all); i++) {
        all[i] = (uint8_t)i;
    }
    buffer_init(&text, 512);
    buffer_init(&bytes, 256);
    assert_int_equal(text_append_hex(&text, all, sizeof(all)), 0);
    assert_memory_equal(text.data, "000102", 6);
    assert_int_equal(text_from_hex((const char *)text.data, text.length, &bytes), 0);
    assert_int_equal(bytes.length, sizeof(all));
    assert_memory_equal(bytes.data, all, sizeof(all));
    assert_int_equal(text_from_hex("aBcD", 4, &bytes), 0);
    assert_memory_equal(bytes.data, "\xab\xcd", 2);
    buffer_free(&text);
    buffer_free(&bytes);
}

static void test_bad_hexadecimal_is_refused(void **state)
{
    const char *const bad[] = {"0", "0g", "g0", " 00", "0x00 ", "00\n0"};
    struct buffer bytes;

    (void)state;
    buffer_init(&bytes, 16);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(text_from_hex(bad[i], strlen(bad[i]), &bytes), CAIRN_EINVAL);
    }
    buffer_free(&bytes);
}

static void test_excerpts_fit_and_are_printable(void **state)
{
    char out[64];

    (void)state;
    assert_string_equal(text_excerpt("a b\n", 4, out, sizeof(out)), "a b\\x0a");
    for (size_t size = 8; size < sizeof(out); size++) {
        for (size_t length = 0; length < 80; length++) {
            char data[80];
            memset(data, length % 2 == 0 ? 'x' : 7, sizeof(data));
            memset(out, 'Z', sizeof(out));
            text_excerpt(data, length, out, size);
            assert_true(strlen(out) < size);
        }
    }
    assert_string_equal(text_excerpt("0123456789", 10, out, 8), "0123...");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words_go_out_as_they_are),
        cmocka_unit_test(test_other_bytes_are_escaped_and_then_backslashes_too),
        cmocka_unit_test(test_a_full_buffer_is_an_error),
        cmocka_unit_test(test_hexadecimal_both_ways),
        cmocka_unit_test(test_bad_hexadecimal_is_refused),
        cmocka_unit_test(test_excerpts_fit_and_are_printable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
