/* The agent's parts: for agent*.c only. */
#ifndef CAIRN_CLIENT_AGENT_INTERNAL_H
#define CAIRN_CLIENT_AGENT_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "client/agent.h"
#include "client/handle.h"
#include "client/host_session.h"
#include "proto/limits.h"

struct agent_peer {
    struct agent *agent;
    uint32_t id; /* the server's */
    bool wanted; /* the map has it */
    struct host_session session;
};

struct agent {
    struct host *host;
    cairn_t *db; /* loop, connections and map; its loop runs on the agent's thread only */
    pthread_t thread;
    bool threaded;
    atomic_bool leave;
    const volatile int *stop; /* NULL: none */
    uint64_t generation;      /* of the route that the peers were taken from */
    uint64_t map_due_ms;      /* the managers are not asked again before */
    uint32_t peer_count;
    struct agent_peer peers[CAIRN_SERVERS_LIMIT];
};

/* Voids all sessions: they were another agent's. */
void agent_sessions_begin(struct agent *agent);
/* Takes in a newer map and sends what is due. When to look again at the latest. */
uint64_t agent_sessions_drive(struct agent *agent, uint64_t now_ms);
/* C6, leaving: ends all sessions; then sends what is due to that end. False: nothing is left. */
void agent_sessions_end(struct agent *agent, uint64_t now_ms);
bool agent_sessions_closing(struct agent *agent, uint64_t now_ms);

#endif
