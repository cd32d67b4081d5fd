/* The nemesis' folder. Private to it.
 *
 * One that was made under TMPDIR holds a file that is locked for as long as this process runs: who
 * finds it unlocked may remove the folder, for its run was killed. */
#ifndef CAIRN_FUZZ_NEMESIS_FOLDER_H
#define CAIRN_FUZZ_NEMESIS_FOLDER_H

#include "base/error.h"
#include "fuzz/node.h"

struct folder {
    char path[NODE_PATH_MAX];
    int owner; /* the locked file, or -1 */
};

/* Makes the folder, or takes it if it is empty; NULL: a new one under TMPDIR. On failure nothing is
 * left to close. CAIRN_EINVAL (not empty), CAIRN_EIO. */
int folder_open(struct folder *folder, const char *wanted, struct error *error);
/* It stays, and is nobody's from now on. */
void folder_keep(struct folder *folder);
/* Removes it with all that is in it. CAIRN_EIO. */
int folder_remove(struct folder *folder, struct error *error);

/* Removes folders of this user under TMPDIR whose runs were killed; tells of each, unless `removed`
 * is NULL. What cannot be removed stays. */
void folder_remove_dead(void (*removed)(void *context, const char *path), void *context);

#endif
