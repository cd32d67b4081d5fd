/* Command lines and environment: what is accepted, what wins, and errors that help. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/address.h"
#include "base/options.h"

enum { ARGUMENTS_MAX = 16 };

static const struct options_usage usage = {
    .program = "subject",
    .summary = "Does what it does.",
    .epilog = "That is all.",
};

static struct subject {
    struct address_list manager;
    struct address listen;
    uint64_t id, timeout_ms, bytes;
    const char *data;
    bool no_cache, id_given, manager_given;
    /* results */
    int status, positional;
    enum options_result result;
    struct error error;
    char *argv[ARGUMENTS_MAX];
    char words[1024];
} subject;

static const struct option_spec specs[] = {
    {"manager", OPTION_ADDRESS_LIST, &subject.manager, 0, 0, "HOST:PORT[,...]", "the manager",
     &subject.manager_given, false},
    {"server", OPTION_ADDRESS_LIST, &subject.manager, 0, 0, "HOST:PORT[,...]", "alias", NULL, true},
    {"listen", OPTION_ADDRESS, &subject.listen, 0, 0, "HOST:PORT", "where to serve", NULL, false},
    {"id", OPTION_NUMBER, &subject.id, 1, 256, "N", "which server", &subject.id_given, false},
    {"timeout", OPTION_NUMBER, &subject.timeout_ms, 1, 0, "MS", "time limit", NULL, false},
    {"segment-bytes", OPTION_BYTES, &subject.bytes, 4096, UINT64_C(1) << 40, "BYTES", "size", NULL,
     false},
    {"data", OPTION_STRING, &subject.data, 0, 0, "DIR", "where data is", NULL, false},
    {"no-cache", OPTION_FLAG, &subject.no_cache, 0, 0, NULL, "read from servers only", NULL, false},
};

static int reset(void **state)
{
    static const char *const variables[] = {"CAIRN_MANAGER", "CAIRN_SERVER",  "CAIRN_LISTEN",
                                            "CAIRN_ID",      "CAIRN_TIMEOUT", "CAIRN_SEGMENT_BYTES",
                                            "CAIRN_DATA",    "CAIRN_NO_CACHE"};

    (void)state;
    for (size_t i = 0; i < sizeof variables / sizeof variables[0]; i++)
        if (unsetenv(variables[i]) != 0)
            return -1;
    memset(&subject, 0, sizeof subject);
    subject.timeout_ms = 10000;
    subject.bytes = 64 << 20;
    return 0;
}

static void parse_with(const char *line, bool stop_at_positional)
{
    int argc = 1;
    char *rest = subject.words;

    (void)snprintf(subject.words, sizeof subject.words, "%s", line);
    subject.argv[0] = (char *)(uintptr_t) "subject";
    for (char *word; (word = strsep(&rest, " ")) != NULL;)
        if (line[0] != '\0')
            subject.argv[argc++] = word;
    subject.status =
        options_parse(&usage, specs, sizeof specs / sizeof specs[0], argc, subject.argv,
                      stop_at_positional, &subject.positional, &subject.result, &subject.error);
}

/* Parses a line whose words are separated by single spaces; an empty word is an empty argument. */
static void parse(const char *line)
{
    parse_with(line, false);
}

static void assert_refused(const char *line, const char *message)
{
    assert_int_equal(reset(NULL), 0);
    parse(line);
    assert_int_equal(subject.status, CAIRN_EINVAL);
    assert_int_equal(subject.error.code, CAIRN_EINVAL);
    if (strcmp(subject.error.message, message) != 0)
        fail_msg("%s:\n  %s\n  wanted: %s", line, subject.error.message, message);
}

static void nothing_given_keeps_defaults(void **state)
{
    (void)state;
    parse("");
    assert_int_equal(subject.status, 0);
    assert_int_equal(subject.result, OPTIONS_RUN);
    assert_int_equal(subject.positional, 0);
    assert_int_equal(subject.timeout_ms, 10000);
    assert_false(subject.id_given);
}

static void both_forms_of_values(void **state)
{
    (void)state;
    parse("--id 256 --data=/x --segment-bytes 4k --manager h:1,i:2 --no-cache --listen=[::1]:9");
    assert_int_equal(subject.status, 0);
    assert_int_equal(subject.id, 256);
    assert_true(subject.id_given && subject.manager_given);
    assert_string_equal(subject.data, "/x");
    assert_int_equal(subject.bytes, 4096);
    assert_int_equal(subject.manager.count, 2);
    assert_true(subject.no_cache);
    assert_string_equal(subject.listen.host, "::1");
    parse("--id 1 --id 2");
    assert_int_equal(subject.id, 2);
    parse("--data=a=b");
    assert_string_equal(subject.data, "a=b");
    parse("--data -");
    assert_string_equal(subject.data, "-");
    parse("--data --other");
    assert_string_equal(subject.data, "--other");
    parse("--no-cache=no");
    assert_false(subject.no_cache);
}

static void positionals_move_to_the_front(void **state)
{
    (void)state;
    parse("put --id 3 key --no-cache - -- --id 4");
    assert_int_equal(subject.status, 0);
    assert_int_equal(subject.positional, 5);
    assert_string_equal(subject.argv[1], "put");
    assert_string_equal(subject.argv[2], "key");
    assert_string_equal(subject.argv[3], "-");
    assert_string_equal(subject.argv[4], "--id");
    assert_string_equal(subject.argv[5], "4");
    assert_int_equal(subject.id, 3);
    assert_true(subject.no_cache);
}

static void first_positional_can_end_the_options(void **state)
{
    (void)state;
    parse_with("--id 3 put --with-version -- --id 4", true);
    assert_int_equal(subject.status, 0);
    assert_int_equal(subject.id, 3);
    assert_int_equal(subject.positional, 5);
    assert_string_equal(subject.argv[1], "put");
    assert_string_equal(subject.argv[2], "--with-version");
    assert_string_equal(subject.argv[3], "--");
    assert_string_equal(subject.argv[5], "4");
}

static void alias_stands_for_its_option(void **state)
{
    (void)state;
    assert_int_equal(setenv("CAIRN_MANAGER", "environment:1", 1), 0);
    assert_int_equal(setenv("CAIRN_SERVER", "not an address", 1), 0);
    parse("--server line:2");
    assert_int_equal(subject.status, 0);
    assert_string_equal(subject.manager.items[0].host, "line");
    assert_true(subject.manager_given);
    parse("--server line:2 --manager later:3");
    assert_string_equal(subject.manager.items[0].host, "later");
    parse("");
    assert_string_equal(subject.manager.items[0].host, "environment");
}

static void environment_counts_below_the_command_line(void **state)
{
    (void)state;
    assert_int_equal(setenv("CAIRN_ID", "7", 1), 0);
    assert_int_equal(setenv("CAIRN_NO_CACHE", "YES", 1), 0);
    assert_int_equal(setenv("CAIRN_SEGMENT_BYTES", "8M", 1), 0);
    assert_int_equal(setenv("CAIRN_DATA", "", 1), 0);
    parse("");
    assert_int_equal(subject.status, 0);
    assert_int_equal(subject.id, 7);
    assert_true(subject.id_given);
    assert_true(subject.no_cache);
    assert_int_equal(subject.bytes, 8 << 20);
    assert_null(subject.data);
    assert_int_equal(setenv("CAIRN_NO_CACHE", "0", 1), 0);
    parse("--id 8");
    assert_int_equal(subject.id, 8);
    assert_false(subject.no_cache);
    assert_int_equal(setenv("CAIRN_ID", "garbage", 1), 0);
    parse("--id 9");
    assert_int_equal(subject.status, 0);
    assert_int_equal(subject.id, 9);
}

static void environment_errors_name_the_variable(void **state)
{
    (void)state;
    assert_int_equal(setenv("CAIRN_ID", "0", 1), 0);
    parse("");
    assert_int_equal(subject.status, CAIRN_EINVAL);
    assert_string_equal(subject.error.message, "CAIRN_ID: '0' is not a number from 1 to 256");
    assert_int_equal(unsetenv("CAIRN_ID"), 0);
    assert_int_equal(setenv("CAIRN_NO_CACHE", "maybe", 1), 0);
    parse("");
    assert_string_equal(subject.error.message,
                        "CAIRN_NO_CACHE: 'maybe' is none of 1, 0, true, false, yes, no");
}

static void numbers_have_limits(void **state)
{
    (void)state;
    assert_refused("--id 0", "--id: '0' is not a number from 1 to 256");
    assert_refused("--id 257", "--id: '257' is not a number from 1 to 256");
    assert_refused("--id -1", "--id: '-1' is not a number from 1 to 256");
    assert_refused("--id +1", "--id: '+1' is not a number from 1 to 256");
    assert_refused("--id 1k", "--id: '1k' is not a number from 1 to 256");
    assert_refused("--id=", "--id: '' is not a number from 1 to 256");
    assert_refused("--id 0x1", "--id: '0x1' is not a number from 1 to 256");
    assert_refused("--id 18446744073709551617",
                   "--id: '18446744073709551617' is not a number from 1 to 256");
    assert_refused("--timeout 0", "--timeout: '0' is not a number of at least 1");
    parse("--timeout 18446744073709551615");
    assert_true(subject.timeout_ms == UINT64_MAX);
}

static void bytes_have_suffixes_and_limits(void **state)
{
    static const char range[] = "is not a number of bytes (suffixes K, M, G, T) from 4K to 1T";
    static const char *const refused[] = {"4095",
                                          "1k",
                                          "2T",
                                          "K",
                                          "4KB",

                                          "4kk",
                                          "x",
                                          "99999999999999999999",
                                          "18014398509481988K",
                                          "17000000T"};
    char message[256], line[64];

    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        (void)snprintf(line, sizeof line, "--segment-bytes %s", refused[i]);
        (void)snprintf(message, sizeof message, "--segment-bytes: '%s' %s", refused[i], range);
        assert_refused(line, message);
        assert_int_equal(subject.bytes, 64 << 20);
    }
    parse("--segment-bytes 1T");
    assert_true(subject.bytes == UINT64_C(1) << 40);
    parse("--segment-bytes 3g");
    assert_true(subject.bytes == UINT64_C(3) << 30);
}

static void values_are_needed(void **state)
{
    (void)state;
    assert_refused("--data", "--data: needs a value: --data DIR");
    assert_refused("--data --id 4", "--data: needs a value: --data DIR");
    assert_refused("--data --id=4", "--data: needs a value: --data DIR");
    assert_refused("--data=", "--data: the value is empty");
    assert_refused("--no-cache=x", "--no-cache: 'x' is none of 1, 0, true, false, yes, no");
    assert_refused("--listen host", "--listen: address 'host' has no port; wanted HOST:PORT");
    assert_refused("--manager a:1,,b:2", "--manager: address '' is empty; wanted HOST:PORT");
    assert_refused("--server x", "--server: address 'x' has no port; wanted HOST:PORT");
}

static void unknown_options_get_a_suggestion(void **state)
{
    (void)state;
    assert_refused("--mangr x", "--mangr: unknown option; did you mean --manager?");
    assert_refused("--Data=x", "--Data: unknown option; did you mean --data?");
    assert_refused("--seg 1", "--seg: unknown option; did you mean --segment-bytes?");
    assert_refused("-id 1", "-id: unknown option; did you mean --id?");
    assert_refused("--nonsense", "--nonsense: unknown option; see subject --help");
    assert_refused("-x", "-x: unknown option; see subject --help");
    assert_refused("---", "---: unknown option; see subject --help");
    assert_refused("--=1", "--: unknown option; see subject --help");
}

/* A name of any length is cut in the message and compared with nothing. */
static void long_names_are_refused(void **state)
{
    char line[900];

    (void)state;
    memset(line, 'x', sizeof line - 1);
    memcpy(line, "--", 2);
    line[sizeof line - 1] = '\0';
    parse(line);
    assert_int_equal(subject.status, CAIRN_EINVAL);
    assert_non_null(strstr(subject.error.message, "xxx: unknown option; see subject --help"));
    assert_true(strlen(subject.error.message) < 120);
}

/* What options_parse writes to stdout for a command line. */
static const char *printed(const char *line)
{
    static char text[4096];
    FILE *file = tmpfile();
    const int saved = dup(STDOUT_FILENO);
    size_t length;

    assert_non_null(file);
    (void)fflush(stdout);
    assert_true(dup2(fileno(file), STDOUT_FILENO) >= 0);
    parse(line);
    (void)fflush(stdout);
    assert_true(dup2(saved, STDOUT_FILENO) >= 0);
    assert_int_equal(close(saved), 0);
    rewind(file);
    length = fread(text, 1, sizeof text - 1, file);
    text[length] = '\0';
    assert_int_equal(fclose(file), 0);
    return text;
}

static void help_lists_options_with_defaults(void **state)
{
    (void)state;
    assert_string_equal(
        printed("--id 4 --help --unknown"),
        "Usage: subject [OPTION]...\n"
        "Does what it does.\n"
        "\n"
        "Options:\n"
        "  --manager HOST:PORT[,...]  the manager\n"
        "  --listen HOST:PORT         where to serve\n"
        "  --id N                     which server\n"
        "  --timeout MS               time limit (default 10000)\n"
        "  --segment-bytes BYTES      size (default 64M)\n"
        "  --data DIR                 where data is\n"
        "  --no-cache                 read from servers only\n"
        "  --help                     print this and exit\n"
        "  --version                  print the version and exit\n"
        "\n"
        "Each option is also an environment variable: --some-option is CAIRN_SOME_OPTION.\n"
        "\n"
        "That is all.\n");
    assert_int_equal(subject.status, 0);
    assert_int_equal(subject.result, OPTIONS_EXIT);
    assert_int_equal(subject.id, 0);
}

static void version_is_printed(void **state)
{
    (void)state;
    assert_string_equal(printed("--version"), "subject " CAIRN_VERSION "\n");
    assert_int_equal(subject.result, OPTIONS_EXIT);
    assert_string_equal(printed("-- --version"), "");
    assert_int_equal(subject.result, OPTIONS_RUN);
    assert_int_equal(subject.positional, 1);
}

#define OPTIONS_TEST(test) cmocka_unit_test_setup(test, reset)

int main(void)
{
    const struct CMUnitTest tests[] = {
        OPTIONS_TEST(nothing_given_keeps_defaults),
        OPTIONS_TEST(both_forms_of_values),
        OPTIONS_TEST(positionals_move_to_the_front),
        OPTIONS_TEST(first_positional_can_end_the_options),
        OPTIONS_TEST(alias_stands_for_its_option),
        OPTIONS_TEST(environment_counts_below_the_command_line),
        OPTIONS_TEST(environment_errors_name_the_variable),
        OPTIONS_TEST(numbers_have_limits),
        OPTIONS_TEST(bytes_have_suffixes_and_limits),
        OPTIONS_TEST(values_are_needed),
        OPTIONS_TEST(unknown_options_get_a_suggestion),
        OPTIONS_TEST(long_names_are_refused),
        OPTIONS_TEST(help_lists_options_with_defaults),
        OPTIONS_TEST(version_is_printed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
