/* Names of segments:
 *
 *     /cairn-<uid>-<boot, 8 hex><time namespace, 8 hex>-<cluster, 16 hex>[-<name>]
 *     /cairn-<uid>-<boot, 8 hex><time namespace, 8 hex>-new-<16 hex>      being made
 *
 * Clocks of different boots and time namespaces cannot be compared, so their segments have
 * different names. glibc keeps what shm_open(3) names in SEGMENT_DIRECTORY, a tmpfs; listing and
 * linking, for which POSIX has no calls, go there by path. */
#ifndef CAIRN_CLIENT_SEGMENT_NAMES_H
#define CAIRN_CLIENT_SEGMENT_NAMES_H

#include <stdbool.h>
#include <stdint.h>

#include "client/segment.h"

#define SEGMENT_DIRECTORY "/dev/shm"

enum { SEGMENT_FILE_MAX = SEGMENT_PATH_MAX + sizeof SEGMENT_DIRECTORY };

enum segment_kind {
    SEGMENT_FOREIGN,  /* no name of ours, or another user's or time namespace's */
    SEGMENT_CURRENT,  /* of this user, boot and time namespace */
    SEGMENT_NEW,      /* likewise, and being made */
    SEGMENT_OUTDATED, /* of this user and an earlier boot */
};

/* Who is asking. */
struct segment_place {
    uint64_t owner; /* effective user id */
    uint64_t boot;  /* hash of the boot's id, 32 bits, and number of the time namespace, 32 bits */
};

/* CAIRN_EIO: /proc does not say which boot this is. */
int segment_place_find(struct segment_place *place);
/* NULL is a valid name. */
bool segment_name_is_valid(const char *name);
void segment_path(const struct segment_place *place, uint64_t cluster, const char *name,
                  char path[SEGMENT_PATH_MAX]);
void segment_path_new(const struct segment_place *place, uint64_t number,
                      char path[SEGMENT_PATH_MAX]);
/* What `path` ("/cairn-...") names; `listing` is set for SEGMENT_CURRENT, but for `bytes`. */
enum segment_kind segment_path_parse(const struct segment_place *place, const char *path,
                                     struct segment_listing *listing);
/* The path in the file system. */
void segment_file(const char *path, char file[SEGMENT_FILE_MAX]);

#endif
