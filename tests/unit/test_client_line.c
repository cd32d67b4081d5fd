/* Workload mode's lines: what is a call, what is garbage, and that garbage costs bounded memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "client/line.h"

/* Feeds a text that ends in its first newline, in steps of `step` bytes. */
static void feed(struct line *line, const char *text, size_t length, size_t step)
{
    size_t at = 0;
    bool ended = false;

    line_reset(line);
    while (at < length) {
        size_t used;
        size_t size = length - at < step ? length - at : step;
        ended = line_feed(line, (const uint8_t *)text + at, size, &used);
        assert_true(used <= size);
        at += used;
        assert_int_equal(ended, text[at - 1] == '\n');
        assert_true(line->text.length <= LINE_LIMIT);
    }
    assert_true(ended);
}

static int parse(const char *text, size_t length, struct line *line, struct line_call *call,
                 struct error *error)
{
    feed(line, text, length, 65536);
    return line_parse(line, call, error);
}

static void check_call(const char *text, enum line_verb verb, const char *first, const char *second)
{
    for (size_t step = 1; step < 12; step++) {
        struct line line;
        struct line_call call;
        struct error error = {0};

        line_init(&line);
        feed(&line, text, strlen(text), step);
        assert_int_equal(line_parse(&line, &call, &error), CAIRN_OK);
        assert_int_equal(call.verb, verb);
        assert_int_equal(call.words[0].length, strlen(first));
        assert_int_equal(call.words[1].length, strlen(second));
        if (call.words[0].length > 0) {
            assert_memory_equal(call.words[0].data, first, strlen(first));
        }
        if (call.words[1].length > 0) {
            assert_memory_equal(call.words[1].data, second, strlen(second));
        }
        line_free(&line);
    }
}

static void test_every_call(void **state)
{
    (void)state;
    check_call("PUT k v\n", LINE_PUT, "k", "v");
    check_call("SWAP k v\n", LINE_SWAP, "k", "v");
    check_call("GET k\n", LINE_GET, "k", "");
    check_call("DELETE k\n", LINE_DELETE, "k", "");
    check_call("SCAN a b\n", LINE_SCAN, "a", "b");
    check_call("STOP\n", LINE_STOP, "", "");
}

static void test_the_number_of_spaces_does_not_matter(void **state)
{
    (void)state;
    check_call("   PUT    k        v     \n", LINE_PUT, "k", "v");
    check_call(" STOP \n", LINE_STOP, "", "");
}

static void check_refused(const char *text, size_t length, const char *says)
{
    struct line line;
    struct line_call call;
    struct error error = {0};

    line_init(&line);
    assert_int_equal(parse(text, length, &line, &call, &error), CAIRN_EINVAL);
    if (strstr(error.message, says) == NULL) {
        print_error("%s\n", error.message);
        fail();
    }
    line_free(&line);
}

static void test_what_is_no_call_is_refused(void **state)
{
    const struct {
        const char *text, *says;
    } cases[] = {
        {"\n", "empty"},          {"    \n", "empty"},          {"put k v\n", "unknown"},
        {"Get k\n", "unknown"},   {"GETX k\n", "unknown"},      {"GE\n", "unknown"},
        {"PUT k\n", "takes 2"},   {"PUT k v w\n", "takes 2"},   {"GET\n", "takes 1"},
        {"GET k v\n", "takes 1"}, {"STOP now\n", "takes 0"},    {"SCAN a\n", "takes 2"},
        {"DELETE\n", "takes 1"},  {"a b c d e f\n", "unknown"}, {"GET\tk\n", "0x09"},
        {"GET k\r\n", "0x0d"},    {"GET k\xc3\xa4\n", "0xc3"},  {"GET \x7f\n", "0x7f"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        check_refused(cases[i].text, strlen(cases[i].text), cases[i].says);
    }
    check_refused("GET \0k\n", 7, "0x00");
}

/* A line `VERB <key_length bytes> <value_length bytes>`. */
static char *make_line(const char *verb, size_t key_length, size_t value_length, size_t *length)
{
    char *text = malloc(strlen(verb) + key_length + value_length + 4);
    size_t at = strlen(verb);

    assert_non_null(text);
    memcpy(text, verb, at);
    text[at++] = ' ';
    memset(text + at, 'k', key_length);
    at += key_length;
    if (value_length > 0) {
        text[at++] = ' ';
        memset(text + at, 'v', value_length);
        at += value_length;
    }
    text[at++] = '\n';
    *length = at;
    return text;
}

static int parse_sized(const char *verb, size_t key_length, size_t value_length,
                       struct error *error)
{
    struct line line;
    struct line_call call;
    size_t length;
    char *text = make_line(verb, key_length, value_length, &length);

    line_init(&line);
    int status = parse(text, length, &line, &call, error);
    if (status == CAIRN_OK) {
        assert_int_equal(call.words[0].length, key_length);
        assert_int_equal(call.words[1].length, value_length);
    }
    line_free(&line);
    free(text);
    return status;
}

static void test_limits_are_named(void **state)
{
    struct error error = {0};

    (void)state;
    assert_int_equal(parse_sized("SWAP", 480, 1 << 20, &error), CAIRN_OK);
    assert_int_equal(parse_sized("DELETE", 480, 0, &error), CAIRN_OK);
    assert_int_equal(parse_sized("SCAN", 480, 480, &error), CAIRN_OK);
    assert_int_equal(parse_sized("GET", 481, 0, &error), CAIRN_EINVAL);
    assert_non_null(strstr(error.message, "480"));
    assert_int_equal(parse_sized("SCAN", 480, 481, &error), CAIRN_EINVAL);
    assert_non_null(strstr(error.message, "480"));
    assert_int_equal(parse_sized("PUT", 1, (1 << 20) + 1, &error), CAIRN_EINVAL);
    assert_non_null(strstr(error.message, "1048576"));
    assert_int_equal(parse_sized("PUT", 1, 9 << 20, &error), CAIRN_EINVAL);
    assert_non_null(strstr(error.message, "1048576"));
}

/* Spaces beyond any limit are still only spaces. */
static void test_a_line_of_megabytes_of_spaces_is_a_call(void **state)
{
    static uint8_t spaces[65536];
    struct line line;
    struct line_call call;
    struct error error = {0};
    size_t used;

    (void)state;
    memset(spaces, ' ', sizeof(spaces));
    line_init(&line);
    assert_false(line_feed(&line, (const uint8_t *)"GET", 3, &used));
    for (int i = 0; i < 100; i++) {
        assert_false(line_feed(&line, spaces, sizeof(spaces), &used));
    }
    assert_true(line_feed(&line, (const uint8_t *)"k\n", 2, &used));
    assert_int_equal(line_parse(&line, &call, &error), CAIRN_OK);
    assert_int_equal(call.words[0].length, 1);
    line_free(&line);
}

static void test_after_a_line_too_long_the_next_is_read(void **state)
{
    static uint8_t junk[65536];
    struct line line;
    struct line_call call;
    struct error error = {0};
    size_t used;

    (void)state;
    memset(junk, 'x', sizeof(junk));
    line_init(&line);
    for (int i = 0; i < 100; i++) {
        assert_false(line_feed(&line, junk, sizeof(junk), &used));
        assert_true(line.text.length <= LINE_LIMIT);
    }
    assert_true(line_feed(&line, (const uint8_t *)"\nGET k\n", 7, &used));
    assert_int_equal(used, 1);
    assert_int_equal(line_parse(&line, &call, &error), CAIRN_EINVAL);
    assert_non_null(strstr(error.message, "too long"));
    line_reset(&line);
    assert_true(line_feed(&line, (const uint8_t *)"GET k\n", 6, &used));
    assert_int_equal(line_parse(&line, &call, &error), CAIRN_OK);
    line_free(&line);
}

static void test_a_last_line_without_its_end_has_begun(void **state)
{
    struct line line;
    size_t used;

    (void)state;
    line_init(&line);
    assert_false(line.begun);
    assert_false(line_feed(&line, (const uint8_t *)"STOP", 4, &used));
    assert_true(line.begun);
    line_free(&line);
}

/* Whatever comes: no crash, bounded memory, and words that are words. */
static void test_random_bytes(void **state)
{
    static const char alphabet[] = "PUTSWAGDELCNO kv\n\x01\xff\t";
    struct random random;
    struct line line;
    struct line_call call;
    struct error error = {0};

    (void)state;
    random_seed(&random, 20);
    line_init(&line);
    for (int round = 0; round < 200000; round++) {
        uint8_t bytes[32];
        size_t length = 1 + random_below(&random, sizeof(bytes));
        size_t at = 0;
        for (size_t i = 0; i < length; i++) {
            bytes[i] = (uint8_t)alphabet[random_below(&random, sizeof(alphabet) - 1)];
        }
        while (at < length) {
            size_t used;
            if (line_feed(&line, bytes + at, length - at, &used)) {
                if (line_parse(&line, &call, &error) == CAIRN_OK) {
                    assert_null(call.words[0].length == 0
                                    ? NULL
                                    : memchr(call.words[0].data, ' ', call.words[0].length));
                }
                line_reset(&line);
            }
            assert_true(used > 0);
            at += used;
        }
    }
    line_free(&line);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_call),
        cmocka_unit_test(test_the_number_of_spaces_does_not_matter),
        cmocka_unit_test(test_what_is_no_call_is_refused),
        cmocka_unit_test(test_limits_are_named),
        cmocka_unit_test(test_a_line_of_megabytes_of_spaces_is_a_call),
        cmocka_unit_test(test_after_a_line_too_long_the_next_is_read),
        cmocka_unit_test(test_a_last_line_without_its_end_has_begun),
        cmocka_unit_test(test_random_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
