/* The red-black tree of items (libbsd's tree.h: ordered, intrusive, O(log n)), and their index. */
#include "server/memtable.h"

#include <stddef.h>
#include <string.h>

int key_compare(const uint8_t *left, size_t left_length, const uint8_t *right, size_t right_length)
{
    size_t common = left_length < right_length ? left_length : right_length;
    int order = common == 0 ? 0 : memcmp(left, right, common);
    if (order != 0)
        return order;
    return (left_length > right_length) - (left_length < right_length);
}

static int item_compare(const struct item *left, const struct item *right)
{
    return key_compare(left->bytes, left->key_length, right->bytes, right->key_length);
}

/* What the tree macros generate is not written to our warnings. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
RB_GENERATE_INTERNAL(item_tree, item, link, item_compare, static)
#pragma GCC diagnostic pop

void memtable_init(struct memtable *memtable)
{
    RB_INIT(&memtable->tree);
    key_index_init(&memtable->index);
    memtable->count = 0;
    memtable->bytes = 0;
}

void memtable_free(struct memtable *memtable)
{
    /* Post-order without recursion and without rebalancing: cut each leaf off its parent. */
    struct item *item = RB_ROOT(&memtable->tree);
    while (item != NULL) {
        struct item *parent = RB_PARENT(item, link);
        if (RB_LEFT(item, link) != NULL) {
            item = RB_LEFT(item, link);
        } else if (RB_RIGHT(item, link) != NULL) {
            item = RB_RIGHT(item, link);
        } else {
            if (parent != NULL && RB_LEFT(parent, link) == item)
                RB_LEFT(parent, link) = NULL;
            else if (parent != NULL)
                RB_RIGHT(parent, link) = NULL;
            item_free(item);
            item = parent;
        }
    }
    key_index_free(&memtable->index);
    memtable_init(memtable);
}

static struct item *find_in_tree(const struct memtable *memtable, const uint8_t *key,
                                 uint32_t key_length)
{
    struct item *item = RB_ROOT(&memtable->tree);
    while (item != NULL) {
        int order = key_compare(key, key_length, item->bytes, item->key_length);
        if (order == 0)
            return item;
        item = order < 0 ? RB_LEFT(item, link) : RB_RIGHT(item, link);
    }
    return NULL;
}

struct item *memtable_find(const struct memtable *memtable, const uint8_t *key, uint32_t key_length)
{
    if (memtable->index.slots == NULL)
        return find_in_tree(memtable, key, key_length);
    struct item **place = key_index_find(&memtable->index, key, key_length);
    return place != NULL ? *place : NULL;
}

struct item *memtable_seek(const struct memtable *memtable, const uint8_t *key, uint32_t key_length)
{
    struct item *item = RB_ROOT(&memtable->tree), *best = NULL;
    while (item != NULL) {
        int order = key_compare(key, key_length, item->bytes, item->key_length);
        if (order == 0)
            return item;
        if (order < 0)
            best = item;
        item = order < 0 ? RB_LEFT(item, link) : RB_RIGHT(item, link);
    }
    return best;
}

struct item *memtable_first(const struct memtable *memtable)
{
    struct item *item = RB_ROOT(&memtable->tree);
    while (item != NULL && RB_LEFT(item, link) != NULL)
        item = RB_LEFT(item, link);
    return item;
}

struct item *memtable_next(struct item *item)
{
    return RB_NEXT(item_tree, NULL, item);
}

uint64_t memtable_item_bytes(const struct item *item)
{
    /* glibc's malloc: 8 bytes of its own, rounded up to 16. */
    uint64_t bytes = offsetof(struct item, bytes) + item->key_length + item->value_length;
    return (bytes + 8 + 15) & ~(uint64_t)15;
}

/* Puts `item` at the place of `old`, which has the same key: the tree keeps its shape. */
static void memtable_replace(struct memtable *memtable, struct item *old, struct item *item)
{
    item->link = old->link;
    struct item *parent = RB_PARENT(old, link);
    if (parent == NULL)
        RB_ROOT(&memtable->tree) = item;
    else if (RB_LEFT(parent, link) == old)
        RB_LEFT(parent, link) = item;
    else
        RB_RIGHT(parent, link) = item;
    if (RB_LEFT(item, link) != NULL)
        RB_PARENT(RB_LEFT(item, link), link) = item;
    if (RB_RIGHT(item, link) != NULL)
        RB_PARENT(RB_RIGHT(item, link), link) = item;
}

static void count(struct memtable *memtable, const struct item *item)
{
    memtable->bytes += memtable_item_bytes(item);
    memtable->count++;
}

static void discount(struct memtable *memtable, const struct item *item)
{
    memtable->bytes -= memtable_item_bytes(item);
    memtable->count--;
}

static void add_to_index(struct memtable *memtable, struct item *item)
{
    uint64_t before = key_index_bytes(&memtable->index);
    key_index_add(&memtable->index, item);
    memtable->bytes += key_index_bytes(&memtable->index) - before;
}

/* The usual write is one to a key that is there: it takes the old item's place, and the tree is not
 * searched at all. */
static bool overwrite(struct memtable *memtable, struct item *item)
{
    if (memtable->index.slots == NULL)
        return false;
    struct item **place = key_index_find(&memtable->index, item->bytes, item->key_length);
    if (place == NULL)
        return false;
    struct item *old = *place;
    *place = item;
    memtable_replace(memtable, old, item);
    discount(memtable, old);
    item_free(old);
    return true;
}

void memtable_put(struct memtable *memtable, struct item *item)
{
    if (!overwrite(memtable, item)) {
        struct item *old = RB_INSERT(item_tree, &memtable->tree, item);
        if (old != NULL) {
            memtable_replace(memtable, old, item);
            discount(memtable, old);
            item_free(old);
        } else {
            add_to_index(memtable, item);
        }
    }
    count(memtable, item);
}
