/* Command lines: arguments and environment are first matched to options, then checked and stored,
 * so that --help still sees every default. Values are in options_value.c, --help in options_help.c.
 */
#include "base/options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/options_internal.h"

struct parser {
    const struct options_usage *usage;
    const struct option_spec *specs;
    size_t count;
    const char *text[OPTIONS_MAX]; /* by first spec of the target: the value given last, or NULL */
    const struct option_spec *by[OPTIONS_MAX]; /* the spec it was given through */
};

static const char flag_is_set[] = "yes";

/* Aliases share their target with the option they stand for. */
static size_t first_of_target(const struct parser *parser, const struct option_spec *spec)
{
    size_t i = 0;

    while (parser->specs[i].target != spec->target)
        i++;
    return i;
}

static const struct option_spec *find(const struct parser *parser, const char *name, size_t length)
{
    for (size_t i = 0; i < parser->count; i++)
        if (strlen(parser->specs[i].name) == length &&
            memcmp(parser->specs[i].name, name, length) == 0)
            return &parser->specs[i];
    return NULL;
}

static const struct option_spec *find_argument(const struct parser *parser, const char *argument)
{
    if (argument == NULL || strncmp(argument, "--", 2) != 0)
        return NULL;
    return find(parser, argument + 2, strcspn(argument + 2, "="));
}

static int unknown(const struct parser *parser, const char *argument, struct error *error)
{
    const size_t length = strcspn(argument, "=");
    const char *near =
        options_nearest(parser->specs, parser->count, argument + strspn(argument, "-"));

    if (near == NULL)
        return error_set(error, CAIRN_EINVAL, "%.*s: unknown option; see %s --help",
                         length > 64 ? 64 : (int)length, argument, parser->usage->program);
    return error_set(error, CAIRN_EINVAL, "%.*s: unknown option; did you mean --%s?",
                     length > 64 ? 64 : (int)length, argument, near);
}

/* Notes the option at argv[*at] and steps over its value. */
static int take_option(struct parser *parser, int argc, char **argv, int *at, struct error *error)
{
    const char *argument = argv[*at];
    const char *equals = strchr(argument, '=');
    const struct option_spec *spec = find_argument(parser, argument);
    const char *text;

    if (spec == NULL)
        return unknown(parser, argument, error);
    if (spec->kind == OPTION_FLAG) {
        text = equals != NULL ? equals + 1 : flag_is_set;
    } else if (equals != NULL) {
        text = equals + 1;
    } else {
        /* `--data --id 1` forgets a value far more often than it names a file "--id". */
        if (*at + 1 >= argc || find_argument(parser, argv[*at + 1]) != NULL)
            return error_set(error, CAIRN_EINVAL, "--%s: needs a value: --%s %s", spec->name,
                             spec->name, spec->value == NULL ? "VALUE" : spec->value);
        text = argv[++*at];
    }
    parser->text[first_of_target(parser, spec)] = text;
    parser->by[first_of_target(parser, spec)] = spec;
    return 0;
}

/* Prints what --help or --version asks for; false if the argument is neither. */
static bool print_built_in(const struct parser *parser, const char *argument)
{
    if (strcmp(argument, "--help") == 0 || strcmp(argument, "-h") == 0) {
        options_print_help(parser->usage, parser->specs, parser->count);
        return true;
    }
    if (strcmp(argument, "--version") == 0) {
        printf("%s %s\n", parser->usage->program, CAIRN_VERSION);
        return true;
    }
    return false;
}

static int scan_arguments(struct parser *parser, int argc, char **argv, bool stop_at_positional,
                          int *positional, enum options_result *result, struct error *error)
{
    int kept = 0;
    bool options_ended = false;

    for (int i = 1; i < argc; i++) {
        char *const argument = argv[i];
        int status;

        if (options_ended || argument[0] != '-' || argument[1] == '\0') {
            options_ended |= stop_at_positional;
            argv[1 + kept++] = argument;
            continue;
        }
        if (strcmp(argument, "--") == 0) {
            options_ended = true;
            continue;
        }
        if (print_built_in(parser, argument)) {
            *result = OPTIONS_EXIT;
            return 0;
        }
        status = take_option(parser, argc, argv, &i, error);
        if (status != 0)
            return status;
    }
    *positional = kept;
    return 0;
}

static int store(const struct parser *parser, size_t index, const char *source, const char *text,
                 struct error *error)
{
    const struct option_spec *spec = &parser->specs[index];
    const int status = options_store(spec, source, text, error);

    if (status != 0)
        return status;
    for (size_t i = 0; i < parser->count; i++)
        if (parser->specs[i].target == spec->target && parser->specs[i].given != NULL)
            *parser->specs[i].given = true;
    return 0;
}

static int store_all(const struct parser *parser, struct error *error)
{
    for (size_t i = 0; i < parser->count; i++) {
        char source[OPTIONS_NAME_MAX];
        const char *text = parser->text[i];
        int status;

        if (first_of_target(parser, &parser->specs[i]) != i)
            continue;
        if (text != NULL) {
            (void)snprintf(source, sizeof source, "--%s", parser->by[i]->name);
        } else {
            options_variable(&parser->specs[i], source);
            text = getenv(source);
            if (text == NULL || text[0] == '\0')
                continue;
        }
        status = store(parser, i, source, text, error);
        if (status != 0)
            return status;
    }
    return 0;
}

int options_parse(const struct options_usage *usage, const struct option_spec *specs, size_t count,
                  int argc, char **argv, bool stop_at_positional, int *positional,
                  enum options_result *result, struct error *error)
{
    struct parser parser = {.usage = usage, .specs = specs, .count = count};
    int status;

    CHECK(count <= OPTIONS_MAX);
    for (size_t i = 0; i < count; i++)
        CHECK(strlen(specs[i].name) + sizeof "CAIRN_" <= OPTIONS_NAME_MAX);
    *positional = 0;
    *result = OPTIONS_RUN;
    status = scan_arguments(&parser, argc, argv, stop_at_positional, positional, result, error);
    if (status != 0 || *result == OPTIONS_EXIT)
        return status;
    return store_all(&parser, error);
}
