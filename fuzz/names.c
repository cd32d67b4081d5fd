/* Numbers for texts: an array of copies, and a hash table of numbers over it. */
#include "fuzz/names.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/hash.h"

enum { ROOM_FIRST = 64 };

/* The slot that holds the text's number, or the free one where it belongs. */
static uint64_t *find_slot(const struct names *names, const char *text)
{
    size_t at = hash_bytes(text, strlen(text)) & (names->slot_count - 1);
    while (names->slots[at] != 0 && strcmp(names->texts[names->slots[at] - 1], text) != 0)
        at = (at + 1) & (names->slot_count - 1);
    return &names->slots[at];
}

static int grow(struct names *names)
{
    size_t room = names->room == 0 ? ROOM_FIRST : names->room * 2;
    char **texts = realloc(names->texts, room * sizeof(*texts));
    if (texts == NULL)
        return -1;
    names->texts = texts;
    uint64_t *slots = calloc(room * 2, sizeof(*slots));
    if (slots == NULL)
        return -1;
    free(names->slots);
    names->slots = slots;
    names->slot_count = room * 2;
    names->room = room;
    for (size_t i = 0; i < names->count; i++)
        *find_slot(names, names->texts[i]) = i + 1;
    return 0;
}

uint64_t names_number(struct names *names, const char *text)
{
    if (names->count == names->room && grow(names) != 0)
        return 0;
    uint64_t *slot = find_slot(names, text);
    if (*slot != 0)
        return *slot;
    char *copy = strdup(text);
    if (copy == NULL)
        return 0;
    names->texts[names->count++] = copy;
    *slot = names->count;
    return *slot;
}

const char *names_text(const struct names *names, uint64_t number)
{
    CHECK(number > 0 && number <= names->count);
    return names->texts[number - 1];
}

void names_free(struct names *names)
{
    for (size_t i = 0; i < names->count; i++)
        free(names->texts[i]);
    free(names->texts);
    free(names->slots);
    memset(names, 0, sizeof(*names));
}
