/* The values of options: text to target, with an error that names the option and its limits. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/address.h"
#include "base/check.h"
#include "base/options_internal.h"

static const char suffixes[] = "KMGT";

/* An option without a maximum has the type's. */
static uint64_t maximum_of(const struct option_spec *spec)
{
    return spec->maximum == 0 ? UINT64_MAX : spec->maximum;
}

static bool parse_flag(const char *text, bool *value)
{
    static const struct {
        const char *text;
        bool value;
    } words[] = {{"1", true},  {"true", true},   {"yes", true},
                 {"0", false}, {"false", false}, {"no", false}};

    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcasecmp(text, words[i].text) == 0) {
            *value = words[i].value;
            return true;
        }
    }
    return false;
}

/* Digits only: no sign, no space, no other base. Leaves `*end` at the first other byte. */
static bool parse_digits(const char *text, uint64_t *value, const char **end)
{
    const char *at = text;

    *value = 0;
    for (; *at >= '0' && *at <= '9'; at++) {
        const uint64_t digit = (uint64_t)(*at - '0');

        if (*value > (UINT64_MAX - digit) / 10)
            return false;
        *value = *value * 10 + digit;
    }
    *end = at;
    return at != text;
}

static bool parse_suffix(const char *text, uint64_t *value)
{
    const char *suffix;

    if (*text == '\0')
        return true;
    suffix = strchr(suffixes, *text >= 'a' && *text <= 'z' ? *text - 'a' + 'A' : *text);
    if (suffix == NULL || text[1] != '\0')
        return false;
    for (ptrdiff_t i = 0; i <= suffix - suffixes; i++) {
        if (*value > UINT64_MAX / 1024)
            return false;
        *value *= 1024;
    }
    return true;
}

void options_format_number(const struct option_spec *spec, uint64_t number, char *out, size_t size)
{
    int power = 0;

    if (spec->kind == OPTION_BYTES) {
        while (power < 4 && number != 0 && number % 1024 == 0) {
            number /= 1024;
            power++;
        }
    }
    (void)snprintf(out, size, "%" PRIu64 "%.*s", number, power > 0,
                   suffixes + (power - (power > 0)));
}

static int out_of_range(const struct option_spec *spec, const char *source, const char *text,
                        struct error *error)
{
    const char *noun =
        spec->kind == OPTION_BYTES ? "number of bytes (suffixes K, M, G, T)" : "number";
    char low[32], high[32];

    options_format_number(spec, spec->minimum, low, sizeof low);
    options_format_number(spec, maximum_of(spec), high, sizeof high);
    if (spec->maximum == 0)
        return error_set(error, CAIRN_EINVAL, "%s: '%.64s' is not a %s of at least %s", source,
                         text, noun, low);
    return error_set(error, CAIRN_EINVAL, "%s: '%.64s' is not a %s from %s to %s", source, text,
                     noun, low, high);
}

static int store_number(const struct option_spec *spec, const char *source, const char *text,
                        struct error *error)
{
    uint64_t value;
    const char *end;
    const bool valid = parse_digits(text, &value, &end) &&
                       (spec->kind == OPTION_BYTES ? parse_suffix(end, &value) : *end == '\0');

    if (!valid || value < spec->minimum || value > maximum_of(spec))
        return out_of_range(spec, source, text, error);
    *(uint64_t *)spec->target = value;
    return 0;
}

/* The target keeps its default if the text is not valid. */
static int store_address(const struct option_spec *spec, const char *source, const char *text,
                         struct error *error)
{
    struct error reason = {.code = 0};
    struct address address;
    const int status = address_parse(text, &address, &reason);

    if (status != 0)
        return error_set(error, status, "%s: %s", source, reason.message);
    *(struct address *)spec->target = address;
    return 0;
}

static int store_addresses(const struct option_spec *spec, const char *source, const char *text,
                           struct error *error)
{
    struct error reason = {.code = 0};
    const int status = address_list_parse(text, spec->target, &reason);

    return status == 0 ? 0 : error_set(error, status, "%s: %s", source, reason.message);
}

int options_store(const struct option_spec *spec, const char *source, const char *text,
                  struct error *error)
{
    switch (spec->kind) {
    case OPTION_FLAG:
        if (!parse_flag(text, spec->target))
            return error_set(error, CAIRN_EINVAL,
                             "%s: '%.64s' is none of 1, 0, true, false, yes, no", source, text);
        return 0;
    case OPTION_STRING:
        if (text[0] == '\0')
            return error_set(error, CAIRN_EINVAL, "%s: the value is empty", source);
        *(const char **)spec->target = text;
        return 0;
    case OPTION_NUMBER:
    case OPTION_BYTES:
        return store_number(spec, source, text, error);
    case OPTION_ADDRESS:
        return store_address(spec, source, text, error);
    case OPTION_ADDRESS_LIST:
        return store_addresses(spec, source, text, error);
    }
    check_failed(__FILE__, __LINE__, __func__, "the option's kind is known");
}

void options_variable(const struct option_spec *spec, char out[OPTIONS_NAME_MAX])
{
    size_t length = 0;

    for (const char *at = "CAIRN_"; *at != '\0'; at++)
        out[length++] = *at;
    for (const char *at = spec->name; *at != '\0'; at++)
        out[length++] = *at == '-'                   ? '_'
                        : (*at >= 'a' && *at <= 'z') ? (char)(*at - 'a' + 'A')
                                                     : *at;
    out[length] = '\0';
}
