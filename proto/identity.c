/* The file IDENTITY (ARCHITECTURE.md R10, W9), little-endian:
 *
 *   offset  size  field
 *        0     8  magic "CAIRNID\n"
 *        8     2  major version, 1; a newer one is refused
 *       10     2  minor version, 0; a newer one is read, its unknown fields ignored
 *       12     4  length of the payload, at most 4096
 *       16     8  XXH3-64 of bytes 0 to 15 and the payload
 *       24     -  payload: a cairn.Identity of durable.proto; the file ends with it
 */
#include "proto/identity.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>

#include "base/check.h"
#include "base/file.h"
#include "base/hash.h"
#include "proto/durable.pb-c.h"
#include "proto/limits.h"

enum { HEADER_SIZE = 24, CHECKSUM_AT = 16, PAYLOAD_LIMIT = 4096 };

static const uint8_t magic[8] = {'C', 'A', 'I', 'R', 'N', 'I', 'D', '\n'};

static void put_little(uint8_t *to, uint64_t value, int size)
{
    for (int i = 0; i < size; i++)
        to[i] = (uint8_t)(value >> (8 * i));
}

static uint64_t get_little(const uint8_t *from, int size)
{
    uint64_t value = 0;

    for (int i = size - 1; i >= 0; i--)
        value = value << 8 | from[i];
    return value;
}

static uint64_t checksum(const uint8_t *header, const uint8_t *payload, size_t length)
{
    const struct iovec parts[] = {
        {.iov_base = (void *)(uintptr_t)header, .iov_len = CHECKSUM_AT},
        {.iov_base = (void *)(uintptr_t)payload, .iov_len = length},
    };

    return hash_parts(parts, 2, 0);
}

static const char *role_text(enum identity_role role)
{
    return role == IDENTITY_MANAGER ? "manager" : "server";
}

static int file_name(const char *directory, char out[PATH_MAX], struct error *error)
{
    const int length = snprintf(out, PATH_MAX, "%s/IDENTITY", directory);

    if (length < 0 || length >= PATH_MAX)
        return error_set(error, CAIRN_EINVAL, "%.64s...: path longer than %d bytes", directory,
                         PATH_MAX - 1);
    return 0;
}

/* Everything in front of the payload; the version is looked at first, because a newer major
 * version may have changed all that follows it. */
static int check_frame(const char *path, const uint8_t *file, size_t length, struct error *error)
{
    uint64_t major;

    if (length < HEADER_SIZE || memcmp(file, magic, sizeof magic) != 0)
        return error_set(error, CAIRN_ECORRUPT, "%s: not an identity file", path);
    major = get_little(file + 8, 2);
    if (major > IDENTITY_FORMAT_MAJOR)
        return error_set(error, CAIRN_EVERSION,
                         "%s: format version %u is newer than %d, the newest this program reads",
                         path, (unsigned)major, IDENTITY_FORMAT_MAJOR);
    if (major != IDENTITY_FORMAT_MAJOR ||
        get_little(file + 12, 4) != (uint64_t)(length - HEADER_SIZE) ||
        get_little(file + CHECKSUM_AT, 8) !=
            checksum(file, file + HEADER_SIZE, length - HEADER_SIZE))
        return error_set(error, CAIRN_ECORRUPT, "%s: damaged: length or checksum is wrong", path);
    return 0;
}

static int take_message(const char *path, const Cairn__Identity *message, enum identity_role role,
                        struct identity *identity, struct error *error)
{
    const bool is_server = strcmp(message->role, role_text(IDENTITY_SERVER)) == 0;
    const bool is_manager = strcmp(message->role, role_text(IDENTITY_MANAGER)) == 0;

    if (message->format_major != IDENTITY_FORMAT_MAJOR || message->store == 0 ||
        message->partitions > CAIRN_PARTITIONS_LIMIT || (!is_server && !is_manager))
        return error_set(error, CAIRN_ECORRUPT, "%s: damaged: its fields contradict each other",
                         path);
    if (strcmp(message->role, role_text(role)) != 0)
        return error_set(error, CAIRN_ECONFLICT, "%s: the directory belongs to a %s, not to a %s",
                         path, message->role, role_text(role));
    *identity = (struct identity){
        .role = role,
        .cluster = message->cluster,
        .server = message->server,
        .store = message->store,
        .incarnation = message->incarnation,
        .partitions = message->partitions,
    };
    return 0;
}

int identity_load(const char *directory, enum identity_role role, struct identity *identity,
                  struct error *error)
{
    char path[PATH_MAX];
    struct buffer file;
    Cairn__Identity *message = NULL;
    int status = file_name(directory, path, error);

    memset(identity, 0, sizeof *identity);
    if (status != 0)
        return status;
    buffer_init(&file, HEADER_SIZE + PAYLOAD_LIMIT);
    status = file_read(path, &file, error);
    if (status == CAIRN_ETOOBIG)
        status = error_set(error, CAIRN_ECORRUPT, "%s: too big for an identity file", path);
    if (status == 0)
        status = check_frame(path, file.data, file.length, error);
    if (status == 0) {
        message = cairn__identity__unpack(NULL, file.length - HEADER_SIZE, file.data + HEADER_SIZE);
        status = message == NULL ? error_set(error, CAIRN_ECORRUPT, "%s: damaged payload", path)
                                 : take_message(path, message, role, identity, error);
    }
    if (message != NULL)
        cairn__identity__free_unpacked(message, NULL);
    buffer_free(&file);
    return status;
}

int identity_save(const char *directory, const struct identity *identity, struct error *error)
{
    char path[PATH_MAX];
    char role[16];
    uint8_t file[HEADER_SIZE + PAYLOAD_LIMIT];
    Cairn__Identity message = CAIRN__IDENTITY__INIT;
    const int status = file_name(directory, path, error);
    size_t length;

    if (status != 0)
        return status;
    CHECK(identity->store != 0 && identity->partitions <= CAIRN_PARTITIONS_LIMIT);
    CHECK(identity->role == IDENTITY_SERVER || identity->role == IDENTITY_MANAGER);
    (void)snprintf(role, sizeof role, "%s", role_text(identity->role));
    message.format_major = IDENTITY_FORMAT_MAJOR;
    message.format_minor = IDENTITY_FORMAT_MINOR;
    message.cluster = identity->cluster;
    message.server = identity->server;
    message.store = identity->store;
    message.incarnation = identity->incarnation;
    message.partitions = identity->partitions;
    message.role = role;
    length = cairn__identity__get_packed_size(&message);
    CHECK(length <= PAYLOAD_LIMIT);
    CHECK(cairn__identity__pack(&message, file + HEADER_SIZE) == length);
    memcpy(file, magic, sizeof magic);
    put_little(file + 8, IDENTITY_FORMAT_MAJOR, 2);
    put_little(file + 10, IDENTITY_FORMAT_MINOR, 2);
    put_little(file + 12, length, 4);
    put_little(file + CHECKSUM_AT, checksum(file, file + HEADER_SIZE, length), 8);
    return file_replace(path, file, HEADER_SIZE + length, error);
}
