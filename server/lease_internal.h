/* What the files of the lease core share: lease.c (sessions), lease_revoke.c (buckets),
 * lease_output.c (what there is to do). */
#ifndef CAIRN_SERVER_LEASE_INTERNAL_H
#define CAIRN_SERVER_LEASE_INTERNAL_H

#include "server/lease.h"

enum { LEASE_WORDS = LEASE_SESSIONS_LIMIT / 64 };

/* A bit for each session's slot. */
struct lease_set {
    uint64_t words[LEASE_WORDS];
};

enum lease_state {
    LEASE_STATE_FREE,
    LEASE_STATE_OPEN,
    LEASE_STATE_ENDING, /* no grants, no renewals; its host is told by a batch with `all` */
    LEASE_STATE_ENDED,  /* gone, but LEASE_OVER was not taken yet */
};

struct lease_session {
    uint64_t number;
    enum lease_state state;
    uint64_t until_ms;
    uint64_t ticket; /* ENDING: that of lease_end_all */

    /* What its host was or shall be told: a ring of buckets, each at most once, because nothing is
     * granted of a bucket that is being revoked (C2). The first `batch` of them were sent under
     * `batch_number` and wait for their answer. */
    uint32_t *queue;
    uint32_t head, count, batch;
    uint64_t begun, answered; /* invalidations ever put into the queue, and answered */
    uint64_t sent;            /* number of the last batch, of either kind */
    uint64_t batch_number;    /* of those `batch` buckets */
    uint64_t all_number;      /* of the batch with `all`; 0: not sent yet */
    bool listening;

    bool renewing;
    uint64_t arrival_ms, end_ms; /* when it came; when the lease that it asks for ends */
    uint64_t renew_after;        /* answered when this many invalidations were (C5) */
    uint32_t renews_ended;       /* earlier renewals that are to be answered with nothing */

    bool has_work; /* in lease->work */
    bool ran_out;  /* only with C5_REUSE broken: it ran out, and may come back */
    LIST_ENTRY(lease_session) same_hash;
    TAILQ_ENTRY(lease_session) work;
};

STAILQ_HEAD(lease_waiters, lease_waiter);

/* Of one bucket; there is at most one at a time. */
struct lease_revocation {
    uint64_t id;                /* ascending; 0: the bucket is not being revoked */
    struct lease_set remaining; /* have not answered yet */
    struct lease_waiters waiters;
    TAILQ_ENTRY(lease_revocation) newer;
};

struct lease {
    struct lease_options options;
    uint64_t quiet_until_ms;
    uint64_t now_ms; /* of the last event with a time */

    struct lease_session sessions[LEASE_SESSIONS_LIMIT];
    LIST_HEAD(, lease_session) by_number[LEASE_SESSIONS_LIMIT];
    TAILQ_HEAD(, lease_session) work;
    uint32_t open;
    struct lease_set live;  /* hold what their bits in `holders` say */
    struct lease_set dirty; /* free slots whose bits of an earlier session are still there */
    uint64_t tickets;

    /* By bucket. From calloc: pages that no key needs are never there. */
    struct lease_set *holders;
    uint32_t *pending; /* writes proposed and not applied */
    struct lease_revocation *revocations;

    TAILQ_HEAD(, lease_revocation) active; /* by id */
    uint64_t newest;                       /* id */
    struct lease_waiters all_waiters;      /* of lease_wait_all, by id */
    struct lease_waiters ready;

    struct lease_stats stats;
    uint32_t buckets[CAIRN_BATCH_BUCKETS_LIMIT]; /* of the last output */
};

static inline bool lease_set_has(const struct lease_set *set, uint32_t slot)
{
    return (set->words[slot / 64] >> (slot % 64) & 1) != 0;
}

static inline void lease_set_put(struct lease_set *set, uint32_t slot)
{
    set->words[slot / 64] |= UINT64_C(1) << (slot % 64);
}

static inline void lease_set_take(struct lease_set *set, uint32_t slot)
{
    set->words[slot / 64] &= ~(UINT64_C(1) << (slot % 64));
}

static inline bool lease_set_is_empty(const struct lease_set *set)
{
    for (unsigned w = 0; w < LEASE_WORDS; w++) {
        if (set->words[w] != 0) {
            return false;
        }
    }
    return true;
}

/* --- lease.c --- */

/* The session if it is open or ending; one that has run out ends here. NULL: none. */
struct lease_session *lease_find(struct lease *lease, uint64_t number, uint64_t now_ms);
/* Ends a session whose lease ran out. */
void lease_lapse(struct lease *lease, struct lease_session *session);
/* Nothing under the session is read any more: all that waits for it goes on. */
void lease_finish(struct lease *lease, struct lease_session *session);
/* Gives the slot back, after LEASE_OVER was taken. */
void lease_vacate(struct lease *lease, struct lease_session *session);
/* lease_next_output has to look at it. */
void lease_has_work(struct lease *lease, struct lease_session *session);

/* --- lease_revoke.c --- */

/* Counts the first `count` buckets of the session's queue as answered. */
void lease_answer(struct lease *lease, struct lease_session *session, uint32_t count);

static inline uint32_t lease_slot(const struct lease *lease, const struct lease_session *session)
{
    return (uint32_t)(session - lease->sessions);
}

#endif
