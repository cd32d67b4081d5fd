/* Files that appear whole, and directories that one process owns (ARCHITECTURE.md W4). */
#ifndef CAIRN_BASE_FILE_H
#define CAIRN_BASE_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"

/* Creates `path` and missing parents with mode 0700; an existing directory is fine. */
int directory_create(const char *path, struct error *error);
/* fsync of a directory, so that the names in it are durable. */
int directory_sync(const char *path, struct error *error);
/* Locks `path`/LOCK for this process (flock, exclusive) and leaves the descriptor in `*lock`, to be
 * closed by the owner; the lock ends with it. CAIRN_EBUSY with a message naming the holder's
 * process id when another process has it. The file stays; it holds the pid as text. */
int directory_lock(const char *path, int *lock, struct error *error);

/* Writes the whole file under a temporary name beside it, syncs, renames, syncs the directory. */
int file_replace(const char *path, const void *data, size_t length, struct error *error);
/* Appends the whole file to `buffer`. CAIRN_ENOTFOUND if there is none, CAIRN_ETOOBIG past the
 * buffer's limit. */
int file_read(const char *path, struct buffer *buffer, struct error *error);

#endif
