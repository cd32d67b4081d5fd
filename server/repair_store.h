/* One stored value that fails its checksum, and how a sound one takes its place (W8). Loop thread.
 */
#ifndef CAIRN_SERVER_REPAIR_STORE_H
#define CAIRN_SERVER_REPAIR_STORE_H

#include <stdint.h>

#include "server/store.h"

enum repair_row {
    REPAIR_ROW_SOUND,  /* or there is none */
    REPAIR_ROW_HIDDEN, /* memory holds what the key was written to since: a checkpoint replaces it
                        */
    REPAIR_ROW_BAD,
};
/* `*offset`: of a bad row in LMDB's file, 0 if not known. */
enum repair_row repair_row_look(struct store *store, uint32_t partition, const uint8_t *key,
                                uint32_t key_length, uint64_t *offset);

const char *repair_row_path(const struct store *store); /* of that file */

/* What another copy holds of the key. */
struct repair_value {
    struct store_value value;
    uint64_t checksum;
    uint64_t applied_index; /* of the other copy's state */
};
/* Whether the other copy's value is, for certain, what LMDB's row here ought to be, and sound.
 * Pure.
 *
 * Both copies are members of one configuration. LMDB here stands for a position c. The other copy
 * has applied a >= c, and its value was last modified at m <= c. Both logs are the same up to c
 * (R4, R5), so the key was not modified in (m, a], which contains (m, c]: its value at c is the
 * other copy's. With m > c the value is newer than what LMDB stands for, and the entry that made it
 * comes here by the log, or has come. */
bool repair_value_fits(const struct repair_value *from, const struct store_position *checkpointed,
                       const uint8_t *key, uint32_t key_length);
/* Puts the value into the live memory table, over the bad row: reads find it at once, the next
 * checkpoint writes it, and after a crash before that the row is bad as it was. The log and the
 * applied position do not change, so nothing that is committed can be lost or come in another
 * order; an entry that is applied later finds the value that it would have found. Only while
 * repair_row_look says BAD and repair_value_fits. CAIRN_ENOMEM. */
int repair_value_put(struct store *store, uint32_t partition, const uint8_t *key,
                     uint32_t key_length, const struct repair_value *from);

/* Has the key be absent here, over the bad row: all other members have no such key, with a state
 * at least as new as what LMDB stands for here, and no newer than what is applied here. Nothing
 * was done to the key since (it is in no memory table), so it has expired (S2). Only while
 * repair_row_look says BAD. CAIRN_ENOMEM. */
int repair_absence_put(struct store *store, uint32_t partition, const uint8_t *key,
                       uint32_t key_length);

/* Has the next checkpoint write a value once more, and its row of the expiry table, which is
 * missing. CAIRN_ENOTFOUND: there is nothing to be done. CAIRN_ENOMEM. */
int repair_expiry_put(struct store *store, uint32_t partition, const uint8_t *key,
                      uint32_t key_length);

#endif
