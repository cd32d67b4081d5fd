/* The memory of a log's entries and of their items. Their bytes: entry_pack.c. */
#include "server/entry.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "proto/limits.h"

struct item *item_create(const uint8_t *key, uint32_t key_length, const uint8_t *value,
                         uint32_t value_length)
{
    CHECK(key_length <= CAIRN_KEY_LIMIT && value_length <= CAIRN_VALUE_LIMIT);
    struct item *item = malloc(offsetof(struct item, bytes) + key_length + value_length);
    if (item == NULL)
        return NULL;
    memset(item, 0, offsetof(struct item, bytes));
    item->key_length = (uint16_t)key_length;
    item->value_length = value_length;
    if (key_length > 0)
        memcpy(item->bytes, key, key_length);
    if (value_length > 0)
        memcpy(item->bytes + key_length, value, value_length);
    return item;
}

void item_free(struct item *item)
{
    free(item);
}

struct entry *entry_create(void)
{
    return calloc(1, sizeof(struct entry));
}

void entry_free(struct entry *entry)
{
    if (entry == NULL)
        return;
    item_free(entry->item);
    if (entry->packed_owned)
        free((void *)(uintptr_t)entry->packed);
    free(entry);
}
