/* The items of one partition that are not in LMDB yet: in key order (a red-black tree), and found
 * by key (an index).
 *
 * An item with version 0 is a deletion: it hides what lies below. */
#ifndef CAIRN_SERVER_MEMTABLE_H
#define CAIRN_SERVER_MEMTABLE_H

#include <stddef.h>
#include <stdint.h>

#include "server/entry.h"
#include "server/key_index.h"

RB_HEAD(item_tree, item);

struct memtable {
    struct item_tree tree;
    struct key_index index; /* of the tree's items, unless it gave up */
    uint64_t count;
    uint64_t bytes; /* of memory, the allocator's overhead and the index included */
};

void memtable_init(struct memtable *memtable);
void memtable_free(struct memtable *memtable); /* frees the items; empty afterwards */
struct item *memtable_find(const struct memtable *memtable, const uint8_t *key,
                           uint32_t key_length);
/* The first item at or behind the key, or NULL. */
struct item *memtable_seek(const struct memtable *memtable, const uint8_t *key,
                           uint32_t key_length);
struct item *memtable_first(const struct memtable *memtable);
struct item *memtable_next(struct item *item);
/* Takes the item; frees the one with the same key, if any. */
void memtable_put(struct memtable *memtable, struct item *item);
uint64_t memtable_item_bytes(const struct item *item);

/* Bytewise order; a prefix comes first. */
int key_compare(const uint8_t *left, size_t left_length, const uint8_t *right, size_t right_length);

#endif
