/* HOST:PORT is taken as it is meant, and anything else refused with a reason. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/address.h"

static void valid_addresses_parse_and_format(void **state)
{
    static const struct {
        const char *text, *host;
        uint16_t port;
        const char *formatted;
    } cases[] = {
        {"127.0.0.1:3666", "127.0.0.1", 3666, "127.0.0.1:3666"},
        {"localhost:1", "localhost", 1, "localhost:1"},
        {"a-b_c.example.:65535", "a-b_c.example.", 65535, "a-b_c.example.:65535"},
        {"[::1]:80", "::1", 80, "[::1]:80"},
        {"[0:0:0:0:0:0:0:1]:80", "::1", 80, "[::1]:80"},
        {"[2001:DB8::A]:00080", "2001:db8::a", 80, "[2001:db8::a]:80"},
        {"[fe80::1%eth0]:9", "fe80::1%eth0", 9, "[fe80::1%eth0]:9"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct error error = {.code = 0};
        struct address address;
        char out[ADDRESS_TEXT_MAX];

        assert_int_equal(address_parse(cases[i].text, &address, &error), 0);
        assert_string_equal(address.host, cases[i].host);
        assert_int_equal(address.port, cases[i].port);
        assert_string_equal(address_format(&address, out), cases[i].formatted);
    }
}

static void invalid_addresses_are_refused_with_a_reason(void **state)
{
    static const struct {
        const char *text, *reason;
    } cases[] = {
        {"", "is empty"},
        {"host", "has no port"},
        {"host:", "port that is not a number"},
        {":80", "has no host"},
        {"host:0", "from 1 to 65535"},
        {"host:65536", "from 1 to 65535"},
        {"host:99999999999999999999", "from 1 to 65535"},
        {"host:-1", "from 1 to 65535"},
        {"host:+1", "from 1 to 65535"},
        {"host: 1", "from 1 to 65535"},
        {"host:1 ", "from 1 to 65535"},
        {"host:0x50", "from 1 to 65535"},
        {"ho st:80", "other characters"},
        {"ho/st:80", "other characters"},
        {"h\xc3\xb6st:80", "other characters"},
        {"h,i:80", "other characters"},
        {"::1:80", "several colons"},
        {"[::1]", "no port; wanted [IPV6]:PORT"},
        {"[]:80", "IPv6"},
        {"[:80", "IPv6"},
        {"[::1:80", "IPv6"},
        {"[::1]x:80", "IPv6"},
        {"[localhost]:80", "IPv6"},
        {"[127.0.0.1]:80", "IPv6"},
        {"[::1%]:80", "IPv6"},
        {"[::1%a b]:80", "IPv6"},
        {"]:80", "other characters"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct error error = {.code = 0};
        struct address address;

        memset(&address, 0x55, sizeof address);
        assert_int_equal(address_parse(cases[i].text, &address, &error), CAIRN_EINVAL);
        if (strstr(error.message, cases[i].reason) == NULL)
            fail_msg("'%s': %s", cases[i].text, error.message);
        assert_non_null(strstr(error.message, cases[i].text));
        assert_int_equal(address.port, 0);
        assert_string_equal(address.host, "");
    }
}

static void host_length_is_limited(void **state)
{
    char text[2000], out[ADDRESS_TEXT_MAX];
    struct address address;
    struct error error = {.code = 0};

    (void)state;
    memset(text, 'h', ADDRESS_HOST_MAX);
    memcpy(text + ADDRESS_HOST_MAX, ":65535", 7);
    assert_int_equal(address_parse(text, &address, &error), 0);
    assert_string_equal(address_format(&address, out), text);
    memset(text, 'h', ADDRESS_HOST_MAX + 1);
    memcpy(text + ADDRESS_HOST_MAX + 1, ":65535", 7);
    assert_int_equal(address_parse(text, &address, &error), CAIRN_EINVAL);
    memset(text, '1', sizeof text);
    memcpy(text, "[::1%", 5);
    memcpy(text + sizeof text - 4, "]:1", 4);
    assert_int_equal(address_parse(text, &address, &error), CAIRN_EINVAL);
}

static void longest_ipv6_fits_when_formatted(void **state)
{
    char text[ADDRESS_HOST_MAX + 16], out[ADDRESS_TEXT_MAX];
    struct address address;

    (void)state;
    for (size_t scope = 1; scope <= ADDRESS_HOST_MAX; scope++) {
        (void)snprintf(text, sizeof text, "[%s%%%0*d]:65535",
                       "1111:2222:3333:4444:5555:6666:7777:8888", (int)scope, 1);
        if (address_parse(text, &address, NULL) != 0)
            continue;
        assert_true(strlen(address.host) <= ADDRESS_HOST_MAX);
        (void)address_format(&address, out);
    }
}

static void lists_parse(void **state)
{
    struct address_list *list = malloc(sizeof *list);
    struct error error = {.code = 0};

    (void)state;
    assert_non_null(list);
    assert_int_equal(address_list_parse("a:1,[::1]:2,c:3", list, &error), 0);
    assert_int_equal(list->count, 3);
    assert_string_equal(list->items[1].host, "::1");
    assert_int_equal(list->items[2].port, 3);
    assert_int_equal(address_list_parse("a:1", list, &error), 0);
    assert_int_equal(list->count, 1);
    assert_int_equal(address_list_parse("", list, &error), CAIRN_EINVAL);
    assert_int_equal(list->count, 0);
    assert_int_equal(address_list_parse("a:1,", list, &error), CAIRN_EINVAL);
    assert_int_equal(address_list_parse(",a:1", list, &error), CAIRN_EINVAL);
    assert_int_equal(address_list_parse("a:1,,b:2", list, &error), CAIRN_EINVAL);
    assert_int_equal(address_list_parse("a:1, b:2", list, &error), CAIRN_EINVAL);
    assert_int_equal(address_list_parse("a:1,b", list, &error), CAIRN_EINVAL);
    assert_non_null(strstr(error.message, "'b' has no port"));
    assert_int_equal(list->count, 0);
    free(list);
}

static void list_length_is_limited(void **state)
{
    struct address_list *list = malloc(sizeof *list);
    struct error error = {.code = 0};
    char text[4 * ADDRESS_LIST_MAX + 4];

    (void)state;
    assert_non_null(list);
    for (int i = 0; i <= ADDRESS_LIST_MAX; i++)
        memcpy(text + 4 * i, "a:1,", 4);
    text[4 * ADDRESS_LIST_MAX + 3] = '\0';
    assert_int_equal(address_list_parse(text, list, &error), CAIRN_EINVAL);
    assert_non_null(strstr(error.message, "more than 256"));
    text[4 * ADDRESS_LIST_MAX - 1] = '\0';
    assert_int_equal(address_list_parse(text, list, &error), 0);
    assert_int_equal(list->count, ADDRESS_LIST_MAX);
    free(list);
}

static void equality_ignores_case_and_spelling(void **state)
{
    struct address left, right;

    (void)state;
    assert_int_equal(address_parse("Host:1", &left, NULL), 0);
    assert_int_equal(address_parse("hOST:1", &right, NULL), 0);
    assert_true(address_equal(&left, &right));
    assert_int_equal(address_parse("hOST:2", &right, NULL), 0);
    assert_false(address_equal(&left, &right));
    assert_int_equal(address_parse("hosts:1", &right, NULL), 0);
    assert_false(address_equal(&left, &right));
    assert_int_equal(address_parse("[::0:1]:1", &left, NULL), 0);
    assert_int_equal(address_parse("[::1]:1", &right, NULL), 0);
    assert_true(address_equal(&left, &right));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(valid_addresses_parse_and_format),
        cmocka_unit_test(invalid_addresses_are_refused_with_a_reason),
        cmocka_unit_test(host_length_is_limited),
        cmocka_unit_test(longest_ipv6_fits_when_formatted),
        cmocka_unit_test(lists_parse),
        cmocka_unit_test(list_length_is_limited),
        cmocka_unit_test(equality_ignores_case_and_spelling),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
