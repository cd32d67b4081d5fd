/* The nemesis' folder. Private to it. */
#ifndef CAIRN_FUZZ_NEMESIS_FOLDER_H
#define CAIRN_FUZZ_NEMESIS_FOLDER_H

#include "base/error.h"
#include "fuzz/node.h"

/* Makes the folder, or takes it if it is empty; NULL: a new one under TMPDIR. Its path goes to
 * `out`. CAIRN_EINVAL (not empty), CAIRN_EIO. */
int folder_open(const char *folder, char out[NODE_PATH_MAX], struct error *error);
/* Removes it with all that is in it. CAIRN_EIO. */
int folder_remove(const char *folder, struct error *error);

#endif
