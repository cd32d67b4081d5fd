/* An entry's bytes: cairn.Entry of durable.proto, packed and unpacked by hand (server/wire.h). */
#include "base/check.h"
#include "proto/durable.pb-c.h"
#include "proto/limits.h"
#include "server/entry.h"
#include "server/wire.h"

_Static_assert((int)COMMAND_NOOP == (int)CAIRN__COMMAND__KIND__NOOP, "kinds as in durable.proto");
_Static_assert((int)COMMAND_PUT == (int)CAIRN__COMMAND__KIND__PUT, "kinds as in durable.proto");
_Static_assert((int)COMMAND_SWAP == (int)CAIRN__COMMAND__KIND__SWAP, "kinds as in durable.proto");
_Static_assert((int)COMMAND_DELETE == (int)CAIRN__COMMAND__KIND__DELETE, "as in durable.proto");
_Static_assert((int)COMMAND_RETIRE == (int)CAIRN__COMMAND__KIND__RETIRE, "as in durable.proto");
_Static_assert((int)COMMAND_EVICT_SESSIONS == (int)CAIRN__COMMAND__KIND__EVICT_SESSIONS,
               "kinds as in durable.proto");

/* As in durable.proto. */
enum { PARTITION = 1, HISTORY = 2, EPOCH = 3, INDEX = 4, LOG_TIME_MS = 5, COMMAND = 6 };
enum {
    KIND = 1,
    CLIENT = 2,
    NUMBER = 3,
    KEY = 4,
    VALUE = 5,
    CONDITIONAL = 6,
    IF_VERSION = 7,
    TTL_MS = 8,
    CUTOFF_MS = 9,
    OVER_DAMAGE = 10
};

/* --- packing ------------------------------------------------------------------------------------
 */

static uint32_t command_size(const struct entry *entry)
{
    const struct item *item = entry->item;

    return wire_number_size((uint64_t)entry->kind) + wire_fixed_size(entry->client) +
           wire_number_size(entry->number) +
           (item != NULL ? wire_bytes_size(item->key_length) : 0) +
           (item != NULL ? wire_bytes_size(item->value_length) : 0) +
           wire_number_size(entry->conditional) + wire_number_size(entry->if_version) +
           wire_number_size(entry->ttl_ms) + wire_number_size(entry->cutoff_ms) +
           wire_number_size(entry->over_damage);
}

static uint8_t *put_command(uint8_t *to, const struct entry *entry)
{
    const struct item *item = entry->item;

    to = wire_put_number(to, KIND, (uint64_t)entry->kind);
    to = wire_put_fixed(to, CLIENT, entry->client);
    to = wire_put_number(to, NUMBER, entry->number);
    if (item != NULL) {
        to = wire_put_bytes(to, KEY, item->bytes, item->key_length);
        to = wire_put_bytes(to, VALUE, item_value(item), item->value_length);
    }
    to = wire_put_number(to, CONDITIONAL, entry->conditional);
    to = wire_put_number(to, IF_VERSION, entry->if_version);
    to = wire_put_number(to, TTL_MS, entry->ttl_ms);
    to = wire_put_number(to, CUTOFF_MS, entry->cutoff_ms);
    return wire_put_number(to, OVER_DAMAGE, entry->over_damage);
}

uint32_t entry_packed_size(const struct entry *entry)
{
    const uint32_t command = command_size(entry);

    return wire_number_size(entry->partition) + wire_number_size(entry->history) +
           wire_number_size(entry->epoch) + wire_number_size(entry->index) +
           wire_number_size(entry->log_time_ms) + 1 + wire_varint_size(command) + command;
}

void entry_pack(const struct entry *entry, uint8_t *bytes)
{
    const uint32_t command = command_size(entry);
    uint8_t *to = bytes;

    to = wire_put_number(to, PARTITION, entry->partition);
    to = wire_put_number(to, HISTORY, entry->history);
    to = wire_put_number(to, EPOCH, entry->epoch);
    to = wire_put_number(to, INDEX, entry->index);
    to = wire_put_number(to, LOG_TIME_MS, entry->log_time_ms);
    *to++ = wire_key(COMMAND, WIRE_BYTES); /* also an empty one: it is there */
    to = wire_put_varint(to, command);
    (void)put_command(to, entry);
}

/* --- unpacking ----------------------------------------------------------------------------------
 */

/* What was read; key and value lie in the packed bytes. */
struct draft {
    struct entry entry;
    uint32_t kind;
    const uint8_t *key, *value;
    uint64_t key_length, value_length;
    bool has_command;
};

static bool take_command_field(const struct wire_field *field, struct draft *draft)
{
    static const enum wire_type types[] = {
        [KIND] = WIRE_VARINT,        [CLIENT] = WIRE_64_BITS, [NUMBER] = WIRE_VARINT,
        [KEY] = WIRE_BYTES,          [VALUE] = WIRE_BYTES,    [CONDITIONAL] = WIRE_VARINT,
        [IF_VERSION] = WIRE_VARINT,  [TTL_MS] = WIRE_VARINT,  [CUTOFF_MS] = WIRE_VARINT,
        [OVER_DAMAGE] = WIRE_VARINT,
    };
    struct entry *entry = &draft->entry;

    if (field->number < KIND || field->number > OVER_DAMAGE)
        return true; /* of a newer minor version */
    if (field->type != types[field->number])
        return false;
    switch (field->number) {
    case KIND:
        draft->kind = (uint32_t)field->value;
        break;
    case CLIENT:
        entry->client = field->value;
        break;
    case NUMBER:
        entry->number = field->value;
        break;
    case KEY:
        draft->key = field->bytes;
        draft->key_length = field->value;
        break;
    case VALUE:
        draft->value = field->bytes;
        draft->value_length = field->value;
        break;
    case CONDITIONAL:
        entry->conditional = field->value != 0;
        break;
    case IF_VERSION:
        entry->if_version = field->value;
        break;
    case TTL_MS:
        entry->ttl_ms = field->value;
        break;
    case CUTOFF_MS:
        entry->cutoff_ms = field->value;
        break;
    default:
        entry->over_damage = field->value != 0;
        break;
    }
    return true;
}

static bool take_command(const struct wire_field *field, struct draft *draft)
{
    struct wire rest = {.next = field->bytes, .end = field->bytes + field->value};
    struct wire_field inner;

    draft->has_command = true;
    while (rest.next < rest.end)
        if (!wire_take(&rest, &inner) || !take_command_field(&inner, draft))
            return false;
    return true;
}

static bool take_field(const struct wire_field *field, struct draft *draft)
{
    struct entry *entry = &draft->entry;

    if (field->number < PARTITION || field->number > COMMAND)
        return true;
    if (field->type != (field->number == COMMAND ? WIRE_BYTES : WIRE_VARINT))
        return false;
    switch (field->number) {
    case PARTITION:
        entry->partition = (uint32_t)field->value;
        break;
    case HISTORY:
        entry->history = field->value;
        break;
    case EPOCH:
        entry->epoch = field->value;
        break;
    case INDEX:
        entry->index = field->value;
        break;
    case LOG_TIME_MS:
        entry->log_time_ms = field->value;
        break;
    default:
        return take_command(field, draft);
    }
    return true;
}

static bool take_entry(const uint8_t *bytes, uint32_t length, struct draft *draft)
{
    struct wire rest = {.next = bytes, .end = bytes + length};
    struct wire_field field;

    while (rest.next < rest.end)
        if (!wire_take(&rest, &field) || !take_field(&field, draft))
            return false;
    return true;
}

/* NULL, or what breaks the rules of an entry. */
static const char *fault_of(const struct draft *draft)
{
    if (!draft->has_command)
        return "no command";
    if (draft->entry.partition >= CAIRN_PARTITIONS_LIMIT)
        return "partition beyond the limit";
    if (draft->entry.index == 0)
        return "index 0";
    if (draft->key_length > CAIRN_KEY_LIMIT)
        return "key longer than the limit";
    if (draft->value_length > CAIRN_VALUE_LIMIT)
        return "value longer than the limit";
    if (draft->entry.over_damage &&
        (draft->entry.conditional || (draft->kind != COMMAND_PUT && draft->kind != COMMAND_DELETE)))
        return "a command that needs the old value is to go without it";
    switch (draft->kind) {
    case COMMAND_PUT:
    case COMMAND_SWAP:
        return draft->key_length == 0 ? "mutation without a key" : NULL;
    case COMMAND_DELETE:
        if (draft->key_length == 0)
            return "mutation without a key";
        return draft->value_length != 0 ? "deletion with a value" : NULL;
    case COMMAND_NOOP:
    case COMMAND_RETIRE:
    case COMMAND_EVICT_SESSIONS:
        return draft->key_length + draft->value_length != 0 ? "unexpected key or value" : NULL;
    default:
        return "unknown kind";
    }
}

static struct entry *entry_of(const struct draft *draft)
{
    struct entry *entry = entry_create();

    if (entry == NULL)
        return NULL;
    *entry = draft->entry;
    entry->kind = (enum command_kind)draft->kind;
    if (draft->key_length == 0)
        return entry;
    entry->item = item_create(draft->key, (uint32_t)draft->key_length, draft->value,
                              (uint32_t)draft->value_length);
    if (entry->item != NULL)
        return entry;
    entry_free(entry);
    return NULL;
}

int entry_unpack(const uint8_t *bytes, uint32_t length, struct entry **entry, struct error *error)
{
    struct draft draft = {0};
    const char *fault;

    *entry = NULL;
    if (!take_entry(bytes, length, &draft))
        return error_set(error, CAIRN_ECORRUPT, "entry: not a valid message (%u bytes)",
                         (unsigned)length);
    fault = fault_of(&draft);
    if (fault != NULL)
        return error_set(error, CAIRN_ECORRUPT, "entry: %s", fault);
    *entry = entry_of(&draft);
    return *entry != NULL ? CAIRN_OK : error_set(error, CAIRN_ENOMEM, "entry: out of memory");
}
