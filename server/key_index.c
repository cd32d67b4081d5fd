/* See key_index.h. */
#include "server/key_index.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/random.h"

enum { CAPACITY_FIRST = 16 };

void key_index_init(struct key_index *index)
{
    *index = (struct key_index){0};
}

void key_index_free(struct key_index *index)
{
    free(index->slots);
    key_index_init(index);
}

static bool has_key(const struct item *item, const uint8_t *key, uint32_t key_length)
{
    return item->key_length == key_length && memcmp(item->bytes, key, key_length) == 0;
}

struct item **key_index_find(const struct key_index *index, const uint8_t *key, uint32_t key_length)
{
    uint64_t hash = hash_seeded(key, key_length, index->seed);
    uint64_t mask = index->capacity - 1;
    for (uint64_t i = hash & mask; index->slots[i].item != NULL; i = (i + 1) & mask) {
        struct key_slot *slot = &index->slots[i];
        if (slot->hash == hash && has_key(slot->item, key, key_length))
            return &slot->item;
    }
    return NULL;
}

static void place(struct key_index *index, const struct key_slot *taken)
{
    uint64_t mask = index->capacity - 1, i = taken->hash & mask;
    while (index->slots[i].item != NULL)
        i = (i + 1) & mask;
    index->slots[i] = *taken;
}

/* Doubles the slots. The hashes lie in them: no item is touched. */
static bool grow(struct key_index *index)
{
    struct key_index larger = *index;
    larger.capacity = index->capacity == 0 ? CAPACITY_FIRST : index->capacity * 2;
    larger.slots = calloc(larger.capacity, sizeof(struct key_slot));
    if (larger.slots == NULL)
        return false;
    for (uint64_t i = 0; i < index->capacity; i++) {
        if (index->slots[i].item != NULL)
            place(&larger, &index->slots[i]);
    }
    free(index->slots);
    *index = larger;
    return true;
}

void key_index_add(struct key_index *index, struct item *item)
{
    if (index->given_up)
        return;
    if (index->capacity == 0)
        random_entropy(&index->seed, sizeof(index->seed));
    if (index->count >= index->capacity - index->capacity / 4 && !grow(index)) {
        key_index_free(index);
        index->given_up = true;
        return;
    }
    const struct key_slot taken = {hash_seeded(item->bytes, item->key_length, index->seed), item};
    place(index, &taken);
    index->count++;
}

uint64_t key_index_bytes(const struct key_index *index)
{
    return index->capacity * sizeof(struct key_slot);
}
