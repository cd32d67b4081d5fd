/* See marks.h. */
#include "tests/crash/marks.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

enum { LINE_LIMIT = 256, FIELDS = 6 };

static struct mark_key *key_of(struct marks *marks, const char *name)
{
    for (size_t i = marks->count; i-- > 0;)
        if (strcmp(marks->keys[i].key, name) == 0)
            return &marks->keys[i];
    if (marks->count == marks->capacity) {
        marks->capacity = marks->capacity == 0 ? 64 : 2 * marks->capacity;
        marks->keys = realloc(marks->keys, marks->capacity * sizeof *marks->keys);
        CHECK(marks->keys != NULL);
    }
    struct mark_key *key = &marks->keys[marks->count++];
    *key = (struct mark_key){0};
    snprintf(key->key, sizeof key->key, "%s", name);
    return key;
}

static void add(struct mark_key *key, const struct mark *mark)
{
    if (key->count == key->capacity) {
        key->capacity = key->capacity == 0 ? 16 : 2 * key->capacity;
        key->marks = realloc(key->marks, key->capacity * sizeof *key->marks);
        CHECK(key->marks != NULL);
    }
    key->marks[key->count++] = *mark;
}

/* Splits at single spaces; false if there are more or fewer fields. */
static bool split(char *line, char *fields[FIELDS])
{
    size_t count = 0;
    line[strcspn(line, "\n")] = '\0';
    for (char *at = line; at != NULL;) {
        if (count == FIELDS)
            return false;
        fields[count++] = at;
        at = strchr(at, ' ');
        if (at != NULL)
            *at++ = '\0';
    }
    return count == FIELDS && strlen(fields[1]) < MARK_KEY_LIMIT &&
           strlen(fields[2]) < MARK_TAG_LIMIT && strlen(fields[2]) > 0;
}

int marks_open(struct marks *marks, const char *path, struct error *error)
{
    char line[LINE_LIMIT];
    char *fields[FIELDS];
    size_t number = 0;
    *marks = (struct marks){0};
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return error_set(error, CAIRN_ENOTFOUND, "%s: cannot be opened", path);
    while (fgets(line, sizeof line, file) != NULL) {
        number++;
        if (!split(line, fields)) {
            fclose(file);
            marks_free(marks);
            return error_set(error, CAIRN_EINVAL, "%s: line %zu is no mark", path, number);
        }
        struct mark mark = {
            .present = fields[0][0] == 'P',
            .length = (uint32_t)strtoul(fields[3], NULL, 10),
            .submitted = strtoull(fields[4], NULL, 10),
            .acknowledged = strtoull(fields[5], NULL, 10),
        };
        snprintf(mark.tag, sizeof mark.tag, "%s", fields[2]);
        add(key_of(marks, fields[1]), &mark);
    }
    fclose(file);
    return CAIRN_OK;
}

void marks_free(struct marks *marks)
{
    for (size_t i = 0; i < marks->count; i++)
        free(marks->keys[i].marks);
    free(marks->keys);
    *marks = (struct marks){0};
}

static bool was_acknowledged(const struct mark *mark, uint64_t number)
{
    return mark->acknowledged != 0 && mark->acknowledged <= number;
}

size_t marks_acknowledged(const struct marks *marks)
{
    size_t count = 0;
    for (size_t i = 0; i < marks->count; i++)
        for (size_t j = 0; j < marks->keys[i].count; j++)
            count += marks->keys[i].marks[j].acknowledged != 0 ? 1 : 0;
    return count;
}

static bool matches(const struct mark *mark, const uint8_t *value, uint32_t length)
{
    size_t tag = strlen(mark->tag);
    if (!mark->present || value == NULL)
        return !mark->present && value == NULL;
    if (length != mark->length)
        return false;
    for (uint32_t at = 0; at < length; at += (uint32_t)tag) {
        size_t part = length - at < tag ? length - at : tag;
        if (memcmp(value + at, mark->tag, part) != 0)
            return false;
    }
    return true;
}

/* The last acknowledged operation; the count if there is none. */
static size_t last_acknowledged(const struct mark_key *key, uint64_t number)
{
    size_t last = key->count;
    for (size_t i = 0; i < key->count && key->marks[i].submitted <= number; i++)
        if (was_acknowledged(&key->marks[i], number))
            last = i;
    return last;
}

bool marks_allow(const struct mark_key *key, uint64_t number, const uint8_t *value, uint32_t length)
{
    size_t last = last_acknowledged(key, number);
    if (last == key->count && value == NULL)
        return true;
    for (size_t i = last == key->count ? 0 : last;
         i < key->count && key->marks[i].submitted <= number; i++)
        if (matches(&key->marks[i], value, length))
            return true;
    return false;
}

void marks_describe(const struct mark_key *key, uint64_t number, char *text, size_t limit)
{
    size_t last = last_acknowledged(key, number);
    if (last == key->count) {
        snprintf(text, limit, "nothing acknowledged");
        return;
    }
    const struct mark *mark = &key->marks[last];
    snprintf(text, limit, "%s of %u bytes, acknowledged at event %" PRIu64,
             mark->present ? mark->tag : "no value", mark->length, mark->acknowledged);
}

const struct mark_key *marks_find(const struct marks *marks, const uint8_t *key, uint32_t length)
{
    for (size_t i = 0; i < marks->count; i++)
        if (strlen(marks->keys[i].key) == length && memcmp(marks->keys[i].key, key, length) == 0)
            return &marks->keys[i];
    return NULL;
}
