/* Entries of a partition's log: their memory, and their bytes (cairn.Entry of durable.proto).
 *
 * protobuf-c allocates every message and every bytes field. Recovery replays millions of entries,
 * so unpacking gives it a bump allocator over scratch memory instead; the key and the value are
 * then copied once into the item that the memtable will own. */
#include "server/entry.h"

#include <stdalign.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "proto/durable.pb-c.h"
#include "proto/limits.h"

_Static_assert((int)COMMAND_NOOP == (int)CAIRN__COMMAND__KIND__NOOP, "kinds as in durable.proto");
_Static_assert((int)COMMAND_PUT == (int)CAIRN__COMMAND__KIND__PUT, "kinds as in durable.proto");
_Static_assert((int)COMMAND_SWAP == (int)CAIRN__COMMAND__KIND__SWAP, "kinds as in durable.proto");
_Static_assert((int)COMMAND_DELETE == (int)CAIRN__COMMAND__KIND__DELETE, "as in durable.proto");
_Static_assert((int)COMMAND_RETIRE == (int)CAIRN__COMMAND__KIND__RETIRE, "as in durable.proto");
_Static_assert((int)COMMAND_EVICT_SESSIONS == (int)CAIRN__COMMAND__KIND__EVICT_SESSIONS,
               "kinds as in durable.proto");

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

/* --- packing ------------------------------------------------------------------------------------
 */

/* Fills protobuf-c's structures, which point into the entry: nothing is allocated. */
static void entry_describe(const struct entry *entry, Cairn__Entry *message,
                           Cairn__Command *command)
{
    cairn__entry__init(message);
    cairn__command__init(command);
    message->partition = entry->partition;
    message->history = entry->history;
    message->epoch = entry->epoch;
    message->index = entry->index;
    message->log_time_ms = entry->log_time_ms;
    message->command = command;
    command->kind = (Cairn__Command__Kind)entry->kind;
    command->client = entry->client;
    command->number = entry->number;
    command->conditional = entry->conditional;
    command->if_version = entry->if_version;
    command->ttl_ms = entry->ttl_ms;
    command->cutoff_ms = entry->cutoff_ms;
    if (entry->item != NULL) {
        command->key.data = entry->item->bytes;
        command->key.len = entry->item->key_length;
        command->value.data = entry->item->bytes + entry->item->key_length;
        command->value.len = entry->item->value_length;
    }
}

uint32_t entry_packed_size(const struct entry *entry)
{
    Cairn__Entry message;
    Cairn__Command command;
    entry_describe(entry, &message, &command);
    return (uint32_t)cairn__entry__get_packed_size(&message);
}

void entry_pack(const struct entry *entry, uint8_t *bytes)
{
    Cairn__Entry message;
    Cairn__Command command;
    entry_describe(entry, &message, &command);
    cairn__entry__pack(&message, bytes);
}

/* --- unpacking ----------------------------------------------------------------------------------
 */

enum {
    /* A usual entry unpacks into the stack; a longer one into one malloc. */
    SCRATCH_STACK_BYTES = 4096,
    /* protobuf-c's structures and what it keeps of unknown fields, besides the fields' bytes. */
    SCRATCH_EXTRA_BYTES = 2048,
};

/* Memory handed out front to back and given back all at once. */
struct scratch {
    uint8_t *bytes;
    size_t size, used;
};

static void *scratch_alloc(void *context, size_t size)
{
    struct scratch *scratch = context;
    if (size > scratch->size - scratch->used)
        return NULL;
    size_t rounded = (size + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
    void *bytes = scratch->bytes + scratch->used;
    size_t left = scratch->size - scratch->used;
    scratch->used += rounded < left ? rounded : left;
    return bytes;
}

static void scratch_free(void *context, void *bytes)
{
    (void)context;
    (void)bytes;
}

/* NULL, or what breaks the rules of an entry. */
static const char *entry_fault(const Cairn__Entry *message)
{
    const Cairn__Command *command = message->command;
    if (command == NULL)
        return "no command";
    if (message->partition >= CAIRN_PARTITIONS_LIMIT)
        return "partition beyond the limit";
    if (message->index == 0)
        return "index 0";
    if (command->key.len > CAIRN_KEY_LIMIT)
        return "key longer than the limit";
    if (command->value.len > CAIRN_VALUE_LIMIT)
        return "value longer than the limit";
    switch ((int)command->kind) {
    case COMMAND_PUT:
    case COMMAND_SWAP:
        return command->key.len == 0 ? "mutation without a key" : NULL;
    case COMMAND_DELETE:
        if (command->key.len == 0)
            return "mutation without a key";
        return command->value.len != 0 ? "deletion with a value" : NULL;
    case COMMAND_NOOP:
    case COMMAND_RETIRE:
    case COMMAND_EVICT_SESSIONS:
        return command->key.len + command->value.len != 0 ? "unexpected key or value" : NULL;
    default:
        return "unknown kind";
    }
}

static int entry_from_message(const Cairn__Entry *message, struct entry **result,
                              struct error *error)
{
    const Cairn__Command *command = message->command;
    struct entry *entry = entry_create();
    if (entry == NULL)
        return error_set(error, CAIRN_ENOMEM, "entry: out of memory");
    entry->partition = message->partition;
    entry->kind = (enum command_kind)command->kind;
    entry->history = message->history;
    entry->epoch = message->epoch;
    entry->index = message->index;
    entry->log_time_ms = message->log_time_ms;
    entry->client = command->client;
    entry->number = command->number;
    entry->conditional = command->conditional != 0;
    entry->if_version = command->if_version;
    entry->ttl_ms = command->ttl_ms;
    entry->cutoff_ms = command->cutoff_ms;
    if (command->key.len > 0) {
        entry->item = item_create(command->key.data, (uint32_t)command->key.len,
                                  command->value.data, (uint32_t)command->value.len);
        if (entry->item == NULL) {
            entry_free(entry);
            return error_set(error, CAIRN_ENOMEM, "entry: out of memory");
        }
    }
    *result = entry;
    return CAIRN_OK;
}

static int entry_unpack_in(struct scratch *scratch, const uint8_t *bytes, uint32_t length,
                           struct entry **entry, struct error *error)
{
    ProtobufCAllocator allocator = {
        .alloc = scratch_alloc, .free = scratch_free, .allocator_data = scratch};
    Cairn__Entry *message = cairn__entry__unpack(&allocator, length, bytes);
    if (message == NULL)
        return error_set(error, CAIRN_ECORRUPT, "entry: not a valid message (%u bytes)",
                         (unsigned)length);
    const char *fault = entry_fault(message);
    if (fault != NULL)
        return error_set(error, CAIRN_ECORRUPT, "entry: %s", fault);
    return entry_from_message(message, entry, error);
}

int entry_unpack(const uint8_t *bytes, uint32_t length, struct entry **entry, struct error *error)
{
    alignas(max_align_t) uint8_t stack[SCRATCH_STACK_BYTES];
    struct scratch scratch = {.bytes = stack, .size = sizeof(stack)};
    *entry = NULL;
    size_t wanted = (size_t)length + SCRATCH_EXTRA_BYTES;
    if (wanted <= sizeof(stack))
        return entry_unpack_in(&scratch, bytes, length, entry, error);
    scratch.bytes = malloc(wanted);
    scratch.size = wanted;
    if (scratch.bytes == NULL)
        return error_set(error, CAIRN_ENOMEM, "entry: out of memory");
    int result = entry_unpack_in(&scratch, bytes, length, entry, error);
    free(scratch.bytes);
    return result;
}
