/* Buckets: what is granted, what is revoked, and who waits for it (C2, C3). */
#include "base/check.h"
#include "base/rules.h"
#include "server/lease_internal.h"

/* --- revocations ------------------------------------------------------------------------------ */

/* lease_wait_all: everything that was active then has a smaller id than what is the oldest now. */
static void wake_all_waiters(struct lease *lease)
{
    const struct lease_revocation *oldest = TAILQ_FIRST(&lease->active);
    struct lease_waiter *waiter;

    while ((waiter = STAILQ_FIRST(&lease->all_waiters)) != NULL &&
           (oldest == NULL || waiter->revocation < oldest->id)) {
        STAILQ_REMOVE_HEAD(&lease->all_waiters, next);
        STAILQ_INSERT_TAIL(&lease->ready, waiter, next);
    }
}

static void revocation_end(struct lease *lease, struct lease_revocation *revocation)
{
    TAILQ_REMOVE(&lease->active, revocation, newer);
    lease->stats.revoking--;
    revocation->id = 0;
    STAILQ_CONCAT(&lease->ready, &revocation->waiters);
    wake_all_waiters(lease);
}

void lease_answer(struct lease *lease, struct lease_session *session, uint32_t count)
{
    const uint32_t slot = lease_slot(lease, session);

    CHECK(count <= session->count && session->batch <= session->count);
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t bucket = session->queue[(session->head + i) % CAIRN_BUCKETS];
        struct lease_revocation *revocation = &lease->revocations[bucket];

        CHECK(revocation->id != 0 && lease_set_has(&revocation->remaining, slot));
        lease_set_take(&revocation->remaining, slot);
        if (lease_set_is_empty(&revocation->remaining)) {
            revocation_end(lease, revocation);
        }
    }
    session->count -= count;
    session->answered += count;
    session->batch = count >= session->batch ? 0 : session->batch - count;
    /* From the front again: a short queue stays in one page. */
    session->head = session->count == 0 ? 0 : (session->head + count) % CAIRN_BUCKETS;
    lease_has_work(lease, session);
}

static void tell(struct lease *lease, struct lease_session *session, uint32_t bucket)
{
    CHECK(session->count < CAIRN_BUCKETS);
    session->queue[(session->head + session->count) % CAIRN_BUCKETS] = bucket;
    session->count++;
    session->begun++;
    lease_has_work(lease, session);
}

/* Takes the bucket from those who hold it and whose sessions live: they remain to be heard of. */
static void collect_holders(struct lease *lease, uint32_t bucket, uint64_t now_ms,
                            struct lease_set *remaining)
{
    for (unsigned w = 0; w < LEASE_WORDS; w++) {
        uint64_t bits = lease->holders[bucket].words[w] & lease->live.words[w];

        remaining->words[w] = 0;
        for (; bits != 0; bits &= bits - 1) {
            const uint32_t slot = w * 64 + (uint32_t)__builtin_ctzll(bits);
            struct lease_session *session = &lease->sessions[slot];

            if (session->until_ms <= now_ms) {
                lease_lapse(lease, session);
                continue;
            }
            lease_set_put(remaining, slot);
            tell(lease, session, bucket);
        }
    }
    lease->holders[bucket] = (struct lease_set){0};
}

static void revoke(struct lease *lease, uint32_t bucket, uint64_t now_ms)
{
    struct lease_revocation *revocation = &lease->revocations[bucket];

    if (lease_set_is_empty(&lease->holders[bucket])) {
        return;
    }
    collect_holders(lease, bucket, now_ms, &revocation->remaining);
    if (lease_set_is_empty(&revocation->remaining)) {
        return;
    }
    revocation->id = ++lease->newest;
    STAILQ_INIT(&revocation->waiters);
    TAILQ_INSERT_TAIL(&lease->active, revocation, newer);
    lease->stats.revocations++;
    lease->stats.revoking++;
}

/* --- keys ------------------------------------------------------------------------------------- */

/* C2, for what is asked of the bucket; C5, for how long the session may read it. */
static bool may_grant(const struct lease *lease, const struct lease_session *session,
                      uint32_t bucket, uint64_t peers_until_ms)
{
    if (lease->pending[bucket] > 0 && !RULE_BROKEN(C2_PENDING)) {
        return false;
    }
    if (lease->revocations[bucket].id != 0 && !RULE_BROKEN(C2_REVOKING)) {
        return false;
    }
    return session->until_ms <= peers_until_ms || RULE_BROKEN(C5_PEERS);
}

bool lease_grant(struct lease *lease, uint64_t number, uint32_t bucket, uint64_t now_ms,
                 uint64_t peers_until_ms)
{
    CHECK(bucket < CAIRN_BUCKETS);
    lease->now_ms = now_ms;
    struct lease_session *session = lease_find(lease, number, now_ms);

    if (session == NULL || session->state != LEASE_STATE_OPEN || session->ran_out) {
        lease->stats.refused++;
        return RULE_BROKEN(C2_LIVE);
    }
    if (!may_grant(lease, session, bucket, peers_until_ms)) {
        lease->stats.refused++;
        return false;
    }
    lease_set_put(&lease->holders[bucket], lease_slot(lease, session));
    lease->stats.grants++;
    return true;
}

void lease_write_begins(struct lease *lease, uint32_t bucket, uint64_t now_ms)
{
    CHECK(bucket < CAIRN_BUCKETS);
    CHECK(lease->pending[bucket] < UINT32_MAX);
    lease->now_ms = now_ms;
    lease->pending[bucket]++;
    /* While it is being revoked there are no new holders (C2): this write joins the revocation. */
    if (lease->open > 0 && lease->revocations[bucket].id == 0) {
        revoke(lease, bucket, now_ms);
    }
}

void lease_write_ends(struct lease *lease, uint32_t bucket)
{
    CHECK(bucket < CAIRN_BUCKETS);
    CHECK(lease->pending[bucket] > 0);
    lease->pending[bucket]--;
}

/* --- waiters ---------------------------------------------------------------------------------- */

bool lease_is_revoking(const struct lease *lease, uint32_t bucket)
{
    CHECK(bucket < CAIRN_BUCKETS);
    return lease->revocations[bucket].id != 0;
}

bool lease_is_revoking_any(const struct lease *lease)
{
    return !TAILQ_EMPTY(&lease->active);
}

void lease_wait(struct lease *lease, uint32_t bucket, struct lease_waiter *waiter)
{
    CHECK(lease_is_revoking(lease, bucket));
    waiter->revocation = lease->revocations[bucket].id;
    STAILQ_INSERT_TAIL(&lease->revocations[bucket].waiters, waiter, next);
}

void lease_wait_all(struct lease *lease, struct lease_waiter *waiter)
{
    CHECK(lease_is_revoking_any(lease));
    waiter->revocation = lease->newest;
    STAILQ_INSERT_TAIL(&lease->all_waiters, waiter, next);
}

void lease_release_all(struct lease *lease)
{
    struct lease_revocation *revocation;

    TAILQ_FOREACH(revocation, &lease->active, newer)
    {
        STAILQ_CONCAT(&lease->ready, &revocation->waiters);
    }
    STAILQ_CONCAT(&lease->ready, &lease->all_waiters);
}
