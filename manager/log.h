/* The manager's write-ahead log: opened and replayed, appended to, cut (ARCHITECTURE.md W1 to W4,
 * W6).
 *
 * A whole map is written again when what was written since the last one outweighs it; once that is
 * durable the log is cut below it. */
#ifndef CAIRN_MANAGER_LOG_H
#define CAIRN_MANAGER_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "manager/membership.h"
#include "wal/wal.h"

struct manager_log {
    struct wal *wal;
    uint64_t bytes_since_map;
    uint64_t map_first_lsn, map_last_lsn; /* a whole map to cut at once it is durable; 0: none */
};

/* Opens DIRECTORY, creating it if missing. `*membership` is what was recovered, durable (W1), or
 * NULL if the log is empty. `partitions`: what a new cluster will have; sizes the segments. */
int manager_log_open(struct manager_log *log, const char *directory, uint32_t partitions,
                     uint32_t replicas, uint64_t now_ms, struct membership **membership,
                     struct error *error);
void manager_log_close(struct manager_log *log);

/* Whether `changes` more changes, and `targets` more changes of targets, will find room: to be
 * asked before they are made (W7). */
bool manager_log_has_room(struct manager_log *log, const struct membership *membership,
                          uint32_t changes, uint32_t targets);
/* Appends the membership's changes, and a whole map when it is time, clears them and starts the
 * sync. What cannot be appended although there was room ends the process: the state is ahead of
 * its log. */
void manager_log_append(struct manager_log *log, struct membership *membership);
/* Appends the whole map: the first record of a new log. */
void manager_log_append_map(struct manager_log *log, const struct membership *membership);
/* Takes completions, cuts what is no longer needed, returns the durable LSN. */
uint64_t manager_log_complete(struct manager_log *log);
/* Blocks until all that was appended is durable. */
void manager_log_flush(struct manager_log *log);

#endif
