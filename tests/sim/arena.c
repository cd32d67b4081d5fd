/* See arena.h. */
#include "tests/sim/arena.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

enum { BLOCK_BYTES = 1 << 20, ALIGNMENT = 16 };

struct arena_block {
    struct arena_block *next;
    size_t size;
    _Alignas(ALIGNMENT) unsigned char bytes[];
};

static struct arena_block *next_block(struct arena *arena, size_t size)
{
    struct arena_block **link = arena->current == NULL ? &arena->first : &arena->current->next;
    size_t wanted = size > BLOCK_BYTES ? size : BLOCK_BYTES;

    if (*link == NULL || (*link)->size < size) {
        struct arena_block *block = malloc(sizeof *block + wanted);

        CHECK(block != NULL);
        block->size = wanted;
        block->next = *link;
        *link = block;
    }
    arena->used = 0;
    return *link;
}

void *arena_alloc(struct arena *arena, size_t size)
{
    void *result;

    size = (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    if (arena->current == NULL || arena->used + size > arena->current->size)
        arena->current = next_block(arena, size);
    result = arena->current->bytes + arena->used;
    arena->used += size;
    return memset(result, 0, size);
}

void *arena_grow(struct arena *arena, const void *array, size_t size, size_t count,
                 size_t *capacity)
{
    size_t wanted = count < 8 ? 16 : 2 * count;
    void *result = arena_alloc(arena, size * wanted);

    if (count > 0)
        memcpy(result, array, size * count);
    *capacity = wanted;
    return result;
}

void arena_reset(struct arena *arena)
{
    arena->current = NULL;
    arena->used = 0;
}

void arena_free(struct arena *arena)
{
    while (arena->first != NULL) {
        struct arena_block *next = arena->first->next;

        free(arena->first);
        arena->first = next;
    }
    arena_reset(arena);
}
