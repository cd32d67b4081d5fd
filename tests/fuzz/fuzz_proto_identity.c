/* The file IDENTITY: what is accepted is written and read again as the same (R10, W9).
 *
 * The input: a byte whose bit 0 puts the length and the checksum right, and bit 1 asks for a
 * manager; the file. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/uio.h>

#include "base/check.h"
#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
#include "proto/durable.pb-c.h"
#include "proto/identity.h"
#include "proto/limits.h"
#include "tests/fuzz/lib/fuzz.h"

enum { FIXED = 1, MANAGER = 2, LENGTH_AT = 12, CHECKSUM_AT = 16, HEADER = 24 };

static void put_at(uint8_t *to, uint64_t number, int bytes)
{
    for (int i = 0; i < bytes; i++)
        to[i] = (uint8_t)(number >> (8 * i));
}

static void fix(uint8_t *file, size_t size)
{
    const struct iovec parts[] = {{file, CHECKSUM_AT}, {file + HEADER, size - HEADER}};

    put_at(file + LENGTH_AT, size - HEADER, 4);
    put_at(file + CHECKSUM_AT, hash_parts(parts, 2, 0), 8);
}

static void require_same(const struct identity *left, const struct identity *right)
{
    CHECK(left->role == right->role && left->cluster == right->cluster &&
          left->server == right->server && left->store == right->store &&
          left->incarnation == right->incarnation && left->partitions == right->partitions);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {data, size};
    const unsigned flags = input_u8(&input);
    const enum identity_role role = (flags & MANAGER) != 0 ? IDENTITY_MANAGER : IDENTITY_SERVER;
    uint8_t *file = fuzz_copy(input.data, input.left);
    struct identity identity, again;
    struct error error = {0};

    if ((flags & FIXED) != 0 && input.left >= HEADER)
        fix(file, input.left);
    fuzz_file("IDENTITY", file, input.left);
    free(file);
    if (identity_load(fuzz_directory(), role, &identity, &error) != 0) {
        CHECK(error.code == CAIRN_ECORRUPT || error.code == CAIRN_EVERSION ||
              error.code == CAIRN_ECONFLICT);
        return 0;
    }
    fuzz_accepted++;
    CHECK(identity.store != 0 && identity.partitions <= CAIRN_PARTITIONS_LIMIT &&
          identity.role == role);
    CHECK(identity_save(fuzz_directory(), &identity, &error) == 0);
    CHECK(identity_load(fuzz_directory(), role, &again, &error) == 0);
    require_same(&identity, &again);
    return 0;
}

bool fuzz_seed(unsigned number, struct buffer *out)
{
    struct identity identity = {.role = number % 2 == 1 ? IDENTITY_MANAGER : IDENTITY_SERVER,
                                .cluster = 7 * number,
                                .server = number,
                                .store = 99,
                                .incarnation = 300,
                                .partitions = 64 * (number / 2)};
    struct error error = {0};
    struct buffer file;
    char path[256];

    if (number >= 4)
        return false;
    CHECK(identity_save(fuzz_directory(), &identity, &error) == 0);
    CHECK(snprintf(path, sizeof path, "%s/IDENTITY", fuzz_directory()) < (int)sizeof path);
    buffer_init(&file, 1 << 16);
    CHECK(file_read(path, &file, &error) == 0);
    seed_number(out, (number / 2 * FIXED) | (number % 2 * MANAGER), 1);
    seed_bytes(out, file.data, file.length);
    buffer_free(&file);
    return true;
}
