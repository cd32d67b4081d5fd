/* Finds the items of a memtable by their whole key: one look at a table instead of a walk down a
 * tree whose every step is a cache miss.
 *
 * It only makes finding faster: when memory is short it gives up, and the memtable goes on with its
 * tree. Open addressing with linear probing (Knuth, The Art of Computer Programming 3, 6.4,
 * algorithm L); nothing is ever removed alone. */
#ifndef CAIRN_SERVER_KEY_INDEX_H
#define CAIRN_SERVER_KEY_INDEX_H

#include <stdbool.h>
#include <stdint.h>

#include "server/entry.h"

struct key_slot {
    uint64_t hash;
    struct item *item; /* NULL: free */
};

struct key_index {
    struct key_slot *slots; /* NULL before the first item, and after it gave up */
    uint64_t capacity;      /* slots, a power of two */
    uint64_t count;         /* of them taken */
    uint64_t seed;          /* random: who chooses keys must not choose their places */
    bool given_up;
};

void key_index_init(struct key_index *index);
void key_index_free(struct key_index *index); /* empty afterwards */
/* The place of the item with that key, NULL if there is none. Only with `slots`. */
struct item **key_index_find(const struct key_index *index, const uint8_t *key,
                             uint32_t key_length);
/* Adds an item whose key is not in it. */
void key_index_add(struct key_index *index, struct item *item);
uint64_t key_index_bytes(const struct key_index *index); /* of memory */

#endif
