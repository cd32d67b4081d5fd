/* See disk.h. */
#include "server/disk.h"

#include <errno.h>
#include <string.h>
#include <sys/statvfs.h>

#include "base/log.h"

/* What the log keeps for deletes and for its own commands, and where PUT and SWAP stop. */
enum { LOG_ROOM_FOR_DELETES = 64 << 10, LOG_ROOM_FOR_WRITES = 2 << 20 };

void disk_init(struct disk *disk, const char *directory, uint64_t reserve_bytes)
{
    memset(disk, 0, sizeof *disk);
    disk->directory = directory;
    disk->reserve_bytes = reserve_bytes;
    disk->free_bytes = disk->room_bytes = UINT64_MAX;
}

static void look_at_file_system(struct disk *disk)
{
    struct statvfs space;

    if (statvfs(disk->directory, &space) != 0) {
        log_warn("disk", "cannot ask for free space directory=%s error=\"%s\"", disk->directory,
                 strerror(errno));
        return;
    }
    disk->free_bytes = (uint64_t)space.f_bavail * space.f_frsize;
}

void disk_look(struct disk *disk, uint64_t log_room_bytes, uint64_t store_free_bytes)
{
    bool refused = disk->refuse_writes;
    bool log_is_short = log_room_bytes < LOG_ROOM_FOR_WRITES;

    look_at_file_system(disk);
    disk->room_bytes = disk->free_bytes > UINT64_MAX - store_free_bytes
                           ? UINT64_MAX
                           : disk->free_bytes + store_free_bytes;
    disk->refuse_deletes = log_room_bytes < LOG_ROOM_FOR_DELETES;
    disk->refuse_writes =
        disk->room_bytes < disk->reserve_bytes || (log_is_short && disk->log_was_short);
    disk->log_was_short = log_is_short;
    if (disk->refuse_writes && !refused)
        log_error("disk",
                  "no room: writes are refused directory=%s free_bytes=%llu room_bytes=%llu "
                  "reserve_bytes=%llu log_room_bytes=%llu",
                  disk->directory, (unsigned long long)disk->free_bytes,
                  (unsigned long long)disk->room_bytes, (unsigned long long)disk->reserve_bytes,
                  (unsigned long long)log_room_bytes);
    if (!disk->refuse_writes && refused)
        log_info("disk",
                 "room again: writes are taken directory=%s free_bytes=%llu room_bytes=%llu",
                 disk->directory, (unsigned long long)disk->free_bytes,
                 (unsigned long long)disk->room_bytes);
}

bool disk_refuses_writes(const struct disk *disk, uint64_t unsaved_bytes)
{
    return disk->refuse_writes || disk->room_bytes - disk->reserve_bytes < unsaved_bytes;
}

bool disk_can_checkpoint(const struct disk *disk)
{
    return disk->room_bytes >= disk->reserve_bytes / 4;
}
