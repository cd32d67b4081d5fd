/* Whether LMDB's file makes sense, page by page, looked at before LMDB reads it (W8).
 *
 * LMDB has no checksums: it follows a flipped pointer out of the map, or finds no row where there
 * is one. So a start reads all pages but those of large values, and takes nothing on trust. */
#ifndef CAIRN_SERVER_STORE_PAGES_H
#define CAIRN_SERVER_STORE_PAGES_H

#include <stdint.h>

#include "base/error.h"
#include "server/value.h"

struct store_pages {
    struct store_keys *keys; /* [partitions], the caller's, zeroed: what the file holds of each */
    uint64_t stranger_at;    /* offset of a table that is none of ours; 0: there is none */
};

/* An absent or empty file is fine. CAIRN_ECORRUPT with file and offset in the message, CAIRN_EIO,
 * CAIRN_ENOMEM. */
int store_pages_check(const char *path, uint32_t partitions, struct store_pages *pages,
                      struct error *error);

#endif
