/* What entry_pack and entry_unpack do by hand is what protobuf-c does with cairn.Entry. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/random.h"
#include "proto/durable.pb-c.h"
#include "proto/limits.h"
#include "server/entry.h"

/* A number of any length in bytes, 0 often. */
static uint64_t any_number(struct random *random)
{
    return random_below(random, 4) == 0 ? 0 : random_next(random) >> random_below(random, 64);
}

static struct entry *any_entry(struct random *random)
{
    static uint8_t bytes[70000];
    static const uint32_t lengths[] = {0, 1, 127, 128, 300, 16383, 16384, sizeof bytes};
    struct entry *entry = entry_create();

    assert_non_null(entry);
    for (unsigned i = 0; i < 64; i++)
        bytes[i] = (uint8_t)random_next(random);
    entry->partition = (uint32_t)random_below(random, CAIRN_PARTITIONS_LIMIT);
    entry->kind = (enum command_kind)random_below(random, COMMAND_EVICT_SESSIONS + 1);
    entry->history = any_number(random);
    entry->epoch = any_number(random);
    entry->index = random_next(random) >> random_below(random, 64) | 1;
    entry->log_time_ms = any_number(random);
    entry->client = any_number(random);
    entry->number = any_number(random);
    entry->conditional = random_below(random, 2) == 0;
    entry->if_version = any_number(random);
    entry->ttl_ms = any_number(random);
    entry->cutoff_ms = any_number(random);
    if (!entry_is_mutation(entry))
        return entry;
    entry->over_damage =
        entry->kind != COMMAND_SWAP && !entry->conditional && random_below(random, 2) == 0;
    entry->item = item_create(bytes, 1 + (uint32_t)random_below(random, CAIRN_KEY_LIMIT), bytes,
                              entry->kind == COMMAND_DELETE ? 0 : lengths[random_below(random, 8)]);
    assert_non_null(entry->item);
    return entry;
}

static uint8_t *pack(const struct entry *entry, uint32_t *length)
{
    *length = entry_packed_size(entry);
    uint8_t *bytes = malloc(*length);
    assert_non_null(bytes);
    entry_pack(entry, bytes);
    return bytes;
}

static void assert_says(const Cairn__Entry *message, const struct entry *entry)
{
    const Cairn__Command *command = message->command;

    assert_int_equal(message->partition, entry->partition);
    assert_int_equal(message->history, entry->history);
    assert_int_equal(message->epoch, entry->epoch);
    assert_int_equal(message->index, entry->index);
    assert_int_equal(message->log_time_ms, entry->log_time_ms);
    assert_non_null(command);
    assert_int_equal(command->kind, entry->kind);
    assert_int_equal(command->client, entry->client);
    assert_int_equal(command->number, entry->number);
    assert_int_equal(command->conditional != 0, entry->conditional);
    assert_int_equal(command->if_version, entry->if_version);
    assert_int_equal(command->ttl_ms, entry->ttl_ms);
    assert_int_equal(command->cutoff_ms, entry->cutoff_ms);
    assert_int_equal(command->over_damage != 0, entry->over_damage);
    assert_int_equal(command->key.len, entry->item != NULL ? entry->item->key_length : 0);
    assert_int_equal(command->value.len, entry->item != NULL ? entry->item->value_length : 0);
    if (command->key.len > 0)
        assert_memory_equal(command->key.data, entry->item->bytes, command->key.len);
    if (command->value.len > 0)
        assert_memory_equal(command->value.data, item_value(entry->item), command->value.len);
}

static void what_is_packed_is_what_protobuf_packs(void **state)
{
    struct random random;

    (void)state;
    random_seed(&random, 11);
    for (int i = 0; i < 2000; i++) {
        struct entry *entry = any_entry(&random);
        uint32_t length;
        uint8_t *bytes = pack(entry, &length);
        Cairn__Entry *message = cairn__entry__unpack(NULL, length, bytes);
        uint8_t *again;

        assert_non_null(message);
        assert_says(message, entry);
        assert_int_equal(cairn__entry__get_packed_size(message), length);
        again = malloc(length);
        assert_non_null(again);
        cairn__entry__pack(message, again);
        assert_memory_equal(again, bytes, length);
        free(again);
        cairn__entry__free_unpacked(message, NULL);
        free(bytes);
        entry_free(entry);
    }
}

/* Bytes changed, doubled, cut out or exchanged: an entry that unpacks is what protobuf-c reads. */
static void damage(struct random *random, uint8_t *bytes, uint32_t *length)
{
    const uint32_t at = (uint32_t)random_below(random, *length);
    const uint32_t count = 1 + (uint32_t)random_below(random, *length - at < 9 ? *length - at : 9);

    switch (random_below(random, 3)) {
    case 0:
        bytes[at] = (uint8_t)random_next(random);
        break;
    case 1:
        memmove(bytes + at, bytes + at + count, *length - at - count);
        *length -= count;
        break;
    default:
        memmove(bytes + at + count, bytes + at, *length - at);
        *length += count;
    }
}

static void what_is_unpacked_is_what_protobuf_unpacks(void **state)
{
    struct random random;
    unsigned agreed = 0;

    (void)state;
    random_seed(&random, 12);
    for (int i = 0; i < 100000; i++) {
        struct entry *entry = entry_create(), *read;
        struct error error;
        uint8_t bytes[512];
        uint32_t length;

        assert_non_null(entry);
        entry->kind = COMMAND_PUT;
        entry->index = any_number(&random) | 1;
        entry->epoch = any_number(&random);
        entry->client = any_number(&random);
        entry->if_version = any_number(&random);
        entry->item = item_create((const uint8_t *)"some key", 8, (const uint8_t *)"a value", 7);
        assert_non_null(entry->item);
        length = entry_packed_size(entry);
        assert_true(length < sizeof bytes - 30);
        entry_pack(entry, bytes);
        entry_free(entry);
        for (uint64_t n = random_below(&random, 3); n > 0 && length > 1; n--)
            damage(&random, bytes, &length);
        Cairn__Entry *message = cairn__entry__unpack(NULL, length, bytes);
        if (entry_unpack(bytes, length, &read, &error) == CAIRN_OK) {
            assert_non_null(message);
            assert_says(message, read);
            entry_free(read);
            agreed++;
        }
        if (message != NULL)
            cairn__entry__free_unpacked(message, NULL);
    }
    assert_true(agreed > 30000 && agreed < 90000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_packed_is_what_protobuf_packs),
        cmocka_unit_test(what_is_unpacked_is_what_protobuf_unpacks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
