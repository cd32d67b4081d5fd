/* Room on the disk (W7): when to refuse writes, and when to take them again. */
#ifndef CAIRN_SERVER_DISK_H
#define CAIRN_SERVER_DISK_H

#include <stdbool.h>
#include <stdint.h>

struct disk {
    const char *directory;
    uint64_t reserve_bytes; /* free space below which writes are refused */
    uint64_t free_bytes;    /* of the file system, as last seen */
    uint64_t room_bytes;    /* these and the free pages inside the store */
    bool refuse_writes;     /* PUT and SWAP */
    bool refuse_deletes;    /* not even the log has room */
    bool log_was_short;     /* at the last look; once may be a segment in preparation */
};

void disk_init(struct disk *disk, const char *directory, uint64_t reserve_bytes);
/* Looks at the file system, at what the log can still take and at the pages that the store has free
 * inside; logs when the answer changes. */
void disk_look(struct disk *disk, uint64_t log_room_bytes, uint64_t store_free_bytes);
/* Whether PUT and SWAP are to be refused while `unsaved_bytes` wait in memory for a checkpoint:
 * what came since the last look counts, too. */
bool disk_refuses_writes(const struct disk *disk, uint64_t unsaved_bytes);
/* A checkpoint writes new pages before it frees old ones: without room it would fail, and a failed
 * commit is fatal (W5). What it needs is kept back as the reserve. */
bool disk_can_checkpoint(const struct disk *disk);

#endif
