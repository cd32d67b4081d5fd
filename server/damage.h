/* Which copies of this store are known to be damaged (R13), across restarts: the file DAMAGED.
 *
 * A copy found damaged may have missed what an entry did; that it is not to lead must not be
 * forgotten with the process. The mark goes once the copy was installed anew. */
#ifndef CAIRN_SERVER_DAMAGE_H
#define CAIRN_SERVER_DAMAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

enum { DAMAGE_FORMAT = 1 };

struct damage {
    const char *directory; /* the data directory; the caller's */
    uint32_t partitions;
    bool *marks;  /* [partitions] */
    bool unsaved; /* the file could not be written: it says something else */
};

/* Reads the file; without one nothing is marked. CAIRN_ECORRUPT if it is damaged itself,
 * CAIRN_EVERSION for a newer format (W9), CAIRN_EIO, CAIRN_ENOMEM; the message names it. To be
 * closed in any case. */
int damage_open(struct damage *damage, const char *directory, uint32_t partitions,
                struct error *error);
void damage_close(struct damage *damage);

bool damage_has(const struct damage *damage, uint32_t partition);
/* Both write the file at once, synced (W4); this blocks, and is rare. A failure is logged and
 * leaves `unsaved`. No change, no write. */
void damage_mark(struct damage *damage, uint32_t partition);
void damage_clear(struct damage *damage, uint32_t partition);
/* Writes what could not be written before. */
void damage_retry(struct damage *damage);

#endif
