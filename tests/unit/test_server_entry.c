/* Entries survive packing, and nothing that is not an entry unpacks (W9, limits). */
#include "tests/unit/store_fixture.h"

#include "base/random.h"
#include "proto/durable.pb-c.h"
#include "proto/limits.h"

static struct entry *full_entry(void)
{
    static const uint8_t key[] = {0x00, 0xff, 'k', 0x00}, value[] = {0xff, 0x00, 'v'};
    struct entry *entry = entry_create();
    entry->partition = 77;
    entry->kind = COMMAND_PUT;
    entry->history = 3;
    entry->epoch = 9;
    entry->index = UINT64_MAX;
    entry->log_time_ms = 123456789;
    entry->client = 0xfedcba9876543210ULL;
    entry->number = 42;
    entry->conditional = true;
    entry->if_version = 7;
    entry->ttl_ms = UINT64_MAX;
    entry->cutoff_ms = 5;
    entry->item = item_create(key, sizeof(key), value, sizeof(value));
    return entry;
}

static uint8_t *pack(const struct entry *entry, uint32_t *length)
{
    *length = entry_packed_size(entry);
    uint8_t *bytes = malloc(*length);
    entry_pack(entry, bytes);
    return bytes;
}

static void assert_same(const struct entry *left, const struct entry *right)
{
    assert_int_equal(left->partition, right->partition);
    assert_int_equal(left->kind, right->kind);
    assert_int_equal(left->history, right->history);
    assert_int_equal(left->epoch, right->epoch);
    assert_int_equal(left->index, right->index);
    assert_int_equal(left->log_time_ms, right->log_time_ms);
    assert_int_equal(left->client, right->client);
    assert_int_equal(left->number, right->number);
    assert_int_equal(left->conditional, right->conditional);
    assert_int_equal(left->if_version, right->if_version);
    assert_int_equal(left->ttl_ms, right->ttl_ms);
    assert_int_equal(left->cutoff_ms, right->cutoff_ms);
    assert_int_equal(left->over_damage, right->over_damage);
    assert_int_equal(left->item == NULL, right->item == NULL);
    if (left->item == NULL)
        return;
    assert_int_equal(left->item->key_length, right->item->key_length);
    assert_int_equal(left->item->value_length, right->item->value_length);
    assert_memory_equal(left->item->bytes, right->item->bytes,
                        (size_t)left->item->key_length + left->item->value_length);
}

static void assert_round_trip(struct entry *entry)
{
    uint32_t length;
    struct error error = {0};
    struct entry *again;
    uint8_t *bytes = pack(entry, &length);
    assert_int_equal(entry_unpack(bytes, length, &again, &error), CAIRN_OK);
    assert_same(entry, again);
    free(bytes);
    entry_free(again);
    entry_free(entry);
}

static void all_fields_round_trip(void **state)
{
    (void)state;
    assert_round_trip(full_entry());
}

static void every_kind_round_trips(void **state)
{
    (void)state;
    for (int kind = COMMAND_NOOP; kind <= COMMAND_EVICT_SESSIONS; kind++) {
        struct entry *entry = entry_create();
        entry->kind = (enum command_kind)kind;
        entry->index = 1;
        if (kind == COMMAND_PUT || kind == COMMAND_SWAP || kind == COMMAND_DELETE)
            entry->item = item_create((const uint8_t *)"k", 1, NULL, 0);
        assert_round_trip(entry);
    }
}

static void lengths_up_to_the_limits_round_trip(void **state)
{
    (void)state;
    static uint8_t bytes[CAIRN_VALUE_LIMIT];
    static const uint32_t lengths[] = {0,    1,    127,  128,   1900,    2000,
                                       2048, 4000, 4096, 70000, 1048575, CAIRN_VALUE_LIMIT};
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i * 31);
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        struct entry *entry = entry_create();
        entry->kind = COMMAND_SWAP;
        entry->index = 1;
        entry->item = item_create(bytes, CAIRN_KEY_LIMIT, bytes, lengths[i]);
        assert_round_trip(entry);
    }
}

/* The message as another version or a broken writer may pack it. */
static int unpack_message(const Cairn__Entry *message)
{
    size_t length = cairn__entry__get_packed_size(message);
    uint8_t *bytes = malloc(length + 1);
    struct entry *entry;
    struct error error = {0};
    cairn__entry__pack(message, bytes);
    int code = entry_unpack(bytes, (uint32_t)length, &entry, &error);
    if (code == CAIRN_OK)
        entry_free(entry);
    else
        assert_true(entry == NULL && error.message[0] != '\0');
    free(bytes);
    return code;
}

static void what_breaks_a_limit_is_corrupt(void **state)
{
    (void)state;
    static uint8_t bytes[CAIRN_VALUE_LIMIT + 1];
    Cairn__Entry entry = CAIRN__ENTRY__INIT;
    Cairn__Command command = CAIRN__COMMAND__INIT;
    entry.index = 1;
    assert_int_equal(unpack_message(&entry), CAIRN_ECORRUPT); /* no command */
    entry.command = &command;
    assert_int_equal(unpack_message(&entry), CAIRN_OK);
    entry.index = 0;
    assert_int_equal(unpack_message(&entry), CAIRN_ECORRUPT);
    entry.index = 1;
    entry.partition = CAIRN_PARTITIONS_LIMIT;
    assert_int_equal(unpack_message(&entry), CAIRN_ECORRUPT);
    entry.partition = CAIRN_PARTITIONS_LIMIT - 1;
    command.kind = (Cairn__Command__Kind)99;
    assert_int_equal(unpack_message(&entry), CAIRN_ECORRUPT);
    command.kind = CAIRN__COMMAND__KIND__PUT;
    assert_int_equal(unpack_message(&entry), CAIRN_ECORRUPT); /* no key */
    command.key = (ProtobufCBinaryData){CAIRN_KEY_LIMIT + 1, bytes};
    assert_int_equal(unpack_message(&entry), CAIRN_ECORRUPT);
    command.key.len = CAIRN_KEY_LIMIT;
    assert_int_equal(unpack_message(&entry), CAIRN_OK);
    command.value = (ProtobufCBinaryData){CAIRN_VALUE_LIMIT + 1, bytes};
    assert_int_equal(unpack_message(&entry), CAIRN_ECORRUPT);
    command.value.len = 1;
    command.kind = CAIRN__COMMAND__KIND__DELETE;
    assert_int_equal(unpack_message(&entry), CAIRN_ECORRUPT);
    command.kind = CAIRN__COMMAND__KIND__NOOP;
    assert_int_equal(unpack_message(&entry), CAIRN_ECORRUPT);
}

static void cut_bytes_never_give_the_entry(void **state)
{
    (void)state;
    uint32_t length;
    struct entry *entry = full_entry();
    uint8_t *bytes = pack(entry, &length);
    for (uint32_t cut = 0; cut < length; cut++) {
        /* A malloc of its own, so that ASan sees a read behind the end. */
        uint8_t *copy = malloc(cut + 1);
        struct entry *again = NULL;
        memcpy(copy, bytes, cut);
        assert_int_equal(entry_unpack(copy, cut, &again, NULL), CAIRN_ECORRUPT);
        assert_null(again);
        free(copy);
    }
    free(bytes);
    entry_free(entry);
}

static void damaged_bytes_never_crash(void **state)
{
    (void)state;
    struct random random;
    random_seed(&random, 11);
    uint32_t length;
    struct entry *entry = full_entry();
    uint8_t *bytes = pack(entry, &length);
    for (int round = 0; round < 20000; round++) {
        uint8_t *copy = malloc(length);
        struct entry *again;
        memcpy(copy, bytes, length);
        for (uint64_t flips = 1 + random_below(&random, 4); flips > 0; flips--)
            copy[random_below(&random, length)] ^= (uint8_t)(1 + random_below(&random, 255));
        if (entry_unpack(copy, length, &again, NULL) == CAIRN_OK)
            entry_free(again);
        else
            assert_null(again);
        free(copy);
    }
    free(bytes);
    entry_free(entry);
}

static void random_bytes_never_crash(void **state)
{
    (void)state;
    struct random random;
    random_seed(&random, 12);
    for (int round = 0; round < 20000; round++) {
        uint32_t length = (uint32_t)random_below(&random, 200);
        uint8_t *bytes = malloc(length + 1);
        struct entry *entry;
        for (uint32_t i = 0; i < length; i++)
            bytes[i] = (uint8_t)random_next(&random);
        if (entry_unpack(bytes, length, &entry, NULL) == CAIRN_OK)
            entry_free(entry);
        free(bytes);
    }
}

/* A reader ignores fields that it does not know, however many they are. */
static void unknown_fields_are_ignored(void **state)
{
    enum { MANY = 100000 };
    struct entry *entry = full_entry(), *again;
    uint32_t length;
    uint8_t *bytes = pack(entry, &length);
    uint8_t *more = malloc(length + 3 * MANY);
    (void)state;
    memcpy(more, bytes, length);
    for (size_t i = 0; i < MANY; i++)
        memcpy(more + length + 3 * i, "\xf8\x07\x01", 3); /* field 127, varint 1 */
    assert_int_equal(entry_unpack(more, length + 3 * MANY, &again, NULL), CAIRN_OK);
    assert_same(entry, again);
    entry_free(again);
    free(more);
    free(bytes);
    entry_free(entry);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_fields_round_trip),
        cmocka_unit_test(every_kind_round_trips),
        cmocka_unit_test(lengths_up_to_the_limits_round_trip),
        cmocka_unit_test(what_breaks_a_limit_is_corrupt),
        cmocka_unit_test(cut_bytes_never_give_the_entry),
        cmocka_unit_test(damaged_bytes_never_crash),
        cmocka_unit_test(random_bytes_never_crash),
        cmocka_unit_test(unknown_fields_are_ignored),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
