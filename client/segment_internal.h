/* What the files of the segment share. */
#ifndef CAIRN_CLIENT_SEGMENT_INTERNAL_H
#define CAIRN_CLIENT_SEGMENT_INTERNAL_H

#include "client/segment.h"
#include "client/segment_names.h"

/* struct cache_locks; the context is the segment. */
bool segment_try_lock_stripe(void *context, uint32_t stripe);
void segment_unlock_stripe(void *context, uint32_t stripe);

/* Maps and attaches the open descriptor, which is the segment's on success and the caller's on
 * failure. `cluster` 0: any. CAIRN_EIO: another user's, or not a file that can be mapped.
 * CAIRN_ECORRUPT, CAIRN_EVERSION: cannot be used and may be replaced. CAIRN_ENOMEM. */
int segment_take(const struct segment_place *place, const char *path, int descriptor,
                 uint64_t cluster, struct segment **segment);
/* Makes a segment under a new name and links it to `path`. CAIRN_EBUSY: another one is there by
 * now. CAIRN_ENOSPC, CAIRN_EIO. */
int segment_create(const struct segment_place *place, const char *path, uint64_t cluster,
                   size_t bytes, struct error *error);
/* posix_fallocate(3). CAIRN_ENOSPC, CAIRN_EIO. */
int segment_reserve(int descriptor, size_t offset, size_t length);

#endif
