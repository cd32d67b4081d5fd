/* Room on the disk (W7): when to refuse writes, and when to take them again. */
#ifndef CAIRN_SERVER_DISK_H
#define CAIRN_SERVER_DISK_H

#include <stdbool.h>
#include <stdint.h>

struct disk {
    const char *directory;
    uint64_t reserve_bytes; /* free space below which writes are refused */
    uint64_t free_bytes;    /* as last seen */
    bool refuse_writes;     /* PUT and SWAP */
    bool refuse_deletes;    /* not even the log has room */
    bool log_was_short;     /* at the last look; once may be a segment in preparation */
};

void disk_init(struct disk *disk, const char *directory, uint64_t reserve_bytes);
/* Looks at the file system and at what the log can still take; logs when the answer changes. */
void disk_look(struct disk *disk, uint64_t log_room_bytes);

#endif
