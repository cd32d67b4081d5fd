/* A model of what a disk holds for certain and what it may hold: files and directories that were
 * recorded, each with what is durable and the changes since.
 *
 * What a power loss may leave (and what it may not):
 * - of a file's changes since its last sync, sector (512 bytes) by sector, the content after any of
 *   them: all lost, all kept, some kept, some torn, a later one kept and an earlier one of other
 *   sectors lost. What lies in a sector under a kept change is kept with it, since both lay in the
 *   same page of the cache;
 * - of a directory's changes since its last sync, those up to any one of them: file systems log
 *   them in order. Directories do not wait for one another, nor for the files in them; a file's
 *   sync does not make its name durable;
 * - of a rename from one directory into another, the old name, the new one, or both. Never neither:
 *   file systems with a journal log it as one change of both, those without write the new name
 *   first. So a sync of the directory that it left makes the new name durable too, a sync of the
 *   other one does not make the old name go away;
 * - a file's size grows with what of it was kept; setting it is a change like others. */
#ifndef CAIRN_TESTS_CRASH_DISK_H
#define CAIRN_TESTS_CRASH_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/random.h"
#include "tests/crash/recording.h"

enum { DISK_SECTOR_BYTES = 512, DISK_PAGE_BYTES = 4096, DISK_NAME_LIMIT = 64 };

struct disk_change {
    uint64_t number;
    enum event_kind kind; /* WRITE, ZEROS, SIZE */
    uint64_t offset, length;
    const uint8_t *data;
};

struct disk_name {
    uint64_t number;
    enum event_kind kind; /* CREATE, MKDIR, RENAME, UNLINK; of durable ones CREATE */
    char name[DISK_NAME_LIMIT], name2[DISK_NAME_LIMIT];
    struct disk_object *object;
    struct disk_object *moved_to; /* UNLINK by a rename: the directory that has it now, else NULL */
};

struct disk_object {
    uint64_t inode;
    bool directory;
    /* A file: its durable content, which of its pages were ever not zero, the changes since. */
    uint8_t *content, *pages;
    uint64_t size, capacity;
    struct disk_change *changes;
    size_t change_count, change_capacity;
    /* A directory: its durable entries, the changes since. */
    struct disk_name *entries, *names;
    size_t entry_count, entry_capacity, name_count, name_capacity;
};

/* A server that lies about its syncs, for showing that this is noticed. */
enum disk_lie {
    DISK_HONEST,
    DISK_NO_LOG_SYNC,       /* of segments of logs */
    DISK_NO_STORE_SYNC,     /* of LMDB's data, O_DSYNC included */
    DISK_NO_DIRECTORY_SYNC, /* of names */
    DISK_LIES,
};

struct disk {
    struct disk_object **objects;
    size_t count, capacity;
    struct disk_object *root;
    enum disk_lie lie;
};

/* Takes the next event; aborts with a message where it is none that the model knows. */
void disk_apply(struct disk *disk, const struct event *event);
/* Frees what it holds of an empty or a used one, not the events' data. */
void disk_free(struct disk *disk);
/* How many changes are not durable below the entry `top` of the root, which may not be there. */
size_t disk_pending(const struct disk *disk, const char *top);

enum disk_loss {
    DISK_DROP,    /* nothing that was not synced is there */
    DISK_KEEP,    /* all of it is: a kill of the process */
    DISK_PREFIX,  /* all up to one change, which is torn: the disk wrote in order */
    DISK_SCATTER, /* any of it, torn anywhere */
    DISK_LOSSES,
};

/* Writes what a power loss at this moment leaves of the root's entry `top` (NULL: of all) into the
 * empty directory `out`; `random` decides. Returns a number that is the same for the same choices.
 * Aborts where it cannot write. */
uint64_t disk_image(const struct disk *disk, const char *top, enum disk_loss loss,
                    struct random *random, const char *out);

/* Room for one more element in an array. */
void disk_grow(void **array, size_t count, size_t *capacity, size_t element);
/* Applies a change to a directory's list of entries. */
void disk_rename(struct disk_name **entries, size_t *count, size_t *capacity,
                 const struct disk_name *change);

#endif
