/* Packed log entries: entry_peek tells what entry_unpack does, and what unpacks packs again. */
#include <stdlib.h>

#include "base/check.h"
#include "proto/limits.h"
#include "server/entry.h"
#include "server/entry_peek.h"
#include "tests/fuzz/lib/fuzz.h"

static void require_same(const struct entry *left, const struct entry *right)
{
    CHECK(left->partition == right->partition && left->kind == right->kind &&
          left->history == right->history && left->epoch == right->epoch &&
          left->index == right->index && left->log_time_ms == right->log_time_ms &&
          left->client == right->client && left->number == right->number &&
          left->conditional == right->conditional && left->if_version == right->if_version &&
          left->ttl_ms == right->ttl_ms && left->cutoff_ms == right->cutoff_ms &&
          left->over_damage == right->over_damage);
    CHECK((left->item == NULL) == (right->item == NULL));
    if (left->item == NULL)
        return;
    CHECK(left->item->key_length == right->item->key_length &&
          left->item->value_length == right->item->value_length);
    CHECK(memcmp(left->item->bytes, right->item->bytes,
                 (size_t)left->item->key_length + left->item->value_length) == 0);
}

static void require_within_limits(const struct entry *entry)
{
    CHECK(entry->partition < CAIRN_PARTITIONS_LIMIT && entry->index > 0);
    CHECK(entry_is_mutation(entry) == (entry->item != NULL));
    CHECK(entry->item == NULL ||
          (entry->item->key_length > 0 && entry->item->key_length <= CAIRN_KEY_LIMIT &&
           entry->item->value_length <= CAIRN_VALUE_LIMIT));
}

static uint8_t *pack(const struct entry *entry, uint32_t *length)
{
    uint8_t *bytes;

    *length = entry_packed_size(entry);
    bytes = malloc(*length);
    CHECK(bytes != NULL);
    entry_pack(entry, bytes);
    return bytes;
}

static void round_trip(const struct entry *entry)
{
    struct error error = {0};
    struct entry *again;
    uint32_t length, length_again;
    uint8_t *bytes = pack(entry, &length), *bytes_again;

    CHECK(entry_unpack(bytes, length, &again, &error) == 0);
    require_same(entry, again);
    bytes_again = pack(again, &length_again);
    CHECK(length == length_again && memcmp(bytes, bytes_again, length) == 0);
    free(bytes);
    free(bytes_again);
    entry_free(again);
}

/* The input: the packed entry. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error error = {0};
    struct entry_head head;
    struct entry *entry;
    const int peeked = entry_peek(data, (uint32_t)size, &head);

    if (entry_unpack(data, (uint32_t)size, &entry, &error) != 0) {
        CHECK(entry == NULL && error.code != 0);
        return 0;
    }
    fuzz_accepted++;
    CHECK(peeked == 0);
    CHECK(head.partition == entry->partition && head.history == entry->history &&
          head.epoch == entry->epoch && head.index == entry->index);
    require_within_limits(entry);
    round_trip(entry);
    entry_free(entry);
    return 0;
}

bool fuzz_seed(unsigned number, struct buffer *out)
{
    struct entry entry = {.partition = 3, .history = 1, .epoch = 2, .index = 300 + number};
    uint32_t length;
    uint8_t *bytes;

    if (number > COMMAND_EVICT_SESSIONS + 1)
        return false;
    entry.kind = (enum command_kind)(number % (COMMAND_EVICT_SESSIONS + 1));
    entry.log_time_ms = 123456;
    entry.client = number == COMMAND_NOOP ? 0 : UINT64_C(0xfedcba9876543210);
    entry.number = number;
    entry.conditional = number % 2 == 1;
    entry.if_version = number;
    entry.ttl_ms = number * 1000;
    entry.cutoff_ms = number == COMMAND_EVICT_SESSIONS ? 99 : 0;
    if (entry_is_mutation(&entry))
        entry.item = item_create((const uint8_t *)"key", 3, (const uint8_t *)"value",
                                 entry.kind == COMMAND_DELETE ? 0 : 5);
    bytes = pack(&entry, &length);
    seed_bytes(out, bytes, length);
    free(bytes);
    item_free(entry.item);
    return true;
}
