/* The session under which a handle's mutations run.
 *
 * Numbers only grow (S3). So the number of a mutation whose outcome stayed unknown is never used
 * again, and once the next mutation of that partition is executed the late original is refused as
 * lower.
 *
 * Retirement (S4) makes the servers forget the session. A copy of an earlier attempt that is still
 * under way - in the buffers of a connection that broke, at a server that was stopped - would then
 * look like the first mutation of a new session and be executed, perhaps for the second time. So
 * where any attempt ended unknown the session is left to the 24 h eviction. */
#include "client/session.h"

#include <string.h>

#include "base/check.h"

void session_begin(struct session *session, uint64_t client)
{
    CHECK(client != 0);
    memset(session, 0, sizeof(*session));
    session->client = client;
}

static void set(uint8_t *bits, uint32_t at)
{
    CHECK(at < CAIRN_PARTITIONS_LIMIT);
    bits[at / 8] = (uint8_t)(bits[at / 8] | 1U << at % 8);
}

static bool is_set(const uint8_t *bits, uint32_t at)
{
    return at < CAIRN_PARTITIONS_LIMIT && (bits[at / 8] >> at % 8 & 1) != 0;
}

uint64_t session_next(struct session *session, uint32_t partition)
{
    set(session->used, partition);
    return ++session->number;
}

void session_unsettle(struct session *session, uint32_t partition)
{
    set(session->unsettled, partition);
}

bool session_retirable(const struct session *session, uint32_t partition)
{
    return is_set(session->used, partition) && !is_set(session->unsettled, partition);
}
