/* What a person reads: --help, and the option that was probably meant. */
#include <stdio.h>
#include <string.h>

#include "base/address.h"
#include "base/check.h"
#include "base/options_internal.h"

enum { COLUMN_LIMIT = 34, DISTANCE_LIMIT = 2 };

/* A help line that says its default itself is left alone. */
static bool says_default(const char *help)
{
    const size_t length = strlen(help);

    return strstr(help, "default") != NULL || (length > 0 && help[length - 1] == ')');
}

static void print_default(const struct option_spec *spec)
{
    char text[32];

    if (says_default(spec->help))
        return;
    switch (spec->kind) {
    case OPTION_NUMBER:
    case OPTION_BYTES: {
        const uint64_t number = *(const uint64_t *)spec->target;

        /* Zero below the minimum means: no default, or one that the program works out. */
        if (number < spec->minimum || (number == 0 && spec->minimum == 0))
            return;
        options_format_number(spec, number, text, sizeof text);
        printf(" (default %s)", text);
        return;
    }
    case OPTION_STRING: {
        const char *value = *(const char *const *)spec->target;

        if (value != NULL && value[0] != '\0')
            printf(" (default %s)", value);
        return;
    }
    case OPTION_ADDRESS: {
        const struct address *address = spec->target;
        char formatted[ADDRESS_TEXT_MAX];

        if (address->port != 0)
            printf(" (default %s)", address_format(address, formatted));
        return;
    }
    case OPTION_FLAG:
    case OPTION_ADDRESS_LIST:
        return;
    }
}

/* The left column; returns its width. */
static int print_name(const char *name, const char *value)
{
    return printf("  --%s%s%s", name, value == NULL ? "" : " ", value == NULL ? "" : value);
}

static int name_width(const char *name, const char *value)
{
    return (int)(4 + strlen(name) + (value == NULL ? 0 : 1 + strlen(value)));
}

static void pad_to(int column, int width)
{
    if (width + 2 > column)
        printf("\n%*s", column, "");
    else
        printf("%*s", column - width, "");
}

/* A text of whole lines, whether or not its last one says so. */
static void print_text(const char *text)
{
    const size_t length = strlen(text);

    printf("%s%s", text, length > 0 && text[length - 1] == '\n' ? "" : "\n");
}

void options_print_help(const struct options_usage *usage, const struct option_spec *specs,
                        size_t count)
{
    int column = name_width("version", NULL) + 2;

    for (size_t i = 0; i < count; i++) {
        const int width = name_width(specs[i].name, specs[i].value) + 2;

        if (!specs[i].is_alias && width > column)
            column = width > COLUMN_LIMIT ? COLUMN_LIMIT : width;
    }
    if (strncmp(usage->summary, "Usage:", 6) != 0)
        printf("Usage: %s [OPTION]...\n", usage->program);
    print_text(usage->summary);
    printf("\nOptions:\n");
    for (size_t i = 0; i < count; i++) {
        if (specs[i].is_alias)
            continue;
        pad_to(column, print_name(specs[i].name, specs[i].value));
        printf("%s", specs[i].help);
        print_default(&specs[i]);
        printf("\n");
    }
    pad_to(column, print_name("help", NULL));
    printf("print this and exit\n");
    pad_to(column, print_name("version", NULL));
    printf("print the version and exit\n");
    printf("\nEach option is also an environment variable: --some-option is CAIRN_SOME_OPTION.\n");
    if (usage->epilog != NULL) {
        printf("\n");
        print_text(usage->epilog);
    }
}

/* Levenshtein's distance by one row of his table; both texts are shorter than OPTIONS_NAME_MAX. */
static size_t distance(const char *left, size_t left_length, const char *right, size_t right_length)
{
    size_t row[OPTIONS_NAME_MAX + 1];

    for (size_t j = 0; j <= right_length; j++)
        row[j] = j;
    for (size_t i = 1; i <= left_length; i++) {
        size_t diagonal = row[0];

        row[0] = i;
        for (size_t j = 1; j <= right_length; j++) {
            const size_t above = row[j];
            size_t best = diagonal + (left[i - 1] != right[j - 1]);

            if (above + 1 < best)
                best = above + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            diagonal = above;
            row[j] = best;
        }
    }
    return row[right_length];
}

const char *options_nearest(const struct option_spec *specs, size_t count, const char *name)
{
    const size_t length = strcspn(name, "=");
    const char *best = NULL;
    size_t best_distance = DISTANCE_LIMIT + 1;

    if (length < 2 || length >= OPTIONS_NAME_MAX)
        return NULL;
    for (size_t i = 0; i < count; i++) {
        const size_t other = strlen(specs[i].name);
        size_t apart = distance(name, length, specs[i].name, other);

        if (specs[i].is_alias)
            continue;
        /* The beginning of a name counts as nearly right. */
        if (length >= 3 && other > length && memcmp(name, specs[i].name, length) == 0)
            apart = DISTANCE_LIMIT;
        if (apart < best_distance && apart < length) {
            best = specs[i].name;
            best_distance = apart;
        }
    }
    return best;
}
