/* Reads properties and their values. */
#include "bench/properties.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINE_SIZE = 1024, LIST_SIZE = 256 };

/* Without blanks at its ends; cuts `text`. */
static char *trim(char *text)
{
    while (isspace((unsigned char)*text))
        text++;
    size_t length = strlen(text);
    while (length > 0 && isspace((unsigned char)text[length - 1]))
        text[--length] = '\0';
    return text;
}

static struct property *find(struct properties *properties, const char *name)
{
    for (size_t i = 0; i < properties->count; i++)
        if (strcmp(properties->list[i].name, name) == 0)
            return &properties->list[i];
    return NULL;
}

int properties_set(struct properties *properties, const char *name, const char *value,
                   struct error *error)
{
    struct property *property = find(properties, name);
    if (strlen(name) >= PROPERTY_NAME_SIZE || strlen(value) >= PROPERTY_VALUE_SIZE)
        return error_set(error, CAIRN_EINVAL, "property %.40s: too long", name);
    if (property == NULL && properties->count == PROPERTIES_MAX)
        return error_set(error, CAIRN_EINVAL, "property %s: more than %d properties", name,
                         PROPERTIES_MAX);
    if (property == NULL)
        property = &properties->list[properties->count++];
    snprintf(property->name, sizeof(property->name), "%s", name);
    snprintf(property->value, sizeof(property->value), "%s", value);
    return 0;
}

int properties_parse(struct properties *properties, const char *text, struct error *error)
{
    char copy[LINE_SIZE];
    if (strlen(text) >= sizeof(copy))
        return error_set(error, CAIRN_EINVAL, "property %.40s: too long", text);
    snprintf(copy, sizeof(copy), "%s", text);
    size_t length = strcspn(copy, "=:");
    if (copy[length] == '\0')
        return error_set(error, CAIRN_EINVAL, "property %.40s: not NAME=VALUE", trim(copy));
    copy[length] = '\0';
    const char *name = trim(copy);
    if (name[0] == '\0')
        return error_set(error, CAIRN_EINVAL, "property %.40s: no name", text);
    return properties_set(properties, name, trim(copy + length + 1), error);
}

static int read_lines(struct properties *properties, const char *path, FILE *file,
                      struct error *error)
{
    char line[LINE_SIZE];
    struct error because;
    for (unsigned number = 1; fgets(line, sizeof(line), file) != NULL; number++) {
        if (strchr(line, '\n') == NULL && !feof(file))
            return error_set(error, CAIRN_EINVAL, "%s:%u: the line is too long", path, number);
        const char *text = trim(line);
        if (text[0] == '\0' || text[0] == '#' || text[0] == '!')
            continue;
        if (properties_parse(properties, text, &because) != 0)
            return error_set(error, CAIRN_EINVAL, "%s:%u: %s", path, number, because.message);
    }
    return ferror(file) ? error_set(error, CAIRN_EIO, "%s: %s", path, strerror(errno)) : 0;
}

int properties_read(struct properties *properties, const char *path, struct error *error)
{
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return error_set(error, CAIRN_EIO, "%s: %s", path, strerror(errno));
    int status = read_lines(properties, path, file, error);
    fclose(file);
    return status;
}

const char *properties_get(const struct properties *properties, const char *name)
{
    for (size_t i = 0; i < properties->count; i++)
        if (strcmp(properties->list[i].name, name) == 0)
            return properties->list[i].value;
    return NULL;
}

int properties_number(const struct properties *properties, const char *name, uint64_t least,
                      uint64_t most, uint64_t *out, struct error *error)
{
    const char *text = properties_get(properties, name);
    char *end;
    if (text == NULL)
        return 0;
    errno = 0;
    uint64_t number = strtoull(text, &end, 10);
    if (!isdigit((unsigned char)text[0]) || *end != '\0' || errno != 0 || number < least ||
        number > most)
        return error_set(error, CAIRN_EINVAL,
                         "property %s=%s: not a number from %" PRIu64 " to %" PRIu64, name, text,
                         least, most);
    *out = number;
    return 0;
}

int properties_share(const struct properties *properties, const char *name, double *out,
                     struct error *error)
{
    const char *text = properties_get(properties, name);
    char *end;
    if (text == NULL)
        return 0;
    double share = strtod(text, &end);
    if (end == text || *end != '\0' || !(share >= 0 && share <= 1))
        return error_set(error, CAIRN_EINVAL, "property %s=%s: not a part from 0 to 1", name, text);
    *out = share;
    return 0;
}

int properties_choice(const struct properties *properties, const char *name,
                      const char *const *names, size_t *out, struct error *error)
{
    const char *text = properties_get(properties, name);
    char list[LIST_SIZE] = "";
    if (text == NULL)
        return 0;
    for (size_t i = 0; names[i] != NULL; i++) {
        if (strcmp(names[i], text) == 0) {
            *out = i;
            return 0;
        }
        size_t length = strlen(list);
        snprintf(list + length, sizeof(list) - length, "%s%s", i > 0 ? ", " : "", names[i]);
    }
    return error_set(error, CAIRN_EINVAL, "property %s=%s: none of %s", name, text, list);
}
