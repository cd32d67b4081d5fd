/* A directory for one test, gone with all it holds when the test ends. */
#ifndef CAIRN_TESTS_LIB_SCRATCH_H
#define CAIRN_TESTS_LIB_SCRATCH_H

enum { SCRATCH_PATH_MAX = 64 };

/* Makes a new directory below /tmp and writes its path into `path`. Fails the test if
 * it cannot. */
void scratch_create(char path[SCRATCH_PATH_MAX]);
/* Removes the directory and everything below it. */
void scratch_remove(const char *path);

#endif
