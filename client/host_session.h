/* A host's session with one server, as its agent sees it (ARCHITECTURE.md C4, C5, C6): pure but for
 * the segment, which it writes. The agent (agent.h) carries the messages, the simulator drives the
 * same code.
 *
 * Every function takes the time of the host's clock. Every call that was sent is told one answer or
 * one failure, never both, with the number of the session that it was made for: what came too late
 * for its session changes nothing. Calls of a session that is no more need not be told. */
#ifndef CAIRN_CLIENT_HOST_SESSION_H
#define CAIRN_CLIENT_HOST_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "client/cache.h"
#include "proto/cache_rpc.h"

enum host_session_state {
    HOST_SESSION_NONE,    /* no number; opened when due */
    HOST_SESSION_OPENING, /* the number was sent and never written to the segment yet */
    HOST_SESSION_OPEN,
    HOST_SESSION_CLOSING, /* void in the segment; CLOSE is to be sent, or was */
};

enum { HOST_SESSION_LATE = 8 };

enum host_session_call {
    HOST_CALL_NONE,
    HOST_CALL_OPEN,
    HOST_CALL_RENEW,
    HOST_CALL_LISTEN, /* with `answered` */
    HOST_CALL_CLOSE,
};

struct host_session {
    const struct cache *cache;
    uint32_t server; /* id */
    enum host_session_state state;
    uint64_t number;
    uint64_t until_ms;      /* as the segment says */
    uint64_t granted_ms;    /* of the last grant */
    uint64_t answered;      /* the last batch carried out */
    bool asking, listening; /* an OPEN, RENEW or CLOSE is under way; a LISTEN is */
    uint64_t asked_ms;      /* before that call was sent (C5) */
    uint64_t due_ms;        /* the next OPEN or RENEW not before; UINT64_MAX: never */
    uint64_t retry_ms;      /* the next LISTEN or CLOSE not before */
    uint32_t failures;      /* in a row: the next try later */
    uint32_t late[HOST_SESSION_LATE], late_count; /* with C4 broken only */
};

void host_session_init(struct host_session *session, const struct cache *cache, uint32_t server);
/* What to send now; the caller tells so with host_session_sent, `now_ms` read before the call
 * leaves, and sends it, for session->number then. `number` is a fresh random one, used if the call
 * is an OPEN. Until it says NONE. */
enum host_session_call host_session_due(const struct host_session *session, uint64_t now_ms);
void host_session_sent(struct host_session *session, enum host_session_call call, uint64_t number,
                       uint64_t now_ms);
/* When host_session_due may say something again by itself. */
uint64_t host_session_next_ms(const struct host_session *session);

/* Answers. `number`: of the session that was asked for. */
void host_session_granted(struct host_session *session, uint64_t number, cache_status status,
                          uint64_t granted_ms, uint64_t now_ms);
void host_session_batch(struct host_session *session, uint64_t number, const cache_batch *batch,
                        uint64_t now_ms);
void host_session_closed(struct host_session *session, uint64_t number);
/* A call ended without an answer. A LISTEN is repeated; an OPEN's number is given up. */
void host_session_failed(struct host_session *session, enum host_session_call call, uint64_t number,
                         uint64_t now_ms);
/* C6: the connection broke, and no call on it will be answered: the session is void and will be
 * closed when there is a connection again, so that no write waits until it runs out; then another
 * one will be opened. */
void host_session_lost(struct host_session *session, uint64_t now_ms);
/* Voids the session in the segment, and asks for a CLOSE if there is anything to close; there is
 * not when the state is NONE. No other one is opened, until host_session_init. */
void host_session_end(struct host_session *session, uint64_t now_ms);

#endif
