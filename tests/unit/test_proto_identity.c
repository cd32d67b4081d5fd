/* R10, W9: whose directory it is comes back as written, or not at all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/hash.h"
#include "proto/identity.h"
#include "proto/limits.h"

enum { HEADER_SIZE = 24 };

struct place {
    char root[32], path[48];
    struct error error;
    struct identity loaded;
};

static const struct identity sample = {
    .role = IDENTITY_SERVER,
    .cluster = UINT64_C(0x1122334455667788),
    .server = 7,
    .store = UINT64_MAX,
    .incarnation = 300,
    .partitions = CAIRN_PARTITIONS_LIMIT,
};

static int enter(void **state)
{
    struct place *place = calloc(1, sizeof *place);

    if (place == NULL)
        return -1;
    memcpy(place->root, "/tmp/cairn-identity-XXXXXX", 27);
    if (mkdtemp(place->root) == NULL)
        return -1;
    (void)snprintf(place->path, sizeof place->path, "%s/IDENTITY", place->root);
    *state = place;
    return 0;
}

static int leave(void **state)
{
    struct place *place = *state;
    int status = unlink(place->path);

    if (rmdir(place->root) != 0)
        status = -1;
    free(place);
    return status;
}

static int load(struct place *place, enum identity_role role)
{
    memset(&place->loaded, 0x55, sizeof place->loaded);
    return identity_load(place->root, role, &place->loaded, &place->error);
}

static void read_file(struct place *place, struct buffer *file)
{
    buffer_init(file, 65536);
    assert_int_equal(file_read(place->path, file, NULL), 0);
}

/* Puts a right checksum on changed bytes. */
static void seal(struct buffer *file)
{
    const struct iovec parts[] = {{file->data, 16},
                                  {file->data + HEADER_SIZE, file->length - HEADER_SIZE}};
    const uint64_t checksum = hash_parts(parts, 2, 0);

    for (int i = 0; i < 8; i++)
        file->data[16 + i] = (uint8_t)(checksum >> (8 * i));
}

static int load_bytes(struct place *place, const void *bytes, size_t length)
{
    assert_int_equal(file_replace(place->path, bytes, length, NULL), 0);
    return load(place, IDENTITY_SERVER);
}

static void identity_comes_back_as_saved(void **state)
{
    struct place *place = *state;
    struct identity manager = {.role = IDENTITY_MANAGER, .store = 1};

    assert_int_equal(identity_save(place->root, &sample, &place->error), 0);
    assert_int_equal(load(place, IDENTITY_SERVER), 0);
    assert_int_equal(place->loaded.role, IDENTITY_SERVER);
    assert_true(place->loaded.cluster == sample.cluster && place->loaded.store == sample.store);
    assert_int_equal(place->loaded.server, 7);
    assert_int_equal(place->loaded.incarnation, 300);
    assert_int_equal(place->loaded.partitions, CAIRN_PARTITIONS_LIMIT);
    assert_int_equal(identity_save(place->root, &manager, &place->error), 0);
    assert_int_equal(load(place, IDENTITY_MANAGER), 0);
    assert_true(place->loaded.cluster == 0 && place->loaded.store == 1);
}

/* The example of FORMATS.md, byte by byte. */
static void file_is_as_documented(void **state)
{
    static const uint8_t wanted[] = {
        'C',  'A',  'I',  'R',  'N',  'I',  'D',  '\n',       /* magic */
        1,    0,    0,    0,    34,   0,    0,    0,          /* version, length */
        0x6c, 0x47, 0xa9, 0xc0, 0xad, 0x0b, 0x97, 0xcb,       /* checksum */
        0x08, 1,                                              /* format_major */
        0x19, 0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11, /* cluster */
        0x20, 2,                                              /* server */
        0x29, 8,    7,    6,    5,    4,    3,    2,    1,    /* store */
        0x30, 3,                                              /* incarnation */
        0x3a, 6,    's',  'e',  'r',  'v',  'e',  'r',        /* role */
        0x40, 64,                                             /* partitions */
    };
    const struct identity example = {
        .role = IDENTITY_SERVER,
        .cluster = UINT64_C(0x1122334455667788),
        .server = 2,
        .store = UINT64_C(0x0102030405060708),
        .incarnation = 3,
        .partitions = 64,
    };
    struct place *place = *state;
    struct buffer file;

    assert_int_equal(identity_save(place->root, &example, &place->error), 0);
    read_file(place, &file);
    assert_int_equal(file.length, sizeof wanted);
    assert_memory_equal(file.data, wanted, sizeof wanted);
    buffer_free(&file);
}

static void absent_identity_is_told_apart(void **state)
{
    struct place *place = *state;

    assert_int_equal(load(place, IDENTITY_SERVER), CAIRN_ENOTFOUND);
    assert_true(place->loaded.store == 0 && place->loaded.cluster == 0);
    assert_int_equal(identity_save(place->root, &sample, &place->error), 0);
}

static void another_role_is_a_conflict(void **state)
{
    struct place *place = *state;

    assert_int_equal(identity_save(place->root, &sample, &place->error), 0);
    assert_int_equal(load(place, IDENTITY_MANAGER), CAIRN_ECONFLICT);
    assert_non_null(strstr(place->error.message, "belongs to a server, not to a manager"));
    assert_true(place->loaded.store == 0);
}

static void every_flipped_bit_is_noticed(void **state)
{
    struct place *place = *state;
    struct buffer file;

    assert_int_equal(identity_save(place->root, &sample, &place->error), 0);
    read_file(place, &file);
    for (size_t bit = 0; bit < 8 * file.length; bit++) {
        const bool in_major = bit / 8 == 8 || bit / 8 == 9;
        int status;

        file.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        status = load_bytes(place, file.data, file.length);
        assert_true(status == CAIRN_ECORRUPT || (in_major && status == CAIRN_EVERSION));
        assert_true(place->loaded.store == 0);
        file.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    assert_int_equal(load_bytes(place, file.data, file.length), 0);
    buffer_free(&file);
}

static void every_truncation_and_any_tail_is_noticed(void **state)
{
    struct place *place = *state;
    struct buffer file;

    assert_int_equal(identity_save(place->root, &sample, &place->error), 0);
    read_file(place, &file);
    for (size_t length = 0; length < file.length; length++)
        assert_int_equal(load_bytes(place, file.data, length), CAIRN_ECORRUPT);
    assert_int_equal(buffer_append(&file, "", 1), 0);
    assert_int_equal(load_bytes(place, file.data, file.length), CAIRN_ECORRUPT);
    while (file.length < 8192)
        assert_int_equal(buffer_append(&file, "", 1), 0);
    assert_int_equal(load_bytes(place, file.data, file.length), CAIRN_ECORRUPT);
    assert_non_null(strstr(place->error.message, place->path));
    buffer_free(&file);
}

/* W9: refused with a clear error even if all behind the version means something else. */
static void newer_major_version_is_refused(void **state)
{
    struct place *place = *state;
    struct buffer file;

    assert_int_equal(identity_save(place->root, &sample, &place->error), 0);
    read_file(place, &file);
    file.data[8] = 2;
    assert_int_equal(load_bytes(place, file.data, file.length), CAIRN_EVERSION);
    assert_non_null(strstr(place->error.message, "format version 2 is newer than 1"));
    seal(&file);
    assert_int_equal(load_bytes(place, file.data, file.length), CAIRN_EVERSION);
    file.data[8] = 0;
    seal(&file);
    assert_int_equal(load_bytes(place, file.data, file.length), CAIRN_ECORRUPT);
    buffer_free(&file);
}

static void newer_minor_version_is_read(void **state)
{
    static const uint8_t unknown_field[] = {0xf8, 0x07, 0x2a}; /* field 127, varint 42 */
    struct place *place = *state;
    struct buffer file;

    assert_int_equal(identity_save(place->root, &sample, &place->error), 0);
    read_file(place, &file);
    file.data[10] = 9;
    assert_int_equal(buffer_append(&file, unknown_field, sizeof unknown_field), 0);
    file.data[12] = (uint8_t)(file.data[12] + sizeof unknown_field);
    seal(&file);
    assert_int_equal(load_bytes(place, file.data, file.length), 0);
    assert_true(place->loaded.store == sample.store);
    buffer_free(&file);
}

/* Right checksums around fields that contradict each other. */
static void senseless_fields_are_refused(void **state)
{
    static const uint8_t no_store[] = {0x08, 1, 0x3a, 6, 's', 'e', 'r', 'v', 'e', 'r'};
    static const uint8_t no_role[] = {0x08, 1, 0x29, 1, 0, 0, 0, 0, 0, 0, 0};
    static const uint8_t many[] = {0x08, 1,   0x29, 1,   0,   0,   0,   0,    0,    0,    0,   0x3a,
                                   6,    's', 'e',  'r', 'v', 'e', 'r', 0x40, 0x81, 0x80, 0x01};
    static const uint8_t not_protobuf[] = {0xff, 0xff, 0xff};
    const struct {
        const uint8_t *bytes;
        size_t length;
    } cases[] = {{no_store, sizeof no_store},
                 {no_role, sizeof no_role},
                 {many, sizeof many},
                 {not_protobuf, sizeof not_protobuf},
                 {NULL, 0}};
    struct place *place = *state;
    struct buffer file;

    assert_int_equal(identity_save(place->root, &sample, &place->error), 0);
    read_file(place, &file);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        file.length = HEADER_SIZE;
        file.data[12] = (uint8_t)cases[i].length;
        assert_int_equal(buffer_append(&file, cases[i].bytes, cases[i].length), 0);
        seal(&file);
        assert_int_equal(load_bytes(place, file.data, file.length), CAIRN_ECORRUPT);
        assert_true(place->loaded.store == 0);
    }
    buffer_free(&file);
}

static void saving_into_nothing_fails(void **state)
{
    struct place *place = *state;
    char long_name[5000];

    assert_int_equal(identity_save("/nonexistent/directory", &sample, &place->error), CAIRN_EIO);
    memset(long_name, 'x', sizeof long_name - 1);
    long_name[sizeof long_name - 1] = '\0';
    assert_int_equal(identity_save(long_name, &sample, &place->error), CAIRN_EINVAL);
    assert_int_equal(identity_load(long_name, IDENTITY_SERVER, &place->loaded, &place->error),
                     CAIRN_EINVAL);
    assert_int_equal(identity_save(place->root, &sample, &place->error), 0);
}

#define IDENTITY_TEST(test) cmocka_unit_test_setup_teardown(test, enter, leave)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IDENTITY_TEST(identity_comes_back_as_saved),
        IDENTITY_TEST(file_is_as_documented),
        IDENTITY_TEST(absent_identity_is_told_apart),
        IDENTITY_TEST(another_role_is_a_conflict),
        IDENTITY_TEST(every_flipped_bit_is_noticed),
        IDENTITY_TEST(every_truncation_and_any_tail_is_noticed),
        IDENTITY_TEST(newer_major_version_is_refused),
        IDENTITY_TEST(newer_minor_version_is_read),
        IDENTITY_TEST(senseless_fields_are_refused),
        IDENTITY_TEST(saving_into_nothing_fails),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
