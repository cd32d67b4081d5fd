/* Reading every stored value, slice by slice, to see whether it still fits its checksum (W8).
 *
 * Each slice is an LMDB snapshot of its own, open for some milliseconds, so that nothing is pinned
 * for long. A row that was bad in a slice may have been replaced since: it is looked at again where
 * it is to be repaired. */
#ifndef CAIRN_SERVER_SCRUB_STORE_H
#define CAIRN_SERVER_SCRUB_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/digest_store.h"
#include "server/store.h"
#include "server/store_lmdb.h"
#include "server/value.h"

enum {
    SCRUB_BAD_LIMIT = 64, /* of one slice; it ends there */
    SCRUB_ROW_BYTES = 128 /* what reading a row costs beyond its bytes, so that a rate in bytes
                             bounds the time, too, that small ones take */
};

/* A row that fails. */
struct scrub_bad {
    uint32_t partition;
    struct bad_key key; /* of length 0: no pair, but a session or a page */
    bool expiry;        /* the value is sound, but has no row in the expiry table */
};

/* How far a pass has come. Zeroed: at its beginning. */
struct scrub_pass {
    enum lmdb_table table; /* META (nothing read yet), DATA, SESSIONS */
    struct stored_key at;  /* the last row that was read; length 0: none of this table */
    bool done;
};

struct scrub_slice {
    struct lmdb_snapshot *snapshot;
    struct scrub_pass pass;
    uint64_t values, bytes; /* read by this slice */
    uint64_t cost;          /* bytes, with those that stand for rows */
    uint32_t bad_count;
    struct scrub_bad bad[SCRUB_BAD_LIMIT];
};

/* Begins a slice at `pass`. Loop thread. CAIRN_ENOMEM, CAIRN_EIO. */
int scrub_slice_open(struct store *store, const struct scrub_pass *pass, struct scrub_slice *slice);
/* Reads on until the cost is about `limit_bytes`, and moves slice->pass. On any thread. */
void scrub_slice_read(struct scrub_slice *slice, size_t limit_bytes);
/* Loop thread. */
void scrub_slice_close(struct scrub_slice *slice);

#endif
