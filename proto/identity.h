/* The file IDENTITY of a data directory: whose it is (ARCHITECTURE.md R10, W9). Bytes in
 * FORMATS.md. */
#ifndef CAIRN_PROTO_IDENTITY_H
#define CAIRN_PROTO_IDENTITY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

enum { IDENTITY_FORMAT_MAJOR = 1, IDENTITY_FORMAT_MINOR = 0 };
enum identity_role { IDENTITY_SERVER = 1, IDENTITY_MANAGER = 2 };

struct identity {
    enum identity_role role;
    uint64_t cluster; /* 0: not yet part of one */
    uint32_t server;
    uint64_t store;       /* random, non-zero */
    uint64_t incarnation; /* grows with each start of this store */
    uint32_t partitions;  /* of the cluster; 0: not yet known */
};

/* Reads DIRECTORY/IDENTITY. CAIRN_ENOTFOUND if there is none; CAIRN_ECORRUPT if it is damaged;
 * CAIRN_EVERSION if a newer major version wrote the directory; CAIRN_ECONFLICT for another role. */
int identity_load(const char *directory, enum identity_role role, struct identity *identity,
                  struct error *error);
/* Writes it whole and synced (W4). */
int identity_save(const char *directory, const struct identity *identity, struct error *error);

#endif
