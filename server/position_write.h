/* Writing a partition's position record: the one place that every row of LMDB answers to (W5). */
#ifndef CAIRN_SERVER_POSITION_WRITE_H
#define CAIRN_SERVER_POSITION_WRITE_H

#include <stdbool.h>
#include <stdint.h>

#include "server/store.h"
#include "server/store_lmdb.h"
#include "server/value.h"

/* Writes it as it is, but never lowers the epoch seen (R2) that the record has. */
int position_write(struct lmdb_writer *writer, uint32_t partition,
                   const struct store_position *position);
/* The keys of what the partition's rows are by now. `*known` is false of one that a program wrote
 * which kept no record of them: then none is to be put. */
int position_keys_find(struct lmdb_writer *writer, uint32_t partition, struct store_keys *keys,
                       bool *known);
int position_keys_put(struct lmdb_writer *writer, uint32_t partition,
                      const struct store_keys *keys);
/* Raises the epoch seen alone. */
int position_write_seen(struct lmdb_writer *writer, uint32_t partition, uint64_t history,
                        uint64_t epoch);

#endif
