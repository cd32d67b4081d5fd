/* Between a connection and the turn that queues it; nobody else calls these. */
#ifndef CAIRN_RPC_CONNECTION_TURN_H
#define CAIRN_RPC_CONNECTION_TURN_H

#include "rpc/connection.h"

/* Something was queued: the loop must not block before the next prepare phase. */
void turn_wake(struct turn *turn);
/* Delivers held input, or reads what is left before a failed connection ends. */
void connection_turn_begin(struct connection *connection);
/* Leaves the queue, unless it must begin another turn, and sends. */
void connection_turn_end(struct connection *connection);

#endif
