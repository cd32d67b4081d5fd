/* What there is to do after an event: batches, renewals, ends, and waiters that wait no more. */
#include "server/lease_internal.h"

/* C5: the lease runs from the renewal's arrival, and never shortens. */
static void put_granted(const struct lease *lease, struct lease_session *session,
                        struct lease_output *output)
{
    *output = (struct lease_output){.kind = LEASE_GRANTED, .session = session->number};
    session->renewing = false;
    if (session->end_ms > session->until_ms) {
        session->until_ms = session->end_ms;
    }
    /* It may have waited for its answers longer than it would last. */
    if (session->until_ms > lease->now_ms) {
        output->granted_ms = lease_host_ms(session->until_ms - session->arrival_ms);
    }
}

/* The first of the queue, or once more what was not answered. */
static void put_batch(struct lease *lease, struct lease_session *session,
                      struct lease_output *output)
{
    if (session->batch == 0) {
        session->batch =
            session->count < CAIRN_BATCH_BUCKETS_LIMIT ? session->count : CAIRN_BATCH_BUCKETS_LIMIT;
        session->batch_number = ++session->sent;
    }
    for (uint32_t i = 0; i < session->batch; i++) {
        lease->buckets[i] = session->queue[(session->head + i) % CAIRN_BUCKETS];
    }
    *output = (struct lease_output){.kind = LEASE_BATCH,
                                    .session = session->number,
                                    .number = session->batch_number,
                                    .buckets = lease->buckets,
                                    .count = session->batch};
}

/* Instead of all that it was not told yet. A batch that is under way may still be answered. */
static void put_all(struct lease_session *session, struct lease_output *output)
{
    if (session->all_number == 0) {
        session->all_number = ++session->sent;
    }
    *output = (struct lease_output){.kind = LEASE_BATCH,
                                    .session = session->number,
                                    .number = session->all_number,
                                    .all = true};
}

static bool session_output(struct lease *lease, struct lease_session *session,
                           struct lease_output *output)
{
    if (session->state == LEASE_STATE_ENDED) {
        *output = (struct lease_output){.kind = LEASE_OVER, .session = session->number};
        lease_vacate(lease, session);
        return true;
    }
    if (session->renews_ended > 0) {
        session->renews_ended--;
        *output = (struct lease_output){.kind = LEASE_GRANTED, .session = session->number};
        return true;
    }
    if (session->renewing && session->answered >= session->renew_after) {
        put_granted(lease, session, output);
        return true;
    }
    if (!session->listening) {
        return false;
    }
    if (session->state == LEASE_STATE_ENDING) {
        session->listening = false;
        put_all(session, output);
        return true;
    }
    if (session->count > 0) {
        session->listening = false;
        put_batch(lease, session, output);
        return true;
    }
    return false;
}

bool lease_next_output(struct lease *lease, struct lease_output *output)
{
    struct lease_session *session;

    while ((session = TAILQ_FIRST(&lease->work)) != NULL) {
        if (session_output(lease, session, output)) {
            return true;
        }
        TAILQ_REMOVE(&lease->work, session, work);
        session->has_work = false;
    }
    return false;
}

struct lease_waiter *lease_next_ready(struct lease *lease)
{
    struct lease_waiter *waiter = STAILQ_FIRST(&lease->ready);

    if (waiter != NULL) {
        STAILQ_REMOVE_HEAD(&lease->ready, next);
    }
    return waiter;
}
