/* Sessions of hosts: how they begin, go on and end (C5 to C7). */
#include "server/lease.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/error.h"
#include "base/rules.h"
#include "server/lease_internal.h"

enum { SLOWEST = 1000 - LEASE_DRIFT_PERMILLE, FASTEST = 1000 + LEASE_DRIFT_PERMILLE };

/* The host's clock may be as slow as drift allows and this one as fast. Whole and rest apart: no
 * product can overflow. */
uint64_t lease_host_ms(uint64_t length_ms)
{
    return length_ms / FASTEST * SLOWEST + length_ms % FASTEST * SLOWEST / FASTEST;
}

uint64_t lease_server_ms(uint64_t host_ms)
{
    const uint64_t rest = (host_ms % SLOWEST * FASTEST + SLOWEST - 1) / SLOWEST;

    if (host_ms / SLOWEST >= UINT64_MAX / FASTEST) {
        return UINT64_MAX;
    }
    return host_ms / SLOWEST * FASTEST + rest;
}

static uint64_t add_ms(uint64_t now_ms, uint64_t length_ms)
{
    return length_ms > UINT64_MAX - now_ms ? UINT64_MAX : now_ms + length_ms;
}

struct lease *lease_create(const struct lease_options *options, uint64_t now_ms)
{
    struct lease *lease = calloc(1, sizeof(*lease));

    if (lease == NULL) {
        return NULL;
    }
    lease->options = *options;
    lease->now_ms = now_ms;
    if (options->longest_ms > 0) {
        lease->quiet_until_ms = add_ms(now_ms, lease_server_ms(options->longest_ms));
    }
    TAILQ_INIT(&lease->work);
    TAILQ_INIT(&lease->active);
    STAILQ_INIT(&lease->all_waiters);
    STAILQ_INIT(&lease->ready);
    lease->holders = calloc(CAIRN_BUCKETS, sizeof(*lease->holders));
    lease->pending = calloc(CAIRN_BUCKETS, sizeof(*lease->pending));
    lease->revocations = calloc(CAIRN_BUCKETS, sizeof(*lease->revocations));
    if (lease->holders == NULL || lease->pending == NULL || lease->revocations == NULL) {
        lease_free(lease);
        return NULL;
    }
    return lease;
}

void lease_free(struct lease *lease)
{
    if (lease == NULL) {
        return;
    }
    for (unsigned s = 0; s < LEASE_SESSIONS_LIMIT; s++) {
        free(lease->sessions[s].queue);
    }
    free(lease->holders);
    free(lease->pending);
    free(lease->revocations);
    free(lease);
}

uint64_t lease_quiet_until_ms(const struct lease *lease)
{
    return RULE_BROKEN(C7) ? 0 : lease->quiet_until_ms;
}

/* --- slots ------------------------------------------------------------------------------------ */

static struct lease_session *find_any(struct lease *lease, uint64_t number)
{
    struct lease_session *session;

    LIST_FOREACH(session, &lease->by_number[number % LEASE_SESSIONS_LIMIT], same_hash)
    {
        if (session->number == number) {
            return session;
        }
    }
    return NULL;
}

struct lease_session *lease_find(struct lease *lease, uint64_t number, uint64_t now_ms)
{
    struct lease_session *session = find_any(lease, number);

    if (session == NULL || session->state == LEASE_STATE_ENDED) {
        return NULL;
    }
    if (session->until_ms <= now_ms) {
        lease_lapse(lease, session);
    }
    return session->state == LEASE_STATE_ENDED ? NULL : session;
}

/* Clears the bits of all sessions that are gone: one pass for many of them. */
static void sweep(struct lease *lease)
{
    for (uint32_t b = 0; b < CAIRN_BUCKETS; b++) {
        for (unsigned w = 0; w < LEASE_WORDS; w++) {
            const uint64_t stale = lease->holders[b].words[w] & lease->dirty.words[w];

            /* Only where there is something: a page that was only read costs no memory. */
            if (stale != 0) {
                lease->holders[b].words[w] ^= stale;
            }
        }
    }
    lease->dirty = (struct lease_set){0};
}

static struct lease_session *free_slot(struct lease *lease)
{
    struct lease_session *dirty = NULL;

    for (uint32_t s = 0; s < LEASE_SESSIONS_LIMIT; s++) {
        if (lease->sessions[s].state != LEASE_STATE_FREE) {
            continue;
        }
        if (!lease_set_has(&lease->dirty, s)) {
            return &lease->sessions[s];
        }
        dirty = &lease->sessions[s];
    }
    if (dirty != NULL) {
        sweep(lease);
    }
    return dirty;
}

void lease_has_work(struct lease *lease, struct lease_session *session)
{
    if (!session->has_work) {
        session->has_work = true;
        TAILQ_INSERT_TAIL(&lease->work, session, work);
    }
}

void lease_finish(struct lease *lease, struct lease_session *session)
{
    CHECK(session->state == LEASE_STATE_OPEN || session->state == LEASE_STATE_ENDING);
    lease_answer(lease, session, session->count);
    session->state = LEASE_STATE_ENDED;
    lease_set_take(&lease->live, lease_slot(lease, session));
    lease->open--;
    lease_has_work(lease, session);
}

void lease_lapse(struct lease *lease, struct lease_session *session)
{
    if (RULE_BROKEN(C5_REUSE) && session->state == LEASE_STATE_OPEN) {
        lease_answer(lease, session, session->count);
        session->ran_out = true;
        return;
    }
    lease->stats.lapses++;
    lease_finish(lease, session);
}

void lease_vacate(struct lease *lease, struct lease_session *session)
{
    CHECK(session->state == LEASE_STATE_ENDED && session->count == 0);
    if (session->has_work) {
        TAILQ_REMOVE(&lease->work, session, work);
    }
    LIST_REMOVE(session, same_hash);
    free(session->queue);
    *session = (struct lease_session){.state = LEASE_STATE_FREE};
    lease_set_put(&lease->dirty, lease_slot(lease, session));
}

/* --- sessions --------------------------------------------------------------------------------- */

/* How long a lease asked for at `arrival_ms` lasts here (C5). */
static uint64_t lease_end(const struct lease *lease, uint64_t arrival_ms, uint64_t bound_ms)
{
    const uint64_t end_ms = add_ms(arrival_ms, lease->options.lease_ms);

    return end_ms < bound_ms || RULE_BROKEN(C5_PEERS) ? end_ms : bound_ms;
}

int lease_open(struct lease *lease, uint64_t number, uint64_t now_ms, uint64_t bound_ms,
               uint64_t *granted_ms)
{
    const uint64_t until_ms = lease_end(lease, now_ms, bound_ms);

    *granted_ms = 0;
    lease->now_ms = now_ms;
    if (number == 0 || find_any(lease, number) != NULL) {
        return CAIRN_EINVAL;
    }
    if (until_ms <= now_ms || lease_host_ms(until_ms - now_ms) == 0) {
        return CAIRN_EBUSY;
    }
    struct lease_session *session = free_slot(lease);
    /* All the room its queue can ever need: a revocation must not fail later. Untouched until then.
     */
    uint32_t *queue = session != NULL ? malloc(CAIRN_BUCKETS * sizeof(*queue)) : NULL;

    if (queue == NULL) {
        return CAIRN_EFULL;
    }
    *session = (struct lease_session){
        .number = number, .state = LEASE_STATE_OPEN, .until_ms = until_ms, .queue = queue};
    LIST_INSERT_HEAD(&lease->by_number[number % LEASE_SESSIONS_LIMIT], session, same_hash);
    lease_set_put(&lease->live, lease_slot(lease, session));
    lease->open++;
    *granted_ms = lease_host_ms(until_ms - now_ms);
    return 0;
}

bool lease_renew(struct lease *lease, uint64_t number, uint64_t now_ms, uint64_t bound_ms)
{
    lease->now_ms = now_ms;
    struct lease_session *session = lease_find(lease, number, now_ms);

    if (session == NULL) {
        return false;
    }
    lease_has_work(lease, session);
    if (session->renewing) {
        session->renews_ended++;
    }
    if (session->state == LEASE_STATE_ENDING) {
        /* Not CLOSED: its host would stop answering, and the end would wait for the lease. */
        session->renews_ended++;
        return true;
    }
    if (RULE_BROKEN(C5_UNANSWERED)) {
        lease_answer(lease, session, session->count);
    }
    session->ran_out = false;
    session->renewing = true;
    session->arrival_ms = now_ms;
    session->end_ms = lease_end(lease, now_ms, bound_ms);
    session->renew_after = session->begun;
    return true;
}

/* C3: counts what the host says to have carried out. Only a number that was sent is an answer, and
 * only to what was sent under it. */
static void take_answer(struct lease *lease, struct lease_session *session, uint64_t answered)
{
    if (session->all_number != 0 && answered == session->all_number) {
        lease_finish(lease, session);
        return;
    }
    if (session->batch > 0 && answered == session->batch_number) {
        lease_answer(lease, session, session->batch);
    }
}

bool lease_listen(struct lease *lease, uint64_t number, uint64_t answered, uint64_t now_ms)
{
    lease->now_ms = now_ms;
    struct lease_session *session = lease_find(lease, number, now_ms);

    if (session == NULL) {
        return false;
    }
    session->listening = true;
    lease_has_work(lease, session);
    take_answer(lease, session, answered);
    return true;
}

void lease_unlisten(struct lease *lease, uint64_t number)
{
    struct lease_session *session = find_any(lease, number);

    if (session == NULL || session->state == LEASE_STATE_ENDED) {
        return;
    }
    /* What it was not told it still holds, whoever asks for it (C3). */
    session->listening = false;
    if (RULE_BROKEN(C3_LOST)) {
        lease_answer(lease, session, session->count);
        lease_has_work(lease, session);
    }
}

void lease_close(struct lease *lease, uint64_t number)
{
    struct lease_session *session = find_any(lease, number);

    if (session != NULL && session->state != LEASE_STATE_ENDED) {
        lease_finish(lease, session);
    }
}

/* --- all at once ------------------------------------------------------------------------------ */

uint64_t lease_end_all(struct lease *lease)
{
    lease->tickets++;
    for (unsigned s = 0; s < LEASE_SESSIONS_LIMIT; s++) {
        struct lease_session *session = &lease->sessions[s];

        if (session->state != LEASE_STATE_OPEN) {
            continue;
        }
        session->state = LEASE_STATE_ENDING;
        session->ticket = lease->tickets;
        if (session->renewing) {
            session->renewing = false;
            session->renews_ended++;
        }
        lease_has_work(lease, session);
    }
    return lease->tickets;
}

bool lease_ended(const struct lease *lease, uint64_t ticket)
{
    for (unsigned s = 0; s < LEASE_SESSIONS_LIMIT; s++) {
        const struct lease_session *session = &lease->sessions[s];

        if (session->state == LEASE_STATE_ENDING && session->ticket <= ticket) {
            return false;
        }
    }
    return true;
}

void lease_tick(struct lease *lease, uint64_t now_ms)
{
    lease->now_ms = now_ms;
    for (unsigned s = 0; lease->open > 0 && s < LEASE_SESSIONS_LIMIT; s++) {
        struct lease_session *session = &lease->sessions[s];

        if ((session->state == LEASE_STATE_OPEN || session->state == LEASE_STATE_ENDING) &&
            session->until_ms <= now_ms) {
            lease_lapse(lease, session);
        }
    }
}

uint64_t lease_next_lapse_ms(const struct lease *lease)
{
    uint64_t next_ms = UINT64_MAX;

    for (unsigned s = 0; lease->open > 0 && s < LEASE_SESSIONS_LIMIT; s++) {
        const struct lease_session *session = &lease->sessions[s];
        bool waited_for = (session->state == LEASE_STATE_OPEN && session->count > 0) ||
                          session->state == LEASE_STATE_ENDING;

        if (waited_for && session->until_ms < next_ms) {
            next_ms = session->until_ms;
        }
    }
    return next_ms;
}

void lease_stats(const struct lease *lease, struct lease_stats *stats)
{
    *stats = lease->stats;
    stats->sessions = lease->open;
}
