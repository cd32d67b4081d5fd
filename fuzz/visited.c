/* An exact set of byte strings: open addressing over an arena, with a limit on memory. */
#include "fuzz/visited.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/hash.h"

enum { SLOTS_FIRST = 1024, ARENA_FIRST = 1 << 16 };

struct visited_slot {
    uint64_t hash;
    uint64_t place; /* in the arena, plus 1; 0: free */
};

void visited_init(struct visited *visited, size_t limit_bytes)
{
    memset(visited, 0, sizeof(*visited));
    visited->limit_bytes = limit_bytes;
}

void visited_free(struct visited *visited)
{
    free(visited->slots);
    free(visited->arena);
    visited_init(visited, visited->limit_bytes);
}

static bool within_limit(const struct visited *visited, size_t slot_count, size_t arena_size)
{
    return slot_count * sizeof(struct visited_slot) + arena_size <= visited->limit_bytes;
}

static int grow_slots(struct visited *visited)
{
    size_t count = visited->slot_count == 0 ? SLOTS_FIRST : visited->slot_count * 2;
    struct visited_slot *slots =
        within_limit(visited, count, visited->arena_size) ? calloc(count, sizeof(*slots)) : NULL;
    if (slots == NULL)
        return CAIRN_ENOMEM;
    for (size_t i = 0; i < visited->slot_count; i++) {
        if (visited->slots[i].place == 0)
            continue;
        size_t at = visited->slots[i].hash & (count - 1);
        while (slots[at].place != 0)
            at = (at + 1) & (count - 1);
        slots[at] = visited->slots[i];
    }
    free(visited->slots);
    visited->slots = slots;
    visited->slot_count = count;
    return 0;
}

static int reserve_arena(struct visited *visited, size_t more)
{
    size_t size = visited->arena_size == 0 ? ARENA_FIRST : visited->arena_size;
    while (size - visited->arena_used < more)
        size *= 2;
    if (size == visited->arena_size)
        return 0;
    uint8_t *arena =
        within_limit(visited, visited->slot_count, size) ? realloc(visited->arena, size) : NULL;
    if (arena == NULL)
        return CAIRN_ENOMEM;
    visited->arena = arena;
    visited->arena_size = size;
    return 0;
}

static bool holds(const struct visited *visited, const struct visited_slot *slot, uint64_t hash,
                  const void *bytes, uint32_t length)
{
    const uint8_t *stored = visited->arena + slot->place - 1;
    return slot->hash == hash && memcmp(stored, &length, sizeof(length)) == 0 &&
           memcmp(stored + sizeof(length), bytes, length) == 0;
}

int visited_add(struct visited *visited, const void *bytes, uint32_t length, bool *is_new)
{
    *is_new = false;
    if ((visited->count + 1) * 2 > visited->slot_count && grow_slots(visited) != 0)
        return CAIRN_ENOMEM;
    uint64_t hash = hash_bytes(bytes, length);
    size_t at = hash & (visited->slot_count - 1);
    for (; visited->slots[at].place != 0; at = (at + 1) & (visited->slot_count - 1))
        if (holds(visited, &visited->slots[at], hash, bytes, length))
            return 0;
    if (reserve_arena(visited, sizeof(length) + length) != 0)
        return CAIRN_ENOMEM;
    visited->slots[at] = (struct visited_slot){hash, visited->arena_used + 1};
    memcpy(visited->arena + visited->arena_used, &length, sizeof(length));
    memcpy(visited->arena + visited->arena_used + sizeof(length), bytes, length);
    visited->arena_used += sizeof(length) + length;
    visited->count++;
    *is_new = true;
    return 0;
}
