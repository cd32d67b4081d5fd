/* See position_write.h. */
#include "server/position_write.h"

#include "server/value.h"

static const struct slice nothing = {NULL, 0};

static struct slice key_slice(const struct stored_key *key)
{
    return (struct slice){.data = key->bytes, .length = key->length};
}

/* Zeroed if there is none. */
static int position_find(struct lmdb_writer *writer, uint32_t partition,
                         struct store_position *position)
{
    struct stored_key key;
    struct slice value;
    *position = (struct store_position){0};
    position_key(&key, partition);
    int code = lmdb_find(writer, LMDB_META, key_slice(&key), &value);
    if (code == CAIRN_ENOTFOUND)
        return CAIRN_OK;
    return code == CAIRN_OK ? position_decode(value.data, value.length, partition, position) : code;
}

/* A store of an older format becomes one of ours with the first record that a program of that
 * format would take for damage: before that it can still be given back to it (W9). */
static int format_raise(struct lmdb_writer *writer)
{
    struct stored_key key;
    struct slice value;
    uint32_t major, partitions;
    uint8_t bytes[FORMAT_BYTES];
    format_key(&key);
    int code = lmdb_find(writer, LMDB_META, key_slice(&key), &value);
    if (code == CAIRN_OK)
        code = format_decode(value.data, value.length, &major, &partitions);
    if (code != CAIRN_OK || major == STORE_FORMAT_MAJOR)
        return code;
    format_encode(bytes, partitions);
    return lmdb_put(writer, LMDB_META, key_slice(&key), (struct slice){bytes, sizeof(bytes)},
                    (struct slice){NULL, 0});
}

static int position_put(struct lmdb_writer *writer, uint32_t partition,
                        const struct store_position *position)
{
    struct stored_key key;
    uint8_t bytes[POSITION_BYTES];
    int code = format_raise(writer);
    if (code != CAIRN_OK)
        return code;
    position_key(&key, partition);
    position_encode(bytes, partition, position);
    return lmdb_put(writer, LMDB_META, key_slice(&key), (struct slice){bytes, sizeof(bytes)},
                    (struct slice){NULL, 0});
}

int position_write(struct lmdb_writer *writer, uint32_t partition,
                   const struct store_position *position)
{
    struct store_position stored, raised = *position;
    int code = position_find(writer, partition, &stored);
    if (code != CAIRN_OK)
        return code;
    position_raise_seen(&raised, stored.history, stored.seen_epoch);
    return position_put(writer, partition, &raised);
}

int position_keys_find(struct lmdb_writer *writer, uint32_t partition, struct store_keys *keys,
                       bool *known)
{
    struct store_position stored;
    struct stored_key key;
    struct slice value;
    *keys = (struct store_keys){0};
    *known = false;
    int code = position_find(writer, partition, &stored);
    if (code != CAIRN_OK)
        return code;
    keys_key(&key, partition);
    code = lmdb_find(writer, LMDB_META, key_slice(&key), &value);
    if (code == CAIRN_OK)
        code = keys_decode(value.data, value.length, partition, keys);
    /* A partition to which nothing was ever applied has no pairs. */
    *known =
        code == CAIRN_OK || (code == CAIRN_ENOTFOUND && stored.index == 0 && stored.install == 0);
    return code == CAIRN_ENOTFOUND ? CAIRN_OK : code;
}

int position_keys_put(struct lmdb_writer *writer, uint32_t partition, const struct store_keys *keys)
{
    struct stored_key key;
    uint8_t bytes[KEYS_BYTES];
    keys_key(&key, partition);
    keys_encode(bytes, partition, keys);
    return lmdb_put(writer, LMDB_META, key_slice(&key), (struct slice){bytes, sizeof(bytes)},
                    nothing);
}

int position_write_seen(struct lmdb_writer *writer, uint32_t partition, uint64_t history,
                        uint64_t epoch)
{
    struct store_position position;
    int code = position_find(writer, partition, &position);
    if (code != CAIRN_OK || !position_raise_seen(&position, history, epoch))
        return code;
    return position_put(writer, partition, &position);
}
