/* See options.h. */
#include "base/options.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/address.h"
#include "base/check.h"

enum { VARIABLE_MAX = 80, HELP_COLUMN = 34 };

#ifndef CAIRN_VERSION
#define CAIRN_VERSION "unknown"
#endif

/* --- values
 * --------------------------------------------------------------------------------------- */

static int bad_value(const struct option_spec *spec, const char *text, const char *why,
                     struct error *error)
{
    return error_set(error, CAIRN_EINVAL, "--%s %.100s: %s", spec->name, text, why);
}

static int set_flag(const struct option_spec *spec, const char *text, struct error *error)
{
    static const char *const yes[] = {"1", "true", "yes"}, *const no[] = {"0", "false", "no"};

    for (size_t i = 0; i < 3; i++) {
        if (strcmp(text, yes[i]) == 0 || strcmp(text, no[i]) == 0) {
            *(bool *)spec->target = strcmp(text, yes[i]) == 0;
            return CAIRN_OK;
        }
    }
    return bad_value(spec, text, "not 1, true, yes, 0, false or no", error);
}

/* Reads digits; false unless there is at least one and the number fits. */
static bool read_digits(const char **text, uint64_t *value)
{
    const char *at = *text;

    *value = 0;
    if (!isdigit((unsigned char)*at))
        return false;
    for (; isdigit((unsigned char)*at); at++) {
        uint64_t digit = (uint64_t)(*at - '0');

        if (*value > (UINT64_MAX - digit) / 10)
            return false;
        *value = *value * 10 + digit;
    }
    *text = at;
    return true;
}

static bool apply_suffix(const char **text, uint64_t *value)
{
    static const char suffixes[] = "KMGT";
    const char *found = **text != '\0' ? strchr(suffixes, toupper((unsigned char)**text)) : NULL;
    unsigned shift;

    if (found == NULL)
        return true;
    shift = 10 * (unsigned)(found - suffixes + 1);
    if (*value > UINT64_MAX >> shift)
        return false;
    *value <<= shift;
    (*text)++;
    return true;
}

static int set_number(const struct option_spec *spec, const char *text, struct error *error)
{
    const char *at = text;
    uint64_t value;

    if (!read_digits(&at, &value) || (spec->kind == OPTION_BYTES && !apply_suffix(&at, &value)) ||
        *at != '\0')
        return bad_value(spec, text,
                         spec->kind == OPTION_BYTES ? "not a number of bytes such as 64M"
                                                    : "not a number",
                         error);
    if (value < spec->minimum || value > spec->maximum)
        return error_set(error, CAIRN_EINVAL, "--%s %.100s: not from %llu to %llu", spec->name,
                         text, (unsigned long long)spec->minimum,
                         (unsigned long long)spec->maximum);
    *(uint64_t *)spec->target = value;
    return CAIRN_OK;
}

static int set_value(const struct option_spec *spec, const char *text, struct error *error)
{
    struct error inner = {0};
    int status = CAIRN_OK;

    switch (spec->kind) {
    case OPTION_FLAG:
        status = set_flag(spec, text, error);
        break;
    case OPTION_STRING:
        *(const char **)spec->target = text;
        break;
    case OPTION_NUMBER:
    case OPTION_BYTES:
        status = set_number(spec, text, error);
        break;
    case OPTION_ADDRESS:
        status = address_parse(text, spec->target, &inner);
        break;
    case OPTION_ADDRESS_LIST:
        status = address_list_parse(text, spec->target, &inner);
        break;
    }
    if (status != CAIRN_OK && inner.code != CAIRN_OK)
        return error_set(error, CAIRN_EINVAL, "--%s: %.400s", spec->name, inner.message);
    if (status == CAIRN_OK && spec->given != NULL)
        *spec->given = true;
    return status;
}

/* --- the environment
 * ------------------------------------------------------------------------------- */

static void variable_name(const char *option, char out[VARIABLE_MAX])
{
    size_t length = (size_t)snprintf(out, VARIABLE_MAX, "CAIRN_%s", option);

    CHECK(length < VARIABLE_MAX);
    for (size_t i = 0; i < length; i++)
        out[i] = (char)(out[i] == '-' ? '_' : toupper((unsigned char)out[i]));
}

static int read_environment(const struct option_spec *specs, size_t count, struct error *error)
{
    for (size_t i = 0; i < count; i++) {
        char name[VARIABLE_MAX];
        const char *value;
        struct error inner = {0};

        if (specs[i].is_alias)
            continue;
        variable_name(specs[i].name, name);
        value = getenv(name);
        if (value != NULL && set_value(&specs[i], value, &inner) != CAIRN_OK)
            return error_set(error, CAIRN_EINVAL, "%s in the environment: %.400s", name,
                             inner.message);
    }
    return CAIRN_OK;
}

/* --- help
 * ---------------------------------------------------------------------------------------------- */

static void print_option(const char *name, const char *value, const char *help)
{
    char left[128];
    int length = snprintf(left, sizeof left, "  --%s%s%s", name, value != NULL ? " " : "",
                          value != NULL ? value : "");

    if (length >= HELP_COLUMN)
        printf("%s\n%*s%s\n", left, HELP_COLUMN, "", help);
    else
        printf("%-*s%s\n", HELP_COLUMN, left, help);
}

static void print_help(const struct options_usage *usage, const struct option_spec *specs,
                       size_t count)
{
    printf("Usage: %s [OPTION]...\n%s\n\nOptions:\n", usage->program, usage->summary);
    for (size_t i = 0; i < count; i++)
        if (!specs[i].is_alias)
            print_option(specs[i].name, specs[i].value, specs[i].help);
    print_option("help", NULL, "print this and exit");
    print_option("version", NULL, "print the version and exit");
    printf("\nEach option can be given as an environment variable, too: CAIRN_<OPTION> in upper\n"
           "case, with _ for -. The command line wins.\n");
    if (usage->epilog != NULL)
        printf("\n%s", usage->epilog);
}

/* --- the command line
 * -------------------------------------------------------------------------------------- */

static const struct option_spec *find(const struct option_spec *specs, size_t count,
                                      const char *name, size_t length)
{
    for (size_t i = 0; i < count; i++)
        if (strlen(specs[i].name) == length && memcmp(specs[i].name, name, length) == 0)
            return &specs[i];
    return NULL;
}

/* One option at argv[*at]; `*at` ends on its last word. */
static int parse_option(const struct option_spec *specs, size_t count, int argc, char **argv,
                        int *at, struct error *error)
{
    const char *name = argv[*at] + 2;
    const char *equals = strchr(name, '=');
    size_t length = equals != NULL ? (size_t)(equals - name) : strlen(name);
    const struct option_spec *spec = find(specs, count, name, length);

    if (spec == NULL)
        return error_set(error, CAIRN_EINVAL, "unknown option --%.*s; see --help",
                         (int)(length < 100 ? length : 100), name);
    if (equals != NULL)
        return set_value(spec, equals + 1, error);
    if (spec->kind == OPTION_FLAG)
        return set_value(spec, "1", error);
    if (*at + 1 == argc)
        return error_set(error, CAIRN_EINVAL, "--%s: a value is missing (%s)", spec->name,
                         spec->value != NULL ? spec->value : "VALUE");
    return set_value(spec, argv[++*at], error);
}

static bool is_builtin(const struct options_usage *usage, const struct option_spec *specs,
                       size_t count, const char *word)
{
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
        print_help(usage, specs, count);
        return true;
    }
    if (strcmp(word, "--version") == 0) {
        printf("%s %s\n", usage->program, CAIRN_VERSION);
        return true;
    }
    return false;
}

/* Everything from argv[at] on is positional. */
static void take_rest(int argc, char **argv, int at, int *positional)
{
    for (; at < argc; at++)
        argv[1 + (*positional)++] = argv[at];
}

int options_parse(const struct options_usage *usage, const struct option_spec *specs, size_t count,
                  int argc, char **argv, bool stop_at_positional, int *positional,
                  enum options_result *result, struct error *error)
{
    int status = read_environment(specs, count, error);

    *positional = 0;
    *result = OPTIONS_RUN;
    for (int at = 1; at < argc && status == CAIRN_OK; at++) {
        char *word = argv[at];
        bool is_option = word[0] == '-' && word[1] != '\0';

        if (is_option && is_builtin(usage, specs, count, word)) {
            *result = OPTIONS_EXIT;
            return CAIRN_OK;
        }
        if (strcmp(word, "--") == 0 || (!is_option && stop_at_positional)) {
            take_rest(argc, argv, is_option ? at + 1 : at, positional);
            break;
        }
        if (!is_option)
            argv[1 + (*positional)++] = word;
        else if (word[1] != '-')
            status = error_set(error, CAIRN_EINVAL, "unknown option %.100s; see --help", word);
        else
            status = parse_option(specs, count, argc, argv, &at, error);
    }
    return status;
}
