/* The set of configurations that a search has been to: exact byte strings in a hash table. */
#ifndef CAIRN_FUZZ_VISITED_H
#define CAIRN_FUZZ_VISITED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct visited {
    struct visited_slot *slots;
    size_t slot_count; /* a power of two, or 0 */
    size_t count;
    uint8_t *arena; /* the strings, each behind its length */
    size_t arena_used, arena_size;
    size_t limit_bytes;
};

void visited_init(struct visited *visited, size_t limit_bytes);
void visited_free(struct visited *visited);
/* Adds a string; `*is_new` tells whether it was not there. 0, or CAIRN_ENOMEM past the limit. */
int visited_add(struct visited *visited, const void *bytes, uint32_t length, bool *is_new);

#endif
