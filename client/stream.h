/* One of the streams that a scan merges: the pairs of some partitions with one primary.
 *
 * A stream holds at most one page. When that runs dry the next one is asked for, from whoever is
 * the partitions' primary by then; if they have several by now, the stream splits at its present
 * position. So every partition is always in exactly one stream. */
#ifndef CAIRN_CLIENT_STREAM_H
#define CAIRN_CLIENT_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/backoff.h"
#include "base/buffer.h"
#include "base/error.h"
#include "client/cairn.h"
#include "proto/limits.h"
#include "proto/server_rpc.h"
#include "rpc/client.h"

/* An inclusive range; a length of 0 leaves an end open. */
struct scan_range {
    uint8_t from[CAIRN_KEY_LIMIT], to[CAIRN_KEY_LIMIT];
    uint32_t from_length, to_length;
};

struct stream_pair {
    const uint8_t *key, *value;
    uint32_t key_length, value_length;
};

struct stream {
    cairn_t *db;
    const struct scan_range *range;
    bool *moved;                   /* set when an answer came */
    unsigned *calls;               /* answers that are still to come */
    void (*orphaned)(void *owner); /* called when an answer came for an owner that is gone */
    void *owner;

    uint32_t *partitions;
    uint32_t partition_count;
    uint64_t generation; /* of the route under which the partitions have one primary */

    struct buffer page;             /* pairs: lengths of key and value, key, value */
    size_t page_at;                 /* of the first pair not yet returned */
    uint8_t after[CAIRN_KEY_LIMIT]; /* the last key fetched */
    uint32_t after_length;          /* 0: none yet */
    bool ended;                     /* nothing lies beyond the page */

    bool asked;      /* a call is under way */
    bool settled;    /* an answer came that stream_settle has not seen */
    uint32_t server; /* that was asked */
    const struct rpc_client *rpc;
    uint64_t call_id;
    uint64_t look_ms; /* when to look after the call under way */
    int rpc_status;
    server_status status;
    server_redirect redirect;
    uint32_t refused; /* partition of a SERVER_NOT_PRIMARY */
    struct error error;

    uint64_t not_before_ms; /* of the next attempt; 0: now */
    uint64_t attempt_ms;
    uint32_t hops;
    struct backoff backoff;
    uint32_t limit_pairs, limit_bytes;
};

/* Takes over `partitions`, from malloc. NULL without memory; then they are still the caller's. */
struct stream *stream_create(cairn_t *db, const struct scan_range *range, uint32_t *partitions,
                             uint32_t count);
/* Cancels the call under way, whose answer still comes. */
void stream_cancel(struct stream *stream);
void stream_free(struct stream *stream);

/* The first pair not yet returned; false if the page is dry. */
bool stream_head(const struct stream *stream, struct stream_pair *pair);
/* Goes past it. */
void stream_advance(struct stream *stream);

/* If not all partitions have the same primary, moves those that differ from the first one's into
 * `*rest` (CAIRN_OK; NULL if there are none). The page is dry. CAIRN_ENOMEM changes nothing. */
int stream_split(struct stream *stream, struct stream **rest);
/* Asks for the next page, with at most `limit_bytes`. The page is dry, nothing is under way. */
void stream_ask(struct stream *stream, uint32_t limit_bytes);
/* For a stream whose page is dry: if one of its partitions is known to be served elsewhere by now,
 * gives the call under way up (its answer still comes, and leads to another attempt), or ends the
 * pause before the next one. Asks for a fresh map when a call is unanswered for long. */
void stream_reconsider(struct stream *stream, uint64_t now_ms);
/* When stream_reconsider or stream_ask has something to do next, if no answer comes before. */
uint64_t stream_next_ms(const struct stream *stream);
/* Draws the consequences of an answer: CAIRN_OK (there is a page, or it will be asked again), or an
 * error that ends the scan, with its message in stream->error. */
int stream_settle(struct stream *stream);

#endif
