/* See node_words.h. */
#include "fuzz/node_words.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"

void words_add(struct words *words, const char *format, ...)
{
    va_list arguments;
    char *word = NULL;

    va_start(arguments, format);
    CHECK(vasprintf(&word, format, arguments) >= 0);
    va_end(arguments);
    if (words->count + 2 > words->room) {
        words->room = words->room == 0 ? 16 : words->room * 2;
        words->items = realloc(words->items, words->room * sizeof *words->items);
        CHECK(words->items != NULL);
    }
    words->items[words->count++] = word;
    words->items[words->count] = NULL;
}

void words_add_environment(struct words *words)
{
    for (char **item = environ; *item != NULL; item++)
        if (strncmp(*item, "CAIRN_", 6) != 0 && strncmp(*item, "NEMESIS_", 8) != 0 &&
            strncmp(*item, "LD_PRELOAD=", 11) != 0)
            words_add(words, "%s", *item);
}

void words_free(struct words *words)
{
    for (size_t i = 0; i < words->count; i++)
        free(words->items[i]);
    free(words->items);
    *words = (struct words){0};
}
