/* The machines that simulated clients run on: each has a clock, shared segments with the real
 * client/cache.c in them, and an agent that drives the real client/host_session.c.
 *
 * A machine has room for two segments: when one is replaced, processes notice at different times,
 * and until the last of them did, both are in use, each with an agent of its own. */
#ifndef CAIRN_TESTS_SIM_MACHINE_H
#define CAIRN_TESTS_SIM_MACHINE_H

#include <stdbool.h>
#include <stdint.h>

#include "client/cache.h"
#include "client/host_session.h"

enum {
    SIM_MACHINES = 3,
    SIM_SEGMENTS = 2,
    SIM_SEGMENT_BYTES = CACHE_BYTES_MIN,
    SIM_AGENT_PEERS = 5, /* servers */
};

struct sim;
struct message;

/* --- what travels between an agent and a server ------------------------------------------------
 */

struct sim_host_call {
    enum host_session_call kind;
    uint32_t segment; /* of the machine: whose agent asks */
    uint64_t connection, session, answered;
};

struct sim_host_answer {
    enum host_session_call kind; /* of the call */
    uint32_t segment;
    uint64_t connection, session;
    cache_status status;
    uint64_t granted_ms; /* OPEN, RENEW */
    uint64_t number;     /* LISTEN: of the batch */
    bool all;
    uint32_t count;
    uint32_t *buckets;
};

/* --- the agent --------------------------------------------------------------------------------
 */

struct agent_call {
    uint64_t call; /* 0: none is under way */
    enum host_session_call kind;
    uint64_t session, deadline_us;
};

struct agent_peer {
    struct host_session session;
    uint64_t connection; /* 0: none */
    struct agent_call asking, listening;
};

/* What the agent's thread goes on with, when it is not stopped between two steps. */
struct agent_step {
    enum { AGENT_SEND, AGENT_TAKE, AGENT_INVALIDATE } kind;
    uint32_t server;
    const struct message *message;
    uint64_t noted_ms; /* the clock, as read before the thread was stopped */
    uint32_t done;     /* INVALIDATE: buckets so far */
};

struct agent {
    bool up, leaving;
    uint64_t generation; /* of the process: events of earlier ones are nobody's */
    uint32_t client;     /* in whose process it runs; SIM_CLIENTS: in its own */
    uint64_t stopped_until_us, next_due_us;
    /* Faults that wait for their moment. */
    bool doomed;          /* is killed when it was told of an invalidation, before it counts */
    uint64_t late_us;     /* its next renewal takes so long to arrive; 0: it does not */
    uint64_t asking_us;   /* stands still for so long once a renewal has left; 0: it does not */
    uint64_t answered_us; /* and after its answer was taken */
    uint64_t ended_us;    /* and when it was told that a server ends its session, before it acts */
    const struct agent_step *step;
    struct agent_peer peers[SIM_AGENT_PEERS];
};

/* --- machines ----------------------------------------------------------------------------------
 */

struct segment {
    struct machine *machine;
    uint32_t number;
    uint64_t life; /* grows whenever it is laid out anew; 0: never */
    struct cache cache;
    struct agent agent;
};

struct machine {
    struct sim *sim;
    uint32_t number, node;
    double rate;
    uint64_t offset_us, paused_until_us;
    uint32_t current; /* the segment that newcomers find */
    struct segment segments[SIM_SEGMENTS];
};

/* What goes on at an agent: the data of EVENT_AGENT. */
enum agent_event_kind { AGENT_EVENT_ELECT, AGENT_EVENT_TICK, AGENT_EVENT_STEP, AGENT_EVENT_BROKEN };

struct agent_event {
    enum agent_event_kind kind;
    struct segment *segment;
    uint64_t life;
    uint64_t generation;
    uint32_t server; /* BROKEN */
    uint64_t connection;
};

#endif
