/* Gives numbers to texts: 1, 2, 3, ... in the order of their first appearance. */
#ifndef CAIRN_FUZZ_NAMES_H
#define CAIRN_FUZZ_NAMES_H

#include <stddef.h>
#include <stdint.h>

/* A zeroed one is empty. */
struct names {
    char **texts; /* of number n at n - 1; owned */
    size_t count, room;
    uint64_t *slots; /* numbers by hash; 0: free */
    size_t slot_count;
};

/* The text's number, or 0 without memory. */
uint64_t names_number(struct names *names, const char *text);
/* The text of a number given before; valid until names_free. */
const char *names_text(const struct names *names, uint64_t number);
void names_free(struct names *names);

#endif
