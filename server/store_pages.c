/* See store_pages.h. The layout is LMDB's of version 0.9 (mdb.c: MDB_page, MDB_node, MDB_db,
 * MDB_meta), numbers little-endian:
 *
 *   page   0 u64 own number, 10 u16 flags, 12 u16 end of the pointers, 14 u16 first node; or
 *          12 u32 pages of a large value; 16 u16 pointers to nodes, in order of their keys
 *   node   0 u32 value's length or low bits of a page, 4 u16 flags or its high bits, 6 u16 key's
 *          length, 8 key, value; a large value's is the number of its page. Nodes of a leaf lie
 *          without gaps up to the page's end, each at an even place
 *   tree   4 u16 flags, 6 u16 depth, 8 u64 branch pages, 16 leaves, 24 pages of large values,
 *          32 rows, 40 root or all ones
 *   meta   16 u32 magic, 20 u32 version, 32 u64 length of the map, 40 tree of free pages, whose
 *          first u32 is the size of pages, 88 tree of tables, 136 u64 last page, 144 u64
 * transaction
 */
#include "server/store_pages.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server/memtable.h"
#include "server/store_lmdb.h"
#include "server/value.h"

enum {
    PAGE_HEADER = 16,
    PAGE_FLAGS = 10,
    PAGE_LOWER = 12,
    PAGE_UPPER = 14,
    IS_BRANCH = 1,
    IS_LEAF = 2,
    IS_OVERFLOW = 4,
    IS_META = 8,
    NODE_HEADER = 8,
    HAS_PAGES = 1,
    HAS_TREE = 2,
    TREE_BYTES = 48,
    DEPTH_LIMIT = 32,
    META_FREE = 40,
    META_TABLES = 88,
    META_LAST = 136,
    META_TRANSACTION = 144,
    META_END = 152,
    KEY_LIMIT = 511,
    MAP_BITS_LIMIT = 47,
};
static const uint32_t meta_magic = 0xbeefc0de;
static const uint32_t meta_version = 1;

struct file {
    const char *path;
    const uint8_t *bytes;
    uint64_t length;
    uint64_t page_bytes, last; /* page */
    uint8_t *seen;             /* bit map: pages that something points to */
    uint64_t *lists;           /* where numbers of free pages lie */
    size_t list_count, list_limit;
    uint32_t partitions;
    struct store_pages *pages;
    struct error *error;
};

enum tree_kind { TREE_FREE, TREE_TABLES, TREE_DATA, TREE_OTHER };

struct tree {
    enum tree_kind kind;
    uint32_t depth;
    uint64_t branches, leaves, overflows, rows; /* counted */
};

/* A page, and what bounds the keys in it: `to` is exclusive, NULL data: there is none. */
struct place {
    uint64_t at;
    uint32_t depth;
    struct slice from, to;
};

static uint64_t number(const struct file *file, uint64_t at, size_t length)
{
    uint64_t little = 0;
    memcpy(&little, file->bytes + at, length);
    return le64toh(little);
}

static int damaged(const struct file *file, uint64_t at, const char *what)
{
    return error_set(file->error, CAIRN_ECORRUPT, "%s: damaged at offset %" PRIu64 ": %s",
                     file->path, at, what);
}

/* --- pages --------------------------------------------------------------------------------------
 */

/* Follows a pointer that lies at `from`: to pages of this file that nothing else points to. */
static int claim(struct file *file, uint64_t from, uint64_t page, uint64_t count)
{
    if (page < 2 || page > file->last || count == 0 || count > file->last - page + 1)
        return damaged(file, from, "it points to a page outside of the store");
    for (uint64_t i = page; i < page + count; i++) {
        uint8_t bit = (uint8_t)(1 << i % 8);
        if ((file->seen[i / 8] & bit) != 0)
            return damaged(file, from, "it points to a page that has another use");
        file->seen[i / 8] |= bit;
    }
    return CAIRN_OK;
}

static int claim_large(struct file *file, struct tree *tree, uint64_t from, uint64_t length)
{
    uint64_t page = number(file, from, 8);
    uint64_t count = (PAGE_HEADER - 1 + length) / file->page_bytes + 1;
    int code = claim(file, from, page, count);
    if (code != CAIRN_OK)
        return code;
    uint64_t at = page * file->page_bytes;
    tree->overflows += count;
    if (number(file, at, 8) != page || number(file, at + PAGE_FLAGS, 2) != IS_OVERFLOW ||
        number(file, at + PAGE_LOWER, 4) != count)
        return damaged(file, at, "no page of a large value");
    return CAIRN_OK;
}

/* --- nodes --------------------------------------------------------------------------------------
 */

struct node {
    uint64_t at;
    struct slice key;
    uint64_t length; /* of the value */
    uint64_t flags;
};

/* Of a branch. */
static uint64_t child_of(const struct node *node)
{
    return node->length | node->flags << 32;
}

/* The node of that place in the page; all of its header and key lie within the page. */
static int take_node(const struct file *file, const struct place *place, uint32_t i,
                     struct node *node)
{
    uint64_t pointer = place->at + PAGE_HEADER + 2 * (uint64_t)i;
    uint64_t offset = number(file, pointer, 2);
    uint64_t upper = number(file, place->at + PAGE_UPPER, 2);
    if (offset < upper || offset % 2 != 0 || offset + NODE_HEADER > file->page_bytes)
        return damaged(file, pointer, "it points to no row");
    node->at = place->at + offset;
    node->length = number(file, node->at, 4);
    node->flags = number(file, node->at + 4, 2);
    node->key =
        (struct slice){file->bytes + node->at + NODE_HEADER, (size_t)number(file, node->at + 6, 2)};
    if (node->key.length > KEY_LIMIT || offset + NODE_HEADER + node->key.length > file->page_bytes)
        return damaged(file, node->at, "a key's length");
    return CAIRN_OK;
}

static int order_of(const struct tree *tree, struct slice left, struct slice right)
{
    uint64_t a, b;
    if (tree->kind != TREE_FREE || left.length != sizeof(a) || right.length != sizeof(b))
        return key_compare(left.data, left.length, right.data, right.length);
    memcpy(&a, left.data, sizeof(a));
    memcpy(&b, right.data, sizeof(b));
    return (a > b) - (a < b);
}

/* Keys ascend, within what the pages above promise. */
static int check_order(const struct file *file, const struct tree *tree, const struct place *place,
                       const struct node *node, const struct slice *before)
{
    bool fits = before->data != NULL
                    ? order_of(tree, *before, node->key) < 0
                    : place->from.data == NULL || order_of(tree, place->from, node->key) <= 0;
    if (!fits || (place->to.data != NULL && order_of(tree, node->key, place->to) >= 0))
        return damaged(file, node->at, "a key that is not in order");
    return CAIRN_OK;
}

static int check_tree(struct file *file, uint64_t at, enum tree_kind kind);

/* A table, by its name. */
static int check_table(struct file *file, const struct node *node)
{
    static const char *const names[] = {"data", "expiry", "meta", "sessions"};
    uint64_t at = node->at + NODE_HEADER + node->key.length;
    size_t name = 0;
    while (name < sizeof(names) / sizeof(*names) &&
           (node->key.length != strlen(names[name]) ||
            memcmp(node->key.data, names[name], node->key.length) != 0))
        name++;
    if (name == sizeof(names) / sizeof(*names)) /* perhaps of a later format (W9) */
        file->pages->stranger_at = node->at;
    if (node->flags != HAS_TREE || node->length != TREE_BYTES)
        return damaged(file, node->at, "no table");
    return check_tree(file, at, name == 0 ? TREE_DATA : TREE_OTHER);
}

static int note_pair(struct file *file, const struct node *node)
{
    if (node->key.length <= PREFIX_BYTES || partition_prefix(node->key.data) >= file->partitions)
        return damaged(file, node->at, "a pair of no partition");
    store_keys_add(&file->pages->keys[partition_prefix(node->key.data)],
                   node->key.data + PREFIX_BYTES, node->key.length - PREFIX_BYTES);
    return CAIRN_OK;
}

/* Free pages are looked at once it is known which are not. */
static int note_list(struct file *file, const struct node *node)
{
    uint64_t at = node->at + NODE_HEADER + node->key.length;
    if (node->flags == HAS_PAGES)
        at = number(file, at, 8) * file->page_bytes + PAGE_HEADER;
    if (node->key.length != sizeof(uint64_t) || node->length < sizeof(uint64_t) ||
        number(file, at, 8) > node->length / sizeof(uint64_t) - 1)
        return damaged(file, node->at, "no list of free pages");
    if (file->list_count == file->list_limit) {
        size_t limit = file->list_limit == 0 ? 64 : 2 * file->list_limit;
        uint64_t *lists = reallocarray(file->lists, limit, sizeof(*lists));
        if (lists == NULL)
            return error_set(file->error, CAIRN_ENOMEM, "%s: out of memory", file->path);
        file->lists = lists;
        file->list_limit = limit;
    }
    file->lists[file->list_count++] = at;
    return CAIRN_OK;
}

/* The disk may read many at once: the pages that a page's nodes point to. */
static void fetch(const struct file *file, const struct place *place, uint32_t count, bool is_leaf)
{
    struct node node;
    for (uint32_t i = 0; i < count; i++) {
        if (take_node(file, place, i, &node) != CAIRN_OK || (is_leaf && node.flags != HAS_PAGES))
            continue;
        uint64_t end = node.at + NODE_HEADER + node.key.length + sizeof(uint64_t);
        uint64_t page = !is_leaf                              ? child_of(&node)
                        : end <= place->at + file->page_bytes ? number(file, end - 8, 8)
                                                              : UINT64_MAX;
        if (page <= file->last)
            (void)madvise((void *)(uintptr_t)(file->bytes + page * file->page_bytes),
                          (size_t)file->page_bytes, MADV_WILLNEED);
    }
}

/* --- leaves and branches ------------------------------------------------------------------------
 */

static int check_row(struct file *file, struct tree *tree, const struct node *node)
{
    int code = CAIRN_OK;
    if (node->flags == HAS_PAGES)
        code = claim_large(file, tree, node->at + NODE_HEADER + node->key.length, node->length);
    else if (node->flags != 0 && tree->kind != TREE_TABLES)
        code = damaged(file, node->at, "a row's flags");
    if (code != CAIRN_OK)
        return code;
    tree->rows++;
    switch (tree->kind) {
    case TREE_FREE:
        return note_list(file, node);
    case TREE_TABLES:
        return check_table(file, node);
    case TREE_DATA:
        return note_pair(file, node);
    case TREE_OTHER:
        break;
    }
    return CAIRN_OK;
}

static int check_leaf(struct file *file, struct tree *tree, const struct place *place,
                      uint32_t count)
{
    uint64_t held = 0;
    struct slice before = {NULL, 0};
    tree->leaves++;
    if (place->depth != tree->depth)
        return damaged(file, place->at, "a leaf that is not at the tree's depth");
    fetch(file, place, count, true);
    for (uint32_t i = 0; i < count; i++) {
        struct node node;
        int code = take_node(file, place, i, &node);
        if (code == CAIRN_OK)
            code = check_order(file, tree, place, &node, &before);
        if (code != CAIRN_OK)
            return code;
        before = node.key;
        uint64_t bytes = NODE_HEADER + node.key.length +
                         (node.flags == HAS_PAGES ? sizeof(uint64_t) : node.length);
        if (bytes > place->at + file->page_bytes - node.at)
            return damaged(file, node.at, "a row that is longer than its page");
        held += bytes + bytes % 2;
        code = check_row(file, tree, &node);
        if (code != CAIRN_OK)
            return code;
    }
    if (held != file->page_bytes - number(file, place->at + PAGE_UPPER, 2))
        return damaged(file, place->at, "a leaf whose rows do not fill it");
    return CAIRN_OK;
}

static int check_page(struct file *file, struct tree *tree, uint64_t from, uint64_t page,
                      const struct place *where);

static int check_branch(struct file *file, struct tree *tree, const struct place *place,
                        uint32_t count)
{
    struct slice before = {NULL, 0};
    struct node node, next;
    tree->branches++;
    if (place->depth >= tree->depth)
        return damaged(file, place->at, "a branch where a leaf should be");
    if (place->depth + 1 == tree->depth)
        fetch(file, place, count, false);
    int code = take_node(file, place, 0, &node);
    for (uint32_t i = 0; code == CAIRN_OK && i < count; i++) {
        /* The first key of a branch says nothing; the page is as far as what led here said. */
        struct place below = {.depth = place->depth + 1, .from = place->from, .to = place->to};
        if (i > 0) {
            code = check_order(file, tree, place, &node, &before);
            below.from = before = node.key;
        }
        if (code == CAIRN_OK && i + 1 < count) {
            code = take_node(file, place, i + 1, &next);
            below.to = next.key;
        }
        if (code == CAIRN_OK)
            code = check_page(file, tree, node.at, child_of(&node), &below);
        node = next;
    }
    return code;
}

/* The page that a pointer at `from` leads to; `where` it stands in the tree but for its place. */
static int check_page(struct file *file, struct tree *tree, uint64_t from, uint64_t page,
                      const struct place *where)
{
    struct place place = *where;
    int code = claim(file, from, page, 1);
    if (code != CAIRN_OK)
        return code;
    place.at = page * file->page_bytes;
    uint64_t flags = number(file, place.at + PAGE_FLAGS, 2);
    uint64_t lower = number(file, place.at + PAGE_LOWER, 2);
    uint64_t upper = number(file, place.at + PAGE_UPPER, 2);
    if (number(file, place.at, 8) != page || (flags != IS_BRANCH && flags != IS_LEAF) ||
        lower <= PAGE_HEADER || lower % 2 != 0 || lower > upper || upper > file->page_bytes)
        return damaged(file, place.at, "no page of a tree");
    uint32_t count = (uint32_t)(lower - PAGE_HEADER) / 2;
    return flags == IS_LEAF ? check_leaf(file, tree, &place, count)
                            : check_branch(file, tree, &place, count);
}

/* --- trees --------------------------------------------------------------------------------------
 */

static int check_tree(struct file *file, uint64_t at, enum tree_kind kind)
{
    enum { INTEGER_KEYS = 8, KEPT_FLAGS = 0x7fff };
    struct tree tree = {.kind = kind, .depth = (uint32_t)number(file, at + 6, 2)};
    const struct place top = {.depth = 1};
    uint64_t flags = number(file, at + 4, 2) & KEPT_FLAGS;
    uint64_t root = number(file, at + 40, 8);
    int code = CAIRN_OK;
    if (flags != (kind == TREE_FREE ? INTEGER_KEYS : 0) || tree.depth > DEPTH_LIMIT ||
        (tree.depth == 0) != (root == UINT64_MAX))
        return damaged(file, at, "no tree");
    if (root != UINT64_MAX)
        code = check_page(file, &tree, at + 40, root, &top);
    if (code != CAIRN_OK)
        return code;
    if (tree.branches != number(file, at + 8, 8) || tree.leaves != number(file, at + 16, 8) ||
        tree.overflows != number(file, at + 24, 8) || tree.rows != number(file, at + 32, 8))
        return damaged(file, at, "a tree that is not as large as it was");
    return CAIRN_OK;
}

/* A free page is written over: it must be nobody's. */
static int check_free(struct file *file)
{
    for (size_t i = 0; i < file->list_count; i++) {
        uint64_t at = file->lists[i], count = number(file, at, 8);
        for (uint64_t n = 1; n <= count; n++) {
            int code = claim(file, at + 8 * n, number(file, at + 8 * n, 8), 1);
            if (code != CAIRN_OK)
                return code;
        }
    }
    return CAIRN_OK;
}

/* --- the file -----------------------------------------------------------------------------------
 */

static int check_meta(const struct file *file, uint64_t at)
{
    uint64_t page_bytes = number(file, at + META_FREE, 4);
    uint64_t transaction = number(file, at + META_TRANSACTION, 8);
    if (number(file, at + PAGE_FLAGS, 2) != IS_META || number(file, at + 16, 4) != meta_magic)
        return damaged(file, at, "no first page of a store");
    if (number(file, at + 20, 4) != meta_version)
        return CAIRN_OK; /* LMDB says so */
    if (number(file, at + 24, 8) != 0 || number(file, at + 32, 8) >> MAP_BITS_LIMIT != 0 ||
        page_bytes != file->page_bytes ||
        (transaction != 0 && transaction % 2 != at / file->page_bytes))
        return damaged(file, at, "a first page that contradicts itself");
    return CAIRN_OK;
}

/* Transactions write the two first pages in turn. LMDB goes by the newer one: a number that is too
 * high would bring back what was long ago. */
static int choose_meta(const struct file *file, uint64_t *at)
{
    uint64_t first = number(file, META_TRANSACTION, 8);
    uint64_t second = number(file, file->page_bytes + META_TRANSACTION, 8);
    *at = second > first ? file->page_bytes : 0;
    if (first != second && first + 1 != second && second + 1 != first)
        return damaged(file, *at + META_TRANSACTION, "transactions that do not follow each other");
    return CAIRN_OK;
}

static int check_trees(struct file *file)
{
    uint64_t meta;
    file->page_bytes = number(file, META_FREE, 4);
    if (file->page_bytes < META_END || file->page_bytes > file->length / 2)
        return damaged(file, META_FREE, "the size of pages");
    int code = check_meta(file, 0);
    if (code == CAIRN_OK)
        code = check_meta(file, file->page_bytes);
    if (code == CAIRN_OK)
        code = choose_meta(file, &meta);
    if (code != CAIRN_OK || number(file, meta + 20, 4) != meta_version)
        return code;
    file->last = number(file, meta + META_LAST, 8);
    if (file->last >= file->length / file->page_bytes)
        return error_set(file->error, CAIRN_ECORRUPT,
                         "%s: damaged at offset %" PRIu64 ": cut to %" PRIu64
                         " bytes, its pages go up to number %" PRIu64,
                         file->path, meta + META_LAST, file->length, file->last);
    file->seen = calloc(1, file->last / 8 + 1);
    if (file->seen == NULL)
        return error_set(file->error, CAIRN_ENOMEM, "%s: out of memory", file->path);
    code = check_tree(file, meta + META_TABLES, TREE_TABLES);
    if (code == CAIRN_OK)
        code = check_tree(file, meta + META_FREE, TREE_FREE);
    return code == CAIRN_OK ? check_free(file) : code;
}

static int check_mapped(struct file *file, int descriptor)
{
    void *map = mmap(NULL, (size_t)file->length, PROT_READ, MAP_SHARED, descriptor, 0);
    if (map == MAP_FAILED)
        return error_set(file->error, CAIRN_EIO, "%s: cannot map: %s", file->path, strerror(errno));
    file->bytes = map;
    (void)madvise(map, (size_t)file->length, MADV_RANDOM);
    int code = check_trees(file);
    free(file->seen);
    free(file->lists);
    (void)munmap(map, (size_t)file->length);
    return code;
}

int store_pages_check(const char *path, uint32_t partitions, struct store_pages *pages,
                      struct error *error)
{
    struct file file = {.path = path, .partitions = partitions, .pages = pages, .error = error};
    struct stat stat;
    int code = CAIRN_OK;
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0 && errno == ENOENT)
        return CAIRN_OK;
    if (descriptor < 0 || fstat(descriptor, &stat) != 0)
        code = error_set(error, CAIRN_EIO, "%s: cannot open: %s", path, strerror(errno));
    file.length = code == CAIRN_OK ? (uint64_t)stat.st_size : 0;
    if (file.length >= META_END)
        code = check_mapped(&file, descriptor);
    if (descriptor >= 0)
        (void)close(descriptor);
    return code;
}
