/* The manager's journal: how the membership's state becomes log records and comes back from them.
 *
 * Every record's payload is one protobuf message of durable.proto:
 *
 *   kind  message         meaning
 *   1     ClusterMap      the whole map: the first record of a log, written again when the
 *                         partitions are placed and from time to time, so that the log can be cut
 *   2     Replica         the server registered with this store and incarnation; a store that it
 *                         replaces is retired
 *   3     Configuration   the next configuration of its partition
 *   4     Replica         a retired store (incarnation 0); follows each whole map but the first
 *   5     Target          where the copies of its partition shall be
 *   6     Server          a server as it is now: added, or with other flags
 *
 * Records 2, 3, 5 and 6 raise the map's version by one each. What stands before the first whole map
 * that is left in a log was cut away in part and is covered by that map: it is skipped. Pure. */
#ifndef CAIRN_MANAGER_JOURNAL_H
#define CAIRN_MANAGER_JOURNAL_H

#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"
#include "manager/membership.h"

enum journal_kind {
    JOURNAL_MAP = 1,
    JOURNAL_SERVER = 2,
    JOURNAL_CONFIGURATION = 3,
    JOURNAL_RETIRED = 4,
    JOURNAL_TARGET = 5,
    JOURNAL_ROSTER = 6,
};

/* More than any record but a whole map takes, its head in the log included. */
enum { JOURNAL_CHANGE_BYTES = 768, JOURNAL_TARGET_BYTES = 128 /* the same for a target */ };

/* Appends a change's payload to `out` and tells its kind; for CHANGE_PLACED the whole map. 0, or
 * CAIRN_ENOMEM or CAIRN_ETOOBIG. */
int journal_encode(const struct membership *membership, const struct change *change,
                   enum journal_kind *kind, struct buffer *out);
int journal_encode_retired(const struct replica_id *retired, struct buffer *out);
/* More than the packed map takes at any time, whatever its numbers grow to. */
size_t journal_map_bound(const struct cluster_map *map);

struct journal_replay {
    uint64_t now_ms;
    struct membership *membership; /* NULL until the first whole map was read */
    uint64_t skipped;              /* records before it */
};

/* Applies one record. CAIRN_ECORRUPT if it is not valid or cannot follow on what came before,
 * CAIRN_EVERSION if it is of a newer format, CAIRN_ENOMEM. */
int journal_apply(struct journal_replay *replay, uint16_t kind, const uint8_t *payload,
                  size_t length, struct error *error);

#endif
