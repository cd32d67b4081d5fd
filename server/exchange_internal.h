/* What the files of the exchange share. */
#ifndef CAIRN_SERVER_EXCHANGE_INTERNAL_H
#define CAIRN_SERVER_EXCHANGE_INTERNAL_H

#include "server/exchange.h"

/* The store that the server is to have, by the newest map; 0: not known. */
uint64_t exchange_store_of(const struct node *node, uint32_t server);
/* Which follower of the partition the copy in that store is; false if there is none. */
bool exchange_find_follower(const struct partition *partition, uint32_t server, uint64_t store,
                            uint32_t *follower);
/* The builder takes no more runs. */
bool append_builder_is_full(const struct append_builder *builder);
/* Ends a run whose `count` records were put behind `start` of the builder's records. */
void append_builder_end_run(struct append_builder *builder, const struct replica *replica,
                            const struct replica_position *previous, uint32_t count, size_t start);

#endif
