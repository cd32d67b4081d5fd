/* A disk in memory with faults, for tests: the twin of io_posix.
 *
 * It has one directory. What was written is kept apart from what was synced, and what was created,
 * renamed or removed from what the directory's sync made durable. A crash decides by a seed which
 * of the unsynced writes reached the disk: none, all, a prefix, any, sector by sector in any order,
 * or torn within a sector. A failed sync drops what it should have written for good, as Linux does.
 * Calls may come from any thread. */
#ifndef CAIRN_WAL_IO_MEMORY_H
#define CAIRN_WAL_IO_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wal/io.h"

struct memory_disk;

enum memory_call {
    MEMORY_OPEN = 1 << 0,
    MEMORY_READ = 1 << 1,
    MEMORY_WRITE = 1 << 2,
    MEMORY_SYNC = 1 << 3,
    MEMORY_SIZE = 1 << 4,
    MEMORY_PREALLOCATE = 1 << 5,
    MEMORY_RENAME = 1 << 6,
    MEMORY_REMOVE = 1 << 7,
    MEMORY_SYNC_DIRECTORY = 1 << 8,
    MEMORY_LIST = 1 << 9,
    MEMORY_ALL_CALLS = (1 << 10) - 1,
};

struct memory_disk *memory_disk_create(void);
/* All files must be closed. */
void memory_disk_free(struct memory_disk *disk);
/* A copy of what a process would read now, all of it durable, without faults. */
struct memory_disk *memory_disk_clone(const struct memory_disk *disk);
/* Lives as long as the disk. */
const struct io *memory_disk_io(struct memory_disk *disk);

/* No more than `bytes` in all files together: -ENOSPC. 0: no limit. */
void memory_disk_limit(struct memory_disk *disk, uint64_t bytes);
/* Calls made so far, of the kinds in `calls`. */
uint64_t memory_disk_calls(struct memory_disk *disk, unsigned calls);
/* The `nth` call (1 is the next) of the kinds in `calls` fails with `error` (a negative errno), and
 * with `forever` all of them after it. A failing write may still have written a part. */
void memory_disk_fail(struct memory_disk *disk, unsigned calls, uint64_t nth, int error,
                      bool forever);
/* The power fails during the `nth` call (1 is the next; 0: never): it may take effect or not, and
 * all calls fail from then on, until memory_disk_restart. */
void memory_disk_crash_at(struct memory_disk *disk, uint64_t nth);
bool memory_disk_crashed(struct memory_disk *disk);
/* What the power failure left, decided by `seed`; open files are dead but must still be closed.
 * Faults are over. Without a crash before, the power fails now. */
void memory_disk_restart(struct memory_disk *disk, uint64_t seed);

/* The bytes of the file with this name in the directory, to be looked at and damaged; NULL if there
 * is none. Valid until the file changes. Damage counts as durable. */
uint8_t *memory_disk_file(struct memory_disk *disk, const char *name, size_t *length);
/* Cuts the file to `length` bytes, durably. */
void memory_disk_truncate(struct memory_disk *disk, const char *name, size_t length);
/* The name at `index` in the directory, in byte order, or NULL. */
const char *memory_disk_name(struct memory_disk *disk, size_t index);

#endif
