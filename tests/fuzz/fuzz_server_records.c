/* Records of the store: values, sessions, positions, the format's version. What passes its checksum
 * (W8) encodes to the same bytes, but for what a reader treats alike.
 *
 * The input: a byte for the kind, with FIXED to put the checksums right; the partition (16 bits);
 * the key behind its length (8 bits); the record. */
#include <stdlib.h>

#include "base/check.h"
#include "base/error.h"
#include "base/hash.h"
#include "server/value.h"
#include "tests/fuzz/lib/fuzz.h"

enum { VALUE, SESSION, POSITION, FORMAT, KINDS };
enum { FIXED = 0x80, KEY_MAX = 255 };

struct subject {
    bool fixed;
    uint32_t partition;
    const uint8_t *key;
    size_t key_length;
    uint8_t *record;
    size_t length;
};

static void put_at(uint8_t *to, uint64_t number)
{
    for (int i = 0; i < 8; i++)
        to[i] = (uint8_t)(number >> (8 * i));
}

static void take_value(const struct subject *subject)
{
    const uint32_t key_length = (uint32_t)subject->key_length;
    struct item item = {0};
    struct store_value value;
    uint8_t header[VALUE_HEADER_BYTES];

    if (subject->fixed &&
        value_decode(subject->record, subject->length, &value, &item.checksum) == 0)
        put_at(subject->record + 25, value_checksum(subject->key, key_length, &value));
    if (value_decode_checked(subject->record, subject->length, subject->key, key_length, &value) !=
        0)
        return;
    fuzz_accepted++;
    CHECK(value.length == subject->length - VALUE_HEADER_BYTES);
    item.version = value.version;
    item.modified = value.modified;
    item.expires_ms = value.expires_ms;
    item.checksum = value_checksum(subject->key, key_length, &value);
    value_encode_header(header, &item);
    CHECK(memcmp(header, subject->record, sizeof header) == 0);
}

static void fix_session(const struct subject *subject, const struct stored_key *key)
{
    const uint8_t *old = subject->record + SESSION_HEADER_BYTES;

    if (!subject->fixed || subject->length < SESSION_HEADER_BYTES)
        return;
    put_at(subject->record + 28, subject->length == SESSION_HEADER_BYTES
                                     ? 0
                                     : hash_bytes(old, subject->length - SESSION_HEADER_BYTES));
    put_at(subject->record + 36,
           hash_seeded(subject->record, 36, hash_bytes(key->bytes, key->length)));
}

static void take_session(const struct subject *subject)
{
    struct input input = {subject->key, subject->key_length};
    const uint64_t client = input_number(&input, 8);
    struct session_record record, again;
    struct stored_key key;

    session_key(&key, subject->partition, client);
    fix_session(subject, &key);
    if (session_decode(&key, subject->record, subject->length, true, &record) != 0)
        return;
    fuzz_accepted++;
    CHECK(record.client == client);
    /* Of the flags, all but 0 are true: those alone may be written otherwise. */
    session_encode_header(subject->record, &key, &record);
    CHECK(session_decode(&key, subject->record, subject->length, true, &again) == 0);
    CHECK(again.code == record.code && again.existed == record.existed &&
          again.has_old_value == record.has_old_value && again.number == record.number &&
          again.used_ms == record.used_ms && again.version == record.version &&
          again.old_value_length == record.old_value_length);
}

static void take_position(const struct subject *subject)
{
    struct store_position position, again;
    uint8_t bytes[POSITION_BYTES];
    const size_t checked = subject->length - 8;

    if (subject->fixed && subject->length >= 8)
        put_at(subject->record + checked,
               hash_seeded(subject->record, checked, subject->partition));
    if (position_decode(subject->record, subject->length, subject->partition, &position) != 0)
        return;
    fuzz_accepted++;
    CHECK(subject->length == POSITION_BYTES || !position.installing);
    position_encode(bytes, subject->partition, &position);
    CHECK(position_decode(bytes, sizeof bytes, subject->partition, &again) == 0);
    CHECK(again.history == position.history && again.epoch == position.epoch &&
          again.index == position.index && again.log_time_ms == position.log_time_ms &&
          again.seen_epoch == position.seen_epoch && again.install == position.install &&
          again.installing == position.installing);
    CHECK(position_decode(bytes, sizeof bytes, subject->partition + 1, &again) != 0);
}

static void take_format(const struct subject *subject)
{
    uint32_t major, partitions, again;
    uint8_t bytes[FORMAT_BYTES];

    if (format_decode(subject->record, subject->length, &major, &partitions) != 0)
        return;
    fuzz_accepted++;
    format_encode(bytes, partitions);
    CHECK(format_decode(bytes, sizeof bytes, &major, &again) == 0);
    CHECK(major == STORE_FORMAT_MAJOR && again == partitions);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const takers[KINDS])(const struct subject *subject) = {[VALUE] = take_value,
                                                                         [SESSION] = take_session,
                                                                         [POSITION] = take_position,
                                                                         [FORMAT] = take_format};
    struct input input = {data, size};
    const unsigned kind = input_u8(&input);
    struct subject subject = {.fixed = (kind & FIXED) != 0};
    size_t key_length;

    subject.partition = (uint32_t)input_number(&input, 2) % CAIRN_PARTITIONS_LIMIT;
    key_length = input_u8(&input);
    subject.key = input_bytes(&input, key_length, &subject.key_length);
    subject.record = fuzz_copy(input.data, input.left);
    subject.length = input.left;
    takers[(kind & ~(unsigned)FIXED) % KINDS](&subject);
    free(subject.record);
    return 0;
}

/* The checksums are left to FIXED. */
static void put_record(unsigned number, struct buffer *out)
{
    const uint8_t session[SESSION_HEADER_BYTES] = {1, 1, 1, 1, 9};
    const uint8_t position[POSITION_BYTES] = {1, [8] = 2, [16] = 3, [48] = 1};
    uint8_t format[FORMAT_BYTES];

    switch (number) {
    case VALUE:
        seed_bytes(out, "\1version.modified.expires.checksum.value", 38);
        break;
    case SESSION:
        seed_bytes(out, session, sizeof session);
        break;
    case POSITION:
        seed_bytes(out, position, sizeof position);
        break;
    case FORMAT:
        format_encode(format, 64);
        seed_bytes(out, format, sizeof format);
        break;
    case KINDS:
        seed_bytes(out, position, POSITION_BYTES_1_0);
        break;
    default:
        seed_bytes(out, session, sizeof session);
        seed_text(out, "old value");
    }
}

bool fuzz_seed(unsigned number, struct buffer *out)
{
    static const uint8_t kinds[] = {VALUE, SESSION, POSITION, FORMAT, POSITION, SESSION};

    if (number >= sizeof kinds)
        return false;
    seed_number(out, kinds[number] | FIXED, 1);
    seed_number(out, 2, 2);
    seed_number(out, 3, 1);
    seed_text(out, "key");
    put_record(number, out);
    return true;
}
