/* Lists of words for a program's arguments and environment. */
#ifndef CAIRN_FUZZ_NODE_WORDS_H
#define CAIRN_FUZZ_NODE_WORDS_H

#include <stddef.h>

/* A zeroed one is empty. `items` ends with NULL once there is one. Words that find no memory abort:
 * they are few and short. */
struct words {
    char **items;
    size_t count, room;
};

void words_add(struct words *words, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* This process's environment without what are options of Cairn's programs (CAIRN_...) and without
 * the variables that the nemesis sets itself. */
void words_add_environment(struct words *words);
void words_free(struct words *words);

#endif
