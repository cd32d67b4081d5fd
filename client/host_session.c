/* The agent's side of a session: opened, renewed in time, listened to, closed, and opened anew
 * under another number whenever it ends (C4 to C6). */
#include "client/host_session.h"

#include "base/rules.h"
#include "proto/bucket.h"

enum {
    BACKOFF_FIRST_MS = 50,
    BACKOFF_LIMIT_MS = 1000,
    REFUSED_MS = 5000,  /* the server takes no sessions: that does not change soon */
    RENEW_PART = 4,     /* of the time left, until the next renewal */
    RENEW_MIN_MS = 10,  /* between two of them, however short the lease */
    BACKOFF_STEPS = 16, /* more doublings make no difference */
};

void host_session_init(struct host_session *session, const struct cache *cache, uint32_t server)
{
    *session = (struct host_session){.cache = cache, .server = server};
}

/* --- what is shared --------------------------------------------------------------------------- */

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* When to try again after one more failure. */
static uint64_t backoff(struct host_session *session, uint64_t now_ms)
{
    const uint64_t delay_ms = (uint64_t)BACKOFF_FIRST_MS << session->failures;

    if (session->failures < BACKOFF_STEPS) {
        session->failures++;
    }
    return now_ms + earlier(delay_ms, BACKOFF_LIMIT_MS);
}

/* When to renew next: the sooner the less is left. */
static uint64_t renewal_ms(const struct host_session *session, uint64_t now_ms)
{
    const uint64_t wait_ms =
        session->until_ms > now_ms ? (session->until_ms - now_ms) / RENEW_PART : 0;

    return now_ms + (wait_ms > RENEW_MIN_MS ? wait_ms : RENEW_MIN_MS);
}

static uint64_t renew_again_ms(struct host_session *session, uint64_t now_ms)
{
    return earlier(backoff(session, now_ms), renewal_ms(session, now_ms));
}

/* With C4 broken: counts what was answered long ago. */
static void count_late(struct host_session *session)
{
    for (uint32_t i = 0; i < session->late_count; i++) {
        cache_invalidate(session->cache, session->late[i]);
    }
    session->late_count = 0;
}

/* There is no session, and its number is never used again (C5). */
static void forget(struct host_session *session)
{
    session->state = HOST_SESSION_NONE;
    session->number = 0;
    session->asking = session->listening = false;
}

/* No reader takes anything of the open session from here on. */
static void void_open(struct host_session *session, uint64_t now_ms)
{
    cache_void_session(session->cache, session->server);
    if (now_ms >= session->until_ms) {
        cache_add(session->cache, CACHE_LAPSES, 1);
    }
}

/* The session is void: its server is to be told as soon as possible, for writes wait for that. */
static void begin_close(struct host_session *session, uint64_t now_ms, uint64_t reopen_ms)
{
    session->state = HOST_SESSION_CLOSING;
    session->asking = session->listening = false;
    session->retry_ms = now_ms;
    session->due_ms = reopen_ms;
}

/* A CLOSE was not answered. Past its lease there is nothing left to close. */
static void retry_close(struct host_session *session, uint64_t now_ms)
{
    if (now_ms >= session->until_ms) {
        forget(session);
        return;
    }
    session->asking = false;
    session->retry_ms = backoff(session, now_ms);
}

/* --- calls ------------------------------------------------------------------------------------ */

static enum host_session_call open_due(const struct host_session *session, uint64_t now_ms)
{
    if (now_ms >= session->until_ms) {
        return HOST_CALL_CLOSE;
    }
    if (!session->listening && now_ms >= session->retry_ms) {
        return HOST_CALL_LISTEN;
    }
    return !session->asking && now_ms >= session->due_ms ? HOST_CALL_RENEW : HOST_CALL_NONE;
}

enum host_session_call host_session_due(const struct host_session *session, uint64_t now_ms)
{
    switch (session->state) {
    case HOST_SESSION_NONE:
        return now_ms >= session->due_ms && session->due_ms < UINT64_MAX ? HOST_CALL_OPEN
                                                                         : HOST_CALL_NONE;
    case HOST_SESSION_OPENING:
        return HOST_CALL_NONE;
    case HOST_SESSION_OPEN:
        return open_due(session, now_ms);
    case HOST_SESSION_CLOSING:
        return !session->asking && now_ms >= session->retry_ms ? HOST_CALL_CLOSE : HOST_CALL_NONE;
    }
    return HOST_CALL_NONE;
}

uint64_t host_session_next_ms(const struct host_session *session)
{
    uint64_t next_ms = UINT64_MAX;

    switch (session->state) {
    case HOST_SESSION_NONE:
        return session->due_ms;
    case HOST_SESSION_OPENING:
        break;
    case HOST_SESSION_OPEN:
        next_ms = session->until_ms;
        if (!session->listening) {
            next_ms = earlier(next_ms, session->retry_ms);
        }
        if (!session->asking) {
            next_ms = earlier(next_ms, session->due_ms);
        }
        break;
    case HOST_SESSION_CLOSING:
        return session->asking ? UINT64_MAX : session->retry_ms;
    }
    return next_ms;
}

void host_session_sent(struct host_session *session, enum host_session_call call, uint64_t number,
                       uint64_t now_ms)
{
    switch (call) {
    case HOST_CALL_NONE:
        return;
    case HOST_CALL_LISTEN:
        session->listening = true;
        return;
    case HOST_CALL_OPEN:
        session->state = HOST_SESSION_OPENING;
        session->number = number;
        session->until_ms = session->granted_ms = session->answered = 0;
        break;
    case HOST_CALL_RENEW:
        break;
    case HOST_CALL_CLOSE:
        if (session->state == HOST_SESSION_OPEN) { /* it ran out */
            void_open(session, now_ms);
            begin_close(session, now_ms, now_ms);
        }
        break;
    }
    count_late(session);
    session->asking = true;
    session->asked_ms = now_ms;
}

/* --- leases ----------------------------------------------------------------------------------- */

/* C5: the server counts from when the call arrived, so this side from before it left. */
static uint64_t lease_end(const struct host_session *session, uint64_t granted_ms, uint64_t now_ms)
{
    const uint64_t from_ms = RULE_BROKEN(C5_ARRIVAL) ? now_ms : session->asked_ms;

    return granted_ms > UINT64_MAX - 1 - from_ms ? UINT64_MAX - 1 : from_ms + granted_ms;
}

/* A lease is there, for readers too. */
static void take_lease(struct host_session *session, uint64_t granted_ms, uint64_t until_ms,
                       uint64_t now_ms)
{
    session->failures = 0;
    session->granted_ms = granted_ms;
    session->until_ms = until_ms;
    session->due_ms = renewal_ms(session, now_ms);
    cache_set_session(session->cache, session->server, session->number, until_ms);
}

static void opened(struct host_session *session, uint64_t granted_ms, uint64_t now_ms)
{
    const uint64_t until_ms = lease_end(session, granted_ms, now_ms);

    session->until_ms = until_ms;
    if (until_ms <= now_ms) { /* over before it began */
        begin_close(session, now_ms, backoff(session, now_ms));
        return;
    }
    session->state = HOST_SESSION_OPEN;
    session->retry_ms = now_ms;
    take_lease(session, granted_ms, until_ms, now_ms);
}

static void renewed(struct host_session *session, uint64_t granted_ms, uint64_t now_ms)
{
    const uint64_t until_ms = lease_end(session, granted_ms, now_ms);

    if (granted_ms == 0 || until_ms <= session->until_ms || until_ms <= now_ms) {
        session->due_ms = renew_again_ms(session, now_ms);
        return;
    }
    take_lease(session, granted_ms, until_ms, now_ms);
}

static uint64_t reopen_ms(struct host_session *session, cache_status status, uint64_t now_ms)
{
    switch (status) {
    case CACHE_FULL:
    case CACHE_OFF:
    case CACHE_WRONG_CLUSTER:
        return now_ms + REFUSED_MS;
    case CACHE_OK:
    case CACHE_CLOSED:
    case CACHE_STARTING:
        break;
    }
    if (session->state != HOST_SESSION_OPEN) {
        return backoff(session, now_ms);
    }
    /* At once, unless it was asked for only just now: no server is asked in a circle. */
    const uint64_t pause_ms = session->asked_ms + BACKOFF_FIRST_MS;

    return pause_ms > now_ms ? pause_ms : now_ms;
}

/* The server has no such session, or none at all. */
static void refused(struct host_session *session, cache_status status, uint64_t now_ms)
{
    if (session->state == HOST_SESSION_OPEN) {
        void_open(session, now_ms);
    }
    session->due_ms = reopen_ms(session, status, now_ms);
    forget(session);
}

void host_session_granted(struct host_session *session, uint64_t number, cache_status status,
                          uint64_t granted_ms, uint64_t now_ms)
{
    const bool opening = session->state == HOST_SESSION_OPENING;

    count_late(session);
    if (number != session->number || !session->asking ||
        !(opening || session->state == HOST_SESSION_OPEN)) {
        return;
    }
    session->asking = false;
    if (status != CACHE_OK) {
        refused(session, status, now_ms);
    } else if (opening) {
        opened(session, granted_ms, now_ms);
    } else {
        renewed(session, granted_ms, now_ms);
    }
}

/* --- invalidations ---------------------------------------------------------------------------- */

/* C4: counted before anything tells the server so. False: this is no batch of a server. */
static bool carry_out(struct host_session *session, const cache_batch *batch)
{
    for (u_int i = 0; i < batch->buckets.buckets_len; i++) {
        const uint32_t bucket = batch->buckets.buckets_val[i];

        if (bucket >= CAIRN_BUCKETS) {
            return false;
        }
        if (RULE_BROKEN(C4) && session->late_count < HOST_SESSION_LATE) {
            session->late[session->late_count++] = bucket;
        } else {
            cache_invalidate(session->cache, bucket);
        }
    }
    cache_add(session->cache, CACHE_INVALIDATIONS, batch->buckets.buckets_len);
    session->answered = batch->number;
    return true;
}

void host_session_batch(struct host_session *session, uint64_t number, const cache_batch *batch,
                        uint64_t now_ms)
{
    count_late(session);
    if (number != session->number || session->state != HOST_SESSION_OPEN || !session->listening) {
        return;
    }
    session->listening = false;
    session->retry_ms = now_ms; /* the next LISTEN is the answer */
    if (batch->status != CACHE_OK) {
        refused(session, batch->status, now_ms);
    } else if (batch->all) {
        /* Under whatever number: a batch before it may have been lost. CLOSE answers it. */
        void_open(session, now_ms);
        begin_close(session, now_ms, now_ms);
    } else if (batch->number == session->answered + 1 && !carry_out(session, batch)) {
        void_open(session, now_ms);
        begin_close(session, now_ms, now_ms + REFUSED_MS);
    }
}

/* --- ends ------------------------------------------------------------------------------------- */

void host_session_closed(struct host_session *session, uint64_t number)
{
    count_late(session);
    if (number == session->number && session->state == HOST_SESSION_CLOSING) {
        forget(session);
    }
}

static void open_failed(struct host_session *session, enum host_session_call call, uint64_t now_ms)
{
    if (call == HOST_CALL_LISTEN) {
        session->listening = false;
        session->retry_ms = now_ms + BACKOFF_FIRST_MS;
    } else if (call == HOST_CALL_RENEW) {
        session->asking = false;
        session->due_ms = renew_again_ms(session, now_ms);
    }
}

void host_session_failed(struct host_session *session, enum host_session_call call, uint64_t number,
                         uint64_t now_ms)
{
    count_late(session);
    if (number != session->number) {
        return;
    }
    switch (session->state) {
    case HOST_SESSION_NONE:
        break;
    case HOST_SESSION_OPENING:
        if (call == HOST_CALL_OPEN) {
            session->due_ms = backoff(session, now_ms);
            forget(session);
        }
        break;
    case HOST_SESSION_OPEN:
        open_failed(session, call, now_ms);
        break;
    case HOST_SESSION_CLOSING:
        if (call == HOST_CALL_CLOSE) {
            retry_close(session, now_ms);
        }
        break;
    }
}

void host_session_lost(struct host_session *session, uint64_t now_ms)
{
    count_late(session);
    switch (session->state) {
    case HOST_SESSION_NONE:
        break;
    case HOST_SESSION_OPENING:
        session->due_ms = backoff(session, now_ms);
        forget(session);
        break;
    case HOST_SESSION_OPEN:
        void_open(session, now_ms);
        begin_close(session, now_ms, now_ms);
        break;
    case HOST_SESSION_CLOSING:
        if (session->asking) {
            retry_close(session, now_ms);
        }
        break;
    }
}

void host_session_end(struct host_session *session, uint64_t now_ms)
{
    count_late(session);
    switch (session->state) {
    case HOST_SESSION_NONE:
        break;
    case HOST_SESSION_OPEN:
        void_open(session, now_ms);
        begin_close(session, now_ms, UINT64_MAX);
        break;
    case HOST_SESSION_OPENING: /* the server may have it by now */
        begin_close(session, now_ms, UINT64_MAX);
        break;
    case HOST_SESSION_CLOSING:
        break;
    }
    session->due_ms = UINT64_MAX;
}
