/* What hosts may serve from their shared caches, as a pure core (ARCHITECTURE.md C2, C3, C5, C7).
 *
 * Hosts hold sessions; a session holds buckets of keys. A GET's reply may grant a value to the
 * session that it names; a write revokes its bucket from all holders in parallel with its sync and
 * replication, and every reply that depends on the bucket waits until they have answered or their
 * sessions have ended. Like replica/ it reads no clock and does no I/O: events come with the time
 * in them, and the driver asks what there is to do: lease_next_output, lease_next_ready. The
 * simulator and the server drive the same code. Not thread-safe: the loop thread's.
 *
 * Memory is bounded: LEASE_SESSIONS_LIMIT sessions with room for CAIRN_BUCKETS invalidations each,
 * CAIRN_BUCKETS buckets with a bit for each session, and one revocation for each bucket at most.
 * All of it is asked for when the core or a session begins, so that no revocation can fail; pages
 * that nothing was noted in are never there. */
#ifndef CAIRN_SERVER_LEASE_H
#define CAIRN_SERVER_LEASE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "proto/bucket.h"

enum { LEASE_SESSIONS_LIMIT = 256 };

struct lease; /* opaque */

struct lease_options {
    uint64_t lease_ms; /* longest host lease; at most the peers' lease (L5 relies on it) */
    /* The longest lease that this store ever told a host, in the host's time (`granted_ms`), as
     * recorded durably before it was told; 0: never any (C7). lease_host_ms(lease_ms) covers all
     * that a core with that lease_ms tells. */
    uint64_t longest_ms;
};

/* Something that waits for revocations: embedded by its owner, who keeps it until it was returned
 * by lease_next_ready. */
struct lease_waiter {
    STAILQ_ENTRY(lease_waiter) next;
    uint64_t revocation; /* the core's */
};

enum lease_output_kind {
    LEASE_BATCH,   /* send `buckets` (or `all`) to the session's listener under `number` */
    LEASE_GRANTED, /* answer the session's renewal with granted_ms: of those that still wait, the
                      one that came first */
    LEASE_OVER,    /* the session is over: answer whatever of it still waits with CLOSED */
};

struct lease_output {
    enum lease_output_kind kind;
    uint64_t session;
    uint64_t number;         /* BATCH */
    bool all;                /* BATCH */
    const uint32_t *buckets; /* BATCH; valid until the next call into the core */
    uint32_t count;
    uint64_t granted_ms; /* GRANTED; 0: nothing: superseded by a later renewal, the session is
                            being ended, or what could be granted is over already */
};

/* NULL when out of memory. */
struct lease *lease_create(const struct lease_options *options, uint64_t now_ms);
void lease_free(struct lease *lease);

/* C7: before this time nothing may be told about any partition; grants of an earlier life may still
 * be read. 0 if it never granted any. */
uint64_t lease_quiet_until_ms(const struct lease *lease);

/* --- sessions --------------------------------------------------------------------------------- */

/* Opens a session under a number that no other had. `bound_ms`: the earliest end of a peer's lease
 * over all partitions led here, UINT64_MAX if there is none (C5). `*granted_ms` is what the host
 * may count from before it sent the call; it is less than what this server waits for, by the drift
 * of two clocks. 0, CAIRN_EFULL (too many sessions), CAIRN_EBUSY (not now: no lease of useful
 * length can be given), CAIRN_EINVAL (number 0 or in use). */
int lease_open(struct lease *lease, uint64_t session, uint64_t now_ms, uint64_t bound_ms,
               uint64_t *granted_ms);
/* A renewal arrived; its answer comes as LEASE_GRANTED, once what was begun before it arrived has
 * been answered (C5); the lease runs from its arrival. One that waits already is answered with 0
 * first. False: no such session, answer CLOSED. */
bool lease_renew(struct lease *lease, uint64_t session, uint64_t now_ms, uint64_t bound_ms);
/* A listener is there, and the batches up to `answered` are carried out (C3). A batch comes as
 * LEASE_BATCH when there is one, at most one for each listener; what was sent and not answered
 * comes again, the same under the same number. Answering the one with `all` ends the session
 * (LEASE_OVER). A number that was never sent answers nothing. False: no such session. */
bool lease_listen(struct lease *lease, uint64_t session, uint64_t answered, uint64_t now_ms);
/* The listener is gone (its connection broke, or it was answered without a batch): nothing is sent
 * until there is another one. The session lives on until it runs out. */
void lease_unlisten(struct lease *lease, uint64_t session);
/* The host says that nothing under the session is read any more (C6). */
void lease_close(struct lease *lease, uint64_t session);
/* Ends all sessions that are open now, each by a batch with `all` set, or when it runs out; until
 * then they are granted nothing and not renewed. Others may be opened at once. lease_ended tells
 * when none of them is left: for a primary that hands over (C6, yields). Also to be called when a
 * partition is led no more for any other reason: its peers' leases bound no renewal from then on
 * (C5), yet the sessions hold its keys. Returns the ticket for lease_ended. */
uint64_t lease_end_all(struct lease *lease);
bool lease_ended(const struct lease *lease, uint64_t ticket);

/* --- keys ------------------------------------------------------------------------------------- */

/* C2: whether a committed, present, unexpired value of the bucket may be cached under the session;
 * it is noted then. `peers_until_ms`: the earliest end of a peer's lease over the key's partition,
 * UINT64_MAX if there is none: no grant outlives it (C5). */
bool lease_grant(struct lease *lease, uint64_t session, uint32_t bucket, uint64_t now_ms,
                 uint64_t peers_until_ms);
/* A write to the bucket was proposed: revokes it from its holders (C3). */
void lease_write_begins(struct lease *lease, uint32_t bucket, uint64_t now_ms);
/* It was applied, dropped, or left to another primary. */
void lease_write_ends(struct lease *lease, uint32_t bucket);

/* Whether replies about the bucket, or any bucket, have to wait now. */
bool lease_is_revoking(const struct lease *lease, uint32_t bucket);
bool lease_is_revoking_any(const struct lease *lease);
/* Waits for what is being revoked of the bucket now, or of all buckets; it is (CHECK). */
void lease_wait(struct lease *lease, uint32_t bucket, struct lease_waiter *waiter);
void lease_wait_all(struct lease *lease, struct lease_waiter *waiter);

/* --- time and outputs ---------------------------------------------------------------------------
 */

/* Ends the sessions whose lease has run out. */
void lease_tick(struct lease *lease, uint64_t now_ms);
/* When the next session runs out whose host has not answered something; UINT64_MAX: there is none.
 * lease_tick is worth calling then: others wait for it. */
uint64_t lease_next_lapse_ms(const struct lease *lease);
/* The next thing to do; false: nothing. To be called after every event until it says so. */
bool lease_next_output(struct lease *lease, struct lease_output *output);
/* The next waiter that waits no more; the caller owns it again. NULL: none. */
struct lease_waiter *lease_next_ready(struct lease *lease);
/* Gives back all waiters, whatever they wait for: for a driver that closes. */
void lease_release_all(struct lease *lease);

struct lease_stats {
    uint64_t sessions; /* open now, or ending */
    uint64_t grants, refused, revocations,
        lapses;        /* since the start; lapses: sessions that ran out */
    uint64_t revoking; /* buckets, now */
};
void lease_stats(const struct lease *lease, struct lease_stats *stats);

/* How long a host may count a lease that ends here `length_ms` from now, and the reverse: two
 * clocks may drift apart by LEASE_DRIFT_PERMILLE each (C5). Rounded to the safe side. */
enum { LEASE_DRIFT_PERMILLE = 10 };
uint64_t lease_host_ms(uint64_t length_ms);
uint64_t lease_server_ms(uint64_t host_ms);

#endif
