/* One entry of a partition's log in memory, and its bytes in the WAL (cairn.Entry, durable.proto).
 *
 * An entry is made once, when it is proposed or recovered, with its key and value in an `item`.
 * When it is applied, the item becomes the memtable's: the bytes are never copied again. */
#ifndef CAIRN_SERVER_ENTRY_H
#define CAIRN_SERVER_ENTRY_H

#include <bsd/sys/tree.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

/* Kinds of WAL records of a server (FORMATS.md). */
enum log_kind { LOG_KIND_ENTRY = 1, LOG_KIND_EPOCH = 2, LOG_KIND_RESET = 3 };

/* Same numbers as cairn.Command.Kind. */
enum command_kind {
    COMMAND_NOOP = 0,
    COMMAND_PUT = 1,
    COMMAND_SWAP = 2,
    COMMAND_DELETE = 3,
    COMMAND_RETIRE = 4,
    COMMAND_EVICT_SESSIONS = 5,
};

/* A key with a value or a deletion, as it lies in a memtable. */
struct item {
    RB_ENTRY(item) link;
    uint64_t version;    /* 0: deleted */
    uint64_t modified;   /* log index of the last modification */
    uint64_t expires_ms; /* log time; 0: never */
    uint32_t value_length;
    uint16_t key_length;
    uint64_t checksum; /* W8: of key, version, modified, expires_ms and value */
    uint8_t bytes[];   /* key, then value */
};

struct item *item_create(const uint8_t *key, uint32_t key_length, const uint8_t *value,
                         uint32_t value_length); /* NULL: out of memory */
void item_free(struct item *item);
static inline const uint8_t *item_value(const struct item *item)
{
    return item->bytes + item->key_length;
}

struct entry {
    uint32_t partition;
    enum command_kind kind;
    uint64_t history, epoch, index;
    uint64_t log_time_ms;    /* S1 */
    uint64_t lsn;            /* of its record in this server's WAL */
    uint64_t client, number; /* S3; 0 in the log's own commands */
    bool conditional;
    uint32_t bucket; /* of a proposed mutation's key (C3) */
    uint64_t if_version;
    uint64_t ttl_ms;
    uint64_t cutoff_ms; /* EVICT_SESSIONS */
    bool over_damage;   /* W8: PUT, DELETE of what no copy can read: the key has a value, and what
                           it is does not matter */
    struct item *item;  /* owned until applied; NULL without a key */
    void *waiters;      /* the driver's: calls to be answered once it is applied */
    /* Its packed bytes: in the log's gathering batch (see journal_packed), or owned. */
    const uint8_t *packed;
    uint64_t packed_turn;
    uint32_t packed_length; /* also without `packed`, once it was in the log; 0: not known */
    bool packed_owned;
    bool proposed; /* here, by this process; counts as uncommitted until applied or dropped */
};

/* S3: what a client numbers; its retirement (S4) has no number. */
static inline bool entry_is_mutation(const struct entry *entry)
{
    return entry->kind == COMMAND_PUT || entry->kind == COMMAND_SWAP ||
           entry->kind == COMMAND_DELETE;
}

struct entry *entry_create(void); /* zeroed; NULL: out of memory */
/* Frees the entry and the item it still owns. */
void entry_free(struct entry *entry);
/* Bytes of the packed entry, then the packing itself into exactly that many bytes. */
uint32_t entry_packed_size(const struct entry *entry);
void entry_pack(const struct entry *entry, uint8_t *bytes);
/* Unpacks into a new entry. CAIRN_ECORRUPT if the bytes are not a valid entry (limits included). */
int entry_unpack(const uint8_t *bytes, uint32_t length, struct entry **entry, struct error *error);

#endif
