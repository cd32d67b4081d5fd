/* The digest of one partition as one log entry leaves it: taken at once, counted later.
 *
 * What LMDB holds is older than what is applied, by what lies in the memory tables. So taking it
 * opens an LMDB snapshot and notes, in the same turn of the loop, the keys of the memory tables and
 * the sum of what they hold: a state of exactly one index, whatever is applied afterwards and
 * whatever checkpoints do. Counting then reads LMDB's rows on another thread, leaving out those
 * that the noted keys hide, and verifies each (W8). */
#ifndef CAIRN_SERVER_DIGEST_STORE_H
#define CAIRN_SERVER_DIGEST_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/limits.h"
#include "server/digest.h"
#include "server/store.h"

struct digest_capture;

enum { DIGEST_BAD_KEYS_LIMIT = 64 };

/* A user key. */
struct bad_key {
    uint32_t length;
    uint8_t bytes[CAIRN_KEY_LIMIT];
};

/* Loop thread; only while the store is at the index that is meant. CAIRN_EFULL if the memory tables
 * hold more items than are noted in one turn: after a checkpoint there are fewer. CAIRN_ENOMEM,
 * CAIRN_EIO. An open one pins pages, as store_export does. */
int digest_capture_open(struct store *store, uint32_t partition, struct digest_capture **capture);
/* Reads on, about `limit_bytes`, rows counting as in scrub_store.h. Blocks on the disk; on any
 * thread, one call at a time. CAIRN_OK, or CAIRN_EUNAVAILABLE if the map had to grow meanwhile
 * (W7): it is lost. */
int digest_capture_count(struct digest_capture *capture, size_t limit_bytes, bool *done);
const struct digest *digest_capture_result(const struct digest_capture *capture);
uint64_t digest_capture_value(const struct digest_capture *capture);
/* Keys of pairs that failed, as many as were noted. */
uint32_t digest_capture_bad(const struct digest_capture *capture, const struct bad_key **keys);
/* Loop thread, not while it is being counted. NULL is fine. */
void digest_capture_close(struct digest_capture *capture);

#endif
