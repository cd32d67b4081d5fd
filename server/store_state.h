/* The inside of struct store, shared by the store's files only. */
#ifndef CAIRN_SERVER_STORE_STATE_H
#define CAIRN_SERVER_STORE_STATE_H

#include "base/check.h"
#include "proto/limits.h"
#include "server/checkpoint.h"
#include "server/memtable.h"
#include "server/session.h"
#include "server/store.h"
#include "server/store_lmdb.h"
#include "server/store_pages.h"

struct store_partition {
    struct memtable live;
    const struct memtable *frozen; /* of the checkpoint under way, or NULL */
    struct session_table sessions;
    struct store_position applied, checkpointed;
    bool dirty;    /* differs from what is frozen or in LMDB */
    uint64_t life; /* grows when an install throws the state away and when it completes: a
                      checkpoint of an earlier life says nothing about this one */
    struct partition_install *install; /* store_install.c: the last one; NULL: none since open */
};

struct store {
    struct store_options options; /* with the defaults filled in; `directory` is not kept */
    struct lmdb *lmdb;
    struct checkpointer *checkpointer;
    struct frozen *frozen; /* of the checkpoint under way, or NULL */
    uint64_t live_bytes, frozen_bytes;
    uint64_t checkpoints, checksum_errors;
    bool dirty; /* some partition is */
    /* W8: the pair that the last scan failed at; length 0: it was none. */
    uint32_t bad_partition, bad_key_length;
    uint8_t bad_key[CAIRN_KEY_LIMIT];
    struct kept_value
        *loose_value; /* old value of a SWAP without a session, until the next apply */
    struct store_partition partitions[];
};

static inline struct store_partition *store_at(struct store *store, uint32_t partition)
{
    CHECK(partition < store->options.partitions);
    return &store->partitions[partition];
}

static inline const struct store_partition *store_at_const(const struct store *store,
                                                           uint32_t partition)
{
    CHECK(partition < store->options.partitions);
    return &store->partitions[partition];
}

static inline void value_of_item(const struct item *item, struct store_value *value)
{
    value->version = item->version;
    value->modified = item->modified;
    value->expires_ms = item->expires_ms;
    value->data = item_value(item);
    value->length = item->value_length;
}

static inline void store_touch(struct store *store, struct store_partition *partition)
{
    partition->dirty = true;
    store->dirty = true;
}

/* store_session.c: what the session's last mutation came to, for a duplicate (S3). */
void store_session_replay(struct store *store, uint32_t partition, const struct session *session,
                          struct outcome *outcome);
/* store_install.c: gives up an install under way, forgets one that is done. */
void store_install_free(struct store *store, struct store_partition *at);
/* store_load.c: checks the format, loads positions and sessions. `pages`: what
 * they were found to hold. */
int store_load(struct store *store, const char *directory, const struct store_pages *pages,
               struct error *error);

#endif
