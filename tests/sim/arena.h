/* Memory that lives as long as one simulated run. */
#ifndef CAIRN_TESTS_SIM_ARENA_H
#define CAIRN_TESTS_SIM_ARENA_H

#include <stddef.h>

struct arena_block;

struct arena {
    struct arena_block *first, *current;
    size_t used; /* of the current block */
};

/* Zeroed memory, aligned for any object; ends the process when there is none. */
void *arena_alloc(struct arena *arena, size_t size);
/* A copy of `count` elements with room for twice as many (at least 16): how arrays grow. */
void *arena_grow(struct arena *arena, const void *array, size_t size, size_t count,
                 size_t *capacity);
/* Everything is given back; the blocks are kept for the next run. */
void arena_reset(struct arena *arena);
void arena_free(struct arena *arena);

#endif
