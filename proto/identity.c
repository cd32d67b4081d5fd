/* See identity.h. The file is a header of 24 bytes and a packed cairn.Identity:
 *
 *     0   8  magic "CAIRNID\n"
 *     8   2  format major, little-endian as all numbers here
 *    10   2  format minor
 *    12   4  length of the packed message
 *    16   8  XXH3-64 of bytes 0 to 15 and the message
 */
#include "proto/identity.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>

#include "base/buffer.h"
#include "base/check.h"
#include "base/file.h"
#include "base/hash.h"
#include "proto/durable.pb-c.h"
#include "proto/limits.h"

enum { FILE_LIMIT = 4096, PACKED_LIMIT = 256 };

struct header {
    char magic[8];
    uint16_t major, minor;
    uint32_t length;
    uint64_t checksum;
};
_Static_assert(sizeof(struct header) == 24, "the header has no padding");

static const char magic[8] = {'C', 'A', 'I', 'R', 'N', 'I', 'D', '\n'};

static const char *role_name(enum identity_role role)
{
    return role == IDENTITY_MANAGER ? "manager" : "server";
}

static uint64_t checksum_of(const struct header *header, const uint8_t *packed)
{
    const struct iovec parts[] = {{(void *)(uintptr_t)header, offsetof(struct header, checksum)},
                                  {(void *)(uintptr_t)packed, header->length}};

    return hash_parts(parts, 2, 0);
}

static int unpack(const char *path, const struct buffer *file, enum identity_role role,
                  struct identity *identity, struct error *error)
{
    struct header header;
    Cairn__Identity *packed;
    int status = CAIRN_OK;

    if (file->length < sizeof header || memcmp(file->data, magic, sizeof magic) != 0)
        return error_set(error, CAIRN_ECORRUPT, "%s: not an identity file", path);
    memcpy(&header, file->data, sizeof header);
    if (header.major > IDENTITY_FORMAT_MAJOR) /* W9; before the checksum, which may have changed */
        return error_set(error, CAIRN_EVERSION, "%s: format %u.%u is newer than %d.%d", path,
                         header.major, header.minor, IDENTITY_FORMAT_MAJOR, IDENTITY_FORMAT_MINOR);
    if (header.length != file->length - sizeof header ||
        checksum_of(&header, file->data + sizeof header) != header.checksum)
        return error_set(error, CAIRN_ECORRUPT, "%s: offset 0: the checksum does not match", path);
    packed = cairn__identity__unpack(NULL, header.length, file->data + sizeof header);
    if (packed == NULL)
        return error_set(error, CAIRN_ECORRUPT, "%s: offset 24: not an identity", path);
    if (strcmp(packed->role, role_name(role)) != 0)
        status = error_set(error, CAIRN_ECONFLICT, "%s: belongs to a %.32s, not to a %s", path,
                           packed->role, role_name(role));
    else if (packed->store == 0 || packed->partitions > CAIRN_PARTITIONS_LIMIT)
        status = error_set(error, CAIRN_ECORRUPT, "%s: offset 24: not an identity", path);
    *identity = (struct identity){.role = role,
                                  .cluster = packed->cluster,
                                  .server = packed->server,
                                  .store = packed->store,
                                  .incarnation = packed->incarnation,
                                  .partitions = packed->partitions};
    cairn__identity__free_unpacked(packed, NULL);
    return status;
}

int identity_load(const char *directory, enum identity_role role, struct identity *identity,
                  struct error *error)
{
    char path[PATH_MAX];
    struct buffer file;
    int status;

    memset(identity, 0, sizeof *identity);
    if (snprintf(path, sizeof path, "%s/IDENTITY", directory) >= (int)sizeof path)
        return error_set(error, CAIRN_EINVAL, "directory name: too long");
    buffer_init(&file, FILE_LIMIT);
    status = file_read(path, &file, error);
    if (status == CAIRN_ETOOBIG)
        status = error_set(error, CAIRN_ECORRUPT, "%s: not an identity file", path);
    if (status == CAIRN_OK)
        status = unpack(path, &file, role, identity, error);
    buffer_free(&file);
    return status;
}

int identity_save(const char *directory, const struct identity *identity, struct error *error)
{
    char path[PATH_MAX];
    uint8_t bytes[sizeof(struct header) + PACKED_LIMIT];
    struct header header = {.major = IDENTITY_FORMAT_MAJOR, .minor = IDENTITY_FORMAT_MINOR};
    Cairn__Identity packed = CAIRN__IDENTITY__INIT;

    if (snprintf(path, sizeof path, "%s/IDENTITY", directory) >= (int)sizeof path)
        return error_set(error, CAIRN_EINVAL, "directory name: too long");
    packed.cluster = identity->cluster;
    packed.server = identity->server;
    packed.store = identity->store;
    packed.incarnation = identity->incarnation;
    packed.partitions = identity->partitions;
    packed.role = (char *)(uintptr_t)role_name(identity->role);
    CHECK(identity->store != 0);
    CHECK(cairn__identity__get_packed_size(&packed) <= PACKED_LIMIT);
    memcpy(header.magic, magic, sizeof magic);
    header.length = (uint32_t)cairn__identity__pack(&packed, bytes + sizeof header);
    header.checksum = checksum_of(&header, bytes + sizeof header);
    memcpy(bytes, &header, sizeof header);
    return file_replace(path, bytes, sizeof header + header.length, error);
}
